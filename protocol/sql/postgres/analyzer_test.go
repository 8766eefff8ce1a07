package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

func analyze(t testing.TB, text string) *proxy.Facts {
	t.Helper()
	f := New(Config{}).Analyze(context.Background(), []byte(text), &proxy.Reading{Dialect: Dialect})
	require.NotNil(t, f)
	require.Equal(t, f.Unknown != "", f.Effects.Has(proxy.EffectUnknown), "%q: unknown and why go together", text)
	return f
}

// relations prints relations as schema.name:effects.
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

func TestEffects(t *testing.T) {
	for _, c := range []struct{ text, effects, relations string }{
		{"", "", ""},
		{" ; -- nothing\n ;", "", ""},
		{"SELECT 1", "read", ""},
		{"select a, b from public.t where id = $1", "read", "public.t:read"},
		{"TABLE t", "read", "t:read"},
		{"VALUES (1), (2)", "read", ""},
		{"SELECT * FROM a JOIN b ON a.id = b.id, LATERAL (SELECT * FROM c) x", "read", "a:read b:read c:read"},
		{"SELECT (SELECT max(x) FROM hidden) FROM t", "read", "hidden:read t:read"},
		{"SELECT 1 ORDER BY (SELECT 1 FROM hidden)", "read", "hidden:read"},
		{"SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM hidden)) FROM t", "read", "hidden:read t:read"},
		{"SELECT 1 LIMIT (SELECT count(*) FROM hidden)", "read", "hidden:read"},
		{"SELECT sum(x) OVER (PARTITION BY (SELECT 1 FROM hidden)) FROM t", "read", "hidden:read t:read"},
		{"SELECT CASE WHEN EXISTS (TABLE hidden) THEN 1 END", "read", "hidden:read"},
		{"SELECT ARRAY(SELECT x FROM hidden)", "read", "hidden:read"},
		{"SELECT * FROM unnest(ARRAY(SELECT x FROM hidden)) u", "read", "hidden:read"},
		{"SELECT * FROM ROWS FROM (generate_series(1, (SELECT 3 FROM hidden))) u", "read", "hidden:read"},
		{"SELECT * FROM t TABLESAMPLE system (10)", "read", "t:read"},
		{"SELECT a FROM t UNION SELECT b FROM u", "read", "t:read u:read"},
		{"SELECT a FROM t GROUP BY GROUPING SETS ((a), ((SELECT 1 FROM hidden)))", "read", "t:read hidden:read"},
		{"SELECT * FROM t FOR UPDATE", "read,lock", "t:read"},
		{"SELECT * INTO n FROM t", "read,insert,create", "n:insert,create t:read"},
		{"CREATE TABLE n AS SELECT * FROM t", "read,insert,create", "n:insert,create t:read"},
		{"INSERT INTO t VALUES (1)", "insert", "t:insert"},
		{"INSERT INTO t VALUES ((SELECT x FROM hidden))", "read,insert", "t:insert hidden:read"},
		{"INSERT INTO t SELECT * FROM u", "read,insert", "t:insert u:read"},
		{"INSERT INTO t DEFAULT VALUES RETURNING *", "read,insert", "t:read,insert"},
		{"INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", "insert", "t:insert"},
		{"INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET x = (SELECT 1 FROM hidden)", "read,insert,update", "t:insert,update hidden:read"},
		{"UPDATE t SET x = 1 WHERE id = 2", "update", "t:update"},
		{"UPDATE t SET (a, b) = (SELECT 1, 2 FROM hidden) WHERE id = 2", "read,update", "t:update hidden:read"},
		{"UPDATE t SET x = u.x FROM u WHERE t.id = u.id", "read,update", "t:update u:read"},
		{"DELETE FROM t USING u WHERE t.id = u.id", "read,delete", "t:delete u:read"},
		{"DELETE FROM ONLY s.t WHERE id = 1", "delete", "s.t:delete"},
		{"WITH d AS (DELETE FROM t RETURNING *) SELECT count(*) FROM d", "read,delete", "t:read,delete"},
		{"WITH a AS (WITH b AS (UPDATE t SET x = 1 RETURNING x) SELECT * FROM b) SELECT 1", "read,update", "t:read,update"},
		{"/* SELECT */ DeLeTe/**/FROM\"t\"WHERE id=1", "delete", "t:delete"},
		{"DELETE FROM U&\"\\0074\" WHERE id = 1", "delete", "t:delete"},
		{"SELECT 1; DROP TABLE t", "read,drop", "t:drop"},
		{"SELECT 1;;DELETE FROM t WHERE id = 1;", "read,delete", "t:delete"},
		{"MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)", "read,insert,delete", "t:insert,delete u:read"},
		{"MERGE INTO t USING (SELECT * FROM u) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET x = 1", "read,update", "t:update u:read"},
		{"EXPLAIN DELETE FROM t", "show", "t:show"},
		{"EXPLAIN ANALYZE DELETE FROM t", "delete,show", "t:delete"},
		{"EXPLAIN (COSTS off, ANALYZE) DELETE FROM t", "delete,show", "t:delete"},
		{"EXPLAIN (ANALYZE 0) DELETE FROM t", "delete,show", "t:delete"},
		{"EXPLAIN (\"analyze\" true) DELETE FROM t", "delete,show", "t:delete"},
		{"PREPARE p AS DELETE FROM t", "delete,prepare", "t:delete"},
		{"EXECUTE p", "execute,unknown", ""},
		{"CREATE TABLE n AS EXECUTE p", "insert,create,execute,unknown", "n:insert,create"},
		{"DEALLOCATE ALL", "prepare", ""},
		{"DO $$BEGIN DELETE FROM t; END$$", "do,unknown", ""},
		{"CALL p(1)", "call", ""},
		{"DECLARE c CURSOR FOR SELECT * FROM t", "read", "t:read"},
		{"FETCH ALL FROM c", "read", ""},
		{"COPY t FROM STDIN", "insert,copy-in", "t:insert"},
		{"COPY t TO STDOUT", "read,copy-out", "t:read"},
		{"COPY (DELETE FROM t RETURNING *) TO STDOUT", "read,delete,copy-out", "t:read,delete"},
		{"COPY t TO PROGRAM 'sh'", "read,copy-program", "t:read"},
		{"COPY t FROM '/etc/passwd'", "insert,copy-program", "t:insert"},
		{"TRUNCATE a, b CASCADE", "truncate", "a:truncate b:truncate"},
		{"DROP TABLE IF EXISTS s.a, b", "drop", "s.a:drop b:drop"},
		{"ALTER TABLE t DROP COLUMN x", "alter,drop", "t:alter,drop"},
		{"ALTER TABLE t OWNER TO bob", "alter,grant", "t:alter,grant"},
		{"ALTER TABLE t DISABLE ROW LEVEL SECURITY", "alter,grant", "t:alter,grant"},
		{"ALTER TABLE t NO FORCE ROW LEVEL SECURITY", "alter,grant", "t:alter,grant"},
		{"ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", "alter", "t:alter"},
		{"ALTER TABLE t ENABLE ROW LEVEL SECURITY, OWNER TO bob", "alter,grant", "t:alter,grant"},
		{"CREATE VIEW v AS SELECT * FROM t", "read,create", "v:create t:read"},
		{"CREATE INDEX ON t (x)", "create", "t:create"},
		{"CREATE EXTENSION dblink", "create,outside", ""},
		{"CREATE EXTENSION IF NOT EXISTS plperl", "create,outside", ""},
		{"CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\" WITH SCHEMA public CASCADE", "create", ""},
		{"CREATE EXTENSION \"UUID-OSSP\"", "create,outside", ""},
		{"ALTER EXTENSION pgcrypto UPDATE", "alter,outside", ""},
		{"CREATE SCHEMA s CREATE TABLE a (x int) CREATE VIEW v AS TABLE hidden", "read,create", "a:create v:create hidden:read"},
		{"CREATE RULE r AS ON INSERT TO t DO ALSO DELETE FROM u", "delete,create", "t:create u:delete"},
		{"GRANT SELECT ON t TO bob", "grant", "t:grant"},
		{"GRANT admin TO bob", "grant", ""},
		{"CREATE ROLE bob", "create,grant", ""},
		{"ALTER ROLE bob PASSWORD 'x'", "alter,grant", ""},
		{"REASSIGN OWNED BY a TO b", "alter,grant", ""},
		{"SET search_path = x", "set", ""},
		{"SET ROLE bob", "role", ""},
		{"SET SESSION AUTHORIZATION bob", "role", ""},
		{"RESET ROLE", "set", ""},
		{"SELECT set_config('search_path', 'x', false)", "read,set", ""},
		{"SELECT pg_catalog.set_config('ro' || 'le', 'x', false)", "read,set,role", ""},
		{"BEGIN", "transaction", ""},
		{"BEGIN READ WRITE", "set,transaction", ""},
		{"SAVEPOINT s", "transaction", ""},
		{"SHOW ALL", "show", ""},
		{"LOCK TABLE t IN ACCESS SHARE MODE", "read", "t:read"},
		{"LOCK TABLE t", "lock", "t:lock"},
		{"VACUUM t", "maintain", "t:maintain"},
		{"REFRESH MATERIALIZED VIEW m", "maintain", "m:maintain"},
		{"ALTER SYSTEM SET x = 1", "set,outside,maintain", ""},
		{"LISTEN c", "notify", ""},
		{"LOAD 'x.so'", "outside", ""},
		{"DISCARD ALL", "set,prepare", ""},
		{"SELECT lower('A'), now(), count(*) FROM t", "read", "t:read"},
		{"SELECT delete_all()", "read,call", ""},
		{"SELECT public.lower('A')", "read,call", ""},
		{"SELECT 1 OPERATOR(public.+) 2", "read,call", ""},
		{"SELECT pg_read_file('/etc/passwd')", "read,outside", ""},
		{"SELECT pg_catalog.pg_sleep(1)", "read,outside", ""},
		{"SELECT lo_export(1, 'x')", "read,outside", ""},
		{"SELECT * FROM dblink('', 'DROP TABLE t') AS x(a int)", "read,drop,outside", "t:drop"},
		{"SELECT nextval('s')", "read,sequence", ""},
		{"SELECT setval('s', (SELECT max(id) FROM t))", "read,sequence", "t:read"},
		{"SELECT currval('s'), lastval()", "read", ""},
		{"INSERT INTO t SELECT nextval('s') FROM u", "read,insert,sequence", "t:insert u:read"},
		{"INSERT INTO t DEFAULT VALUES", "insert", "t:insert"},
		{"ALTER TABLE t ALTER c SET DEFAULT nextval('s')", "alter", "t:alter"},
		{"CREATE TABLE t (c int DEFAULT nextval('s'), d serial, e int GENERATED ALWAYS AS IDENTITY)", "create", "t:create"},
		{"ALTER TABLE t ADD COLUMN c int NOT NULL DEFAULT nextval('s'::regclass)", "alter", "t:alter"},
		{"ALTER TABLE t ALTER c TYPE int USING nextval('s')", "alter,drop,sequence", "t:alter,drop"},
		{"CREATE TABLE t AS SELECT nextval('s')", "read,insert,create,sequence", "t:insert,create"},
		{"ALTER TABLE t ALTER c SET DEFAULT f()", "alter,call", "t:alter"},
		{"SELECT lo_put(1, 0, 'a')", "read,update", ""},
		{"SELECT query_to_xml('DELETE FROM t', true, true, '')", "read,delete,call", "t:delete"},
		{"SELECT table_to_xml('secret', true, true, '')", "read,call", "secret:read"},
		{"SELECT pg_terminate_backend(1)", "read,maintain", ""},
		{"SELECT pg_advisory_lock(1)", "read,lock", ""},
		{"nonsense", "unknown", ""},
		{"SELECT 'a\\' OR 'b'", "read", ""},
		{"SELECT 'a\\'; DELETE FROM t; --'", "read,delete", "t:delete"},
		{"SELECT 'a\\' || (SELECT max(x) FROM t) || '\\'", "read", "t:read"},
		{"SELECT 'a\\'$", "unknown", ""},
		{"SET \"search_path\" = 'a\\142'", "set", ""},
		{"SELECT set_config('r\\157le', 'x', false)", "read,set,role", ""},
		{"COPY t TO STDOUT (DELIMITER '\\t')", "read,copy-out,unknown", "t:read"},
		{"SELECT E'a\\' OR', 'b'", "read", ""},
	} {
		f := analyze(t, c.text)
		require.Equal(t, c.effects, f.Effects.String(), "%s: %s", c.text, f.Unknown)
		require.Equal(t, c.relations, relations(f), c.text)
	}
}

// A name in WITH hides a table only where it can be named.
func TestScope(t *testing.T) {
	for text, want := range map[string]string{
		"WITH a AS (SELECT 1) SELECT * FROM a":                                           "",
		"WITH a AS (SELECT 1) SELECT * FROM public.a":                                    "public.a:read",
		"WITH a AS (SELECT * FROM a) SELECT * FROM a":                                    "a:read",
		"WITH RECURSIVE a AS (SELECT 1 UNION ALL SELECT * FROM a) SELECT * FROM a":       "",
		"WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a":                   "b:read",
		"SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a) x, a":                      "a:read",
		"SELECT * FROM a WHERE EXISTS (WITH a AS (SELECT 1) SELECT * FROM a)":            "a:read",
		"WITH a AS (SELECT 1) SELECT (SELECT count(*) FROM a)":                           "",
		"WITH a AS (SELECT 1) DELETE FROM a":                                             "a:delete",
		"WITH a AS (SELECT 1) INSERT INTO a SELECT * FROM a":                             "a:insert",
		"(WITH a AS (SELECT 1) SELECT * FROM a) UNION SELECT * FROM a":                   "a:read",
		"WITH a AS (SELECT 1), b AS (WITH c AS (SELECT * FROM a) SELECT 1) TABLE c":      "c:read",
		"INSERT INTO t WITH a AS (SELECT 1) SELECT * FROM a":                             "t:insert",
		"CREATE VIEW v AS WITH a AS (SELECT 1) SELECT * FROM a, b":                       "v:create b:read",
		"WITH \"A\" AS (SELECT 1) SELECT * FROM a":                                       "a:read",
		"WITH a AS MATERIALIZED (SELECT * FROM h) SELECT * FROM a AS b JOIN c USING (x)": "h:read c:read",
	} {
		require.Equal(t, want, relations(analyze(t, text)), text)
	}
}

func TestUnfiltered(t *testing.T) {
	for text, want := range map[string]proxy.Effects{
		"DELETE FROM t":                                                  proxy.EffectDelete,
		"DELETE FROM t WHERE true":                                       proxy.EffectDelete,
		"DELETE FROM t WHERE 1 = 1":                                      proxy.EffectDelete,
		"DELETE FROM t WHERE ((2 > 1))":                                  proxy.EffectDelete,
		"DELETE FROM t WHERE id = id":                                    proxy.EffectDelete,
		"DELETE FROM t WHERE t.id = id":                                  proxy.EffectDelete,
		"DELETE FROM t WHERE id = 1 OR true":                             proxy.EffectDelete,
		"DELETE FROM t WHERE id = 1 OR 1 < (2)":                          proxy.EffectDelete,
		"DELETE FROM t WHERE NOT false":                                  proxy.EffectDelete,
		"DELETE FROM t WHERE EXISTS (SELECT 1)":                          proxy.EffectDelete,
		"DELETE FROM t USING u":                                          proxy.EffectDelete,
		"DELETE FROM t WHERE length('a') = 1":                            proxy.EffectDelete,
		"DELETE FROM t WHERE id = 1":                                     0,
		"DELETE FROM t WHERE true AND id = 1":                            0,
		"DELETE FROM t WHERE id = 1 OR id = 2":                           0,
		"DELETE FROM t WHERE id IN (1, 2)":                               0,
		"DELETE FROM t WHERE NOT done":                                   0,
		"DELETE FROM t WHERE x IS NULL":                                  0,
		"DELETE FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.id = t.id)": 0,
		"DELETE FROM t WHERE CURRENT OF c":                               0,
		"UPDATE t SET x = 1":                                             proxy.EffectUpdate,
		"UPDATE t SET x = 1 WHERE id = 1":                                0,
		"WITH d AS (DELETE FROM t) SELECT 1":                             proxy.EffectDelete,
		"SELECT * FROM t":                                                proxy.EffectRead,
		"SELECT * FROM t WHERE id = 1":                                   0,
		"SELECT 1; DELETE FROM t":                                        proxy.EffectDelete,
	} {
		require.Equal(t, want.String(), analyze(t, text).Unfiltered.String(), text)
	}
}

func TestLimited(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT * FROM t": false, "SELECT * FROM t LIMIT ALL": false, "SELECT * FROM t LIMIT NULL": false, "SELECT * FROM t LIMIT (NULL::int)": false,
		"SELECT * FROM t LIMIT 5": true, "SELECT * FROM t LIMIT $1": true, "SELECT * FROM t FETCH FIRST ROW ONLY": true, "BEGIN": true,
		"SELECT * FROM t LIMIT 5; SELECT * FROM u": false,
	} {
		require.Equal(t, want, analyze(t, text).Limited, text)
	}
}

func TestSettings(t *testing.T) {
	for text, want := range map[string]proxy.Setting{
		"SET default_transaction_read_only = off":  {Name: "default_transaction_read_only", Value: "off"},
		"SET LOCAL Transaction_Read_Only TO 'off'": {Name: "transaction_read_only", Value: "off", Local: true},
		"SET search_path = a, b":                   {Name: "search_path", Value: "a, b"},
		"RESET ALL":                                {Name: "all", Reset: true},
		"SELECT set_config('default_transaction_read_only', 'off', false)": {Name: "default_transaction_read_only", Value: "off"},
	} {
		f := analyze(t, text)
		require.Equal(t, []proxy.Setting{want}, f.Settings, text)
	}
	f := analyze(t, "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE")
	require.Len(t, f.Settings, 2)
	require.Equal(t, "transaction_read_only", f.Settings[1].Name)
	f = analyze(t, "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
	require.Equal(t, "default_transaction_read_only", f.Settings[0].Name)
}

func TestCopyOptions(t *testing.T) {
	f := analyze(t, "COPY t TO STDOUT (FORMAT csv, DELIMITER ';', NULL 'nil', HEADER, QUOTE '''')")
	require.Equal(t, &proxy.CopyFacts{Out: true, Format: "csv", Delimiter: ';', Null: "nil", NullSet: true, Quote: '\'', Header: true}, f.Copy)
	require.Equal(t, "csv", analyze(t, "COPY t FROM STDIN CSV").Copy.Format)
	const marked = `COPY t TO STDOUT (FORMAT csv, NULL '\N')`
	require.Equal(t, `\N`, analyze(t, marked).Copy.Null)
	escaped := New(Config{}).Analyze(context.Background(), []byte(marked), &proxy.Reading{BackslashLiterals: true})
	require.Equal(t, "N", escaped.Copy.Null)
	require.Equal(t, "binary", analyze(t, "COPY BINARY t TO STDOUT").Copy.Format)
	for text, want := range map[string]proxy.CopyFacts{
		"COPY (SELECT a FROM t WHERE id = 7) TO STDOUT":                                    {Out: true, Format: "text"},
		"COPY (SELECT a FROM t WHERE id > 7 AND b IN (1, 2) LIMIT 3) TO STDOUT CSV HEADER": {Out: true, Format: "csv", Header: true},
		"COPY (SELECT a FROM t JOIN u USING (a) WHERE f(a)) TO STDOUT (FORMAT binary)":     {Out: true, Format: "binary"},
	} {
		f := analyze(t, text)
		require.Empty(t, f.Unknown, text)
		require.Equal(t, &want, f.Copy, text)
	}
}

// Statements that differ in literals share an answer where literals have no say,
// and only there.
func TestCache(t *testing.T) {
	a := New(Config{})
	get := func(text string) *proxy.Facts {
		return a.Analyze(context.Background(), []byte(text), &proxy.Reading{})
	}
	require.Same(t, get("SELECT * FROM t WHERE id = 1 AND n = 'a'"), get("select *  from T\nwhere id=2 and n = $$b$$ -- x"))
	require.NotSame(t, get("SELECT * FROM t"), get("SELECT * FROM \"T\""))
	require.NotSame(t, get("SET x = 'a'"), get("SET x = 'b'"))
	require.Equal(t, "b", get("SET x = 'b'").Settings[0].Value)
	require.Same(t, get("SET x = 'a'"), get("SET x = 'a'"))
	require.NotSame(t, get("SELECT 1"), get("SELECT 1.5"))
	require.Equal(t, "select * from t where id = 0 and n = '?'", get("SELECT * FROM t WHERE id = 1 AND n = 'a'").Normalised)

	text := []byte("SELECT abalance FROM pgbench_accounts WHERE aid = 4711;")
	r := &proxy.Reading{Dialect: Dialect}
	a.Analyze(context.Background(), text, r)
	require.Zero(t, testing.AllocsPerRun(100, func() { a.Analyze(context.Background(), text, r) }))
}

// What the parser cannot read of a literal does not change what the statement
// does, whichever text came first; where literals have a say it is unknown.
func TestLiteralsThatDoNotParse(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT 'a' --\n'; DELETE FROM t; SELECT '":    "read",
		"SELECT U&'\\zzzz'":                            "read",
		"DELETE FROM t WHERE a = 'b' -- c\n'; SELECT'": "delete",
		"SET search_path = 'a' --\n', b'":              "unknown",
	} {
		f := analyze(t, text)
		require.Equal(t, want, f.Effects.String(), text)
	}
}

// Text that would exhaust a parser is answered in time, and is unknown.
func TestHostileText(t *testing.T) {
	a := New(Config{})
	for name, text := range map[string]string{
		"parentheses": "SELECT " + strings.Repeat("(", 400_000) + "1" + strings.Repeat(")", 400_000),
		"cases":       "SELECT " + strings.Repeat("CASE WHEN true THEN ", 40_000) + "1" + strings.Repeat(" END", 40_000),
		"nots":        "SELECT " + strings.Repeat("NOT ", 150_000) + "true",
		"minuses":     "SELECT " + strings.Repeat("- ", 150_000) + "1",
		"sums":        "SELECT 1" + strings.Repeat("+1", 90_000),
		"comments":    strings.Repeat("/*", 400_000),
		"too long":    strings.Repeat(" ", 2<<20),
		"semicolons":  strings.Repeat("SELECT 1;", 60_000) + "x",
		"unions":      "SELECT 1" + strings.Repeat(" UNION SELECT 1", 60_000),
		"quote":       "SELECT 'abc",
		"dollar":      "SELECT $a$ abc $b$",
		"not UTF-8":   "SELECT '\xff'",
		"latin":       "SELECT '\xbf' OR 1=1 --'",
	} {
		begun := time.Now()
		f := a.Analyze(context.Background(), []byte(text), &proxy.Reading{})
		require.True(t, f.Effects.Has(proxy.EffectUnknown), name)
		require.NotEmpty(t, f.Unknown, name)
		require.Less(t, time.Since(begun), 20*time.Second, name)
		t.Log(name, time.Since(begun).Round(time.Millisecond), f.Unknown)
	}
}

// A value that is cast by a type's name is not given to a function that may do anything.
func TestCastsByName(t *testing.T) {
	for _, text := range []string{
		"SELECT inet(text(x)) FROM t", "SELECT uuid('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')", "SELECT json('{}'), jsonb('{}'), tsvector('a b')", "SELECT regtype('int4'), regproc('now'), bytea('x')",
	} {
		f := analyze(t, text)
		require.Equal(t, "read", f.Effects.String(), text)
	}
	require.True(t, analyze(t, "SELECT money_laundering('x')").Effects.Has(proxy.EffectCall))
	require.True(t, analyze(t, "SELECT mine.uuid('x')").Effects.Has(proxy.EffectCall))
}

// Functions whose bodies are not in quotes are one statement each.
func TestBodiesWithoutQuotes(t *testing.T) {
	for text, want := range map[string]int{
		"CREATE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (1); END":                                                         1,
		"CREATE OR REPLACE FUNCTION f(x int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN x > 1 THEN CASE x WHEN 2 THEN 3 END END; SELECT 2; END": 1,
		"CREATE RULE r AS ON INSERT TO t DO INSTEAD (DELETE FROM u WHERE id = 1; INSERT INTO u VALUES (1);); SELECT 1":                         2,
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC; END; SELECT f(); CREATE FUNCTION g() RETURNS int RETURN 1":                 3,
	} {
		f := analyze(t, text)
		require.Empty(t, f.Unknown, text)
		require.Equal(t, want, f.Statements, text)
	}
	for _, text := range []string{
		"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 AS case; END; DELETE FROM t", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 AS end; SELECT 2; END",
		"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; DELETE FROM t", "SELECT (1; DELETE FROM t)", "SELECT (1; DELETE FROM t", "SELECT 1); DELETE FROM t; SELECT (1",
	} {
		require.True(t, analyze(t, text).Effects.Has(proxy.EffectUnknown), text)
	}
}

// A statement with long strings is understood, unless they have a say in it.
func TestLongStrings(t *testing.T) {
	long := strings.Repeat("a", 3<<20)
	for text, want := range map[string]string{
		"INSERT INTO t VALUES (1, '" + long + "')":                                 "insert",
		"INSERT INTO t VALUES (1, '\\x" + long + "'::bytea), (2, E'" + long + "')": "insert",
		"UPDATE t SET x = $$" + long + "$$ WHERE y = '" + long + "'":               "update",
		"DELETE FROM t WHERE x IN ('" + long + "', '" + long + "'); SELECT 1":      "read,delete",
		"SELECT '" + long + "' /* " + strings.Repeat("b", 1<<19) + " */":           "read",
	} {
		f := analyze(t, text)
		require.Empty(t, f.Unknown, text[:40])
		require.Equal(t, want, f.Effects.String(), text[:40])
	}
	for _, text := range []string{
		"DO $$BEGIN PERFORM 1; --" + long + "\nEND$$", "SET search_path = '" + long + "'", "SELECT query_to_xml('" + long + "', true, true, '')",
		"SELECT 1 /* " + long + " */", "SELECT \"" + long + "\"", "INSERT INTO t VALUES (" + strings.Repeat("1", 3<<20) + ")", "SELECT '" + strings.Repeat(long, 22) + "'",
		"INSERT INTO t VALUES ('" + long + "', " + long + long + ")",
	} {
		f := analyze(t, text)
		require.True(t, f.Effects.Has(proxy.EffectUnknown), text[:40])
	}
	require.Equal(t, proxy.EffectDelete, analyze(t, "DELETE FROM t; SELECT '"+long+"'").Unfiltered)
}

func TestManyStatements(t *testing.T) {
	f := analyze(t, "SELECT 1; UPDATE t SET x = 1; COMMIT")
	require.Equal(t, 3, f.Statements)
	require.Len(t, f.Parts, 3)
	require.Equal(t, "update", f.Parts[1].Effects.String())
	require.Equal(t, proxy.EffectUpdate, f.Unfiltered)
	require.True(t, f.Rows)
}

// smallSnapshot is a catalog of two tables and a view.
func smallSnapshot() *sql.Snapshot {
	columns := func() []sql.Column {
		return []sql.Column{{Attr: 1, Name: "id"}, {Attr: 2, Name: "x"}, {Attr: 3, Name: "n"}}
	}
	s := sql.NewSnapshot(sql.Contents{
		Path: []string{"pg_catalog", "public"},
		Relations: []*sql.Relation{
			{OID: 20000, Schema: "public", Name: "t", Kind: sql.RelationTable, Columns: columns()},
			{OID: 20001, Schema: "public", Name: "u", Kind: sql.RelationTable, Columns: columns()},
			{OID: 20002, Schema: "public", Name: "v", Kind: sql.RelationView, Columns: columns(), Definition: "SELECT t.id, u.x, upper(t.n) AS n FROM public.t, public.u"},
			{OID: 20003, Schema: "public", Name: "pgbench_accounts", Kind: sql.RelationTable, Columns: []sql.Column{{Attr: 1, Name: "aid"}, {Attr: 3, Name: "abalance"}}},
		},
		Functions: []*sql.Function{{OID: 20004, Schema: "public", Name: "f", Volatility: sql.Stable, Language: "sql", Body: "SELECT n FROM v"}},
	})
	Resolve(s)
	s.ID = 1
	return s
}

func FuzzAnalyze(f *testing.F) {
	for _, text := range []string{
		"SELECT 1", "WITH a AS (SELECT 1) DELETE FROM t WHERE x = 'a' RETURNING *", "SELECT E'a\\'b', U&\"x\", $a$b$a$ /* c */ -- d",
		"COPY t FROM STDIN (FORMAT csv, NULL 'x')", "SET x = 1; BEGIN READ ONLY", "SELECT 1e5, .5, b'1', x'f', 'a'\n'b'",
	} {
		f.Add(text)
	}
	for _, text := range []string{
		"SELECT * FROM t JOIN u USING (id), LATERAL (SELECT t.*, u.x) l", "WITH RECURSIVE a AS (SELECT x FROM v UNION SELECT (t).x FROM t, a) SELECT a, a.* FROM a",
		"INSERT INTO t SELECT * FROM u ON CONFLICT (id) DO UPDATE SET (x, n) = (SELECT 1, v.n FROM v) RETURNING *, old.x", "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET x = u.x",
		"SELECT f(x) OVER w, ARRAY(SELECT n FROM u), unnest(tags) FROM v WINDOW w AS (ORDER BY id) ORDER BY 2", "COPY v (x, n) TO STDOUT",
	} {
		f.Add(text)
	}
	a := New(Config{Catalog: &fixedCatalog{snapshot: smallSnapshot()}})
	f.Fuzz(func(t *testing.T, text string) {
		facts := a.Analyze(context.Background(), []byte(text), &proxy.Reading{})
		if facts.Unknown == "the parser failed" && New(Config{}).Analyze(context.Background(), []byte(text), &proxy.Reading{}).Unknown != facts.Unknown {
			t.Errorf("%q: the analysis panics", text)
		}
		if facts.Effects == 0 && facts.Statements > 0 {
			t.Errorf("%q: statements without an effect", text)
		}
		if (facts.Unknown != "") != facts.Effects.Has(proxy.EffectUnknown) {
			t.Errorf("%q: %q and %s", text, facts.Unknown, facts.Effects)
		}
	})
}

// With a catalog, a statement that was seen before still costs no memory, and its
// columns are known.
func TestCacheWithCatalog(t *testing.T) {
	cache := &sql.CatalogCache{Load: func(context.Context, sql.CatalogKey, *sql.Snapshot) (*sql.Snapshot, error) {
		return smallSnapshot(), nil
	}}
	defer cache.Close()
	a := New(Config{Catalog: cache})
	text, r := []byte("SELECT abalance FROM pgbench_accounts WHERE aid = 4711;"), &proxy.Reading{Dialect: Dialect, Resource: "r"}
	f := a.Analyze(context.Background(), text, r)
	require.Equal(t, "abalance=pgbench_accounts.abalance", columnsOf(f))
	require.Equal(t, "public.pgbench_accounts:read", relations(f))
	require.Same(t, f, a.Analyze(context.Background(), []byte("select abalance from pgbench_accounts where aid=1;"), r))
	require.Zero(t, testing.AllocsPerRun(100, func() { a.Analyze(context.Background(), text, r) }))
	// In a session where names may mean something else, that is said.
	other := a.Analyze(context.Background(), text, &proxy.Reading{Dialect: Dialect, Resource: "r", Names: proxy.Names{Unsure: proxy.UnsureAnything}})
	require.Equal(t, "pgbench_accounts:read public.pgbench_accounts:read", relations(other))
	require.True(t, other.Unsure)
	require.True(t, other.Columns[0].Unsure)
}

// A short text whose columns would be without number is answered in time.
func TestHostileColumns(t *testing.T) {
	a := New(Config{Catalog: &fixedCatalog{snapshot: smallSnapshot()}})
	deep := "SELECT * FROM t"
	for range 150 {
		deep = "SELECT x.*, x.*, x.* FROM (" + deep + ") x"
	}
	wide := "SELECT 1 FROM t" + strings.Repeat(", v", 900)
	recursive := "WITH RECURSIVE " + strings.TrimSuffix(strings.Repeat("a AS (SELECT * FROM b UNION SELECT * FROM a), b AS (SELECT * FROM a UNION SELECT * FROM t),", 60), ",") + " SELECT * FROM a"
	for name, text := range map[string]string{"deep": deep, "wide": wide, "recursive": recursive} {
		begun := time.Now()
		f := a.Analyze(context.Background(), []byte(text), &proxy.Reading{})
		require.Less(t, time.Since(begun), 20*time.Second, name)
		t.Log(name, time.Since(begun).Round(time.Millisecond), f.Unknown, f.ColumnsKnown)
	}
}

// BenchmarkAnalyzeHitCatalog is BenchmarkAnalyzeHit with names that a catalog
// resolved.
func BenchmarkAnalyzeHitCatalog(b *testing.B) {
	cache := &sql.CatalogCache{Load: func(context.Context, sql.CatalogKey, *sql.Snapshot) (*sql.Snapshot, error) {
		return smallSnapshot(), nil
	}}
	defer cache.Close()
	a := New(Config{Catalog: cache})
	text, r := []byte("SELECT abalance FROM pgbench_accounts WHERE aid = 4711;"), &proxy.Reading{Dialect: Dialect, Resource: "r"}
	b.ReportAllocs()
	for b.Loop() {
		a.Analyze(context.Background(), text, r)
	}
}

func BenchmarkAnalyzeHit(b *testing.B) {
	a := New(Config{})
	r := &proxy.Reading{Dialect: Dialect}
	b.ReportAllocs()
	texts := make([][]byte, 64)
	for i := range texts {
		texts[i] = fmt.Appendf(nil, "SELECT abalance FROM pgbench_accounts WHERE aid = %d;", i*7919)
	}
	for i := 0; b.Loop(); i++ {
		a.Analyze(context.Background(), texts[i%len(texts)], r)
	}
}

// BenchmarkAnalyzeMissCatalog is a new statement over a view, with its columns.
func BenchmarkAnalyzeMissCatalog(b *testing.B) {
	r := &proxy.Reading{Dialect: Dialect}
	a := New(Config{CacheBytes: 1, Catalog: &fixedCatalog{snapshot: smallSnapshot()}})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		a.Analyze(context.Background(), fmt.Appendf(nil, "SELECT v.*, t.n AS c%d FROM v JOIN t USING (id) WHERE t.x > 3;", i), r)
	}
}

func BenchmarkAnalyzeMiss(b *testing.B) {
	r := &proxy.Reading{Dialect: Dialect}
	a := New(Config{CacheBytes: 1})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		a.Analyze(context.Background(), fmt.Appendf(nil, "SELECT abalance FROM pgbench_accounts_%d WHERE aid = 1;", i), r)
	}
}
