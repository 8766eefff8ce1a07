package masking_test

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/masking"
)

func tokenConfig() masking.Config {
	key := sha256.Sum256([]byte("requests"))
	return masking.Config{Key: key[:], Unmasked: []string{"auditor"}, Rules: []masking.Rule{
		{Name: "ssn", Columns: []string{"users.ssn", "users.tags", "users.num", "users.code"}, With: masking.Tokenise, Requests: masking.RequestsTokenise},
		{Name: "mail", Types: []detect.Type{detect.Email}, With: masking.Tokenise, Requests: masking.RequestsTokenise},
		{},
	}}
}

// stored returns what the database holds, asked without the gateway.
func (g *rig) stored(t *testing.T, query string) string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), g.direct())
	require.NoError(t, err)
	defer c.Close(context.Background())
	var s string
	require.NoError(t, c.QueryRow(t.Context(), query).Scan(&s))
	return s
}

// What is tokenised is stored as its token, and found by the value, in every way of sending
// it.
func TestRequestsTokenise(t *testing.T) {
	c := tokenConfig()
	g := startRig(t, requestSchema+"DELETE FROM users;", c)
	m, err := masking.New(c)
	require.NoError(t, err)
	const ssn = "536-90-4399"
	token, mail := m.Token([]byte(ssn), masking.Column), m.Token([]byte(testEmail), detect.Email)
	conn := g.connect(t, "alice")
	run := func(text string) {
		_, err := conn.PgConn().Exec(t.Context(), text).ReadAll()
		require.NoError(t, err, text)
	}
	modes := []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol}
	insert := map[string]func(){
		"literal": func() {
			run("INSERT INTO users (id, ssn, email, note) VALUES (2, '" + ssn + "', '" + testEmail + "', 'to " + testEmail + "!')")
		},
		"escapes": func() {
			run("INSERT INTO users (id, ssn, email, note) VALUES (2, E'536\\x2d90-4399', $q$" + testEmail + "$q$, 'to carla'\n'@example.org!')")
		},
		"prepared": func() {
			run("PREPARE p AS INSERT INTO users (id, ssn, email, note) VALUES (2, $1, '" + testEmail + "', $2); ")
			run("EXECUTE p('" + ssn + "', 'to " + testEmail + "!')")
		},
		"update": func() {
			run("INSERT INTO users (id) VALUES (2)")
			run("UPDATE users SET (ssn, email) = ('" + ssn + "', '" + testEmail + "'), note = 'to " + testEmail + "!'")
		},
		"view": func() {
			run("INSERT INTO users (id, email, note) VALUES (2, '" + testEmail + "', 'to " + testEmail + "!')")
			run("UPDATE contact SET tax = '" + ssn + "'")
		},
		"select": func() {
			run("INSERT INTO users (id, ssn, email, note) SELECT 2, x.a, x.b, x.c FROM (VALUES ('" + ssn + "', '" + testEmail + "', 'to " + testEmail + "!')) x(a, b, c)")
		},
		"text copy": func() {
			_, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader("2\t"+ssn+"\t"+testEmail+"\tto "+testEmail+"!"), "COPY users (id, ssn, email, note) FROM STDIN")
			require.NoError(t, err)
		},
		"csv copy": func() {
			_, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader("id,ssn\r\n2,\""+ssn+"\","+testEmail+",\"to "+testEmail+"!\"\r\n"), "COPY users (id, ssn, email, note) FROM STDIN (FORMAT csv, HEADER)")
			require.NoError(t, err)
		},
		"binary copy": func() {
			_, err := conn.CopyFrom(t.Context(), pgx.Identifier{"users"}, []string{"id", "ssn", "email", "note"}, pgx.CopyFromRows([][]any{{2, ssn, testEmail, "to " + testEmail + "!"}}))
			require.NoError(t, err)
		},
	}
	for _, mode := range modes {
		insert["parameters "+mode.String()] = func() {
			_, err := conn.Exec(t.Context(), "INSERT INTO users (id, ssn, email, note) VALUES ($1, $2, $3, $4)", mode, 2, ssn, testEmail, "to "+testEmail+"!")
			require.NoError(t, err)
		}
	}
	for how, do := range insert {
		run("DELETE FROM users")
		do()
		require.Equal(t, token+"|"+mail+"|to "+mail+"!", g.stored(t, "SELECT concat_ws('|', ssn, email, note) FROM users"), how)
	}
	for _, where := range []string{
		"ssn = '$ssn'", "'$ssn' = ssn", "ssn IN ('x', '$ssn')", "ssn = ANY('{x,\"$ssn\"}')", "ssn = ANY(ARRAY['x', '$ssn'])", "ssn IS NOT DISTINCT FROM '$ssn'", "email = '$mail' AND ssn = '$ssn'::text",
		"note = 'to $mail!'", "ssn IN (SELECT unnest(ARRAY['$ssn']))", "ssn = '$token'",
	} {
		where = strings.NewReplacer("$ssn", ssn, "$mail", testEmail, "$token", token).Replace(where)
		require.Contains(t, g.psql(t, "alice", "SELECT id FROM users WHERE "+where), "(1 row)", where)
	}
	for _, mode := range modes {
		var n int
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM users WHERE ssn = $1 AND email = $2", mode, ssn, testEmail).Scan(&n))
		require.Equal(t, 1, n, mode)
		if mode != pgx.QueryExecModeSimpleProtocol && mode != pgx.QueryExecModeExec {
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM users WHERE ssn = ANY($1)", mode, []string{"x", ssn}).Scan(&n))
			require.Equal(t, 1, n, mode)
			_, err := conn.Exec(t.Context(), "UPDATE users SET tags = $1", mode, []string{ssn, `a"\b`})
			require.NoError(t, err)
			require.Equal(t, token, g.stored(t, "SELECT tags[1] FROM users"))
			require.Equal(t, m.Token([]byte(`a"\b`), masking.Column), g.stored(t, "SELECT tags[2] FROM users"))
		}
	}
	// What is read is the token, which may be written back.
	shown := g.psql(t, "alice", "SELECT ssn, email, note FROM users", "-tA")
	require.Equal(t, token+"|"+mail+"|to "+mail+"!\n", shown)
	run("UPDATE users SET ssn = '" + token + "', email = '" + mail + "', note = 'to " + mail + "!'")
	require.Equal(t, token+"|"+mail+"|to "+mail+"!", g.stored(t, "SELECT concat_ws('|', ssn, email, note) FROM users"))
	require.Contains(t, g.psql(t, "alice", "UPDATE users SET ssn = '"+m.Token([]byte("x"), detect.Phone)+"x'"), `"ssn" is shown to you masked`, "a damaged token is a mask")
	// Who is exempted sends what she likes, and sees what is stored.
	require.Contains(t, g.psql(t, "auditor", "SELECT email FROM users WHERE email = '"+testEmail+"'"), "(0 rows)")
	require.Contains(t, g.psql(t, "auditor", "SELECT email FROM users"), mail)
	g.mu.Lock()
	defer g.mu.Unlock()
	require.NotZero(t, g.counts[detect.Email])
}

// What cannot be replaced by a token is refused, and the error says why.
func TestRequestsNotTokenised(t *testing.T) {
	g := startRig(t, requestSchema, tokenConfig())
	const ssn = "536-90-4399"
	for text, why := range map[string]string{
		"SELECT '" + testEmail + "'":                                     "does not know what becomes of it",
		"SELECT say('" + testEmail + "')":                                "does not know what becomes of it",
		"DO $$ BEGIN PERFORM '" + testEmail + "'; END $$":                "does not know what becomes of it",
		"UPDATE users SET num = 5":                                       "the column's type cannot hold a token",
		"UPDATE users SET doc = '{\"a\": \"" + testEmail + "\"}'":        "the column's type cannot hold a token",
		"UPDATE users SET ssn = upper('" + ssn + "')":                    "it is changed",
		"UPDATE users SET note = 'x ' || '" + testEmail + "'":            "it is changed",
		"UPDATE users SET ssn = '" + ssn + "'::char(5)":                  "it is changed",
		"SELECT id FROM users WHERE ssn LIKE '536%'":                     "it is changed",
		"SELECT id FROM users WHERE ssn > '536'":                         "it is changed",
		"SELECT id FROM users WHERE upper(ssn) = 'X'":                    "it is changed",
		"UPDATE users SET ssn = '" + strings.Repeat("x", 5000) + "'":     "it is too long",
		"UPDATE users SET ssn = U&'536\\002D90-4399'":                    "because of how it is written",
		"UPDATE users SET note = '{\"m\": \"carla\\u0040example.org\"}'": "escapes in JSON",
		"UPDATE users SET tags = '{{a,b},{c,d}}'":                        "a format that cannot hold a token",
		"SELECT 1 -- " + testEmail:                                       "outside of its literals",
		"UPDATE users SET code = 'abc'":                                  "too long for type character varying(20)",
	} {
		out := g.psql(t, "alice", text+"\n;")
		require.Contains(t, out, "ERROR", text)
		require.Contains(t, out, why, text)
		require.NotContains(t, out, testEmail, text)
	}
	require.Equal(t, "doris@example.com|123-45-6789|plain|x", g.stored(t, "SELECT concat_ws('|', email, ssn, note, code) FROM users"))
	c := g.connect(t, "alice")
	_, err := c.Exec(t.Context(), "UPDATE users SET num = $1", int64(5))
	require.ErrorContains(t, err, "cannot be replaced by a token: the column's type cannot hold a token")
	_, err = c.Exec(t.Context(), "SELECT $1::text", testEmail)
	require.ErrorContains(t, err, "cannot be replaced by a token")
	_, err = c.PgConn().CopyFrom(t.Context(), strings.NewReader("2\t7\n"), "COPY users (id, num) FROM STDIN")
	require.ErrorContains(t, err, `row 1 of the COPY, for column "num", which cannot be replaced by a token`)
	require.Empty(t, g.said())
}
