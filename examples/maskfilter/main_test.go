package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/examples/internal/exampletest"
	"github.com/sallyport/sallyport/gateway"
)

const secret = "078-05-1120"

// A real server, its catalog and a real client: the value does not come out.
func TestMaskFilter(t *testing.T) {
	t.Setenv("DB_PASSWORD", exampletest.Upstream)
	address := exampletest.Shop(t, `
		CREATE TABLE people (id int PRIMARY KEY, team text, ssn text UNIQUE);
		INSERT INTO people VALUES (1, 'blue', '`+secret+`');
		CREATE VIEW contacts AS SELECT id, upper(ssn) AS contact FROM people;
		CREATE FUNCTION first() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT ssn FROM people LIMIT 1); END';
		ANALYZE people`)
	file := exampletest.Config(t, address, "env:DB_PASSWORD")
	// The file's own masking is off: what hides here is the example.
	exampletest.Append(t, file, "masking: [{use: \"off\"}]\nguardrails: [{use: \"off\"}]\n")
	f, err := newFilter("public.people.ssn")
	require.NoError(t, err)
	g, _ := exampletest.Serve(t, file, gateway.Defaults(), options(f))
	psql := func(statements ...string) string {
		return exampletest.Psql(t, g.Addr("postgres", "").String(), "secret", "user=alice+shop sslmode=require", statements...)
	}
	for _, c := range []struct{ name, statement, want string }{
		{"the column", "SELECT id, team, ssn FROM people", "1|blue|"},
		{"an alias", "SELECT ssn AS x, team AS ssn FROM people", "|blue"},
		{"a subquery", "SELECT team, x FROM (SELECT team, ssn AS x FROM people) p", "blue|"},
		{"a union", "SELECT 'a' AS x UNION ALL SELECT ssn FROM people", ""},
		{"a view", "SELECT id, contact FROM contacts", "1|"},
		{"row_to_json", "SELECT team, row_to_json(p) FROM people p", "blue|"},
		{"the whole row", "SELECT team, p FROM people p", "blue|"},
		{"part of it", "SELECT left(ssn, 6) AS team FROM people", ""},
		{"an aggregate", "SELECT count(*), max(ssn) FROM people", "1|"},
		{"RETURNING", "UPDATE people SET team = 'blue' WHERE id = 1 RETURNING team, ssn AS x", "blue|\nUPDATE 1"},
		{"COPY", "COPY people TO STDOUT", "1\tblue\t\\N"},
		{"COPY of columns", "COPY people (ssn, id) TO STDOUT (FORMAT csv)", ",1"},
		{"COPY of a query", "COPY (SELECT ssn AS x, team FROM people) TO STDOUT", "\\N\tblue"},
		{"a function", "SELECT first()", "ERROR:  it is not known which columns this uses (rule hide)"},
		{"a condition", "SELECT id FROM people WHERE ssn LIKE '0%'", "ERROR:  column ssn is hidden and may not be used in a condition"},
		{"a copy of the table", "CREATE TABLE copies AS SELECT ssn AS x FROM people", "ERROR:  hidden columns may not be copied to copies"},
		{"an error", "SELECT ssn::int FROM people", "ERROR:  the text is not shown, because it may hold values of hidden columns"},
		{"a duplicate", "INSERT INTO people VALUES (2, 'red', concat('078-0', '5-1120'))", "ERROR:  the text is not shown"},
		{"statistics", "SELECT histogram_bounds FROM pg_stats LIMIT 3", ""},
		{"another table", "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = 'public'", "public"},
		{"a constant", "SELECT 'blue'", "blue"},
		{"a setting", "SHOW server_encoding", "UTF8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := psql(c.statement)
			require.NotContains(t, out, "078-05")
			if strings.HasPrefix(c.want, "ERROR") {
				require.Contains(t, out, c.want)
			} else {
				require.Equal(t, strings.TrimSpace(c.want), out)
			}
		})
	}
	rows := filepath.Join(t.TempDir(), "rows")
	require.NoError(t, os.WriteFile(rows, []byte("3\tred\t219-09-9999\n"), 0o600))
	require.Equal(t, "COPY 1", psql(`\copy people FROM '`+rows+`'`))
	require.Equal(
		t, "219-09-9999", exampletest.Psql(t, address, exampletest.Upstream, "user=app", "SELECT ssn FROM people WHERE id = 3"),
		"what clients send reaches the database as it is",
	)

	// What was hidden is on record.
	masked := uint64(0)
	log, err := audit.OpenArchive(filepath.Join(filepath.Dir(file), "data", "audit"))
	require.NoError(t, err)
	sessions, err := log.Sessions()
	require.NoError(t, err)
	for _, id := range sessions {
		for e, err := range log.Events(id) {
			require.NoError(t, err)
			masked += e.Masked["hidden"]
		}
	}
	require.Greater(t, masked, uint64(10))
}
