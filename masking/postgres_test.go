package masking_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/masking"
)

const schema = `
CREATE TABLE p (id int PRIMARY KEY, name text, ssn text UNIQUE, ssn_n bigint, dob date CHECK (dob > '1900-01-01'), doc jsonb, note text, card bigint);
INSERT INTO p VALUES
 (1, 'Ann', '123-45-6789', 123456789, '1980-02-03', '{"ssn": "123-45-6789", "last_name": "Smithers", "card": 4111111111111111, "n": 7}', 'write to ann@example.com', 4111111111111111),
 (2, 'Bob', '321-54-9876', 321549876, '1990-04-05', '{"n": 8}', 'nothing here', 42),
 (3, 'Cat', NULL, NULL, NULL, NULL, '', NULL);
CREATE TABLE plain (id int, at timestamptz, total numeric, tag text);
INSERT INTO plain SELECT i, '2024-05-06', i * 1.5, 'tag ' || i FROM generate_series(1, 3) i;
CREATE VIEW renamed AS SELECT id AS i, ssn AS h, ssn_n AS k FROM p;
CREATE FUNCTION leak() RETURNS SETOF text LANGUAGE sql AS 'SELECT ssn FROM p';
CREATE FUNCTION leak_numbers() RETURNS SETOF bigint LANGUAGE plpgsql AS 'BEGIN RETURN QUERY EXECUTE ''SELECT s''||''sn_n FROM p''; END';
CREATE FUNCTION leak_rows() RETURNS TABLE (a bigint, b text) LANGUAGE sql AS 'SELECT ssn_n, ssn FROM p';
`

// leaks finds what must not reach the client: four consecutive digits of an
// identifier or card, or other parts of values.
var leaks = regexp.MustCompile(`1234|2345|3456|4567|5678|6789|123-45|45-6789|321-54|3215|54-9876|549876|1980|411111|Smithers|ann@`)

func TestSimpleQueries(t *testing.T) {
	g := startRig(t, schema, masking.Config{})
	out := g.psql(t, "alice", "SELECT id, name, ssn, ssn_n, dob, doc, note, card FROM p ORDER BY id;", "-A", "-t")
	require.Equal(t, `1|Ann|***-**-****|||{"n": 7, "ssn": "***-**-****", "card": null, "last_name": "S*******"}|write to a**@*******.com|
2|Bob|***-**-****|||{"n": 8}|nothing here|42
3|Cat||||||
`, out)
	g.mu.Lock()
	require.Equal(t, uint64(5), g.counts[detect.USSSN], "%v", g.counts)
	require.Equal(t, uint64(1), g.counts[detect.Email])
	g.mu.Unlock()
	require.Equal(t, "1|2024-05-06 00:00:00+00|1.5|tag 1\n", g.psql(t, "alice", "SET timezone TO utc; SELECT * FROM plain WHERE id = 1;", "-A", "-t", "-q"))
}

func TestGroupsThatSeeEverything(t *testing.T) {
	g := startRig(t, schema, masking.Config{Unmasked: []string{"auditors"}})
	require.Equal(t, "123-45-6789\n", g.psql(t, "auditors", "SELECT ssn FROM p WHERE id = 1", "-A", "-t"))
	require.Equal(t, "***-**-****\n", g.psql(t, "alice", "SELECT ssn FROM p WHERE id = 1", "-A", "-t"))
}

func TestTransforms(t *testing.T) {
	for _, c := range []struct {
		with masking.Transform
		want string
	}{
		{masking.Redact, `^\[US_SSN\]\|write to \[EMAIL_ADDRESS\]\n$`},
		{masking.Hash, `^[0-9a-f]{16}\|write to [0-9a-f]{16}\n$`},
		{masking.Null, `^\|\n$`},
	} {
		t.Run(c.with.String(), func(t *testing.T) {
			g := startRig(t, schema, masking.Config{Rules: []masking.Rule{{With: c.with}}, Key: []byte("0123456789abcdef")})
			require.Regexp(t, c.want, g.psql(t, "alice", "SELECT ssn, note FROM p WHERE id = 1", "-A", "-t"))
		})
	}
}

// TestErrorsStayUseful keeps what has nothing to do with masked columns.
func TestErrorsStayUseful(t *testing.T) {
	g := startRig(t, schema+`CREATE TABLE q (id int PRIMARY KEY, parent int REFERENCES p (id));`, masking.Config{})
	require.Contains(t, g.psql(t, "alice", "INSERT INTO q VALUES (1, 99)"), "Key (parent)=(99) is not present")
	require.Contains(t, g.psql(t, "alice", "INSERT INTO p (id, ssn) VALUES (9, '123-45-6789')"), "Key (ssn)=(...) already exists.")
	require.Contains(t, g.psql(t, "alice", "SELECT 'abc'::int"), `invalid input syntax for type integer: "abc"`)
	require.Contains(t, g.psql(t, "alice", "SELECT nope FROM p"), `column "nope" does not exist`)
	require.Contains(t, g.psql(t, "alice", "INSERT INTO p (id, ssn) SELECT 8, NULL; SELECT id, name FROM p WHERE id = 2", "-A", "-t"), "2|Bob", "a table that is filled is not taken for a copy")
	require.Contains(t, g.psql(t, "alice", `\d p`), "p_ssn_key")
	require.Contains(t, g.psql(t, "alice", "SELECT count(*), sum(total) FROM plain JOIN p USING (id) WHERE ssn IS NOT NULL", "-A", "-t"), "2|4.5")
}

// TestToolsWork compares what psql shows of the catalog, directly and through
// the masker, and takes a dump.
func TestToolsWork(t *testing.T) {
	g := startRig(t, schema+`
CREATE TYPE mood AS ENUM ('ok', 'bad');
CREATE VIEW shown AS SELECT id, name FROM p;
CREATE TABLE customers (id serial PRIMARY KEY, email text UNIQUE, city text DEFAULT 'x', at timestamptz DEFAULT '2024-05-06 01:02:03Z', m mood DEFAULT 'ok');
INSERT INTO customers (email) VALUES ('ann@example.com'), ('bob@example.org');
COMMENT ON TABLE customers IS 'those who buy';
`, masking.Config{})
	for _, script := range []string{
		`\d`, `\d+`, `\d p`, `\d+ customers`, `\d shown`, `\dt`, `\dv`, `\di`, `\df`, `\dT+`, `\du`, `\dn+`, `\l`, `\dp`, `\dx`, `\sf leak`,
		"SELECT version()", "SELECT current_user, current_database(), now() > '2020-01-01'", "SHOW server_version", "SELECT count(*) FROM customers",
		"SELECT id, city, upper(city), at, m FROM customers ORDER BY id",
		"SELECT c.city, count(*) AS n, max(c.at) FROM customers c GROUP BY c.city ORDER BY n DESC LIMIT 3",
		"WITH x(a) AS (SELECT id FROM plain) SELECT a FROM x ORDER BY a",
		"SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
		"SELECT json_agg(q) FROM plain q", "SELECT row_to_json(q) FROM plain q", "SELECT * FROM plain UNION ALL SELECT * FROM plain WHERE id = 1 ORDER BY 1",
		"EXPLAIN (COSTS off) SELECT * FROM customers WHERE email = 'x'",
	} {
		direct, err := g.client(t, "psql", g.pg.Address(), "postgres", script, "-X", "-d", g.database)
		_ = err
		through := g.psql(t, "alice", script)
		if direct != through {
			t.Errorf("%s\n%s\n%s", script, direct, through)
		}
	}
	dump, err := g.client(t, "pg_dump", g.addr, "alice+orders", "", "--no-sync", g.database)
	require.NoError(t, err, dump)
	require.NotRegexp(t, leaks, dump)
	for _, want := range []string{"CREATE TABLE public.customers", "a**@*******.com", "b**@*******.org", "***-**-****", "COPY public.plain (id, at, total, tag) FROM stdin;\n1\t2024-05-06", "PostgreSQL database dump complete"} {
		require.Contains(t, dump, want)
	}
}

// TestQueriesOfApplications has statements as mappers of objects and reports
// write them: what is not masked by name stays readable.
func TestQueriesOfApplications(t *testing.T) {
	g := startRig(t, `
CREATE TABLE users (id serial PRIMARY KEY, email text, first_name text, role text, created_at timestamptz DEFAULT '2024-05-06', active bool DEFAULT true);
CREATE TABLE orders (id serial PRIMARY KEY, user_id int, total numeric, status text, ref text, meta jsonb);
INSERT INTO users (email, first_name, role) VALUES ('ann@example.com', 'Ann', 'admin'), ('bob@example.org', 'Bob', 'user');
INSERT INTO orders (user_id, total, status, ref, meta) VALUES (1, 10.5, 'open', 'AB-1', '{"k":1}'), (1, 1234567.25, 'done', 'AB-2', NULL);
`, masking.Config{})
	for sql, want := range map[string]string{
		`SELECT "users".* FROM "users" WHERE "users"."email" = 'ann@example.com' LIMIT 1`:                                                  "1|a**@*******.com|A**|admin|2024-05-06 00:00:00+00|t",
		`SELECT "users"."id" AS t0_r0, "users"."email" AS t0_r1, "users"."role" AS t0_r2 FROM "users" LIMIT 1`:                             "1|a**@*******.com|admin",
		`select u.id as id1_0_, u.email as email2_0_, u.role as role3_0_ from users u where u.id = 2`:                                      "2|b**@*******.org|user",
		`SELECT COUNT(*) AS "__count" FROM "users"`:                                                                                        "2",
		`SELECT o.status, count(*) n, sum(o.total) s FROM orders o JOIN users u ON u.id = o.user_id GROUP BY 1 ORDER BY 1`:                 "done|1|1234567.25\nopen|1|10.5",
		`SELECT o.id, u.role, u.email FROM orders o JOIN users u ON u.id = o.user_id ORDER BY 1 LIMIT 1`:                                   "1|admin|a**@*******.com",
		`SELECT count(*), max(u.created_at) FROM users u WHERE u.email LIKE '%com'`:                                                        "1|2024-05-06 00:00:00+00",
		`SELECT EXISTS (SELECT 1 FROM users WHERE email = 'a')`:                                                                            "f",
		`WITH s AS (SELECT user_id, sum(total) t FROM orders GROUP BY 1) SELECT u.id, u.role, s.t FROM users u JOIN s ON s.user_id = u.id`: "1|admin|1234577.75",
		`SELECT coalesce(json_agg(t), '[]') FROM (SELECT id, status FROM orders WHERE id = 1) t`:                                           `[{"id":1,"status":"open"}]`,
		`SELECT json_agg(u) FROM (SELECT id, email FROM users WHERE id = 1) u`:                                                             `[{"id":1,"email":"a**@*******.com"}]`,
		`SELECT row_to_json(u) FROM (SELECT id, email AS x FROM users WHERE id = 1) u`:                                                     `{"id":1,"x":"a**@*******.com"}`,
		`SELECT meta->>'k' AS k, upper(status), status || '-' || ref AS label FROM orders WHERE id = 1`:                                    "1|OPEN|open-AB-1",
		`SELECT id, CASE WHEN active THEN 'yes' ELSE 'no' END AS state FROM users WHERE id = 1`:                                            "1|yes",
		`SELECT id, status FROM orders WHERE ref LIKE '%1%' AND status <> 'take from the table'`:                                           "1|open",
		`UPDATE orders SET status = 'paid' WHERE id = 1 RETURNING id, status`:                                                              "1|paid",
	} {
		t.Run(sql, func(t *testing.T) {
			require.Equal(t, want, strings.TrimSpace(g.psql(t, "alice", "SET timezone TO utc; BEGIN; "+sql+"; ROLLBACK", "-A", "-t", "-q")))
		})
	}
}
