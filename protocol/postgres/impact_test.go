package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/protocol/sql"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
)

// approver is a Reviewer that measures what is held, has somebody look at it, and approves it.
type approver struct {
	looks func(st *proxy.Statement, i *proxy.Impact)
	claim *proxy.Impact // of an earlier session; nil: what is measured
	fails error
}

func (a *approver) Request(ctx context.Context, _ *proxy.Session, op proxy.Op, h *proxy.Hold) (*proxy.Pending, error) {
	st := op.(*proxy.Statement)
	i, err := st.Measure(ctx)
	if a.fails = err; err != nil {
		return nil, err
	}
	return &proxy.Pending{ID: "1", Message: "held", Wait: func(context.Context) proxy.Verdict {
		if a.looks != nil {
			a.looks(st, i)
		}
		if a.claim != nil {
			i = a.claim
		}
		v := proxy.Allow("approved")
		v.Impact = i
		return v
	}}, nil
}

// impactGate is a gate in which what changes rows of a table is held.
func impactGate(t *testing.T, schema string, a *approver, more ...proxy.Interceptor) *gate {
	t.Helper()
	cache := &sql.CatalogCache{Resolve: sqlpostgres.Resolve}
	holds := &hooks{Hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		st, ok := op.(*proxy.Statement)
		const changes = proxy.EffectsWrite | proxy.EffectDrop | proxy.EffectUnknown
		if !ok || st.Kind != proxy.KindStatement || !st.Facts.Effects.Has(changes) || containsFold(st.Text, []byte("unheld")) {
			return proxy.Pass()
		}
		return proxy.Verdict{Action: proxy.ActionHold, Hold: &proxy.Hold{Rules: []string{"big"}, Approvers: [][]string{{"ops"}}, For: time.Minute}}
	}}}
	g := startGate(t, gateConfig{
		sql: schema, chain: append([]proxy.Interceptor{holds}, more...),
		gateway: func(g *proxy.Gateway) { g.Reviewer = a },
		handler: func(h *Handler) {
			h.Catalog, h.Analyzer = cache, sqlpostgres.New(sqlpostgres.Config{Catalog: cache})
		},
	})
	cache.Load = (&CatalogReader{Gateway: g.Gateway}).Load
	t.Cleanup(func() { require.NoError(t, cache.Close()) })
	return g
}

const ordersSchema = `CREATE TABLE orders (id int PRIMARY KEY, status text NOT NULL, qty int NOT NULL DEFAULT 1);
INSERT INTO orders SELECT i, CASE WHEN i <= 3 THEN 'open' ELSE 'closed' END FROM generate_series(1, 10) AS i;`

// exec runs a statement that nobody looks at.
func (g *gate) exec(t testing.TB, text string) string { return testserver.Exec(t, g.pg, g.db, text) }

// What is held is measured, by simple and extended queries, in transactions and outside, and
// runs as what was approved alone.
func TestImpact(t *testing.T) {
	for name, flow := range map[string]bool{"rows that nobody sees": false, "rows that are filtered": true} {
		t.Run(name, func(t *testing.T) {
			var seen []*proxy.Impact
			between := ""
			a := &approver{}
			var more []proxy.Interceptor
			if flow {
				h := &hooks{}
				h.Flow = func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
					return proxy.Filter{Row: func(*proxy.Row) error { return nil }}, nil
				}
				h.Show = proxy.HidesNothing
				more = append(more, h)
			}
			g := impactGate(t, ordersSchema, a, more...)
			a.looks = func(_ *proxy.Statement, i *proxy.Impact) {
				seen = append(seen, i)
				if between != "" {
					g.exec(t, between)
				}
			}
			c := g.connect(t, "sslmode=disable").PgConn()
			w := &conversation{t, c.Frontend()}
			last := func() *proxy.Impact { return seen[len(seen)-1] }
			reset := func() {
				g.exec(t, "DELETE FROM orders; INSERT INTO orders SELECT i, CASE WHEN i <= 3 THEN 'open' ELSE 'closed' END FROM generate_series(1, 10) AS i")
			}
			const update = "UPDATE orders SET status = 'done', qty = qty + 1 WHERE status = 'open'"
			const fourth, changed = "UPDATE orders SET status = 'open' WHERE id = 4", "UPDATE orders SET qty = 7 WHERE id = 3"
			count := func() string { return g.exec(t, "SELECT count(*) FROM orders WHERE status = 'done'") }

			// A simple query of its own.
			require.Equal(t, "C(UPDATE 3) Z(I)", w.query(update))
			i := last()
			require.EqualValues(t, 3, i.Rows)
			require.Equal(t, "public.orders", i.Table)
			require.Equal(t, "update", i.Effect)
			require.Equal(t, proxy.HoldsRows, i.Holds)
			require.Len(t, i.Digest, 64)
			require.Contains(t, i.Plan, "Scan")
			require.NotZero(t, i.Cost)
			require.Equal(t, []string{"id", "status", "qty"}, i.Columns)
			require.Equal(t, proxy.Sample{Before: []string{`"1"`, `"open"`, `"1"`}, After: []string{"", `"done"`, `"2"`}}, i.Samples[0])
			require.Len(t, i.Samples, 3)
			require.Empty(t, i.Unsaid)
			require.Equal(t, "3", count())
			require.Equal(t, "T D1 C(SELECT 1) Z(I)", w.query("SELECT 1"))

			for _, between = range []string{fourth, changed} {
				reset()
				require.Equal(t, "E(42501) Z(I)", w.query(update), between)
				require.Equal(t, "0", count())
				require.Equal(t, "T D1 C(SELECT 1) Z(I)", w.query("SELECT 1"))

				reset()
				w.run("SELECT 7")
				w.run(update)
				w.run("SELECT 8")
				require.Equal(t, "1 2 D7 C(SELECT 1) 1 2 E(42501) Z(I)", w.sync(), "%s %+v", between, last())
				require.Equal(t, "0", count())

				reset()
				require.Equal(t, "C(BEGIN) Z(T)", w.query("BEGIN"))
				require.Equal(t, "C(INSERT 0 1) Z(T)", w.query("INSERT INTO orders VALUES (100, 'unheld')"))
				require.Equal(t, "C(SAVEPOINT) Z(T)", w.query("SAVEPOINT mine"))
				require.Equal(t, "E(42501) Z(E)", w.query(update), between)
				require.Equal(t, "C(ROLLBACK) Z(T)", w.query("ROLLBACK TO mine"), "the transaction goes on from where the client says")
				require.Equal(t, "T D1 C(SELECT 1) Z(T)", w.query("SELECT count(*) FROM orders WHERE id = 100"))
				require.Equal(t, "C(ROLLBACK) Z(I)", w.query("ROLLBACK"))
			}
			between = ""

			// Within a transaction, which goes on.
			reset()
			require.Equal(t, "C(BEGIN) Z(T)", w.query("BEGIN"))
			require.Equal(t, "C(UPDATE 3) Z(T)", w.query(update))
			require.Equal(t, "T D0 C(SELECT 1) Z(T)", w.query("SELECT count(*) FROM orders WHERE status = 'open'"))
			w.run("UPDATE orders SET status = 'open' WHERE status = 'done'")
			require.Equal(t, "1 2 C(UPDATE 3) Z(T)", w.sync())
			require.EqualValues(t, 3, last().Rows)
			require.Equal(t, "C(COMMIT) Z(I)", w.query("COMMIT"))
			require.Equal(t, "0", count())

			// In the middle of a batch that is its own transaction, and its first.
			w.run("INSERT INTO orders VALUES (11, 'open /* unheld */')")
			w.run("SELECT 7")
			w.run("DELETE FROM orders WHERE id > 8 RETURNING id")
			w.run("SELECT 8")
			require.Equal(t, "1 2 C(INSERT 0 1) 1 2 D7 C(SELECT 1) 1 2 D9 D10 D11 C(DELETE 3) 1 2 D8 C(SELECT 1) Z(I)", w.sync())
			require.EqualValues(t, 3, last().Rows)
			require.Equal(t, proxy.HoldsRows, last().Holds)
			require.Nil(t, last().Samples[0].After)
			w.run(update)
			require.Equal(t, "1 2 C(UPDATE 3) Z(I)", w.sync())
			require.Equal(t, "3", count())
			require.Equal(t, "T D0 C(SELECT 1) Z(I)", w.query("SELECT count(*) FROM pg_prepared_statements"))
			require.Equal(t, "T D0 C(SELECT 1) Z(I)", w.query("SELECT count(*) FROM pg_cursors"))
			require.Equal(t, "T Doff C(SHOW) Z(I)", w.query("SHOW transaction_read_only"))
			require.Equal(t, "T D0 C(SHOW) Z(I)", w.query("SHOW statement_timeout"))
			require.Equal(t, "T D0 C(SHOW) Z(I)", w.query("SHOW idle_in_transaction_session_timeout"))
		})
	}
}
