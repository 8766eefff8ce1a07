package gateway

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// TestMCPHeaders: a request whose headers say another method, tool or revision than its body does not run.
func TestMCPHeaders(t *testing.T) {
	a := openMCP(t)
	secret := a.token(t, "alice").Secret
	body := func(version string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"query","arguments":{"resource":"shop","sql":"INSERT INTO people VALUES (9, 'Eve')"},` +
			`"_meta":{"io.modelcontextprotocol/protocolVersion":"` + version + `","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`
	}
	for name, c := range map[string]struct {
		method, tool, version, own string
	}{
		"another method":   {"tools/list", "query", "2026-07-28", "2026-07-28"},
		"another tool":     {"tools/call", "list_resources", "2026-07-28", "2026-07-28"},
		"no tool":          {"tools/call", "", "2026-07-28", "2026-07-28"},
		"no method":        {"", "query", "2026-07-28", "2026-07-28"},
		"another revision": {"tools/call", "query", "2026-07-28", "2025-11-25"},
	} {
		t.Run(name, func(t *testing.T) {
			header := http.Header{"Mcp-Protocol-Version": {c.version}, "Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
			for k, v := range map[string]string{"Mcp-Method": c.method, "Mcp-Name": c.tool} {
				if v != "" {
					header.Set(k, v)
				}
			}
			r, err := http.NewRequestWithContext(t.Context(), "POST", "https://gw.example.com/mcp", strings.NewReader(body(c.own)))
			require.NoError(t, err)
			resp, err := a.http(t, secret, header).Do(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, http.StatusBadRequest, resp.StatusCode, "%s", text)
			require.Contains(t, string(text), "-32020")
		})
	}
	require.Equal(t, [][]string{{"2"}}, call(t, a.agent(t, secret), "query", stmt("SELECT count(*) FROM people")).texts(), "none has run")
}

// TestMCPWriteBack: an agent that writes a masked value back is refused as native clients are.
func TestMCPWriteBack(t *testing.T) {
	a := openMCP(t)
	s := a.agent(t, a.token(t, "alice").Secret)
	shown := call(t, s, "query", stmt("SELECT email FROM people WHERE id = 1")).texts()[0][0]
	require.NotEqual(t, "ann.secret@example.com", shown)
	text := "UPDATE people SET email = '" + shown + "' WHERE id = 1"
	native, err := pgconn.Connect(t.Context(), a.database("alice", "shop"))
	require.NoError(t, err)
	defer native.Close(context.Background())
	_, err = native.Exec(t.Context(), text).ReadAll()
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused)
	got := call(t, s, "query", stmt(text))
	require.Equal(t, "denied", got.Status, got)
	require.Contains(t, got.Why, refused.Message)
}
