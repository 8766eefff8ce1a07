package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// what a transaction has done to a table, by the server's own counters.
type done struct{ reads, inserts, updates, deletes int64 }

// The server is the judge: each statement is run in a transaction, the server's
// counters say what it did to which table, and the analysis must have said so:
// never a lesser effect.
func TestServerAgrees(t *testing.T) {
	server, database := testserver.Database(t, `
CREATE TABLE t (id int PRIMARY KEY, x int, n text);
CREATE TABLE u (id int PRIMARY KEY, x int, n text);
CREATE TABLE child () INHERITS (t);
INSERT INTO t SELECT i, i, 'n' || i FROM generate_series(1, 20) i;
INSERT INTO u SELECT i, i, 'n' || i FROM generate_series(1, 20) i;
CREATE VIEW v AS SELECT * FROM t;
CREATE SEQUENCE s;
CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM u RETURNING id';
CREATE PROCEDURE wiping() LANGUAGE sql AS 'DELETE FROM u';
CREATE FUNCTION counting(int) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM t WHERE id > $1';
ANALYZE;`)
	c, err := pgx.Connect(context.Background(), testserver.URL(pgembed.User, server.Password, server.Address(), database, "sslmode=disable"))
	require.NoError(t, err)
	defer c.Close(context.Background())
	agree(t, c, corpus, 90, func(text string) *proxy.Facts { return analyze(t, text) })
	// With the catalog: triggers, rules, views, foreign keys, partitions, and
	// functions whose text is there.
	testserver.Exec(t, server, database, setOff)
	a := New(Config{Catalog: readCatalog(t, server, database)})
	agree(t, c, corpus+setOffCorpus, 120, func(text string) *proxy.Facts {
		f := a.Analyze(context.Background(), []byte(text), &proxy.Reading{})
		if strings.HasSuffix(text, "-- known") {
			require.False(t, f.Effects.Has(proxy.EffectUnknown|proxy.EffectCall), "%s: %s %s", text, f.Effects, f.Unknown)
		}
		if strings.HasSuffix(text, "-- call") {
			require.True(t, f.Effects.Has(proxy.EffectCall), "%s: %s", text, f.Effects)
		}
		return f
	})
}

// Backslashes in plain literals are read in one of two ways, and what the server
// does in either must have been told.
func TestServerAgreesOnReadings(t *testing.T) {
	server, database := testserver.Database(t, `
CREATE TABLE t (id int PRIMARY KEY, x int, n text);
CREATE TABLE u (id int PRIMARY KEY, x int, n text);
INSERT INTO t SELECT i, i, 'n' FROM generate_series(1, 5) i; INSERT INTO u SELECT * FROM t;`)
	c, err := pgx.Connect(context.Background(), testserver.URL(pgembed.User, server.Password, server.Address(), database, "sslmode=disable"))
	require.NoError(t, err)
	defer c.Close(context.Background())
	ran := 0
	for _, setting := range []string{"on", "off"} {
		_, err := c.Exec(t.Context(), "SET standard_conforming_strings = "+setting+"; SET escape_string_warning = off; SET backslash_quote = on")
		require.NoError(t, err)
		for _, text := range []string{
			`SELECT 'a\'; DELETE FROM t; --'`, `SELECT 'a\''; DELETE FROM t; --'`, `SELECT 'a\\'; DELETE FROM t; --'`,
			`SELECT N'a\'; DELETE FROM t; --'`, `SELECT E'a\'; DELETE FROM t; --'`, `SELECT E'a\'''; DELETE FROM t; --'`,
			"SELECT 'a'\n'b\\'; DELETE FROM t; --'", `DELETE FROM t WHERE n = 'a\' OR n IN (SELECT n FROM u) -- '`,
			`DELETE FROM t WHERE n = '\'' OR id IN (SELECT id FROM u) OR n = '\''`, `UPDATE t SET n = '\', x = (SELECT max(x) FROM u) WHERE id = 1 --'`,
			`SELECT 'C:\dir\' FROM t`, `SELECT n LIKE 'a\_b' FROM t`, `SELECT 'x\', (SELECT max(id) FROM u), '\y'`,
		} {
			judged, err := judge(c, text)
			if err != nil {
				continue // not in this reading
			}
			ran++
			f := analyze(t, text)
			require.False(t, f.Effects.Has(proxy.EffectUnknown), "%s: %s", text, f.Unknown)
			for table, d := range judged {
				require.True(t, d.deletes == 0 || touched(f, table, proxy.EffectDelete), "%s: %s", text, relations(f))
				require.True(t, d.updates == 0 || touched(f, table, proxy.EffectUpdate), "%s: %s", text, relations(f))
				require.True(t, d.reads == 0 || touched(f, table, proxy.EffectRead|proxy.EffectDelete|proxy.EffectUpdate), "%s: %s", text, relations(f))
			}
		}
	}
	require.Greater(t, ran, 9)
}

// agree has the server judge a corpus of at least least statements.
func agree(t *testing.T, c *pgx.Conn, corpus string, least int, analyze func(text string) *proxy.Facts) {
	t.Helper()
	_, err := c.Exec(t.Context(), "DEALLOCATE ALL")
	require.NoError(t, err)
	n := 0
	for text := range strings.SplitSeq(corpus, "\n") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		judged, err := judge(c, strings.ReplaceAll(text, "⏎", "\n"))
		require.NoError(t, err, text)
		f := analyze(strings.ReplaceAll(text, "⏎", "\n"))
		require.False(t, f.Effects == proxy.EffectUnknown && !strings.Contains(text, "-- unknown"), "%s: %s", text, f.Unknown)
		for table, d := range judged {
			for _, e := range []struct {
				count  int64
				effect proxy.Effects
			}{{d.inserts, proxy.EffectInsert}, {d.updates, proxy.EffectUpdate}, {d.deletes, proxy.EffectDelete}, {d.reads, proxy.EffectRead | proxy.EffectUpdate | proxy.EffectDelete | proxy.EffectInsert | proxy.EffectMaintain | proxy.EffectsDDL | proxy.EffectTruncate}} {
				if e.count == 0 {
					continue
				}
				// What is not understood, or is a call of somebody's function, may do
				// anything, and says so.
				if f.Effects.Has(proxy.EffectUnknown | proxy.EffectCall | proxy.EffectDo) {
					continue
				}
				require.True(t, f.Effects.Has(e.effect), "%s: the server did %+v to %s, and the analysis says %s", text, d, table, f.Effects)
				require.True(t, touched(f, table, e.effect), "%s: the server did %+v to %s, and the analysis says %s", text, d, table, relations(f))
			}
		}
		n++
	}
	t.Logf("%d statements judged", n)
	require.Greater(t, n, least)
}

// setOff is what statements set off that their text does not show.
const setOff = `
CREATE TABLE log (what text);
CREATE TABLE trg (id int, x int);
INSERT INTO trg SELECT i, i FROM generate_series(1, 5) i;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (TG_OP); RETURN NEW; END';
CREATE TRIGGER t1 BEFORE INSERT OR UPDATE ON trg FOR EACH ROW EXECUTE FUNCTION note();
CREATE TABLE ruled (id int, x int);
INSERT INTO ruled SELECT i, i FROM generate_series(1, 5) i;
CREATE RULE r1 AS ON INSERT TO ruled DO ALSO INSERT INTO log VALUES (new.x::text);
CREATE RULE r2 AS ON DELETE TO ruled DO INSTEAD UPDATE u SET x = 0 WHERE id = old.id;
CREATE VIEW auto AS SELECT id, x FROM t WHERE id > 0;
CREATE VIEW auto2 AS SELECT id FROM auto;
CREATE VIEW joined AS SELECT t.id, u.x FROM t JOIN u USING (id);
CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM u; RETURN OLD; END';
CREATE TRIGGER t2 INSTEAD OF DELETE ON joined FOR EACH ROW EXECUTE FUNCTION instead();
CREATE VIEW evil AS SELECT wipe();
CREATE VIEW ruledview AS SELECT id, x FROM u;
CREATE RULE r3 AS ON UPDATE TO ruledview DO INSTEAD DELETE FROM t WHERE id = old.id;
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE kid (id int PRIMARY KEY, p int REFERENCES parent ON DELETE CASCADE);
CREATE TABLE grandkid (k int REFERENCES kid ON DELETE SET NULL);
INSERT INTO parent VALUES (1), (2); INSERT INTO kid VALUES (1, 1); INSERT INTO grandkid VALUES (1);
CREATE TABLE parted (k int, v int) PARTITION BY LIST (k);
CREATE TABLE parted1 PARTITION OF parted FOR VALUES IN (1);
INSERT INTO parted VALUES (1, 1);
CREATE FUNCTION deep(int) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT counting($1) + count(*) FROM u';
CREATE FUNCTION lies() RETURNS int STABLE LANGUAGE sql AS 'SELECT wipe()';
CREATE FUNCTION t_wipe(t) RETURNS int LANGUAGE sql AS 'DELETE FROM u RETURNING id';
CREATE FUNCTION standard() RETURNS bigint STABLE LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM u; END;
CREATE FUNCTION opf(int, int) RETURNS bool LANGUAGE sql AS 'DELETE FROM u RETURNING true';
CREATE OPERATOR @!@ (FUNCTION = opf, LEFTARG = int, RIGHTARG = int);`

// setOffCorpus is a statement a line; of those marked as known the analysis must
// know everything.
const setOffCorpus = `
INSERT INTO trg VALUES (6, 6) -- call
UPDATE trg SET x = 1 WHERE id = 1 -- call
DELETE FROM trg WHERE id = 1 -- known
INSERT INTO ruled VALUES (6, 6) -- known
DELETE FROM ruled WHERE id = 1 -- known
UPDATE ruled SET x = 2 WHERE id = 2 -- known
INSERT INTO auto VALUES (500, 1) -- known
UPDATE auto SET x = 1 WHERE id = 1 -- known
DELETE FROM auto WHERE id = 1 -- known
DELETE FROM auto2 WHERE id = 1 -- known
SELECT * FROM auto2 -- known
SELECT * FROM joined -- known
DELETE FROM joined WHERE id = 1 -- call
SELECT * FROM evil -- call
SELECT 1 FROM t WHERE EXISTS (TABLE evil) -- call
UPDATE ruledview SET x = 1 WHERE id = 1 -- known
DELETE FROM parent WHERE id = 1 -- known
WITH d AS (DELETE FROM parent WHERE id = 1 RETURNING 1) SELECT * FROM d -- known
SELECT * FROM parted -- known
INSERT INTO parted VALUES (1, 2) -- known
UPDATE parted SET v = 3 -- known
SELECT counting(3) -- known
SELECT deep(3) FROM t -- known
SELECT standard() -- known
SELECT lies() -- call
SELECT wipe() -- call
SELECT t.t_wipe FROM t WHERE id = 1 -- call
SELECT (t).t_wipe FROM t WHERE id = 1 -- call
SELECT (x.y).t_wipe FROM (SELECT t AS y FROM t WHERE id = 1) x -- call
SELECT 1 @!@ 2 -- call
SELECT x.n FROM (SELECT lower(n) AS n FROM t) x -- known
SELECT DISTINCT information_schema._pg_truetypid(a.*, ty.*) FROM pg_attribute a, pg_type ty WHERE a.atttypid = ty.oid -- known
UPDATE pg_settings SET setting = 'off' WHERE name = 'enable_seqscan'
`

// touched reports whether the analysis names the table; views and parents count
// as theirs.
func touched(f *proxy.Facts, table string, e proxy.Effects) bool {
	for _, r := range f.Relations {
		if r.Effects.Has(e) && (r.Name == table || r.Name == "v" && table != "u" || r.Name == "t" && table == "child") {
			return true
		}
	}
	return false
}

func judge(c *pgx.Conn, text string) (map[string]done, error) {
	ctx := context.Background()
	if _, err := c.Exec(ctx, "BEGIN"); err != nil {
		return nil, err
	}
	defer c.Exec(ctx, "ROLLBACK")
	before, err := counters(c)
	if err != nil {
		return nil, err
	}
	results, err := c.PgConn().Exec(ctx, text).ReadAll()
	for _, r := range results {
		err = errors.Join(err, r.Err)
	}
	if err != nil {
		return nil, err
	}
	if c.PgConn().TxStatus() != 'T' {
		return nil, errors.New("it ended the transaction")
	}
	after, err := counters(c)
	judged := map[string]done{}
	for table, d := range after {
		b := before[table] // what earlier transactions left to be counted
		if d = (done{d.reads - b.reads, d.inserts - b.inserts, d.updates - b.updates, d.deletes - b.deletes}); d != (done{}) {
			judged[table] = d
		}
	}
	return judged, err
}

func counters(c *pgx.Conn) (map[string]done, error) {
	rows, err := c.Query(context.Background(), `SELECT relname::text, coalesce(seq_scan, 0) + coalesce(idx_scan, 0), n_tup_ins, n_tup_upd, n_tup_del
FROM pg_stat_xact_user_tables`, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, err
	}
	counted := map[string]done{}
	var name string
	var d done
	_, err = pgx.ForEachRow(rows, []any{&name, &d.reads, &d.inserts, &d.updates, &d.deletes}, func() error {
		counted[name] = d
		return nil
	})
	return counted, err
}

// corpus is a statement a line; ⏎ is a line's end in it.
const corpus = `
SELECT 1
SELECT * FROM t
TABLE t
SELECT * FROM v
SELECT * FROM ONLY t WHERE id = 1
select n from public.T where id between 1 and 3
SELECT (SELECT max(x) FROM u) FROM t
SELECT * FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.id = t.id)
SELECT * FROM t WHERE id IN (SELECT id FROM u)
SELECT * FROM t WHERE x > ALL (SELECT x FROM u WHERE x < 0)
SELECT t.id FROM t JOIN u USING (id)
SELECT * FROM t NATURAL JOIN u
SELECT * FROM t, LATERAL (SELECT * FROM u WHERE u.id = t.id) l
SELECT * FROM t LEFT JOIN u ON t.id = u.id AND u.x > (SELECT min(x) FROM u)
SELECT id FROM t UNION SELECT id FROM u
SELECT id FROM t EXCEPT SELECT id FROM u
(SELECT id FROM t) INTERSECT (SELECT id FROM u) ORDER BY 1 LIMIT 1
WITH a AS (SELECT * FROM t) SELECT * FROM a
WITH RECURSIVE a AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM a WHERE i < 3) SELECT * FROM a JOIN t ON t.id = a.i
WITH t AS (SELECT * FROM u) SELECT * FROM t
WITH t AS (SELECT * FROM t) SELECT * FROM t
SELECT * FROM (WITH t AS (SELECT 1 AS one) SELECT * FROM t) a, t b
WITH d AS (DELETE FROM t WHERE id = 1 RETURNING *) SELECT * FROM d
WITH d AS (DELETE FROM t RETURNING *), i AS (INSERT INTO u SELECT id + 100, x, n FROM d RETURNING *) SELECT count(*) FROM i
WITH d AS (DELETE FROM u) INSERT INTO t SELECT 500, 1, 'x'
WITH t AS (SELECT 1 AS id) DELETE FROM t WHERE id = 2
SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM u)) FROM t
SELECT sum(x) OVER (PARTITION BY (SELECT 1 FROM u LIMIT 1)) FROM t
SELECT CASE WHEN EXISTS (TABLE u) THEN 1 ELSE 2 END
SELECT ARRAY(SELECT id FROM u)
SELECT ROW((SELECT count(*) FROM u), 1)
SELECT * FROM unnest(ARRAY(SELECT id FROM u)) x
SELECT * FROM ROWS FROM (generate_series(1, (SELECT count(*) FROM u)::int)) x
SELECT COALESCE((SELECT x FROM u WHERE id = 1), 0), NULLIF((SELECT 1 FROM t LIMIT 1), 2)
SELECT GREATEST((SELECT max(x) FROM u), 1)
SELECT x FROM t GROUP BY x HAVING count(*) > (SELECT 0 FROM u LIMIT 1)
SELECT x FROM t GROUP BY GROUPING SETS ((x), ())
SELECT 1 ORDER BY (SELECT 1 FROM u LIMIT 1)
SELECT 1 LIMIT (SELECT count(*) FROM u)
SELECT 1 OFFSET (SELECT count(*) FROM u)
SELECT DISTINCT ON (x) * FROM t
SELECT DISTINCT ON ((SELECT 1 FROM u LIMIT 1)) * FROM t
SELECT * FROM t TABLESAMPLE bernoulli (50)
SELECT * FROM t FOR UPDATE
SELECT * FROM t WHERE id = 1 FOR SHARE OF t
VALUES (1), ((SELECT count(*) FROM u))
SELECT * FROM (VALUES (1, (SELECT max(id) FROM u))) a (b, c)
SELECT xmlelement(name a, (SELECT n FROM u WHERE id = 1))
SELECT xmlforest((SELECT n FROM u WHERE id = 1) AS b)
SELECT (SELECT t FROM t WHERE id = 1)
SELECT t.* FROM t WHERE (id, x) = (SELECT id, x FROM u WHERE id = 1)
SELECT (ARRAY[1, 2])[(SELECT 1 FROM u LIMIT 1)]
SELECT x IS DISTINCT FROM (SELECT 1 FROM u LIMIT 1) FROM t
SELECT x BETWEEN (SELECT 1 FROM u LIMIT 1) AND 3 FROM t
SELECT n LIKE (SELECT n FROM u LIMIT 1) FROM t
SELECT (SELECT 1 FROM u LIMIT 1)::text COLLATE "C"
SELECT extract(year FROM (SELECT now() FROM u LIMIT 1))
SELECT substring((SELECT n FROM u LIMIT 1) FROM 1 FOR 2), trim(both ' ' from (SELECT n FROM u LIMIT 1)), position('a' in (SELECT n FROM u LIMIT 1))
INSERT INTO t VALUES (100, 1, 'a')
INSERT INTO t VALUES (100, (SELECT max(x) FROM u), 'a')
INSERT INTO t SELECT id + 200, x, n FROM u
INSERT INTO t (id) VALUES (100) RETURNING *
INSERT INTO t (id) VALUES (100) RETURNING (SELECT count(*) FROM u)
INSERT INTO t VALUES (1, 2, 'c') ON CONFLICT DO NOTHING
INSERT INTO t VALUES (1, 2, 'c') ON CONFLICT (id) DO UPDATE SET x = excluded.x
INSERT INTO t VALUES (1, 2, 'c') ON CONFLICT (id) DO UPDATE SET x = (SELECT max(x) FROM u) WHERE t.x > (SELECT 0 FROM u LIMIT 1)
INSERT INTO t TABLE u ON CONFLICT DO NOTHING
WITH a AS (SELECT 300 AS id) INSERT INTO t (id) SELECT id FROM a
UPDATE t SET x = 1
UPDATE t SET x = 1 WHERE id = 1
UPDATE ONLY t SET (x, n) = (SELECT x, n FROM u WHERE u.id = t.id)
UPDATE t SET x = u.x FROM u WHERE u.id = t.id
UPDATE t AS a SET x = b.x FROM t AS b, u WHERE a.id = b.id AND u.id = a.id
UPDATE t SET x = DEFAULT WHERE id = (SELECT min(id) FROM u) RETURNING *
UPDATE v SET x = 3 WHERE id = 1
DELETE FROM t
DELETE FROM t WHERE id IN (SELECT id FROM u WHERE x > 3)
DELETE FROM t USING u WHERE t.id = u.id
DELETE FROM v WHERE id = 1
DELETE FROM "t" WHERE "id" = 1
DELETE FROM U&"\0074"
delete/* */from⏎t--
DELETE FROM t WHERE n = 'a' ⏎ 'b' OR true
DELETE FROM t WHERE n = E'\'' OR n = $$'$$ OR id = 1
MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE
MERGE INTO t USING u ON t.id = u.id WHEN MATCHED AND u.x > 3 THEN UPDATE SET x = 0 WHEN NOT MATCHED THEN INSERT VALUES (u.id, 1, 'x')
MERGE INTO t USING (SELECT id + 10 AS id FROM u) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id, (SELECT max(x) FROM u), 'x') WHEN MATCHED THEN DO NOTHING
SELECT 1; DELETE FROM t
DELETE FROM t; SELECT 1;
CREATE TABLE w AS SELECT * FROM t
SELECT * INTO w FROM t
CREATE MATERIALIZED VIEW m AS SELECT * FROM t
CREATE VIEW w AS SELECT * FROM t
EXPLAIN DELETE FROM t
EXPLAIN ANALYZE DELETE FROM t
EXPLAIN (ANALYZE, COSTS off) INSERT INTO t VALUES (100, 1, 'a')
EXPLAIN (ANALYZE false) DELETE FROM t
EXPLAIN ANALYZE SELECT * FROM t
PREPARE p1 AS DELETE FROM t
DECLARE c CURSOR FOR SELECT * FROM t; FETCH ALL FROM c
DO $$BEGIN DELETE FROM t; END$$
SELECT wipe()
SELECT * FROM wipe()
SELECT id FROM t WHERE id = wipe()
SELECT counting(3)
CALL wiping()
SELECT nextval('s')
TRUNCATE u
LOCK TABLE t IN ACCESS SHARE MODE
CREATE INDEX ON t (x)
ANALYZE t
ALTER TABLE t ADD COLUMN y int DEFAULT 3
SELECT * FROM information_schema.tables
SELECT set_config('search_path', 'public', true)
SELECT pg_advisory_xact_lock(1)
`
