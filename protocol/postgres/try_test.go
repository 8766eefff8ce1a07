package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// trying has what is held tried.
type trying struct{}

func (trying) Name() string { return "try" }

func (trying) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		st, ok := op.(*proxy.Statement)
		if !ok || st.Kind != proxy.KindStatement || !st.Facts.Effects.Has(proxy.EffectsWrite|proxy.EffectDrop|proxy.EffectUnknown) || containsFold(st.Text, []byte("unheld")) {
			return proxy.Pass()
		}
		return proxy.Verdict{Action: proxy.ActionHold, Hold: &proxy.Hold{Rules: []string{"try"}, Approvers: [][]string{{"ops"}}, For: time.Minute, Try: true}}
	}}, nil
}

// tryGate is a gate at which one rule holds, and has things tried.
func tryGate(t *testing.T, schema string, a *approver, more ...proxy.Interceptor) *gate {
	t.Helper()
	g := impactGate(t, schema, a)
	r := *g.Revision()
	r.Interceptors = append([]proxy.Interceptor{&hooks{}, trying{}}, more...)
	require.NoError(t, g.Use(&r))
	return g
}

// What is held is run once and taken back: the approver sees exact counts and rows, in every way to send it.
func TestTry(t *testing.T) {
	var last *proxy.Impact
	a := &approver{looks: func(_ *proxy.Statement, i *proxy.Impact) { last = i }}
	g := tryGate(t, ordersSchema, a)
	w := &conversation{t, g.connect(t, "sslmode=disable").PgConn().Frontend()}
	const update = "UPDATE orders AS o SET status = n.s, qty = qty + 1 FROM (VALUES ('done')) AS n (s) WHERE o.status = 'open'"
	shown := func() {
		t.Helper()
		require.NotNil(t, last.Trial)
		require.Equal(t, proxy.Trial{Rows: 3}, *last.Trial)
		require.Equal(t, proxy.Sample{Before: []string{`"1"`, `"open"`, `"1"`}, After: []string{"", `"done"`, `"2"`}}, last.Samples[0], "also where it was not known before")
	}
	reset := func() { g.exec(t, "UPDATE orders SET status = 'open', qty = 1 WHERE id <= 3") }
	require.Equal(t, "C(UPDATE 3) Z(I)", w.query(update))
	shown()
	require.Equal(t, "3", g.exec(t, "SELECT count(*) FROM orders WHERE qty = 2"), "it runs once")
	reset()
	w.run(update)
	require.Equal(t, "1 2 C(UPDATE 3) Z(I)", w.sync())
	shown()
	reset()
	w.query("BEGIN")
	require.Equal(t, "C(UPDATE 3) Z(T)", w.query(update))
	shown()
	require.Equal(t, "C(COMMIT) Z(I)", w.query("COMMIT"))
	require.Equal(t, "3", g.exec(t, "SELECT count(*) FROM orders WHERE qty = 2"))

	require.Equal(t, "C(INSERT 0 1) Z(I)", w.query("INSERT INTO orders VALUES (1, 'x'), (50, 'y') ON CONFLICT DO NOTHING"))
	require.Equal(t, proxy.Trial{Rows: 1}, *last.Trial)
	require.EqualValues(t, 1, last.Rows, "what nobody could count before")
	require.Equal(t, "C(DELETE 1) Z(I)", w.query("DELETE FROM orders WHERE id = 50"))
	require.Equal(t, proxy.Trial{Rows: 1}, *last.Trial)

	// One that fails says so, and the session goes on.
	require.Equal(t, "E(23505) Z(I)", w.query("INSERT INTO orders VALUES (1, 'x')"))
	require.Contains(t, last.Trial.Why, "23505")
	require.Equal(t, "T D1 C(SELECT 1) Z(I)", w.query("SELECT 1"))
	require.Equal(t, "T Doff C(SHOW) Z(I)", w.query("SHOW transaction_read_only"))
	require.Equal(t, "T D0 C(SHOW) Z(I)", w.query("SHOW statement_timeout"))
}

// While people decide nothing of what was tried is there, neither rows nor locks; and who holds a lock keeps the trial from running, and not the
// request from being made.
func TestTryLeavesNothing(t *testing.T) {
	var last *proxy.Impact
	a := &approver{}
	g := tryGate(t, ordersSchema, a)
	a.looks = func(_ *proxy.Statement, i *proxy.Impact) {
		last = i
		require.Equal(t, "3", g.exec(t, "SELECT count(*) FROM orders WHERE status = 'open'"))
		require.Equal(t, "0", g.exec(t, "SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass AND mode <> 'AccessShareLock'"))
		require.Equal(t, "0", g.exec(t, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"))
		g.exec(t, "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE NOWAIT; COMMIT") // nobody has any
	}
	w := &conversation{t, g.connect(t, "sslmode=disable").PgConn().Frontend()}
	require.Equal(t, "C(UPDATE 3) Z(I)", w.query("UPDATE orders SET status = 'done' WHERE status = 'open'"))
	require.Equal(t, proxy.Trial{Rows: 3}, *last.Trial)

	g.exec(t, "UPDATE orders SET status = 'open' WHERE id <= 3")
	other := g.connect(t, "sslmode=disable")
	_, err := other.Exec(t.Context(), "BEGIN")
	require.NoError(t, err)
	_, err = other.Exec(t.Context(), "SELECT * FROM orders WHERE id = 1 FOR UPDATE")
	require.NoError(t, err)
	a.looks = func(_ *proxy.Statement, i *proxy.Impact) {
		last = i
		_, err := other.Exec(t.Context(), "ROLLBACK")
		require.NoError(t, err)
	}
	began := time.Now()
	require.Equal(t, "C(UPDATE 3) Z(I)", w.query("UPDATE orders SET status = 'done' WHERE status = 'open'"))
	require.Less(t, time.Since(began), 20*time.Second)
	require.Contains(t, last.Trial.Why, "55P03")
}

// Where something of it could stay it is not tried, and the approver is told why.
func TestTrySays(t *testing.T) {
	var last *proxy.Impact
	a := &approver{looks: func(_ *proxy.Statement, i *proxy.Impact) { last = i }}
	schema := strings.Replace(hostileSchema, "CREATE OPERATOR === (FUNCTION = louder, LEFTARG = int, RIGHTARG = int);", "", 1)
	schema = schema[:strings.Index(schema, "CREATE TYPE mood")] // without domains
	g := tryGate(t, schema+`
CREATE TABLE serial (id serial PRIMARY KEY, v text); CREATE TABLE own (id int GENERATED BY DEFAULT AS IDENTITY, v text);
CREATE SEQUENCE counter;
CREATE TABLE defaults (id int, v int DEFAULT loud(1)); CREATE TABLE checked (id int CHECK (loud(id) > 0));
CREATE TABLE late (id int PRIMARY KEY); CREATE TRIGGER t AFTER INSERT ON late FOR EACH ROW EXECUTE FUNCTION acts();`, a)
	w := &conversation{t, g.connect(t, "sslmode=disable").PgConn().Frontend()}
	w.query("SELECT 1")
	for _, c := range []struct{ text, why string }{
		{"INSERT INTO late VALUES (1)", "has triggers"},
		{"UPDATE triggered SET id = 2", "has triggers"},
		{"UPDATE ruled SET id = 2", "has rules"},
		{"DELETE FROM parent", "not a table by itself"},
		{"DELETE FROM referred", "rows of other tables would go or change with it, in public.refers"},
		{"INSERT INTO serial (v) VALUES ('b')", "sequence"},
		{"INSERT INTO own (v) VALUES ('b')", "sequence"},
		{"INSERT INTO plain VALUES (nextval('counter'), 'x')", "more than change rows"},
		{"UPDATE plain SET n = nextval('counter') WHERE id = 1", "more than change rows"},
		{"INSERT INTO plain VALUES (loud(9), 'x')", "more than change rows"},
		{"UPDATE plain SET a = loud(1)::text WHERE id = 1", "more than change rows"},
		{"INSERT INTO defaults (id) VALUES (1)", "calls a function"},
		{"INSERT INTO checked VALUES (1)", "calls a function"},
		{"UPDATE seen SET a = 'v' WHERE id = 1", "not measured"},
		{"TRUNCATE nothing", "only INSERT, UPDATE and DELETE"},
	} {
		last = nil
		w.query(c.text)
		require.NotNil(t, last, c.text)
		require.NotNil(t, last.Trial, c.text)
		require.Contains(t, last.Trial.Why, c.why, c.text)
		require.EqualValues(t, -1, last.Trial.Rows)
	}
}

// What a column becomes is hidden like what it is made of.
func TestTryIsMasked(t *testing.T) {
	traces := &hooks{}
	traces.Flow = func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) { return proxy.Filter{}, nil }
	traces.Show = func(_ context.Context, op proxy.Op, _ *proxy.Shape) (proxy.Filter, error) {
		columns := op.(*proxy.Statement).Facts.Columns
		return proxy.Filter{Row: func(r *proxy.Row) error {
			for i := range columns {
				if r.Value(i) != nil && slices.ContainsFunc(columns[i].Origins, func(o proxy.Origin) bool { return o.Column == "secret" }) {
					r.Set(i, []byte("***"))
				}
			}
			return nil
		}}, nil
	}
	var last *proxy.Impact
	a := &approver{looks: func(_ *proxy.Statement, i *proxy.Impact) { last = i }}
	g := tryGate(t, `CREATE TABLE people (id int PRIMARY KEY, "Note" text, n int, secret text); INSERT INTO people VALUES (1, 'plain', 1, 'hidden');`, a, traces)
	w := &conversation{t, g.connect(t, "sslmode=disable").PgConn().Frontend()}
	for text, note := range map[string]string{
		`UPDATE people SET "Note" = 'seen', n = 2`:                                       `"seen"`,
		`UPDATE people SET "Note" = secret, n = 2`:                                       `"***"`,
		`UPDATE people AS p SET n = 2, "Note" = 'x' || p.secret`:                         `"***"`,
		`UPDATE people SET n = 2, "Note" = s FROM (SELECT secret AS s FROM people) AS q`: `"***"`,
		`UPDATE people SET ("Note", n) = (SELECT max(secret), 2 FROM people)`:            `"***"`,
	} {
		last = nil
		require.Equal(t, "C(UPDATE 1) Z(I)", w.query(text), text)
		require.NotNil(t, last, text)
		require.NotContains(t, fmt.Sprintf("%+v", last.Samples), "hidden", text)
		require.Equal(t, &proxy.Trial{Rows: 1}, last.Trial, text)
		require.Equal(t, []string{"", note, `"2"`, ""}, last.Samples[0].After, text)
		g.exec(t, `UPDATE people SET "Note" = 'plain', n = 1`)
	}
}
