package gateway

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// TestTyposAreTheServers: who may not run what is not understood is told by the server where
// a text stops being SQL, and by the gateway what is SQL and not allowed.
func TestTyposAreTheServers(t *testing.T) {
	h := openCorpus(t, "")
	c, err := pgx.Connect(t.Context(), h.database("reader", "shop"))
	require.NoError(t, err)
	defer c.Close(context.Background())
	for text, want := range map[string]struct {
		code, message string
		position      int32
	}{
		"selec 1":                       {"42601", `syntax error at or near "selec"`, 1},
		"SELECT id FORM customers":      {"42601", `syntax error at or near "customers"`, 16},
		"SELECT (1":                     {"42601", "syntax error at end of input", 10},
		"SELECT 1; selec 2":             {"42601", `syntax error at or near "selec"`, 11},
		"DELETE FROM customers":         {code: "42501"},
		"SELECT 1; DELETE FROM orders;": {code: "42501"},
	} {
		_, err := c.PgConn().Exec(t.Context(), text).ReadAll()
		var failed *pgconn.PgError
		require.ErrorAs(t, err, &failed, text)
		require.Equal(t, want.code, failed.Code, text)
		require.Equal(t, want.position, failed.Position, text)
		require.Contains(t, failed.Message, want.message, text)
	}
}
