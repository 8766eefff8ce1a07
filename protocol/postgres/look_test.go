package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
)

// sparing refuses what drops or empties something that holds data, when it runs.
func sparing(flow bool) *hooks {
	h := &hooks{Hooks: proxy.Hooks{Ask: func(ctx context.Context, op proxy.Op) proxy.Verdict {
		st, ok := op.(*proxy.Statement)
		if !ok || st.Kind != proxy.KindStatement || len(st.Facts.Losing) == 0 {
			return proxy.Pass()
		}
		if empty, err := st.LosesNothing(ctx); err != nil || !empty {
			return proxy.Deny(proxy.CauseGuardrail, "sparing", "it holds data", "")
		}
		return proxy.Pass()
	}}}
	if flow {
		h.Flow = func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
			return proxy.Filter{Row: func(*proxy.Row) error { return nil }}, nil
		}
	}
	return h
}

// What the gateway asks the server for itself leaves no trace in what the client sees,
// wherever in a conversation it is asked.
func TestLook(t *testing.T) {
	for name, flow := range map[string]bool{"rows that nobody sees": false, "rows that are filtered": true} {
		t.Run(name, func(t *testing.T) {
			g := startGate(t, gateConfig{
				sql: "CREATE TABLE full_one AS SELECT 1 AS id", chain: []proxy.Interceptor{sparing(flow)},
				handler: func(h *Handler) { h.Analyzer = sqlpostgres.New(sqlpostgres.Config{}) },
			})
			c := g.connect(t, "sslmode=disable").PgConn()
			w := &conversation{t, c.Frontend()}
			for range 3 {
				for range 2 * calmTurns { // so that the session is polled
					require.Equal(t, "T D1 C(SELECT 1) Z(I)", w.query("SELECT 1"))
				}
				require.Equal(t, "C(CREATE TABLE) Z(I)", w.query("CREATE TABLE t (id int)"))
				require.Equal(t, "C(TRUNCATE TABLE) Z(I)", w.query("TRUNCATE t"))
				require.Equal(t, "E(42501) Z(I)", w.query("DROP TABLE t, full_one"))
				require.Equal(t, "C(DROP TABLE) Z(I)", w.query("DROP TABLE t"))
			}

			w.query("CREATE TABLE t (id int); CREATE TABLE u (id int)")
			w.run("INSERT INTO t VALUES (1)")
			w.run("DROP TABLE t")
			w.run("SELECT 1")
			require.Equal(t, "1 2 C(INSERT 0 1) 1 2 E(42501) Z(I)", w.sync(), "what the batch itself has written is seen")
			require.Equal(t, "T D0 C(SELECT 1) Z(I)", w.query("SELECT count(*) FROM t"))

			w.run("SELECT 1")
			w.run("TRUNCATE u")
			w.run("SELECT 2")
			require.Equal(t, "1 2 D1 C(SELECT 1) 1 2 C(TRUNCATE TABLE) 1 2 D2 C(SELECT 1) Z(I)", w.sync())

			w.run("SELECT 1/count(*) FROM u")
			w.run("DROP TABLE u")
			require.Equal(t, "1 2 E(22012) Z(I)", w.sync(), "what the server skips asks nothing of the client")

			w.Send(&pgproto3.Parse{Name: "p", Query: "TRUNCATE u"})
			require.Equal(t, "1 Z(I)", w.sync())
			again := func() string {
				w.Send(&pgproto3.Bind{PreparedStatement: "p"})
				w.Send(&pgproto3.Execute{})
				return w.sync()
			}
			require.Equal(t, "2 C(TRUNCATE TABLE) Z(I)", again())
			w.query("INSERT INTO u VALUES (1)")
			require.Equal(t, "2 E(42501) Z(I)", again(), "it is asked each time that it runs")

			w.run("INSERT INTO t VALUES (2)")
			w.Send(&pgproto3.Query{String: "TRUNCATE t"})
			require.Equal(t, "1 2 C(INSERT 0 1) E(42501) Z(I)", w.read(), "a query in a batch that has no end")

			require.Equal(t, "C(BEGIN) Z(T)", w.query("BEGIN"))
			require.Equal(t, "E(22012) Z(E)", w.query("SELECT 1/0"))
			require.Equal(t, "E(42501) Z(E)", w.query("DROP TABLE t"))
			require.Equal(t, "C(ROLLBACK) Z(I)", w.query("ROLLBACK"))

			require.Equal(t, "C(CREATE TABLE) Z(I)", w.query("CREATE TABLE locked (id int)"))
			require.Equal(t, "C(BEGIN) Z(T)", w.query("BEGIN"))
			require.Equal(t, "C(LOCK TABLE) Z(T)", w.query("LOCK locked"))
			second := g.connect(t, "sslmode=disable").PgConn()
			x := &conversation{t, second.Frontend()}
			x.Send(&pgproto3.Query{String: "DROP TABLE locked"})
			require.NoError(t, x.Flush())
			require.Eventually(t, func() bool {
				return testserver.Exec(t, g.pg, g.db, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") == "1"
			}, 20*time.Second, 10*time.Millisecond)
			require.NoError(t, second.CancelRequest(t.Context()))
			require.Equal(t, "E(42501) Z(I)", x.read(), "a client may cancel what waits for a lock")
			require.Equal(t, "T D1 C(SELECT 1) Z(I)", x.query("SELECT 1"))
			require.Equal(t, "C(CREATE TABLE) Z(I)", x.query("CREATE TABLE other (id int)"))
			require.Equal(t, "C(DROP TABLE) Z(I)", x.query("DROP TABLE other"), "the look that failed has left nothing behind in the session")
			require.Equal(t, "T D0 C(SELECT 1) Z(I)", x.query("SELECT count(*) FROM pg_prepared_statements"))
		})
	}
}

// conversation writes messages and tells in short what comes back.
type conversation struct {
	t *testing.T
	*pgproto3.Frontend
}

func (w *conversation) query(text string) string {
	w.Send(&pgproto3.Query{String: text})
	return w.read()
}

// run sends the messages of one statement of a batch.
func (w *conversation) run(text string) {
	w.Send(&pgproto3.Parse{Query: text})
	w.Send(&pgproto3.Bind{})
	w.Send(&pgproto3.Execute{})
}

func (w *conversation) sync() string {
	w.Send(&pgproto3.Sync{})
	return w.read()
}

// read tells what comes until the server is ready.
func (w *conversation) read() (out string) {
	w.t.Helper()
	require.NoError(w.t, w.Flush())
	add := func(s string) {
		if out != "" {
			out += " "
		}
		out += s
	}
	for {
		m, err := w.Receive()
		require.NoError(w.t, err, out)
		switch m := m.(type) {
		case *pgproto3.ParseComplete:
			add("1")
		case *pgproto3.BindComplete:
			add("2")
		case *pgproto3.CloseComplete:
			add("3")
		case *pgproto3.RowDescription:
			add("T")
		case *pgproto3.DataRow:
			add("D" + string(m.Values[0]))
		case *pgproto3.CommandComplete:
			add("C(" + string(m.CommandTag) + ")")
		case *pgproto3.ErrorResponse:
			add("E(" + m.Code + ")")
		case *pgproto3.ReadyForQuery:
			add("Z(" + string(m.TxStatus) + ")")
			return out
		}
	}
}
