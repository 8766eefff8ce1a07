package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/secrets"
)

// probed is what an address answers to a probe.
func probed(t *testing.T, url string) (code int, text string) {
	t.Helper()
	r, err := http.Get(url)
	require.NoError(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, strings.TrimSpace(string(b))
}

// metricsURL is where the house's numbers are.
func (h *house) metricsURL() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return "http://" + h.scraped.Addr().String()
}

func TestHealth(t *testing.T) {
	g, err := New(parse(t, config.Options{}, `{listen: {postgres: "127.0.0.1:0"}, resources: [], metrics: "127.0.0.1:0"}`), Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer g.Close()
	probe := func(h http.Handler, method, path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	type answer struct {
		code int
		text string
	}
	check := func(ready, why answer) {
		t.Helper()
		for _, method := range []string{"GET", "HEAD"} {
			code, text := probe(g.Health(), method, "/livez")
			require.Equal(t, answer{200, "ok"}, answer{code, text})
			code, text = probe(g.Health(), method, "/readyz")
			require.Equal(t, ready, answer{code, text})
			code, text = probe(g.operations(), method, "/readyz")
			require.Equal(t, why, answer{code, text})
		}
		code, _ := probe(g.Health(), "POST", "/readyz")
		require.Equal(t, http.StatusMethodNotAllowed, code)
	}
	check(answer{503, "not ready"}, answer{503, "the gateway is starting"})
	g.phase.Store(phaseReady)
	check(answer{200, "ok"}, answer{200, "ok"})
	g.phase.Store(phaseStopping)
	check(answer{503, "not ready"}, answer{503, "the gateway is stopping"})

	// A gateway that does not get on says so in time, and to all who ask by one attempt.
	g.mu.Lock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, g.Live(ctx), context.DeadlineExceeded)
	require.ErrorIs(t, g.Live(ctx), context.DeadlineExceeded)
	one, two := g.pulse.beat(nil), g.pulse.beat(nil)
	require.Equal(t, one, two)
	g.mu.Unlock()
	<-one
	require.NoError(t, g.Live(t.Context()))
}

// A gateway that is told to stop says first that it is not ready, goes on taking sessions for a while, lets sessions
// end by themselves, and has people look at what goes on until they have.
func TestShutdown(t *testing.T) {
	server, database := testserver.Database(t, "SELECT 1")
	t.Setenv("DB_PASSWORD", server.Password)
	h := open(t, t.TempDir(), `
listen: {postgres: "127.0.0.1:0"}
metrics: "127.0.0.1:0"
shutdown: {delay: 10m, drain: 10m}
identity: {users: [{name: alice, password: `+verifier(t)+`}]}
resources:
  - {name: shop, type: postgres, address: "`+server.Address()+`", database: `+database+`, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}}
access: [{users: [alice], allow: [connect, read]}]
`)
	url := h.metricsURL()
	require.Eventually(t, func() bool { code, _ := probed(t, url+"/readyz"); return code == 200 }, 30*time.Second, time.Millisecond)
	before := h.wire(t, "alice", "shop")
	stopped := make(chan error, 1)
	go func() { stopped <- h.stop() }()
	require.Eventually(t, func() bool { code, _ := probed(t, url+"/readyz"); return code == 503 }, 30*time.Second, time.Millisecond)
	code, text := probed(t, url+"/livez")
	require.Equal(t, 200, code, text)

	// Within the delay new sessions are served.
	w := h.wire(t, "alice", "shop")
	refused, open := w.query(t, "SELECT 1", nil)
	require.True(t, open)
	require.Empty(t, refused)
	w.close(t)

	h.Hurry()
	_, open = before.query(t, "SELECT 1", nil)
	require.False(t, open, "sessions end when nobody waits for them")
	require.NoError(t, <-stopped)
	require.Contains(t, h.log.String(), "it is not ready")
	_, err := http.Get(url + "/readyz")
	require.Error(t, err, "nothing answers once the gateway has ended")
}

// What can end sessions goes on while they drain.
func TestDrainIsFollowed(t *testing.T) {
	server, database := testserver.Database(t, "SELECT 1")
	t.Setenv("DB_PASSWORD", server.Password)
	dir := t.TempDir()
	text := func(users string) string {
		return `
listen: {postgres: "127.0.0.1:0"}
metrics: "127.0.0.1:0"
shutdown: {drain: 10m}
identity: {users: [{name: alice, password: ` + verifier(t) + `` + users + `}]}
resources:
  - {name: shop, type: postgres, address: "` + server.Address() + `", database: ` + database + `, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}}
access: [{users: [alice], allow: [connect, read, write]}]
`
	}
	h := open(t, dir, text(""))
	url := h.metricsURL()
	w := h.wire(t, "alice", "shop")
	_, open := w.query(t, "BEGIN", nil) // which shutdown waits for
	require.True(t, open)
	stopped := make(chan error, 1)
	go func() { stopped <- h.stop() }()
	require.Eventually(t, func() bool { return strings.Contains(h.log.String(), "no new sessions") }, 30*time.Second, time.Millisecond)
	_, open = w.query(t, "SELECT 1", nil)
	require.True(t, open, "a session with a transaction goes on")
	code, _ := probed(t, url+"/metrics")
	require.Equal(t, 200, code)

	require.NoError(t, h.Apply(h.file(t, text(", disabled: true"))))
	_, open = w.query(t, "SELECT 1", nil)
	require.False(t, open, "who was disabled meanwhile is out")
	require.NoError(t, <-stopped)
}

// A listener that an assembly opens is used under the name of what it is for.
func TestOptionsListen(t *testing.T) {
	names := make(map[string]string)
	refused := errors.New("no such place")
	g, err := New(parse(t, config.Options{}, `
listen: {postgres: "127.0.0.1:1"}
api: {listen: "127.0.0.1:3", url: "https://localhost:3"}
metrics: "127.0.0.1:4"
identity: {users: [{name: alice, password: `+verifier(t)+`}]}
access: [{users: [alice], allow: [connect, read]}]
resources: [{name: shop, type: postgres, address: "127.0.0.1:5", listen: "127.0.0.1:2", username: app, password: env:HOME}]
`), Options{Log: slog.New(slog.DiscardHandler), Listen: func(name, address string) (net.Listener, error) {
		names[name] = address
		return net.Listen("tcp", "127.0.0.1:0")
	}})
	require.NoError(t, err)
	require.NoError(t, g.Listen())
	require.Equal(t, map[string]string{"postgres": "127.0.0.1:1", "resource.shop": "127.0.0.1:2", "api": "127.0.0.1:3", "metrics": "127.0.0.1:4"}, names)
	require.NotNil(t, g.APIAddr())
	require.NoError(t, g.Close())

	g, err = New(parse(t, config.Options{}, `{listen: {postgres: "127.0.0.1:1"}, resources: []}`), Options{
		Log:    slog.New(slog.DiscardHandler),
		Listen: func(string, string) (net.Listener, error) { return nil, refused },
	})
	require.NoError(t, err)
	require.ErrorIs(t, g.Listen(), refused)
}

// The numbers show how the gateway is: its store, its certificate, what waits, its build.
func TestNumbers(t *testing.T) {
	g, err := New(parse(t, config.Options{}, `{listen: {postgres: "127.0.0.1:0"}, resources: [], metrics: "127.0.0.1:0"}`), Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer g.Close()
	w := httptest.NewRecorder()
	g.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	require.Contains(t, text, "sallyport_store_up 1\n")
	require.Contains(t, text, "sallyport_requests_waiting 0\n")
	require.Regexp(t, `sallyport_certificate_expiry_timestamp_seconds [0-9.]+e\+09`, text)
	require.Contains(t, text, "sallyport_build_info{")
	require.Contains(t, text, "sallyport_credential_leases 0\n")

	leases := func(want string, e secrets.Event) {
		t.Helper()
		g.reportSecret(e)
		w := httptest.NewRecorder()
		g.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		require.Contains(t, w.Body.String(), "sallyport_credential_leases "+want+"\n")
	}
	leases("1", secrets.Event{Kind: secrets.Resolved, Ref: "vault:a", Lease: "a"})
	leases("1", secrets.Event{Kind: secrets.Resolved, Ref: "vault:a", Lease: "a", Cached: true})
	leases("2", secrets.Event{Kind: secrets.Resolved, Ref: "vault:a", Lease: "b"})
	leases("2", secrets.Event{Kind: secrets.Revoked, Ref: "vault:a", Lease: "a", Err: errors.New("down")})
	leases("1", secrets.Event{Kind: secrets.Revoked, Ref: "vault:a", Lease: "a"})
	leases("0", secrets.Event{Kind: secrets.Lost, Ref: "vault:a", Lease: "b"})
}
