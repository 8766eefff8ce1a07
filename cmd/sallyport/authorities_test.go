package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/testserver"
)

// TestAuthorities: an operator replaces the key that certifies the gateway. Clients that have its file of authorities
// trust it before and after, and those that logged in before go on.
func TestAuthorities(t *testing.T) {
	dir := t.TempDir()
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	ssh, api := testserver.FreeAddress(t), testserver.FreeAddress(t)
	file, bundle := filepath.Join(dir, "sallyport.yaml"), filepath.Join(dir, "data", "ca", "ca.pem")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
listen: {ssh: %[1]q}
api: {listen: %[2]q, url: "https://%[2]s"}
data_dir: data
identity: {users: [{name: dora, groups: [dev], password: %[3]q}]}
resources: [{name: vm1, type: ssh, address: "127.0.0.1:1", username: u, ssh: {trust_on_first_use: true}}]
access: [{name: vms, groups: [dev], resources: [vm1], allow: [connect]}]
`, ssh, api, verifier), 0o600))
	start(t, "serve", "-c", file).wait(t, "listening")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Chdir(t.TempDir())
	run := func(args ...string) string {
		t.Helper()
		code, out, errs := sallyport(t, "", append(append([]string{"admin", "authorities"}, args...), "-c", file)...)
		require.Equal(t, exitOK, code, errs)
		return out
	}
	shown := func() *x509.Certificate {
		t.Helper()
		pem, err := os.ReadFile(bundle)
		require.NoError(t, err)
		pool := x509.NewCertPool()
		require.True(t, pool.AppendCertsFromPEM(pem))
		host, _, err := net.SplitHostPort(api)
		require.NoError(t, err)
		c, err := tls.Dial("tcp", api, &tls.Config{RootCAs: pool, ServerName: host})
		require.NoError(t, err)
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0]
	}
	list := run("ls")
	require.Regexp(t, `(?m)^users +\S+ +now *$`, list)
	require.Regexp(t, `(?m)^servers +\S+ +now *$`, list)
	before := shown()
	out := run("rotate", "servers", "--announce", "3s", "--reason", "yearly")
	require.Contains(t, out, "signs for servers from")
	require.Contains(t, out, "is trusted until")
	code, _, errs := sallyport(t, "secret\n", "login", "https://"+api, "--user", "dora", "--profile", "dora", "--ca", bundle)
	require.Equal(t, exitOK, code, errs)
	require.Eventually(t, func() bool { return !bytes.Equal(shown().AuthorityKeyId, before.AuthorityKeyId) }, time.Minute, 50*time.Millisecond, "the gateway is certified anew")
	require.Regexp(t, `(?m)^servers +`+strings.Fields(out)[1]+` +now *$`, run("ls"))
	run("rotate", "users", "--now", "--reason", "stolen")
	out = run("rotate", "ssh-resources", "--announce", "1h", "--reason", "yearly")
	require.Regexp(t, `(?m)^ssh-resources +`+strings.Fields(out)[1]+` +from `, run("ls"))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Regexp(t, `^ssh-ed25519 \S+$`, lines[len(lines)-1])
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "data", "ssh", "resources_ca.pub"))
		return err == nil && strings.HasSuffix(string(b), lines[len(lines)-1]+"\n")
	}, time.Minute, 10*time.Millisecond, "hosts are given it by the file, too")
	code, out, errs = sallyport(t, "", "ls", "--profile", "dora")
	require.Equal(t, exitOK, code, out+errs)

	code, _, _ = sallyport(t, "", "admin", "authorities", "rotate", "users", "-c", file)
	require.Equal(t, exitUsage, code, "a reason is needed")
	code, _, errs = sallyport(t, "", "admin", "authorities", "rotate", "users", "--reason", "x", "--profile", "dora")
	require.Equal(t, exitPolicy, code, errs)
}
