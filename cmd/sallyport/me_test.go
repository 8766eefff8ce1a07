package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/proxy"
)

// typist types lines when they are asked for.
type typist struct {
	then func() string
	text *strings.Reader
}

func (y *typist) Read(b []byte) (int, error) {
	if y.text == nil {
		y.text = strings.NewReader(y.then())
	}
	return y.text.Read(b)
}

// TestMe: a local user changes her password, sets a second factor up, logs in and proves herself by
// it, and takes it away; none of it is left on the machine.
func TestMe(t *testing.T) {
	r := openRemote(t)
	ahead := time.Duration(0)
	r.codes.Now = func() time.Time { return time.Now().Add(ahead) }
	r.as(t, "bob")
	dir := profileDir(t)
	const chosen = "correct horse battery"

	require.Regexp(t, `(?s)password +as the gateway's operator gave it.*app +not set up`, must(t, "me", "factors"))
	code, _, errs := sallyport(t, "bob\nshort\n", "me", "password")
	require.Equal(t, exitUsage, code, errs)
	code, _, errs = sallyport(t, "wrong\n"+chosen+"\n", "me", "password")
	require.Equal(t, exitError, code, errs)
	require.Contains(t, errs, "not correct")
	old, file := filepath.Join(t.TempDir(), "old"), filepath.Join(t.TempDir(), "new")
	require.NoError(t, os.WriteFile(old, []byte("bob\n"), 0o600))
	require.NoError(t, os.WriteFile(file, []byte(chosen+"\r\n"), 0o600))
	require.Contains(t, must(t, "me", "password", "--password-file", old, "--new-password-file", file), "the password is changed")
	require.Contains(t, must(t, "me", "factors"), "chosen at")

	// The app is told on standard error, and its code asked for.
	var out bytes.Buffer
	told := &said{}
	var app *identitytest.App
	code = run(t.Context(), &cli{io.MultiReader(strings.NewReader(chosen+"\n"), &typist{then: func() string {
		address := regexp.MustCompile(`otpauth://\S+`).FindString(told.String())
		app = identitytest.NewApp(t, address)
		require.Contains(t, address, "gw.example.com")
		code := app.Code(time.Now())
		return code[:3] + " " + code[3:] + "\n"
	}}), &out, told}, []string{"me", "totp", "add"})
	require.Equal(t, exitOK, code, told)
	recovery := regexp.MustCompile(`(?m)^  ([a-z2-7]{4}(?:-[a-z2-7]{4}){3})$`).FindAllStringSubmatch(out.String(), -1)
	require.Len(t, recovery, 10)
	next := func() string {
		ahead += time.Minute
		return app.Code(time.Now().Add(ahead))
	}
	require.Contains(t, must(t, "me", "factors"), "10 recovery codes left")
	code, _, errs = sallyport(t, chosen+"\n", "me", "totp", "add")
	require.Equal(t, exitError, code, errs)

	// Logging in, with the code asked for after a first try, at once, and from a file.
	must(t, "logout")
	for _, c := range []struct {
		in   string
		args []string
		want int
	}{
		{chosen + "\n", nil, exitNotLoggedIn},
		{chosen + "\n000000\n", nil, exitNotLoggedIn},
		{chosen + "\n" + next() + "\n", nil, exitOK},
		{chosen + "\n" + recovery[0][1] + "\n", nil, exitOK},
		{chosen + "\n" + recovery[0][1] + "\n", nil, exitNotLoggedIn},
		{recovery[1][1] + "\n", []string{"--password-file", file, "--code-file", "-"}, exitOK},
	} {
		code, _, errs := sallyport(t, c.in, append([]string{"login", r.URL, "--user", "bob"}, c.args...)...)
		require.Equal(t, c.want, code, errs)
	}

	// Proving herself again has the certificate say so.
	certificate := func() []byte {
		b, err := os.ReadFile(filepath.Join(dir, tlsCert))
		require.NoError(t, err)
		return b
	}
	before := certificate()
	code, _, errs = sallyport(t, "000000\n", "login", "--step-up")
	require.Equal(t, exitError, code, errs)
	require.Equal(t, before, certificate())
	code, _, errs = sallyport(t, next()+"\n", "login", "--step-up")
	require.Equal(t, exitOK, code, errs)
	require.NotEqual(t, before, certificate())
	code, _, errs = sallyport(t, "", "login", r.URL, "--step-up")
	require.Equal(t, exitUsage, code, errs)

	code, more, errs := sallyport(t, chosen+"\n"+next()+"\n", "me", "recovery-codes")
	require.Equal(t, exitOK, code, errs)
	left := strings.Fields(more)
	require.Len(t, left, 10)
	code, _, errs = sallyport(t, chosen+"\n"+recovery[2][1]+"\n", "me", "totp", "remove")
	require.Equal(t, exitError, code, errs)
	code, _, errs = sallyport(t, chosen+"\n"+left[0]+"\n", "me", "totp", "remove")
	require.Equal(t, exitOK, code, errs)
	code, _, errs = sallyport(t, chosen+"\n", "login", r.URL, "--user", "bob")
	require.Equal(t, exitOK, code, errs)

	// A lost one is taken away by an administrator.
	_, err := r.codes.Enroll(t.Context(), "bob", "bob")
	require.NoError(t, err)
	r.as(t, "ada", "--profile", "admin")
	require.Equal(t, "bob is without a second factor: 1 factor taken away, 4 sessions ended\n", must(t, "admin", "users", "reset-factors", "bob", "--reason", "lost her phone", "--profile", "admin"))

	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range list {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		require.NoError(t, err)
		for _, secret := range append([]string{chosen}, left...) {
			require.NotContains(t, string(b), secret, f.Name())
		}
	}
}

// TestStepUpAtProvider: somebody who logs in at a provider proves herself again there.
func TestStepUpAtProvider(t *testing.T) {
	r := openRemote(t)
	login := func(who string, args ...string) (code int, errs *said) {
		errs, wait := background(t, append([]string{"login", "--no-browser"}, args...)...)
		at := errs.find(t, `(?m)^  (https://\S+)$`)
		if len(args) == 1 {
			require.Contains(t, at, client.Recently[1:])
		}
		r.browse(t, who, at, errs.find(t, `code ([0-9A-F]{4}-[0-9A-F]{4})`))
		code, _ = wait()
		return code, errs
	}
	code, errs := login("alice", r.URL, "--fingerprint", r.fingerprint(t))
	require.Equal(t, exitOK, code, errs)
	code, _, text := sallyport(t, "", "me", "password")
	require.Equal(t, exitNotFound, code, text)
	first, err := openProfile("")
	require.NoError(t, err)
	code, errs = login("alice", "--step-up")
	require.Equal(t, exitOK, code, errs)
	second, err := openProfile("")
	require.NoError(t, err)
	require.NotEqual(t, first.Token, second.Token)
	id, err := r.portal.Sessions.Find(t.Context(), proxy.NewSecret(second.Token))
	require.NoError(t, err)
	require.Equal(t, "dev/alice", id.Subject)
	require.NotEmpty(t, id.Claims[identity.ClaimIssuer])
	code, errs = login("bob", "--step-up")
	require.Equal(t, exitError, code, errs)
	third, err := openProfile("")
	require.NoError(t, err)
	require.Equal(t, second.Token, third.Token, "another's login is not taken")
}
