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
