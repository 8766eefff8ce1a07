package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/proxy"
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
	cfg, err := gateway.Load(file, config.Options{})
	require.NoError(t, err)
	_, err = cfg.Masker(t.Context(), nil, masking.Config{}) // makes the key
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(dir, "data", "masking.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	key, err := os.ReadFile(filepath.Join(dir, "data", "masking.key"))
	require.NoError(t, err)
	require.Len(t, key, 65)

	m, err := masking.New(masking.Config{Key: key[:64]})
	require.NoError(t, err)
	token := m.Token([]byte("Ann Smith"), detect.Person)
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
	encrypted := string(m.Encrypted([]byte("123-45-6789"), detect.USSSN))
	require.NotContains(t, encrypted, "6789")
	code, out, errs = sallyport(t, "wonder\n", "detokenise", "-c", file, "-u", "olga", "--type", "US_SSN", encrypted)
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, "123-45-6789\n", out)
	code, out, _ = sallyport(t, "wonder\n", "detokenise", "-c", file, "-u", "alice", "--type", "US_SSN", encrypted)
	require.Equal(t, exitPolicy, code)
	require.Empty(t, out)

	// While the gateway runs, its log is its own; the note goes through it.
	g := start(t, "serve", "-c", file)
	g.wait(t, "listening")
	code, out, errs = sallyport(t, "wonder\n", "detokenise", "-c", file, "-u", "olga", token)
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, "Ann Smith\n", out)
	g.stop(t)

	require.NoFileExists(t, filepath.Join(dir, "data", "detokenised.jsonl"))
	require.NotContains(t, must(t, "verify", filepath.Join(dir, "data", "audit")), "NOT AS SEALED")
	keys, err := cfg.AuditKeys(t.Context(), nil)
	require.NoError(t, err)
	archive, err := audit.OpenArchiveWith(filepath.Join(dir, "data", "audit"), keys)
	require.NoError(t, err)
	ids, err := archive.Sessions()
	require.NoError(t, err)
	var notes []string
	for _, id := range ids {
		for e, err := range archive.Events(id) {
			require.NoError(t, err)
			if e.Type == audit.AdminDetokenise {
				notes = append(notes, e.Action+" "+e.Reason)
			}
		}
	}
	slices.Sort(notes)
	require.Equal(t, []string{
		" as alice: no permission to turn tokens back", " as olga: the token is damaged", "PERSON as olga", "PERSON as olga",
		"US_SSN as alice: no permission to turn tokens back", "US_SSN as olga",
	}, notes)
}

// TestDetokeniseByOwn: values are turned back by the password that a user has chosen and her second
// factor, once a gateway keeps these, and not by what the file says.
func TestDetokeniseByOwn(t *testing.T) {
	dir := t.TempDir()
	verifier, err := identity.NewVerifier("wonder")
	require.NoError(t, err)
	file := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
data_dir: data
listen: {postgres: "127.0.0.1:0"}
identity: {users: [{name: olga, groups: [privacy], password: "`+verifier+`"}]}
resources: [{name: orders, type: postgres, address: "127.0.0.1:1", username: app}]
access: [{groups: [privacy], allow: [connect]}]
masking: [{columns: [name], with: tokenise}]
masking_key: {detokenise: [privacy]}
`), 0o600))
	cfg, err := gateway.Load(file, config.Options{})
	require.NoError(t, err)
	masker, err := cfg.Masker(t.Context(), nil, masking.Config{})
	require.NoError(t, err)
	token := masker.Token([]byte("Ann Smith"), detect.Person)
	g, err := gateway.New(cfg, gateway.Options{})
	require.NoError(t, err)
	p := g.Control().Portal()
	olga, _ := p.Users.Lookup("olga")
	require.NoError(t, p.Credentials.Choose(t.Context(), olga, "", proxy.NewSecret("correct horse battery")))
	address, err := p.Credentials.Codes.Enroll(t.Context(), "olga", "olga")
	require.NoError(t, err)
	codes, err := p.Credentials.Confirm(t.Context(), "olga", identitytest.NewApp(t, address.Reveal()).Code(time.Now()))
	require.NoError(t, err)
	require.NoError(t, g.Close())
	for in, want := range map[string]int{
		"wonder\n" + codes[0].Reveal() + "\n":                exitNotLoggedIn,
		"correct horse battery\n":                            exitNotLoggedIn,
		"correct horse battery\n" + codes[1].Reveal() + "\n": exitOK,
	} {
		code, out, _ := sallyport(t, in, "detokenise", "-c", file, "-u", "olga", "--code-file", "-", token)
		require.Equal(t, want, code)
		require.Equal(t, want == exitOK, out == "Ann Smith\n")
	}
	code, _, errs := sallyport(t, "correct horse battery\n", "detokenise", "-c", file, "-u", "olga", token)
	require.Equal(t, exitNotLoggedIn, code)
	require.Contains(t, errs, "--code-file")
}
