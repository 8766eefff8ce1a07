package main

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// testbed is a real database, "shop", and a real machine, "vm1", for a gateway that is used from other machines.
type testbed struct {
	dir, file string
	url       string // of the API
	pg, ssh   string // where the gateway listens
	api       string
	resources string // as the config file has them
}

func openTestbed(t *testing.T, schema string) *testbed {
	t.Helper()
	needs(t, "psql")
	needs(t, "ssh")
	server, database := testserver.Database(t, schema)
	t.Setenv("DB_PASSWORD", server.Password)
	me, err := user.Current()
	require.NoError(t, err)
	dir := t.TempDir()
	b := &testbed{dir: dir, file: filepath.Join(dir, "sallyport.yaml"), pg: testserver.FreeAddress(t), ssh: testserver.FreeAddress(t), api: testserver.FreeAddress(t)}
	b.url = "https://" + b.api
	host, upstream := keyPair(t, filepath.Join(dir, "host")), keyPair(t, filepath.Join(dir, "upstream"))
	b.resources = fmt.Sprintf(`resources:
  - {name: vm1, type: ssh, address: %q, username: %s, key: "file:upstream", ssh: {host_keys: [%q]}}
  - {name: shop, type: postgres, address: %q, database: %s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}}
`, sshd(t, dir, filepath.Join(dir, "host"), upstream), me.Username, host, server.Address(), database)
	return b
}

// serve runs a gateway by a config file with these sections. From then on this machine has no login.
func (b *testbed) serve(t *testing.T, sections string) *process {
	t.Helper()
	require.NoError(t, os.WriteFile(b.file, fmt.Appendf(nil, `listen: {postgres: %q, ssh: %q}
api: {listen: %q, url: %q}
data_dir: data
%s%s`, b.pg, b.ssh, b.api, b.url, b.resources, sections), 0o600))
	p := start(t, "serve", "-c", b.file)
	p.wait(t, "listening")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Chdir(t.TempDir())
	return p
}

// authority is the file of the gateway's own.
func (b *testbed) authority() string { return filepath.Join(b.dir, "data", "ca", "ca.pem") }

// logIn has users log in with the password "secret", each with a profile of her own name. The last one's is the one that is used.
func (b *testbed) logIn(t *testing.T, users ...string) {
	t.Helper()
	for _, who := range users {
		code, _, errs := sallyport(t, "secret\n", "login", b.url, "--user", who, "--profile", who, "--ca", b.authority())
		require.Equal(t, exitOK, code, errs)
	}
}
