package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/secrets/secretstest"
)

// TestFirstDay: at a gateway with its defaults somebody logs in with the company's account, sees
// what she may reach, and uses psql and ssh with no password; when an administrator disables her,
// what she has open ends.
func TestFirstDay(t *testing.T) {
	needs(t, "psql")
	needs(t, "ssh")
	me, err := user.Current()
	require.NoError(t, err)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	t.Setenv("XDG_CONFIG_HOME", file("home"))
	api, postgres := testserver.FreeAddress(t), testserver.FreeAddress(t)
	gateway := "https://" + api
	dev := identitytest.StartProvider(t, gateway+"/auth/dev/callback")
	dev.Groups(t, "alice", "dev")
	server, database := testserver.Database(t, "CREATE TABLE people (name text, email text); INSERT INTO people VALUES ('Ann Smith', 'ann@example.com')")
	host := keyPair(t, file("host"))
	address := sshd(t, dir, file("host"), keyPair(t, file("upstream")))
	verifier, err := identity.NewVerifier("root's own")
	require.NoError(t, err)
	t.Setenv("DB_PASSWORD", server.Password)
	t.Setenv("CLIENT_SECRET", "secret")
	require.NoError(t, os.WriteFile(file("sallyport.yaml"), fmt.Appendf(nil, `
listen: {postgres: %q, ssh: %q}
api: {listen: %q, url: %q}
identity:
  users: [{name: root, groups: [admin], password: %q}]
  providers: [{name: dev, issuer: %q, client_id: web, client_secret: "env:CLIENT_SECRET", scopes: [profile, offline_access], groups: {claim: groups}}]
resources:
  - {name: shop, type: postgres, address: %q, database: %s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}}
  - {name: secret, type: postgres, address: %q, database: %s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}}
  - {name: vm1, type: ssh, address: %q, username: %s, key: "file:upstream", ssh: {host_keys: [%q]}}
access:
  - {groups: ["dev:dev"], resources: [shop, vm1], allow: [connect, read, exec]}
  - {groups: [admin], resources: [secret], allow: [connect, read]}
control:
  - {groups: [admin], allow: [list, users]}
`, postgres, testserver.FreeAddress(t), api, gateway, verifier, dev.Issuer, server.Address(), database, server.Address(), database, address, me.Username, host), 0o600))
	p := start(t, "serve", "-c", file("sallyport.yaml"))
	p.wait(t, "the API is served")

	authority := file("data/ca/ca.pem")
	told, wait := background(t, "login", gateway, "--no-browser", "--ca", authority)
	at := told.find(t, `(?m)^  (https://\S+)$`)
	r := &remote{dev: dev, gateway: gateway, client: trusting(t, authority)}
	r.browse(t, "alice", at, told.find(t, `code ([0-9A-F]{4}-[0-9A-F]{4})`))
	code, out := wait()
	require.Equal(t, exitOK, code, told)
	require.Contains(t, out, "as alice")

	require.Contains(t, must(t, "whoami"), "dev/alice")
	list := must(t, "ls")
	require.Contains(t, list, "shop")
	require.Contains(t, list, "vm1")
	require.NotContains(t, list, "secret")
	require.Contains(t, must(t, "can", "shop", "--", "SELECT 1"), "allow")
	code, out, errs := sallyport(t, "", "can", "shop", "--", "DROP TABLE people")
	require.Equal(t, exitPolicy, code, out+errs)

	code, out, errs = sallyport(t, "", "connect", "shop", "--", "-XAtc", "SELECT * FROM people")
	require.Equal(t, exitOK, code, errs)
	require.NotContains(t, out, "ann@example.com", "masking is on")
	require.Contains(t, out, "|")
	require.NoError(t, os.WriteFile(file("ssh_config"), []byte(must(t, "ssh-config")), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ssh := exec.CommandContext(ctx, "ssh", "-F", file("ssh_config"), "-o", "BatchMode=yes", "-o", "IdentityAgent=none", "vm1", "echo in")
	ssh.Env = append(os.Environ(), "SSH_AUTH_SOCK=", "SALLYPORT_TEST_MAIN=1")
	text, err := ssh.CombinedOutput()
	require.NoError(t, err, string(text))
	require.Contains(t, string(text), "in\n")

	// A token of hers for a program is a password.
	token := strings.TrimSpace(must(t, "token", "create", "--label", "ci", "--action", "connect", "--action", "read", "--resource", "shop"))
	held := secretsOfLogin(t, file("home"))
	held["access token"] = token
	id := completed(t, "token", "revoke", "")[0]
	machine, port, err := net.SplitHostPort(postgres)
	require.NoError(t, err)
	c, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=%s port=%s user='%s~%s+shop' password='%s' sslmode=verify-full sslrootcert=%s", machine, port, held["user"], id, token, authority))
	require.NoError(t, err)
	require.NoError(t, c.Exec(t.Context(), "SELECT 'the control'").Close())
	require.NoError(t, c.Close(t.Context()))
	delete(held, "user")

	// A session that is open ends with her account.
	psql := exec.CommandContext(ctx, os.Args[0], "connect", "shop", "--", "-XAt")
	psql.Env = append(os.Environ(), "SALLYPORT_TEST_MAIN=1")
	in, err := psql.StdinPipe()
	require.NoError(t, err)
	heard := &said{}
	psql.Stdout, psql.Stderr = heard, heard
	require.NoError(t, psql.Start())
	fmt.Fprintln(in, "SELECT 'ready';")
	heard.find(t, `(ready)`)
	code, _, errs = sallyport(t, "root's own\n", "login", gateway, "--ca", authority, "--user", "root", "--profile", "root")
	require.Equal(t, exitOK, code, errs)
	must(t, "admin", "users", "disable", "dev/alice", "--reason", "left", "--profile", "root")
	fmt.Fprintln(in, "SELECT 'again';")
	in.Close()
	require.Error(t, psql.Wait())
	require.NotContains(t, heard.String(), "again\n")
	require.Contains(t, heard.String(), "the account is disabled")
	profile := filepath.Base(strings.ReplaceAll(api, ":", "_"))
	code, _, errs = sallyport(t, "", "whoami", "--profile", profile)
	require.Equal(t, exitNotLoggedIn, code, errs)
	p.stop(t)
	held["password"] = "root's own"
	all := p.output() + kept(t, file("data")) + recordOf(t, file("sallyport.yaml"))
	for name, secret := range held {
		require.Nil(t, secretstest.Leaks(all, secret), name)
	}
	require.NotNil(t, secretstest.Leaks(all, "the control"), "what was asked is on record")
}

// secretsOfLogin are what a login has left on a machine, and what it logs in as.
func secretsOfLogin(t *testing.T, home string) map[string]string {
	t.Helper()
	held := make(map[string]string)
	require.NoError(t, filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		switch d.Name() {
		case profileFile:
			var p profile
			require.NoError(t, json.Unmarshal(text, &p))
			held["session"], held["user"] = p.Token, p.User
		case tlsKey, sshKey:
			held[d.Name()] = strings.Split(string(text), "\n")[1]
		}
		return err
	}))
	require.Len(t, held, 4)
	return held
}
