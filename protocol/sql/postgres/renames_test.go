package postgres

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// namesSnapshot has tables of the same name in two schemas.
func namesSnapshot() *sql.Snapshot {
	columns := func() []sql.Column {
		return []sql.Column{{Attr: 1, Name: "id"}, {Attr: 2, Name: "x"}, {Attr: 3, Name: "n"}}
	}
	s := sql.NewSnapshot(sql.Contents{
		Path: []string{"pg_catalog", "public"}, Role: "app", Schemas: []string{"public", "other", "pg_catalog"},
		Relations: []*sql.Relation{
			{OID: 1259, Schema: "pg_catalog", Name: "pg_class", Kind: sql.RelationTable, Server: true, Columns: []sql.Column{{Attr: 1, Name: "relname"}}},
			{OID: 20000, Schema: "public", Name: "t", Kind: sql.RelationTable, Columns: columns()},
			{OID: 20001, Schema: "other", Name: "t", Kind: sql.RelationTable, Columns: columns()},
			{OID: 20002, Schema: "public", Name: "u", Kind: sql.RelationTable, Columns: columns()},
			{OID: 20003, Schema: "public", Name: "v", Kind: sql.RelationView, Columns: columns(), Definition: "SELECT t.id, t.x, upper(t.n) AS n FROM public.t"},
			{OID: 20004, Schema: "public", Name: "audited", Kind: sql.RelationTable, Columns: columns(), Triggers: []sql.Trigger{{On: proxy.EffectInsert, Function: 30002}}},
			{OID: 20005, Schema: "public", Name: "stamped", Kind: sql.RelationTable, Columns: columns(), Triggers: []sql.Trigger{{On: proxy.EffectInsert, Function: 30001}}},
		},
		Functions: []*sql.Function{
			{OID: 30001, Schema: "public", Name: "stamp", Language: "plpgsql", Body: "BEGIN NEW.x := now(); UPDATE u SET n = 1; RETURN NEW; END"},
			{OID: 30002, Schema: "public", Name: "loud", Language: "plpgsql", Body: "BEGIN EXECUTE 'x'; RETURN NEW; END"},
			{OID: 30003, Schema: "public", Name: "calls_loud", Language: "plpgsql", Body: "BEGIN PERFORM loud(); END"},
			{OID: 30004, Schema: "public", Name: "fills_audited", Language: "plpgsql", Body: "BEGIN INSERT INTO audited VALUES (1); END"},
			{OID: 30005, Schema: "public", Name: "fills_stamped", Language: "plpgsql", Body: "BEGIN INSERT INTO stamped VALUES (1); END"},
			{OID: 30006, Schema: "public", Name: "moves", Language: "plpgsql", Body: "BEGIN SET LOCAL search_path = x; END"},
			{OID: 30007, Schema: "public", Name: "escaped", Language: "plpgsql", Body: `BEGIN SET U&"search\005fpath" = x; END`},
			{OID: 30008, Schema: "public", Name: "uuid_generate_v4", Language: "c"},
			{OID: 30009, Schema: "public", Name: "crosstab", Language: "c"},
			{OID: 30010, Schema: "public", Name: "in_python", Language: "plpython3u"},
			{OID: 30011, Schema: "public", Name: "in_sql", Language: "sql", Body: "SELECT x FROM t"},
			{OID: 30012, Schema: "public", Name: "moves_in_sql", Language: "sql", Body: "SELECT set_config('search_path', 'other', false)"},
		},
	})
	Resolve(s)
	s.ID = 1
	return s
}

// Only what makes tables takes INTO for something else than PL/pgSQL's variables, and
// only with the words of SELECT after the name.
func TestQuietFunctions(t *testing.T) {
	for _, c := range []struct {
		language, body string
		quiet          bool
	}{
		{"plpgsql", "BEGIN INSERT INTO log VALUES (1); END", true},
		{"plpgsql", "BEGIN insert\n into public.log (a) SELECT 1; END", true},
		{"plpgsql", `BEGIN INSERT INTO "my ""log".t AS l DEFAULT VALUES; END`, true},
		{"plpgsql", "BEGIN MERGE INTO ONLY t USING u ON true WHEN MATCHED THEN DELETE; END", true},
		{"plpgsql", "BEGIN SELECT a INTO STRICT v FROM t; END", true},
		{"plpgsql", "BEGIN -- what for\n SELECT a\n INTO v FROM t; END", true},
		{"sql", "INSERT INTO log (a) VALUES (1)", true},
		{"plpgsql", "BEGIN SELECT 1 AS insert INTO x FROM t; END", false},
		{"plpgsql", "BEGIN SELECT merge INTO TABLE x FROM t; END", false},
		{"plpgsql", "BEGIN SELECT 1 AS insert INTO UNLOGGED values; END", false},
		{"plpgsql", "BEGIN SELECT 1 AS insert INTO x; END", false},
		{"plpgsql", `BEGIN SELECT 1 AS insert INTO pg_temp."a""b" FROM t; END`, false},
		{"plpgsql", "BEGIN SELECT 1 AS insert -- x\n INTO x FROM t; END", false},
		{"plpgsql", "BEGIN SELECT 1 AS insert /**/ INTO x/* ( */ FROM t; END", false},
		{"plpgsql", "BEGIN SET SCHEMA 'x'; END", false},
		{"plpgsql", "BEGIN UPDATE settings SET setting = 'x'; END", false},
		{"sql", "SELECT 1 AS insert INTO x FROM t", false},
		{"sql", "SELECT 1 INTO x", false},
	} {
		s := sql.NewSnapshot(sql.Contents{
			Relations: []*sql.Relation{{OID: 20000, Schema: "public", Name: "settings", Kind: sql.RelationView, Definition: "SELECT name, setting FROM pg_settings"}},
			Functions: []*sql.Function{{OID: 30000, Schema: "public", Name: "f", Language: c.language, Body: c.body}},
		})
		Resolve(s)
		require.Equal(t, c.quiet, s.Functions[0].Quiet, c.body)
	}
}

// What a statement changes says what the names after it mean, name by name.
func TestNamesBehindChanges(t *testing.T) {
	a := New(Config{Catalog: &fixedCatalog{snapshot: namesSnapshot()}})
	for _, c := range []struct{ text, want string }{
		{"SELECT 1; SELECT upper(x) FROM t", "upper=t.x~"},
		{"UPDATE t SET x = 1; SELECT x FROM t", "x=t.x"},
		// The path.
		{"SET search_path = other; SELECT x FROM t", "x=other.t.x"},
		{"SET search_path = other; RESET search_path; SELECT x FROM t", "x=t.x"},
		{"SET search_path = other; RESET ALL; SELECT x FROM t", "x=t.x"},
		{"SET search_path = other; DISCARD ALL; SELECT x FROM t", "x=t.x"},
		{"SET search_path = other; SET search_path TO DEFAULT; SELECT x FROM t", "x=t.x"},
		{"SELECT set_config('search_path', 'other', false); SELECT x FROM t", "x=other.t.x"},
		{"SELECT pg_catalog.set_config('search_path', '', false); SELECT x FROM public.t", "x=t.x"},
		{"SELECT pg_catalog.set_config('search_path', '', false); SELECT x FROM t", "x=??"},
		{"SELECT set_config('search_path', 'other', false) FROM u; SELECT x FROM u", "x=u.x,??"},
		{"SELECT set_config('search_path', 'other', false), generate_series(1, 0); SELECT x FROM t", "x=t.x,other.t.x,??"},
		{"SET search_path = pg_temp, public; SELECT x FROM t", "x=t.x,other.t.x"},
		{"SET search_path = pg_temp, public; SELECT x FROM u", "x=u.x"},
		{"SET application_name = 'x'; SELECT x FROM t", "x=t.x"},
		// The role.
		{"SET ROLE other; SELECT x FROM t", "x=t.x,other.t.x"},
		{"SET ROLE other; SELECT x FROM u", "x=u.x"},
		{"SET ROLE other; RESET ROLE; SELECT x FROM t", "x=t.x"},
		{"SET ROLE other; SET ROLE NONE; SELECT x FROM t", "x=t.x"},
		{"SET SESSION AUTHORIZATION other; RESET ROLE; SELECT x FROM t", "x=t.x,other.t.x"},
		{"SET SESSION AUTHORIZATION other; SET SESSION AUTHORIZATION DEFAULT; SELECT x FROM t", "x=t.x"},
		{"SET SESSION AUTHORIZATION DEFAULT; RESET ALL; SELECT upper(x) FROM t", "upper=t.x~"},
		// Temporary relations.
		{"CREATE TEMP TABLE t AS SELECT n AS x FROM public.u; SELECT upper(x) FROM t", "upper=u.n~"},
		{"CREATE TEMP TABLE t AS SELECT n AS x FROM public.u; SELECT x FROM public.t", "x=t.x"},
		{"CREATE TEMP TABLE t AS SELECT n AS x FROM public.u; DISCARD TEMP; SELECT x FROM t", "x=t.x"},
		{"CREATE TEMP TABLE s (a int, b text); SELECT upper(b) FROM s", "upper="},
		{"CREATE TEMP TABLE s (a int, b text); INSERT INTO s SELECT id, x FROM t; SELECT a, upper(b) FROM s", "a=t.id upper=t.x~"},
		{"CREATE TEMP TABLE s (a int, b text); UPDATE s SET b = t.n FROM t; SELECT b FROM s", "b=t.n"},
		{"CREATE TEMP TABLE s (b text); WITH i AS (INSERT INTO s SELECT n FROM t RETURNING 1) SELECT count(*) FROM i; SELECT upper(b) FROM s", "upper=t.n~"},
		{"CREATE TEMP TABLE s (b text); SELECT loud(); SELECT upper(b) FROM s", "upper=??"},
		{"CREATE TEMP TABLE s (b text); SELECT stamp(); SELECT upper(b) FROM s", "upper="},
		{"CREATE TABLE s (b text); DO 'x'; SELECT upper(b) FROM s", "upper=??"},
		{"DECLARE c CURSOR FOR SELECT x FROM t; SELECT loud(); FETCH c", "unknown"},
		{"CREATE TEMP TABLE s (LIKE t); SELECT upper(x) FROM s", "upper="},
		{"CREATE TEMP TABLE s (LIKE t); INSERT INTO s SELECT * FROM t; SELECT upper(x), n FROM s", "upper=t.x~ n=t.n"},
		{"CREATE TEMP TABLE s (a int) INHERITS (t); SELECT x FROM s", "x=??"},
		{"CREATE TEMP TABLE IF NOT EXISTS s (a int); SELECT upper(a) FROM s", "upper="},
		{"CREATE TEMP TABLE s (a int); CREATE TEMP TABLE IF NOT EXISTS s AS SELECT x AS a FROM t; SELECT a FROM s", "a=??"},
		{"CREATE TEMP VIEW s AS SELECT upper(x) AS y FROM t; SELECT y, * FROM s", "y=t.x~ y=t.x~"},
		{"CREATE VIEW s (y) AS SELECT x FROM t; SELECT y FROM s", "y=t.x"},
		{"CREATE OR REPLACE VIEW v AS SELECT x AS n FROM t; SELECT n FROM v", "n=t.n~,t.x"},
		{"SELECT x AS y INTO TEMP s FROM t; SELECT * FROM s", "y=t.x"},
		{"EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT n AS x FROM public.u; SELECT x FROM t", "x=??"},
		{"CREATE TEMP TABLE pg_class AS SELECT x AS relname FROM t; SELECT relname FROM pg_class", "relname=t.x"},
		{"CREATE TEMP TABLE pg_class AS SELECT x AS relname FROM t; SELECT relname FROM pg_catalog.pg_class", "relname=pg_catalog.pg_class.relname"},
		// What the open transaction has changed.
		{"CREATE TABLE s (a int, b text); SELECT upper(b) FROM s", "upper="},
		{"CREATE TABLE s AS SELECT x FROM t; SELECT lower(x) FROM s", "lower=t.x~"},
		{"ALTER TABLE t RENAME COLUMN n TO x2; SELECT x FROM t", "x=t.x,??"},
		{"ALTER TABLE t RENAME COLUMN n TO x2; SELECT x FROM u", "x=u.x"},
		{"ALTER TABLE t RENAME COLUMN n TO x2; SELECT x FROM v", "x=t.x,??"},
		{"ALTER TABLE u RENAME TO t2; SELECT x FROM t2", "x=??"},
		{"CREATE TABLE s (a int REFERENCES t); SELECT x FROM t", "x=t.x"},
		{"CREATE INDEX ON t (x); SELECT upper(x) FROM t", "upper=t.x~"},
		{"CREATE PUBLICATION p FOR TABLE t; SELECT upper(x) FROM t", "upper=t.x~"},
		{"DROP TABLE other.t; SELECT x FROM t", "x=t.x,??"},
		{"DROP SCHEMA other CASCADE; SELECT x FROM t", "x=t.x,??"},
		{"CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT upper(x) FROM t", "upper=t.x~,??"},
		{"CREATE EXTENSION IF NOT EXISTS pgcrypto; SELECT upper(x) FROM t", "upper=t.x~"},
		{"CREATE EXTENSION postgis; SELECT upper(x) FROM t", "upper=t.x~,??"},
		{"CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT now(), gen_random_uuid() AS u", "now= u="},
		{"CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT now(1), age(2) AS a", "now=?? a=??"},
		{"SET search_path = public, pg_catalog; CREATE FUNCTION now() RETURNS text LANGUAGE sql AS 'SELECT 1'; SELECT now()", "now=??"},
		{"CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT relname FROM pg_class", "relname=pg_catalog.pg_class.relname"},
		// What cannot be seen through.
		{"SELECT g(); SELECT x FROM u", "x=u.x,??"},
		{"SELECT loud(); SELECT x FROM u", "x=u.x,??"},
		{"SELECT loud(); SELECT x FROM public.u", "x=u.x,??"},
		{"SELECT loud(); SELECT relname FROM pg_catalog.pg_class", "relname=pg_catalog.pg_class.relname"},
		{"SELECT loud(); SELECT relname FROM pg_class", "relname=pg_catalog.pg_class.relname,??"},
		{"SELECT loud(); SELECT count(*) FROM u", "count="},
		{"SELECT loud(); RESET ALL; SELECT x FROM u", "x=u.x,??"},
		{"DO 'x'; SELECT x FROM u", "x=u.x,??"},
		{"CALL p(); DISCARD ALL; SELECT x FROM public.u", "x=u.x,??"},
		// What can.
		{"SELECT stamp(); SELECT upper(x) FROM t", "upper=t.x~"},
		{"SELECT uuid_generate_v4(); SELECT upper(x) FROM t", "upper=t.x~"},
		{"SELECT in_sql(); SELECT upper(x) FROM t", "upper=t.x~"},
		{"SELECT fills_stamped(); SELECT upper(x) FROM t", "upper=t.x~"},
		{"INSERT INTO stamped VALUES (1); SELECT upper(x) FROM t", "upper=t.x~"},
		{"INSERT INTO audited VALUES (1); SELECT x FROM u", "x=u.x,??"},
		{"SELECT fills_audited(); SELECT x FROM u", "x=u.x,??"},
		{"SELECT calls_loud(); SELECT x FROM u", "x=u.x,??"},
		{"SELECT moves(); SELECT x FROM u", "x=u.x,??"},
		{"SELECT escaped(); SELECT x FROM u", "x=u.x,??"},
		{"SELECT moves_in_sql(); SELECT x FROM u", "x=u.x,??"},
		{"SELECT in_python(); SELECT x FROM u", "x=u.x,??"},
		{"SELECT crosstab('x'); SELECT x FROM u", "x=u.x,??"},
		{"DECLARE c CURSOR FOR SELECT loud(); DISCARD ALL; FETCH c; SELECT x FROM u", "x=u.x,??"},
		{"DECLARE c CURSOR FOR SELECT x FROM t; FETCH c; SELECT upper(x) FROM t", "upper=t.x~"},
		{"DECLARE c CURSOR FOR SELECT upper(x), id AS y FROM t; FETCH c", "upper=t.x~ y=t.id"},
		{"CREATE TEMP TABLE s AS SELECT x AS y FROM t; DECLARE c CURSOR FOR SELECT y FROM s; FETCH ALL FROM c", "y=t.x"},
		{"DECLARE c CURSOR FOR SELECT x FROM t; DECLARE c CURSOR FOR SELECT n FROM t; FETCH c", "unknown"},
		{"SELECT 1; FETCH nosuch", "unknown"},
		// Transactions.
		{"BEGIN; SET LOCAL search_path = other; ROLLBACK; SELECT x FROM t", "x=t.x,other.t.x"},
		{"BEGIN; UPDATE t SET x = 1; COMMIT; SELECT x FROM t", "x=t.x"},
	} {
		f := a.Analyze(context.Background(), []byte(c.text), &proxy.Reading{})
		require.NotEmpty(t, f.Parts, c.text)
		if got := columnsOf(f.Parts[len(f.Parts)-1]); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

// With a catalog that cannot be read, everything is unsure but what needs none.
func TestNamesWithoutCatalog(t *testing.T) {
	a := New(Config{Catalog: &fixedCatalog{}})
	for text, want := range map[string]string{
		"SELECT upper(x) FROM public.t":           "upper=??",
		"SELECT 1, now()":                         "?column?= now=??",
		"SELECT count(*) FROM t":                  "count=",
		"SELECT count(x) FROM t":                  "count=..*?",
		"SELECT relname FROM pg_catalog.pg_class": "relname=??",
	} {
		f := a.Analyze(context.Background(), []byte(text), &proxy.Reading{})
		require.Equal(t, want, columnsOf(f), text)
		require.False(t, f.Resolved, text)
	}
}

// The text says all of a column that gets another name, also when the open transaction
// has changed its table.
func TestColumnsThatMove(t *testing.T) {
	a := New(Config{Catalog: &fixedCatalog{snapshot: namesSnapshot()}})
	for text, want := range map[string]string{
		"ALTER TABLE t RENAME n TO m":                                                  "public.t.n>public.t.m",
		"ALTER TABLE t ADD z int; ALTER TABLE t RENAME n TO m":                         "public.t.n>public.t.m",
		"ALTER TABLE t ADD z int; ALTER TABLE t RENAME z TO y":                         "public.t.z>public.t.y",
		"ALTER TABLE other.t ADD z int; ALTER TABLE other.t RENAME x TO y":             "other.t.x>other.t.y",
		"CREATE TABLE s (a int); ALTER TABLE s ADD b int; ALTER TABLE s RENAME a TO c": "pg_catalog.s.a>pg_catalog.s.c public.s.a>public.s.c",
	} {
		f := a.Analyze(t.Context(), []byte(text), &proxy.Reading{Dialect: Dialect})
		last := f
		if len(f.Parts) > 0 {
			last = f.Parts[len(f.Parts)-1]
		}
		var got []string
		for _, w := range last.Writes {
			require.True(t, w.Moved, text)
			o := w.Column.Origins[0]
			got = append(got, o.Schema+"."+o.Relation+"."+o.Column+">"+w.Schema+"."+w.Relation+"."+w.Column.Name)
		}
		require.Equal(t, want, strings.Join(got, " "), text)
		require.True(t, last.Resolved, text)
	}
}
