package masking_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/masking"
)

const writeBackSchema = `
CREATE TABLE users (id int PRIMARY KEY, first_name text, last_name text, email text, password text, ssn bigint, birth_date date, profile jsonb, bio text, tags text[], active bool DEFAULT true);
INSERT INTO users VALUES (1, 'Doris', 'Hampton', 'doris@example.com', 'Cobalt!Fox88', 123456789, '1980-02-03',
 '{"email": "doris@example.com", "theme": "dark", "password": "Cobalt!Fox88"}', 'write to doris@example.com, card 4111 1111 1111 1111', '{a,b}');
CREATE VIEW contact AS SELECT id AS number, email AS address, bio AS about FROM users;
CREATE TABLE log (id serial, line text, level text);
CREATE TABLE audited (line text);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touch BEFORE INSERT ON audited FOR EACH ROW EXECUTE FUNCTION touch();
CREATE FUNCTION set_email(n int, e text) RETURNS void LANGUAGE plpgsql AS 'BEGIN UPDATE users SET email = e WHERE id = n; END';
`

// intact checks that the row of users is as it was.
func (g *rig) intact(t *testing.T, what string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), g.direct())
	require.NoError(t, err)
	defer c.Close(context.Background())
	var row string
	require.NoError(t, c.QueryRow(t.Context(), "SELECT concat_ws('|', first_name, email, password, ssn, birth_date, profile->>'email', bio) FROM users WHERE id = 1").Scan(&row))
	require.Equal(t, "Doris|doris@example.com|Cobalt!Fox88|123456789|1980-02-03|doris@example.com|write to doris@example.com, card 4111 1111 1111 1111", row, what)
}

// refusedMask requires that err is the native refusal of a mask in column.
func refusedMask(t *testing.T, err error, column, what string) {
	t.Helper()
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e, what)
	require.Equal(t, "42501", e.Code, what)
	require.Contains(t, e.Message, `"`+column+`"`, what)
	require.Contains(t, e.Message, "name only the columns you change, or ask for an exemption", what)
	require.NotEmpty(t, e.Hint, what)
}

// What the gateway has shown masked is not written over what it hides.
func TestWriteBackOfLiterals(t *testing.T) {
	g := startRig(t, writeBackSchema, masking.Config{})
	c := g.connect(t, "alice")
	shown := map[string]string{}
	rows, err := c.Query(t.Context(), "SELECT first_name, email, password, profile::text, bio FROM users WHERE id = 1", pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	require.True(t, rows.Next())
	values, err := rows.Values()
	require.NoError(t, err)
	for i, name := range []string{"first_name", "email", "password", "profile", "bio"} {
		shown[name] = values[i].(string)
	}
	rows.Close()
	require.Contains(t, shown["email"], "*")
	require.Equal(t, "********", shown["password"])
	for text, column := range map[string]string{
		"UPDATE users SET first_name = '$first_name' WHERE id = 1":                                                       "first_name",
		"UPDATE users SET email = '$email' WHERE id = 1":                                                                 "email",
		"UPDATE users SET active = true, email = '$email'::varchar, bio = 'x' WHERE id = 1":                              "email",
		"UPDATE users SET password = E'$password' WHERE id = 1":                                                          "password",
		"UPDATE users SET password = $$$password$$ WHERE id = 1":                                                         "password",
		"UPDATE users SET profile = '$profile' WHERE id = 1":                                                             "profile",
		"UPDATE users SET profile = jsonb_set(profile, '{email}', '\"$email\"') WHERE id = 1":                            "profile",
		"UPDATE users SET bio = '$bio' WHERE id = 1":                                                                     "bio",
		"UPDATE users SET ssn = NULL WHERE id = 1":                                                                       "ssn",
		"UPDATE users SET birth_date = NULL WHERE id = 1":                                                                "birth_date",
		"UPDATE contact SET address = '$email' WHERE number = 1":                                                         "address",
		"INSERT INTO users (id, email) VALUES (1, '$email') ON CONFLICT (id) DO UPDATE SET email = excluded.email":       "email",
		"INSERT INTO users (id, email) VALUES (2, 'x@y.com'), (3, '$email')":                                             "email",
		"INSERT INTO users SELECT 2, 'A', 'B', '$email', 'p', 5":                                                         "email",
		"MERGE INTO users u USING (VALUES (1, '$email')) s(i, e) ON u.id = s.i WHEN MATCHED THEN UPDATE SET email = s.e": "email",
		"WITH d AS (SELECT '$email' AS e) UPDATE users SET email = e FROM d WHERE id = 1":                                "email",
		"UPDATE users SET email = coalesce('$email', email) WHERE id = 1":                                                "email",
		"UPDATE users SET email = CASE WHEN id = 1 THEN lower('$email') ELSE email END":                                  "email",
		"UPDATE users SET (email, bio) = ('$email', 'x') WHERE id = 1":                                                   "email",
		"EXPLAIN ANALYZE UPDATE users SET email = '$email' WHERE id = 1":                                                 "email",
		"PREPARE masked AS UPDATE users SET email = '$email' WHERE id = 1":                                               "email",
		"INSERT INTO users SELECT * FROM json_populate_recordset(NULL::users, '[{\"id\": 1, \"email\": \"$email\"}]') ON CONFLICT (id) DO UPDATE SET email = excluded.email": "first_name",
		"UPDATE users u SET email = x.email FROM json_to_recordset('[{\"id\": 1, \"email\": \"$email\"}]') AS x(id int, email text) WHERE u.id = x.id":                       "email",
		"UPDATE users SET email = U&'\\0064****@*******.com' WHERE id = 1":                                                                                                   "email",
		"UPDATE users SET email = E'\\144\\x2a***@*******.com' WHERE id = 1":                                                                                                 "email",
		"COPY (UPDATE users SET email = '$email' WHERE id = 1 RETURNING id) TO STDOUT":                                                                                       "email",
		"UPDATE log SET line = 'x'; UPDATE users SET email = '$email' WHERE id = 1":                                                                                          "email",
	} {
		for name, v := range shown {
			text = strings.ReplaceAll(text, "$"+name, v)
		}
		_, err := c.PgConn().Exec(t.Context(), text).ReadAll()
		refusedMask(t, err, column, text)
		g.intact(t, text)
	}
	_, err = c.PgConn().Exec(t.Context(), "CREATE TEMP TABLE staged (i int, e text)").ReadAll()
	require.NoError(t, err)
	for _, text := range []string{"INSERT INTO staged VALUES (1, '" + shown["email"] + "')", "UPDATE public.users SET email = '" + shown["email"] + "'"} {
		_, err := c.PgConn().Exec(t.Context(), text).ReadAll()
		require.ErrorContains(t, err, "name only the columns you change", text)
	}
	for _, text := range []string{
		"INSERT INTO users (id, email) VALUES (9, '" + shown["email"] + "') /* " + strings.Repeat("x", 1<<20) + " */",
		"DO $x$ BEGIN UPDATE users SET email = '" + shown["email"] + "' WHERE id = 1; END $x$",
		"SELECT set_email(1, '" + shown["email"] + "')",
	} {
		_, err := c.PgConn().Exec(t.Context(), text).ReadAll()
		require.ErrorContains(t, err, "cannot tell which columns", text)
		g.intact(t, text)
	}
}

// Values that are not masks are written, and what is not written is not looked at.
func TestWritesThatAreNoMasks(t *testing.T) {
	g := startRig(t, writeBackSchema, masking.Config{})
	c := g.connect(t, "alice")
	for _, text := range []string{
		"UPDATE users SET first_name = 'Ann', email = 'ann@example.org', password = 'S3cret**Word', ssn = 987654321, birth_date = '1990-01-01' WHERE id = 1",
		"UPDATE users SET email = NULL, first_name = NULL WHERE id = 1",
		"UPDATE users SET email = 'n/a', password = '' WHERE id = 1",
		"UPDATE users SET birth_date = DEFAULT WHERE id = 1",
		"INSERT INTO users (id, email, ssn, birth_date, password) VALUES (10, 'b@example.org', NULL, NULL, '**bold**')",
		"INSERT INTO users (id, bio) VALUES (11, '**bold** and ***more***, ******** rated ***** by 5')",
		"UPDATE users SET bio = '**Note**: see *this*' || E'\\n* one\\n* two\\n***\\n2 * 3 ** 4', tags = '{\"*\",\"**x**\"}' WHERE id = 11",
		"UPDATE users SET profile = '{\"theme\": \"**\", \"stars\": \"*****\"}' WHERE id = 11",
		"UPDATE users SET active = false WHERE password = '********' OR email = 'd****@*******.com'",
		"SELECT * FROM users WHERE password = '********'",
		"DELETE FROM users WHERE email = 'd****@*******.com'",
		"INSERT INTO log (line) VALUES ('********'), ('/* c */ ***'), ('d****@*******.com')",
		"UPDATE log SET level = CASE WHEN line = '********' THEN 'low' ELSE '*****' END",
		"UPDATE users SET email = replace(email, '*', 'x') WHERE id = 10",
		"UPDATE users SET ssn = ssn + 1 WHERE id = 10",
		"INSERT INTO audited VALUES ('d****@*******.com')",
		"SELECT set_email(10, 'real@example.com')",
		"SELECT set_email(10, 'real@example.com') FROM log WHERE line = '********'",
	} {
		_, err := c.PgConn().Exec(t.Context(), text).ReadAll()
		require.NoError(t, err, text)
	}
}

func TestWriteBackOfParameters(t *testing.T) {
	g := startRig(t, writeBackSchema, masking.Config{})
	c := g.connect(t, "alice")
	var email, password string
	require.NoError(t, c.QueryRow(t.Context(), "SELECT email, password FROM users WHERE id = 1").Scan(&email, &password))
	for _, x := range []struct {
		text   string
		args   []any
		column string
	}{
		{"UPDATE users SET email = $1 WHERE id = $2", []any{email, 1}, "email"},
		{"UPDATE users SET last_name = $1, password = $2 WHERE id = $3", []any{"Lee", password, 1}, "password"},
		{"UPDATE users SET email = coalesce($1::text, email) WHERE id = $2", []any{email, 1}, "email"},
		{"UPDATE users SET ssn = $1 WHERE id = 1", []any{nil}, "ssn"},
		{"UPDATE users SET birth_date = $1::date WHERE id = 1", []any{nil}, "birth_date"},
		{"UPDATE users SET profile = $1 WHERE id = 1", []any{map[string]any{"email": email}}, "profile"},
		{"UPDATE users u SET email = d.e FROM unnest($1::int[], $2::text[]) AS d(i, e) WHERE u.id = d.i", []any{[]int32{1}, []string{email}}, "email"},
		{"INSERT INTO users (id, email) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET email = excluded.email", []any{1, email}, "email"},
		{"INSERT INTO users (id, email) SELECT (x->>'id')::int, x->>'email' FROM jsonb_array_elements($1::jsonb) x", []any{[]map[string]any{{"id": 9, "email": email}}}, "email"},
	} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
			if mode != pgx.QueryExecModeCacheStatement && strings.Contains(x.text, "json") || strings.Contains(x.text, "profile") && mode != pgx.QueryExecModeCacheStatement {
				continue // pgx does not know the type then
			}
			_, err := c.Exec(t.Context(), x.text, append([]any{mode}, x.args...)...)
			refusedMask(t, err, x.column, x.text)
			g.intact(t, x.text)
		}
	}
	_, err := c.Exec(t.Context(), "PREPARE later AS UPDATE users SET email = $1 WHERE id = 1")
	require.NoError(t, err)
	_, err = c.PgConn().Exec(t.Context(), "EXECUTE later('"+email+"')").ReadAll()
	refusedMask(t, err, "email", "EXECUTE")
	_, err = c.PgConn().Exec(t.Context(), "EXECUTE later('real@example.com')").ReadAll()
	require.NoError(t, err)
	for text, args := range map[string][]any{
		"UPDATE users SET ssn = coalesce($1, ssn), birth_date = coalesce($2::date, birth_date) WHERE id = 1":                {nil, nil},
		"INSERT INTO users (id, ssn) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET ssn = coalesce(excluded.ssn, users.ssn)": {nil},
		"INSERT INTO users (id, ssn) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET last_name = 'Lee'":                       {nil},
		"UPDATE users SET bio = $1, profile = $2 WHERE id = 1 AND email = $3":                                               {"**bold**", map[string]any{"stars": "*****"}, email},
		"INSERT INTO users (id, bio) SELECT 70 + i, b FROM unnest($1::int[], $2::text[]) AS d(i, b)":                        {[]int32{1, 2}, []string{"**x**", "********"}},
	} {
		_, err := c.Exec(t.Context(), text, args...)
		require.NoError(t, err, text)
	}
	for _, args := range [][]any{{"Lee", "lee@example.com", 1}, {"Lee", nil, 1}, {"Lee", "**", 1}} {
		_, err := c.Exec(t.Context(), "UPDATE users SET bio = $1, email = $2 WHERE id = $3", args...)
		if args[1] == "**" {
			refusedMask(t, err, "email", "a short mask")
			continue
		}
		require.NoError(t, err)
	}
	_, err = c.Exec(t.Context(), "SELECT lo_from_bytea(0, $1)", []byte("plain"))
	require.NoError(t, err)
	_, err = c.Exec(t.Context(), "SELECT lo_put(1, 0, $1)", []byte("mail d****@*******.com"))
	refusedMask(t, err, "data", "lo_put")
}

// psql's \gset takes what was shown into a variable.
func TestWriteBackByGset(t *testing.T) {
	g := startRig(t, writeBackSchema, masking.Config{})
	out := g.psql(t, "alice", `SELECT email, password FROM users WHERE id = 1 \gset
UPDATE users SET last_name = 'Lee', email = :'email', password = :'password' WHERE id = 1;
UPDATE users SET last_name = 'Lee' WHERE id = 1;`)
	require.Contains(t, out, `column "email" is shown to you masked`)
	require.Contains(t, out, "UPDATE 1")
	g.intact(t, out)
}

// Django's save() writes all fields of a row, as it was shown them.
func TestWriteBackByDjango(t *testing.T) {
	for _, module := range []string{"django", "psycopg2", "psycopg"} {
		if _, err := os.Stat("/usr/lib/python3/dist-packages/" + module); err != nil {
			testserver.Missing(t, "python3-"+module)
		}
	}
	g := startRig(t, writeBackSchema, masking.Config{})
	host, port, err := net.SplitHostPort(g.addr)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", filepath.Join("testdata", "orm_client.py"))
	cmd.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGUSER=alice+orders", "PGPASSWORD=wonder", "PGDATABASE="+g.database, "PGSSLMODE=disable", "PYTHONIOENCODING=utf-8")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	const refused = ` is shown to you masked, and this would write such a mask into it; name only the columns you change, or ask for an exemption HINT: Leave the column out of the statement, or write its real value.`
	require.Equal(t, `save: column "first_name"`+refused+`
save of fields: done
save of real values: done
create: done
bulk_update: column "email"`+refused+`
bulk_create: column "email"`+refused+`
update: done
copy: column "email"`+refused+`
copy (FORMAT BINARY): column "email"`+refused+`
copy: done
copy (FORMAT BINARY): done
binary: column "email"`+refused+`
rows: 2
`, string(out))
}

// Under every transform, what one session was shown is not written over by another, and
// real values are written where anything tells them apart.
func TestWriteBackOfTransforms(t *testing.T) {
	for _, x := range []struct {
		with    masking.Transform
		options masking.Options
		columns string // that the rule names
		alike   bool   // real values look as masks do: none is written over another
	}{
		{with: masking.Partial, columns: "email,password,ssn,birth_date"},
		{with: masking.Redact, columns: "email,password,ssn,birth_date"},
		{with: masking.Hash, columns: "email,password,ssn"},
		{with: masking.Pseudonym, columns: "email,password"},
		{with: masking.Tokenise, columns: "email,password"},
		{with: masking.Null, columns: "email,password,ssn,birth_date"},
		{with: masking.Fixed, options: masking.Options{Text: "0"}, columns: "email,ssn"},
		{with: masking.KeepDomain, columns: "email"},
		{with: masking.Bucket, options: masking.Options{Size: 10}, columns: "ssn"},
		{with: masking.Truncate, options: masking.Options{Unit: "decade"}, columns: "birth_date"},
		{with: masking.Shift, columns: "birth_date", alike: true},
		{with: masking.Encrypt, columns: "email,ssn", alike: true},
		{with: masking.SameShape, columns: "email,ssn", alike: true},
	} {
		t.Run(x.with.String(), func(t *testing.T) {
			columns := strings.Split(x.columns, ",")
			rule := masking.Rule{Name: "hide", With: x.with, Options: x.options}
			for _, c := range columns {
				rule.Columns = append(rule.Columns, "users."+c)
			}
			g := startRig(t, writeBackSchema, masking.Config{Rules: []masking.Rule{rule, {Off: true}}, Key: []byte(strings.Repeat("k", 32))})
			reader := g.connect(t, "alice")
			real := map[string]string{"email": "ann@example.org", "password": "S3cretWord", "ssn": "987654321", "birth_date": "1991-03-04"}
			for _, c := range columns {
				writer := g.connect(t, "alice")
				for _, binary := range []bool{false, true} {
					format := int16(0)
					if binary {
						format = 1
					}
					r := reader.PgConn().ExecParams(t.Context(), "SELECT "+c+" FROM users WHERE id = 1", nil, nil, nil, []int16{format}).Read()
					require.NoError(t, r.Err)
					shown := r.Rows[0][0]
					write := writer.PgConn().ExecParams(t.Context(), "UPDATE users SET "+c+" = $1 WHERE id = 1", [][]byte{shown}, nil, []int16{format}, nil).Read()
					refusedMask(t, write.Err, c, c)
					if binary {
						continue
					}
					literal := "NULL"
					if shown != nil {
						literal = "'" + string(shown) + "'"
					}
					_, err := writer.PgConn().Exec(t.Context(), "UPDATE users SET "+c+" = "+literal+" WHERE id = 1").ReadAll()
					refusedMask(t, err, c, literal)
				}
				g.intact(t, c)
				_, err := writer.Exec(t.Context(), "INSERT INTO users (id, "+c+") VALUES ($1, '"+real[c]+"')", 100+len(c))
				require.NoError(t, err, "a new row")
				_, err = writer.PgConn().Exec(t.Context(), "UPDATE users SET "+c+" = '"+real[c]+"' WHERE id > 99").ReadAll()
				if x.alike {
					refusedMask(t, err, c, "nothing tells")
				} else {
					require.NoError(t, err, "a real value")
				}
			}
		})
	}
}

// A partition's column is its table's, a view's is its base column: what either is shown as is
// a mask in both.
func TestWriteBackOfParts(t *testing.T) {
	g := startRig(t, `
CREATE TABLE whole (id int, email text, memo text) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF whole FOR VALUES FROM (0) TO (100);
CREATE VIEW seen AS SELECT id, memo AS harmless FROM whole;
CREATE DOMAIN words AS text;
CREATE TABLE anon (id int, n words);
`, masking.Config{Rules: []masking.Rule{{}, {Columns: []string{"whole.email", "whole.memo"}, With: masking.Redact}}})
	c := g.connect(t, "alice")
	for text, column := range map[string]string{
		"UPDATE part1 SET email = '[EMAIL_ADDRESS]'":          "email",
		"UPDATE part1 SET email = 'd****@*******.com'":        "email",
		"INSERT INTO part1 VALUES (1, '[EMAIL_ADDRESS]', '')": "email",
		"INSERT INTO part1 VALUES (1, NULL, '[COLUMN]')":      "memo",
		"UPDATE seen SET harmless = '[COLUMN]'":               "harmless",
		"UPDATE anon SET n = 'd****@*******.com'":             "n",
	} {
		_, err := c.PgConn().Exec(t.Context(), text).ReadAll()
		refusedMask(t, err, column, text)
	}
}

// A rule says what is done about masks in its columns, the default set's about all else.
func TestWriteBackRules(t *testing.T) {
	g := startRig(t, writeBackSchema, masking.Config{Rules: []masking.Rule{
		{WriteBack: masking.WriteBackObserve},
		{Name: "names", Columns: []string{"users.first_name"}, WriteBack: masking.WriteBackAllow},
		{Name: "mails", Columns: []string{"users.email"}, WriteBack: masking.WriteBackRefuse, Except: []string{"support"}},
		{Types: []detect.Type{detect.Email}, With: masking.Visible},
		{Name: "dates", ColumnTypes: []string{"date"}, WriteBack: masking.WriteBackAllow},
	}})
	c := g.connect(t, "alice")
	_, err := c.Exec(t.Context(), "UPDATE users SET first_name = 'D****', password = '********', birth_date = NULL WHERE id = 1")
	require.NoError(t, err)
	require.Equal(t, []string{"masking rule 1"}, g.observed())
	_, err = c.Exec(t.Context(), "UPDATE users SET email = 'd****@*******.com' WHERE id = 1")
	refusedMask(t, err, "email", "a rule's own")
	require.ErrorContains(t, err, "rule mails")
	_, err = g.connect(t, "support").Exec(t.Context(), "UPDATE users SET email = 'd****@*******.com' WHERE id = 1")
	require.NoError(t, err, "who sees it")
	require.Len(t, g.observed(), 1)
	_, err = c.PgConn().CopyFrom(t.Context(), strings.NewReader("7\t********\n8\t********\n"), "COPY users (id, password) FROM STDIN")
	require.NoError(t, err)
	require.Len(t, g.observed(), 2, "one for a COPY")
	for _, name := range []string{"refuse", "observe", "allow"} {
		w, err := masking.ParseWriteBack(name)
		require.NoError(t, err)
		require.Equal(t, name, w.String())
	}
	_, err = masking.ParseWriteBack("perhaps")
	require.ErrorContains(t, err, "want refuse, observe or allow")
}
