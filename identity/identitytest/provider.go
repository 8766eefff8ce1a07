package identitytest

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"testing"

	"github.com/sallyport/sallyport/internal/devtool"
)

// Provider is an OpenID provider that runs for a test. Its users are alice and bob; its
// clients web and device, with the secret "secret", and native without one.
type Provider struct {
	Issuer string
	stop   func()
}

// StartProvider starts a provider that sends browsers back to redirect. It is a program
// of this repository, in tools/oidcdev, which is built when it has changed. Where its
// sources or their modules cannot be had, the test is skipped.
func StartProvider(t testing.TB, redirect string) *Provider {
	t.Helper()
	issuer, stop := devtool.Start(t, devtool.Build(t, "oidcdev"), "-redirect", redirect)
	return &Provider{issuer, stop}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (p *Provider) do(t testing.TB, method, path string, q url.Values) string {
	t.Helper()
	r, err := http.NewRequest(method, p.Issuer+path+"?"+q.Encode(), nil)
	must(t, err)
	resp, err := http.DefaultClient.Do(r)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", path, resp.Status, b)
	}
	return string(b)
}

// Stop ends the provider: nothing answers at its address any more.
func (p *Provider) Stop() { p.stop() }

// Groups gives a user these groups.
func (p *Provider) Groups(t testing.TB, user string, groups ...string) {
	t.Helper()
	p.do(t, http.MethodPost, "/dev/groups", url.Values{"user": {user}, "group": groups})
}

// Gone removes a user.
func (p *Provider) Gone(t testing.TB, user string) {
	t.Helper()
	p.do(t, http.MethodPost, "/dev/gone", url.Values{"user": {user}})
}

// Rotate has the provider sign with another key; the one before is withdrawn.
func (p *Provider) Rotate(t testing.TB) {
	t.Helper()
	p.do(t, http.MethodPost, "/dev/rotate", nil)
}

// Approve has the user let a device in; Deny refuses it.
func (p *Provider) Approve(t testing.TB, user, code string) {
	t.Helper()
	p.do(t, http.MethodPost, "/dev/approve", url.Values{"user": {user}, "code": {code}})
}

// Deny refuses a device.
func (p *Provider) Deny(t testing.TB, code string) {
	t.Helper()
	p.do(t, http.MethodPost, "/dev/approve", url.Values{"deny": {"1"}, "code": {code}})
}

// LogoutToken returns a token by which the provider ends a user's sessions at a client.
func (p *Provider) LogoutToken(t testing.TB, user, client string) string {
	t.Helper()
	return p.do(t, http.MethodGet, "/dev/logout-token", url.Values{"user": {user}, "client": {client}})
}

var formID = regexp.MustCompile(`name="id" value="([^"]+)"`)

// LogIn does what somebody with a browser does: it goes to at, types name and
// password, and follows until the browser is sent to a place outside of the provider,
// which it returns.
func (p *Provider) LogIn(t testing.TB, at, user string) *url.URL {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	home, err := url.Parse(p.Issuer)
	must(t, err)
	var out *url.URL
	client := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host != home.Host {
			out = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	resp, err := client.Get(at)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	if out != nil { // an error is sent back at once
		return out
	}
	id := formID.FindSubmatch(b)
	if id == nil {
		t.Fatalf("the provider shows no login form: %s: %s", resp.Status, b)
	}
	done, err := client.PostForm(p.Issuer+"/login/username", url.Values{"id": {string(id[1])}, "username": {user}, "password": {"password"}})
	must(t, err)
	defer done.Body.Close()
	if out == nil {
		b, err = io.ReadAll(done.Body)
		must(t, err)
		t.Fatalf("the provider does not send the browser back: %s: %s", done.Status, b)
	}
	return out
}
