package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/masking"
)

// TestDetokenise turns back what a masker of the same config made, for those who
// may, and notes who did.
func TestDetokenise(t *testing.T) {
	dir := t.TempDir()
	verifier, err := identity.NewVerifier("wonder")
	require.NoError(t, err)
	file := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
data_dir: data
listen: {postgres: "127.0.0.1:0"}
identity:
  users:
    - {name: olga, groups: [privacy], password: "`+verifier+`"}
    - {name: alice, groups: [dev], password: "`+verifier+`"}
resources: [{name: orders, type: postgres, address: "127.0.0.1:1", username: app}]
access: [{groups: [dev], allow: [connect]}]
masking: [{columns: [name], with: tokenise}]
masking_key: {detokenise: [privacy]}
`), 0o600))
	cfg, err := config.Load(file)
	require.NoError(t, err)
	_, err = cfg.Masker(t.Context(), masking.Config{}) // makes the key
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(dir, "data", "masking.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	key, err := os.ReadFile(filepath.Join(dir, "data", "masking.key"))
	require.NoError(t, err)
	require.Len(t, key, 65)

	m, err := masking.New(masking.Config{Key: key[:64]})
	require.NoError(t, err)
	token := m.Token([]byte("Ann Smith"), masking.Person)
	code, out, errs := sallyport(t, "wonder\n", "detokenise", "-c", file, "-u", "olga", token)
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, "Ann Smith\n", out)
	code, out, _ = sallyport(t, "wonder\n", "detokenise", "-c", file, "-u", "alice", token)
	require.Equal(t, exitPolicy, code)
	require.Empty(t, out)
	code, out, _ = sallyport(t, "guess\n", "detokenise", "-c", file, "-u", "olga", token)
	require.Equal(t, exitNotLoggedIn, code)
	require.Empty(t, out)
	code, out, errs = sallyport(t, "wonder\n", "detokenise", "-c", file, "-u", "olga", token[:len(token)-2])
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "damaged")
	require.Empty(t, out)
	code, _, _ = sallyport(t, "", "detokenise", "-c", file)
	require.Equal(t, exitUsage, code)
	notes, err := os.ReadFile(filepath.Join(dir, "data", "detokenised.jsonl"))
	require.NoError(t, err)
	require.Regexp(t, `"user":"olga","type":"PERSON"}\n.*"user":"alice","error":"no permission`, string(notes))
	require.NotContains(t, string(notes), "Smith")
}
