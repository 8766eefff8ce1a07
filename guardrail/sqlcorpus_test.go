package guardrail_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/internal/corpus"
	"github.com/sallyport/sallyport/protocol/sql"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// shop is a catalog that is always the same.
type shop struct{ s *sql.Snapshot }

func (c shop) Snapshot(context.Context, *proxy.Reading) *sql.Snapshot { return c.s }
func (c shop) Latest(context.Context, *proxy.Reading) (*sql.Snapshot, []proxy.NameChange) {
	return c.s, nil
}
func (shop) Changed(*proxy.Reading, []proxy.NameChange) {}
func (shop) Doubt(*proxy.Reading)                       {}

// withCatalog analyses statements by a catalog that knows a few tables.
func withCatalog() func(text string) *proxy.Statement {
	c := sql.Contents{Path: []string{"pg_catalog", "public"}, Schemas: []string{"pg_catalog", "public"}, Extensions: []string{"pgcrypto", "plpgsql"}}
	for i, name := range []string{"users", "orders", "orgs"} {
		c.Relations = append(c.Relations, &sql.Relation{OID: uint32(20000 + i), Schema: "public", Name: name, Kind: sql.RelationTable, Columns: []sql.Column{
			{Attr: 1, Name: "id", NotNull: true}, {Attr: 2, Name: "name"}, {Attr: 3, Name: "age"}, {Attr: 4, Name: "active"},
		}})
	}
	for name, kind := range map[string]sql.RelationKind{"totals": sql.RelationMaterialized, "users_id_seq": sql.RelationSequence, "v": sql.RelationView} {
		c.Relations = append(c.Relations, &sql.Relation{OID: uint32(20003 + len(c.Relations)), Schema: "public", Name: name, Kind: kind})
	}
	s := sql.NewSnapshot(c)
	s.ID = 1
	a := sqlpostgres.New(sqlpostgres.Config{Catalog: shop{s}})
	return func(text string) *proxy.Statement {
		return &proxy.Statement{
			Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(text),
			Facts: a.Analyze(context.Background(), []byte(text), &proxy.Reading{Dialect: "postgres"}),
		}
	}
}

// Statements of everyday tools are allowed by the default rules, with a catalog and,
// but for those that need one, without.
func TestEverydayStatements(t *testing.T) {
	s := proxytest.Session(t, create(t, guardrail.Defaults()...))
	known := withCatalog()
	list := read(t, "statements.txt", corpus.Read)
	require.Greater(t, len(list), 500)
	for _, c := range list {
		needs := strings.HasPrefix(c.Part, "With the catalog")
		// What is there in the tool's database is not in this catalog.
		with, without := known(c.Text), statement(c.Text)
		if strings.HasSuffix(c.Part, "on a new database") {
			with.Keeper, without.Keeper = &keeper{empty: true}, &keeper{empty: true}
		}
		if v := ask(s, with); v.Refuses() {
			t.Errorf("%s: %s\n%s", c.Part, c.Text, v.Message())
		}
		if v := ask(s, without); v.Refuses() != needs && (needs && strings.HasPrefix(c.Text, "DROP") || !needs) {
			t.Errorf("without a catalog: %s: %s\n%s", c.Part, c.Text, v.Message())
		}
	}
}

// attack is a class of statements that a rule of the default pack refuses, and
// neighbours that it must not.
type attack struct {
	class, rule string
	catalog     bool // the forms are ones by what the catalog knows
	forms       []string
	neighbours  []string
}

// each writes a form for every one of the values, in the place of %s.
func each(form string, values ...string) (list []string) {
	for _, v := range values {
		list = append(list, strings.ReplaceAll(form, "%s", v))
	}
	return list
}

func all(lists ...[]string) (list []string) {
	for _, l := range lists {
		list = append(list, l...)
	}
	return list
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

var attacks = []attack{
	{
		"a change of every row by a condition that is always true", "no-where", false,
		all(each("DELETE FROM users WHERE %s", "true", "1 = 1", "'a' = 'a'", "id = id", "id IS NOT DISTINCT FROM id", "id = 1 OR id <> 1", "id < 5 OR id > 3", "NOT (id <> id)",
			"name LIKE '%'", "name ~ '.*'", "length(name) >= 0", "id IN (SELECT id FROM users)", "ctid IS NOT NULL", "id - id = 0", "name || '' = name"),
			each("UPDATE users SET age = 1 WHERE %s", "active OR NOT active", "EXISTS (SELECT 1 FROM orders)", "(SELECT count(*) FROM orders) >= 0", "now() > '2000-01-01'")),
		all(each("DELETE FROM users WHERE %s", "id = 1", "false", "1 = 2", "id <> 1", "id < 3 OR id > 5", "name LIKE 'a%'", "length(name) >= 5", "id IN (SELECT id FROM users WHERE age = 1)"),
			each("UPDATE users SET age = 1 WHERE %s", "active", "EXISTS (SELECT 1 FROM orders o WHERE o.id = users.id)")),
	},
	{
		"a change of every row by what the catalog knows", "no-where", true,
		each("DELETE FROM users WHERE %s", "id IS NOT NULL", "NOT (id IS NULL)", "id IS DISTINCT FROM NULL", "coalesce(id, 0) IS NOT NULL", "(id = 1) IS NOT UNKNOWN",
			"id = 1 OR id IS NOT NULL", "true AND id IS NOT NULL", "coalesce(age, 0) IS NOT NULL", "EXISTS (SELECT 1 FROM orders WHERE id = age)", "users.id IS NOT NULL"),
		each("DELETE FROM users WHERE %s", "age IS NOT NULL", "name IS NULL", "id IS NULL", "(age = 1) IS NOT UNKNOWN", "id IS NOT NULL AND age = 1"),
	},
	{
		"a condition on another table", "no-where", false,
		all(each("UPDATE users SET age = 1 FROM orders %s", "", "WHERE orders.id = 1", "o WHERE o.id = 1", "WHERE orders.id = orders.age", "WHERE users.id = orders.id OR orders.id = 1", "JOIN orgs ON orgs.id = orders.id WHERE orgs.id = 1"),
			each("DELETE FROM users USING %s", "orders", "orders WHERE orders.id = 1", "users u WHERE u.id = users.id", "(SELECT 1 AS k) s WHERE s.k = 1"),
			each("MERGE INTO users USING orders o ON %s WHEN MATCHED THEN DELETE", "true", "o.id = 1", "1 = 1")),
		[]string{
			"UPDATE users SET age = 1 FROM orders WHERE users.id = orders.id", "UPDATE users u SET age = o.age FROM orders o WHERE u.id = o.id AND o.age = 1",
			"DELETE FROM users USING orders WHERE users.id = orders.id", "DELETE FROM users USING users u WHERE u.id > users.id AND u.name = users.name",
			"MERGE INTO users USING orders o ON o.id = users.id WHEN MATCHED THEN DELETE",
		},
	},
	{
		"data lost by a drop", "no-drop", false,
		all(each("DROP %s", "TABLE users", "TABLE IF EXISTS public.users CASCADE", "TABLE orgs, users", "SCHEMA public CASCADE", "DATABASE shop", "MATERIALIZED VIEW totals", "SEQUENCE users_id_seq",
			"EXTENSION hstore CASCADE", "TYPE mood CASCADE", "VIEW v CASCADE", "FUNCTION f CASCADE", "OWNED BY app"),
			each("ALTER TABLE users %s", "DROP COLUMN age", "DROP age", "ADD x int, DROP COLUMN IF EXISTS age CASCADE"),
			each("TRUNCATE %s", "users", "ONLY users RESTART IDENTITY", "TABLE users, orgs CASCADE"), []string{"ALTER TYPE pair DROP ATTRIBUTE a"}),
		all(each("DROP %s", "INDEX i", "INDEX CONCURRENTLY i", "VIEW v", "TRIGGER g ON users", "FUNCTION f", "TYPE mood", "TABLE pg_temp.a", "RULE r ON users"),
			each("ALTER TABLE users %s", "DROP CONSTRAINT c", "ALTER age DROP NOT NULL", "ALTER age DROP DEFAULT"), []string{"TRUNCATE pg_temp.a"}),
	},
	{
		"data lost by a change of type", "no-drop", false,
		all(each("ALTER TABLE users ALTER COLUMN name TYPE text USING %s", "'gone'", "NULL", "now()::text", "age::text", "coalesce('gone', name)", "CASE WHEN false THEN name ELSE '' END",
			"CASE WHEN true THEN '' ELSE name END", "nullif(name, name)", "left(name, 0)", "(SELECT 'x')"),
			each("ALTER TABLE users ALTER age SET DATA TYPE bigint USING %s", "0", "age * 0", "age - age", "id")),
		each("ALTER TABLE users ALTER COLUMN name TYPE text%s", "", " USING name", " USING lower(name)", " USING CASE WHEN name = 'a' THEN 'b' ELSE 'c' END", " USING coalesce(name, '')", " USING nullif(name, '')"),
	},
	{
		"a function under another schema", "no-server-files", false,
		all(each("SELECT %s.dblink_exec('SELECT 1')", "public", `"public"`, "ext", `"Other Schema"`, `U&"\0065xt"`, "pg_catalog"),
			each("SELECT public.%s('SELECT 1')", "dblink", `"dblink"`, "dblink_connect", "dblink_send_query", "dblink_connect_u", "dblink_open", "dblink_get_result", "pg_background_launch"),
			[]string{"SELECT * FROM tools.dblink('c', 'SELECT 1') AS d(a int)", "SELECT tools.pg_file_write('a', 'b', true)", "CREATE OPERATOR === (FUNCTION = pg_read_file, RIGHTARG = text)"}),
		each("SELECT %s", "app.lower('x')", "app.total(1)", "public.gen_random_uuid()", "dblink_version_note()", "ext.digest('a', 'sha256')"),
	},
	{
		"a text that runs", "no-drop", false,
		runningTexts("DROP TABLE users"), runningTexts("SELECT id FROM users WHERE id = 1"),
	},
	{
		"a text that runs a change of every row", "no-where", false,
		runningTexts("DELETE FROM users"), runningTexts("DELETE FROM users WHERE id = 1"),
	},
	{
		"a text that is not told", "no-blind-text", false,
		all(each("SELECT query_to_xml(%s, true, true, '')", "'DROP ' || 'TABLE users'", "$1", "concat('DROP', ' TABLE users')", "format('DROP TABLE %I', 'users')", "name",
			"'DELETE FROM users WHERE id = 1'::varchar(17)", "chr(68) || 'ROP TABLE users'", "lower('DROP TABLE users')", "(SELECT name FROM users)", "'not sql at all'"),
			[]string{"SELECT * FROM crosstab('DROP ' || 'TABLE users') AS c(a int)", "SELECT database_to_xml(true, true, '')", "SELECT table_to_xml(oid, true, true, '') FROM pg_class", "EXECUTE p"},
			each("DO $$BEGIN EXECUTE %s; END$$", "'DROP ' || 'TABLE users'", "format('DROP TABLE %I', 'users')", "(SELECT name FROM users)")),
		[]string{
			"SELECT query_to_xml('SELECT 1', true, true, '')", "SELECT table_to_xml('users', true, true, '')", "SELECT 'DROP ' || 'TABLE users'", "SELECT format('DROP TABLE %I', 'users')",
			"SELECT * FROM crosstab('SELECT id, name, age FROM users') AS c(a int)", "DO $$BEGIN EXECUTE 'DROP INDEX i'; END$$",
		},
	},
	{
		"a block", "no-drop", false,
		each("DO $$ %s $$", "BEGIN DROP TABLE users; END", "BEGIN IF false THEN DROP TABLE users; END IF; END", "BEGIN NULL; EXCEPTION WHEN others THEN TRUNCATE users; END",
			"BEGIN EXECUTE 'DROP TABLE users'; END", "DECLARE x int; BEGIN FOR x IN 1..2 LOOP DROP TABLE users; END LOOP; END", "BEGIN BEGIN DROP SCHEMA public CASCADE; END; END",
			"BEGIN CASE WHEN true THEN NULL; ELSE DROP TABLE users; END CASE; END", "BEGIN /* BEGIN */ TRUNCATE users; -- END\n END", "<<a>> BEGIN WHILE true LOOP DROP TABLE users; END LOOP; END a",
			"BEGIN PERFORM query_to_xml('DROP TABLE users', true, true, ''); END", "BEGIN ALTER TABLE users DROP COLUMN age; END"),
		each("DO $$ %s $$", "BEGIN NULL; END", "BEGIN IF NOT EXISTS (SELECT 1 FROM users) THEN INSERT INTO users VALUES (1); END IF; END", "BEGIN RAISE NOTICE 'DROP TABLE users'; END",
			"BEGIN DROP INDEX i; EXCEPTION WHEN undefined_object THEN NULL; END", "BEGIN PERFORM 'DROP TABLE users; END'; END"),
	},
	{
		"another role", "no-grants", false,
		all(each("SET %s", "ROLE postgres", "LOCAL ROLE postgres", `"role" = 'postgres'`, "SESSION AUTHORIZATION postgres", `ROLE "None"`, "SESSION AUTHORIZATION 'default'"),
			each("SELECT set_config(%s, false)", "'role', 'postgres'", "'ROLE', 'postgres'", "'ro' || 'le', 'none'", "'session_authorization', 'postgres'"),
			[]string{"RESET ROLE; SET ROLE postgres", "UPDATE pg_settings SET setting = 'postgres' WHERE name = 'role'", "SELECT query_to_xml('SELECT set_config(''role'', ''postgres'', false)', true, true, '')"}),
		[]string{"RESET ROLE", "SET ROLE NONE", "SET SESSION AUTHORIZATION DEFAULT", "RESET SESSION AUTHORIZATION", "SELECT set_config('role', 'none', false)", "RESET ALL", "DISCARD ALL"},
	},
}

// runningTexts are the ways in which the server runs a text.
func runningTexts(text string) []string {
	q := quoted(text)
	twice := quoted("SELECT query_to_xml(" + q + ", true, true, '''')")
	return []string{
		"SELECT query_to_xml(" + q + ", true, true, '')", "SELECT pg_catalog.query_to_xml($x$" + text + "$x$::text, true, true, '')",
		"SELECT query_to_xml(nulls => true, tableforest => true, targetns => '', query => " + q + ")", "SELECT query_to_xmlschema(" + q + ", true, true, '')",
		"SELECT query_to_xml_and_xmlschema((" + q + "), true, true, '')", "SELECT * FROM crosstab(" + q + ") AS c(a int)", "SELECT * FROM tools.crosstab('SELECT 1, 2, 3', " + q + ") AS c(a int)",
		"SELECT * FROM ts_stat(" + q + ")", "SELECT ts_rewrite('a'::tsquery, " + q + ")", "SELECT cron.schedule('0 3 * * *', " + q + ")", "SELECT cron.schedule('n', '0 3 * * *', " + q + ")",
		"SELECT run_command_on_workers(" + q + ")", "SELECT 1 FROM orgs WHERE query_to_xml(" + q + ", true, true, '') IS NOT NULL", "INSERT INTO orgs (name) SELECT query_to_xml(" + q + ", true, true, '')::text",
		"SELECT query_to_xml(" + strings.ReplaceAll(twice, "''''''''", "''''") + ", true, true, '')", "DO $b$BEGIN EXECUTE " + q + "; END$b$",
		"SELECT * FROM connectby(" + quoted("users; "+text) + ", 'id', 'up', '1', 0) AS c(a int)",
	}
}

// Every class of attacks is refused in all of its forms by its rule, and what only looks
// like one is not.
func TestAttacks(t *testing.T) {
	s := proxytest.Session(t, create(t, guardrail.Defaults()...))
	n, known := 0, withCatalog()
	for _, a := range attacks {
		if len(a.forms) < 10 || len(a.neighbours) == 0 {
			t.Errorf("%s: %d forms and %d neighbours are too few", a.class, len(a.forms), len(a.neighbours))
		}
		analyses := map[string]func(string) *proxy.Statement{"with a catalog": known, "without a catalog": statement}
		if a.catalog {
			delete(analyses, "without a catalog")
		}
		for how, analyse := range analyses {
			for _, text := range a.forms {
				n++
				if v := ask(s, analyse(text)); v.Rule != a.rule {
					t.Errorf("%s, %s: %s\n got %s\nwant %s", a.class, how, text, fmt.Sprint(v.Rule, " ", v.Message()), a.rule)
				}
			}
			for _, text := range a.neighbours {
				if v := ask(s, analyse(text)); v.Refuses() {
					t.Errorf("%s, %s, a neighbour: %s\n%s", a.class, how, text, v.Message())
				}
			}
		}
	}
	require.Greater(t, n, 300)
}
