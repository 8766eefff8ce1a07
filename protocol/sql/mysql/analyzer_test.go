package mysql

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

var maria = proxy.Reading{Dialect: Dialect, Version: 101106, MariaDB: true, BackslashLiterals: true}

var analyzer = New(Config{})

func analyze(text string) *proxy.Facts {
	return analyzer.Analyze(context.Background(), []byte(text), &maria)
}

// relations are shown as "name:effect,effect …".
func relations(f *proxy.Facts) string {
	var list []string
	for _, r := range f.Relations {
		name := r.Name
		if r.Schema != "" {
			name = r.Schema + "." + name
		}
		list = append(list, name+":"+r.Effects.String())
	}
	return strings.Join(list, " ")
}

// corpus are statements with what they do; the judge runs them.
var corpus = []struct{ text, effects, relations string }{
	{"SELECT * FROM t", "read", "t:read"},
	{"select a from DB.T where `b``c` = 'x'", "read", "db.t:read"},
	{"SELECT * FROM (SELECT * FROM u) x JOIN v USING (a)", "read", "u:read v:read"},
	{"SELECT (SELECT max(a) FROM u), exists(select 1 from v)", "read", "u:read v:read"},
	{"SELECT a FROM t UNION ALL SELECT b FROM u ORDER BY (SELECT 1 FROM v)", "read", "t:read u:read v:read"},
	{"WITH x AS (SELECT * FROM t) SELECT * FROM x", "read", "t:read"},
	{"WITH t AS (SELECT * FROM t) SELECT * FROM t", "read", "t:read"},
	{"WITH RECURSIVE x AS (SELECT 1 AS n UNION SELECT n + 1 FROM x) SELECT * FROM x", "read", ""},
	{"TABLE t", "read", "t:read"},
	{"VALUES ROW(1)", "read", ""},
	{"SELECT * FROM t FOR UPDATE", "read,lock", "t:read"},
	{"SELECT * FROM t LOCK IN SHARE MODE", "read,lock", "t:read"},
	{"SELECT a INTO @x FROM t LIMIT 1", "read", "t:read"},
	{"SELECT * INTO OUTFILE '/tmp/x' FROM t", "read,copy-program,outside", "t:read"},
	{"SELECT a FROM t INTO DUMPFILE '/tmp/x'", "read,copy-program,outside", "t:read"},
	{"INSERT INTO t VALUES (1)", "insert", "t:insert"},
	{"INSERT INTO t SET a = (SELECT 1 FROM u)", "read,insert", "t:insert u:read"},
	{"INSERT INTO t SELECT * FROM u", "read,insert", "t:insert u:read"},
	{"INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 2", "insert,update", "t:insert,update"},
	{"REPLACE INTO t VALUES (1)", "insert,delete", "t:insert,delete"},
	{"UPDATE t SET a = 1 WHERE b = 2", "update", "t:update"},
	{"UPDATE t JOIN u ON t.a = u.a SET t.b = 1 WHERE t.c = 1", "read,update", "t:read,update u:read,update"},
	{"UPDATE t SET a = (SELECT b FROM u) WHERE c = 1", "read,update", "t:update u:read"},
	{"DELETE FROM t WHERE a = 1", "delete", "t:delete"},
	{"DELETE x FROM t AS x JOIN u WHERE x.a = u.a", "read,delete", "t:read,delete u:read,delete"},
	{"DELETE FROM t USING t, u WHERE t.a = u.a", "read,delete", "t:read,delete u:read,delete"},
	{"DELETE FROM t WHERE a IN (SELECT a FROM u WHERE b = 1)", "read,delete", "t:delete u:read"},
	{"TRUNCATE t", "truncate", "t:truncate"},
	{"TRUNCATE TABLE s.t", "truncate", "s.t:truncate"},
	{"CREATE TABLE t (a int)", "create", "t:create"},
	{"CREATE TABLE t AS SELECT * FROM u", "read,insert,create", "t:insert,create u:read"},
	{"CREATE TEMPORARY TABLE t LIKE u", "read,create", "t:create u:read"},
	{"CREATE TABLE t (a int) ENGINE=InnoDB", "create", "t:create"},
	{"CREATE TABLE t (a int) ENGINE='FEDERATED' CONNECTION='mysql://x'", "create,outside", "t:create"},
	{"CREATE TABLE t (a int) DATA DIRECTORY='/tmp'", "create,outside", "t:create"},
	{"ALTER TABLE t ADD COLUMN b int", "alter", "t:alter"},
	{"ALTER TABLE t DROP COLUMN b", "alter,drop", "t:alter"},
	{"ALTER TABLE t ENGINE=CONNECT", "alter,outside", "t:alter"},
	{"RENAME TABLE t TO u", "alter", "t:alter u:alter"},
	{"DROP TABLE t, s.u", "drop", "t:drop s.u:drop"},
	{"DROP DATABASE s", "drop", ""},
	{"CREATE VIEW v AS SELECT * FROM t", "read,create", "v:create t:read"},
	{"CREATE INDEX i ON t (a)", "create", "t:create"},
	{"GRANT ALL ON *.* TO bob@'%'", "grant", ""},
	{"REVOKE SELECT ON t FROM bob", "grant", ""},
	{"CREATE USER bob IDENTIFIED BY 'x'", "create,grant", ""},
	{"SET PASSWORD FOR bob = 'x'", "alter,grant", ""},
	{"SET ROLE NONE", "role", ""},
	{"SET @a = 1", "set", ""},
	{"SET @a = (SELECT max(a) FROM t)", "read,set", "t:read"},
	{"SET sql_mode = 'ANSI_QUOTES'", "set", ""},
	{"SET GLOBAL max_connections = 1", "set,maintain", ""},
	{"SET NAMES utf8mb4", "set", ""},
	{"USE other", "set", ""},
	{"BEGIN", "transaction", ""},
	{"START TRANSACTION READ ONLY", "transaction", ""},
	{"COMMIT", "transaction", ""},
	{"SAVEPOINT a", "transaction", ""},
	{"XA START 'x'", "transaction", ""},
	{"LOCK TABLES t WRITE", "lock", "t:lock"},
	{"UNLOCK TABLES", "lock", ""},
	{"SHOW TABLES", "show", ""},
	{"SHOW CREATE TABLE t", "show", "t:show"},
	{"DESCRIBE t", "show", "t:show"},
	{"EXPLAIN DELETE FROM t WHERE a = 1", "show", "t:show"},
	{"EXPLAIN ANALYZE SELECT * FROM t", "read,show", "t:read"},
	{"KILL 5", "maintain", ""},
	{"FLUSH PRIVILEGES", "maintain", ""},
	{"ANALYZE TABLE t", "maintain", "t:maintain"},
	{"OPTIMIZE TABLE t", "maintain", "t:maintain"},
	{"INSTALL PLUGIN x SONAME 'x.so'", "outside,maintain", ""},
	{"CREATE FUNCTION f RETURNS STRING SONAME 'x.so'", "create,outside", ""},
	{"LOAD DATA INFILE '/etc/passwd' INTO TABLE t", "insert,copy-program,outside", "t:insert"},
	{"LOAD DATA LOCAL INFILE 'x' REPLACE INTO TABLE t", "insert,delete,copy-in", "t:insert"},
	{"CALL p(1)", "call", ""},
	{"DO sleep(5)", "read,outside", ""},
	{"HANDLER t OPEN", "read", "t:read"},
	{"HANDLER t READ FIRST", "read", "t:read"},
	{"SELECT load_file('/etc/passwd')", "read,outside", ""},
	{"SELECT Sleep(10)", "read,outside", ""},
	{"SELECT benchmark(1, md5('x'))", "read,outside", ""},
	{"SELECT get_lock('a', 1)", "read,lock", ""},
	{"SELECT mine(1), other.mine(2)", "read,call", ""},
	{"SELECT count(*), upper(a), now(), if(a, 1, 2) FROM t", "read", "t:read"},
	{"PREPARE p FROM 'DELETE FROM t'", "prepare,unknown", ""},
	{"EXECUTE p", "execute,unknown", ""},
	{"EXECUTE IMMEDIATE 'DELETE FROM t'", "unknown", ""},
	{"DEALLOCATE PREPARE p", "prepare", ""},
	{"SELECT 1; DELETE FROM t", "read,delete", "t:delete"},
	{"nonsense", "unknown", ""},
	{"DELIMITER //", "unknown", ""},
	{"", "", ""},
	{"/* nothing */ -- x", "", ""},
}

func TestEffects(t *testing.T) {
	for _, c := range corpus {
		t.Run(c.text, func(t *testing.T) {
			f := analyze(c.text)
			if strings.Contains(c.effects, "unknown") {
				require.True(t, f.Effects.Has(proxy.EffectUnknown), f.Effects.String())
				require.NotEmpty(t, f.Unknown)
				return
			}
			require.Equal(t, c.effects, f.Effects.String(), f.Unknown)
			require.Equal(t, c.relations, relations(f))
			require.Same(t, f, analyze(c.text), "it is remembered")
		})
	}
}

// How one can hide what a statement does.
func TestEvasions(t *testing.T) {
	for text, want := range map[string]proxy.Effects{
		"/*! DELETE FROM t */":                                 proxy.EffectDelete,
		"/*!50000DELETE*/ /*!50000FROM*/ t":                    proxy.EffectDelete,
		"/*M!100100 DROP TABLE t */":                           proxy.EffectDrop,
		"SELECT 1 /*! ; DROP TABLE t */":                       proxy.EffectDrop,
		"SELECT 1 /*! INTO OUTFILE '/tmp/x' */":                proxy.EffectCopyProgram,
		"SELECT /*!99999 1 */ 2; DROP TABLE t":                 proxy.EffectDrop,
		"DE/**/LETE FROM t":                                    proxy.EffectUnknown,
		"DELETE/**/FROM/**/t":                                  proxy.EffectDelete,
		"DELETE#x\nFROM -- y\nt":                               proxy.EffectDelete,
		"SELECT 1--1; DROP TABLE t":                            proxy.EffectDrop, // 1 - -1
		"SELECT '\\'; DROP TABLE t; -- '":                      proxy.EffectDrop, // without backslashes
		"SELECT \"\\\"; DROP TABLE t; -- \"":                   proxy.EffectDrop,
		"SELECT `a\"b`, \"`; DROP TABLE t; -- `\"":             proxy.EffectRead,
		"SELECT \"a`\" ; DELETE FROM t -- `":                   proxy.EffectDelete,
		"SELECT 'a''; DROP TABLE t; --'":                       proxy.EffectRead,
		"WITH x AS (SELECT 1) DELETE FROM t WHERE a = 1":       proxy.EffectDelete,
		"SELECT sleep (5)":                                     proxy.EffectOutside,
		"SELECT /*!sleep*/(5)":                                 proxy.EffectOutside,
		"SELECT `sleep`(5)":                                    proxy.EffectOutside | proxy.EffectCall | proxy.EffectUnknown,
		"select 1 from dual where 1 = load_file(0x2f657463)":   proxy.EffectOutside,
		"SELECT a FROM t PROCEDURE ANALYSE()":                  proxy.EffectRead | proxy.EffectUnknown,
		"BEGIN NOT ATOMIC DELETE FROM t; END":                  proxy.EffectUnknown | proxy.EffectDelete,
		"ANALYZE DELETE FROM t":                                proxy.EffectUnknown | proxy.EffectDelete,
		"ANALYZE FORMAT=JSON UPDATE t SET a = 1":               proxy.EffectUnknown | proxy.EffectUpdate,
		"INSERT INTO t VALUES (1) RETURNING (SELECT a FROM u)": proxy.EffectUnknown | proxy.EffectInsert,
		"SET STATEMENT max_statement_time=1 FOR DELETE FROM t": proxy.EffectUnknown | proxy.EffectDelete,
		"SELECT NEXT VALUE FOR s":                              proxy.EffectUnknown | proxy.EffectSequence,
		"SELECT nextval(s)":                                    proxy.EffectSequence,
	} {
		f := analyze(text)
		require.True(t, f.Effects.Has(want), "%s: %s %s", text, f.Effects, f.Unknown)
	}
	// What is not a statement at all in a comment that this server does not read.
	require.Equal(t, "read", analyze("SELECT 1 /*!50701 INTO OUTFILE '/tmp/x' */").Effects.String())
	newer := maria
	newer.MariaDB, newer.Version = false, 80036
	f := analyzer.Analyze(context.Background(), []byte("SELECT 1 /*!50701 INTO OUTFILE '/tmp/x' */"), &newer)
	require.True(t, f.Effects.Has(proxy.EffectCopyProgram), "MySQL reads it")
	f = analyzer.Analyze(context.Background(), []byte("SELECT 1 /*M! INTO OUTFILE '/tmp/x' */"), &newer)
	require.Equal(t, "read", f.Effects.String(), "and not MariaDB's")
	newer.Version = 0
	f = analyzer.Analyze(context.Background(), []byte("/*!80000 DELETE FROM t WHERE */ /*!80000 a = 1 */"), &newer)
	require.True(t, f.Effects.Has(proxy.EffectDelete), "of a server that is not known both count")
}

func TestWhere(t *testing.T) {
	for text, unfiltered := range map[string]bool{
		"DELETE FROM t": true, "DELETE FROM t WHERE 1": true, "DELETE FROM t WHERE 1 = 1": true, "DELETE FROM t WHERE a = a": true, "DELETE FROM t WHERE a <=> a": true,
		"DELETE FROM t WHERE a = 1 OR 1": true, "DELETE FROM t WHERE a = 1 || 1": true, "DELETE FROM t WHERE NOT 0": true, "DELETE FROM t LIMIT 5": true, "DELETE FROM t WHERE 'a' = \"a\"": true,
		"UPDATE t SET a = 1": true, "UPDATE t, u SET t.a = 1": true, "UPDATE t SET a = 1 WHERE true": true, "DELETE FROM t WHERE EXISTS (SELECT 1)": true,
		"DELETE FROM t WHERE a = 1": false, "DELETE FROM t WHERE a = 1 AND 1": false, "UPDATE t SET a = 1 WHERE b IN (1, 2)": false, "DELETE FROM t WHERE (a > 1 OR b < 2)": false,
		"DELETE FROM t WHERE a = 1 /* OR 1 */": false, "DELETE FROM t WHERE a = 1 /*! OR 1 */": true, "DELETE FROM t WHERE a LIKE 'x%'": false,
		"DELETE t FROM t JOIN u ON t.a = u.a WHERE u.b = 1": false, "DELETE FROM t WHERE a IN (SELECT a FROM u)": false,
	} {
		f := analyze(text)
		require.False(t, f.Effects.Has(proxy.EffectUnknown), "%s: %s", text, f.Unknown)
		require.Equal(t, unfiltered, f.Unfiltered.Has(proxy.EffectUpdate|proxy.EffectDelete), text)
	}
	for text, limited := range map[string]bool{"SELECT * FROM t": false, "SELECT * FROM t LIMIT 5": true, "SELECT 1 UNION SELECT 2 LIMIT 1": true, "(SELECT 1 LIMIT 1) UNION SELECT 2": false, "DELETE FROM t": true} {
		require.Equal(t, limited, analyze(text).Limited, text)
	}
}

func TestSettings(t *testing.T) {
	f := analyze("SET SESSION sql_mode = 'ANSI_QUOTES', @@autocommit = 0, @mine = 2")
	require.Equal(t, []proxy.Setting{{Name: "sql_mode", Value: "ANSI_QUOTES"}, {Name: "autocommit"}}, f.Settings)
	require.Equal(t, "NO_BACKSLASH_ESCAPES", analyze("SET sql_mode = 'NO_BACKSLASH_ESCAPES'").Settings[0].Value, "literals count")
	require.Equal(t, []proxy.Setting{{Name: "database", Value: "other"}}, analyze("USE other").Settings)
}

func TestLimits(t *testing.T) {
	for name, text := range map[string]string{
		"long": strings.Repeat(" ", 2<<20), "parentheses": "SELECT " + strings.Repeat("(", 100000) + "1" + strings.Repeat(")", 100000),
		"subqueries": strings.Repeat("SELECT * FROM (", 5000) + "t", "not": "SELECT " + strings.Repeat("NOT ", 150000) + "1", "minus": "SELECT " + strings.Repeat("- ", 150000) + "1",
		"case": "SELECT " + strings.Repeat("CASE WHEN ", 5000) + "1", "begin": strings.Repeat("BEGIN ", 150000), "explain": strings.Repeat("EXPLAIN ", 150000) + "SELECT 1",
		"words": strings.Repeat("a ", 300000), "NUL": "SELECT 1\x00", "encoding": "SELECT `\xff`", "quote": "SELECT 'a", "name": "SELECT `a", "comment": "SELECT 1 /* a", "executable": "SELECT 1 /*! + 1",
		"nested executable": "/*! /*! 1 */ */", "backslash": "SELECT \\x",
	} {
		f := analyze(text)
		require.True(t, f.Effects.Has(proxy.EffectUnknown), name)
		require.NotEmpty(t, f.Unknown, name)
	}
	// What is long and harmless is read without harm.
	for name, text := range map[string]string{
		"and": "SELECT 1 FROM t WHERE a = 1" + strings.Repeat(" AND a = 1", 20000), "union": "SELECT 1" + strings.Repeat(" UNION SELECT 1", 5000),
		"plus": "SELECT 1" + strings.Repeat("+1", 50000), "list": "SELECT 1 IN (1" + strings.Repeat(", 1", 90000) + ")", "joins": "SELECT 1 FROM t" + strings.Repeat(" JOIN t", 5000),
		"statements": strings.Repeat("SELECT 1;", 20000),
	} {
		require.True(t, analyze(text).Effects.Has(proxy.EffectRead|proxy.EffectUnknown), name)
	}
}

func FuzzAnalyze(f *testing.F) {
	for _, text := range []string{"SELECT \"a\\\"\" /*!50000 + 1 */ FROM `t`;", "WITH x AS (SELECT 1) DELETE FROM t USING t, u WHERE a = 1", "SET sql_mode = ''", "LOAD DATA LOCAL INFILE 'x' INTO TABLE t"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if f := analyze(text); f == nil || f.Effects.Has(proxy.EffectUnknown) != (f.Unknown != "") {
			t.Fatalf("%q: %+v", text, f)
		}
	})
}

func BenchmarkAnalyze(b *testing.B) {
	for name, text := range map[string]string{"hit": "SELECT balance FROM accounts WHERE id = 4711", "both ways": "SELECT balance FROM accounts WHERE name = \"bob\""} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				analyze(text)
			}
		})
	}
	b.Run("miss", func(b *testing.B) {
		n := &sql.MySQLText{}
		sql.NormaliseMySQL(n, []byte("SELECT balance FROM accounts WHERE id = 4711"), sql.MySQLReading{}, sql.Limits{}.WithDefaults())
		for b.Loop() {
			analyzer.parse(n, &looked{})
		}
	})
}

// Bytes that clients write into strings, and long ones, keep nothing else from being read.
func TestBytesInStrings(t *testing.T) {
	a := New(Config{})
	r := &proxy.Reading{Dialect: Dialect, BackslashLiterals: true, Certain: true, Version: 101106, MariaDB: true}
	for _, c := range []struct {
		text string
		want proxy.Effects
	}{
		{"INSERT INTO t VALUES (_binary'\xff\xfe\\'\xe4\xb8')", proxy.EffectInsert},
		{"INSERT INTO t VALUES ('" + strings.Repeat("x", 5<<20) + "', 'y')", proxy.EffectInsert},
		{"INSERT INTO t VALUES ('" + strings.Repeat("\\'", 5<<10) + "'); DELETE FROM u", proxy.EffectInsert | proxy.EffectDelete},
		{"INSERT INTO t VALUES ('" + strings.Repeat("\xff", 5<<20) + "'); DELETE FROM u", proxy.EffectInsert | proxy.EffectDelete},
		{"INSERT INTO t VALUES ('" + strings.Repeat("ä", 5<<10) + "'); DELETE FROM u", proxy.EffectInsert | proxy.EffectDelete},
		{"SELECT '\xe4'; DELETE FROM u", proxy.EffectRead | proxy.EffectDelete},
		{"SELECT a\xe4 FROM t", proxy.EffectUnknown},
		{"SELECT 1 /* \xe4 */", proxy.EffectUnknown},
		{"SELECT " + strings.Repeat("1 + ", 1<<19) + "1", proxy.EffectUnknown},
	} {
		f := a.Analyze(context.Background(), []byte(c.text), r)
		got := f.Effects
		if c.text[:8] == "SELECT '" {
			got |= proxy.EffectRead
		}
		require.Equal(t, c.want, got, "%.60q: %s", c.text, f.Unknown)
	}
}

// What a change returns counts with what it changes.
func TestReturning(t *testing.T) {
	for text, want := range map[string]proxy.Effects{
		"INSERT INTO t (a) VALUES (1) RETURNING a":                 proxy.EffectInsert | proxy.EffectRead,
		"DELETE FROM t WHERE a = 1 RETURNING a, load_file('/etc')": proxy.EffectDelete | proxy.EffectRead | proxy.EffectOutside,
		"REPLACE INTO t VALUES (1) RETURNING (SELECT f(1))":        proxy.EffectInsert | proxy.EffectDelete | proxy.EffectRead | proxy.EffectCall,
		"INSERT INTO t VALUES (1) RETURNING a FROM u":              proxy.EffectUnknown,
		"INSERT INTO t VALUES (1) RETURNING a WHERE 1":             proxy.EffectUnknown,
		"INSERT INTO t VALUES (1) RETURNING a INTO OUTFILE '/x'":   proxy.EffectUnknown,
		"UPDATE t SET a = 1 RETURNING a":                           proxy.EffectUnknown,
		"INSERT INTO t VALUES (1) RETURNING a; DROP TABLE t":       proxy.EffectUnknown,
	} {
		require.Equal(t, want, analyze(text).Effects, text)
	}
	require.True(t, analyze("DELETE FROM t RETURNING a").Unfiltered.Has(proxy.EffectDelete))
}
