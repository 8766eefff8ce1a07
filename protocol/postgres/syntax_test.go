package postgres

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
)

// older is an analyzer whose grammar does not read a word that the server's does.
type older struct{ proxy.Analyzer }

func (o older) Analyze(ctx context.Context, text []byte, r *proxy.Reading) *proxy.Facts {
	if containsFold(text, []byte("localtimestamp")) {
		f := proxy.UnknownFacts("it does not parse")
		f.Unread = true
		return f
	}
	return o.Analyzer.Analyze(ctx, text, r)
}

// understood refuses what is not understood.
func understood() *hooks {
	return &hooks{Hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if st, ok := op.(*proxy.Statement); ok && st.Facts.Effects.Has(proxy.EffectUnknown) {
			return proxy.Deny(proxy.CauseGuardrail, "blind", "it is not understood", "Write it otherwise.")
		}
		return proxy.Pass()
	}}}
}

// A text that is refused because it cannot be read, and that the server does not read
// either, ends with the server's own error: its code, words and position, and what it
// does to a transaction, a batch and prepared statements. What the server reads is
// refused, and does not run.
func TestSyntaxErrorsAreTheServers(t *testing.T) {
	g := startGate(t, gateConfig{sql: "CREATE TABLE t(a int)", chain: []proxy.Interceptor{understood()}, handler: func(h *Handler) {
		h.Analyzer = older{sqlpostgres.New(sqlpostgres.Config{})}
	}})
	through := g.connect(t, "sslmode=disable")
	direct, err := pgx.Connect(t.Context(), testserver.URL(pgembed.User, g.pg.Password, g.pg.Address(), g.db, "sslmode=disable"))
	require.NoError(t, err)
	defer direct.Close(context.Background())
	failure := func(err error) *pgconn.PgError {
		t.Helper()
		var failed *pgconn.PgError
		require.True(t, errors.As(err, &failed), "%v", err)
		return failed
	}
	ways := map[string]func(c *pgx.Conn, text string) error{
		"simple": func(c *pgx.Conn, text string) error {
			_, err := c.PgConn().Exec(t.Context(), text).ReadAll()
			return err
		},
		"unnamed": func(c *pgx.Conn, text string) error {
			return c.PgConn().ExecParams(t.Context(), text, nil, nil, nil, nil).Read().Err
		},
		"named": func(c *pgx.Conn, text string) error {
			_, err := c.PgConn().Prepare(t.Context(), "mine", text, nil)
			return err
		},
	}
	for _, text := range []string{
		"SELECT 1 1", "SELECT a FROM t t t", "SELECT a b c FROM t", "INSERT INTO t VALUE (1)", "UPDATE t a = 1", "SELECT * FORM t", "SELECT a FROM t WHERE a = 1 2",
		"CREATE TABLE u (a int b text)", "SELECT 1 UNION ALL", "SELECT 'ä', 1 1", "SELECT 'x' '\\' y", "SELECT CASE WHEN a THEN 1", "DELETE t WHERE a = 1", "GRANT SELECT t TO x",
		"SELECT 1; SELECT 2 2", `SELECT 'it\'s'`, "SELECT $", `SELECT 'a\' 1 1`, "CREATE FUNCTION f() RETURNS int AS $$SELECT 1$$ LANGUAGE", "SELECT $1 $2",
		"selec 1", "SELECT (1", "SELECT 1)", "SELECT 'a", "select a from where a = 1", "SELECT 1; selec 2", "x", "/* a */ selec 'ä'",
	} {
		for name, run := range ways {
			want, got := failure(run(direct, text)), failure(run(through, text))
			require.Equal(t, "42601", want.Code, text)
			want.File, want.Line, want.Routine = "", 0, ""
			got.File, got.Line, got.Routine = "", 0, ""
			require.Equal(t, want, got, "%s: %s", name, text)
			require.Equal(t, direct.PgConn().TxStatus(), through.PgConn().TxStatus(), text)
		}
	}
	for _, text := range []string{"SELECT localtimestamp", "DELETE FROM t WHERE localtimestamp > now()", "DELETE FROM t; SELECT localtimestamp", "SELECT localtimestamp FROM missing"} {
		for name, run := range ways {
			got := failure(run(through, text))
			require.Equal(t, []string{"42501", "it is not understood (rule blind)"}, []string{got.Code, got.Message}, "%s: %s", name, text)
		}
	}

	// Nothing that was refused is left under a name.
	for _, name := range []string{"mine", "refused", ""} {
		got := failure(through.PgConn().ExecPrepared(t.Context(), name, nil, nil, nil).Read().Err)
		require.Equal(t, "26000", got.Code, "%q: %s", name, got.Message)
	}

	// In a transaction, and in a batch, as the server has it.
	for _, c := range []*pgx.Conn{direct, through} {
		_, err := c.PgConn().Exec(t.Context(), "BEGIN; INSERT INTO t VALUES (1)").ReadAll()
		require.NoError(t, err)
		require.Error(t, ways["simple"](c, "SELECT 1 1"))
		require.Equal(t, byte('E'), c.PgConn().TxStatus())
		require.Equal(t, "42601", failure(ways["simple"](c, "SELECT 1 1")).Code)
		require.Equal(t, "25P02", failure(ways["simple"](c, "SELECT 1")).Code)
		_, err = c.PgConn().Exec(t.Context(), "ROLLBACK").ReadAll()
		require.NoError(t, err)
		batch := &pgconn.Batch{}
		batch.ExecParams("INSERT INTO t VALUES (2)", nil, nil, nil, nil)
		batch.ExecParams("SELECT 1 1", nil, nil, nil, nil)
		batch.ExecParams("INSERT INTO t VALUES (3)", nil, nil, nil, nil)
		_, err = c.PgConn().ExecBatch(t.Context(), batch).ReadAll()
		require.Equal(t, "42601", failure(err).Code)
		var n int
		require.NoError(t, c.QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n))
		require.Zero(t, n)
	}
}

// A text that the server cannot read changes nothing of what names mean to the session.
// One that the server has read may have, whatever its error says.
func TestUnreadTextsChangeNothing(t *testing.T) {
	var unsure []bool
	var unread []bool
	h := &hooks{Hooks: proxy.Hooks{
		Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
			if st, ok := op.(*proxy.Statement); ok && string(st.Text) == "SELECT b.a FROM b" {
				unsure = append(unsure, st.Facts.Unsure)
			}
			return proxy.Pass()
		},
		Done: func(_ context.Context, op proxy.Op, out *proxy.Outcome) {
			if st, ok := op.(*proxy.Statement); ok && string(st.Text) != "SELECT b.a FROM b" {
				unread = append(unread, out.Unread)
			}
		},
	}}
	g := startGate(t, gateConfig{
		sql: `CREATE TABLE b(a int);
CREATE FUNCTION claims() RETURNS void LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'syntax error at or near "x"' USING ERRCODE = '42601', HINT = 'scanner_yyerror', COLUMN = 'scanner_yyerror'; END$$;
CREATE FUNCTION reads(t text) RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE t; END$$;
CREATE PROCEDURE moves() LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('search_path', 'elsewhere', false); COMMIT; EXECUTE 'SELECT 1 1'; END$$`,
		chain: []proxy.Interceptor{h},
	})
	g.handler.Catalog = g.catalog(t)
	g.handler.Analyzer = older{sqlpostgres.New(sqlpostgres.Config{Catalog: g.handler.Catalog})}
	for _, c := range []struct {
		text   string
		unread bool
		unsure bool
	}{
		{"SELECT 1 1", true, false},
		{"SELECT a FROM b; SELECT 1 1", true, false},
		{"COMMIT; SELECT 1 1", true, false},
		{"INSERT INTO b VALUE (1)", true, false},
		{"PREPARE x AS SELECT 1 1", true, false},
		{"selec 1", true, false},
		{"SELECT 'a", true, false},
		{"DO 'BEGIN x y z; END'", true, false},
		{"SELECT localtimestamp; SELECT localtimestamp + localtimestamp", false, true},
		{"SELECT localtimestamp, claims()", false, true},
		{"SELECT localtimestamp, reads('SELECT 1 1')", false, true},
		{"SELECT localtimestamp, reads('SELECT set_config(''search_path'', ''elsewhere'', false); SELECT 1 1')", false, true},
		{"SELECT set_config('search_path', 'elsewhere', false); COMMIT; SELECT localtimestamp, reads('SELECT 1 1')", false, true},
		{"SELECT set_config('search_path', 'elsewhere', false); COMMIT; CREATE FUNCTION f(t timestamp DEFAULT localtimestamp) RETURNS int LANGUAGE sql AS 'SELECT 1 1'", false, true},
		{"CALL moves()", false, true},
	} {
		conn := g.connect(t, "sslmode=disable")
		unread, unsure = nil, nil
		_, err := conn.PgConn().Exec(t.Context(), c.text).ReadAll()
		require.Error(t, err, c.text)
		_, err = conn.PgConn().Exec(t.Context(), "SELECT b.a FROM b").ReadAll()
		if !c.unsure {
			require.NoError(t, err, c.text)
		}
		require.Equal(t, []bool{c.unread}, unread, c.text)
		require.Equal(t, []bool{c.unsure}, unsure, c.text)
	}
	// Several times, and in a transaction.
	conn := g.connect(t, "sslmode=disable")
	for _, text := range []string{"SELECT 1 1", "BEGIN", "SELECT 1 1", "ROLLBACK", "SELECT 1 1; SELECT 2", "SELECT b.a FROM b"} {
		unread, unsure = nil, nil
		_, _ = conn.PgConn().Exec(t.Context(), text).ReadAll()
	}
	require.Equal(t, []bool{false}, unsure)
}
