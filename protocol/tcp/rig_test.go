package tcp

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

const domain = "gw.test"

// people are known by the password "wonder" and by certificates.
type people struct{}

func (people) Authenticate(_ context.Context, p proxy.Proof) (*proxy.Identity, error) {
	known := p.Method == proxy.MethodCertificate && p.Certificates[0].Subject.CommonName == p.User || p.Method == proxy.MethodPassword && p.Password.Reveal() == "wonder"
	if !known || p.User == "nobody" {
		return nil, proxy.ErrUnauthenticated
	}
	return &proxy.Identity{Subject: p.User, Method: p.Method, AuthTime: time.Now()}, nil
}

// rules allow what ask has no objection to, and remember how operations ended.
type rules struct {
	ask   func(op *proxy.Forward) proxy.Verdict
	mu    sync.Mutex
	ended []proxy.Outcome // of connections
	ops   []proxy.Forward
}

func (*rules) Name() string { return "rules" }

func (r *rules) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{
		Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
			f, ok := op.(*proxy.Forward)
			switch {
			case !ok:
				return proxy.Allow("test")
			case r.ask != nil:
				return r.ask(f)
			}
			return proxy.Pass()
		},
		Done: func(_ context.Context, op proxy.Op, out *proxy.Outcome) {
			if f, ok := op.(*proxy.Forward); ok {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.ended = append(r.ended, *out)
				r.ops = append(r.ops, proxy.Forward{Network: f.Network, Host: f.Host, Port: f.Port, Opaque: f.Opaque})
			}
		},
	}, nil
}

// outcome waits until a connection has ended, and returns how.
func (r *rules) outcome(t *testing.T) proxy.Outcome {
	t.Helper()
	var out proxy.Outcome
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.ended) == 0 {
			return false
		}
		out = r.ended[0]
		return true
	}, 20*time.Second, time.Millisecond, "no connection has ended")
	return out
}

// rig is a gateway in front of a server.
type rig struct {
	t        *testing.T
	ca       *testserver.Authority
	gateway  *proxy.Gateway
	handler  *Handler
	rules    *rules
	resource *proxy.Resource
	addr     string

	mu       sync.Mutex
	sessions []*proxy.Session
	events   []proxy.Event
}

// start runs a gateway whose resource is served by serve, a function for each connection, unless a change says another address.
func start(t *testing.T, serve func(c *net.TCPConn), changes ...func(r *rig)) *rig {
	t.Helper()
	r := &rig{t: t, ca: testserver.NewAuthority(), rules: &rules{}}
	r.resource = &proxy.Resource{Name: "cache", Type: "tcp", TLS: proxy.TLS{Mode: proxy.TLSDisable}, Accounts: []proxy.Account{{Name: "default"}}}
	if serve != nil {
		r.resource.Address = listen(t, serve)
	}
	config := r.ca.ServerConfig("127.0.0.1", "*."+domain)
	config.ClientAuth = tls.RequestClientCert
	r.handler = &Handler{TLS: config, Domain: domain}
	r.gateway = &proxy.Gateway{
		Authenticator: people{}, Interceptors: []proxy.Interceptor{r.rules}, Unrecorded: true, Log: slog.New(slog.DiscardHandler), DrainTimeout: time.Second,
		OnEvent: func(e proxy.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
			if e.Kind == proxy.EventSessionStart {
				r.sessions = append(r.sessions, e.Session)
			}
		},
	}
	for _, c := range changes {
		c(r)
	}
	r.gateway.Directory = proxy.Resources{r.resource, {Name: "orders", Type: "postgres", Address: "127.0.0.1:1"}}
	r.addr = proxytest.ServeTCP(t, r.gateway, r.handler)
	return r
}

// listen serves connections at a port of 127.0.0.1.
func listen(t *testing.T, serve func(c *net.TCPConn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var conns sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		conns.Wait()
	})
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			})
		}
	}()
	return ln.Addr().String()
}

// echo sends back what comes, and ends when that does.
func echo(c *net.TCPConn) {
	if _, err := io.Copy(c, c); err == nil {
		_ = c.CloseWrite()
	}
}

// quiet reads what comes, and says nothing.
func quiet(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }

// config is a client's; where name is empty, it has no certificate.
func (r *rig) config(name string) *tls.Config {
	c := &tls.Config{RootCAs: r.ca.Pool, ServerName: "cache." + domain}
	if name != "" {
		pair, err := tls.X509KeyPair(r.ca.ClientPEM(name))
		require.NoError(r.t, err)
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

// program is a program with TLS of its own, which is told nothing.
func (r *rig) program(name string, change ...func(c *tls.Config)) *tls.Conn {
	r.t.Helper()
	config := r.config(name)
	for _, f := range change {
		f(config)
	}
	c, err := tls.Dial("tcp", r.addr, config)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { c.NetConn().Close() })
	require.NoError(r.t, c.SetDeadline(time.Now().Add(30*time.Second)))
	return c
}

// client is one that the gateway talks to.
func (r *rig) client(name string) *Client { return &Client{Address: r.addr, TLS: r.config(name)} }

// dial opens a connection as alice, by her certificate.
func (r *rig) dial() *tls.Conn {
	r.t.Helper()
	c, note, err := r.client("alice").Dial(r.t.Context())
	require.NoError(r.t, err)
	require.Equal(r.t, Note, note)
	r.t.Cleanup(func() { c.NetConn().Close() })
	require.NoError(r.t, c.SetDeadline(time.Now().Add(30*time.Second)))
	return c
}

// session waits for the first session.
func (r *rig) session() *proxy.Session {
	r.t.Helper()
	var s *proxy.Session
	require.Eventually(r.t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.sessions) > 0 {
			s = r.sessions[0]
		}
		return s != nil
	}, 10*time.Second, time.Millisecond)
	return s
}

// told are the events of a kind.
func (r *rig) told(kind proxy.EventKind) (list []proxy.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// answers sends a text and wants it back.
func answers(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
	got := make([]byte, len(text))
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

// closed wants the connection to have ended within a second, and not in an orderly way.
func closed(t *testing.T, c net.Conn, since time.Time) {
	t.Helper()
	b, err := io.ReadAll(c)
	require.Empty(t, b)
	require.Error(t, err, "the connection ended as if the resource had meant that")
	require.Less(t, time.Since(since), time.Second)
}
