package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// estimates asks the server about every statement before it runs.
type estimates struct {
	Estimator
	mu    sync.Mutex
	heard map[string]estimated
}

type estimated struct {
	rows, cost float64
	err        error
}

func (*estimates) Name() string { return "estimates" }

func (e *estimates) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(ctx context.Context, op proxy.Op) proxy.Verdict {
		st, ok := op.(*proxy.Statement)
		if !ok {
			return proxy.Allow("test")
		}
		if st.Kind == proxy.KindStatement {
			var x estimated
			x.rows, x.cost, x.err = e.Estimate(ctx, s, st)
			e.mu.Lock()
			e.heard[string(st.Text)] = x
			e.mu.Unlock()
		}
		return proxy.Pass()
	}}, nil
}

// estimatesOf are those of a revision, with one estimator.
type estimatesOf struct {
	*estimates
	revision int
}

func (e *estimates) of(t *testing.T, text string) estimated {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	require.Contains(t, e.heard, text)
	return e.heard[text]
}

func TestEstimator(t *testing.T) {
	e := &estimates{Estimator: Estimator{Timeout: 2 * time.Second}, heard: make(map[string]estimated)}
	g := startGate(t, gateConfig{chain: []proxy.Interceptor{e}, sql: `
		CREATE TABLE big AS SELECT i AS id, i % 10 AS k FROM generate_series(1, 50000) i;
		CREATE UNIQUE INDEX ON big (id);
		CREATE TABLE small (id int);
		CREATE SEQUENCE counter;
		CREATE FUNCTION counted() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN nextval('counter'); END $$;
		ANALYZE`})
	ctx := context.Background()
	c := g.connect(t, "sslmode=disable")
	for _, q := range []struct {
		text     string
		low, top float64
	}{
		{"SELECT * FROM big", 40000, 60000},
		{"SELECT * FROM big WHERE id = 7 -- one", 0, 10},
		{"/* b */ DELETE FROM big WHERE k = -1 OR id > 25000", 20000, 30000},
		{"UPDATE big SET k = k WHERE id = 7;", 0, 10},
		{"WITH d AS (UPDATE big SET k = k RETURNING id) SELECT count(*) FROM d", 20000, 200000},
		{"INSERT INTO small SELECT 1 FROM big WHERE false", 0, 10},
		{"SELECT id FROM big LIMIT 5", 1, 5},
		{"DECLARE c CURSOR WITH HOLD FOR SELECT * FROM big", 20000, 200000},
	} {
		_, err := c.PgConn().Exec(ctx, q.text).ReadAll()
		require.NoError(t, err, q.text)
		x := e.of(t, q.text)
		require.NoError(t, x.err, q.text)
		require.GreaterOrEqual(t, x.rows, q.low, q.text)
		require.LessOrEqual(t, x.rows, q.top, q.text)
		require.GreaterOrEqual(t, x.cost, 0.0, q.text)
	}

	t.Run("arguments", func(t *testing.T) {
		const text = "SELECT * FROM big WHERE id > $1 AND id < $2"
		for bound, most := range map[int]float64{10: 100, 40000: 100000} {
			r, err := c.Query(ctx, text, 0, bound) // binary, of types that the server infers
			require.NoError(t, err)
			r.Close()
			require.NoError(t, e.of(t, text).err)
			require.LessOrEqual(t, e.of(t, text).rows, most)
			require.Greater(t, e.of(t, text).rows, most/200)
		}
		const null = "SELECT * FROM big WHERE k = $1::int8"
		r := c.PgConn().ExecParams(ctx, null, [][]byte{nil}, []uint32{20}, nil, nil).Read()
		require.NoError(t, r.Err)
		require.NoError(t, e.of(t, null).err)
		typed := "SELECT * FROM big WHERE id = $1 OR k = $1"
		r = c.PgConn().ExecParams(ctx, typed, [][]byte{{0, 0, 0, 0, 0, 0, 0, 1}}, []uint32{20}, []int16{1}, nil).Read()
		require.NoError(t, r.Err)
		require.NoError(t, e.of(t, typed).err, "binary, of a declared type")
	})

	t.Run("not estimable", func(t *testing.T) {
		for _, text := range []string{
			"CREATE TEMP TABLE mine (id int)", "SELECT * FROM mine", "COPY big TO STDOUT", "SELECT 1; SELECT 2", "EXPLAIN ANALYZE SELECT 1", "VACUUM small",
			"PREPARE p AS SELECT 1",
		} {
			c.PgConn().Exec(ctx, text).ReadAll()
			require.Error(t, e.of(t, text).err, text)
		}
		require.ErrorContains(t, e.of(t, "SELECT * FROM mine").err, "42P01")
	})

	t.Run("runs nothing", func(t *testing.T) {
		x := e.of(t, "WITH d AS (UPDATE big SET k = k RETURNING id) SELECT count(*) FROM d")
		require.NoError(t, x.err)
		const text = "SELECT id FROM big WHERE id = counted()" // it is run when the statement is planned
		_, err := c.PgConn().Exec(ctx, "BEGIN").ReadAll()
		require.NoError(t, err)
		c.PgConn().Exec(ctx, text).ReadAll()
		require.ErrorContains(t, e.of(t, text).err, "25006", "its connection cannot write")
		_, err = c.PgConn().Exec(ctx, "ROLLBACK").ReadAll()
		require.NoError(t, err)
	})

	t.Run("waits for no lock", func(t *testing.T) {
		for _, text := range []string{"BEGIN", "LOCK TABLE big IN ACCESS EXCLUSIVE MODE", "SELECT id FROM big WHERE id = 1", "COMMIT"} {
			_, err := c.PgConn().Exec(ctx, text).ReadAll()
			require.NoError(t, err, text)
		}
		require.ErrorContains(t, e.of(t, "SELECT id FROM big WHERE id = 1").err, "55P03")
	})

	t.Run("one connection, which ends with the session", func(t *testing.T) {
		count := func() string {
			rows, err := c.PgConn().Exec(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sallyport estimate'").ReadAll()
			require.NoError(t, err)
			return string(rows[0].Rows[0][0])
		}
		other := g.connect(t, "sslmode=disable")
		_, err := other.PgConn().Exec(ctx, "SELECT 'other'").ReadAll()
		require.NoError(t, err)
		require.Equal(t, "2", count())
		require.NoError(t, other.Close(ctx))
		require.Eventually(t, func() bool { return count() == "1" }, 5*time.Second, 10*time.Millisecond)

		// Revisions show the session anew to their interceptors. It is the same one.
		for n := range 5 {
			next := *g.Revision()
			next.Interceptors = []proxy.Interceptor{estimatesOf{e, n}}
			require.NoError(t, g.Use(&next))
			_, err := c.PgConn().Exec(ctx, fmt.Sprintf("SELECT %d", n)).ReadAll()
			require.NoError(t, err)
			require.NoError(t, e.of(t, fmt.Sprintf("SELECT %d", n)).err)
		}
		require.Equal(t, "1", count())
		require.Equal(t, 1, e.sessions.Len())
	})
}

func TestPlanOfHostileServers(t *testing.T) {
	for _, text := range []string{
		"", "[]", "{}", "[{}]", `[{"Plan": null}]`, `[{"Plan": {"Plan Rows": 1}}]`, `[{"Plan": {"Plan Rows": "x", "Total Cost": 1}}]`,
		strings.Repeat("[", 1<<20), strings.Repeat(`[{"Plan": {"Plans": `, 20000),
	} {
		_, _, err := readPlan([]byte(text))
		require.Error(t, err)
	}
}
