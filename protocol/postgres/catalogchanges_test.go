package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/protocol/sql"
)

// changingSchema has something of everything that a catalog's reading is about.
const changingSchema = `
CREATE SCHEMA app; CREATE SCHEMA other;
CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TYPE app.pair AS (a int, b text); CREATE DOMAIN app.word AS text; CREATE COLLATION app.plain FROM "C";
CREATE TABLE app.p (id int PRIMARY KEY, ssn text, m mood, loud text GENERATED ALWAYS AS (upper(ssn)) STORED);
CREATE TABLE c (id int REFERENCES app.p ON DELETE CASCADE, p int REFERENCES app.p ON UPDATE SET NULL);
CREATE TABLE part (k int, v text) PARTITION BY LIST (k);
CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1); CREATE TABLE part2 PARTITION OF part FOR VALUES IN (2);
CREATE TABLE base (a int, b text); CREATE TABLE heir (x int) INHERITS (base);
CREATE FUNCTION app.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
CREATE FUNCTION app.counts() RETURNS bigint STABLE LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM app.p; END;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE AGGREGATE app.total(int) (SFUNC = int4pl, STYPE = int);
CREATE FUNCTION app.step(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE AGGREGATE app.steps(int) (SFUNC = app.step, STYPE = int);
CREATE OPERATOR app.@@@ (FUNCTION = app.f, RIGHTARG = int);
CREATE VIEW v AS SELECT ssn AS s, m::text AS t, OPERATOR(app.@@@) id AS o, app.f(id) AS n, ssn COLLATE app.plain AS k FROM app.p;
CREATE VIEW vv AS SELECT s FROM v; CREATE MATERIALIZED VIEW kept AS SELECT * FROM vv;
CREATE TABLE computed (a int, b int GENERATED ALWAYS AS (app.f(a)) STORED);
CREATE TRIGGER t1 BEFORE INSERT ON app.p FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER t2 BEFORE UPDATE ON app.p FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE r1 AS ON INSERT TO c DO ALSO DELETE FROM app.p WHERE id = new.id;
CREATE RULE r2 AS ON DELETE TO vv DO INSTEAD NOTHING;
CREATE SEQUENCE numbers; CREATE TABLE typed OF app.pair; CREATE ROLE %[1]s_role;`

// changings are statements, each of which changes something of a catalog.
var changings = strings.Split(`CREATE TABLE n (a int PRIMARY KEY, b text NOT NULL)
CREATE TABLE n2 (LIKE app.p INCLUDING ALL)
ALTER TABLE n ADD COLUMN c int DEFAULT 7
ALTER TABLE n RENAME COLUMN c TO d
ALTER TABLE n ALTER d SET NOT NULL
ALTER TABLE n ALTER d DROP NOT NULL
ALTER TABLE n ALTER d TYPE bigint
ALTER TABLE n ALTER b TYPE varchar
ALTER TABLE n DROP COLUMN d
ALTER TABLE app.p RENAME COLUMN ssn TO secret
ALTER TABLE app.p RENAME TO people
ALTER TABLE app.people SET SCHEMA other
ALTER TABLE other.people RENAME TO p; ALTER TABLE other.p SET SCHEMA app
ALTER SCHEMA app RENAME TO application
ALTER SCHEMA application RENAME TO app
ALTER FUNCTION app.f(int) RENAME TO g
ALTER FUNCTION app.g(int) SET SCHEMA other
ALTER FUNCTION other.g(int) SET search_path = app
ALTER FUNCTION other.g(int) RENAME TO f; ALTER FUNCTION other.f(int) SET SCHEMA app
CREATE OR REPLACE FUNCTION app.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 2'
ALTER FUNCTION app.step(int, int) RENAME TO pace
ALTER TYPE mood RENAME TO temper
ALTER TYPE mood_ SET SCHEMA app
ALTER TYPE temper SET SCHEMA app
ALTER OPERATOR app.@@@ (NONE, int) SET SCHEMA other
ALTER COLLATION app.plain RENAME TO simple
ALTER TYPE app.pair RENAME ATTRIBUTE b TO c CASCADE
ALTER TABLE app.p RENAME CONSTRAINT p_pkey TO p_key
CREATE OR REPLACE VIEW vv AS SELECT s, 1 AS one FROM v
ALTER VIEW vv RENAME TO vvv
ALTER VIEW vvv RENAME COLUMN one TO uno
ALTER MATERIALIZED VIEW kept RENAME TO held
REFRESH MATERIALIZED VIEW held
ALTER TABLE app.p DISABLE TRIGGER t1
ALTER TABLE app.p ENABLE TRIGGER t1
DROP TRIGGER t1 ON app.p
DROP TRIGGER t2 ON app.p; CREATE TRIGGER t3 BEFORE DELETE ON c FOR EACH ROW EXECUTE FUNCTION touch()
DROP TRIGGER t3 ON c
ALTER TABLE c DISABLE RULE r1
ALTER TABLE c ENABLE RULE r1
ALTER RULE r1 ON c RENAME TO r9
DROP RULE r9 ON c
DROP RULE r2 ON vvv
CREATE RULE r3 AS ON UPDATE TO c DO ALSO NOTHING
ALTER TABLE c DROP CONSTRAINT c_p_fkey
ALTER TABLE c ADD CONSTRAINT again FOREIGN KEY (p) REFERENCES app.p ON DELETE SET NULL
ALTER TABLE c DROP CONSTRAINT again, DROP CONSTRAINT c_id_fkey
ALTER TABLE part DETACH PARTITION part1
ALTER TABLE part ATTACH PARTITION part1 FOR VALUES IN (3)
CREATE TABLE part3 PARTITION OF part FOR VALUES IN (4)
DROP TABLE part3
ALTER TABLE part RENAME COLUMN v TO w
ALTER TABLE heir NO INHERIT base
ALTER TABLE heir INHERIT base
DROP TABLE base CASCADE
ALTER TABLE computed ALTER b DROP EXPRESSION
TRUNCATE n
CREATE INDEX ON n (b)
GRANT SELECT ON n TO %[1]s_role
GRANT USAGE ON SCHEMA app TO %[1]s_role
CREATE SCHEMA %[1]s_new CREATE TABLE inside (a int)
DROP SCHEMA %[1]s_new CASCADE
ALTER SEQUENCE numbers RENAME TO digits
DROP SEQUENCE digits
CREATE TEMPORARY TABLE hidden (a int)
CREATE UNLOGGED TABLE fast (a int)
ALTER TABLE fast SET LOGGED
DROP AGGREGATE app.total(int)
DROP FUNCTION app.counts()
CREATE EXTENSION pg_trgm
DROP EXTENSION pg_trgm
DROP VIEW v CASCADE
BEGIN; CREATE TABLE both_ (a int); DROP TABLE n2; COMMIT
BEGIN; CREATE TABLE never (a int); ROLLBACK
BEGIN; CREATE TABLE outer_ (a int); SAVEPOINT s; ALTER TABLE outer_ ADD b int; RELEASE s; SAVEPOINT t; ALTER TABLE outer_ ADD never int; ROLLBACK TO t; COMMIT
DROP TABLE n; CREATE TABLE n (other text)
DROP OPERATOR other.@@@ (NONE, int)
VACUUM FULL pg_class
VACUUM FREEZE pg_attribute
DROP SCHEMA app CASCADE`, "\n")

// lines says what a snapshot holds.
func lines(s *sql.Snapshot) string {
	c := s.Contents
	c.Relations, c.Functions = nil, nil
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n", c)
	for _, r := range s.Relations {
		fmt.Fprintf(&b, "%+v\n", *r)
	}
	for _, f := range s.Functions {
		fmt.Fprintf(&b, "%+v\n", *f)
	}
	return b.String()
}

// Reading what has changed says what reading everything says, after every kind of change,
// and reads far less.
func TestReadingWhatHasChanged(t *testing.T) {
	g := startGate(t, gateConfig{})
	testserver.Exec(t, g.pg, g.db, fmt.Sprintf(changingSchema, g.db))
	t.Cleanup(func() {
		testserver.Exec(t, g.pg, g.db, fmt.Sprintf("DROP OWNED BY %[1]s_role; DROP ROLE %[1]s_role", g.db))
	})
	conn, err := pgx.Connect(t.Context(), testserver.URL(pgembed.User, g.pg.Password, g.pg.Address(), g.db, "sslmode=disable"))
	require.NoError(t, err)
	defer conn.Close(context.Background())
	key := sql.CatalogKey{Resource: "orders", Database: g.db, Account: "main"}
	reader, other := &CatalogReader{Gateway: g.Gateway}, &CatalogReader{Gateway: g.Gateway}
	defer reader.Close()
	defer other.Close()
	s, err := reader.Load(t.Context(), key, nil)
	require.NoError(t, err)
	all := reader.rows.Load()
	for _, text := range changings {
		text = strings.ReplaceAll(text, "%[1]s", g.db)
		_, err := conn.Exec(t.Context(), text)
		if text == "ALTER TYPE mood_ SET SCHEMA app" {
			require.Error(t, err)
		} else {
			require.NoError(t, err, text)
		}
		rows := reader.rows.Load()
		s, err = reader.Load(t.Context(), key, s)
		require.NoError(t, err, text)
		whole, err := other.Load(t.Context(), key, nil)
		require.NoError(t, err, text)
		require.Equal(t, lines(whole), lines(s), text)
		if !strings.Contains(text, "DROP") && !strings.HasPrefix(text, "VACUUM") {
			require.Less(t, reader.rows.Load()-rows, all/4, text)
		}
	}
	require.EqualValues(t, 1, reader.whole.Load())
}

// What a change costs hangs on what has changed, and not on how much there is.
func TestChangesOfALargeCatalog(t *testing.T) {
	const tables = 5000
	g := startGate(t, gateConfig{})
	testserver.Exec(t, g.pg, g.db, fmt.Sprintf(`CREATE TABLE parent (id int PRIMARY KEY);
DO $$BEGIN FOR i IN 1..%d LOOP EXECUTE format('CREATE TABLE t%%s (id int, a int, b int, c int)', i); IF i %% 500 = 0 THEN COMMIT; END IF; END LOOP; END$$`, tables))
	key := sql.CatalogKey{Resource: "orders", Database: g.db, Account: "main"}
	reader := &CatalogReader{Gateway: g.Gateway}
	defer reader.Close()
	before, err := reader.Load(t.Context(), key, nil)
	require.NoError(t, err)
	require.Greater(t, reader.rows.Load(), int64(5*tables))
	for _, c := range []struct {
		text string
		most int64
	}{
		{"CREATE TABLE n (id int, v text)", 30},
		{"ALTER TABLE n ADD w int", 30},
		{"CREATE VIEW shows AS SELECT * FROM n", 40},
		{"ALTER TABLE n RENAME v TO x", 40},
		{"ALTER TABLE t17 ADD FOREIGN KEY (id) REFERENCES parent ON DELETE CASCADE", 30},
		{"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", 30},
		{"DO $$BEGIN FOR i IN 1..100 LOOP EXECUTE format('ALTER TABLE t%s ADD d int', i); END LOOP; END$$", 1000},
		{"DROP TABLE n CASCADE", tables + 500}, // the numbers of what is left
		{"SELECT 1", 20},
	} {
		testserver.Exec(t, g.pg, g.db, c.text)
		rows := reader.rows.Load()
		after, err := reader.Load(t.Context(), key, before)
		require.NoError(t, err, c.text)
		require.LessOrEqual(t, reader.rows.Load()-rows, c.most, c.text)
		require.Same(t, before.Relation("", "t4711"), after.Relation("", "t4711"), "what has not changed is shared")
		before = after
	}
	require.EqualValues(t, 1, reader.whole.Load())
	require.NotNil(t, before.Relation("", "t100").Column("d"))
	require.Nil(t, before.Relation("", "shows"))
}

// What is of another server, database or time is read as a whole.
func TestReadingAnew(t *testing.T) {
	g := startGate(t, gateConfig{sql: "CREATE SCHEMA app; CREATE TABLE t (a int)"})
	key := sql.CatalogKey{Resource: "orders", Database: g.db, Account: "main"}
	reader := &CatalogReader{Gateway: g.Gateway}
	defer reader.Close()
	var s *sql.Snapshot
	load := func(whole int64, why string) {
		t.Helper()
		before := reader.whole.Load()
		var err error
		s, err = reader.Load(t.Context(), key, s)
		require.NoError(t, err, why)
		require.Equal(t, whole, reader.whole.Load()-before, why)
	}
	load(1, "the first")
	load(0, "nothing has changed")
	resting := func() *catalogConn {
		reader.mu.Lock()
		defer reader.mu.Unlock()
		return reader.idle[connFor{CatalogKey: key}]
	}
	first := resting()
	require.NotNil(t, first)
	testserver.Exec(t, g.pg, "postgres", fmt.Sprintf("ALTER DATABASE %s SET search_path = app", g.db))
	load(0, "the role's settings have changed")
	require.Equal(t, []string{"pg_catalog", "app"}, s.Path)
	require.NotSame(t, first, resting())
	testserver.Exec(t, g.pg, "postgres", fmt.Sprintf("ALTER DATABASE %s RESET search_path", g.db))
	load(0, "and again")
	require.Equal(t, []string{"pg_catalog", "public"}, s.Path)

	testserver.Exec(t, g.pg, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sallyport catalog' AND datname = '"+g.db+"'")
	testserver.Exec(t, g.pg, g.db, "CREATE TABLE u (a int)")
	load(0, "the connection was ended")
	require.NotNil(t, s.Relation("", "u"))

	resting().opened = resting().opened.Add(-2 * catalogLife)
	first = resting()
	load(0, "the connection is old")
	require.NotSame(t, first, resting())

	// Nobody is in the way of dropping the database for longer than the server waits.
	testserver.Exec(t, g.pg, "postgres", fmt.Sprintf("DROP DATABASE %s", g.db))
	testserver.Exec(t, g.pg, "postgres", fmt.Sprintf("CREATE DATABASE %s", g.db))
	testserver.Exec(t, g.pg, g.db, "CREATE TABLE w (a int)")
	load(1, "another database of the same name")
	require.NotNil(t, s.Relation("", "w"))
	require.Nil(t, s.Relation("", "t"))

	s.Mark.(*mark).read = 64 << 20
	load(1, "what was read since the last whole reading is much")
	s.Mark.(*mark).instance = "another"
	load(1, "another server")
	s.Mark = "not a reading of ours"
	load(1, "unknown")
	testserver.Exec(t, g.pg, g.db, "CREATE VIEW v AS SELECT * FROM w")
	holder, err := pgx.Connect(t.Context(), testserver.URL(pgembed.User, g.pg.Password, g.pg.Address(), g.db, "sslmode=disable"))
	require.NoError(t, err)
	defer holder.Close(context.Background())
	_, err = holder.Exec(t.Context(), "BEGIN; LOCK TABLE w")
	require.NoError(t, err)
	load(0, "the view's table is locked")
	require.True(t, s.Partial)
	require.Empty(t, s.Relation("", "v").Definition)
	_, err = holder.Exec(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	load(1, "what was not read")
	require.False(t, s.Partial)
	require.NotEmpty(t, s.Relation("", "v").Definition)
	require.NoError(t, reader.Close())
	load(0, "a reader that is closed keeps no connection")
	require.Nil(t, resting())
}

// Of a server that says other than it has, what has changed is not believed: everything
// is read, and that within its bounds.
func TestChangesThatDoNotAddUp(t *testing.T) {
	g := startGate(t, gateConfig{sql: "CREATE TABLE t (a int); CREATE TABLE u (a int)"})
	key := sql.CatalogKey{Resource: "orders", Database: g.db, Account: "main"}
	reader := &CatalogReader{Gateway: g.Gateway}
	defer reader.Close()
	s, err := reader.Load(t.Context(), key, nil)
	require.NoError(t, err)
	for _, lose := range []string{"t", "pg_class"} { // as if it had not been there
		c := s.Contents
		c.Relations = nil
		for _, r := range s.Relations {
			if r.Name != lose {
				c.Relations = append(c.Relations, r)
			}
		}
		broken := sql.NewSnapshot(c)
		broken.Mark = s.Mark
		whole := reader.whole.Load()
		s, err = reader.Load(t.Context(), key, broken)
		require.NoError(t, err)
		require.NotNil(t, s.Relation("", lose))
		require.Equal(t, whole+1, reader.whole.Load())
	}
	small := &CatalogReader{Gateway: g.Gateway, MaxBytes: 300}
	defer small.Close()
	s.Mark.(*mark).read = 0
	_, err = small.Load(t.Context(), key, s)
	require.ErrorContains(t, err, "too large")
}
