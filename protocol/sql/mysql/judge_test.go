package mysql

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
)

// bench is what every statement of the judge's finds.
const bench = `DROP DATABASE IF EXISTS j; DROP DATABASE IF EXISTS s; DROP DATABASE IF EXISTS db; CREATE DATABASE j; CREATE DATABASE s; CREATE DATABASE db; USE j;
CREATE TABLE t (a int PRIMARY KEY, b int, c int); INSERT INTO t VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3);
CREATE TABLE u (a int, b int); INSERT INTO u VALUES (1, 1), (2, 2);
CREATE TABLE v (a int); INSERT INTO v VALUES (1);
CREATE TABLE s.t (a int); CREATE TABLE s.u (a int); CREATE TABLE db.t (a int, ` + "`b``c`" + ` text);
CREATE SEQUENCE q; CREATE PROCEDURE p(x int) DELETE FROM t WHERE a = x;
CREATE FUNCTION mine(x int) RETURNS int MODIFIES SQL DATA RETURN x + (SELECT 0);
`

// state is everything that a statement could have changed.
const state = `SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('j', 's', 'db') ORDER BY 1, 2;
SELECT schema_name FROM information_schema.schemata ORDER BY 1; CHECKSUM TABLE j.t, j.u, j.v, s.t, s.u, db.t; SELECT user, host FROM mysql.user ORDER BY 1, 2;
SELECT routine_name FROM information_schema.routines WHERE routine_schema = 'j' ORDER BY 1; SELECT next_not_cached_value FROM j.q;
`

// A real server runs every statement of the corpus; its own counters and the
// checksums of its tables say what it did, and the analysis must have said so.
func TestJudge(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a server")
	}
	server := testserver.MariaDB(t)
	more := []string{
		"/*! DELETE FROM t */", "/*!50000DELETE*/ /*!50000FROM*/ t", "/*M!100100 DROP TABLE t */", "SELECT 1 /*!50701 + (SELECT count(*) FROM t) */", "/*!50701 DELETE FROM t */",
		"/*!999999 DELETE FROM t */ SELECT 1", "SELECT 1--1", "DELETE#x\nFROM -- y\nt", "DELETE/**/FROM/**/t", "SELECT 1 /*! ; DELETE FROM t */", "SELECT '\\'; DELETE FROM t; -- '",
		"SELECT \"\\\"; DELETE FROM t; -- \"", "SELECT 'a''; DELETE FROM t; --'", "SELECT mine(1)", "CALL p(1)", "SELECT nextval(q)", "SELECT NEXT VALUE FOR q", "ANALYZE DELETE FROM t",
		"BEGIN NOT ATOMIC DELETE FROM t; END", "SET STATEMENT max_statement_time=10 FOR DELETE FROM t", "INSERT INTO v VALUES (7) RETURNING a", "EXECUTE IMMEDIATE 'DELETE FROM t'",
		"EXPLAIN DELETE FROM t", "DO mine(1)", "SELECT 1 INTO OUTFILE '" + filepath.Join(server.Dir, "out") + "'", "WITH x AS (SELECT a FROM t) SELECT * FROM x",
		"DELETE FROM t WHERE a IN (SELECT a FROM u)", "UPDATE t, u SET t.b = 9, u.b = 9 WHERE t.a = u.a", "DELETE t, u FROM t JOIN u ON t.a = u.a", "REPLACE INTO t VALUES (1, 5, 5)",
		"INSERT INTO t VALUES (1, 7, 7) ON DUPLICATE KEY UPDATE b = 9", "CREATE TABLE w SELECT * FROM t", "CREATE OR REPLACE TABLE u (x int)", "ALTER TABLE t ADD d int", "SELECT `a` FROM `t` WHERE \"a\" = 'a'",
		"SELECT 0x41, x'41', b'1', 1e3, .5, 1.e2, _utf8'x', N'y', @x := 5, @@version", "SELECT t.a, t.1a FROM (SELECT 1 AS a, 2 AS 1a) t", "SELECT 1 AS 1x", "SELECT a FROM t WHERE a = 1 -- '\n OR 1",
	}
	texts := more
	for _, c := range corpus {
		switch {
		case strings.HasPrefix(c.text, "SET GLOBAL"), strings.HasPrefix(c.text, "KILL"), strings.HasPrefix(c.text, "INSTALL"), strings.Contains(c.text, "sleep"), strings.Contains(c.text, "Sleep"),
			strings.HasPrefix(c.text, "XA"), strings.HasPrefix(c.text, "DELIMITER"), c.text == "":
			continue
		}
		texts = append(texts, c.text)
	}
	ran, j := 0, &judge{MariaDBServer: server}
	for _, mode := range []string{"", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES"} {
		for _, text := range texts {
			if mode != "" && !strings.ContainsAny(text, "\"\\") {
				continue // it is read in one way
			}
			if j.run(t, mode, text) {
				ran++
			}
		}
	}
	t.Logf("%d statements ran", ran)
	require.Greater(t, ran, 90, "of which the server could say something")
}

// judge compares what a server does with what the analysis says.
type judge struct {
	*testserver.MariaDBServer
	before string // the state that the next statement finds; empty when it is to be made
}

// run runs one text and compares. It reports whether the server took it.
func (j *judge) run(t *testing.T, mode, text string) bool {
	t.Helper()
	if j.before == "" {
		out, err := j.Run("", bench+state)
		require.NoError(t, err, out)
		j.before = out
	}
	files := entries(t, j.Dir)
	const end, mark = "%%%%", "-- what is behind it --" // where the client ends a text, instead of at semicolons
	out, _ := j.Run("j", "SET SESSION sql_mode = '"+mode+"';\nFLUSH STATUS;\nDELIMITER "+end+"\n"+text+"\n"+end+"\nDELIMITER ;\nSELECT '"+mark+"';\n"+
		"SELECT CONCAT(variable_name, '=', variable_value) FROM information_schema.session_status WHERE variable_name IN ('HANDLER_WRITE', 'HANDLER_UPDATE', 'HANDLER_DELETE');\n"+
		"UNLOCK TABLES; SELECT '"+mark+"';\n"+state, "--comments", "--force")
	parts := strings.Split(out, mark)
	require.GreaterOrEqual(t, len(parts), 3, out)
	taken := !strings.Contains(parts[0], "ERROR")
	counters, after := parts[len(parts)-2], strings.TrimSpace(parts[len(parts)-1])
	before := j.before
	if before != after {
		j.before = ""
	}
	if !taken {
		return false // the server's own error: what it says is of no statement
	}
	r := proxy.Reading{Dialect: Dialect, Version: j.Version, MariaDB: true, BackslashLiterals: true}
	f := New(Config{}).Analyze(context.Background(), []byte(text), &r)
	blind := f.Effects.Has(proxy.EffectUnknown | proxy.EffectCall | proxy.EffectDo)
	says := func(e proxy.Effects, what string) {
		require.True(t, blind || f.Effects.Has(e), "%q (%s): the server %s, the analysis says %s\n%s", text, mode, what, f.Effects, out)
	}
	sequences := slices.ContainsFunc(f.Functions, func(fn proxy.Function) bool { return fn.Class == proxy.FunctionWrites })
	for counter, e := range map[string]proxy.Effects{
		"HANDLER_WRITE":  proxy.EffectInsert,
		"HANDLER_UPDATE": proxy.EffectUpdate | proxy.EffectInsert, // REPLACE may update in place; sequences do
		"HANDLER_DELETE": proxy.EffectDelete | proxy.EffectTruncate,
	} {
		n := 0
		if _, count, ok := strings.Cut(counters, counter+"="); ok {
			fmt.Sscanf(count, "%d", &n)
		}
		if n > 0 && !sequences && !f.Effects.Has(proxy.EffectsDDL|proxy.EffectGrant) { // what defines things writes tables of the server's own
			says(e, fmt.Sprintf("has %s=%d", counter, n))
		}
	}
	if before != after {
		says(proxy.EffectsWrite|proxy.EffectsDDL|proxy.EffectGrant, "has changed\n"+before+"\nto\n"+after)
	}
	if entries(t, j.Dir) != files {
		says(proxy.EffectOutside, "has written a file")
		require.NoError(t, os.Remove(filepath.Join(j.Dir, "out")))
	}
	return true
}

func entries(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
