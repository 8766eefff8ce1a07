package aws

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

// Handler serves clients of AWS accounts. Its fields must not change once it is in use; a Handler must not be copied.
type Handler struct {
	// Resource is the account that all clients of this listener get; empty when their keys say which one.
	Resource string
	// TLS protects connections with clients. It is needed: keys are given out over TLS only.
	TLS *tls.Config
	// Domain makes NAME.DOMAIN a host name of the resource NAME.
	Domain string
	// Resources returns all resources that there are, of all protocols.
	Resources func() proxy.Resources
	// KnowsCertificate reports whether a client certificate could be a user's. Nil: every one could.
	KnowsCertificate func(*x509.Certificate) bool
	// Bearers are the access tokens of programs. Nil: nobody comes in by one.
	Bearers Bearers
	// Keys are those that clients sign with.
	Keys *Keyring
	// Log is told of what goes wrong; nil is slog.Default.
	Log *slog.Logger
	// Shared is what several handlers share, such as those of one gateway. Nil: this one shares nothing.
	Shared *Shared
	// Now is the time; nil is time.Now.
	Now func() time.Time

	once   sync.Once
	shared *Shared
	server relay.Server

	patience time.Duration // in the place of bodyIdle
}

// Shared is what handlers know together: open sessions, connections to AWS, and requests that must not come again. The zero
// value is ready; it must not be copied.
type Shared struct {
	visits    relay.Visits
	upstreams relay.Upstreams
	seen      seen
	room      room
}

// Close closes the connections that rest.
func (s *Shared) Close() error {
	s.upstreams.Close()
	return nil
}

// Bearers are the tokens of programs. It is safe for concurrent use.
type Bearers interface {
	// Is reports whether a text has the form of such a token.
	Is(text string) bool
	// Bearer returns who a token proves now.
	Bearer(ctx context.Context, secret proxy.Secret) (*proxy.Identity, error)
}

// Protocol returns "aws".
func (h *Handler) Protocol() string { return "aws" }

// Check reports what leaves every client without a way in.
func (h *Handler) Check(*proxy.Revision) error {
	if h.TLS == nil {
		return errors.New("serving aws: keys are given out over TLS only, and TLS is not set, so nobody can log in; set TLS")
	}
	return nil
}

func (h *Handler) log() *slog.Logger {
	if h.Log != nil {
		return h.Log
	}
	return slog.Default()
}

func (h *Handler) now() time.Time {
	if h.Now != nil {
		return h.Now()
	}
	return time.Now()
}

// ServeConn serves the requests of one connection, and returns when it is closed.
func (h *Handler) ServeConn(ctx context.Context, c *proxy.Conn) error {
	if h.TLS == nil {
		return errors.New("serving aws: got no TLS configuration, want one with a certificate")
	}
	h.once.Do(func() {
		if h.shared = h.Shared; h.shared == nil {
			h.shared = &Shared{}
		}
	})
	return h.server.Serve(ctx, c, h.TLS, h, h.log())
}

// find returns the account of a name; nil where none is served here.
func (h *Handler) find(name string) *proxy.Resource {
	if h.Resources == nil || h.Resource != "" && name != h.Resource {
		return nil
	}
	for _, r := range h.Resources() {
		if r.Name == name && r.Type == h.Protocol() {
			return r
		}
	}
	return nil
}
