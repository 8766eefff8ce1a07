package control_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// desk is a gateway with a session, and its control API.
type desk struct {
	handler *control.Handler
	session *proxy.Session
	dir     string
}

// openDesk lets everybody who gives a name in X-User do what may names, or
// everything for "root".
func openDesk(t *testing.T, may ...control.Permission) *desk {
	t.Helper()
	d := &desk{dir: t.TempDir()}
	l, err := audit.Open(d.dir, audit.Config{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	g := &proxy.Gateway{}
	d.session, err = proxytest.Open(g, l)
	require.NoError(t, err)
	t.Cleanup(func() {
		d.session.Close(nil)
		require.NoError(t, l.Close())
	})
	d.handler = &control.Handler{
		Gateway: g, Records: l, Log: slog.New(slog.DiscardHandler),
		Authenticate: func(r *http.Request) (*proxy.Identity, error) {
			if name := r.Header.Get("X-User"); name != "" {
				id := &proxy.Identity{Subject: name, Method: proxy.MethodPeer}
				if r.Header.Get("X-Agent") != "" {
					id.Kind, id.OnBehalfOf = proxy.Agent, "alice"
				}
				return id, nil
			}
			return nil, proxy.ErrUnauthenticated
		},
		Permit: func(who *proxy.Identity, p control.Permission) bool {
			if who.Subject == "root" {
				return true
			}
			for _, have := range may {
				if p == have {
					return true
				}
			}
			return false
		},
	}
	return d
}

// reviews has operations held and access asked for.
func (d *desk) reviews(t *testing.T) {
	t.Helper()
	d.handler.Requests = &review.Desk{Store: store.NewMemory(), Note: d.handler.Gateway.Note}
	require.NoError(t, d.handler.Requests.Load(t.Context()))
}

func (d *desk) do(user, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if user != "" {
		r.Header.Set("X-User", user)
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

// own are the events of the gateway's own record.
func (d *desk) own(t *testing.T) []*audit.Event {
	t.Helper()
	a, err := audit.OpenArchive(d.dir)
	require.NoError(t, err)
	ids, err := a.Sessions()
	require.NoError(t, err)
	for _, id := range ids {
		var list []*audit.Event
		for e, err := range a.Events(id) {
			if errors.Is(err, audit.ErrErased) {
				break // a session that the test erased
			}
			require.NoError(t, err)
			list = append(list, e)
		}
		if len(list) > 0 && list[0].Type == audit.GatewayStart {
			return list[1:]
		}
	}
	return nil
}

func code(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var f struct{ Error control.Error }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &f), w.Body)
	return f.Error.Code
}

func TestSessions(t *testing.T) {
	d := openDesk(t)
	w := d.do("root", "GET", "/v1/sessions", "")
	require.Equal(t, http.StatusOK, w.Code)
	var list control.Sessions
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &list))
	require.Len(t, list.Sessions, 1)
	s := list.Sessions[0]
	require.Equal(t, []string{d.session.ID, "alice", "shop", "test"}, []string{s.ID, s.User, s.Resource, s.Protocol})
	require.Equal(t, uint64(1), s.Operations)
	require.Equal(t, http.StatusOK, d.do("root", "GET", "/v1/sessions/"+s.ID, "").Code)
}

func TestKillSession(t *testing.T) {
	d := openDesk(t)
	path := "/v1/sessions/" + d.session.ID + "/kill"
	w := d.do("root", "POST", path, `{"reason": "it is not hers"}`)
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	require.EqualError(t, d.session.Err(), "an administrator ended the session: it is not hers")
	own := d.own(t)
	require.Len(t, own, 1)
	require.Equal(t, []string{audit.AdminKill, "root", "peer", d.session.ID, "it is not hers"},
		[]string{own[0].Type, own[0].User, own[0].Method, own[0].Session, own[0].Reason})
}

func TestBadRequests(t *testing.T) {
	d := openDesk(t)
	kill := "/v1/sessions/" + d.session.ID + "/kill"
	for _, c := range []struct {
		name, user, method, path, body string
		status                         int
		code                           string
	}{
		{"nobody", "", "GET", "/v1/sessions", "", 401, "unauthenticated"},
		{"not permitted", "eve", "GET", "/v1/sessions", "", 403, "forbidden"},
		{"another address", "root", "GET", "/v2/sessions", "", 404, "not-found"},
		{"another session", "root", "POST", "/v1/sessions/00000000000000000000000000/kill", `{"reason":"x"}`, 404, "not-found"},
		{"no reason", "root", "POST", kill, `{"reason":" "}`, 400, "bad-request"},
		{"long reason", "root", "POST", kill, `{"reason":"` + strings.Repeat("x", 1001) + `"}`, 400, "bad-request"},
		{"no JSON", "root", "POST", kill, `reason`, 400, "bad-request"},
		{"unknown key", "root", "POST", kill, `{"reason":"x","now":true}`, 400, "bad-request"},
		{"two values", "root", "POST", kill, `{"reason":"x"} {}`, 400, "bad-request"},
		{"too long", "root", "POST", kill, `{"reason":"` + strings.Repeat("x", 70<<10) + `"}`, 400, "bad-request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := d.do(c.user, c.method, c.path, c.body)
			require.Equal(t, c.status, w.Code, w.Body)
			require.Equal(t, c.code, code(t, w))
		})
	}
	r := httptest.NewRequest("POST", kill, strings.NewReader(`{"reason":"x"}`))
	r.Header.Set("X-User", "root")
	r.Header.Set("Content-Type", "text/plain") // what a form of another site can send
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	require.Equal(t, 400, w.Code)
	require.NoError(t, d.session.Err(), "nothing of this ended it")
}

// TestAgentsAdministerNothing: an agent is refused whatever its human may do, and that is on record.
func TestAgentsAdministerNothing(t *testing.T) {
	d := openDesk(t)
	kill := "/v1/sessions/" + d.session.ID + "/kill"
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/v1/sessions", ""},
		{"GET", "/v1/requests", ""},
		{"POST", kill, `{"reason":"x"}`},
		{"POST", "/v1/requests/x/approve", `{"user":"root"}`},
		{"POST", "/v1/detokenised", `{"user":"root"}`},
		{"GET", "/v1/sessions/" + d.session.ID + "/watch", ""},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-User", "root")
		r.Header.Set("X-Agent", "yes")
		w := httptest.NewRecorder()
		d.handler.ServeHTTP(w, r)
		require.Equal(t, 403, w.Code, c.path)
	}
	require.NoError(t, d.session.Err())
	own := d.own(t)
	require.Len(t, own, 6)
	for _, e := range own {
		require.Equal(t, []string{audit.AdminRefused, "root", "agent", "alice"}, []string{e.Type, e.User, e.Identity, e.For})
	}
}

// A handler that was not set up lets nobody in.
func TestZeroHandler(t *testing.T) {
	d := openDesk(t)
	d.handler.Permit = nil
	require.Equal(t, 403, d.do("root", "GET", "/v1/sessions", "").Code)
	d.handler.Authenticate = nil
	require.Equal(t, 401, d.do("root", "GET", "/v1/sessions", "").Code)
	d.handler = &control.Handler{}
	require.Equal(t, 401, d.do("root", "GET", "/v1/sessions", "").Code)
}

// Who may list and end sessions may not see what they see.
func TestAttack71Watch(t *testing.T) {
	d := openDesk(t, control.List, control.Kill)
	watch := "/v1/sessions/" + d.session.ID + "/watch"
	require.Equal(t, 403, d.do("eve", "GET", watch, "").Code)
	require.Equal(t, 401, d.do("", "GET", watch, "").Code)
	var own []*audit.Event
	require.Eventually(t, func() bool {
		own = d.own(t)
		return len(own) == 2
	}, 10*time.Second, 10*time.Millisecond, "refusals are on record")
	require.Equal(t, []string{audit.AdminRefused, audit.AdminWatch, "eve", d.session.ID}, []string{own[0].Type, own[0].Action, own[0].User, own[0].Session})
	require.Equal(t, "gateway.login-failed", own[1].Type)
	require.Contains(t, own[1].Error, audit.AdminWatch)
	for _, id := range []string{"..%2f..%2f..%2fetc%2fpasswd", "*", strings.Repeat("%2e", 26), "%00", strings.Repeat("a", 200)} {
		require.Equal(t, 404, d.do("root", "GET", "/v1/sessions/"+id+"/watch", "").Code, id)
	}
}

// A watcher sees the record from its beginning and as it is written, and the
// session goes on when the watcher does not read.
func TestWatch(t *testing.T) {
	d := openDesk(t)
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := control.Listen(socket)
	require.NoError(t, err)
	st, err := os.Stat(socket)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode().Perm())
	d.handler.Authenticate = control.PeerIdentity
	me := control.Self()
	d.handler.Permit = func(who *proxy.Identity, _ control.Permission) bool { return who.Subject == me }
	srv := &http.Server{Handler: d.handler, ConnContext: control.PeerContext}
	go srv.Serve(ln)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) }}}
	defer client.CloseIdleConnections()

	resp, err := client.Get("http://gateway/v1/sessions/" + d.session.ID + "/watch")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	lines := bufio.NewReader(resp.Body)
	next := func() *audit.Event {
		line, err := lines.ReadBytes('\n')
		require.NoError(t, err)
		e := &audit.Event{}
		require.NoError(t, json.Unmarshal(line, e))
		return e
	}
	require.Equal(t, audit.SessionStart, next().Type)
	require.Equal(t, audit.OperationStart, next().Type)
	require.Equal(t, audit.OperationEnd, next().Type)
	op := proxytest.Statement("SELECT 'now'", proxy.EffectRead)
	require.False(t, d.session.Ask(t.Context(), op).Refuses())
	require.Equal(t, "SELECT 'now'", next().Text)
	d.session.Done(op, &proxy.Outcome{Rows: 1})
	require.Equal(t, uint64(1), next().Rows)
	begun := time.Now()
	for range 2000 { // nobody reads now
		op := proxytest.Statement(strings.Repeat("x", 1000), proxy.EffectRead)
		d.session.Ask(t.Context(), op)
		d.session.Done(op, &proxy.Outcome{})
	}
	require.Less(t, time.Since(begun), 10*time.Second)
	d.session.Close(nil)
	rest, err := io.ReadAll(lines)
	require.NoError(t, err)
	require.Equal(t, 4001, strings.Count(string(rest), "\n"))
	require.Contains(t, string(rest), audit.SessionEnd)
}

// What is in the way of a socket is not removed, unless it is one.
func TestListen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := control.Listen(file)
	require.ErrorContains(t, err, "not a socket")
	socket := filepath.Join(dir, "s")
	for range 2 { // the second time one is left by the first
		ln, err := control.Listen(socket)
		require.NoError(t, err)
		ln.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false)
		require.NoError(t, ln.Close())
	}
}

// One user of the machine cannot use up the gateway's descriptors, and connections
// that end make room.
func TestListenBoundsUsers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only here it is known who is at the other end")
	}
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := control.Listen(socket)
	require.NoError(t, err)
	server := &http.Server{Handler: &control.Handler{}, ConnContext: control.PeerContext}
	defer server.Close()
	go server.Serve(ln)
	open := func() net.Conn {
		c, err := net.Dial("unix", socket)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	// answers tells whether a connection is served.
	answers := func(c net.Conn) bool {
		_, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		if err != nil {
			return false
		}
		require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
		_, err = io.ReadFull(c, make([]byte, 8))
		return err == nil
	}
	var first []net.Conn
	for range 64 {
		first = append(first, open())
	}
	require.True(t, answers(first[63]))
	require.False(t, answers(open()), "one too many")
	for _, c := range first[:8] {
		require.NoError(t, c.Close())
	}
	require.Eventually(t, func() bool { return answers(open()) }, 20*time.Second, 20*time.Millisecond)
}
