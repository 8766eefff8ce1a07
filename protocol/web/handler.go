package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport/sallyport/protocol/internal/relay"
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
	server relay.Server
}

// Shared is what handlers know together: open sessions, and connections to applications.
// The zero value is ready; it must not be copied.
type Shared struct {
	visits    relay.Visits
	upstreams relay.Upstreams
}

// Close closes the connections that rest.
func (s *Shared) Close() error {
	s.upstreams.Close()
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

func (h *Handler) begin() {
	h.once.Do(func() {
		if h.shared = h.Shared; h.shared == nil {
			h.shared = &Shared{}
		}
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
	h.begin()
	return h.server.Serve(ctx, c, h.TLS, h, h.log())
}
