package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/testserver"
)

// check follows every reference of a file and reports all that lead nowhere, each at
// its line, and no secret.
func TestCheckFollowsReferences(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("garbage", "garbage that is no key")
	write("empty", "")
	needs(t, "ssh-keygen")
	keyPair(t, filepath.Join(dir, "good.key"))
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", filepath.Join(dir, "locked.key")).CombinedOutput()
	require.NoError(t, err, string(out))
	a := testserver.NewAuthority()
	write("ca.pem", string(a.PEM()))
	writePair(t, a, filepath.Join(dir, "one.pem"), filepath.Join(dir, "one.key"))
	writePair(t, a, filepath.Join(dir, "two.pem"), filepath.Join(dir, "two.key"))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	t.Setenv("SET_SECRET", "correct horse battery")
	host := keyPair(t, filepath.Join(dir, "host"))
	file := filepath.Join(dir, "sallyport.yaml")
	text := fmt.Sprintf(`listen:
  postgres: %s
  ssh: 127.0.0.1:0
tls: {cert: one.pem, key: two.key}
identity:
  users:
    - {name: alice, groups: [dev], password: "%%s"}
resources:
  - {name: set, type: postgres, address: db, username: x, password: env:SET_SECRET, tls: {ca: ca.pem, cert: one.pem, key: one.key}}
  - {name: unset, type: postgres, address: db, username: x, password: env:UNSET_SECRET}
  - {name: missing, type: postgres, address: db, username: x, password: file:nothing}
  - {name: blank, type: postgres, address: db, username: x, password: file:empty}
  - {name: noca, type: postgres, address: db, username: x, tls: {ca: nothing.pem}}
  - {name: badca, type: postgres, address: db, username: x, tls: {ca: garbage}}
  - {name: pair, type: postgres, address: db, username: x, tls: {cert: one.pem, key: two.key}}
  - {name: vm, type: ssh, address: vm, username: x, key: file:good.key, host_keys: [%q]}
  - {name: nokey, type: ssh, address: vm, username: x, key: file:garbage, host_keys: [%q]}
  - {name: locked, type: ssh, address: vm, username: x, key: file:locked.key, host_keys: [%q]}
  - name: many
    type: postgres
    address: db
    accounts:
      - {name: a, username: x, password: env:SET_SECRET}
      - {name: b, username: x, password: env:UNSET_B}
access:
  - {name: reads, groups: [dev], resources: [set], allow: [read]}
masking_key: {secret: env:UNSET_MASKING}
audit: {key: env:UNSET_AUDIT}
control:
  - {users: [no-such-user-here], allow: [list]}
`, taken.Addr(), host, host, host)
	_, verifier, _ := sallyport(t, "secret", "passwd")
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(text, "%s", strings.TrimSpace(verifier), 1)), 0o600))
	code, out2, errs := sallyport(t, "", "check", "-c", file)
	require.Equal(t, exitError, code)
	require.Empty(t, out2)
	for _, want := range []string{
		":2: listen: " + taken.Addr().String() + " is in use by another process",
		":4: tls: certificate ",
		":10: resource unset: password: secret from env: variable UNSET_SECRET is not set",
		":11: resource missing: password: secret from file: ",
		":12: resource blank: password: secret from file: the secret is empty",
		":13: resource noca: tls.ca: ",
		":14: resource badca: tls.ca: ",
		":15: resource pair: tls: certificate ",
		":17: resource nokey: key: this is not a private key",
		":18: resource locked: key: the private key is protected by a passphrase",
		":24: resource many: account b: password: secret from env: variable UNSET_B is not set",
		":27: masking_key.secret: secret from env: variable UNSET_MASKING is not set",
		":28: audit.key: secret from env: variable UNSET_AUDIT is not set",
		`:30: control: "no-such-user-here" is not a user of this machine`,
		":30: control: other users cannot reach the socket through ",
		"note: " + file + ":26: access: rule reads allows read to users who may not connect there, so it has no effect",
		"15 problems in " + file,
	} {
		require.Contains(t, errs, want)
	}
	for _, name := range []string{"resource set", "resource vm", "account a:", "garbage that", "correct horse"} {
		require.NotContains(t, errs, name)
	}
	require.NotContains(t, errs, "map[")
}

// A port that the running gateway itself listens on is not in use by another.
func TestCheckWhileServing(t *testing.T) {
	o := openOffice(t, "control: [{users: [root, "+control.Self()+"], allow: [list]}]\n")
	code, out, errs := sallyport(t, "", "check", "-c", o.config)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "is good")
	o.stop(t)
}

// check -connect logs in everywhere and reports each.
func TestCheckConnect(t *testing.T) {
	o := openOffice(t, "")
	o.stop(t)
	code, out, errs := sallyport(t, "", "check", "-c", o.config, "--connect")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "resource shop: logged in\n")
	require.NoError(t, os.WriteFile(filepath.Join(o.dir, "db.password"), []byte("not the password"), 0o600))
	code, _, errs = sallyport(t, "", "check", "-c", o.config, "--connect")
	require.Equal(t, exitError, code)
	require.Regexp(t, `sallyport.yaml:9: resource shop: .*password authentication failed`, errs)
	require.NotContains(t, errs, "not the password")

	text, err := os.ReadFile(o.config)
	require.NoError(t, err)
	lines := strings.Split(string(text), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "    address: ") {
			lines[i] = "    address: " + testserver.FreeAddress(t)
		}
	}
	require.NoError(t, os.WriteFile(o.config, []byte(strings.Join(lines, "\n")), 0o600))
	code, _, errs = sallyport(t, "", "check", "-c", o.config, "--connect")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "connection refused")
}

// A certificate that is not trusted is told with what to write.
func TestCheckConnectUntrusted(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, testserver.NewAuthority(), cert, key)
	pair, err := tls.LoadX509KeyPair(cert, key)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	verifier, err := identity.NewVerifier("wonder")
	require.NoError(t, err)
	go func() { // a server as far as its certificate
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.ReadFull(c, make([]byte, 8))
			io.WriteString(c, "S")
			tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake()
			c.Close()
		}
	}()
	file := configFile(t, fmt.Sprintf(`{listen: {postgres: "127.0.0.1:0"}, identity: {users: [{name: a, groups: [g], password: %q}]}, resources: [{name: shop, type: postgres, address: %q, username: u}], access: [{groups: [g], allow: [connect]}]}`,
		verifier, ln.Addr()))
	code, _, errs := sallyport(t, "", "check", "-c", file, "--connect")
	require.Equal(t, exitError, code)
	require.Regexp(t, `:1: resource shop: TLS with the server: .*unknown authority.* \(name its authority with tls: \{ca: FILE\}`, errs)
}

// Agents are connected to a gateway that runs, so neither check nor doctor tries what is reached by one, and neither finds
// a problem in that.
func TestCheckConnectByAgent(t *testing.T) {
	verifier, err := identity.NewVerifier("wonder")
	require.NoError(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `{data_dir: %q, listen: {postgres: "127.0.0.1:0"}, tunnel: {listen: "127.0.0.1:0"}, identity: {users: [{name: a, groups: [g], password: %q}]}, resources: [{name: far, type: postgres, address: %q, via: berlin, username: u}], access: [{groups: [g], allow: [connect]}]}`,
		filepath.Join(dir, "data"), verifier, testserver.FreeAddress(t)), 0o600))
	const want = "not tried: agent berlin reaches it for a gateway that runs"
	code, out, errs := sallyport(t, "", "check", "-c", file, "--connect")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "resource far: "+want)
	cfg, err := gateway.Load(file, configOptions())
	require.NoError(t, err)
	require.NoError(t, reacher(cfg)(t.Context(), func(resource, _ string, tried bool, err error) {
		require.Equal(t, "far", resource)
		require.False(t, tried)
		require.ErrorContains(t, err, "agent berlin reaches it")
	}))
}

func TestCheckConnectMachine(t *testing.T) {
	m := openMachine(t, "[connect, exec]", "", "")
	code, out, errs := sallyport(t, "", "check", "-c", m.config, "--connect")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "resource vm1: logged in\n")
	text, err := os.ReadFile(m.config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(m.config, []byte(strings.Replace(string(text), m.hostKey, keyPair(t, m.file("impostor")), 1)), 0o600))
	code, _, errs = sallyport(t, "", "check", "-c", m.config, "--connect")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "host key verification failed for vm1")
	m.stop(t)
}
