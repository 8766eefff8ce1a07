package masking_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/proxy"
)

// TestComputedFromWhatNoNameTells: columns whose names say nothing and whose
// values do, in pieces, reversed, through views and copies, and what may pass.
func TestComputedFromWhatNoNameTells(t *testing.T) {
	g := startRig(t, `
CREATE TABLE x (id int, v text, w bigint, label text);
INSERT INTO x SELECT i, '4111111111111111', 4111111111111111, 'number ' || i FROM generate_series(1, 40) i;
CREATE VIEW y AS SELECT id, substr(v, 1, 8) AS part, label FROM x;
CREATE TABLE few (v text); INSERT INTO few VALUES ('4111111111111111');
CREATE TABLE plain (v text, n int); INSERT INTO plain SELECT 'lamp ' || i, i FROM generate_series(1, 40) i`,
		masking.Config{})
	for text, want := range map[string]bool{
		"SELECT substr(v, 1, 8) FROM x LIMIT 2":                             false,
		"SELECT substr(v, 1, 8) FROM few":                                   false,
		"SELECT reverse(v), v || 'a' FROM x LIMIT 2":                        false,
		"SELECT (w / 10000000)::text FROM x LIMIT 2":                        false,
		"SELECT part FROM y LIMIT 2":                                        false,
		"WITH c AS (SELECT left(v, 9) AS h FROM x) SELECT h FROM c LIMIT 2": false,
		"COPY (SELECT substr(v, 1, 8) AS a FROM x LIMIT 2) TO STDOUT":       false,
		"PREPARE s AS SELECT substr(v, 1, 8) FROM x LIMIT 2; EXECUTE s":     false,
		"SELECT string_agg(substr(v, 1, 8), ' ') FROM x":                    false,
		"SELECT upper(label) FROM x WHERE id = 7":                           true,
		"SELECT count(v) AS n, 'NUMBER 7' FROM x":                           true,
		"SELECT upper(label) FROM y WHERE id = 7":                           true,
		"SELECT upper(v) || ' NUMBER 7' FROM plain LIMIT 1":                 true,
		"SELECT 'NUMBER ' || sum(n) - 813 FROM plain":                       true,
		"COPY (SELECT upper(label) AS a FROM x WHERE id = 7) TO STDOUT":     true,
	} {
		out := g.psql(t, "alice", text, "-At")
		require.NotContains(t, out, "ERROR", text)
		require.NotContains(t, out, "4111", text)
		require.NotContains(t, out, "1111111", text)
		if want {
			require.Contains(t, out, "NUMBER 7", text)
		} else {
			require.Contains(t, out, strings.Repeat("*", 8), text)
		}
	}
	// Numbers that only count what is masked are shown.
	require.Equal(t, "40\n", g.psql(t, "alice", "SELECT count(v) FROM x", "-At"))
}

// TestNotSampled: what cannot be looked at is masked where it is computed with.
func TestNotSampled(t *testing.T) {
	g := startRig(t, "CREATE TABLE plain (v text); INSERT INTO plain VALUES ('lamp')", masking.Config{Sampler: unable{}})
	require.Equal(t, "********\n", g.psql(t, "alice", "SELECT upper(v) FROM plain", "-At"))
	require.Equal(t, "lamp\n", g.psql(t, "alice", "SELECT v FROM plain", "-At"))
}

// unable is a sampler that cannot look at anything.
type unable struct{}

func (unable) Sample(context.Context, *proxy.Session, string, string, func(*proxy.SampledColumn, []byte)) error {
	return errors.New("it cannot be looked at")
}

// TestColumnsAreReadBeforehand: what a column holds decides from its first row on, in
// both formats, whatever it is called.
func TestColumnsAreReadBeforehand(t *testing.T) {
	var cards strings.Builder
	for i := range 40 {
		digits := fmt.Sprintf("4%014d", i*7919)
		sum := 0
		for k, c := range digits {
			if v := int(c - '0'); k%2 == 0 {
				sum += v*2/10 + v*2%10
			} else {
				sum += v
			}
		}
		fmt.Fprintf(&cards, "('%s%d'),", digits, (10-sum%10)%10)
	}
	values := strings.TrimSuffix(cards.String(), ",")
	g := startRig(t, `
CREATE TABLE paid (id serial PRIMARY KEY, payment_ref text, v bigint, hash numeric);
INSERT INTO paid (payment_ref) VALUES `+values+`; UPDATE paid SET v = payment_ref::bigint, hash = payment_ref::numeric;
CREATE TABLE rnd (id serial PRIMARY KEY, ext_id bigint, big bigint GENERATED ALWAYS AS IDENTITY (START WITH 4111111111111111));
INSERT INTO rnd (ext_id) SELECT 4100000000000000 + i * 104729 FROM generate_series(1, 200) i;
CREATE TABLE p (name text, title text); INSERT INTO p VALUES ('Oliver Stone', 'Bosch Professional Drill'), ('Maria Garcia', 'Makita Combi Drill'), ('Peter Jackson', 'Hilti Rotary Hammer'), ('Linda Green', 'Nike Air Zoom Pegasus');
CREATE TABLE people (name text); INSERT INTO people SELECT name FROM p`, masking.Config{})
	for _, sql := range []string{
		"SELECT payment_ref, v, hash FROM paid", "SELECT payment_ref, v, hash FROM paid LIMIT 1", "TABLE paid", "COPY paid (payment_ref, v, hash) TO STDOUT",
		"SELECT payment_ref AS id, v AS order_id FROM paid", "BEGIN; DECLARE c CURSOR FOR SELECT payment_ref, v FROM paid; FETCH 3 FROM c; COMMIT",
	} {
		out := g.psql(t, "alice", sql, "-At")
		require.NotContains(t, out, "ERROR", sql)
		require.NotRegexp(t, `4\d{15}`, out, sql)
	}
	out := g.psql(t, "alice", "SELECT ext_id, big FROM rnd", "-At")
	require.Equal(t, 200, strings.Count(out, "|"))
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		require.Regexp(t, `^4\d{15}\|4\d{15}$`, line)
	}
	for _, sql := range []string{"SELECT name FROM p", "SELECT name FROM people", "SELECT name AS x FROM people", "COPY people (name) TO STDOUT"} {
		require.NotRegexp(t, "Oliver|Stone|Garcia|Jackson|Green", g.psql(t, "alice", sql, "-At"), sql)
	}
	require.Contains(t, g.psql(t, "alice", "SELECT title FROM p", "-At"), "Bosch Professional Drill\n")
	require.Regexp(t, `^(4\d{15}\|\n)+$`, g.psql(t, "alice", "SELECT ext_id, v FROM rnd LEFT JOIN paid USING (id)", "-At"))
	c := g.connect(t, "alice")
	rows, err := c.Query(t.Context(), "SELECT ext_id, v FROM rnd LEFT JOIN paid USING (id)")
	require.NoError(t, err)
	n := 0
	for rows.Next() {
		var number int64
		var card *int64
		require.NoError(t, rows.Scan(&number, &card))
		require.Nil(t, card)
		n++
	}
	require.NoError(t, rows.Err())
	require.Equal(t, 200, n)
}

// TestPasswordsOfRoles: what the server keeps of passwords does not go out, under any
// name, and neither in a dump of the roles.
func TestPasswordsOfRoles(t *testing.T) {
	g := startRig(t, "CREATE TABLE plain (v text)", masking.Config{})
	role := "r_" + g.database
	testserver.Exec(t, g.pg, "postgres", "CREATE ROLE "+role+" PASSWORD 'Fox88!x'; SET password_encryption = md5; CREATE ROLE "+role+"_md5 PASSWORD 'Fox88!x'")
	t.Cleanup(func() { testserver.Exec(t, g.pg, "postgres", "DROP ROLE "+role+", "+role+"_md5") })
	for _, sql := range []string{
		"SELECT rolname, rolpassword FROM pg_authid", "SELECT rolname, rolpassword AS x FROM pg_authid", "SELECT usename, passwd FROM pg_shadow", "SELECT row_to_json(a) FROM pg_authid a", "TABLE pg_authid",
		"SELECT substr(rolpassword, 1, 30) FROM pg_authid", "COPY (SELECT rolname, rolpassword FROM pg_authid) TO STDOUT",
	} {
		out := g.psql(t, "alice", sql, "-At")
		require.NotContains(t, out, "ERROR", sql)
		require.NotRegexp(t, `SCRAM-SHA-256\$4|md5[0-9a-f]{8}`, out, sql)
	}
	out, err := g.client(t, "pg_dumpall", g.addr, "alice+orders", "", "--globals-only", "-l", g.database)
	require.NoError(t, err, out)
	require.Contains(t, out, "CREATE ROLE "+role)
	require.NotRegexp(t, `SCRAM-SHA-256\$4|md5[0-9a-f]{8}`, out)
}

// TestTablesThatChange: a table is looked at again after a statement has made it anew or
// has filled it.
func TestTablesThatChange(t *testing.T) {
	g := startRig(t, "CREATE TABLE people (name text)", masking.Config{})
	require.Empty(t, g.psql(t, "alice", "SELECT name FROM people", "-At"))
	g.psql(t, "alice", "INSERT INTO people VALUES ('Oliver Stone'), ('Maria Garcia'), ('Peter Jackson'), ('Emily Watson')")
	require.NotContains(t, g.psql(t, "alice", "SELECT name FROM people", "-At"), "Garcia")
	for _, column := range []string{"name", "x"} {
		out := g.psql(t, "alice", `DROP TABLE IF EXISTS t; CREATE TABLE t (`+column+` text, n int); INSERT INTO t SELECT 'lamp ' || i, i FROM generate_series(1, 40) i; SELECT `+column+` FROM t LIMIT 1`, "-At")
		require.Contains(t, out, "lamp 1", column)
		out = g.psql(t, "alice", `DROP TABLE t; CREATE TABLE t (`+column+` text, n int); INSERT INTO t SELECT name, 1 FROM people, generate_series(1, 10)`, "-At")
		require.NotContains(t, out, "ERROR")
		require.NotContains(t, g.psql(t, "alice", "SELECT "+column+" FROM t LIMIT 4", "-At"), "Garcia", column)
	}
}

// TestVerdictsOutliveJunk: who may write into a table, change it, lock it or put another one
// in its place does not come to see by that what was hidden before.
func TestVerdictsOutliveJunk(t *testing.T) {
	const junk = "SELECT 'lamp ' || i FROM generate_series(1, 200) i"
	for name, script := range map[string][]string{
		"insert":                   {"SELECT name FROM people LIMIT 1", "INSERT INTO people " + junk},
		"insert before it is read": {"INSERT INTO people " + junk},
		"copy":                     {"COPY people FROM STDIN;\n" + strings.Repeat("blue lamp\n", 200) + "\\.\n"},
		"update":                   {"UPDATE people SET name = 'x' || name", "INSERT INTO people " + junk},
		"delete":                   {"SELECT name FROM people LIMIT 1", "DELETE FROM people WHERE name < 'P'", "INSERT INTO people " + junk},
		"one text":                 {"INSERT INTO people " + junk + "; ALTER TABLE people ADD z int"},
		"other column":             {"SELECT name FROM people LIMIT 1", "INSERT INTO people " + junk, "ALTER TABLE people ADD z int"},
		"other type":               {"SELECT name FROM people LIMIT 1", "INSERT INTO people " + junk, "ALTER TABLE people ALTER name TYPE varchar(99)"},
		"renamed and back":         {"SELECT name FROM people LIMIT 1", "INSERT INTO people " + junk, "ALTER TABLE people RENAME TO p7", "ALTER TABLE p7 RENAME TO people"},
		"renamed column":           {"SELECT name FROM people LIMIT 1", "INSERT INTO people " + junk, "ALTER TABLE people RENAME name TO w", "SELECT w FROM people LIMIT 1", "ALTER TABLE people RENAME w TO name"},
		"copied":                   {"CREATE TABLE t2 (LIKE people); INSERT INTO t2 SELECT * FROM people; INSERT INTO t2 " + junk, "DROP TABLE people; ALTER TABLE t2 RENAME TO people"},
		"copied in one":            {"CREATE TABLE t2 AS SELECT name FROM people UNION ALL " + junk, "DROP TABLE people; ALTER TABLE t2 RENAME TO people"},
		"under a parent":           {"SELECT name FROM people LIMIT 1", "CREATE TABLE pp (name text); INSERT INTO pp " + junk, "ALTER TABLE people INHERIT pp", "ALTER TABLE people RENAME TO x; ALTER TABLE pp RENAME TO people"},
		"locked":                   {"SELECT name FROM people LIMIT 1"},
		"locked before it is read": {},
	} {
		t.Run(name, func(t *testing.T) {
			g := startRig(t, "CREATE TABLE people (name text); INSERT INTO people VALUES ('Klaas Krohn'), ('Wibke Reinhardt'), ('Chizoba Taiwo'), ('Maria Garcia'), ('Peter Jackson'), ('Oliver Stone'), ('Anneli Blomqvist'), ('Emily Watson')", masking.Config{})
			for _, sql := range script {
				require.NotContains(t, g.psql(t, "alice", sql, "-At"), "ERROR")
			}
			read := "SELECT name, substr(name, 2, 6) FROM people WHERE name NOT LIKE '%lamp%'"
			if strings.HasPrefix(name, "locked") {
				read = "BEGIN; ALTER TABLE people ADD z int; " + read + "; COMMIT"
			}
			out := g.psql(t, "alice", read, "-At")
			require.NotContains(t, out, "ERROR")
			require.Contains(t, out, "********")
			require.NotRegexp(t, "Rein|hardt|einhar|izoba|arcia|Stone|lomqvi|laas", out)
		})
	}
	t.Run("a table that is dropped", func(t *testing.T) {
		g := startRig(t, "CREATE TABLE people (name text); INSERT INTO people VALUES ('Klaas Krohn'), ('Maria Garcia'), ('Peter Jackson'), ('Oliver Stone')", masking.Config{})
		require.NotContains(t, g.psql(t, "alice", "SELECT name FROM people", "-At"), "Garcia")
		g.psql(t, "alice", "DROP TABLE people; CREATE TABLE people (name text); INSERT INTO people "+junk)
		require.Contains(t, g.psql(t, "alice", "SELECT name FROM people", "-At"), "lamp 7\n")
	})
}

// TestTablesThatAreTakenBack: a temporary table that is not there any more, or never was, does not
// say what the table of its name holds that others see.
func TestTablesThatAreTakenBack(t *testing.T) {
	g := startRig(t, "CREATE TABLE x (id int, v text); INSERT INTO x SELECT i, '4111111111111111' FROM generate_series(1, 3) i; CREATE TABLE plain (v text); INSERT INTO plain VALUES ('lamp')", masking.Config{})
	const read = "SELECT left(v, 8) FROM x"
	for name, script := range map[string]string{
		"nothing":                   "",
		"savepoint":                 "BEGIN; SAVEPOINT a;\nCREATE TEMP TABLE x AS SELECT 'lamp'::text AS v;\nROLLBACK TO a;\n",
		"savepoint, then committed": "BEGIN; SAVEPOINT a;\nCREATE TEMP TABLE x (v text);\nROLLBACK TO a;\nCOMMIT;\n",
		"savepoint in one text":     "BEGIN; SAVEPOINT a; CREATE TEMP TABLE x (v text); ROLLBACK TO a\\;\n",
		"rolled back":               "BEGIN;\nCREATE TEMP TABLE x (v text);\nROLLBACK;\n",
		"rolled back in one text":   "BEGIN\\; CREATE TEMP TABLE x (v text)\\; ROLLBACK;\n",
		"failed, then committed":    "BEGIN;\nCREATE TEMP TABLE x (v text);\nSELECT 1/0;\nCOMMIT;\n",
		"failed, one text":          "BEGIN;\nCREATE TEMP TABLE x (v text);\nSELECT 1/0;\nCOMMIT\\; " + read + ";\n",
		"dropped at once":           "CREATE TEMP TABLE x (v text) ON COMMIT DROP;\n",
		"dropped at the end":        "BEGIN;\nCREATE TEMP TABLE x (v text) ON COMMIT DROP;\nCOMMIT;\n",
		"dropped in one text":       "BEGIN\\; CREATE TEMP TABLE x ON COMMIT DROP AS SELECT 'a'::text AS v\\; COMMIT;\n",
		"dropped, and read in it":   "BEGIN\\; CREATE TEMP TABLE x ON COMMIT DROP AS SELECT 'a'::text AS v\\; COMMIT\\; " + read + ";\n",
		"dropped":                   "CREATE TEMP TABLE x (v text);\nDROP TABLE x;\n",
		"not made":                  "CREATE TEMP TABLE x (v text, v text);\n",
		"discarded":                 "CREATE TEMP TABLE x (v text);\nDISCARD TEMP;\n",
		"discarded, and taken back": "CREATE TEMP TABLE plain AS SELECT v FROM x;\nBEGIN; SAVEPOINT a;\nDISCARD TEMP;\nROLLBACK TO a;\nSELECT left(v, 8) FROM plain;\n",
		"another in its place":      "CREATE TEMP TABLE plain AS SELECT v FROM x;\nBEGIN; SAVEPOINT a;\nDROP TABLE plain;\nCREATE TEMP TABLE plain (v text);\nROLLBACK TO a;\nSELECT left(v, 8) FROM plain;\n",
	} {
		out := g.psql(t, "alice", script+read, "-At")
		require.NotContains(t, out, "4111", name)
		require.Contains(t, out, "********\n", name)
	}
	for name, script := range map[string]string{
		"kept":                  "BEGIN;\nCREATE TEMP TABLE x AS SELECT 'lamp'::text AS v;\nCOMMIT;\n",
		"kept in one text":      "BEGIN\\; CREATE TEMP TABLE x AS SELECT 'lamp'::text AS v\\; INSERT INTO x VALUES ('table');\n",
		"kept, all in one text": "BEGIN\\; CREATE TEMP TABLE x AS SELECT 'lamp'::text AS v\\; COMMIT;\n",
		"until the end":         "BEGIN;\nCREATE TEMP TABLE x ON COMMIT DROP AS SELECT 'lamp'::text AS v;\n",
		"made before":           "CREATE TEMP TABLE x AS SELECT 'lamp'::text AS v;\nBEGIN; SAVEPOINT a;\nSELECT 1/0;\nROLLBACK TO a;\n",
		"another transaction":   "CREATE TEMP TABLE x AS SELECT 'lamp'::text AS v;\nBEGIN;\nSELECT 1/0;\nROLLBACK;\n",
	} {
		out := g.psql(t, "alice", script+read, "-At")
		require.Contains(t, out, "lamp\n", name)
		require.NotContains(t, out, "*", name)
	}
	// Sent at once, before the server has answered any of it.
	for name, script := range map[string][]string{
		"not made":               {"CREATE TEMP TABLE x (v text, v text)"},
		"dropped at once":        {"CREATE TEMP TABLE x (v text) ON COMMIT DROP"},
		"failed, then committed": {"BEGIN", "CREATE TEMP TABLE x (v text)", "SELECT 1/0", "COMMIT"},
		"discarded":              {"CREATE TEMP TABLE x (v text)", "DISCARD TEMP"},
	} {
		c := g.connect(t, "alice").PgConn()
		for _, sql := range append(script, read) {
			c.Frontend().Send(&pgproto3.Query{String: sql})
		}
		require.NoError(t, c.Frontend().Flush())
		for turns := 0; turns <= len(script); {
			m, err := c.Frontend().Receive()
			require.NoError(t, err)
			switch m := m.(type) {
			case *pgproto3.ReadyForQuery:
				turns++
			case *pgproto3.DataRow:
				require.Equal(t, "********", string(m.Values[0]), name)
			}
		}
	}
	// A batch that fails after it has made the table.
	for range 20 {
		c := g.connect(t, "alice").PgConn()
		f := c.Frontend()
		for _, sql := range []string{"CREATE TEMP TABLE x (v text)", "SELECT 1/0"} {
			f.Send(&pgproto3.Parse{Query: sql})
			f.Send(&pgproto3.Bind{})
			f.Send(&pgproto3.Execute{})
		}
		f.Send(&pgproto3.Sync{})
		f.Send(&pgproto3.Query{String: read})
		require.NoError(t, f.Flush())
		for turns := 0; turns < 2; {
			m, err := f.Receive()
			require.NoError(t, err)
			switch m := m.(type) {
			case *pgproto3.ReadyForQuery:
				turns++
			case *pgproto3.DataRow:
				require.Equal(t, "********", string(m.Values[0]))
			}
		}
	}
}

// TestNamesOfPortals: a cursor that is closed does not say what a portal of its name returns, which
// a message or a function makes later.
func TestNamesOfPortals(t *testing.T) {
	g := startRig(t, `CREATE TABLE x (id int, v text); INSERT INTO x SELECT i, '4111111111111111' FROM generate_series(1, 3) i;
CREATE FUNCTION opens(r refcursor) RETURNS refcursor LANGUAGE plpgsql AS 'BEGIN OPEN r FOR SELECT left(v, 8) FROM x; RETURN r; END'`, masking.Config{})
	const declare = "DECLARE c CURSOR FOR SELECT 'lamp'::text AS v"
	for name, steps := range map[string][]string{
		"closed":         {"BEGIN", declare, "CLOSE c", "bind", "FETCH ALL FROM c"},
		"committed":      {"BEGIN", declare, "COMMIT", "BEGIN", "bind", "FETCH ALL FROM c"},
		"taken back":     {"BEGIN", "SAVEPOINT a", declare, "ROLLBACK TO a", "bind", "FETCH ALL FROM c"},
		"never declared": {"BEGIN", "bind", "FETCH ALL FROM c"},
		"by a function":  {"BEGIN", declare, "CLOSE c", "SELECT opens('c')", "FETCH ALL FROM c"},
		"at once":        {"BEGIN", "bind", declare + "; SELECT 1", "FETCH ALL FROM c"},
		"still there":    {"BEGIN", declare, "FETCH ALL FROM c"},
	} {
		c := g.connect(t, "alice").PgConn()
		f := c.Frontend()
		rows := 0
		turn := func() {
			for done := false; !done; {
				m, err := f.Receive()
				require.NoError(t, err)
				switch m := m.(type) {
				case *pgproto3.ReadyForQuery:
					done = true
				case *pgproto3.DataRow:
					require.NotContains(t, string(m.Values[0]), "4111", name)
					rows++
				}
			}
		}
		for _, step := range steps {
			if step == "bind" {
				f.Send(&pgproto3.Parse{Query: "SELECT left(v, 8) FROM x"})
				f.Send(&pgproto3.Bind{DestinationPortal: "c"})
				f.Send(&pgproto3.Sync{})
			} else {
				f.Send(&pgproto3.Query{String: step})
			}
			require.NoError(t, f.Flush())
			turn()
		}
		require.True(t, rows > 0 || name == "at once", name)
	}
	require.Equal(t, "BEGIN\nDECLARE CURSOR\nlamp\nCOMMIT\n", g.psql(t, "alice", "BEGIN;\n"+declare+";\nFETCH 1 FROM c;\nCOMMIT;\n", "-At"))
}

// TestAlteredOwnTables: of a temporary table that the session alters, columns are what they
// were, and are filled with what their defaults and generated ones hold.
func TestAlteredOwnTables(t *testing.T) {
	g := startRig(t, `CREATE TABLE p (id int, vault text, note text); INSERT INTO p VALUES (1, 'plum tree', 'one'), (2, 'pear tree', 'two');
CREATE FUNCTION leak() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT vault FROM p WHERE id = 1); END';
CREATE FUNCTION leak_sql() RETURNS text LANGUAGE sql AS 'SELECT vault FROM p WHERE id = 1';
CREATE FUNCTION note_of(i int) RETURNS text LANGUAGE sql AS 'SELECT note FROM p WHERE id = i'`,
		masking.Config{Rules: []masking.Rule{{}, {Columns: []string{"p.vault"}, With: masking.Redact}}})
	const made = "CREATE TEMP TABLE o AS SELECT id, note, vault AS x FROM p;\n"
	for sql, want := range map[string]string{
		made + "ALTER TABLE o ADD COLUMN z text;\nUPDATE o SET z = 'zz';\nSELECT id, note, upper(note), z, left(z, 1), left(x, 3) FROM o WHERE id = 1":                                             "1|one|ONE|zz|z|********",
		made + "ALTER TABLE o RENAME COLUMN note TO n;\nSELECT n, upper(n) FROM o WHERE id = 1":                                                                                                    "one|ONE",
		made + "ALTER TABLE o RENAME COLUMN x TO y;\nSELECT y, left(y, 3) FROM o WHERE id = 1":                                                                                                     "[COLUMN]|********",
		made + "ALTER TABLE o RENAME note TO swap; ALTER TABLE o RENAME x TO note; ALTER TABLE o RENAME swap TO x;\nSELECT left(note, 3), left(x, 3) FROM o WHERE id = 1":                          "********|one",
		made + "ALTER TABLE o DROP COLUMN note;\nALTER TABLE o ADD COLUMN note text;\nUPDATE o SET note = x;\nSELECT left(note, 3) FROM o WHERE id = 1":                                            "********",
		made + "ALTER TABLE o ALTER note TYPE text USING x;\nSELECT left(note, 3) FROM o WHERE id = 1":                                                                                             "********",
		made + "ALTER TABLE o ALTER note TYPE varchar(9), ALTER id SET NOT NULL;\nSELECT upper(note) FROM o WHERE id = 1":                                                                          "ONE",
		made + "ALTER TABLE o ADD d text DEFAULT leak(), ADD e text DEFAULT 'e' || leak_sql(), ADD f text DEFAULT 'f';\nSELECT left(d, 3), left(e, 3), upper(f) FROM o WHERE id = 1":               "********|********|F",
		made + "ALTER TABLE o ALTER note SET DEFAULT leak_sql();\nINSERT INTO o (id) VALUES (3);\nSELECT left(note, 3), id + 1 FROM o WHERE id = 3":                                                "********|4",
		"CREATE TEMP TABLE o (d text DEFAULT leak(), e text DEFAULT leak_sql(), f text DEFAULT 'f', n int);\nINSERT INTO o (n) VALUES (1);\nSELECT left(d, 3), left(e, 3), upper(f), n + 1 FROM o": "********|********|F|2",
		"CREATE TEMP TABLE o (x text, g text GENERATED ALWAYS AS (reverse(x)) STORED);\nINSERT INTO o SELECT vault FROM p WHERE id = 1;\nSELECT left(g, 3) FROM o":                                 "********",
		made + "ALTER TABLE o ADD g text GENERATED ALWAYS AS (reverse(x)) STORED;\nSELECT left(g, 3) FROM o WHERE id = 1":                                                                          "********",
		"CREATE TABLE others (d text DEFAULT leak_sql(), n int);\nINSERT INTO others (n) VALUES (1);\nSELECT left(d, 3), n + 1 FROM others":                                                        "********|2",
		made + "BEGIN; SAVEPOINT a;\nALTER TABLE o DROP COLUMN x, ADD COLUMN x text;\nROLLBACK TO a;\nSELECT left(x, 3) FROM o WHERE id = 1":                                                       "********",
		made + "ALTER TABLE o DROP COLUMN x, ADD COLUMN x text, DROP COLUMN missing;\nSELECT left(x, 3) FROM o WHERE id = 1":                                                                       "********",
		"CREATE TEMP TABLE o AS SELECT leak() AS d, 1 AS n;\nSELECT d, left(d, 3), n + 1 FROM o":                                                                                                   "********|********|2",
		"CREATE TEMP TABLE o (d text, n int);\nINSERT INTO o SELECT leak(), 1;\nSELECT d, left(d, 3), n + 1 FROM o":                                                                                "********|********|2",
		"SELECT note_of(1), upper(note_of(2))": "one|TWO",
	} {
		out := g.psql(t, "alice", sql, "-Atq")
		if !strings.Contains(sql, "missing") {
			require.NotContains(t, out, "ERROR", sql)
		}
		require.True(t, strings.HasSuffix(out, want+"\n"), "%s: got %q, want %q", sql, out, want)
		require.NotRegexp(t, "plu|pea|eert|eer", out, sql)
	}
	c := g.connect(t, "alice").PgConn() // sent at once
	for _, sql := range []string{"CREATE TEMP TABLE o AS SELECT vault AS x FROM p", "ALTER TABLE o DROP COLUMN x, ADD COLUMN x text, DROP COLUMN missing", "SELECT left(x, 3) FROM o"} {
		c.Frontend().Send(&pgproto3.Query{String: sql})
	}
	require.NoError(t, c.Frontend().Flush())
	for turns := 0; turns < 3; {
		m, err := c.Frontend().Receive()
		require.NoError(t, err)
		switch m := m.(type) {
		case *pgproto3.ReadyForQuery:
			turns++
		case *pgproto3.DataRow:
			require.Equal(t, "********", string(m.Values[0]))
		}
	}
}

// TestAddressesInBothFormats reads addresses as drivers do by default, which is in binary
// format, in text, and in copies.
func TestAddressesInBothFormats(t *testing.T) {
	g := startRig(t, `CREATE TABLE t (id int, client_ip inet, net cidr, mac macaddr, mac8 macaddr8, list inet[], near inet);
INSERT INTO t VALUES (1, '8.8.4.4', '8.8.4.0/24', '3c:22:fb:01:02:03', '3c:22:fb:ff:fe:01:02:03', '{8.8.4.4,8.8.8.8}', '10.0.0.7')`, masking.Config{})
	c := g.connect(t, "alice")
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		var id int
		var ip, network, near *netip.Prefix
		var mac *net.HardwareAddr
		var list []netip.Prefix
		require.NoError(t, c.QueryRow(t.Context(), "SELECT id, client_ip, net, mac, list, near FROM t", mode).Scan(&id, &ip, &network, &mac, &list, &near))
		require.Equal(t, 1, id)
		require.Nil(t, ip)
		require.Nil(t, network)
		require.Nil(t, mac)
		require.Nil(t, list)
		require.Equal(t, netip.MustParsePrefix("10.0.0.7/32"), *near)
	}
	var out bytes.Buffer
	_, err := c.PgConn().CopyTo(t.Context(), &out, "COPY t (client_ip, net, mac, mac8, list, near) TO STDOUT (FORMAT binary)")
	require.NoError(t, err)
	for _, part := range []string{"\x08\x08\x04\x04", "\x08\x08\x04\x00", "\x3c\x22\xfb", "\x08\x08\x08\x08"} {
		require.NotContains(t, out.String(), part)
	}
	require.Contains(t, out.String(), "\x0a\x00\x00\x07")
}

// TestLockedTables: a session reads a table that it has locked itself, and that the gateway
// cannot read beforehand.
func TestLockedTables(t *testing.T) {
	g := startRig(t, "CREATE TABLE locked (v text); INSERT INTO locked VALUES ('lamp'), ('4111111111111111')", masking.Config{})
	require.Equal(t, "BEGIN\nLOCK TABLE\nlamp\n************1111\nCOMMIT\n", g.psql(t, "alice", "BEGIN; LOCK TABLE locked; SELECT v FROM locked; COMMIT;\n", "-At"))
}
