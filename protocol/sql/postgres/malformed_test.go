package postgres

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
)

// What the server is certain to refuse is told from what may only be new to the
// parser.
func TestMalformed(t *testing.T) {
	for _, text := range []string{
		"nonsense", "SELEC 1", "selct * from t", "SELECT 1; nonsense", "SELECT * FROM", "SELECT * FROM;", "SELECT * FROM WHERE id = 1", "SELECT FROM WHERE",
		"DELETE FROM t WHERE", "DELETE FROM t WHERE;", "UPDATE t SET x = 1 WHERE", "SELECT (1", "SELECT 1)", "INSERT INTO t VALUES (1", "SELECT a, FROM", "SELECT a FROM t ORDER",
		"SELECT a FROM t GROUP", "SELECT 'abc", "SELECT \"abc", "SELECT 1 /* open", "SELECT $$abc", "SELECT 1 FROM `items`", "SELECT a FROM t LIMIT", "42", "'x'", "\"select\" 1", "= 1",
	} {
		f := analyze(t, text)
		require.True(t, f.Malformed, "%s: %s", text, f.Unknown)
		require.Equal(t, proxy.EffectUnknown, f.Effects, text)
	}
	for _, text := range []string{
		"SELECT 1 FROBNICATE 2 3", "UNLOAD ('SELECT 1') TO 's3'", "IDENTIFY_SYSTEM", "BASE_BACKUP", "SHUTDOWN", "DELETE t WHERE id = 1 PURGE", "SELECT 'a\\", "SELECT 'é", "SELECT 1 AS where FROBNICATE 2 3",
		"EXECUTE p", "SELECT IS DISTINCT FROM", "CREATE TYPE x (a = from) WITH",
	} {
		f := analyze(t, text)
		require.True(t, f.Effects.Has(proxy.EffectUnknown), "%s: %s", text, f.Effects)
		require.False(t, f.Malformed, text)
	}
}

// The server is the judge: everyday statements with a token left out, cut off or put
// elsewhere are refused as syntax errors whenever the analysis is certain of it.
func TestServerAgreesOnMalformed(t *testing.T) {
	b, err := os.ReadFile("../../../guardrail/testdata/statements.txt")
	require.NoError(t, err)
	server, database := testserver.Database(t, "")
	c, err := pgx.Connect(context.Background(), testserver.URL(pgembed.User, server.Password, server.Address(), database, "sslmode=disable"))
	require.NoError(t, err)
	defer c.Close(context.Background())
	a := New(Config{})
	certain, of := 0, 0
	check := func(text string) {
		of++
		if !a.Analyze(t.Context(), []byte(text), &proxy.Reading{Dialect: Dialect}).Malformed {
			return
		}
		certain++
		_, err := c.PgConn().Prepare(t.Context(), "", text, nil)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "42601" || refused.Routine == "exec_parse_message" {
			t.Errorf("the server takes it: %q: %v", text, err)
		}
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(strings.ReplaceAll(line, "⏎", " ")); line == "" || strings.HasPrefix(line, "# ") || len(line) > 300 {
			continue
		}
		tokens := strings.Fields(line)
		for i := range min(len(tokens), 24) {
			check(strings.Join(tokens[:i], " "))
			check(strings.Join(slices.Delete(slices.Clone(tokens), i, i+1), " "))
			if i > 0 {
				swapped := slices.Clone(tokens)
				swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
				check(strings.Join(swapped, " "))
			}
		}
	}
	t.Logf("%d of %d are certain", certain, of)
	require.Greater(t, certain, 2000)
}
