package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
)

// TestTeam: with a gateway, an identity provider, a database and a machine that are all
// real, somebody logs in with the company's account and uses psql and ssh, with no password;
// an administrator's word ends it.
func TestTeam(t *testing.T) {
	b := openTestbed(t, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	dev := identitytest.StartProvider(t, b.url+"/auth/dev/callback")
	dev.Groups(t, "alice", "dba")
	dev.Groups(t, "bob", "admins")
	verifier, err := identity.NewVerifier("ada")
	require.NoError(t, err)
	t.Setenv("CLIENT_SECRET", "secret")
	b.serve(t, fmt.Sprintf(`identity:
  users: [{name: ada, groups: [admin], password: %q}]
  providers:
    - {name: dev, issuer: %q, client_id: web, client_secret: "env:CLIENT_SECRET", scopes: [profile, offline_access], groups: {claim: groups}}
control: [{groups: ["dev:admins", admin], allow: [list, kill, review, users]}]
access: [{name: dba, groups: ["dev:dba"], resources: [shop, vm1], allow: [connect, read, exec]}]
`, verifier, dev.Issuer))
	t.Setenv("SALLYPORT_TEST_MAIN", "1") // for ssh's ProxyCommand

	r := &remote{dev: dev, gateway: b.url, client: trusting(t, b.authority())}
	login := func(who, profile string) {
		t.Helper()
		said, wait := background(t, "login", b.url, "--no-browser", "--ca", b.authority(), "--profile", profile)
		r.browse(t, who, said.find(t, `(?m)^  (https://\S+)$`), said.find(t, `code ([0-9A-F]{4}-[0-9A-F]{4})`))
		code, _ := wait()
		require.Equal(t, exitOK, code, said)
	}
	login("bob", "admin")
	login("alice", "alice")

	require.Regexp(t, `shop +postgres +127.0.0.1:\d+ +alice\+shop`, must(t, "ls"))
	code, out, errs := sallyport(t, "", "connect", "shop", "--", "-X", "-A", "-t", "-c", "SELECT text FROM notes")
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, "hello\n", out)
	code, out, errs = sallyport(t, "", "connect", "vm1", "--", "-F", "/dev/null", "-o", "BatchMode=yes", "echo", "hello")
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, "hello\n", out)
	stanza := filepath.Join(b.dir, "ssh_config")
	require.NoError(t, os.WriteFile(stanza, []byte(must(t, "ssh-config")), 0o600))
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	text, err := exec.CommandContext(ctx, "ssh", "-F", stanza, "-o", "BatchMode=yes", "-o", "GlobalKnownHostsFile=/dev/null", "vm1", "echo", "by name").CombinedOutput()
	require.NoError(t, err, string(text))
	require.Equal(t, "by name\n", string(text))

	require.Equal(t, "allow\n", must(t, "can", "shop", "--", "SELECT text FROM notes"))
	code, _, errs = sallyport(t, "", "can", "shop", "--", "DELETE FROM notes WHERE text = 'x'")
	require.Equal(t, exitPolicy, code, errs)

	var link string
	for line := range strings.Lines(must(t, "describe", "shop")) {
		if url, ok := strings.CutPrefix(line, "url "); ok {
			link = strings.TrimSpace(url)
		}
	}
	live, err := pgconn.Connect(ctx, link)
	require.NoError(t, err, "the URL of describe is all that a program needs")
	defer live.Close(context.Background())
	_, err = live.Exec(ctx, "SELECT 1").ReadAll()
	require.NoError(t, err)
	require.Contains(t, must(t, "sessions", "ls"), "dev/alice", "her own")

	must(t, "admin", "users", "disable", "dev/alice", "--reason", "left", "--profile", "admin")
	require.Eventually(t, func() bool {
		_, err := live.Exec(ctx, "SELECT 1").ReadAll()
		return err != nil
	}, 5*time.Second, 20*time.Millisecond)
	for _, args := range [][]string{{"whoami"}, {"ls"}} {
		code, _, errs = sallyport(t, "", args...)
		require.Equal(t, exitNotLoggedIn, code, errs)
	}
	_, err = pgconn.Connect(ctx, link)
	var refused *pgconn.PgError
	require.True(t, errors.As(err, &refused), "%v", err)
	must(t, "logout", "--profile", "admin")
	code, _, errs = sallyport(t, "ada\n", "login", b.url, "--user", "ada", "--profile", "ada", "--ca", b.authority())
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, must(t, "admin", "users", "show", "dev/alice"), "disabled")
}

// trusting is a browser's transport that trusts an authority.
func trusting(t *testing.T, file string) http.RoundTripper {
	t.Helper()
	pem, err := os.ReadFile(file)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
}
