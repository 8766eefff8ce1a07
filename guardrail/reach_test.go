package guardrail_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// keeper tells what the resource holds, and counts how often it was asked.
type keeper struct {
	empty bool
	err   error
	asked int
	rows  int // that Few was asked about
}

func (k *keeper) Few(_ context.Context, st *proxy.Statement, rows int) (bool, error) {
	k.asked++
	k.rows = rows
	return k.empty, k.err
}

func (k *keeper) Empty(context.Context, *proxy.Statement) (bool, error) {
	k.asked++
	return k.empty, k.err
}

// Whether data is destroyed is asked of the resource when nothing else says it, and
// what it does not tell is refused.
func TestDestroysByWhatIsThere(t *testing.T) {
	observed := guardrail.Rule{Name: "observed", Destroys: true, Observe: true}
	s := proxytest.Session(t, create(t, append(guardrail.Defaults(), observed, guardrail.Rule{Name: "vault", Destroys: true, Relations: []string{"vault.*"}})...))
	ask := func(k *keeper, text string) *proxy.Verdict {
		st := statement(text)
		if k != nil {
			st.Keeper = k
		}
		return s.Ask(t.Context(), st)
	}
	for _, text := range []string{"DROP TABLE t", "TRUNCATE vault.t", "ALTER TABLE t DROP COLUMN a", "DROP SCHEMA s CASCADE", "DROP TABLE t; TRUNCATE u"} {
		k := &keeper{empty: true}
		v := ask(k, text)
		require.False(t, v.Refuses(), "%s: %s", text, v.Message())
		require.Equal(t, 1, k.asked, "once for all rules: %s", text)

		require.Equal(t, "no-drop", ask(&keeper{}, text).Rule, text)
		require.Equal(t, "no-drop", ask(&keeper{empty: true, err: errors.New("gone")}, text).Rule, text)
		require.Equal(t, "no-drop", ask(nil, text).Rule, text)

		prepared := statement(text)
		prepared.Kind = proxy.KindPrepare
		require.False(t, s.Ask(t.Context(), prepared).Refuses(), "it is asked when it runs: %s", text)
	}
	for text, rule := range map[string]string{
		"DROP SEQUENCE s": "no-drop", "DROP DATABASE d": "no-drop", "ALTER TYPE pair DROP ATTRIBUTE a": "no-drop", "DO $$BEGIN DROP TABLE t; END$$": "no-drop",
		"SELECT query_to_xml('DROP TABLE t', true, true, '')": "no-drop", "INSERT INTO t VALUES (1); DROP TABLE t": "no-drop", "DELETE FROM t; DROP TABLE u": "no-where",
		"SELECT 1": "", "DROP INDEX i": "", "DELETE FROM t WHERE id = 1": "", "DROP TABLE pg_temp.t": "",
	} {
		k := &keeper{empty: true}
		v := ask(k, text)
		require.Equal(t, rule, v.Rule, text)
		require.Zero(t, k.asked, "it is not asked for nothing: %s", text)
	}
}

// What the catalog does not know is refused all the same when the resource says that it
// holds data.
func TestDestroysWhatTheCatalogDoesNotKnow(t *testing.T) {
	s := proxytest.Session(t, create(t, guardrail.Defaults()...))
	known := withCatalog()
	for _, text := range []string{"DROP TABLE IF EXISTS nope", "TRUNCATE nope", "DROP SCHEMA nope CASCADE"} {
		for k, refused := range map[*keeper]bool{nil: false, {empty: true}: false, {err: errors.New("gone")}: false, {}: true} {
			st := known(text)
			if k != nil {
				st.Keeper = k
			}
			require.Equal(t, refused, s.Ask(t.Context(), st).Refuses(), text)
		}
	}
}

// A change of a whole table is one of every row, unless the resource says that there is
// none, or of an UPDATE that there is one.
func TestNoWhereByWhatIsThere(t *testing.T) {
	s := proxytest.Session(t, create(t, guardrail.Defaults()...))
	for text, rows := range map[string]int{
		"UPDATE t SET a = 1": 1, "UPDATE s.t SET a = $1 WHERE true": 1, "UPDATE t AS x SET a = 1 RETURNING a": 1, "DELETE FROM t": 0, "DELETE FROM ONLY t WHERE 1 = 1": 0,
	} {
		st := statement(text)
		k := &keeper{empty: true}
		st.Keeper = k
		require.False(t, s.Ask(t.Context(), st).Refuses(), text)
		require.Equal(t, keeper{empty: true, asked: 1, rows: rows}, *k, text)
		for _, k := range []*keeper{{}, {empty: true, err: errors.New("gone")}} {
			st := statement(text)
			st.Keeper = k
			require.Equal(t, "no-where", s.Ask(t.Context(), st).Rule, text)
		}
		require.Equal(t, "no-where", s.Ask(t.Context(), statement(text)).Rule, text)
	}
	for _, text := range []string{
		"UPDATE t SET a = 1 FROM u", "DELETE FROM t USING u", "WITH d AS (DELETE FROM u) UPDATE t SET a = 1", "WITH d AS (DELETE FROM t RETURNING a) SELECT * FROM d",
		"UPDATE t SET a = 1; SELECT 1", "DO $$BEGIN DELETE FROM t; END$$", "EXPLAIN ANALYZE DELETE FROM t", "PREPARE p AS DELETE FROM t",
		"UPDATE t SET a = 1 WHERE query_to_xml('DELETE FROM u', true, true, '') IS NOT NULL OR true", "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE",
	} {
		st := statement(text)
		k := &keeper{empty: true}
		st.Keeper = k
		require.Equal(t, "no-where", s.Ask(t.Context(), st).Rule, text)
		require.Zero(t, k.asked, text)
	}
}
