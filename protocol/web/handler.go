package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Handler serves clients of web applications. Its fields must not change once it is in
// use; a Handler must not be copied.
type Handler struct {
	// Resource is the application that all clients of this listener get; empty when they
	// choose one by the host name.
	Resource string
	// TLS protects connections with clients. It is needed: cookies and tokens come by TLS only.
	TLS *tls.Config
	// Domain makes NAME.DOMAIN a host name of the resource NAME.
	Domain string
	// Resources returns all resources that there are, of all protocols.
	Resources func() proxy.Resources
	// Ports returns those of the listeners at which an application is reached. Nil: browsers
	// can log in at hosts with a port in the settings only.
	Ports func(resource string) []string
	// KnowsCertificate reports whether a client certificate could be a user's; who shows
	// another comes in without. Nil: every certificate could.
	KnowsCertificate func(*x509.Certificate) bool
	// Logins are those of people with a browser, and Bearers those of programs. Nil: nobody
	// logs in that way.
	Logins  Logins
	Bearers Bearers
	// Signer signs who asks, for applications. Nil: they are not told.
	Signer *Signer
	// Log is told of what goes wrong; nil is slog.Default.
	Log *slog.Logger
	// Shared is what several handlers share, such as those of one gateway. Nil: this one
	// shares nothing.
	Shared *Shared

	once   sync.Once
	shared *Shared
	server *http.Server
	conns  *queue
}

// Shared is what handlers know together: open sessions, and connections to applications.
// The zero value is ready; it must not be copied.
type Shared struct {
	visits    visits
	upstreams upstreams
}

// Close closes the connections that rest.
func (s *Shared) Close() error {
	s.upstreams.close()
	return nil
}

// Logins are those of people who come with a browser. It is safe for concurrent use.
type Logins interface {
	// Page returns the address of the page where somebody logs in for a resource: it leads
	// to the login's end at origin, "https://HOST:PORT", with a code that challenge binds. It is
	// empty where nobody can.
	Page(ctx context.Context, resource, origin, challenge string) (string, error)
	// Redeem returns what proves the person of a code at the resource from then on. A code
	// is redeemed once, by the verifier whose SHA-256 its challenge is in hexadecimals. The error wraps
	// proxy.ErrUnauthenticated where it is wrong.
	Redeem(ctx context.Context, resource, code, verifier string) (proxy.Secret, time.Time, error)
	// Find returns who that is now. The error wraps proxy.ErrUnauthenticated where the login
	// has ended.
	Find(ctx context.Context, resource string, secret proxy.Secret) (*proxy.Identity, error)
	// End ends it.
	End(ctx context.Context, resource string, secret proxy.Secret) error
}

// Bearers are the tokens of programs. It is safe for concurrent use.
type Bearers interface {
	// Is reports whether a text has the form of such a token: it is never sent on.
	Is(text string) bool
	// Bearer returns who a token proves now.
	Bearer(ctx context.Context, secret proxy.Secret) (*proxy.Identity, error)
}

// Protocol returns "web".
func (h *Handler) Protocol() string { return "web" }

// Check reports what leaves every client without a way in.
func (h *Handler) Check(*proxy.Revision) error {
	if h.TLS == nil {
		return errors.New("serving web: cookies and tokens are taken over TLS only, and TLS is not set, so nobody can log in; set TLS")
	}
	return nil
}

// Bounds of what a client may send before it is known what it asks for.
const (
	maxHeader     = 64 << 10
	headerTime    = 20 * time.Second
	idleConn      = 2 * time.Minute
	maxStreams    = 250
	streamBuffer  = 1 << 20
	shutdownFirst = 100 * time.Millisecond
)

func (h *Handler) begin(g *proxy.Gateway) {
	h.once.Do(func() {
		if h.shared = h.Shared; h.shared == nil {
			h.shared = &Shared{}
		}
		h.conns = &queue{conns: make(chan net.Conn), done: make(chan struct{})}
		protocols := &http.Protocols{}
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(true)
		h.server = &http.Server{
			Handler: h, MaxHeaderBytes: maxHeader, ReadHeaderTimeout: headerTime, IdleTimeout: idleConn, Protocols: protocols,
			HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: 4 * streamBuffer, MaxReceiveBufferPerStream: streamBuffer},
			ErrorLog: slog.NewLogLogger(h.log().Handler(), slog.LevelDebug),
			ConnContext: func(ctx context.Context, c net.Conn) context.Context {
				return context.WithValue(ctx, connKey{}, connOf(c))
			},
		}
		context.AfterFunc(g.Draining(), func() { // what runs may end; see Gateway.Serve
			_ = h.server.Shutdown(context.Background()) // the gateway cuts what does not end
		})
		go func() {
			if err := h.server.Serve(h.conns); !errors.Is(err, http.ErrServerClosed) {
				h.log().Error("web: connections are not served any more", "err", err)
			}
		}()
	})
}

func (h *Handler) log() *slog.Logger {
	if h.Log != nil {
		return h.Log
	}
	return slog.Default()
}

// ServeConn serves the requests of one connection, and returns when it is closed.
func (h *Handler) ServeConn(ctx context.Context, c *proxy.Conn) error {
	if h.TLS == nil {
		return errors.New("serving web: got no TLS configuration, want one with a certificate")
	}
	h.begin(c.Gateway())
	config := h.TLS.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	// A client that resumes a session is not shown the certificate: it would not see a new one.
	config.SessionTicketsDisabled = true
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	in := &conn{Conn: c, closed: make(chan struct{})}
	t := tls.Server(in, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	// What is left of the handshake's time is that of the first request, as the server has it.
	if err := c.Established(); err != nil {
		return err
	}
	select {
	case h.conns.conns <- t:
	case <-h.conns.done:
		return proxy.ErrShutdown
	}
	<-in.closed // by the server, by a handler that has taken it over, or by the gateway
	return nil
}

// conn is a client's connection that tells when it is closed.
type conn struct {
	*proxy.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}

// CloseWrite ends what is written.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

type connKey struct{}

// connOf is the gateway's connection under TLS.
func connOf(c net.Conn) *proxy.Conn {
	if t, ok := c.(*tls.Conn); ok {
		if own, ok := t.NetConn().(*conn); ok {
			return own.Conn
		}
	}
	return nil
}

// queue hands connections to the server, as a listener.
type queue struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

func (q *queue) Addr() net.Addr { return &net.TCPAddr{} }
