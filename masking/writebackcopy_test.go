package masking_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/masking"
)

// Masks are not copied into masked columns, in any format, however the data is cut.
func TestWriteBackOfCopies(t *testing.T) {
	g := startRig(t, writeBackSchema, masking.Config{})
	c := g.connect(t, "alice")
	long := strings.Repeat("7\tplain text without anything\n", 5000)
	for _, x := range []struct{ text, data, column string }{
		{"COPY users (id, email) FROM STDIN", "5\tx@example.com\n6\td****@*******.com\n7\ty@example.com\n", "email"},
		{"COPY users (id, email) FROM STDIN", "6\td****@*******.com", "email"},
		{"COPY users (id, email) FROM STDIN", "5\tx@example.com\r\n6\td****@*******.com\r\n\\.\r\n", "email"},
		{"COPY users (id, email) FROM STDIN", "5\tx@example.com\r6\td****@*******.com\r", "email"},
		{"COPY users (id, email) FROM STDIN", "6\td\\x2a***@*******.com\n", "email"},
		{"COPY users FROM STDIN", "6\tA\tB\tx@example.com\t********\t\\N\t\\N\t\\N\t\\N\t\\N\tt\n", "password"},
		{"COPY users (id, email) FROM STDIN (FORMAT csv, HEADER)", "id,email\n6,\"d****@*******.com\"\n", "email"},
		{"COPY users (email, id) FROM STDIN WITH (FORMAT csv, DELIMITER ';', QUOTE '''')", "'d****@*******.com';6\n", "email"},
		{"COPY users (id, email, bio) FROM STDIN (DELIMITER '|')", "6|d****@*******.com|" + strings.ReplaceAll(long, "\n", "\\\n") + "\n", "email"},
		{"COPY users (id, profile) FROM STDIN", "6\t{\"email\": \"d****@*******.com\"}\n", "profile"},
	} {
		_, err := c.PgConn().CopyFrom(t.Context(), strings.NewReader(x.data), x.text)
		refusedMask(t, err, x.column, x.text+"\n"+x.data[:min(len(x.data), 80)])
		var n int
		require.NoError(t, c.QueryRow(t.Context(), "SELECT count(*) FROM users").Scan(&n), "the session goes on")
		require.Equal(t, 1, n)
	}
	// In a transaction it fails as with any error.
	tx, err := c.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.CopyFrom(t.Context(), pgx.Identifier{"users"}, []string{"id", "email", "ssn"}, pgx.CopyFromRows([][]any{{8, "x@example.com", 5}, {9, "d****@*******.com", nil}}))
	refusedMask(t, err, "email", "binary")
	_, err = tx.Exec(t.Context(), "SELECT 1")
	require.ErrorContains(t, err, "25P02")
	require.NoError(t, tx.Rollback(t.Context()))

	n, err := c.CopyFrom(t.Context(), pgx.Identifier{"users"}, []string{"id", "email", "ssn", "birth_date", "profile"}, pgx.CopyFromRows([][]any{
		{20, "x@example.com", 5, nil, map[string]any{"stars": "*****"}}, {21, nil, nil, nil, nil},
	}))
	require.NoError(t, err)
	require.Equal(t, int64(2), n)
	for text, data := range map[string]string{
		"COPY users (id, email, bio) FROM STDIN":                             "30\tx@example.com\t**bold**, ******** and d****@*******.com in a new row\n31\t\\N\t***\n",
		"COPY log (line) FROM STDIN":                                         "********\nd****@*******.com\n",
		"COPY users (id, password) FROM STDIN (FORMAT csv, FORCE_NULL (id))": "32,\"a,**\"\"b\"\"**\"\n33,\n",
	} {
		_, err := c.PgConn().CopyFrom(t.Context(), strings.NewReader(data), text)
		require.NoError(t, err, text)
	}
	out := g.psql(t, "alice", "\\set ON_ERROR_STOP 0\nCOPY users (id, email) FROM STDIN;\n40\td****@*******.com\n\\.\nSELECT 'goes on' AS then;\nCOPY users (id, email) FROM STDIN;\n41\tz@example.com\n\\.\n")
	require.Contains(t, out, `column "email" is shown to you masked`)
	require.Contains(t, out, "goes on")
	require.Contains(t, out, "COPY 1")
	_, err = c.PgConn().CopyFrom(t.Context(), strings.NewReader("42\tz@example.com\n"), "COPY users (id, email) FROM STDIN; COPY log (line) FROM STDIN")
	require.ErrorContains(t, err, "several COPYs")
	g.intact(t, "after all")
}
