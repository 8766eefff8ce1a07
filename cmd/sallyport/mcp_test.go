package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// TestMCPBridge: a program of an agent works with a gateway by sallyport mcp, as the agent, and by nothing else that is on the machine.
func TestMCPBridge(t *testing.T) {
	at := testserver.FreeAddress(t)
	o := openOffice(t, fmt.Sprintf("api: {listen: %[1]q, url: \"https://%[1]s\"}\nmcp: {enabled: true}\n", at))
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	ca := filepath.Join(o.dir, "data", "ca", "ca.pem")
	code, _, errs := sallyport(t, password+"\n", "login", "--user", "alice", "--ca", ca, "https://"+at)
	require.Equal(t, exitOK, code, errs)
	secret := strings.TrimSpace(must(t, "login", "--agent", "coder"))
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))

	for name, c := range map[string]struct {
		args []string
		env  string
	}{
		"by the environment and the profile": {[]string{"mcp"}, secret},
		"by a file and flags":                {[]string{"mcp", "--token-file", file, "--gateway", "https://" + at, "--ca", ca}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], c.args...)
			cmd.Env = append(os.Environ(), "SALLYPORT_TEST_MAIN=1", "SALLYPORT_AGENT="+c.env)
			var told bytes.Buffer
			cmd.Stderr = &told
			s, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
			require.NoError(t, err, "%s", &told)
			list, err := s.ListTools(t.Context(), nil)
			require.NoError(t, err)
			require.Len(t, list.Tools, 6)
			query := func(sql string) string {
				got, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "query", Arguments: map[string]any{"resource": "shop", "sql": sql}})
				require.NoError(t, err)
				return got.Content[len(got.Content)-1].(*mcp.TextContent).Text
			}
			require.Contains(t, query("SELECT 40 + 2"), `"42"`)
			require.Contains(t, query("CREATE TABLE t (a int)"), `"denied"`)
			require.NoError(t, s.Close())
			require.Empty(t, told.String())
		})
	}
	const hello = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}` + "\n"
	t.Setenv("SALLYPORT_AGENT", "")
	require.NoError(t, os.Chmod(file, 0o644))
	human := strings.TrimSpace(must(t, "token", "create", "--label", "x"))
	for name, c := range map[string]struct {
		env  string
		args []string
		want string
	}{
		"no token, and a login on the machine": {"", nil, "needs the token of an AI agent"},
		"a person's token":                     {human, nil, "not the token of an AI agent"},
		"a file that others may read":          {"", []string{"--token-file", file}, "want 0600"},
		"not by TLS":                           {secret, []string{"--gateway", "http://" + at}, "want https://"},
		"a gateway that is not known":          {secret, []string{"--gateway", "https://" + at}, "cannot be asked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SALLYPORT_AGENT", c.env)
			_, out, errs := sallyport(t, hello, append([]string{"mcp"}, c.args...)...)
			require.Contains(t, errs, c.want)
			require.NotContains(t, out+errs, secret)
		})
	}
}
