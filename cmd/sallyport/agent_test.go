package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/testserver"
)

// An agent is made, runs, is restarted while a session is open, and is revoked, by the commands alone.
func TestAgentCommands(t *testing.T) {
	pg, database := testserver.Database(t, "")
	dir := t.TempDir()
	verifier, err := identity.NewVerifier(password)
	require.NoError(t, err)
	address, tunnel := testserver.FreeAddress(t), testserver.FreeAddress(t)
	file := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "db.password"), []byte(pg.Password), 0o600))
	_, port, err := net.SplitHostPort(pg.Address())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
listen: {postgres: %q}
tunnel: {listen: %q}
data_dir: data
identity: {users: [{name: alice, groups: [dev], password: %q}]}
resources: [{name: shop, type: postgres, address: "127.0.0.1:%s", via: berlin, database: %s, username: postgres, password: "file:db.password", tls: {mode: disable}}]
access: [{groups: [dev], allow: [connect, read]}]
masking: [{use: off}]
`, address, tunnel, verifier, port, database), 0o600))
	g := start(t, "serve", "-c", file)
	g.wait(t, "listening")

	code, out, errs := sallyport(t, "", "agent", "token", "Berlin", "-c", file)
	require.Equal(t, exitUsage, code, errs)
	require.Empty(t, out)
	code, out, errs = sallyport(t, "", "agent", "token", "berlin", "-c", file)
	require.Zero(t, code, errs)
	token := strings.TrimSpace(out)
	require.NotContains(t, errs, token)
	tokenFile, agentFile := filepath.Join(dir, "token"), filepath.Join(dir, "agent.json")
	require.NoError(t, os.WriteFile(tokenFile, []byte(out), 0o600))
	code, out, errs = sallyport(t, "", "agent", "enrol", "--gateway", tunnel, "--token-file", tokenFile, "--file", agentFile)
	require.Zero(t, code, errs)
	require.Contains(t, out, "this machine is agent berlin")
	code, _, errs = sallyport(t, "", "agent", "enrol", "--gateway", tunnel, "--token-file", tokenFile, "--file", agentFile)
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "has enrolled")
	code, _, errs = sallyport(t, "", "agent", "enrol", "--gateway", tunnel, "--token-file", tokenFile, "--file", agentFile+"2")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "was used")
	require.NotContains(t, errs, token)

	run := func(further ...string) *process {
		p := start(t, append([]string{"agent", "run", "--file", agentFile, "--allow", "127.0.0.1:" + port}, further...)...)
		p.wait(t, "connected to a gateway")
		return p
	}
	agent := run()
	host, listen, err := net.SplitHostPort(address)
	require.NoError(t, err)
	connect := func() (*pgconn.PgConn, error) {
		return pgconn.Connect(t.Context(), fmt.Sprintf("host=%s port=%s user=alice+shop password='%s' sslmode=verify-full sslrootcert=%s",
			host, listen, password, filepath.Join(dir, "data", "ca", "ca.pem")))
	}
	c, err := connect()
	require.NoError(t, err)
	require.NoError(t, c.Exec(t.Context(), "SELECT 1").Close())
	require.NoError(t, c.Close(t.Context()))

	// What is not in its list is not reached.
	agent.stop(t)
	agent = start(t, "agent", "run", "--file", agentFile, "--allow", "127.0.0.1:1")
	agent.wait(t, "connected to a gateway")
	_, err = connect()
	require.Error(t, err)
	agent.stop(t)
	agent = run()
	c, err = connect()
	require.NoError(t, err)

	code, out, errs = sallyport(t, "", "agent", "ls", "-c", file, "--output", "json")
	require.Zero(t, code, errs)
	require.Contains(t, out, `"name": "berlin"`)
	code, _, errs = sallyport(t, "", "agent", "revoke", "paris", "-c", file)
	require.Equal(t, exitNotFound, code, errs)
	code, _, errs = sallyport(t, "", "agent", "revoke", "berlin", "-c", file, "--reason", "test")
	require.Zero(t, code, errs)
	require.Eventually(t, func() bool { return c.Exec(t.Context(), "SELECT 1").Close() != nil }, 30*time.Second, 20*time.Millisecond)
	agent.wait(t, "does not count any more")
	agent.stop(t)
}

func TestAgentRunRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"agent", "run"},
		{"agent", "run", "--allow", "db.internal:5432"},
		{"agent", "run", "--allow", "10.0.0.0/8", "--proxy", "ftp://user:hunter2@x"},
		{"agent", "run", "--allow", "10.0.0.0/8", "--proxy", "http://user:hunter2@x\x7f"},
		{"agent", "run", "--allow", "10.0.0.0/8", "--websocket", "http://x"},
		{"agent", "run", "--allow", "10.0.0.0/8", "--max-sessions", "0"},
		{"agent", "enrol"},
	} {
		code, _, errs := sallyport(t, "", args...)
		require.Equal(t, exitUsage, code, "%v: %s", args, errs)
		require.NotContains(t, errs, "hunter2")
	}
	code, _, errs := sallyport(t, "", "agent", "run", "--allow", "10.0.0.0/8", "--file", filepath.Join(t.TempDir(), "none.json"))
	require.Equal(t, exitNotFound, code)
	require.Contains(t, errs, "sallyport agent enrol")
}
