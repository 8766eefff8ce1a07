package main

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

const pathSchema = `
CREATE SCHEMA a; CREATE SCHEMA b; CREATE SCHEMA shut;
CREATE TABLE a.x (v text); INSERT INTO a.x VALUES ('hidden');
CREATE TABLE b.x (v text); INSERT INTO b.x VALUES ('plain');
CREATE TABLE public.x (v text); INSERT INTO public.x VALUES ('public');
CREATE TABLE a.big (n int); INSERT INTO a.big SELECT generate_series(1, 5000); ANALYZE a.big;
CREATE TABLE b.big (n int); ANALYZE b.big;
CREATE FUNCTION a.does() RETURNS int LANGUAGE sql AS 'DELETE FROM a.x RETURNING 1';
CREATE FUNCTION b.does() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
SET check_function_bodies = off;
CREATE FUNCTION public.calls() RETURNS int STABLE LANGUAGE sql AS 'SELECT does()';
CREATE VIEW public.seen AS SELECT public.calls() AS n;`

// A search_path that a session sets is followed: names mean what they mean to the
// server, for masking, rules and estimates, and one that is taken back is gone.
func TestSearchPath(t *testing.T) {
	const (
		masked  = "********" // what is computed of a column with a rule, or of nobody knows what
		plain   = "PLAIN"
		public  = "PUBLIC"
		refused = "ERROR"
	)
	const upper = "SELECT upper(v) FROM x"
	o := openLabelled(t, "env: test", pathSchema, `  - {groups: [dev], resources: [shop], allow: [all]}
masking: [{columns: [a.x.v]}]
guardrails:
  - use: default
  - {name: small, deny: {more_rows_than: 4000, relations: ["*.big", "big"]}}
`)
	for _, c := range []struct {
		name   string
		script string
		want   string // in what the last statement says
	}{
		{"at login", upper, public},
		{"to a rule's table", "SET search_path = a;" + upper, masked},
		{"to another", "SET search_path = b, public;" + upper, plain},
		{"there and back", "SET search_path = b; SET search_path TO a;" + upper, masked},
		{"the first that has it", "SET search_path = shut, nowhere, b, a;" + upper, plain},
		{"of strings", "SET search_path TO 'b', 'a';" + upper, plain},
		{"one string", "SET search_path TO 'b, a'; SELECT upper(v) FROM public.x", public},
		{"of a role", `SET search_path TO "$user", b;` + upper, plain},
		{"the server's last", "SET search_path = b, pg_catalog;" + upper, plain},
		{"with words in upper case", "set SEARCH_PATH to B;" + upper, plain},
		{"that fails", "SET search_path = b; SET search_path = 1 + 1;" + upper, plain},
		{"in a transaction", "BEGIN; SET search_path = b; COMMIT;" + upper, plain},
		{"rolled back", "SET search_path = a; BEGIN; SET search_path = b; ROLLBACK;" + upper, masked},
		{"of a transaction", "SET search_path = a; BEGIN; SET LOCAL search_path = b; COMMIT;" + upper, masked},
		{"by a function", "SET search_path = b; SELECT set_config('search_path', 'a', false);" + upper, masked},
		{"by a function that does not run", "SET search_path = a; SELECT set_config('search_path', 'b', false) WHERE false;" + upper, masked},
		{"among others", `SET search_path = a; SET search_path = b\; SELECT 1/0;` + upper, masked},
		{"reset", "SET search_path = b; RESET search_path;" + upper, public},
		{"all reset", "SET search_path = b; RESET ALL;" + upper, public},
		{"discarded", "SET search_path = a; DISCARD ALL;" + upper, public},
		{"a temporary table", "SET search_path = b; CREATE TEMP TABLE x AS SELECT v FROM a.x;" + upper, masked},
		{"a temporary schema", "SET search_path = pg_temp, b;" + upper, masked},
		{"a function that reads", "SET search_path = b; SELECT does()", "1"},
		{"a function that deletes", "SET search_path = a; SELECT does()", refused},
		{"a text that is read by it", "SET search_path = b; SELECT public.calls()", "1"},
		{"a text that is read by it and deletes", "SET search_path = a; SELECT public.calls()", refused},
		{"a view of such a text", "SET search_path = b; SELECT n FROM public.seen", "1"},
		{"a view of such a text that deletes", "SET search_path = a; SELECT n FROM public.seen", refused},
		{"estimated", "SET search_path = b; SELECT * FROM big", ""},
		{"estimated too high", "SET search_path = b; SELECT * FROM big; SET search_path = a; SELECT * FROM big", refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			var args []string
			for s := range strings.SplitSeq(strings.ReplaceAll(c.script, `\;`, "\x00"), ";") {
				args = append(args, "-c", strings.ReplaceAll(s, "\x00", ";"))
			}
			last := len(args) - 2
			out := o.psql(t, "alice", append(append(args[:last:last], "-c", `\echo @@`), args[last:]...)...)
			_, out, _ = strings.Cut(out, "@@\n")
			require.Equal(t, c.want == refused, strings.Contains(out, refused), out)
			if c.want != refused {
				require.Equal(t, c.want, strings.TrimSpace(out))
			}
		})
	}
}

// Drivers set it by the extended protocol, in a batch of its own.
func TestSearchPathOfDrivers(t *testing.T) {
	o := openLabelled(t, "env: test", pathSchema, "masking: [{columns: [a.x.v]}]\n")
	c, err := pgx.Connect(t.Context(), o.conn("alice"))
	require.NoError(t, err)
	defer c.Close(context.Background())
	for _, step := range []struct{ set, want string }{
		{"SET search_path = b, public", "PLAIN"},
		{"SET search_path = a", "********"},
		{"SET search_path = b", "PLAIN"},
	} {
		_, err := c.Exec(t.Context(), step.set)
		require.NoError(t, err)
		var got string
		require.NoError(t, c.QueryRow(t.Context(), "SELECT upper(v) FROM x WHERE v <> $1", "").Scan(&got))
		require.Equal(t, step.want, got, step.set)
	}
	b := &pgx.Batch{}
	b.Queue("SET search_path = a")
	b.Queue("SELECT upper(v) FROM x")
	b.Queue("SET search_path = b")
	results := c.SendBatch(t.Context(), b)
	_, err = results.Exec()
	require.NoError(t, err)
	var got string
	require.NoError(t, results.QueryRow().Scan(&got))
	require.Equal(t, "********", got)
	require.NoError(t, results.Close())
	require.NoError(t, c.QueryRow(t.Context(), "SELECT upper(v) FROM x").Scan(&got))
	require.Equal(t, "PLAIN", got, "a batch is one transaction, which has ended well")
}

// What fails takes back what comes before it in its batch.
func TestSearchPathTakenBack(t *testing.T) {
	o := openLabelled(t, "env: test", pathSchema, "masking: [{columns: [a.x.v]}]\n")
	c, err := pgx.Connect(t.Context(), o.conn("alice"))
	require.NoError(t, err)
	defer c.Close(context.Background())
	_, err = c.Exec(t.Context(), "SET search_path = a")
	require.NoError(t, err)
	for _, behind := range []string{"SELEC 1", "DELETE FROM x", "SELECT 1 / 0"} {
		p := c.PgConn().StartPipeline(t.Context())
		p.SendQueryParams("SET search_path = b", nil, nil, nil, nil)
		p.SendQueryParams(behind, nil, nil, nil, nil)
		require.NoError(t, p.Sync())
		require.Error(t, p.Close(), behind)
		var got string
		require.NoError(t, c.QueryRow(t.Context(), "SELECT upper(v) FROM x").Scan(&got))
		require.Equal(t, "********", got, behind)
	}
}
