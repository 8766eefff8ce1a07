package gateway

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
)

// openShop runs a gateway by the default packs for alice, who may do everything, in
// front of a database of app's with a schema.
func openShop(t *testing.T, schema string) (h *house, server *pgembed.Server, database string) {
	t.Helper()
	dir := t.TempDir()
	server, authority := testserver.Shared(t)
	testserver.Exec(t, server, "postgres", `DO $$BEGIN
IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'app') THEN CREATE ROLE app LOGIN PASSWORD '`+password+`'; END IF; END$$`)
	_, database = testserver.Database(t, "")
	testserver.Exec(t, server, "postgres", "ALTER DATABASE "+database+" OWNER TO app")
	testserver.Exec(t, server, database, "ALTER SCHEMA public OWNER TO app; SET ROLE app;"+schema)
	for name, content := range map[string]string{"ca.pem": string(authority.PEM()), "app.password": password} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	return open(t, dir, fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0"}
data_dir: data
identity: {users: [{name: alice, groups: [dev], password: %s}]}
resources: [{name: shop, type: postgres, address: %q, database: %s, username: app, password: "file:app.password", tls: {mode: verify-full, ca: ca.pem}}]
access: [{groups: [dev], resources: [shop], allow: [connect, read, write, ddl, do, call, unknown]}]
`, verifier(t), server.Address(), database)), server, database
}

// emptyCase is a statement that drops or empties something.
type emptyCase struct {
	name    string
	there   string // what is there before
	other   string // what another session has written and not committed
	before  string // what the session itself did in the same connection
	text    string
	refused bool // by no-drop
}

// Each statement is allowed where nothing is lost, and refused by its neighbour's data.
var emptyCases = []emptyCase{
	{name: "drop", there: "CREATE TABLE t (id serial PRIMARY KEY, b text)", text: "DROP TABLE t"},
	{name: "drop of one row", there: "CREATE TABLE t (id serial PRIMARY KEY, b text); INSERT INTO t VALUES (1)", text: "DROP TABLE t", refused: true},
	{name: "drop of a row that is not committed", there: "CREATE TABLE t (id int)", other: "INSERT INTO t VALUES (1)", text: "DROP TABLE t", refused: true},
	{name: "drop of deleted rows", there: "CREATE TABLE t (id int); INSERT INTO t VALUES (1); DELETE FROM t", text: "DROP TABLE t", refused: true},
	{name: "drop of an empty and a full one", there: "CREATE TABLE t (id int); CREATE TABLE u AS SELECT 1 AS id", text: "DROP TABLE t, u", refused: true},
	{name: "drop of several", there: "CREATE TABLE t (id int); CREATE TABLE u (id int)", text: "DROP TABLE IF EXISTS t, u, nope"},
	{name: "drop of a name with quotes", there: `CREATE TABLE "a ""b"" \c'd" (id int)`, text: `DROP TABLE "a ""b"" \c'd"`},
	{name: "drop of a full one of a name with quotes", there: `CREATE TABLE "a ""b"" \c'd" AS SELECT 1 AS id`, text: `DROP TABLE "a ""b"" \c'd"`, refused: true},
	{name: "drop of a name that is not ASCII", there: `CREATE TABLE "Größe" (id int)`, text: `DROP TABLE "Größe"`},
	{name: "drop of a full one of a name that is not ASCII", there: `CREATE TABLE ÉTÉ AS SELECT 1 AS id`, text: `DROP TABLE ÉTÉ`, refused: true},
	{name: "drop of a long name", there: `CREATE TABLE ` + strings.Repeat("x", 80) + ` AS SELECT 1 AS id`, text: `DROP TABLE ` + strings.Repeat("x", 90), refused: true},
	{name: "drop of an unlogged one", there: "CREATE UNLOGGED TABLE t (id int)", text: "DROP TABLE t"},
	{name: "drop of a full unlogged one", there: "CREATE UNLOGGED TABLE t AS SELECT 1 AS id", text: "DROP TABLE t", refused: true},
	{name: "drop of long values", there: "CREATE TABLE t (a text); ALTER TABLE t ALTER a SET STORAGE EXTERNAL; INSERT INTO t VALUES (repeat('x', 100000))", text: "DROP TABLE t", refused: true},
	{name: "drop of rows that row security hides", there: "CREATE TABLE t AS SELECT 1 AS id; ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY", text: "DROP TABLE t", refused: true},

	{name: "drop of partitions", there: "CREATE TABLE t (id int) PARTITION BY LIST (id); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1) PARTITION BY LIST (id); CREATE TABLE t2 PARTITION OF t1 DEFAULT", text: "DROP TABLE t"},
	{name: "drop of a full partition", there: "CREATE TABLE t (id int) PARTITION BY LIST (id); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1) PARTITION BY LIST (id); CREATE TABLE t2 PARTITION OF t1 DEFAULT; INSERT INTO t VALUES (1)", text: "DROP TABLE t", refused: true},
	{name: "drop of heirs", there: "CREATE TABLE t (id int); CREATE TABLE u () INHERITS (t)", text: "DROP TABLE t CASCADE"},
	{name: "drop of a full heir", there: "CREATE TABLE t (id int); CREATE TABLE u () INHERITS (t); INSERT INTO u VALUES (1)", text: "DROP TABLE t CASCADE", refused: true},
	{name: "drop with views and foreign keys", there: "CREATE TABLE t (id int PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t; CREATE TABLE u (t int REFERENCES t); INSERT INTO u VALUES (NULL)", text: "DROP TABLE t CASCADE"},
	{name: "drop with a full materialized view", there: "CREATE TABLE t (id int); CREATE MATERIALIZED VIEW m AS SELECT 1 AS one, count(*) FROM t", text: "DROP TABLE t CASCADE", refused: true},
	{name: "drop with a column of its rows", there: "CREATE TABLE t (id int); CREATE TABLE u (a t, b int); INSERT INTO u VALUES (NULL, 1)", text: "DROP TABLE t CASCADE", refused: true},
	{name: "drop with an empty column of its rows", there: "CREATE TABLE t (id int); CREATE TABLE u (a t[], b int)", text: "DROP TABLE t CASCADE"},

	{name: "truncate", there: "CREATE TABLE t (id serial); CREATE TABLE u (id int)", text: "TRUNCATE t, u RESTART IDENTITY"},
	{name: "truncate of rows", there: "CREATE TABLE t (id int); CREATE TABLE u AS SELECT 1 AS id", text: "TRUNCATE t, u", refused: true},
	{name: "truncate with what refers to it", there: "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (t int REFERENCES t); CREATE TABLE w (id int)", text: "TRUNCATE t CASCADE"},
	{name: "truncate with rows of what refers to it", there: "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY, t int REFERENCES t); CREATE TABLE w (u int REFERENCES u); INSERT INTO w VALUES (NULL)", text: "TRUNCATE t CASCADE", refused: true},

	{name: "drop of a column", there: "CREATE TABLE t (a int, b int)", text: "ALTER TABLE t DROP COLUMN a"},
	{name: "drop of a column with rows", there: "CREATE TABLE t AS SELECT 1 AS a, 2 AS b", text: "ALTER TABLE t DROP COLUMN a", refused: true},
	{name: "drop of a column with what depends on it", there: "CREATE TABLE t (a int, b int); CREATE VIEW v AS SELECT a FROM t", text: "ALTER TABLE t DROP COLUMN a CASCADE"},
	{name: "drop of a column of a full partition", there: "CREATE TABLE t (a int, b int) PARTITION BY LIST (b); CREATE TABLE t1 PARTITION OF t DEFAULT; INSERT INTO t VALUES (1, 1)", text: "ALTER TABLE t DROP COLUMN a", refused: true},
	{name: "change of a type", there: "CREATE TABLE t (a int)", text: "ALTER TABLE t ALTER COLUMN a TYPE text USING 'gone'"},
	{name: "change of a type with rows", there: "CREATE TABLE t AS SELECT 1 AS a", text: "ALTER TABLE t ALTER COLUMN a TYPE text USING 'gone'", refused: true},

	{name: "drop of a schema", there: "CREATE SCHEMA s; CREATE TABLE s.t (id serial); CREATE VIEW s.v AS SELECT * FROM s.t; CREATE TYPE s.mood AS ENUM ('a')", text: "DROP SCHEMA s CASCADE"},
	{name: "drop of a schema with rows", there: "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS id", text: "DROP SCHEMA IF EXISTS s CASCADE", refused: true},
	{name: "drop of a schema with a sequence", there: "CREATE SCHEMA s; CREATE SEQUENCE s.n", text: "DROP SCHEMA s CASCADE", refused: true},
	{name: "drop of a schema with the type of a column", there: "CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('a'); CREATE TABLE t (m s.mood); INSERT INTO t VALUES ('a')", text: "DROP SCHEMA s CASCADE", refused: true},
	{name: "drop of a type", there: "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t (m mood)", text: "DROP TYPE mood CASCADE"},
	{name: "drop of a type of a column with rows", there: "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t (m mood[]); INSERT INTO t VALUES ('{a}')", text: "DROP TYPE mood CASCADE", refused: true},
	{name: "drop of a domain of a domain", there: "CREATE DOMAIN d AS int; CREATE DOMAIN e AS d; CREATE TABLE t (x e); INSERT INTO t VALUES (1)", text: "DROP DOMAIN d CASCADE", refused: true},
	{name: "drop of a function", there: "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TABLE t AS SELECT 1 AS id; CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()", text: "DROP FUNCTION f() CASCADE"},
	{name: "drop of the function of a column", there: "CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'; CREATE TABLE t (a int, b int GENERATED ALWAYS AS (f(a)) STORED); INSERT INTO t VALUES (1)", text: "DROP FUNCTION f CASCADE", refused: true},
	{name: "drop of a materialized view", there: "CREATE MATERIALIZED VIEW m AS SELECT 1 AS id WITH NO DATA", text: "DROP MATERIALIZED VIEW m"},
	{name: "drop of a full materialized view", there: "CREATE MATERIALIZED VIEW m AS SELECT 1 AS id", text: "DROP MATERIALIZED VIEW m", refused: true},
	{name: "drop of a view with a view", there: "CREATE TABLE t AS SELECT 1 AS id; CREATE VIEW v AS SELECT * FROM t; CREATE VIEW w AS SELECT * FROM v", text: "DROP VIEW v CASCADE"},
	{name: "drop of a view with a full materialized one", there: "CREATE VIEW v AS SELECT 1 AS id; CREATE MATERIALIZED VIEW m AS SELECT * FROM v", text: "DROP VIEW v CASCADE", refused: true},
	{name: "drop of an extension", there: "CREATE EXTENSION citext; CREATE TABLE t (a citext); CREATE TABLE u AS SELECT 1 AS id", text: `DROP EXTENSION IF EXISTS "citext" CASCADE`},
	{name: "drop of an extension with the type of a column", there: "CREATE EXTENSION citext; CREATE TABLE t (a citext); INSERT INTO t VALUES ('x')", text: "DROP EXTENSION citext CASCADE", refused: true},
	{name: "drop of an extension that is not there", text: "DROP EXTENSION IF EXISTS nope"},
	{name: "drop of a sequence", there: "CREATE SEQUENCE n", text: "DROP SEQUENCE n", refused: true},

	{name: "a table of the open transaction", before: "BEGIN; CREATE TABLE t (id int)", text: "DROP TABLE t"},
	{name: "a full table of the open transaction", before: "BEGIN; CREATE TABLE t AS SELECT 1 AS id", text: "DROP TABLE t", refused: true},
	{name: "a table that the open transaction fills", there: "CREATE TABLE t (id int)", before: "BEGIN; INSERT INTO t VALUES (1)", text: "DROP TABLE t", refused: true},
	{name: "a table that the open transaction changes", there: "CREATE TABLE t (a int, b int)", before: "BEGIN; ALTER TABLE t ALTER a DROP NOT NULL", text: "ALTER TABLE t DROP COLUMN b CASCADE"},
	{name: "a table that the open transaction gives another name", there: "CREATE TABLE t (id int); CREATE TABLE u AS SELECT 1 AS id", before: "BEGIN; ALTER TABLE t RENAME TO w; ALTER TABLE u RENAME TO t", text: "DROP TABLE t", refused: true},
	{name: "another search_path", there: "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS id; CREATE TABLE t (id int)", before: "SET search_path = s", text: "DROP TABLE t", refused: true},
	{name: "another search_path with an empty one", there: "CREATE SCHEMA s; CREATE TABLE t AS SELECT 1 AS id; CREATE TABLE s.t (id int)", before: "SET search_path = s", text: "DROP TABLE t"},
	{name: "a full temporary table before it", there: "CREATE TABLE t (id int)", before: "CREATE TEMP TABLE t AS SELECT 1 AS id", text: "DROP TABLE public.t"},
	{name: "an empty temporary table before a full one", there: "CREATE TABLE t AS SELECT 1 AS id", before: "CREATE TEMP TABLE t (id int)", text: "DROP TABLE public.t", refused: true},
	{name: "a table made anew", there: "CREATE TABLE t (id int)", before: "DROP TABLE t; CREATE TABLE t AS SELECT 1 AS id", text: "DROP TABLE t", refused: true},
	{name: "an operator of somebody's", there: "CREATE TABLE t AS SELECT 1 AS id; CREATE FUNCTION never(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT false'; CREATE OPERATOR = (LEFTARG = oid, RIGHTARG = oid, FUNCTION = never)", before: "SET search_path = public, pg_catalog", text: "DROP TABLE public.t", refused: true},

	{name: "change of one row", there: "CREATE TABLE t (v int); INSERT INTO t VALUES (1)", text: "UPDATE t SET v = 2"},
	{name: "change of two rows", there: "CREATE TABLE t AS SELECT generate_series(1, 2) AS v", text: "UPDATE t SET v = 2", refused: true},
	{name: "change of a row and one of the open transaction", there: "CREATE TABLE t AS SELECT 1 AS v", before: "BEGIN; INSERT INTO t VALUES (2)", text: "UPDATE t SET v = 2", refused: true},
	{name: "change of a row and one of a partition", there: "CREATE TABLE t (v int) PARTITION BY LIST (v); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); CREATE TABLE t2 PARTITION OF t DEFAULT; INSERT INTO t VALUES (1), (2)", text: "UPDATE t SET v = v", refused: true},
	{name: "change of a row and one of an heir", there: "CREATE TABLE t AS SELECT 1 AS v; CREATE TABLE u () INHERITS (t); INSERT INTO u VALUES (1)", text: "UPDATE t SET v = 2", refused: true},
	{name: "change of one row of a view", there: "CREATE TABLE t AS SELECT generate_series(1, 2) AS v; CREATE VIEW w AS SELECT * FROM t LIMIT 1; CREATE RULE r AS ON UPDATE TO w DO INSTEAD UPDATE t SET v = new.v", text: "UPDATE w SET v = 2", refused: true},
	{name: "change of one row that another path shows", there: "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT generate_series(1, 2) AS v; CREATE TABLE t AS SELECT 1 AS v", before: "SET search_path = s", text: "UPDATE t SET v = 2", refused: true},
	{name: "change of rows that row security hides", there: "CREATE TABLE t AS SELECT generate_series(1, 2) AS v; ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY; CREATE POLICY p ON t FOR SELECT USING (v = 1); CREATE POLICY q ON t FOR UPDATE USING (true)", text: "UPDATE t SET v = 3", refused: true},
	{name: "delete of no row", there: "CREATE TABLE t (v int)", text: "DELETE FROM t"},
	{name: "delete of one row", there: "CREATE TABLE t AS SELECT 1 AS v", text: "DELETE FROM t", refused: true},

	{name: "several", there: "CREATE TABLE t (id int); CREATE TABLE u (a int, b int)", text: "BEGIN; DROP TABLE t; ALTER TABLE u DROP COLUMN a; COMMIT"},
	{name: "several with a full one", there: "CREATE TABLE t (id int); CREATE TABLE u AS SELECT 1 AS a, 2 AS b", text: "DROP TABLE t; ALTER TABLE u DROP COLUMN a", refused: true},
	{name: "several after a row", there: "CREATE TABLE t (id int)", text: "INSERT INTO t VALUES (1); DROP TABLE t", refused: true},
	{name: "several after another name", there: "CREATE TABLE t (id int); CREATE TABLE u AS SELECT 1 AS id", text: "DROP TABLE t; ALTER TABLE u RENAME TO t; DROP TABLE t", refused: true},
	{name: "several after a partition", there: "CREATE TABLE t (id int) PARTITION BY LIST (id); CREATE TABLE u AS SELECT 1 AS id", text: "ALTER TABLE t ATTACH PARTITION u DEFAULT; DROP TABLE t", refused: true},
	{name: "several of one name", there: "CREATE SCHEMA s; CREATE TABLE s.t (id int); CREATE TABLE t AS SELECT 1 AS id", before: "SET search_path = s, public", text: "DROP TABLE t; DROP TABLE t", refused: true},
	{name: "several after a view of the name", there: "CREATE SCHEMA s; CREATE VIEW s.t AS SELECT 1 AS id; CREATE TABLE t AS SELECT 1 AS id", before: "SET search_path = s, public", text: "DROP VIEW t; DROP TABLE t", refused: true},
	{name: "several after a path", there: "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS id; CREATE TABLE t (id int)", text: "SET search_path = s; DROP TABLE t", refused: true},
	{name: "several after the end of a transaction", there: "CREATE TABLE t AS SELECT 1 AS id; CREATE SCHEMA s; CREATE TABLE s.t (id int)", before: "BEGIN; SET LOCAL search_path = s", text: "COMMIT; DROP TABLE t", refused: true},
	{name: "several with a key between", there: "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u AS SELECT NULL::int AS t", text: "ALTER TABLE u ADD FOREIGN KEY (t) REFERENCES t; TRUNCATE t CASCADE", refused: true},
	{name: "a block", there: "CREATE TABLE t (id int)", text: "DO $$BEGIN DROP TABLE t; END$$", refused: true},
	{name: "a block of rows", there: "CREATE TABLE t AS SELECT 1 AS id", text: "DO $$BEGIN DROP TABLE t; END$$", refused: true},
	{name: "a database", text: "DROP DATABASE nope", refused: true},
	{name: "a column of a type", there: "CREATE TYPE pair AS (a int, b int)", text: "ALTER TYPE pair DROP ATTRIBUTE a", refused: true},
	{name: "a foreign table", there: foreign + "SET ROLE app", text: "TRUNCATE f", refused: true},
	{name: "a foreign partition", there: "CREATE TABLE t (id int) PARTITION BY LIST (id); " + foreign + "ALTER TABLE t ATTACH PARTITION f DEFAULT; SET ROLE app", text: "DROP TABLE t", refused: true},
}

// foreign is a foreign table, of which the server does not hold the rows.
const foreign = "RESET ROLE; DROP FOREIGN DATA WRAPPER IF EXISTS w CASCADE; CREATE FOREIGN DATA WRAPPER w; CREATE SERVER r FOREIGN DATA WRAPPER w; " +
	"CREATE FOREIGN TABLE f (id int) SERVER r; ALTER FOREIGN TABLE f OWNER TO app; "

// What a statement destroys is what is there where it reaches, as the session itself
// sees it at that moment.
func TestNothingIsLost(t *testing.T) {
	h, server, database := openShop(t, "")
	direct, err := pgx.Connect(t.Context(), testserver.URL(pgembed.User, server.Password, server.Address(), database, "sslmode=disable"))
	require.NoError(t, err)
	t.Cleanup(func() { direct.Close(context.Background()) })
	run := func(t *testing.T, c *pgconn.PgConn, text string) {
		t.Helper()
		_, err := c.Exec(t.Context(), text).ReadAll()
		require.NoError(t, err, text)
	}
	for _, c := range emptyCases {
		for _, how := range []string{"simple", "extended"} {
			if how == "extended" && strings.Contains(strings.TrimSuffix(c.text, ";"), "; ") && !strings.HasPrefix(c.text, "DO") {
				continue
			}
			t.Run(c.name+", "+how, func(t *testing.T) {
				run(t, direct.PgConn(), "DROP SCHEMA IF EXISTS s CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION app; SET ROLE app;"+c.there+"; RESET ROLE")
				conn, err := pgconn.Connect(t.Context(), h.database("alice", "shop"))
				require.NoError(t, err)
				defer conn.Close(context.Background())
				// It may have changed anything, so that the catalog is read again.
				run(t, conn, "CREATE FUNCTION public.mark() RETURNS int LANGUAGE sql AS 'SELECT 1'")
				if c.other != "" {
					other, err := pgx.Connect(t.Context(), testserver.URL(pgembed.User, server.Password, server.Address(), database, "sslmode=disable"))
					require.NoError(t, err)
					defer other.Close(context.Background())
					run(t, other.PgConn(), "BEGIN; "+c.other)
				}
				for part := range strings.SplitSeq(c.before, "; ") {
					if part != "" {
						run(t, conn, part)
					}
				}
				ask := func() error {
					if how == "simple" {
						_, err := conn.Exec(t.Context(), c.text).ReadAll()
						return err
					}
					return conn.ExecParams(t.Context(), c.text, nil, nil, nil, nil).Read().Err
				}
				before := conn.TxStatus()
				err = ask()
				if !c.refused {
					require.NoError(t, err)
					require.True(t, before == conn.TxStatus() || strings.Contains(c.text, "COMMIT"))
				} else {
					var refused *pgconn.PgError
					require.ErrorAs(t, err, &refused)
					require.Regexp(t, "rule (no-drop|no-where)", refused.Error())
				}
				if before != 'T' { // the session goes on, by either protocol
					run(t, conn, "SELECT 1")
					require.NoError(t, conn.ExecParams(t.Context(), "SELECT $1::int", [][]byte{[]byte("1")}, nil, nil, nil).Read().Err)
				}
			})
		}
	}
}
