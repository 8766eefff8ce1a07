package control_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// TestCookieLogin: a page of the gateway's own has a browser keep the session, which no page of another site can do, and no script read.
func TestCookieLogin(t *testing.T) {
	s := openSite(t)
	body := control.Password{User: "bob", Password: "bob", Cookie: true}
	status, text := s.do(t, "", "POST", "/v1/login", body)
	require.Equal(t, http.StatusBadRequest, status, "there are no pages: %s", text)
	s.portal.Browsers = true
	for _, from := range [][]string{
		{"Origin", "https://evil.example.com"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
	} {
		status, text = s.ask(t, s.server.Client(), "", "POST", "/v1/login", body, from...)
		require.Equal(t, http.StatusForbidden, status, "%v: %s", from, text)
	}
	status, _ = s.ask(t, s.server.Client(), "", "POST", "/v1/login", body, "Content-Type", "text/plain")
	require.Equal(t, http.StatusBadRequest, status, "what a form can send")

	login := func(password string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), "POST", s.server.URL+"/v1/login", strings.NewReader(`{"user":"bob","password":"`+password+`","cookie":true}`))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		resp, err := s.server.Client().Do(r)
		require.NoError(t, err)
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	require.Empty(t, login("wrong").Cookies())
	resp := login("bob")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	var answer map[string]any
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.NotContains(t, answer, "token", "scripts do not see it")
	require.Equal(t, "bob", answer["subject"])
	require.Len(t, resp.Cookies(), 1)
	c := resp.Cookies()[0]
	require.True(t, c.Secure && c.HttpOnly && c.SameSite == http.SameSiteLaxMode && c.Path == "/" && c.Domain == "" && c.MaxAge > 0 && c.Name == "__Host-session", "%v", c)
	cookie := c.Name + "=" + c.Value
	status, text = s.ask(t, s.server.Client(), "", "GET", "/v1/whoami", nil, "Cookie", cookie, "Sec-Fetch-Site", "same-origin")
	require.Equal(t, http.StatusOK, status, text)
	status, text = s.ask(t, s.server.Client(), "", "POST", "/v1/logout", nil, "Cookie", cookie, "Sec-Fetch-Site", "same-origin")
	require.Equal(t, http.StatusOK, status, text)
	status, _ = s.ask(t, s.server.Client(), "", "GET", "/v1/whoami", nil, "Cookie", cookie)
	require.Equal(t, http.StatusUnauthorized, status)
}

// stream is what a follower of the lists is told.
type stream struct {
	t      *testing.T
	lines  *bufio.Scanner
	cancel func()
}

func (s *site) follow(t *testing.T, token string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", s.server.URL+"/v1/live", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := s.server.Client().Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	return &stream{t, bufio.NewScanner(resp.Body), cancel}
}

// next returns the next event; an empty one at the end.
func (s *stream) next() (name, data string) {
	for s.lines.Scan() {
		line := s.lines.Text()
		if v, ok := strings.CutPrefix(line, "event: "); ok {
			name = v
		}
		if v, ok := strings.CutPrefix(line, "data: "); ok {
			data = v
		}
		if line == "" && name != "" {
			return name, data
		}
	}
	return "", ""
}

// event reads an event that has to come next.
func event[T any](s *stream, want string) (v T) {
	s.t.Helper()
	name, data := s.next()
	require.Equal(s.t, want, name, data)
	require.NoError(s.t, json.Unmarshal([]byte(data), &v), data)
	return v
}

// begins reads what a stream begins with.
func (s *stream) begins() (sessions control.LiveSessions, requests control.LiveRequests) {
	s.t.Helper()
	require.WithinDuration(s.t, time.Now(), event[control.LiveHello](s, "hello").Now, time.Minute)
	sessions, requests = event[control.LiveSessions](s, "sessions"), event[control.LiveRequests](s, "requests")
	require.True(s.t, sessions.All && requests.All)
	return sessions, requests
}

// TestLive: who follows the lists sees what she may see of them, as it changes.
func TestLive(t *testing.T) {
	s := openSite(t)
	status, text := s.do(t, "", "GET", "/v1/live", nil)
	require.Equal(t, http.StatusUnauthorized, status, text)
	s.reviews(t)
	bob, secret := s.login(t, "bob"), s.login(t, "eve")
	eve, olga, ada := s.follow(t, secret), s.follow(t, s.login(t, "olga")), s.follow(t, s.login(t, "ada"))
	for _, f := range []*stream{eve, olga} {
		sessions, requests := f.begins()
		require.Empty(t, sessions.Set, "others' sessions")
		require.Empty(t, requests.Set)
	}
	sessions, _ := ada.begins()
	require.Len(t, sessions.Set, 1, "with the permission, all")

	_, cert, _ := s.certify(t, bob)
	live, err := s.open(t, "bob", cert)
	require.NoError(t, err)
	set := event[control.LiveSessions](ada, "sessions")
	require.False(t, set.All)
	require.Len(t, set.Set, 1)
	require.Equal(t, live.ID, set.Set[0].ID)
	own := s.follow(t, bob)
	sessions, _ = own.begins()
	require.Len(t, sessions.Set, 1, "her own")

	long := strings.Repeat("ü", 5000)
	held, err := s.handler.Requests.Request(context.Background(), live, proxytest.Statement("DELETE FROM "+long, proxy.EffectDelete), &proxy.Hold{
		Rules: []string{"big"}, Message: "x", Approvers: [][]string{{"ops"}}, For: time.Minute,
	})
	require.NoError(t, err)
	asked := event[control.LiveRequests](olga, "requests")
	require.Len(t, asked.Set, 1, "who may decide sees it")
	require.Equal(t, held.ID, asked.Set[0].ID)
	require.True(t, asked.Set[0].Cut, "what is longer than a list shows says so")
	require.Less(t, len(asked.Set[0].Text), 5000)
	require.NotEmpty(t, asked.Set[0].Hash)
	_, err = s.handler.Requests.Cancel(t.Context(), held.ID, live.Identity)
	require.NoError(t, err)
	require.Equal(t, []string{held.ID}, event[control.LiveRequests](olga, "requests").Gone)

	live.Close(nil)
	for {
		if gone := event[control.LiveSessions](own, "sessions").Gone; len(gone) > 0 {
			require.Equal(t, []string{live.ID}, gone)
			break
		}
	}
	status, text = s.do(t, secret, "POST", "/v1/logout", nil)
	require.Equal(t, http.StatusOK, status, text)
	event[control.LiveEnd](eve, "end") // and of nothing before, which would not be hers
}

// TestLiveEnds: who is logged out or disabled sees nothing a second later, and looking does not keep a session.
func TestLiveEnds(t *testing.T) {
	s := openSite(t)
	ada := s.login(t, "ada")
	for _, end := range []func(token string) (int, string){
		func(token string) (int, string) { return s.do(t, token, "POST", "/v1/logout", nil) },
		func(string) (int, string) {
			return s.do(t, ada, "POST", "/v1/user/disable", control.UserRequest{Subject: "bob", Reason: "left"})
		},
	} {
		token := s.login(t, "bob")
		f := s.follow(t, token)
		f.begins()
		status, text := end(token)
		require.Equal(t, http.StatusOK, status, text)
		begun := time.Now()
		require.NotEmpty(t, event[control.LiveEnd](f, "end").Message)
		require.Less(t, time.Since(begun), 3*time.Second)
		last, _ := f.next()
		require.Empty(t, last)
	}
}

// TestLiveBound: nobody uses up the places of those who follow the lists.
func TestLiveBound(t *testing.T) {
	s := openSite(t)
	token := s.login(t, "bob")
	for range 32 {
		s.follow(t, token)
	}
	status, text := s.do(t, token, "GET", "/v1/live", nil)
	require.Equal(t, http.StatusTooManyRequests, status, text)
	s.follow(t, s.login(t, "olga"))
}

// TestLiveLasts: a stream lasts longer than a request may take to be read.
func TestLiveLasts(t *testing.T) {
	s := openSite(t)
	short := httptest.NewUnstartedServer(s.handler)
	short.Config.ReadTimeout = 100 * time.Millisecond
	short.StartTLS()
	t.Cleanup(short.Close)
	s.server.URL, s.server.Config = short.URL, short.Config
	bob := s.login(t, "bob")
	f := s.follow(t, bob)
	f.begins()
	_, cert, _ := s.certify(t, bob)
	for range 2 { // of which each is seen a look later
		live, err := s.open(t, "bob", cert)
		require.NoError(t, err)
		require.Len(t, event[control.LiveSessions](f, "sessions").Set, 1)
		live.Close(nil)
		require.Equal(t, []string{live.ID}, event[control.LiveSessions](f, "sessions").Gone)
	}
}

// TestLogoutEverywhere: all logins of somebody end, and what they were given; others' and her access tokens go on.
func TestLogoutEverywhere(t *testing.T) {
	s := openSite(t)
	here, there, eve := s.login(t, "bob"), s.login(t, "bob"), s.login(t, "eve")
	_, cert, _ := s.certify(t, there)
	live, err := s.open(t, "bob", cert)
	require.NoError(t, err)
	token := answer[control.NewToken](t, s, here, "POST", "/v1/tokens", control.TokenRequest{Label: "job", Seconds: 600}).Secret
	status, text := s.do(t, token, "POST", "/v1/me/logout", nil)
	require.Equal(t, http.StatusForbidden, status, "an access token ends no login: %s", text)
	require.Equal(t, 2, answer[control.LoggedOut](t, s, here, "POST", "/v1/me/logout", nil).Sessions)
	for _, gone := range []string{here, there} {
		status, _ := s.do(t, gone, "GET", "/v1/whoami", nil)
		require.Equal(t, http.StatusUnauthorized, status)
	}
	for _, on := range []string{token, eve} {
		status, text := s.do(t, on, "GET", "/v1/whoami", nil)
		require.Equal(t, http.StatusOK, status, text)
	}
	require.Eventually(t, func() bool { return live.Context().Err() != nil }, 10*time.Second, time.Millisecond, "what was opened by it ends")
}

// failing are documents that cannot be read while they are down.
type failing struct {
	identity.Documents
	down atomic.Bool
}

func (f *failing) Get(ctx context.Context, kind, name string) (identity.Document, error) {
	if f.down.Load() {
		return identity.Document{}, errors.New("the store does not answer")
	}
	return f.Documents.Get(ctx, kind, name)
}

// TestLiveUnsure: where it cannot be told whether a login goes on, nothing more is shown, and nobody is told that it has ended.
func TestLiveUnsure(t *testing.T) {
	s := openSite(t)
	docs := &failing{Documents: s.docs}
	s.portal.Sessions = &tokens.Sessions{Documents: docs, Refresher: s.sources, Changed: s.changed}
	token := s.login(t, "bob")
	f := s.follow(t, token)
	f.begins()
	docs.down.Store(true)
	name, data := f.next()
	require.Empty(t, name, data)
	docs.down.Store(false)
	s.follow(t, token).begins()
}
