package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
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

// A gateway that was killed revokes the accounts of its sessions when it starts again.
func TestLeasesAfterKill(t *testing.T) {
	pg, database := testserver.Database(t, "")
	v := testserver.NewSmallVault(t, pg)
	dir := t.TempDir()
	verifier, err := identity.NewVerifier(password)
	require.NoError(t, err)
	address, file := testserver.FreeAddress(t), filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte(v.Token), 0o600))
	require.NoError(t, os.WriteFile(file, []byte(fmt.Sprintf(`
listen: {postgres: %q}
data_dir: data
secrets: {vault: {address: %q, token: {from: file:token}}}
identity: {users: [{name: alice, groups: [dev], password: %q}]}
resources: [{name: shop, type: postgres, address: %q, database: %s, username: unused, password: "vault:database/creds/ro", tls: {mode: disable}}]
access: [{groups: [dev], allow: [connect, read]}]
masking: [{use: off}]
`, address, v.URL, verifier, pg.Address(), database)), 0o600))
	p := start(t, "serve", "-c", file)
	p.wait(t, "listening")
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	connect := func() *pgconn.PgConn {
		c, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=%s port=%s user=alice+shop password='%s' sslmode=verify-full sslrootcert=%s",
			host, port, password, filepath.Join(dir, "data", "ca", "ca.pem")))
		require.NoError(t, err)
		t.Cleanup(func() { c.Close(t.Context()) })
		return c
	}
	who := func(c *pgconn.PgConn) string {
		r := c.ExecParams(t.Context(), "SELECT session_user", nil, nil, nil, nil).Read()
		require.NoError(t, r.Err)
		return string(r.Rows[0][0])
	}
	role := who(connect())
	require.Contains(t, v.Accounts(), role)
	require.NoError(t, p.cmd.Process.Kill())
	<-p.done
	p.done <- nil
	require.Contains(t, v.Accounts(), role)
	p = start(t, "serve", "-c", file)
	p.wait(t, "listening")
	require.Eventually(t, func() bool { return len(v.Accounts()) == 0 }, 30*time.Second, 5*time.Millisecond)
	require.NotEqual(t, role, who(connect()))
	p.stop(t)
	require.Empty(t, v.Accounts())
}

// kept is all that the files of a folder have in them, sealed or not.
func kept(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	}))
	return all.String()
}

// recordOf is all that a gateway has recorded, the gateway's own record too.
func recordOf(t *testing.T, config string) string {
	t.Helper()
	archive, err := openArchive(&cli{err: io.Discard}, config, "")
	require.NoError(t, err)
	ids, err := archive.Sessions()
	require.NoError(t, err)
	var all strings.Builder
	for _, id := range ids {
		for e, err := range archive.Events(id) {
			require.NoError(t, err)
			text, err := json.Marshal(e)
			require.NoError(t, err)
			all.Write(text)
		}
	}
	return all.String()
}
