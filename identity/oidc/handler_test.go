package oidc

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/identity/loopback"
	"github.com/sallyport/sallyport/proxy"
)

// sessions are what logins were turned into.
type sessions struct {
	mu sync.Mutex
	by map[string]*proxy.Identity
	// refuse is why nobody is let in, such as because she is disabled here.
	refuse error
}

func (s *sessions) Start(_ context.Context, id *proxy.Identity) (proxy.Secret, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return proxy.Secret{}, time.Time{}, s.refuse
	}
	secret := random()
	s.by[secret] = id
	return proxy.NewSecret(secret), id.Expires, nil
}

func (s *sessions) End(_ context.Context, secret proxy.Secret) (*proxy.Identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.by[secret.Reveal()]
	delete(s.by, secret.Reveal())
	return id, nil
}

func (s *sessions) of(secret string) *proxy.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[secret]
}

// site is a gateway's pages, and a real provider.
type site struct {
	*httptest.Server
	dev      *identitytest.Provider
	sessions *sessions
	logins   *Logins
	failed   changes
	errs     chan error
	asked    asked
}

// asked counts questions of the providers' token endpoints.
type asked struct{ n atomic.Int32 }

func (a *asked) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/token") {
		a.n.Add(1)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func newSite(t *testing.T) *site {
	s := &site{sessions: &sessions{by: make(map[string]*proxy.Identity)}, errs: make(chan error, 100)}
	mux := http.NewServeMux()
	s.Server = httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	back := s.URL + "/auth/dev/callback"
	s.dev = identitytest.StartProvider(t, back)
	p := devProvider(t, s.dev, func(c *Config) { c.RedirectURL = back })
	device := devProvider(t, s.dev, func(c *Config) {
		c.Name, c.ClientID, c.Scopes = "machines", "device", []string{"profile"}
		c.Client = &http.Client{Transport: &s.asked}
	})
	s.logins = logins(t, &identity.Memory{}, &s.failed, p, device)
	mux.Handle("/auth/", http.StripPrefix("/auth", &Handler{
		Logins: s.logins, Sessions: s.sessions, Sealer: s.logins.Sealer, Failed: func(_ *http.Request, _ string, err error) { s.errs <- err },
	}))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("__Host-session")
		if err == nil && s.sessions.of(c.Value) != nil {
			_, _ = io.WriteString(w, "hello "+s.sessions.of(c.Value).Subject+" at "+r.URL.Path)
		}
	})
	return s
}

// browser is one that is at home at the gateway.
func (s *site) browser(t *testing.T) *http.Client {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &http.Client{Jar: jar, Transport: s.Client().Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func get(t *testing.T, c *http.Client, at string) *http.Response {
	resp, err := c.Get(at)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func post(t *testing.T, c *http.Client, at string, form url.Values, header ...string) *http.Response {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func body(t *testing.T, r *http.Response) string {
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

func TestHandlerBrowser(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	begun := get(t, b, s.URL+"/auth/dev/login?return=/console/sessions")
	require.Equal(t, http.StatusFound, begun.StatusCode)
	back := s.dev.LogIn(t, begun.Header.Get("Location"), "alice")

	stranger := get(t, s.browser(t), back.String())
	require.Equal(t, http.StatusForbidden, stranger.StatusCode, "the answer counts in the browser that began")
	require.NotContains(t, body(t, stranger), "browser", "no reason is told")

	done := get(t, b, back.String())
	require.Equal(t, http.StatusSeeOther, done.StatusCode)
	require.Equal(t, "/console/sessions", done.Header.Get("Location"))
	for _, c := range done.Cookies() {
		require.True(t, c.Secure && c.HttpOnly && c.Path == "/" && c.Domain == "", c.Name)
	}
	require.Equal(t, "hello dev/alice at /x", body(t, get(t, b, s.URL+"/x")))

	again := get(t, b, back.String())
	require.Equal(t, http.StatusForbidden, again.StatusCode, "it counts once")

	cross := post(t, b, s.URL+"/auth/logout", nil, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, cross.StatusCode)
	require.Equal(t, "hello dev/alice at /x", body(t, get(t, b, s.URL+"/x")))
	require.Equal(t, http.StatusNoContent, post(t, b, s.URL+"/auth/logout", nil, "Sec-Fetch-Site", "same-origin").StatusCode)
	require.Empty(t, body(t, get(t, b, s.URL+"/x")))
	require.True(t, s.failed.list[0].Ended)
}

// TestHandlerRecently: who begins says how long ago the user may have proven herself.
func TestHandlerRecently(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	begun := get(t, b, s.URL+"/auth/dev/login?return=/x&max_age=1")
	require.Equal(t, http.StatusFound, begun.StatusCode)
	at, err := url.Parse(begun.Header.Get("Location"))
	require.NoError(t, err)
	require.Equal(t, "1", at.Query().Get("max_age"), "the provider is asked to have her do so")
	done := get(t, b, s.dev.LogIn(t, at.String(), "alice").String())
	require.Equal(t, http.StatusSeeOther, done.StatusCode)
	require.Equal(t, "hello dev/alice at /x", body(t, get(t, b, s.URL+"/x")))
	for _, age := range []string{"", "0", "-1", "x", "86401", "1e3"} {
		require.Equal(t, http.StatusBadRequest, get(t, b, s.URL+"/auth/dev/login?max_age="+age).StatusCode, age)
	}
}

func TestHandlerReturns(t *testing.T) {
	for to, want := range map[string]string{
		"/console?x=1#a": "/console?x=1#a", "": "/", "//evil.example.com": "/", "https://evil.example.com": "/", "/\\evil.example.com": "/",
		"\\/evil": "/", "javascript:alert(1)": "/", "/a\r\nSet-Cookie: x": "/", "console": "/", "/\tx": "/", "///evil": "/",
	} {
		require.Equal(t, want, local(to), to)
	}
}

// TestHandlerCommandLine: a command line logs in through the browser, with the user's
// word, and nobody else redeems its code.
func TestHandlerCommandLine(t *testing.T) {
	s := newSite(t)
	begin := func(t *testing.T) (*loopback.Receiver, *http.Client, string) {
		r, err := loopback.Listen()
		require.NoError(t, err)
		t.Cleanup(r.Close)
		at, err := r.URL(s.URL + "/auth/dev/cli")
		require.NoError(t, err)
		b := s.browser(t)
		begun := get(t, b, at)
		require.Equal(t, http.StatusFound, begun.StatusCode)
		page := get(t, b, s.dev.LogIn(t, begun.Header.Get("Location"), "alice").String())
		require.Equal(t, http.StatusOK, page.StatusCode)
		text := body(t, page)
		require.Contains(t, text, Code(r.Challenge()))
		require.Contains(t, text, "alice")
		require.Contains(t, page.Header.Get("Content-Security-Policy"), "default-src 'none'")
		return r, b, text
	}
	redeem := func(t *testing.T, code, verifier string) (*http.Response, Answer) {
		resp := post(t, s.browser(t), s.URL+"/auth/token", url.Values{"code": {code}, "verifier": {verifier}})
		var a Answer
		if resp.StatusCode == http.StatusOK {
			require.NoError(t, json.NewDecoder(resp.Body).Decode(&a))
		}
		return resp, a
	}
	follow := func(t *testing.T, resp *http.Response) {
		require.Equal(t, http.StatusSeeOther, resp.StatusCode)
		home := get(t, http.DefaultClient, resp.Header.Get("Location"))
		require.Equal(t, http.StatusOK, home.StatusCode)
	}

	t.Run("yes", func(t *testing.T) {
		r, b, _ := begin(t)
		require.Equal(t, http.StatusForbidden, post(t, b, s.URL+"/auth/confirm", url.Values{"answer": {"yes"}}, "Sec-Fetch-Site", "cross-site").StatusCode)
		follow(t, post(t, b, s.URL+"/auth/confirm", url.Values{"answer": {"yes"}}, "Sec-Fetch-Site", "same-origin"))
		code, err := r.Wait(t.Context())
		require.NoError(t, err)
		resp, a := redeem(t, code, r.Verifier())
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Equal(t, "dev/alice", a.Subject)
		require.NotNil(t, s.sessions.of(a.Token))
		require.WithinDuration(t, time.Now().Add(DefaultLife), a.Expires, time.Minute)
		resp, _ = redeem(t, code, r.Verifier())
		require.Equal(t, http.StatusForbidden, resp.StatusCode, "a code counts once")
		out := post(t, s.browser(t), s.URL+"/auth/logout", nil, "Authorization", "Bearer "+a.Token)
		require.Equal(t, http.StatusNoContent, out.StatusCode)
		require.Nil(t, s.sessions.of(a.Token))
	})
	t.Run("no", func(t *testing.T) {
		r, b, _ := begin(t)
		follow(t, post(t, b, s.URL+"/auth/confirm", url.Values{"answer": {"no"}}))
		_, err := r.Wait(t.Context())
		require.ErrorContains(t, err, "refused")
	})
	t.Run("a stolen code", func(t *testing.T) {
		r, b, _ := begin(t)
		follow(t, post(t, b, s.URL+"/auth/confirm", url.Values{"answer": {"yes"}}))
		code, err := r.Wait(t.Context())
		require.NoError(t, err)
		resp, _ := redeem(t, code, "another")
		require.Equal(t, http.StatusForbidden, resp.StatusCode)
		resp, _ = redeem(t, code, r.Verifier())
		require.Equal(t, http.StatusForbidden, resp.StatusCode, "a code that was tried is spent")
	})
	t.Run("without an answer", func(t *testing.T) {
		_, _, _ = begin(t)
		soon := time.Now().Add(attemptLife + codeLife + time.Minute)
		require.NoError(t, s.logins.each(t.Context(), func(_ identity.Document, k *kept) {
			if k.Identity.Expires.After(soon) {
				require.WithinDuration(t, time.Now().Add(DefaultLife), k.Identity.Expires, time.Minute)
			}
		}))
		waiting := 0
		require.NoError(t, s.logins.each(t.Context(), func(_ identity.Document, k *kept) {
			if k.Identity.Expires.Before(soon) {
				waiting++
			}
		}))
		require.Positive(t, waiting, "it is kept for a moment only")
	})
	t.Run("nothing waits", func(t *testing.T) {
		require.Equal(t, http.StatusForbidden, post(t, s.browser(t), s.URL+"/auth/confirm", url.Values{"answer": {"yes"}}).StatusCode)
	})
	for name, q := range map[string]string{
		"a port of the system's": "port=22&state=0123456789abcdef&challenge=" + strings.Repeat("A", 43), "no challenge": "port=4000&state=0123456789abcdef",
		"a short state": "port=4000&state=x&challenge=" + strings.Repeat("A", 43), "a host": "port=evil.example.com:1&state=0123456789abcdef&challenge=" + strings.Repeat("A", 43),
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, http.StatusBadRequest, get(t, s.browser(t), s.URL+"/auth/dev/cli?"+q).StatusCode)
		})
	}
}

func TestHandlerDevice(t *testing.T) {
	s := newSite(t)
	read := func(resp *http.Response) (a Answer) {
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&a))
		return a
	}
	begun := post(t, s.browser(t), s.URL+"/auth/machines/device", nil)
	require.Equal(t, http.StatusOK, begun.StatusCode)
	a := read(begun)
	code := a.Code
	require.NotEmpty(t, code)
	require.NotContains(t, a.Device, code)
	s.dev.Approve(t, "bob", code)
	eventually(t, "the device is let in", func() bool {
		resp := post(t, s.browser(t), s.URL+"/auth/machines/device/poll", url.Values{"device": {a.Device}})
		got := read(resp)
		if resp.StatusCode == http.StatusAccepted {
			a = got
			return false
		}
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Equal(t, "machines/bob", got.Subject)
		return true
	})
	require.Equal(t, http.StatusForbidden, post(t, s.browser(t), s.URL+"/auth/machines/device/poll", url.Values{"device": {"made up"}}).StatusCode)
}

// TestHandlerAsksLittle: those who are not known cause no more questions to the provider than
// it is to get, with whatever they show again.
func TestHandlerAsksLittle(t *testing.T) {
	s := newSite(t)
	go func() {
		for range s.errs { // more than it holds
		}
	}()
	t.Cleanup(func() { close(s.errs) })
	b := s.browser(t)
	start := time.Now()
	begun, ok := 0, 0
	var a Answer
	for ; begun < 80; begun++ {
		resp := post(t, b, s.URL+"/auth/machines/device", nil)
		if resp.StatusCode == http.StatusOK {
			require.NoError(t, json.NewDecoder(resp.Body).Decode(&a))
			resp.Body.Close()
			ok++
			continue
		}
		resp.Body.Close()
		require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
		require.NotEmpty(t, resp.Header.Get("Retry-After"))
	}
	require.GreaterOrEqual(t, ok, deviceBurst)
	require.LessOrEqual(t, ok, deviceBurst+1+int(time.Since(start)/deviceEvery))
	asked := int(s.asked.n.Load())
	polls := time.Now()
	eventually(t, "the provider is asked", func() bool {
		resp := post(t, b, s.URL+"/auth/machines/device/poll", url.Values{"device": {a.Device}})
		resp.Body.Close()
		require.Equal(t, http.StatusAccepted, resp.StatusCode)
		return int(s.asked.n.Load()) > asked
	})
	for range 50 {
		resp := post(t, b, s.URL+"/auth/machines/device/poll", url.Values{"device": {a.Device}})
		resp.Body.Close()
		require.Equal(t, http.StatusAccepted, resp.StatusCode)
	}
	require.LessOrEqual(t, int(s.asked.n.Load())-asked, 1+int(time.Since(polls)/time.Second))
	login := get(t, b, s.URL+"/auth/dev/login")
	at, err := url.Parse(login.Header.Get("Location"))
	require.NoError(t, err)
	refused := 0
	for range answerBurst + 100 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/auth/dev/callback?code=made-up&state="+url.QueryEscape(at.Query().Get("state")), nil)
		require.NoError(t, err)
		for _, c := range login.Cookies() {
			r.AddCookie(c)
		}
		resp, err := s.Client().Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		if resp.StatusCode == http.StatusTooManyRequests {
			refused++
			break
		}
		require.Equal(t, http.StatusForbidden, resp.StatusCode)
	}
	require.Positive(t, refused)
}

func TestQuestions(t *testing.T) {
	var q questions
	now := time.Now()
	n := 0
	for q.device("a", now) {
		n++
	}
	require.Equal(t, deviceBurst, n)
	require.True(t, q.device("b", now), "another provider")
	require.True(t, q.device("a", now.Add(deviceEvery)))
	require.False(t, q.device("a", now.Add(deviceEvery)))
	d := func(code string) *Device {
		return &Device{state: deviceState{Code: code, Interval: 5 * time.Second, Next: now}}
	}
	require.True(t, q.poll(d("x"), now))
	again := d("x")
	require.False(t, q.poll(again, now.Add(4*time.Second)))
	require.Equal(t, now.Add(5*time.Second), again.state.Next)
	require.True(t, q.poll(d("x"), now.Add(5*time.Second)))
	for i := range 3 * manyPolls {
		require.True(t, q.poll(d(strconv.Itoa(i)), now))
	}
	require.LessOrEqual(t, len(q.polls), 2*manyPolls)
}

// TestHandlerRefused: of who is let in by the provider and not here no login stays, in
// whatever way she comes.
func TestHandlerRefused(t *testing.T) {
	s := newSite(t)
	s.sessions.refuse = proxy.ErrUnauthenticated
	kept := func() (n int) {
		require.NoError(t, s.logins.each(t.Context(), func(identity.Document, *kept) { n++ }))
		return n
	}
	t.Run("a browser", func(t *testing.T) {
		b := s.browser(t)
		begun := get(t, b, s.URL+"/auth/dev/login")
		require.Equal(t, http.StatusForbidden, get(t, b, s.dev.LogIn(t, begun.Header.Get("Location"), "alice").String()).StatusCode)
		require.Zero(t, kept())
	})
	t.Run("a command line", func(t *testing.T) {
		r, err := loopback.Listen()
		require.NoError(t, err)
		defer r.Close()
		at, err := r.URL(s.URL + "/auth/dev/cli")
		require.NoError(t, err)
		b := s.browser(t)
		get(t, b, s.dev.LogIn(t, get(t, b, at).Header.Get("Location"), "alice").String())
		require.Equal(t, 1, kept())
		get(t, http.DefaultClient, post(t, b, s.URL+"/auth/confirm", url.Values{"answer": {"yes"}}).Header.Get("Location"))
		code, err := r.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, post(t, s.browser(t), s.URL+"/auth/token", url.Values{"code": {code}, "verifier": {r.Verifier()}}).StatusCode)
		require.Zero(t, kept())
	})
	t.Run("a device", func(t *testing.T) {
		var a Answer
		require.NoError(t, json.NewDecoder(post(t, s.browser(t), s.URL+"/auth/machines/device", nil).Body).Decode(&a))
		s.dev.Approve(t, "bob", a.Code)
		eventually(t, "the device is refused", func() bool {
			resp := post(t, s.browser(t), s.URL+"/auth/machines/device/poll", url.Values{"device": {a.Device}})
			if resp.StatusCode == http.StatusAccepted {
				require.NoError(t, json.NewDecoder(resp.Body).Decode(&a))
				return false
			}
			require.Equal(t, http.StatusForbidden, resp.StatusCode)
			return true
		})
		require.Zero(t, kept())
	})
}

func TestHandlerBackChannel(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	begun := get(t, b, s.URL+"/auth/dev/login")
	get(t, b, s.dev.LogIn(t, begun.Header.Get("Location"), "alice").String())
	out := post(t, s.Client(), s.URL+"/auth/dev/backchannel", url.Values{"logout_token": {s.dev.LogoutToken(t, "alice", "web")}})
	require.Equal(t, http.StatusOK, out.StatusCode)
	require.True(t, s.failed.list[0].Ended)
	out = post(t, s.Client(), s.URL+"/auth/dev/backchannel", url.Values{"logout_token": {"x.y.z"}})
	require.Equal(t, http.StatusBadRequest, out.StatusCode)
	for _, path := range []string{"/auth/", "/auth/nobody/login", "/auth/dev/other", "/auth/dev/../../x", "/auth/token"} {
		require.Contains(t, []int{http.StatusNotFound, http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusOK}, get(t, s.browser(t), s.URL+path).StatusCode, path)
	}
}
