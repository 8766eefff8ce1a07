package proxytest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Resource is what Session and Listen offer.
var Resource = proxy.Resource{Name: "shop", Type: "test", Database: "shop", Labels: map[string]string{"env": "test"}}

// Identity is who their sessions are.
var Identity = proxy.Identity{Subject: "alice", Groups: []string{"dev"}}

// Allow is an interceptor that allows Connect and has no objection to the rest.
// It comes first where what is tested does not allow by itself.
type Allow struct{}

// Name is "allow".
func (Allow) Name() string { return "allow" }

// Intercept returns the one hook.
func (Allow) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind == proxy.KindConnect {
			return proxy.Allow("proxytest")
		}
		return proxy.Pass()
	}}, nil
}

// Session opens a session without a wire, through [Allow] and the interceptors,
// and closes it when the test ends. Operations are asked with
// [proxy.Session.Ask] and ended with Done.
func Session(t testing.TB, interceptors ...proxy.Interceptor) *proxy.Session {
	t.Helper()
	s, err := Open(&proxy.Gateway{}, interceptors...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(nil) })
	return s
}

// Open opens a session at g as Session does, and returns why it was refused. The
// caller closes it. Notes that the interceptors leave need nobody who records
// them. g has the interceptors from then on, in all its sessions.
func Open(g *proxy.Gateway, interceptors ...proxy.Interceptor) (*proxy.Session, error) {
	if g.Log == nil {
		g.Log = slog.New(slog.DiscardHandler)
	}
	g.Unrecorded = true
	rev := *g.Revision()
	rev.Interceptors = append([]proxy.Interceptor{Allow{}}, interceptors...)
	if err := g.Use(&rev); err != nil {
		return nil, err
	}
	id, r := Identity, Resource
	s, connect, err := g.Open(context.Background(), proxy.OpenRequest{
		Identity: &id, Target: proxy.Target{Resource: &r}, Protocol: "test", Remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1},
	})
	if err != nil {
		return nil, err
	}
	s.Done(connect, &proxy.Outcome{})
	return s, nil
}

// Hold is a verdict that needs an approval by rule.
func Hold(rule string) proxy.Verdict {
	return proxy.Verdict{Action: proxy.ActionHold, Hold: &proxy.Hold{
		Rules: []string{rule}, Approvers: [][]string{{"*"}}, Message: "it waits", For: time.Hour,
	}}
}

// Reviewer answers every request by this one. An empty Message is that of the
// hold.
type Reviewer proxy.Pending

// Request makes a request.
func (r Reviewer) Request(_ context.Context, _ *proxy.Session, _ proxy.Op, h *proxy.Hold) (*proxy.Pending, error) {
	p := proxy.Pending(r)
	if p.Message == "" {
		p.Message = h.Message
	}
	return &p, nil
}

// Statement is an operation that runs text with these effects.
func Statement(text string, effects proxy.Effects) *proxy.Statement {
	return &proxy.Statement{
		Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(text),
		Facts: &proxy.Facts{Effects: effects, Statements: 1, Normalised: text},
	}
}

// Listener is a listener in memory. Its Dial is the client's end.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewListener returns an open listener.
func NewListener() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects a client.
func (l *Listener) Dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Accept waits for the next client.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close makes Accept and Dial fail.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address that leads nowhere.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "memory"} }

// Serve has g serve h in memory until the test ends, which fails when serving
// does not end cleanly.
func Serve(t testing.TB, g *proxy.Gateway, h proxy.Handler) *Listener {
	t.Helper()
	ln := NewListener()
	serve(t, g, h, ln)
	return ln
}

// ServeTCP is Serve at a port of 127.0.0.1, whose address it returns.
func ServeTCP(t testing.TB, g *proxy.Gateway, h proxy.Handler) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, g, h, ln)
	return ln.Addr().String()
}

func serve(t testing.TB, g *proxy.Gateway, h proxy.Handler, ln net.Listener) {
	if g.Log == nil {
		g.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, ln, h) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("Serve does not return")
		}
	})
}

// Credential is a proxy.CredentialSource with the same credential for every target.
type Credential proxy.Credential

// Lease returns the credential, without an end.
func (c Credential) Lease(context.Context, proxy.LeaseRequest) (*proxy.Lease, error) {
	return &proxy.Lease{Credential: proxy.Credential(c)}, nil
}

// Upstream is a proxy.Dialer whose other end a test plays.
type Upstream struct {
	// Serve plays one connection. The connection is closed when it returns.
	Serve func(c net.Conn)

	mu    sync.Mutex
	heard []byte
}

// DialContext connects to the scripted end.
func (u *Upstream) DialContext(context.Context, string, string) (net.Conn, error) {
	if u.Serve == nil {
		return nil, errors.New("nobody is there")
	}
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		u.Serve(&recorded{Conn: far, u: u})
	}()
	return near, nil
}

// Heard returns everything that the gateway has sent to the scripted end.
func (u *Upstream) Heard() []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]byte(nil), u.heard...)
}

type recorded struct {
	net.Conn
	u *Upstream
}

func (r *recorded) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.u.mu.Lock()
	r.u.heard = append(r.u.heard, b[:n]...)
	r.u.mu.Unlock()
	return n, err
}

// Expect reads as many bytes as want has and fails the test when they differ.
func Expect(t testing.TB, c net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := io.ReadFull(c, got)
	if string(got[:n]) != string(want) {
		t.Fatalf("got %q (%v), want %q", got[:n], err, want)
	}
}
