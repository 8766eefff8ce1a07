package tcp

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// redis starts a server at a socket and returns its path.
func redis(t *testing.T) string {
	t.Helper()
	server, err := exec.LookPath("redis-server")
	if err != nil {
		testserver.Missing(t, "redis-server")
	}
	dir, err := os.MkdirTemp("", "redis") // a short path, for a socket
	require.NoError(t, err)
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(server, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "", "--appendonly", "no")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		require.NoError(t, os.RemoveAll(dir))
	})
	require.Eventually(t, func() bool { _, err := os.Stat(socket); return err == nil }, 20*time.Second, 5*time.Millisecond, "redis-server does not start: %s", &said)
	return socket
}

// TestRedis: the native client of a protocol that the gateway does not speak works unchanged, with its own TLS.
func TestRedis(t *testing.T) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		testserver.Missing(t, "redis-cli")
	}
	socket := redis(t)
	r := start(t, nil, func(r *rig) { r.resource.Address = "unix:" + socket })
	dir := t.TempDir()
	cert, key := r.ca.ClientPEM("alice")
	for name, b := range map[string][]byte{"ca.pem": r.ca.PEM(), "cert.pem": cert, "key.pem": key} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	_, port, _ := strings.Cut(r.addr, ":")
	run := func(input string, args ...string) string {
		t.Helper()
		all := append([]string{"-h", "127.0.0.1", "-p", port, "--tls", "--sni", "cache." + domain, "--cacert", "ca.pem", "--cert", "cert.pem", "--key", "key.pem"}, args...)
		cmd := exec.CommandContext(t.Context(), cli, all...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	require.Equal(t, "PONG\n", run("", "PING"))
	require.Equal(t, "OK\n", run("", "SET", "a", "1"))
	require.Equal(t, "1\n", run("", "GET", "a"))
	var many strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&many, "SET key:%d %s\r\n", i, strings.Repeat("v", 1+i%300))
	}
	require.Contains(t, run(many.String(), "--pipe"), "errors: 0, replies: 20000")
	require.Equal(t, "20001\n", run("", "DBSIZE"))
	require.Eventually(t, func() bool { return len(r.gateway.Sessions()) == 0 }, 5*time.Second, time.Millisecond)
	for i := range r.rules.ended {
		require.NoError(t, r.rules.ended[i].Err)
	}
	require.Positive(t, r.rules.ended[0].BytesIn)
}
