package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
)

// connect opens a pgx connection as alice.
func (g *gate) connect(t testing.TB, params string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), testserver.URL("alice+orders", "wonder", g.addr, g.db, params))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func TestClientsWork(t *testing.T) {
	g := startGate(t, gateConfig{sql: shop, handler: func(h *Handler) {}})
	t.Run("copy both ways", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "c.csv")
		out := g.psql(t, fmt.Sprintf(`\copy customers TO '%s' CSV
CREATE TABLE again (LIKE customers);
\copy again FROM '%s' CSV
SELECT count(*), sum(id) FROM again;
COPY again TO STDOUT;
COPY (SELECT 1) TO STDOUT (FORMAT binary);
DROP TABLE again;
`, file, file))
		require.Contains(t, out, "COPY 100\nCREATE TABLE\nCOPY 100\n")
		require.Contains(t, out, "100 | 5050")
		require.Contains(t, out, "1\tname 1\tc1@example.com\n")
		require.Contains(t, out, "PGCOPY")
		require.Contains(t, out, "DROP TABLE")
	})
	t.Run("copy errors leave the session usable", func(t *testing.T) {
		out := g.psql(t, "COPY customers FROM STDIN;\nnot a number\tx\ty\n\\.\nSELECT 'goes on';\n")
		require.Contains(t, out, "invalid input syntax for type integer")
		require.Contains(t, out, "goes on")
	})
	t.Run("dump and restore", func(t *testing.T) {
		dump, err := g.client(t, "pg_dump", "", "-d", g.db)
		require.NoError(t, err, dump)
		require.Contains(t, dump, "COPY public.customers")
		testserver.Exec(t, g.pg, "postgres", "CREATE DATABASE restored_"+g.db)
		out, err := g.client(t, "psql", dump, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "restored_"+g.db)
		require.NoError(t, err, out)
		again, err := g.client(t, "pg_dump", "", "-d", "restored_"+g.db)
		require.NoError(t, err)
		require.Equal(t, stable(dump), stable(again))
	})
	t.Run("pgbench", func(t *testing.T) {
		out, err := g.client(t, "pgbench", "", "-i", "-q", "-d", g.db)
		require.NoError(t, err, out)
		for _, mode := range []string{"simple", "extended", "prepared"} {
			out, err := g.client(t, "pgbench", "", "-n", "-t", "50", "-c", "4", "-M", mode, g.db)
			require.NoError(t, err, out)
			require.Contains(t, out, "number of transactions actually processed: 200/200")
		}
	})
	t.Run("cancel", func(t *testing.T) {
		c := g.connect(t, "sslmode=disable")
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		done := make(chan error, 1)
		go func() {
			_, err := c.Exec(context.Background(), "SELECT pg_sleep(20)")
			done <- err
		}()
		<-ctx.Done()
		require.NoError(t, c.PgConn().CancelRequest(context.Background()))
		var pe *pgconn.PgError
		require.ErrorAs(t, <-done, &pe)
		require.Equal(t, "57014", pe.Code)
		require.Less(t, time.Since(start), 5*time.Second)
		var one int
		require.NoError(t, c.QueryRow(context.Background(), "SELECT 1").Scan(&one))
	})
	t.Run("notices and notifications", func(t *testing.T) {
		out := g.psql(t, `DO $$BEGIN RAISE NOTICE 'note %', 7; END$$;
LISTEN ch; NOTIFY ch, 'payload';
SELECT 1;
`)
		require.Contains(t, out, "NOTICE:  note 7")
		require.Contains(t, out, `Asynchronous notification "ch" with payload "payload"`)
	})
	t.Run("large objects are function calls", func(t *testing.T) {
		out := g.psql(t, "\\lo_import /etc/hostname\nSELECT 'goes on';\n")
		require.Contains(t, out, "function calls by number are not allowed")
		require.Contains(t, out, "function_call: true")
		require.Contains(t, out, "goes on")
	})
	t.Run("errors pass unchanged", func(t *testing.T) {
		out := g.psql(t, "\\set VERBOSITY verbose\nINSERT INTO customers VALUES (1,'x','y');\nSELECT 1/0;\n")
		require.Contains(t, out, "ERROR:  23505: duplicate key value violates unique constraint")
		require.Contains(t, out, "DETAIL:  Key (id)=(1) already exists.")
		require.Contains(t, out, "ERROR:  22012: division by zero")
	})
	t.Run("large results and statements", func(t *testing.T) {
		c := g.connect(t, "sslmode=disable")
		var n int
		rows, err := c.Query(context.Background(), "SELECT repeat('x', 1000), i FROM generate_series(1, 50000) i")
		require.NoError(t, err)
		for rows.Next() {
			n++
		}
		require.NoError(t, rows.Err())
		require.Equal(t, 50000, n)
		big := strings.Repeat("y", 8<<20)
		var length int
		require.NoError(t, c.QueryRow(context.Background(), "SELECT length($1::text)", big).Scan(&length))
		require.Equal(t, len(big), length)
		var back string
		require.NoError(t, c.QueryRow(context.Background(), "SELECT repeat('z', 20000000)").Scan(&back))
		require.Len(t, back, 20000000)
	})
}

// stable is a dump without what differs from run to run.
func stable(dump string) string {
	var keep []string
	for _, l := range strings.Split(dump, "\n") {
		if !strings.HasPrefix(l, `\restrict`) && !strings.HasPrefix(l, `\unrestrict`) {
			keep = append(keep, l)
		}
	}
	return strings.Join(keep, "\n")
}

func TestAttack32Replication(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o777))
	t.Run("refused", func(t *testing.T) {
		g := startGate(t, gateConfig{})
		out, err := g.client(t, "pg_basebackup", "", "-D", filepath.Join(dir, "a"))
		require.Error(t, err)
		require.Contains(t, out, `the startup parameter "replication" is not allowed`)
		require.Contains(t, out, "replication: true")
	})
	t.Run("allowed", func(t *testing.T) {
		g := startGate(t, gateConfig{settings: Settings{Replication: true}})
		out, err := g.client(t, "pg_basebackup", "", "-D", filepath.Join(dir, "b"), "-X", "stream", "--checkpoint=fast", "--no-sync")
		require.NoError(t, err, out)
		require.FileExists(t, filepath.Join(dir, "b", "PG_VERSION"))
	})
}

func TestFunctionCallsWhereAllowed(t *testing.T) {
	g := startGate(t, gateConfig{settings: Settings{FunctionCall: true}})
	file := filepath.Join(t.TempDir(), "blob")
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("blob", 100000)), 0o600))
	out := g.psql(t, "\\lo_import "+file+"\n\\lo_export :LASTOID "+file+".back\n")
	require.Contains(t, out, "lo_export")
	back, err := os.ReadFile(file + ".back")
	require.NoError(t, err)
	require.Len(t, back, 400000)
}

func TestExtendedRefusals(t *testing.T) {
	secret := denying("secret")
	g := startGate(t, gateConfig{sql: shop, chain: []proxy.Interceptor{secret}})
	ctx := context.Background()
	c := g.connect(t, "sslmode=disable")
	refused := func(err error) {
		t.Helper()
		var pe *pgconn.PgError
		require.ErrorAs(t, err, &pe)
		require.Equal(t, "42501", pe.Code)
		require.Contains(t, pe.Message, "no-secret")
	}
	works := func() {
		t.Helper()
		var n int
		require.NoError(t, c.QueryRow(ctx, "SELECT count(*) FROM customers WHERE id < $1", 11).Scan(&n))
		require.Equal(t, 10, n)
	}
	_, err := c.Exec(ctx, "SELECT 'secret' WHERE 1 = $1", 1)
	refused(err)
	works()
	t.Run("in a transaction it aborts, as any error", func(t *testing.T) {
		tx, err := c.Begin(ctx)
		require.NoError(t, err)
		_, err = tx.Exec(ctx, "SELECT 'secret' WHERE 1 = $1", 1)
		refused(err)
		require.Equal(t, byte('E'), c.PgConn().TxStatus())
		_, err = tx.Exec(ctx, "SELECT 1")
		var pe *pgconn.PgError
		require.ErrorAs(t, err, &pe)
		require.Equal(t, "25P02", pe.Code)
		require.NoError(t, tx.Rollback(ctx))
		works()
	})
}

// Of a thousand statements before one Sync the 500th is refused: what came
// before is answered, the rest is skipped, and the session goes on.
func TestAttack27Pipeline(t *testing.T) {
	g := startGate(t, gateConfig{chain: []proxy.Interceptor{denying("secret")}})
	c := g.connect(t, "sslmode=disable")
	p := c.PgConn().StartPipeline(context.Background())
	for i := range 1000 {
		text := "SELECT $1::int"
		if i == 499 {
			text = "SELECT $1::int /* secret */"
		}
		p.SendQueryParams(text, [][]byte{[]byte(fmt.Sprint(i))}, nil, nil, nil)
	}
	require.NoError(t, p.Sync())
	delivered := 0
	var failed error
	for {
		res, err := p.GetResults()
		if err != nil {
			failed = err
			break
		}
		if res == nil {
			break
		}
		if rr, ok := res.(*pgconn.ResultReader); ok {
			r := rr.Read()
			if r.Err != nil {
				failed = r.Err
				break
			}
			require.Equal(t, fmt.Sprint(delivered), string(r.Rows[0][0]))
			delivered++
		}
		if _, ok := res.(*pgconn.PipelineSync); ok {
			break
		}
	}
	require.Equal(t, 499, delivered)
	var pe *pgconn.PgError
	require.ErrorAs(t, failed, &pe)
	require.Equal(t, "42501", pe.Code)
	require.NoError(t, p.Close())
	require.Equal(t, byte('I'), c.PgConn().TxStatus())
	var n int
	require.NoError(t, c.QueryRow(context.Background(), "SELECT $1::int", 7).Scan(&n))
	require.Equal(t, 7, n)
}
