package main

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/review/reviewtest"
)

// TestRequestBreakGlass: in an emergency somebody takes access by her second factor, a real client gets in at once, everybody is told, and
// she may again once another has looked at what she has done.
func TestRequestBreakGlass(t *testing.T) {
	b := openTestbed(t, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	var mu sync.Mutex
	var told strings.Builder
	hook := reviewtest.NewHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.Copy(&told, r.Body)
	})
	require.NoError(t, os.WriteFile(filepath.Join(b.dir, "hook.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Leaf.Raw}), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(b.dir, "hook.key"), []byte("whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600))
	b.serve(t, fmt.Sprintf(`identity:
  users:
    - {name: dora, groups: [dev], password: %[1]q}
    - {name: olga, groups: [ops], password: %[1]q}
access:
  - name: shop-readers
    groups: [dev]
    resources: [shop]
    allow: [connect, read]
    request: {approvers: [ops], reason: "INC-[0-9]+", break_glass: {groups: [dev], max: 30m}}
notify: [{type: webhook, url: %q, keys: ["file:hook.key"], private: true, ca: hook.pem, events: [expired]}]
`, verifier, hook.URL))
	b.logIn(t, "olga", "dora")
	take := func(proof string, args ...string) (int, string, string) {
		return sallyport(t, proof+"\n", append([]string{"request", "shop", "--profile", "dora", "--break-glass", "--reason", "orders are lost"}, args...)...)
	}
	code, _, errs := take("secret")
	require.Equal(t, exitError, code, errs)
	require.Contains(t, errs, "needs a login with a second factor")
	code, _, errs = take("secret", "--wait")
	require.Equal(t, exitUsage, code, errs)

	var out said
	said := &said{}
	code = run(t.Context(), &cli{io.MultiReader(strings.NewReader("secret\n"), &typist{then: func() string {
		return identitytest.NewApp(t, regexp.MustCompile(`otpauth://\S+`).FindString(said.String())).Code(time.Now()) + "\n"
	}}), &out, said}, []string{"me", "totp", "add", "--profile", "dora"})
	require.Equal(t, exitOK, code, said)
	recovery := regexp.MustCompile(`(?m)^  ([a-z2-7]{4}(?:-[a-z2-7]{4}){3})$`).FindAllStringSubmatch(out.String(), -1)
	require.Len(t, recovery, 10)

	code, _, errs = take("000000")
	require.Equal(t, exitError, code, errs)
	code, text, errs := take(recovery[0][1])
	require.Equal(t, exitOK, code, errs)
	require.Regexp(t, `request [a-z0-9]{10}: you have access without an approval until .*; all that you do is recorded, and it will be reviewed by ops`, text)
	id := regexp.MustCompile(`request ([a-z0-9]{10})`).FindStringSubmatch(text)[1]
	code, text, errs = sallyport(t, "", "connect", "shop", "--profile", "dora", "--", "-X", "-A", "-t", "-c", "SELECT text FROM notes")
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, "hello\n", text)
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(told.String(), "request.break_glass")
	}, 20*time.Second, 10*time.Millisecond)
	code, _, errs = take(recovery[1][1])
	require.Equal(t, exitDenied, code, errs)
	require.Contains(t, errs, "may again once that is reviewed")

	// It is given back, and reviewed.
	code, _, errs = sallyport(t, "", "requests", "cancel", id, "--profile", "dora")
	require.Equal(t, exitOK, code, errs)
	require.Eventually(t, func() bool {
		code, text, errs = sallyport(t, "", "requests", "ls", "--profile", "olga")
		require.Equal(t, exitOK, code, errs)
		return strings.Contains(text, "review_due")
	}, 20*time.Second, 100*time.Millisecond)
	review := func(who string, args ...string) (int, string, string) {
		return sallyport(t, "", append([]string{"requests", "review", id, "--profile", who}, args...)...)
	}
	code, _, errs = review("olga", "--reason", "fine")
	require.Equal(t, exitUsage, code, errs)
	code, _, errs = review("olga", "--fine", "--violation", "--reason", "both")
	require.Equal(t, exitUsage, code, errs)
	code, _, errs = review("olga", "--fine")
	require.Equal(t, exitUsage, code, errs)
	code, _, errs = review("dora", "--fine", "--reason", "of course")
	require.Equal(t, exitPolicy, code, errs)
	code, text, errs = sallyport(t, "secret\n", "requests", "review", id, "-c", b.file, "--user", "olga", "--fine", "--reason", "as the record says")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, errs, "break-glass without an approval, proven by password (pwd otp mfa)")
	require.Equal(t, "request "+id+" is reviewed\n", text)
	code, _, errs = review("olga", "--violation", "--reason", "after all")
	require.Equal(t, exitDenied, code, errs)
	code, _, errs = take(recovery[2][1])
	require.Equal(t, exitOK, code, errs)
}

// TestOfflineGrant: a grant is made, signed by real ssh-keygen and used by commands alone, and a real client gets in by it.
func TestOfflineGrant(t *testing.T) {
	needs(t, "ssh-keygen")
	b := openTestbed(t, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	keys := make(map[string]string)
	for _, who := range []string{"dora", "olga", "otto"} {
		keys[who] = keyPair(t, filepath.Join(b.dir, who))
	}
	require.NoError(t, os.WriteFile(filepath.Join(b.dir, "hook.key"), []byte("whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(b.dir, "dora.public"), []byte(keys["dora"]+"\n"), 0o600))
	b.serve(t, fmt.Sprintf(`identity: {users: [{name: dora, groups: [dev], password: %[1]q}, {name: olga, groups: [ops], password: %[1]q}]}
access:
  - {name: shop-readers, groups: [dev], resources: [shop], allow: [connect, read], request: {approvers: [ops], break_glass: {groups: [dev], offline: true}}}
notify: [{type: webhook, url: "http://127.0.0.1:1", plaintext: true, private: true, keys: ["file:hook.key"]}]
offline_grants: {keepers: [{name: olga, key: %q}, {name: otto, key: %q}]}
`, verifier, keys["olga"], keys["otto"]))
	file := func(name, text string) string {
		t.Helper()
		name = filepath.Join(b.dir, name)
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		return name
	}
	command := func(args ...string) (int, string, string) {
		return sallyport(t, "", append([]string{"admin", "offline-grant"}, append(args, "-c", b.file)...)...)
	}
	key := filepath.Join(b.dir, "dora.public")
	code, _, errs := command("create", "dora", "shop", "--key", key)
	require.Equal(t, exitUsage, code, errs)
	code, _, errs = command("create", "dora", "vm1", "--key", key, "--reason", "drill")
	require.Equal(t, exitPolicy, code, errs)
	code, _, errs = command("create", "dora", "shop", "--key", key, "--reason", "drill", "--for", "2h")
	require.Equal(t, exitUsage, code, errs)
	code, text, errs := command("create", "dora", "shop", "--key", key, "--reason", "drill", "--for", "30m")
	require.Equal(t, exitOK, code, errs)
	grant := file("dora.grant", text)
	code, text, errs = command("begin", grant, "--reason", "production is down")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, errs, "dora and 2 of olga, otto sign this:\n\n  ssh-keygen -Y sign -n sallyport-break-glass")
	statement := file("use.txt", text)
	for _, who := range []string{"dora", "olga", "otto"} {
		out, code := inShell(t, fmt.Sprintf("ssh-keygen -Y sign -n sallyport-break-glass -f %s %s && mv %s.sig %s", filepath.Join(b.dir, who), statement, statement, filepath.Join(b.dir, who+".sig")))
		require.Zero(t, code, out)
	}
	sig := func(who string) string { return filepath.Join(b.dir, who+".sig") }
	code, _, errs = command("use", grant, statement)
	require.Equal(t, exitUsage, code, errs)
	code, _, errs = command("use", grant, statement, sig("dora"), sig("olga"))
	require.Equal(t, exitPolicy, code, errs)
	code, text, errs = command("use", grant, statement, sig("dora"), sig("olga"), sig("otto"))
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, errs, "you have access without an approval until")
	m := regexp.MustCompile(`user +(\S+)\npassword +(\S+)\n`).FindStringSubmatch(text)
	require.NotNil(t, m, text)
	host, port, _ := strings.Cut(b.pg, ":")
	out, status := inShell(t, fmt.Sprintf("PGPASSWORD=%s psql -X -A -t -c 'SELECT text FROM notes' 'host=%s port=%s user=%s sslmode=require'", m[2], host, port, m[1]))
	require.Zero(t, status, out)
	require.Equal(t, "hello\n", out)
	code, _, errs = command("use", grant, statement, sig("dora"), sig("olga"), sig("otto"))
	require.Equal(t, exitPolicy, code, errs)
	require.Contains(t, errs, "the next one is 2")
	code, text, errs = sallyport(t, "", "verify", filepath.Join(b.dir, "data", "audit"))
	require.Equal(t, exitOK, code, text+errs)
}
