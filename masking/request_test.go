package masking_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/masking"
)

const requestSchema = `
CREATE TABLE users (id int PRIMARY KEY, email text, ssn text, card text, num bigint, note text, tags text[], data bytea, doc jsonb, code varchar(20));
INSERT INTO users VALUES (1, 'doris@example.com', '123-45-6789', '4111 1111 1111 1111', 4111111111111111, 'plain', '{a,b}', '\x00', '{}', 'x');
CREATE VIEW contact AS SELECT id AS number, ssn AS tax FROM users;
CREATE TABLE log (id serial, line text);
CREATE FUNCTION say(t text) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM t; END';
`

const (
	testCard  = "5500 0000 0000 0004"
	testPAN   = "5500000000000004"
	testEmail = "carla@example.org"
)

// refusedValue requires that err refuses a value of a type at a place, and tells nothing of
// it.
func refusedValue(t *testing.T, err error, typ, place, value, what string) {
	t.Helper()
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e, what)
	require.Equal(t, "42501", e.Code, what)
	require.Contains(t, e.Message, typ, what)
	require.Contains(t, e.Message, place, what)
	require.Contains(t, e.Message, "(rule no cards)", what)
	require.NotEmpty(t, e.Hint, what)
	for _, s := range []string{e.Message, e.Hint, e.Detail} {
		require.NotContains(t, s, value, what)
	}
}

func noCards(how masking.Requests) masking.Config {
	return masking.Config{Rules: []masking.Rule{{Name: "no cards", Types: []detect.Type{detect.Card}, Requests: how}}}
}

// Values of a type that may not be sent are found wherever a statement has them.
func TestRequestsRefuseLiterals(t *testing.T) {
	g := startRig(t, requestSchema, noCards(masking.RequestsRefuse))
	c := g.connect(t, "alice")
	for text, place := range map[string]string{
		"INSERT INTO users (id, card) VALUES (2, '$card')":                           `literal 2, for column "card"`,
		"INSERT INTO users (id, note) VALUES (2, 'paid with $card, thanks')":         `literal 2, for column "note"`,
		"INSERT INTO users (id, num) VALUES (2, $pan)":                               `literal 2, for column "num"`,
		"UPDATE users SET card = '$card' WHERE id = 1":                               `literal 1, for column "card"`,
		"UPDATE users SET card = E'5500\\x200000 0000 0004' WHERE id = 1":            `literal 1, for column "card"`,
		"UPDATE users SET note = U&'5500\\00200000 0000 0004' WHERE id = 1":          `literal 1, for column "note"`,
		"UPDATE users SET note = $$$card$$ WHERE id = 1":                             `literal 1, for column "note"`,
		"UPDATE users SET note = '5500 0000'\n' 0000 0004' WHERE id = 1":             `literal 1, for column "note"`,
		"UPDATE users SET doc = '{\"a\": [{\"n\": \"$card\"}]}' WHERE id = 1":        `literal 1, for column "doc"`,
		"UPDATE users SET tags = ARRAY['a', '$card'] WHERE id = 1":                   `literal 2`,
		"UPDATE users SET tags = '{a,\"$card\"}' WHERE id = 1":                       `literal 1, for column "tags"`,
		"UPDATE users SET data = '\\x35353030303030303030303030303034' WHERE id = 1": `literal 1, for column "data"`,
		"SELECT * FROM users WHERE card = '$card'":                                   `literal 1, for column "card"`,
		"SELECT * FROM users WHERE card IN ('x', '$card')":                           `literal 2, for column "card"`,
		"SELECT * FROM users WHERE card LIKE '$card%'":                               `literal 1, for column "card"`,
		"DELETE FROM users WHERE card = ANY(ARRAY['$card'])":                         `literal 1, for column "card"`,
		"SELECT '$card'":        `literal 1`,
		"SELECT say('$card')":   `literal 1`,
		"SELECT 1 -- $card":     `outside of its literals`,
		"SELECT 1 AS \"$card\"": `outside of its literals`,
		"PREPARE p AS INSERT INTO users (id, card) VALUES ($1, '$card')":                                               `literal 1, for column "card"`,
		"DO $x$ BEGIN UPDATE users SET card = '$card'; END $x$":                                                        `literal 1`,
		"INSERT INTO log (line) VALUES ('a'); INSERT INTO log (line) VALUES ('$card')":                                 `literal 2, for column "line"`,
		"WITH d AS (SELECT '$card'::text AS c) UPDATE users SET card = c FROM d WHERE id = 1":                          `literal 1, for column "card"`,
		"MERGE INTO users u USING (VALUES (1, '$card')) s(i, c) ON u.id = s.i WHEN MATCHED THEN UPDATE SET card = s.c": `literal 2, for column "card"`,
		"SELECT * FROM unnest(ARRAY['$card']) x":                                                                       `literal 1`,
		"SELECT lo_from_bytea(0, '$card')":                                                                             `literal 2`,
		"SELECT 'x' UNION SELECT '$card' FROM users LIMIT 1":                                                           `literal 2`,
	} {
		text = strings.NewReplacer("$card", testCard, "$pan", testPAN).Replace(text)
		_, err := c.PgConn().Exec(t.Context(), text).ReadAll()
		refusedValue(t, err, "CREDIT_CARD", place, testCard, text)
	}
	_, err := c.PgConn().Exec(t.Context(), "PREPARE q AS INSERT INTO users (id, card) VALUES (3, $1)").ReadAll()
	require.NoError(t, err)
	_, err = c.PgConn().Exec(t.Context(), "EXECUTE q('"+testCard+"')").ReadAll()
	refusedValue(t, err, "CREDIT_CARD", `argument 1, for column "card"`, testCard, "EXECUTE")
	for _, text := range []string{
		"INSERT INTO users (id, email, note) VALUES (7, '" + testEmail + "', 'order 5500000000000005, at 12:30')",
		"SELECT * FROM users WHERE id = 7 AND card IS NULL LIMIT 10",
		"UPDATE users SET note = 'call 4111' WHERE id = 7",
		"EXECUTE q('none')", "DELETE FROM users WHERE id IN (3, 7)", "DO $$ BEGIN PERFORM 1; END $$",
	} {
		_, err := c.PgConn().Exec(t.Context(), text).ReadAll()
		require.NoError(t, err, text)
	}
	require.Contains(t, g.psql(t, "alice", "INSERT INTO log (line) VALUES ('"+testCard+"');"), "ERROR:  this sends a value of type CREDIT_CARD in literal 1")
}

// What is bound to parameters does not even reach the server.
func TestRequestsRefuseParameters(t *testing.T) {
	g := startRig(t, requestSchema, noCards(masking.RequestsRefuse))
	c := g.connect(t, "alice")
	pan := int64(5500000000000004)
	for _, x := range []struct {
		text, place string
		args        []any
	}{
		{"INSERT INTO users (id, card) VALUES ($1, $2)", `parameter $2, for column "card"`, []any{2, testCard}},
		{"INSERT INTO users (id, num) VALUES ($1, $2)", `parameter $2, for column "num"`, []any{2, pan}},
		{"UPDATE users SET note = $1 WHERE id = $2", `parameter $1, for column "note"`, []any{"card " + testCard, 1}},
		{"UPDATE users SET tags = $1", `parameter $1, for column "tags"`, []any{[]string{"a", testCard}}},
		{"UPDATE users SET doc = $1", `parameter $1, for column "doc"`, []any{map[string]any{"n": testCard}}},
		{"UPDATE users SET data = $1", `parameter $1, for column "data"`, []any{[]byte(testPAN)}},
		{"SELECT * FROM users WHERE card = $1", `parameter $1, for column "card"`, []any{testCard}},
		{"SELECT * FROM users WHERE card = ANY($1)", `parameter $1, for column "card"`, []any{[]string{testCard}}},
		{"SELECT * FROM users WHERE num = $1", `parameter $1, for column "num"`, []any{pan}},
		{"SELECT $1::text", `parameter $1`, []any{testCard}},
		{"SELECT $1::bigint", `parameter $1`, []any{pan}},
		{"SELECT say($1)", `parameter $1`, []any{testCard}},
	} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec} {
			if _, isMap := x.args[0].(map[string]any); isMap && mode == pgx.QueryExecModeExec {
				continue
			}
			_, err := c.Exec(t.Context(), x.text, append([]any{mode}, x.args...)...)
			refusedValue(t, err, "CREDIT_CARD", x.place, testCard, x.text+" "+mode.String())
		}
		if _, isMap := x.args[0].(map[string]any); isMap {
			continue
		}
		_, err := c.Exec(t.Context(), x.text, append([]any{pgx.QueryExecModeSimpleProtocol}, x.args...)...)
		refusedValue(t, err, "CREDIT_CARD", "literal", testCard, x.text+" simply")
	}
	b := &pgx.Batch{}
	b.Queue("UPDATE users SET note = $1", "fine")
	b.Queue("UPDATE users SET note = $1", testCard)
	err := c.SendBatch(t.Context(), b).Close()
	refusedValue(t, err, "CREDIT_CARD", `parameter $1, for column "note"`, testCard, "batch")
	for _, args := range [][]any{{int64(12), "b", []string{"c"}, []byte{0, 1, 2, 255}}, {int64(0), "", []string{}, nil}} {
		_, err := c.Exec(t.Context(), "UPDATE users SET num = $1, note = $2, tags = $3, data = $4 WHERE id = 1", args...)
		require.NoError(t, err)
	}
	var n int
	require.NoError(t, c.QueryRow(t.Context(), "SELECT id FROM users WHERE id = $1 LIMIT $2", 1, 5).Scan(&n))
	require.Equal(t, 1, n)
}

// What is only observed goes to the server as it is, and is noted.
func TestRequestsObserve(t *testing.T) {
	g := startRig(t, requestSchema, noCards(masking.RequestsObserve))
	c := g.connect(t, "alice")
	_, err := c.PgConn().Exec(t.Context(), "INSERT INTO users (id, card) VALUES (2, '"+testCard+"'), (3, '"+testCard+"')").ReadAll()
	require.NoError(t, err)
	_, err = c.Exec(t.Context(), "UPDATE users SET note = $1 WHERE id = 2", testCard)
	require.NoError(t, err)
	_, err = c.PgConn().CopyFrom(t.Context(), strings.NewReader("4\t"+testCard+"\n5\tx\n"), "COPY users (id, card) FROM STDIN")
	require.NoError(t, err)
	require.Equal(t, []string{
		`no cards: a value of type CREDIT_CARD was sent in literal 2, for column "card", and 1 more`,
		`no cards: a value of type CREDIT_CARD was sent in parameter $1, for column "note"`,
		`no cards: a value of type CREDIT_CARD was sent in row 1 of the COPY, for column "card"`,
	}, g.said())
	d, err := pgx.Connect(t.Context(), g.direct())
	require.NoError(t, err)
	defer d.Close(context.Background())
	var n int
	require.NoError(t, d.QueryRow(t.Context(), "SELECT count(*) FROM users WHERE card = $1 OR note = $1", testCard).Scan(&n))
	require.Equal(t, 3, n)
}

// The rows of a COPY are looked at in each format.
func TestRequestsRefuseCopies(t *testing.T) {
	g := startRig(t, requestSchema, noCards(masking.RequestsRefuse))
	c := g.connect(t, "alice")
	for _, x := range []struct{ text, data, place string }{
		{"COPY users (id, card) FROM STDIN", "2\tx\n3\t" + testCard + "\n", `row 2 of the COPY, for column "card"`},
		{"COPY users (id, card) FROM STDIN (FORMAT csv, HEADER)", "id,card\n2,\"" + testCard + "\"\n", `row 1 of the COPY, for column "card"`},
		{"COPY log FROM STDIN", "1\tthe card is " + testCard, `row 1 of the COPY, for column "line"`},
	} {
		_, err := c.PgConn().CopyFrom(t.Context(), strings.NewReader(x.data), x.text)
		refusedValue(t, err, "CREDIT_CARD", x.place, testCard, x.text)
	}
	_, err := c.CopyFrom(t.Context(), pgx.Identifier{"users"}, []string{"id", "num"}, pgx.CopyFromRows([][]any{{2, int64(1)}, {3, int64(5500000000000004)}}))
	refusedValue(t, err, "CREDIT_CARD", `row 2 of the COPY, for column "num"`, testPAN, "binary")
	require.Contains(t, g.psql(t, "alice", "COPY log FROM STDIN \\; COPY log FROM STDIN;\n3\tx\n\\.\n4\ty\n\\.\n"), "cannot tell apart the rows of")
	n, err := c.CopyFrom(t.Context(), pgx.Identifier{"users"}, []string{"id", "num", "tags", "data"}, pgx.CopyFromRows([][]any{{8, int64(1), []string{"a"}, []byte{1}}}))
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}

// A rule about columns is about whatever is sent for them.
func TestRequestsOfColumns(t *testing.T) {
	g := startRig(t, requestSchema, masking.Config{Rules: []masking.Rule{
		{Name: "no cards", Columns: []string{"users.ssn"}, Requests: masking.RequestsRefuse, Except: []string{"hr"}},
	}})
	c := g.connect(t, "alice")
	for _, text := range []string{
		"UPDATE users SET ssn = 'anything'", "INSERT INTO users (id, ssn) VALUES (2, 'x')", "UPDATE contact SET tax = 'y'",
		"SELECT id FROM users WHERE ssn = 'x'", "SELECT id FROM users WHERE upper(ssn) = 'X'", "SELECT number FROM contact WHERE tax <> 'x'",
		"SELECT id FROM users WHERE ssn BETWEEN 'a' AND 'b'", "DELETE FROM users u USING (VALUES ('x')) v(s) WHERE u.ssn = v.s",
		"SELECT count(*) FILTER (WHERE ssn = 'x') FROM users", "SELECT id FROM users WHERE ssn IN (SELECT 'x')", "SELECT CASE WHEN ssn = 'x' THEN 1 END FROM users",
		"SELECT id FROM users JOIN log ON ssn = 'x'", "SELECT id FROM users GROUP BY id HAVING max(ssn) > 'x'",
	} {
		_, err := c.PgConn().Exec(t.Context(), text).ReadAll()
		refusedValue(t, err, "a value of a column", `for column "`, "anything", text)
		require.NotContains(t, g.psql(t, "hr", text), "may not be sent", text)
	}
	for _, text := range []string{"DO $$ BEGIN UPDATE users SET note = 'x'; END $$", "SELECT say('x')"} {
		_, err := c.PgConn().Exec(t.Context(), text).ReadAll()
		require.ErrorContains(t, err, "cannot tell for which columns", text)
	}
	for _, text := range []string{"UPDATE users SET note = 'x', ssn = NULL WHERE id = 9", "SELECT lower('x'), id FROM users WHERE note = 'x'", "INSERT INTO log (line) VALUES ('x')"} {
		_, err := c.PgConn().Exec(t.Context(), text).ReadAll()
		require.NoError(t, err, text)
	}
}
