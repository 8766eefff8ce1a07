package postgres

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// everyRows are conditions that leave no row of t out. Those after a line that begins
// with # need the catalog.
const everyRows = `
true
NOT false
1 = 1
1 <> 2
2 > 1
'a' = 'a'
'1' = 1
1 IN (1, 2)
1 BETWEEN 0 AND 2
NULL IS NULL
1 IS NOT NULL
true IS TRUE
NOT (1 = 2)
id = id
t.id = id
t.id = t.id
(id) = (id::bigint)
id + 0 = id
id = id * 1
n || '' = n
coalesce(id, 0) = id
NOT (id <> id)
id >= id
id <= id
id IS NOT DISTINCT FROM id
id IN (id, 1)
id = ANY (ARRAY[id])
id BETWEEN id AND id
lower(n) = lower(n)
id - id = 0
id * 0 = 0
id % 1 = 0
(id, x) = (id, x)
id = 1 OR true
true OR id = 1
id = 1 OR 1 = 1
id = 1 OR id <> 1
id = 1 OR NOT (id = 1)
id = 1 OR id != 1
id < 5 OR id > 3
id < 5 OR id >= 5
id <= 5 OR id > 5
id < 5 OR id = 5 OR id > 5
id <> 1 OR id <> 2
5 > id OR id > 4
NOT (id < 3 AND id > 5)
NOT (id = 1 AND x = 1) OR id = 1
id BETWEEN 1 AND 5 OR id NOT BETWEEN 1 AND 5
id < 1 OR id BETWEEN 1 AND 5 OR id > 5
x IS NULL OR x IS NOT NULL
done OR NOT done
done = true OR done = false
done IN (true, false)
done IS TRUE OR done IS NOT TRUE
n = 'a' OR n <> 'a'
n < 'a' OR n >= 'a'
n LIKE '%'
n ILIKE '%%'
n ~ ''
n ~ '.*'
length(n) >= 0
length(n) > -1
n SIMILAR TO '%'
n >= ''
starts_with(n, '')
greatest(x, 0) >= 0
id NOT IN (SELECT id FROM u WHERE false)
abs(x) >= 0
ctid IS NOT NULL
t.xmin IS NOT NULL
EXISTS (SELECT 1)
EXISTS (SELECT 1 FROM u)
EXISTS (SELECT 1 FROM u WHERE u.id = 1)
EXISTS (SELECT 1 FROM u WHERE u.id = u.x)
EXISTS (SELECT count(*) FROM u WHERE u.id = t.id)
EXISTS (SELECT 1 FROM u WHERE u.id = t.id OR true)
EXISTS (SELECT 1 FROM t a WHERE a.id = t.id)
NOT EXISTS (SELECT 1 FROM u WHERE false)
(SELECT count(*) FROM u) > 0
(SELECT true)
1 IN (SELECT 1 FROM u)
id IN (SELECT id FROM t)
id = ANY (SELECT id FROM t)
id = ANY (ARRAY(SELECT id FROM t))
id IN (SELECT a.id FROM public.t a WHERE true)
CASE WHEN true THEN true ELSE id = 1 END
CASE WHEN id = 1 THEN true ELSE true END
CASE id WHEN id THEN true END
coalesce(NULL, true)
coalesce(true, id = 1)
now() > '2020-01-01'
current_user = 'app'
random() < 0.5
$1
$1 = 1
length('a') = 1
id = 1 OR $1
id = 1 OR now() > '2020-01-01'
(id = 1) IS NOT DISTINCT FROM (id = 1)
# with the catalog
id IS NOT NULL
NOT (id IS NULL)
id IS DISTINCT FROM NULL
coalesce(x, 0) IS NOT NULL
(id = 1) IS NOT UNKNOWN
id = 1 OR id IS NOT NULL
EXISTS (SELECT 1 FROM u WHERE id = x)
EXISTS (SELECT 1 FROM u a, u b WHERE a.id = x)
`

// someRows are conditions that leave rows out, however alike they look.
const someRows = `
id = 1
id = $1
id <> 1
id = x
id = x + 0
t.id = 1
done
NOT done
done IS NOT TRUE
id = id + 1
id % 2 = 0
id * 1 = 5
1 = 1 AND id = 1
true AND (id = 1 OR id = 2)
id = 1 OR id = 2
id = 1 OR x <> 1
id = 1 OR false
id < 3 OR id > 5
id < 3 OR id > 3
id <> 1 OR id = 2
NOT (id = 1)
NOT (id < 3 OR id > 5)
id BETWEEN 1 AND 5
id NOT BETWEEN 1 AND 5
id IN (1, 2, 3)
id NOT IN (1, 2, 3)
id = ANY ($1)
id = ANY ('{1,2}')
x IS NULL
x IS NOT NULL
n LIKE 'a%'
n LIKE '%a'
n NOT LIKE '%'
n ~ '^a'
length(n) > 0
length(n) >= 1
n > ''
n <> ''
starts_with(n, 'a')
greatest(x, 0) > 0
least(x, 0) >= 0
n SIMILAR TO 'a%'
id NOT IN (SELECT id FROM u)
id > 0
n = 'a' OR n <> 'b' AND id = 2
done = true OR done IS NULL
EXISTS (SELECT 1 FROM u WHERE u.id = t.id)
EXISTS (SELECT 1 FROM u WHERE u.id = id + t.x)
NOT EXISTS (SELECT 1 FROM u WHERE u.id = t.id AND u.x = 1)
EXISTS (SELECT 1 FROM u JOIN u v ON v.id = t.id)
EXISTS (SELECT 1 FROM unnest(t.list) a WHERE a = 1)
EXISTS (SELECT 1 FROM t a WHERE a.x = t.x AND a.id < t.id)
EXISTS (SELECT count(*) FROM u WHERE u.id = t.id HAVING count(*) > 1)
id IN (SELECT id FROM u)
id IN (SELECT id FROM u WHERE x = 1)
id IN (SELECT id FROM t WHERE x = 1)
id IN (SELECT id FROM t LIMIT 10)
id NOT IN (SELECT id FROM t WHERE x = 1)
ctid IN (SELECT ctid FROM t ORDER BY id LIMIT 100)
id = (SELECT max(id) FROM t)
(SELECT count(*) FROM u WHERE u.id = t.id) > 1
CASE WHEN id = 1 THEN true ELSE false END
CASE id WHEN 1 THEN true ELSE false END
coalesce(done, false)
(id, x) IN ((1, 2))
(id, x) = (1, 2)
t = $1
(t).id = 1
to_tsvector(n) @@ to_tsquery('a')
j->>'k' = 'v'
j ? 'k'
list && ARRAY[1]
age(created) > interval '1 day'
created < now() - interval '30 days'
CURRENT OF c
false
1 = 0
1 = 2 OR 'a' = 'b'
NOT true
NULL
id = NULL
id <> id
id = 1 AND false
EXISTS (SELECT 1 WHERE false)
`

func narrowingCatalog() *sql.Snapshot {
	column := func(i int, name string, notNull bool) sql.Column {
		return sql.Column{Attr: uint16(i + 1), Name: name, NotNull: notNull}
	}
	relation := func(oid uint32, name string, names ...string) *sql.Relation {
		r := &sql.Relation{OID: oid, Schema: "public", Name: name, Kind: sql.RelationTable}
		for i, n := range names {
			r.Columns = append(r.Columns, column(i, n, n == "id"))
		}
		return r
	}
	s := sql.NewSnapshot(sql.Contents{Path: []string{"pg_catalog", "public"}, Schemas: []string{"pg_catalog", "public"}, Relations: []*sql.Relation{
		relation(20000, "t", "id", "x", "n", "done", "j", "list", "created"), relation(20003, "m", "id"), relation(20004, "s"), relation(20005, "v", "id"), {OID: 20006, Schema: "app", Name: "elsewhere", Kind: sql.RelationTable}, relation(20001, "u", "id", "x", "n"), relation(20002, "w", "wid", "y"),
	}})
	s.ID = 1
	return s
}

// known is a catalog that is always the same.
func TestConditionsThatLeaveNoRowOut(t *testing.T) {
	plain, withCatalog := New(Config{}), New(Config{Catalog: &fixedCatalog{snapshot: narrowingCatalog()}})
	unfiltered := func(a *Analyzer, text string) bool {
		f := a.Analyze(t.Context(), []byte(text), &proxy.Reading{Dialect: Dialect})
		require.False(t, f.Effects.Has(proxy.EffectUnknown), "%s: %s", text, f.Unknown)
		return f.Unfiltered.Has(proxy.EffectUpdate | proxy.EffectDelete)
	}
	needs := false
	for line := range strings.Lines(strings.TrimSpace(everyRows)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			needs = true
			continue
		}
		for _, text := range []string{"DELETE FROM t WHERE ", "UPDATE public.t SET x = 1 WHERE ", "WITH d AS (DELETE FROM t WHERE %s RETURNING 1) SELECT * FROM d", "MERGE INTO t USING w ON %s WHEN MATCHED THEN DELETE"} {
			if !strings.Contains(text, "%s") {
				text += "%s"
			}
			text = fmt.Sprintf(strings.ReplaceAll(text, "%%", "%"), line)
			if !unfiltered(withCatalog, text) || !needs && !unfiltered(plain, text) {
				t.Errorf("it changes every row: %s", text)
			}
		}
	}
	for line := range strings.Lines(strings.TrimSpace(someRows)) {
		line = strings.TrimSpace(line)
		for _, a := range []*Analyzer{plain, withCatalog} {
			if unfiltered(a, "DELETE FROM t WHERE "+line) || unfiltered(a, "UPDATE public.t SET x = 1 WHERE "+line) {
				t.Errorf("it leaves rows out: %s", line)
			}
		}
	}
}

// A condition on another table leaves no row of the changed one out, unless it joins
// the two.
func TestConditionsOnOtherTables(t *testing.T) {
	plain, withCatalog := New(Config{}), New(Config{Catalog: &fixedCatalog{snapshot: narrowingCatalog()}})
	for text, every := range map[string]bool{
		"UPDATE t SET x = 1 FROM w WHERE w.wid = 1":                                                     true,
		"UPDATE t SET x = 1 FROM w WHERE w.wid = w.y":                                                   true,
		"UPDATE t a SET x = 1 FROM w b WHERE b.wid = 1":                                                 true,
		"UPDATE t SET x = w.y FROM w":                                                                   true,
		"UPDATE t SET x = 1 FROM w JOIN u ON u.id = w.wid WHERE u.x = 1":                                true,
		"UPDATE t SET x = 1 FROM (SELECT 1 AS id) s WHERE s.id = 1":                                     true,
		"UPDATE t SET x = 1 FROM w WHERE t.id = w.wid OR w.y = 1":                                       true,
		"UPDATE t SET x = 1 FROM t b WHERE b.id = t.id":                                                 true,
		"UPDATE t SET x = 1 FROM t b WHERE b.id = 1":                                                    true,
		"UPDATE t SET x = 1 FROM generate_series(1, 3) g WHERE g = 1":                                   true,
		"DELETE FROM t USING w WHERE w.wid = 1":                                                         true,
		"DELETE FROM t USING w, u WHERE w.wid = u.id":                                                   true,
		"DELETE FROM t AS a USING w WHERE w.wid = 1 AND true":                                           true,
		"DELETE FROM t USING t b WHERE t.id = b.id":                                                     true,
		"MERGE INTO t USING w ON w.wid = 1 WHEN MATCHED THEN DELETE":                                    true,
		"MERGE INTO t USING w ON true WHEN MATCHED AND w.y = 1 THEN UPDATE SET x = 1":                   true,
		"WITH s AS (SELECT 1 AS k) DELETE FROM t USING s WHERE s.k = 1":                                 true,
		"UPDATE t SET x = w.y FROM w WHERE w.wid = t.id":                                                false,
		"UPDATE t a SET x = b.y FROM w b WHERE a.id = b.wid AND b.y = 1":                                false,
		"UPDATE t SET x = w.y FROM w WHERE wid = id":                                                    false,
		"UPDATE t SET x = u.x FROM t b JOIN u ON u.id = b.x WHERE b.id = t.id":                          false,
		"UPDATE t SET x = 1 FROM t b WHERE b.id = t.id AND b.x = 1":                                     false,
		"DELETE FROM t USING w WHERE t.id = w.wid AND w.y = 1":                                          false,
		"DELETE FROM t USING t b WHERE t.n = b.n AND t.id > b.id":                                       false,
		"DELETE FROM t USING w WHERE t.x = 1":                                                           false,
		"MERGE INTO t USING w ON t.id = w.wid WHEN MATCHED THEN DELETE":                                 false,
		"MERGE INTO t USING w ON w.wid = 1 WHEN MATCHED AND t.x = 1 THEN DELETE":                        false,
		"WITH s AS (SELECT id FROM t WHERE x = 1) DELETE FROM t USING s WHERE s.id = t.id":              false,
		"WITH s AS (SELECT id FROM t LIMIT 5) UPDATE t SET x = 1 FROM s WHERE t.id = s.id":              false,
		"INSERT INTO t (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET x = excluded.x":                   false,
		"UPDATE t SET x = 1 FROM (VALUES (1, 2), (3, 4)) v (id, y) WHERE v.id = t.id":                   false,
		"UPDATE t SET x = v.y FROM unnest($1::int[], $2::int[]) AS v (k, y) WHERE t.id = v.k":           false,
		"UPDATE t SET x = 1 FROM (SELECT id FROM t ORDER BY id LIMIT 5 FOR UPDATE) s WHERE t.id = s.id": false,
	} {
		for _, a := range []*Analyzer{plain, withCatalog} {
			f := a.Analyze(t.Context(), []byte(text), &proxy.Reading{Dialect: Dialect})
			if f.Unfiltered.Has(proxy.EffectUpdate|proxy.EffectDelete) != every {
				t.Errorf("every row: want %t: %s %s", every, text, f.Unknown)
			}
		}
	}
	for text, every := range map[string]bool{ // a name without a table is whose the catalog says
		"UPDATE t SET x = 1 FROM w WHERE wid = 1": true,
		"DELETE FROM t USING w WHERE y = 1":       true,
		"DELETE FROM t USING w WHERE n = 'a'":     false,
	} {
		f := withCatalog.Analyze(t.Context(), []byte(text), &proxy.Reading{Dialect: Dialect})
		require.Equal(t, every, f.Unfiltered.Has(proxy.EffectUpdate|proxy.EffectDelete), text)
	}
}

// Statements that differ in literals which decide do not share an answer, in
// whatever order they come.
func TestConditionsByLiterals(t *testing.T) {
	a := New(Config{})
	for _, c := range []struct {
		text  string
		every bool
	}{
		{"DELETE FROM t WHERE 1 = 2", false},
		{"DELETE FROM t WHERE 1 = 1", true},
		{"DELETE FROM t WHERE n LIKE 'a'", false},
		{"DELETE FROM t WHERE n LIKE '%'", true},
		{"DELETE FROM t WHERE id < 3 OR id > 5", false},
		{"DELETE FROM t WHERE id < 5 OR id > 3", true},
		{"DELETE FROM t WHERE id + 1 = id", false},
		{"DELETE FROM t WHERE id + 0 = id", true},
		{"DELETE FROM t WHERE id * 1 = 0", false},
		{"DELETE FROM t WHERE id * 0 = 0", true},
		{"DELETE FROM t WHERE length(n) >= 1", false},
		{"DELETE FROM t WHERE length(n) >= 0", true},
		{"DELETE FROM t WHERE 1 IN (2, 3)", true}, // not told apart from what is true
		{"DELETE FROM t WHERE 1 IN (2, 1)", true},
	} {
		f := a.Analyze(t.Context(), []byte(c.text), &proxy.Reading{Dialect: Dialect})
		require.Equal(t, c.every, f.Unfiltered.Has(proxy.EffectDelete), c.text)
	}
	// Those in which they do not decide do.
	require.Same(t, a.Analyze(t.Context(), []byte("DELETE FROM t WHERE id = 1 AND n = 'a'"), &proxy.Reading{}),
		a.Analyze(t.Context(), []byte("DELETE FROM t WHERE id = 2 AND n = 'b'"), &proxy.Reading{}))
}

// A condition that would take long to judge is taken to leave no row out, in time.
func TestLongConditions(t *testing.T) {
	a := New(Config{})
	analyze := func(where string) *proxy.Facts {
		return a.Analyze(t.Context(), []byte("DELETE FROM t WHERE "+where), &proxy.Reading{Dialect: Dialect})
	}
	every := func(where string) bool {
		f := analyze(where)
		require.False(t, f.Effects.Has(proxy.EffectUnknown), f.Unknown)
		return f.Unfiltered.Has(proxy.EffectDelete)
	}
	require.False(t, every("id IN (1"+strings.Repeat(", 22", 60_000)+")"))
	require.False(t, every("id = 1"+strings.Repeat(" OR id = 22", 1_000)))
	require.False(t, every("n = 'a'"+strings.Repeat(" || 'b'", 500)))
	begun := time.Now()
	for _, where := range []string{
		strings.Repeat("(x = 1 AND (x = 1 OR ", 120) + "id = 1" + strings.Repeat(" OR x = 1", 1_000) + strings.Repeat("))", 120),
		"id = 1" + strings.Repeat(" OR x "+strings.Repeat("+ 1", 200)+" = 2", 100),
		strings.Repeat("CASE WHEN x = 1 THEN ", 200) + "true" + strings.Repeat(" ELSE false END", 200),
		strings.Repeat("EXISTS (SELECT 1 FROM u WHERE u.id = t.id AND ", 200) + "true" + strings.Repeat(")", 200),
	} {
		analyze(where)
	}
	require.Less(t, time.Since(begun), 20*time.Second)
}

// A statement may change every row of a temporary table of the session's own, and of no
// other of that name. What is not there is left to the server.
func TestEveryRowOfOnesOwn(t *testing.T) {
	a := New(Config{Catalog: &fixedCatalog{snapshot: narrowingCatalog()}})
	unfiltered := func(text string) proxy.Effects {
		f := a.Analyze(t.Context(), []byte(text), &proxy.Reading{Dialect: Dialect})
		require.Empty(t, f.Unknown, text)
		return f.Unfiltered &^ proxy.EffectRead
	}
	for _, text := range []string{
		"CREATE TEMP TABLE own (id int); DELETE FROM own", "CREATE TEMP TABLE own (id int); UPDATE own SET id = 1 WHERE true", "CREATE TEMP TABLE own AS SELECT 1 AS id; DELETE FROM pg_temp.own",
		"CREATE TEMP TABLE t (id int); DELETE FROM t", "CREATE TEMP TABLE own (id int); MERGE INTO own USING t ON true WHEN MATCHED THEN DELETE", "SELECT 1 AS id INTO TEMP own; UPDATE own SET id = 2",
		"DELETE FROM missing", "UPDATE missing SET x = 1", "DELETE FROM public.missing WHERE true",
		"CREATE TEMP TABLE own (id int); WITH gone AS (DELETE FROM own RETURNING id) SELECT * FROM gone",
	} {
		require.Zero(t, unfiltered(text), text)
	}
	for _, text := range []string{
		"CREATE TEMP TABLE own (id int); DELETE FROM t", "CREATE TEMP TABLE t (id int); DELETE FROM public.t", "CREATE TEMP TABLE t (id int); DROP TABLE t; DELETE FROM t",
		"CREATE TABLE own (id int); DELETE FROM own", "ALTER TABLE t RENAME TO missing; DELETE FROM missing", "CREATE TEMP VIEW own AS SELECT * FROM t; DELETE FROM own", "CREATE TEMP TABLE own (id int); UPDATE t SET id = own.id FROM own WHERE true",
		"CREATE TEMP TABLE own (id int); CREATE TEMP VIEW seen AS SELECT * FROM t; ALTER TABLE own RENAME TO other; ALTER VIEW seen RENAME TO own; DELETE FROM own",
		"CREATE TEMP TABLE own (id int); CREATE RULE r AS ON DELETE TO own DO INSTEAD DELETE FROM t; DELETE FROM own",
		"CREATE TEMP TABLE own (id int); CREATE TRIGGER g AFTER DELETE ON own EXECUTE FUNCTION f(); DELETE FROM own", "CREATE TEMP TABLE own (id int); DROP TABLE own; CREATE TEMP VIEW own AS SELECT * FROM t; UPDATE own SET id = 1",
		"CREATE TEMP TABLE IF NOT EXISTS own (id int); DROP TABLE own; DELETE FROM own", "BEGIN; CREATE TEMP TABLE t (id int); ROLLBACK; DELETE FROM t", "DELETE FROM t",
		"BEGIN; SAVEPOINT s; CREATE TEMP TABLE t (id int); ROLLBACK TO s; DELETE FROM t",
	} {
		require.NotZero(t, unfiltered(text), text)
	}
}
