package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/testserver"
)

// TestHosts: an operator sees by which keys hosts are known, those of an earlier version's file too, and has one forgotten.
func TestHosts(t *testing.T) {
	dir := t.TempDir()
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	key := []byte("a key")
	sum := sha256.Sum256(key)
	shown := "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data", "ssh"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "ssh", "known_hosts"), []byte("vm1 "+base64.StdEncoding.EncodeToString(key)+"\n"), 0o600))
	file := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
listen: {ssh: %q}
data_dir: data
identity: {users: [{name: dora, groups: [dev], password: %q}]}
resources: [{name: vm1, type: ssh, address: "127.0.0.1:1", username: u, ssh: {trust_on_first_use: true}}]
access: [{groups: [dev], resources: [vm1], allow: [connect]}]
`, testserver.FreeAddress(t), verifier), 0o600))
	start(t, "serve", "-c", file).wait(t, "listening")
	run := func(args ...string) (int, string) {
		t.Helper()
		code, out, errs := sallyport(t, "", append(append([]string{"admin", "hosts"}, args...), "-c", file)...)
		return code, out + errs
	}
	_, out := run("ls")
	require.Regexp(t, `(?m)^vm1 +`+regexp.QuoteMeta(shown[:20])+`.* trusted *$`, out)
	code, out := run("forget", "vm1")
	require.Equal(t, exitUsage, code, out)
	code, out = run("forget", "vm2", "--reason", "gone")
	require.Equal(t, exitNotFound, code)
	require.Contains(t, out, "no key of vm2 is known")
	code, out = run("forget", "vm1", "--reason", "set up anew")
	require.Equal(t, exitOK, code, out)
	require.Contains(t, out, "the key "+shown+" of vm1 is forgotten")
	_, out = run("ls", "-o", "json")
	list := decode[listed[control.Host]](t, out).Items
	require.Len(t, list, 1)
	require.Empty(t, list[0].Key)
	require.Equal(t, "set up anew", list[0].Forgotten[0].Reason)
	_, out = run("ls")
	require.Regexp(t, `(?m)^vm1 .* forgotten *$`, out)
}
