package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/testserver"
)

// TestConfigure: two administrators change what a running gateway does, from their own machines; one alone does not.
func TestConfigure(t *testing.T) {
	server, database := testserver.Database(t, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	dir := t.TempDir()
	pg, api := testserver.FreeAddress(t), testserver.FreeAddress(t)
	at := "https://" + api
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	t.Setenv("DB_PASSWORD", server.Password)
	file := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
listen: {postgres: %[1]q}
api: {listen: %[2]q, url: %[3]q}
data_dir: data
identity:
  users:
    - {name: ada, groups: [ops], password: %[4]q}
    - {name: bob, groups: [ops], password: %[4]q}
    - {name: eve, groups: [dev], password: %[4]q}
control: [{groups: [ops], allow: [configure]}]
objects: {}
resources:
  - {name: shop, type: postgres, address: %[5]q, database: %[6]s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}}
`, pg, api, at, verifier, server.Address(), database), 0o600))
	p := start(t, "serve", "-c", file)
	p.wait(t, "listening")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Chdir(t.TempDir())
	for _, who := range []string{"eve", "bob", "ada"} {
		code, _, errs := sallyport(t, "secret\n", "login", at, "--user", who, "--profile", who, "--ca", filepath.Join(dir, "data", "ca", "ca.pem"))
		require.Equal(t, exitOK, code, errs)
	}
	as := func(who string, args ...string) (int, string, string) {
		t.Helper()
		return sallyport(t, "", append(args, "--profile", who)...)
	}
	host, port, _ := strings.Cut(pg, ":")
	reach := func() error {
		c, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=%s port=%s user=eve+shop password=secret sslmode=require", host, port))
		if err == nil {
			err = c.Close(t.Context())
		}
		return err
	}
	require.Error(t, reach())

	require.NoError(t, os.WriteFile("team.yaml", []byte(`access:
  - name: readers   # for now
    groups: [dev]
    allow: [connect, read]
`), 0o600))
	code, out, errs := as("ada", "diff", "-f", "team.yaml")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "--- /dev/null\n+++ access/readers\n")
	require.Contains(t, out, "+allow: [connect, read]\n")
	require.Contains(t, out, "needs a second person: access/readers: it changes who may do what")

	code, out, errs = as("ada", "apply", "-f", "team.yaml", "--reason", "ticket 7")
	require.Equal(t, exitApproval, code, errs)
	require.Regexp(t, `created +access/readers`, out)
	require.Contains(t, errs, `"sallyport revisions approve 1"`)
	require.Error(t, reach(), "nothing has changed")
	code, _, errs = as("ada", "revisions", "approve", "1")
	require.Equal(t, exitPolicy, code)
	require.Contains(t, errs, "nobody approves her own revision")
	for _, args := range [][]string{{"get"}, {"apply", "-f", "team.yaml"}, {"revisions", "ls"}, {"revisions", "approve", "1"}} {
		code, _, errs = as("eve", args...)
		require.Equal(t, exitPolicy, code, errs)
	}
	code, out, _ = as("bob", "revisions", "show", "1")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "author       ada\nreason       ticket 7\n")
	require.Contains(t, out, "+groups: [dev]\n")
	code, _, errs = as("bob", "revisions", "approve", "1", "--reason", "fine")
	require.Equal(t, exitOK, code, errs)
	require.NoError(t, reach(), "it counts when the command ends")
	code, _, errs = as("bob", "revisions", "approve", "1")
	require.Equal(t, exitDenied, code, errs)

	code, out, errs = as("bob", "get")
	require.Equal(t, exitOK, code, errs)
	require.Regexp(t, `resource/shop +file\n`, out)
	require.Regexp(t, `access/readers +store\n`, out)
	code, out, _ = as("bob", "get", "access/readers", "-o", "yaml")
	require.Equal(t, exitOK, code)
	require.Regexp(t, "^store_version: [0-9]+\naccess:\n  - name: readers\n    groups: \\[dev\\]\n    allow: \\[connect, read\\]\n$", out)
	stale := out
	code, _, errs = sallyport(t, out, "apply", "-f", "-", "--profile", "ada")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, errs, "nothing to do")
	code, _, errs = as("bob", "get", "access/nobody")
	require.Equal(t, exitNotFound, code, errs)
	code, _, errs = as("bob", "get", "rule")
	require.Equal(t, exitUsage, code, errs)

	// What is wrong is said, by its place.
	require.NoError(t, os.WriteFile("broken.yaml", []byte("access:\n  - name: a\n    groups: [dve]\n    allow: [conect]\n"), 0o600))
	code, _, errs = as("ada", "apply", "-f", "broken.yaml")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "store: access/a:1: the rule names group \"dve\"")
	require.Contains(t, errs, "\nstore: access/a:1: access: unknown action \"conect\"")
	require.NoError(t, os.WriteFile("broken.yaml", []byte("access:\n  - groups: [dev]\n"), 0o600))
	code, _, errs = as("ada", "apply", "-f", "broken.yaml")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "broken.yaml:2: an entry of access has no name")

	// What another has changed since it was read is not changed by what was read.
	code, _, errs = sallyport(t, strings.Replace(stale, "connect, read", "connect", 1), "apply", "-f", "-", "--profile", "bob")
	require.Equal(t, exitApproval, code, errs)
	code, _, errs = as("ada", "revisions", "approve", "2")
	require.Equal(t, exitOK, code, errs)
	code, _, errs = sallyport(t, strings.Replace(stale, "connect, read", "connect, write", 1), "apply", "-f", "-", "--profile", "ada")
	require.Equal(t, exitDenied, code, errs)
	require.Contains(t, errs, "access/readers has changed since you read it")
	code, _, errs = as("bob", "apply", "-f", "team.yaml") // which says what it is to be, whatever there is
	require.Equal(t, exitApproval, code, errs)
	code, _, errs = as("ada", "revisions", "approve", "3")
	require.Equal(t, exitOK, code, errs)
	require.NoError(t, reach())

	// Less does not need a second person, and its reversal does.
	code, out, errs = as("ada", "delete", "access/readers", "--reason", "over")
	require.Equal(t, exitOK, code, errs)
	require.Regexp(t, `deleted +access/readers`, out)
	require.Error(t, reach())
	code, _, errs = as("ada", "delete", "access/readers")
	require.Equal(t, exitNotFound, code, errs)
	code, _, errs = as("ada", "revisions", "revert", "4")
	require.Equal(t, exitApproval, code, errs)
	code, _, errs = as("bob", "revisions", "reject", "5", "--reason", "no")
	require.Equal(t, exitOK, code, errs)
	require.Error(t, reach())
	code, out, _ = as("ada", "revisions", "ls", "-o", "wide")
	require.Equal(t, exitOK, code)
	require.Regexp(t, `5 +rejected .* ada +access/readers .* bob\n4 +applied`, out)

	// At the local socket nobody has logged in: what takes two does not go there.
	code, _, errs = sallyport(t, "", "apply", "-f", "team.yaml", "-c", file)
	require.Equal(t, exitPolicy, code, errs)
	require.Contains(t, errs, "both of them log in")
	code, out, errs = sallyport(t, "", "get", "-c", file, "-o", "json")
	require.Equal(t, exitOK, code, errs)
	require.NotContains(t, out, "SCRAM-SHA-256", "what passwords are checked by is not shown")
}
