package web

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

func TestMain(m *testing.M) { testserver.Main(m) }

const domain = "apps.test"

// logins are those of a gateway's own pages, in memory.
type logins struct {
	mu       sync.Mutex
	codes    map[string][2]string // challenge and resource, by code
	sessions map[string]string    // resource, by secret
	down     bool
}

func (l *logins) Page(_ context.Context, resource, origin, challenge string) (string, error) {
	return "https://gw.test/login?" + url.Values{"resource": {resource}, "origin": {origin}, "challenge": {challenge}}.Encode(), nil
}

// code is what the login page gives to a person's browser.
func (l *logins) code(resource, challenge string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := fmt.Sprintf("code%d", len(l.codes))
	l.codes[c] = [2]string{challenge, resource}
	return c
}

func (l *logins) Redeem(_ context.Context, resource, code, verifier string) (proxy.Secret, time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.codes[code]
	l.codes[code] = [2]string{}
	if !ok || c != [2]string{Challenge(verifier), resource} {
		return proxy.Secret{}, time.Time{}, proxy.ErrUnauthenticated
	}
	s := fmt.Sprintf("secret-%s-%d", resource, len(l.sessions))
	l.sessions[s] = resource
	return proxy.NewSecret(s), time.Now().Add(time.Hour), nil
}

func (l *logins) Find(_ context.Context, resource string, secret proxy.Secret) (*proxy.Identity, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, proxy.ErrUnavailable
	}
	if r, ok := l.sessions[secret.Reveal()]; !ok || r != resource {
		return nil, proxy.ErrUnauthenticated
	}
	return &proxy.Identity{Subject: "alice", Name: "Alice", Groups: []string{"dev"}, Method: proxy.MethodOIDC, AuthTime: time.Now()}, nil
}

func (l *logins) End(_ context.Context, _ string, secret proxy.Secret) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, secret.Reveal())
	return nil
}

func (l *logins) Is(text string) bool { return strings.HasPrefix(text, "sp_") }

func (l *logins) Bearer(_ context.Context, secret proxy.Secret) (*proxy.Identity, error) {
	user, ok := strings.CutPrefix(secret.Reveal(), "sp_")
	if !ok || user == "nobody" {
		return nil, proxy.ErrUnauthenticated
	}
	return &proxy.Identity{Subject: user, Method: proxy.MethodPassword, AuthTime: time.Now()}, nil
}

// users knows certificates.
type users struct{}

func (users) Authenticate(_ context.Context, p proxy.Proof) (*proxy.Identity, error) {
	if p.Method != proxy.MethodCertificate || p.Certificates[0].Subject.CommonName != p.User || p.User == "mallory" {
		return nil, proxy.ErrUnauthenticated
	}
	return &proxy.Identity{Subject: p.User, Method: p.Method, AuthTime: time.Now()}, nil
}

// rules is an interceptor made of functions, which remembers what was asked.
type rules struct {
	proxy.Hooks
	mu    sync.Mutex
	ops   []string
	ended []string
}

func (*rules) Name() string { return "rules" }

func (r *rules) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	h := r.Hooks
	h.Ask = func(ctx context.Context, op proxy.Op) proxy.Verdict {
		switch op := op.(type) {
		case *proxy.Connect:
			return proxy.Allow("test")
		case *proxy.Request:
			r.mu.Lock()
			text := op.Kind.String() + " " + op.Method + " " + op.Path
			if op.Query != "" {
				text += "?" + op.Query
			}
			r.ops = append(r.ops, text)
			r.mu.Unlock()
		}
		if r.Hooks.Ask != nil {
			return r.Hooks.Ask(ctx, op)
		}
		return proxy.Pass()
	}
	h.Done = func(_ context.Context, op proxy.Op, out *proxy.Outcome) {
		if q, ok := op.(*proxy.Request); ok {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.ended = append(r.ended, fmt.Sprintf("%s %s %s %v %d %d %s", q.Method, q.Path, out.Code, out.Err, out.BytesIn, out.BytesOut, out.Tag))
		}
	}
	return h, nil
}

func (r *rules) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.ops...)
}

func (r *rules) outcomes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.ended...)
}

// rig is a gateway in front of a real server.
type rig struct {
	t        testing.TB
	ca       *testserver.Authority
	gateway  *proxy.Gateway
	handler  *Handler
	rules    *rules
	logins   *logins
	addr     string
	resource *proxy.Resource
	log      *bytes.Buffer
	events   chan proxy.Event
}

// change is how a rig differs from the plain one.
type change func(r *rig)

func with(s Settings) change { return func(r *rig) { r.resource.Settings = s } }

func start(t testing.TB, app http.Handler, changes ...change) *rig {
	t.Helper()
	server := httptest.NewUnstartedServer(app)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.Start()
	t.Cleanup(server.Close)
	return startAt(t, server.Listener.Addr().String(), changes...)
}

func startAt(t testing.TB, address string, changes ...change) *rig {
	t.Helper()
	r := &rig{t: t, ca: testserver.NewAuthority(), rules: &rules{}, log: &bytes.Buffer{}, events: make(chan proxy.Event, 1000)}
	r.logins = &logins{codes: map[string][2]string{}, sessions: map[string]string{}}
	r.resource = &proxy.Resource{Name: "wiki", Type: "web", Address: address, TLS: proxy.TLS{Mode: proxy.TLSDisable}, Settings: Settings{}}
	r.handler = &Handler{
		TLS:    &tls.Config{Certificates: []tls.Certificate{pair(r.ca.ServerPEM("*."+domain, domain))}, ClientAuth: tls.RequestClientCert},
		Domain: domain, Logins: r.logins, Bearers: r.logins, Log: slog.New(slog.DiscardHandler),
		Signer: &Signer{KeyOf: protocol.KeyFiles(t.TempDir())},
	}
	r.gateway = &proxy.Gateway{
		Authenticator: users{}, Interceptors: []proxy.Interceptor{r.rules}, Unrecorded: true, Log: slog.New(slog.DiscardHandler), DrainTimeout: time.Second,
		OnEvent: func(e proxy.Event) {
			select {
			case r.events <- e:
			default:
			}
		},
	}
	for _, c := range changes {
		c(r)
	}
	other := *r.resource
	other.Name = "other"
	list := proxy.Resources{r.resource, &other}
	r.gateway.Directory = list
	r.handler.Resources = func() proxy.Resources { return list }
	r.addr = proxytest.ServeTCP(t, r.gateway, r.handler)
	return r
}

func (r *rig) port() string {
	_, port, _ := net.SplitHostPort(r.addr)
	return port
}

// origin is where a browser finds an application.
func (r *rig) origin(name string) string { return "https://" + name + "." + domain + ":" + r.port() }

func (r *rig) url(path string) string { return r.origin("wiki") + path }

func pair(cert, key []byte) tls.Certificate { return must(tls.X509KeyPair(cert, key)) }

// client asks the gateway, whatever the host.
func (r *rig) client(certs ...tls.Certificate) *http.Client {
	tr := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", r.addr)
		},
		TLSClientConfig:    &tls.Config{RootCAs: r.ca.Pool, Certificates: certs},
		DisableCompression: true,
	}
	r.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// client2 is one that speaks HTTP/2.
func (r *rig) client2(certs ...tls.Certificate) *http.Client {
	c := r.client(certs...)
	c.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	return c
}

// get asks as bob, who has an access token.
func (r *rig) get(path string, headers ...string) *reply { return r.do("GET", path, "", headers...) }

type reply struct {
	*http.Response
	text string
}

func (r *rig) do(method, path, body string, headers ...string) *reply {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url(path), strings.NewReader(body))
	require.NoError(r.t, err)
	req.Header.Set("Authorization", "Bearer sp_bob")
	return r.send(r.client(), req, headers...)
}

func (r *rig) send(c *http.Client, req *http.Request, headers ...string) *reply {
	r.t.Helper()
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(req)
	require.NoError(r.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return &reply{res, string(b)}
}

// raw sends bytes as bob's connection to the wiki, and returns what comes back until the end.
func (r *rig) raw(text string) string {
	r.t.Helper()
	c := r.dial()
	_, err := io.WriteString(c, text)
	require.NoError(r.t, err)
	b, err := io.ReadAll(c)
	if err != nil {
		var reset net.Error
		require.True(r.t, errors.As(err, &reset) || len(b) > 0, "%v", err)
	}
	return string(b)
}

func (r *rig) dial() *tls.Conn {
	r.t.Helper()
	c, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: r.ca.Pool, ServerName: "wiki." + domain, NextProtos: []string{"http/1.1"}})
	require.NoError(r.t, err)
	r.t.Cleanup(func() { c.Close() })
	require.NoError(r.t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c
}

// host is how clients name the wiki.
func (r *rig) host() string { return "wiki." + domain + ":" + r.port() }

// session returns the one session that is open.
func (r *rig) session() *proxy.Session {
	r.t.Helper()
	list := r.gateway.Sessions()
	require.Len(r.t, list, 1)
	return list[0]
}

// echo answers with what it has got: the request line, and its headers, sorted.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\n", r.Method, r.RequestURI, r.Host)
	_ = r.Header.Write(&b)
	fmt.Fprintf(&b, "\n%s", body)
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Length", fmt.Sprint(b.Len()))
	_, _ = io.WriteString(w, b.String())
}

// rawServer is an application that answers every request with bytes of the test's.
func rawServer(t testing.TB, answer func(req *http.Request, c net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := bufio.NewReader(c)
				for {
					req, err := http.ReadRequest(b)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					answer(req, c)
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// rebound is a dialer for which every name means one machine.
type rebound struct{ address string }

func (d rebound) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, d.address)
}

// rawSocket is an application that begins a WebSocket, tells which extensions were asked for, and sends frames.
func rawSocket(t testing.TB, asked chan<- string, frames [][]byte) string {
	t.Helper()
	return rawServer(t, func(req *http.Request, c net.Conn) {
		asked <- req.Header.Get("Sec-WebSocket-Extensions")
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		for _, f := range frames {
			_, _ = c.Write(f)
		}
		_, _ = io.Copy(io.Discard, c)
	})
}
