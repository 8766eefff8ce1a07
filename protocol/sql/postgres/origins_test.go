package postgres

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/protocol/postgres"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// fixedCatalog is a catalog that does not change.
type fixedCatalog struct {
	snapshot *sql.Snapshot
	doubts   int
}

func (f *fixedCatalog) Snapshot(context.Context, *proxy.Reading) *sql.Snapshot { return f.snapshot }
func (f *fixedCatalog) Latest(context.Context, *proxy.Reading) (*sql.Snapshot, []proxy.NameChange) {
	return f.snapshot, nil
}
func (f *fixedCatalog) Changed(*proxy.Reading, []proxy.NameChange) {}
func (f *fixedCatalog) Doubt(*proxy.Reading)                       { f.doubts++ }

// readCatalog reads a database's catalog as the gateway does.
func readCatalog(t testing.TB, server *pgembed.Server, database string) *fixedCatalog {
	t.Helper()
	r := &proxy.Resource{
		Name: "r", Type: "postgres", Address: server.Address(), Database: database, TLS: proxy.TLS{Mode: proxy.TLSDisable},
		Accounts: []proxy.Account{{Username: pgembed.User}},
	}
	g := &proxy.Gateway{Directory: proxy.Resources{r}, Credentials: proxytest.Credential{Username: pgembed.User, Password: proxy.NewSecret(server.Password)}}
	s, err := (&postgres.CatalogReader{Gateway: g}).Load(context.Background(), sql.CatalogKey{Resource: "r", Database: database}, nil)
	require.NoError(t, err)
	Resolve(s)
	s.ID = 1
	return &fixedCatalog{snapshot: s}
}

// originsSchema has a marker of its own in every column, such as <p.ssn>.
const originsSchema = `
CREATE TABLE p (id int PRIMARY KEY, name text, ssn text, doc jsonb, tags text[]);
CREATE TABLE q (id int PRIMARY KEY, p_id int REFERENCES p, note text, secret text);
CREATE TYPE pair AS (a text, b text);
CREATE TABLE c (id int, both_ pair);
INSERT INTO p SELECT i, '<p.name>', '<p.ssn>', '{"k": "<p.doc>", "l": ["<p.doc>"]}', '{<p.tags>}' FROM generate_series(1, 3) i;
INSERT INTO q SELECT i, i, '<q.note>', '<q.secret>' FROM generate_series(1, 3) i;
INSERT INTO c VALUES (1, ('<c.both_>', '<c.both_>'));
CREATE VIEW v AS SELECT id, ssn AS harmless, name || ' x' AS n FROM p;
CREATE VIEW vv AS SELECT v.harmless AS h, q.note FROM v JOIN q ON q.p_id = v.id;
CREATE VIEW star AS SELECT * FROM p JOIN q USING (id);
CREATE VIEW inner_ AS SELECT id, (SELECT max(secret) FROM q WHERE q.p_id = p.id) AS m FROM p WHERE ssn IS NOT NULL;
CREATE MATERIALIZED VIEW mv AS SELECT id AS i, ssn || name AS s FROM p;
CREATE FUNCTION all_ssn() RETURNS SETOF text STABLE LANGUAGE sql AS 'SELECT ssn FROM p';
CREATE FUNCTION wrap(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT '(' || $1 || ')'$$;
CREATE FUNCTION plain(p) RETURNS text STABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1.ssn; END';
CREATE FUNCTION tab() RETURNS TABLE (a int, b text) STABLE LANGUAGE sql AS 'SELECT id, secret FROM q';
CREATE TABLE gen (id int, word text, loud text GENERATED ALWAYS AS (upper(word) || '!') STORED);
INSERT INTO gen VALUES (1, '<gen.word>');
CREATE TABLE part (k int, w text) PARTITION BY LIST (k);
CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1);
INSERT INTO part VALUES (1, '<part.w>');`

// columnsOf prints columns as name=relation.column~how.
func columnsOf(f *proxy.Facts) string {
	if !f.ColumnsKnown {
		return "unknown"
	}
	var list []string
	for _, c := range f.Columns {
		text := c.Name + "=" + originsOf(c)
		list = append(list, text)
	}
	return strings.Join(list, " ")
}

func originsOf(c proxy.Column) string {
	var list []string
	for _, o := range c.Origins {
		if o.Own {
			continue
		}
		list = append(list, strings.TrimPrefix(o.Schema+".", "public.")+o.Relation+"."+o.Column+[...]string{"", "~", "#", "?", "@"}[o.How]+o.Key)
	}
	switch {
	case c.Unsure:
		list = append(list, "??")
	case c.Opaque:
		list = append(list, "*")
	}
	return strings.Join(list, ",")
}

func originsAnalyzer(t testing.TB) (func(text string) *proxy.Facts, *pgx.Conn) {
	server, database := testserver.Database(t, originsSchema)
	a := New(Config{Catalog: readCatalog(t, server, database)})
	c, err := pgx.Connect(context.Background(), testserver.URL(pgembed.User, server.Password, server.Address(), database, "sslmode=disable"))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(context.Background()) })
	return func(text string) *proxy.Facts {
		f := a.Analyze(context.Background(), []byte(text), &proxy.Reading{})
		require.Empty(t, f.Unknown, text)
		return f
	}, c
}

func TestOrigins(t *testing.T) {
	analyze, _ := originsAnalyzer(t)
	for _, c := range []struct{ text, want string }{
		{"SELECT ssn FROM p", "ssn=p.ssn"},
		{"SELECT ssn AS harmless, 1, p.id FROM public.p", "harmless=p.ssn ?column?= id=p.id"},
		{"SELECT public.p.ssn FROM public.p", "ssn=p.ssn"},
		{"SELECT x.h FROM (SELECT ssn AS h FROM p) x", "h=p.ssn"},
		{"WITH a AS MATERIALIZED (SELECT ssn AS h FROM p) SELECT h FROM a", "h=p.ssn"},
		{"WITH a (z) AS (SELECT ssn FROM p) SELECT * FROM a", "z=p.ssn"},
		{"SELECT l.s FROM p, LATERAL (SELECT p.ssn AS s) l", "s=p.ssn"},
		{"SELECT * FROM q", "id=q.id p_id=q.p_id note=q.note secret=q.secret"},
		{"SELECT q.*, p.ssn FROM p, q", "id=q.id p_id=q.p_id note=q.note secret=q.secret ssn=p.ssn"},
		{"TABLE q", "id=q.id p_id=q.p_id note=q.note secret=q.secret"},
		{"SELECT * FROM v", "id=p.id harmless=p.ssn n=p.name~"},
		{"SELECT * FROM vv", "h=p.ssn note=q.note"},
		{"SELECT m FROM inner_", "m=q.secret#"},
		{"SELECT s FROM mv", "s=p.ssn~,p.name~"},
		{"SELECT ssn FROM p UNION ALL SELECT 'x'", "ssn=p.ssn"},
		{"SELECT 'x' AS a UNION SELECT ssn FROM p", "a=p.ssn"},
		{"SELECT note FROM q EXCEPT SELECT ssn FROM p", "note=q.note,p.ssn?"},
		{"SELECT upper(ssn), ssn || '', ssn::varchar, ssn COLLATE \"C\", coalesce(ssn, name) FROM p", "upper=p.ssn~ ?column?=p.ssn~ ssn=p.ssn~ ssn=p.ssn~ coalesce=p.ssn~,p.name~"},
		{"SELECT CASE WHEN ssn LIKE '1%' THEN name ELSE 'x' END FROM p", "case=p.ssn?,p.name~"},
		{"SELECT ssn = 'a', ssn IS NULL, ssn IN ('a'), ssn IS NOT DISTINCT FROM 'a', NULLIF(name, ssn) FROM p", "?column?=p.ssn? ?column?=p.ssn? ?column?=p.ssn? ?column?=p.ssn? nullif=p.name~,p.ssn?"},
		{"SELECT p FROM p", "p=p.*"},
		{"SELECT (p).ssn, (p).* FROM p", "ssn=p.ssn id=p.id name=p.name ssn=p.ssn doc=p.doc tags=p.tags"},
		{"SELECT row_to_json(p), to_jsonb(x)->>'ssn' FROM p, p x", "row_to_json=p.id@id,p.name@name,p.ssn@ssn,p.doc@doc,p.tags@tags ?column?=p.id~,p.name~,p.ssn~,p.doc~,p.tags~"},
		{"SELECT row_to_json(x) FROM (SELECT ssn FROM p) x", "row_to_json=p.ssn@ssn"},
		{"SELECT format('%s', p.*) FROM p", "format=p.id~,p.name~,p.ssn~,p.doc~,p.tags~"},
		{"SELECT doc->>'k' FROM p", "?column?=p.doc~k"},
		{"SELECT array_agg(ssn), min(ssn), count(*) FILTER (WHERE ssn LIKE '1%') FROM p", "array_agg=p.ssn# min=p.ssn# count=p.ssn?"},
		{"SELECT unnest(array_agg(ssn)) FROM p", "unnest=p.ssn#"},
		{"SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ssn) FROM p", "percentile_disc=p.ssn#"},
		{"SELECT rank() OVER (PARTITION BY name ORDER BY ssn), lag(ssn) OVER w FROM p WINDOW w AS (ORDER BY id)", "rank=p.name?,p.ssn? lag=p.ssn#,p.id?"},
		{"SELECT (SELECT ssn FROM p LIMIT 1), ARRAY(SELECT ssn FROM p), EXISTS (SELECT FROM p WHERE ssn = 'a')", "ssn=p.ssn array=p.ssn~ exists=p.ssn?"},
		{"VALUES ((SELECT ssn FROM p LIMIT 1), 1), ('a', 2)", "column1=p.ssn column2="},
		{"SELECT b FROM (VALUES ((SELECT ssn FROM p LIMIT 1), 1)) x (a, b)", "b="},
		{"SELECT * FROM p NATURAL JOIN q", "id=p.id,q.id name=p.name ssn=p.ssn doc=p.doc tags=p.tags p_id=q.p_id note=q.note secret=q.secret"},
		{"SELECT j.id, name FROM p JOIN q USING (id) AS j", "id=p.id,q.id name=p.name"},
		{"SELECT j.* FROM (p JOIN q USING (id)) AS j (a, b, c)", "a=p.id,q.id b=p.name c=p.ssn doc=p.doc tags=p.tags p_id=q.p_id note=q.note secret=q.secret"},
		{"WITH RECURSIVE a (n, s) AS (SELECT 1, ssn FROM p UNION ALL SELECT n + 1, s || name FROM a, p WHERE n < 3) SELECT * FROM a", "n= s=p.ssn,p.ssn~,p.name~"},
		{"WITH RECURSIVE a AS (SELECT id, ssn FROM p UNION SELECT a.* FROM a JOIN q USING (id)) SELECT * FROM a", "id=p.id ssn=p.ssn"},
		{"SELECT wrap(ssn), id FROM p", "wrap=p.ssn~ id=p.id"},
		{"SELECT all_ssn()", "all_ssn=p.ssn~"},
		{"SELECT plain(p), p.plain FROM p", "plain=p.*~,* plain=p.*~,*"},
		{"SELECT a.value->>'k', x FROM p, jsonb_array_elements(p.doc->'l') a, unnest(p.tags) x", "?column?=p.doc~k x=p.tags~"},
		{"SELECT e.key, e.value, n.ordinality FROM p, jsonb_each(doc) e, unnest(tags) WITH ORDINALITY n", "key=p.doc~ value=p.doc~ ordinality="},
		{"SELECT u.lexeme, weights FROM p, unnest(to_tsvector('simple', ssn)) u", "lexeme=p.ssn~ weights=p.ssn~"},
		{"SELECT * FROM unnest('a b'::tsvector) WITH ORDINALITY", "lexeme= positions= weights= ordinality="},
		{"SELECT x FROM p, unnest(array_agg(ssn)) x", "x=p.ssn#"},
		{"SELECT x.a, x.b FROM p, jsonb_to_record(doc) AS x (a text, b int)", "a=p.doc~ b=p.doc~"},
		{"SELECT g FROM generate_series(1, 3) g", "g="},
		{"INSERT INTO q VALUES (9, 1, 'a', 'b') RETURNING secret AS s", "s=q.secret"},
		{"INSERT INTO q (id, note) SELECT id + 10, ssn FROM p RETURNING note, secret", "note=q.note,p.ssn secret=q.secret"},
		{"INSERT INTO q (id, note) VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET note = excluded.note || (SELECT max(ssn) FROM p) RETURNING note", "note=q.note,q.note~,p.ssn#"},
		{"UPDATE q SET note = p.ssn FROM p WHERE p.id = q.id RETURNING q.*, p.name", "id=q.id p_id=q.p_id note=q.note,p.ssn secret=q.secret name=p.name"},
		{"UPDATE q SET (note, secret) = (SELECT ssn, name FROM p WHERE p.id = q.id) RETURNING note, secret", "note=q.note,p.ssn secret=q.secret,p.name"},
		{"DELETE FROM q USING p WHERE p.id = q.id RETURNING note, ssn", "note=q.note ssn=p.ssn"},
		{"WITH d AS (DELETE FROM q RETURNING *) SELECT secret FROM d", "secret=q.secret"},
		{"SELECT ctid, xmin FROM p", "ctid= xmin="},
		{"SELECT current_setting('x')", "current_setting=*"},
		{"SELECT * FROM tab()", "unknown"},
		{"SELECT b FROM tab()", "b=q.id~,q.secret~"},
		{"SELECT loud FROM gen", "loud=gen.loud,gen.word~"},
		{"SELECT k, w FROM part", "k=part.k w=part.w"},
		{"SELECT w FROM part1", "w=part1.w,part.w"},
		{"SELECT part1 FROM part1", "part1=part1.*,part.k,part.w"},
		{"SELECT relname FROM pg_class", "relname=pg_catalog.pg_class.relname"},
		{"SELECT nosuch FROM p", "nosuch=??"},
		{"SELECT a FROM nosuch", "a=??"},
		{"SELECT * FROM nosuch", "unknown"},
		{"BEGIN", ""},
	} {
		require.Equal(t, c.want, columnsOf(analyze(c.text)), c.text)
	}
}

func TestUses(t *testing.T) {
	analyze, _ := originsAnalyzer(t)
	for text, want := range map[string]string{
		"SELECT id FROM p WHERE ssn LIKE '1%'":                                 "where p.ssn?",
		"SELECT id FROM v WHERE harmless = 'a'":                                "where p.ssn?",
		"SELECT 1 FROM p JOIN q ON q.note = p.ssn":                             "join q.note?,join p.ssn?",
		"SELECT 1 FROM p JOIN (SELECT id, note AS ssn FROM q) x USING (ssn)":   "join p.ssn,join q.note",
		"SELECT count(*) FROM p GROUP BY ssn HAVING max(name) > 'a'":           "group p.ssn,where p.name?",
		"SELECT name, ssn FROM p ORDER BY 2":                                   "order p.ssn",
		"SELECT name, ssn FROM p ORDER BY 1":                                   "order p.name",
		"SELECT ssn AS name FROM p ORDER BY name":                              "order p.ssn",
		"SELECT ssn AS z FROM p GROUP BY z":                                    "group p.ssn",
		"SELECT DISTINCT ssn FROM p":                                           "distinct p.ssn",
		"SELECT DISTINCT ON (ssn) id FROM p":                                   "distinct p.ssn",
		"SELECT id FROM p WHERE EXISTS (SELECT 1 FROM q WHERE q.secret = 'a')": "where q.secret?",
		"SELECT id FROM p WHERE id IN (SELECT p_id FROM q)":                    "where q.p_id?,where p.id?",
		"SELECT id FROM (SELECT id FROM p ORDER BY ssn) x":                     "order p.ssn",
		"SELECT row_number() OVER (ORDER BY ssn) FROM p":                       "order p.ssn~",
		"UPDATE q SET note = 'a' WHERE secret = 'b'":                           "where q.secret?",
		"DELETE FROM q WHERE secret = 'b'":                                     "where q.secret?",
		"SELECT ssn FROM p UNION SELECT note FROM q":                           "distinct p.ssn,distinct q.note",
	} {
		var list []string
		for _, u := range analyze(text).Uses {
			list = append(list, [...]string{"where", "join", "group", "order", "distinct"}[u.In]+" "+originsOf(proxy.Column{Origins: []proxy.Origin{u.Origin}}))
		}
		require.Equal(t, want, strings.Join(list, ","), text)
	}
}

func TestWrites(t *testing.T) {
	analyze, _ := originsAnalyzer(t)
	for text, want := range map[string]string{
		"CREATE TEMP TABLE t AS SELECT ssn AS z, 1 AS one FROM p":  "pg_temp.t.z=p.ssn",
		"CREATE TABLE t (a) AS SELECT ssn FROM p":                  "t.a=p.ssn",
		"SELECT ssn, name INTO t FROM p":                           "t.ssn=p.ssn t.name=p.name",
		"CREATE MATERIALIZED VIEW m AS SELECT upper(ssn) u FROM p": "m.u=p.ssn~",
		"INSERT INTO q (note, id) SELECT ssn, 1 FROM p":            "q.note=p.ssn",
		"INSERT INTO q VALUES (1, 2, 'a')":                         "",
		"INSERT INTO q SELECT id, id, ssn FROM p":                  "q.id=p.id q.p_id=p.id q.note=p.ssn",
		"UPDATE q SET note = (SELECT ssn FROM p LIMIT 1)":          "q.note=p.ssn",
		"MERGE INTO q USING p ON p.id = q.id WHEN MATCHED THEN UPDATE SET note = ssn WHEN NOT MATCHED THEN INSERT (id, secret) VALUES (p.id, name)": "q.id=p.id q.note=p.ssn q.secret=p.name",
		"WITH i AS (INSERT INTO q (id, note) SELECT id, ssn FROM p RETURNING 1) SELECT 1":                                                           "q.id=p.id q.note=p.ssn",
	} {
		var list []string
		for _, w := range analyze(text).Writes {
			list = append(list, strings.TrimPrefix(strings.TrimPrefix(w.Schema+".", "public."), ".")+w.Relation+"."+w.Column.Name+"="+originsOf(w.Column))
		}
		require.Equal(t, want, strings.Join(list, " "), text)
	}
}

func TestCopyColumns(t *testing.T) {
	analyze, _ := originsAnalyzer(t)
	for text, want := range map[string]string{
		"COPY q TO STDOUT":                              "id=q.id p_id=q.p_id note=q.note secret=q.secret",
		"COPY p (ssn, id) TO STDOUT (FORMAT csv)":       "ssn=p.ssn id=p.id",
		"COPY (SELECT ssn AS h FROM p) TO STDOUT":       "h=p.ssn",
		"COPY (DELETE FROM q RETURNING note) TO STDOUT": "note=q.note",
	} {
		f := analyze(text)
		require.Equal(t, want, columnsOf(&proxy.Facts{Columns: f.Copy.Columns, ColumnsKnown: f.Copy.Columns != nil}), text)
	}
}

var marker = regexp.MustCompile(`(?i)<(\w+)\.(\w+)>`)

// The server is the judge: every column of every table holds a marker, and where
// a result shows one, the analysis must have told its column among the origins.
func TestServerAgreesOnOrigins(t *testing.T) {
	analyze, c := originsAnalyzer(t)
	judged, told := 0, 0
	for text := range strings.SplitSeq(originsCorpus, "\n") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		f := analyze(text)
		tx, err := c.Begin(t.Context())
		require.NoError(t, err)
		results, err := tx.Conn().PgConn().Exec(t.Context(), text).ReadAll()
		require.NoError(t, err, text)
		require.NoError(t, tx.Rollback(t.Context()))
		last := results[len(results)-1]
		judged++
		if !f.ColumnsKnown {
			t.Logf("not known: %s", text)
			continue
		}
		told++
		require.Len(t, f.Columns, len(last.FieldDescriptions), text)
		for i, d := range last.FieldDescriptions {
			require.Equal(t, d.Name, f.Columns[i].Name, text)
		}
		for _, row := range last.Rows {
			for i, v := range row {
				for _, m := range marker.FindAllStringSubmatch(string(v), -1) {
					relation, column := strings.ToLower(m[1]), strings.ToLower(m[2])
					found := f.Columns[i].Opaque
					for _, o := range f.Columns[i].Origins {
						found = found || o.How != proxy.DerivedPredicate && o.Relation == relation && (o.Column == column || o.Column == "*")
					}
					require.True(t, found, "%s: column %d shows %s, and the analysis says %s", text, i+1, m[0], columnsOf(f))
				}
			}
		}
	}
	t.Logf("%d judged, of %d the columns are known", judged, told)
	require.Greater(t, judged, 100)
	require.Greater(t, float64(told)/float64(judged), 0.95)
}

var originsCorpus = func() string {
	// Each expression in many places.
	expressions := []string{
		"ssn", "upper(ssn)", "name || ssn", "ssn::varchar", "coalesce(NULL, ssn)", "CASE WHEN id > 0 THEN ssn ELSE name END", "(p).ssn", "p", "(p.*)::text",
		"row_to_json(p)", "to_jsonb(p)->>'ssn'", "array_agg(ssn) OVER ()", "concat(id, name)", "doc->'l'->>0", "tags[1]", "ROW(ssn, id)", "ARRAY[ssn, name]",
		"(SELECT ssn)", "(SELECT max(secret) FROM q)", "ARRAY(SELECT note FROM q)", "greatest(ssn, name)", "format('%s %s', id, ssn)", "jsonb_build_object('a', ssn)",
		"plain(p)", "p.plain", "wrap(ssn)", "xmlelement(name a, ssn)", "overlay(ssn placing 'x' from 20)", "substring(ssn from 1)", "string_to_array(ssn, ',')",
		"translate(ssn, 'q', 'r')", "NULLIF(ssn, 'x')", "(ARRAY[name, ssn])[2]", "json_build_array(p)", "lag(ssn, 0) OVER (ORDER BY id)", "ssn COLLATE \"C\"",
	}
	templates := []string{
		"SELECT %s FROM p", "SELECT x.* FROM (SELECT %s AS e FROM p) x", "WITH a AS (SELECT %s AS e FROM p) SELECT e FROM a", "SELECT %s AS e FROM p UNION ALL SELECT NULL",
		"SELECT (x.e)::text FROM (SELECT %s AS e FROM p) x", "SELECT row_to_json(x) FROM (SELECT %s AS e, 1 AS one FROM p) x", "SELECT l.e FROM p, LATERAL (SELECT %s AS e OFFSET 0) l WHERE p.id = 1",
	}
	var b strings.Builder
	for _, e := range expressions {
		for _, t := range templates {
			if strings.Contains(e, "OVER") && strings.Contains(t, "UNION") || strings.Contains(t, "UNION") && (e == "p" || strings.HasPrefix(e, "ROW") || strings.HasPrefix(e, "json_build") || strings.HasPrefix(e, "row_to") || strings.HasPrefix(e, "(SELECT")) {
				continue
			}
			fmt.Fprintf(&b, t+"\n", e)
		}
	}
	return b.String() + `
SELECT * FROM p, q
SELECT * FROM p JOIN q USING (id)
SELECT * FROM p NATURAL LEFT JOIN q
SELECT * FROM p RIGHT JOIN q ON p.id = q.p_id
SELECT * FROM (p FULL JOIN q USING (id)) AS j
SELECT * FROM p a (x, y, z), LATERAL (SELECT a.z, q.* FROM q WHERE q.id = a.x) b
SELECT * FROM v
SELECT * FROM vv
SELECT * FROM star
SELECT * FROM inner_
SELECT * FROM mv
SELECT v, vv.h FROM v, vv
SELECT (v).harmless FROM v
SELECT * FROM part
SELECT loud, gen FROM gen
SELECT part1, tableoid::regclass, w FROM part1
SELECT (both_).a, both_ FROM c
SELECT (c.both_).* FROM c
SELECT * FROM all_ssn()
SELECT b FROM tab()
SELECT x.* FROM p, unnest(p.tags) WITH ORDINALITY x
SELECT x.value, y.* FROM p, jsonb_array_elements(p.doc->'l') x, jsonb_each_text(p.doc) y
SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY(SELECT ssn FROM p))) x (a, b)
WITH RECURSIVE a (i, s) AS (SELECT 1, ssn FROM p WHERE id = 1 UNION ALL SELECT i + 1, s || name FROM a, p WHERE p.id = 1 AND i < 3) SELECT * FROM a
WITH RECURSIVE a (i, s) AS (SELECT 1, ssn FROM p WHERE id = 1 UNION ALL SELECT i + 1, s FROM a WHERE i < 3) SEARCH DEPTH FIRST BY i, s SET o SELECT * FROM a
WITH RECURSIVE a (i, s) AS (SELECT 1, ssn FROM p WHERE id = 1 UNION ALL SELECT i % 2, s FROM a) CYCLE i, s SET c USING path SELECT * FROM a
WITH a AS (INSERT INTO q (id, note) SELECT id + 20, ssn FROM p RETURNING *) SELECT * FROM a
WITH p AS (SELECT note AS ssn FROM q) SELECT ssn FROM p
WITH x AS (SELECT 1 AS one), p AS (SELECT one, q.* FROM x, q) SELECT * FROM p, public.p AS o WHERE o.id = 1
INSERT INTO q (id, note) SELECT id + 20, ssn FROM p RETURNING *
INSERT INTO q AS t SELECT id + 20, 1, secret, note FROM q RETURNING t, secret
INSERT INTO q VALUES (1, 1, 'x') ON CONFLICT (id) DO UPDATE SET secret = q.note, note = (SELECT max(ssn) FROM p) RETURNING *
UPDATE q SET note = ssn FROM p WHERE p.id = q.id RETURNING *
UPDATE q AS z SET (note, secret) = (SELECT name, ssn FROM p WHERE p.id = z.id) RETURNING z.note, z.secret, row_to_json(z)
UPDATE q SET note = secret, secret = note RETURNING q.*
DELETE FROM q USING p WHERE p.id = q.id RETURNING p.*, q.note
VALUES ((SELECT ssn FROM p LIMIT 1), 'x'), ('y', (SELECT note FROM q LIMIT 1))
SELECT min(x) FROM (SELECT ssn FROM p UNION SELECT note FROM q) y (x)
SELECT note FROM q EXCEPT SELECT ssn FROM p
SELECT ssn FROM p INTERSECT SELECT ssn FROM p
(SELECT ssn FROM p ORDER BY 1 LIMIT 1) UNION ALL (SELECT secret FROM q)
SELECT string_agg(ssn, ',' ORDER BY name), json_object_agg(id, name), xmlagg(xmlelement(name x, ssn)) FROM p
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ssn), mode() WITHIN GROUP (ORDER BY name) FROM p
SELECT name, count(*), max(ssn) FROM p GROUP BY ROLLUP (name)
SELECT x.a FROM p, XMLTABLE('/r/c' PASSING xmlparse(content '<r><c>' || replace(replace(ssn, '<', '&lt;'), '>', '&gt;') || '</c></r>') COLUMNS a text PATH '.') x
SELECT DISTINCT ON (ssn) * FROM p
SELECT true, 1.5, current_date, current_user, 'a'::text, NOT true, -id, interval '1 day', timestamp '2020-01-01' FROM p
SELECT id IS NULL, id = 1, id BETWEEN 1 AND 2, name LIKE 'a', extract(year FROM now()), now() AT TIME ZONE 'utc', trim(both from name), position('a' in name) FROM p
SELECT CASE id WHEN 1 THEN 'a' ELSE ssn END, (SELECT 1 AS one), EXISTS (SELECT 1), cast(id AS text), grouping(id), ARRAY[1], ROW(1), least(1, 2), CAST(NULL AS int[]) FROM p GROUP BY id, ssn
SELECT name::char(20), id::numeric(10, 2), cast(ssn || 'x' AS varchar(20)), tags[1:2], (doc->'l')[0] FROM p
`
}()
