package web

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/duplex"
	"github.com/sallyport/sallyport/proxy"
)

// known sends a request as a client of the process's own.
func (r *rig) known(c *proxy.Client, method, target, path, body string, headers ...string) *reply {
	r.t.Helper()
	near, far := duplex.Pair(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	done := make(chan error, 1)
	go func() { done <- r.gateway.ServeClient(context.Background(), far, r.handler, c) }()
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }, DisableKeepAlives: true}
	req, err := http.NewRequest(method, "http://gateway.invalid"+path, strings.NewReader(body))
	require.NoError(r.t, err)
	if target != "" {
		req.Header.Set(TargetHeader, target)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := tr.RoundTrip(req)
	require.NoError(r.t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	res.Body.Close()
	select {
	case err := <-done:
		require.NoError(r.t, err)
	case <-time.After(30 * time.Second):
		r.t.Fatal("the connection does not end")
	}
	return &reply{res, string(text)}
}

// opened is the session that was opened last.
func (r *rig) opened() (e proxy.Event) {
	r.t.Helper()
	for {
		select {
		case e = <-r.events:
			if e.Kind == proxy.EventSessionStart {
				return e
			}
		case <-time.After(30 * time.Second):
			r.t.Fatal("no session was opened")
		}
	}
}

// TestKnown: a client of the process's own needs no TLS and no proof, says what a request is for, and is told which answers are
// the gateway's; her session is the connection's.
func TestKnown(t *testing.T) {
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set(AnswerHeader, AnswerRefused)
		echo(w, q)
	}))
	var opened, held []string
	bob := &proxy.Client{
		Identity: &proxy.Identity{Subject: "bob"}, Via: "runbook",
		Opened: func(s *proxy.Session) { opened = append(opened, s.Identity.Subject+" "+s.Via) },
		Held:   func(op proxy.Op, _ *proxy.Pending) { held = append(held, op.Info().Kind.String()) },
	}
	res := r.known(bob, "POST", Target("wiki", ""), "/a%20b?x=%2F", "text", "Authorization", "Bearer sp_alice", "Accept", "text/html")
	require.Equal(t, http.StatusOK, res.StatusCode, res.text)
	require.Contains(t, res.text, "wiki."+domain)
	require.NotContains(t, res.text, "X-Gateway-Target")
	require.NotContains(t, res.text, "sp_alice", "a token of the gateway's goes nowhere")
	require.Empty(t, res.Header.Get(AnswerHeader), "an application does not speak for the gateway")
	require.Equal(t, []string{"bob runbook"}, opened, "and the token says not who it is")
	e := r.opened()
	require.Equal(t, "wiki", e.Target.Resource.Name)
	require.Eventually(t, func() bool { return len(r.gateway.Sessions()) == 0 }, 30*time.Second, time.Millisecond, "the session ends with the connection")

	for name, c := range map[string][3]string{
		"no target":         {"", "/", "421"},
		"no such target":    {Target("nothing", ""), "/", "421"},
		"no such account":   {Target("wiki", "nobody"), "/", "403"},
		"the gateway's own": {Target("wiki", ""), "/.GATEWAY/jwks.json", "404"},
		"a bad path":        {Target("wiki", ""), "/a%2fb", "400"},
		"another method":    {Target("wiki", ""), "/ ", "400"},
	} {
		headers := []string{"Accept", "text/html"}
		if name == "another method" {
			c[1], headers = "/", []string{"X-HTTP-Method-Override", "DELETE"}
		}
		res := r.known(bob, "GET", c[0], c[1], "", headers...)
		require.True(t, strings.HasPrefix(res.Status, c[2]), "%s: %s", name, res.Status)
		require.Equal(t, AnswerRefused, res.Header.Get(AnswerHeader), name)
		require.Equal(t, "application/json", res.Header.Get("Content-Type"), name)
	}
	res = r.known(&proxy.Client{Identity: &proxy.Identity{}}, "GET", Target("wiki", ""), "/", "")
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)

	// Nobody else is heard so.
	res = r.get("/", TargetHeader, Target("other", ""))
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.NotContains(t, res.text, "X-Gateway-Target")
	for e.Identity.Method != proxy.MethodPassword { // of the access token
		e = r.opened()
	}
	require.Equal(t, "wiki", e.Target.Resource.Name)
	require.Empty(t, r.get("/.gateway/nothing").Header.Get(AnswerHeader))
	require.Empty(t, held)
}

// TestKnownUnsent: a client of the process's own is told whether an application may have got its request.
func TestKnownUnsent(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := ln.Addr().String()
	require.NoError(t, ln.Close())
	bob := &proxy.Client{Identity: &proxy.Identity{Subject: "bob"}}
	require.Equal(t, AnswerUnsent, startAt(t, closed).known(bob, "POST", Target("wiki", ""), "/", "x").Header.Get(AnswerHeader))
	r := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	require.Equal(t, AnswerAsked, r.known(bob, "POST", Target("wiki", ""), "/", "x").Header.Get(AnswerHeader))
}

// TestKnownWaits: a client of the process's own waits for an approval, and is sent on once.
func TestKnownWaits(t *testing.T) {
	r, d, ran := holding(t)
	bob := &proxy.Client{Identity: &proxy.Identity{Subject: "bob"}}
	go func() {
		<-time.After(400 * time.Millisecond) // others are told long before that they have to send it again
		d.decide <- proxy.Allow("lead")
	}()
	require.Equal(t, "done", r.known(bob, "POST", Target("wiki", ""), "/deploy", "x").text)
	require.Equal(t, []string{"POST /deploy x"}, ran())
	go func() { d.decide <- proxy.Deny(proxy.CauseDenied, "deploys", "not on a Friday", "") }()
	res := r.known(bob, "POST", Target("wiki", ""), "/deploy", "y")
	require.Equal(t, http.StatusForbidden, res.StatusCode)
	require.Contains(t, res.text, "Not on a Friday")
	require.Len(t, ran(), 1)
}
