package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/sshembed"
	"github.com/sallyport/sallyport/internal/testserver"
)

// BenchmarkSSHIdle opens sessions with a terminal each, every one of its own
// connection, and tells what one holds in the gateway's process: with rules,
// guardrails, masking and records.
func BenchmarkSSHIdle(b *testing.B) {
	server, err := sshembed.Start(sshembed.Config{Dir: b.TempDir(), Shell: "/bin/cat"})
	require.NoError(b, err)
	defer server.Stop()
	dir := b.TempDir()
	alice := keyPair(b, filepath.Join(dir, "alice"))
	listen := testserver.FreeAddress(b)
	config := filepath.Join(dir, "sallyport.yaml")
	require.NoError(b, os.WriteFile(filepath.Join(dir, "upstream"), []byte(server.PrivateKey), 0o600))
	require.NoError(b, os.WriteFile(config, fmt.Appendf(nil, `
listen: {ssh: %q}
data_dir: data
limits: {max_sessions: 10000, max_sessions_per_user: 10000}
identity: {users: [{name: alice, groups: [dev], ssh_keys: [%q]}]}
resources: [{name: vm1, type: ssh, address: %q, username: %s, key: file:upstream, ssh: {host_keys: [%q]}}]
access: [{groups: [dev], allow: [connect, shell]}]
guardrails: [{use: default}]
masking: [{use: default}]
`, listen, alice, server.Address, sshembed.User, strings.TrimSpace(server.HostKey)), 0o600))
	p := start(b, "serve", "-c", config)
	p.wait(b, "listening")
	private, err := os.ReadFile(filepath.Join(dir, "alice"))
	require.NoError(b, err)
	key, err := gossh.ParsePrivateKey(private)
	require.NoError(b, err)
	open := func() {
		c, err := gossh.Dial("tcp", listen, &gossh.ClientConfig{
			User: "alice+vm1", Auth: []gossh.AuthMethod{gossh.PublicKeys(key)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
		})
		require.NoError(b, err)
		b.Cleanup(func() { c.Close() })
		s, err := c.NewSession()
		require.NoError(b, err)
		require.NoError(b, s.RequestPty("xterm", 24, 80, nil))
		require.NoError(b, s.Shell())
	}
	for range 20 { // what the first ones need is everybody's
		open()
	}
	before, n := resident(b, p.cmd.Process.Pid), 0
	for b.Loop() {
		open()
		n++
	}
	b.ReportMetric(float64(resident(b, p.cmd.Process.Pid)-before)/float64(n), "B/session")
}

// resident is how much memory a process has.
func resident(b *testing.B, pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(b, err)
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(b, m)
	kb, err := strconv.Atoi(string(m[1]))
	require.NoError(b, err)
	return kb << 10
}
