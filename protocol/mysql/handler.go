package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/sallyport/sallyport/protocol/internal/named"
	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Handler serves clients of MySQL and MariaDB. Its fields must not change once it is in
// use; a Handler must not be copied.
type Handler struct {
	// Resource is the resource that all clients of this listener get; empty when
	// they choose one by user name ("alice+orders") or TLS server name.
	Resource string
	// TLS protects connections with clients, who send passwords over TLS only. Nil: nobody
	// can log in.
	TLS *tls.Config
	// Domain makes the TLS server name choose the resource: with
	// "gw.example.com", "orders.gw.example.com" is the resource "orders".
	Domain string
	// KnowsCertificate reports whether a client certificate could be a user's; who shows
	// another logs in without. Nil: every certificate could.
	KnowsCertificate func(*x509.Certificate) bool
	// Analyzer says what statements do. Nil: every statement is unknown, and is
	// refused wherever a rule depends on understanding it.
	Analyzer proxy.Analyzer
	// Catalog is told of what may change it. Nil: nobody is.
	Catalog sql.Catalog
	// Resources returns those that clients of a listener for several may choose: what they
	// have in common is said to clients before these choose. Nil: nothing is known.
	Resources func() proxy.Resources
	// Shared is what several handlers share, such as those of one gateway. Nil: this one
	// shares nothing.
	Shared *Shared
	// LoginTimeout is how long a server may take from the first byte until it is
	// ready; 0 is 10 s.
	LoginTimeout time.Duration

	measures time.Duration // how long measuring a statement may take; 0: see impact.Timeout. Tests set it

	once   sync.Once
	shared *Shared
	tls    *tls.Config
}

// Shared is what handlers know together: servers, open sessions, proven passwords. The zero
// value is ready; it must not be copied.
type Shared struct {
	known    known
	sessions sessions
	fast     fast
}

// Protocol returns "mysql".
func (h *Handler) Protocol() string { return "mysql" }

// Check reports what leaves every client without a way to log in.
func (h *Handler) Check(*proxy.Revision) error {
	if h.TLS == nil {
		return errors.New("serving mysql: passwords are taken over TLS only, and TLS is not set, so nobody can log in; set TLS")
	}
	return nil
}

func (h *Handler) begin() {
	h.once.Do(func() {
		if h.shared = h.Shared; h.shared == nil {
			h.shared = &Shared{}
		}
		if h.TLS == nil {
			return
		}
		h.tls = h.TLS.Clone()
		h.tls.NextProtos = nil
		// A client that resumes a session is not shown the certificate: it would not see a
		// new one.
		h.tls.SessionTicketsDisabled = true
		if h.tls.MinVersion == 0 {
			h.tls.MinVersion = tls.VersionTLS12
		}
	})
}

// ServeConn speaks with one client.
func (h *Handler) ServeConn(ctx context.Context, c *proxy.Conn) error {
	h.begin()
	hi, err := h.greet(ctx, c)
	if err != nil || hi == nil {
		return err
	}
	s, err := h.open(ctx, c, hi)
	if errors.Is(err, proxy.ErrClientLeft) {
		return nil
	}
	if err != nil {
		hi.refuse(err)
		return err
	}
	defer s.close()
	return s.run()
}

// refuse tells a client why it gets no session.
func (hi *hello) refuse(err error) {
	e := hi.fatal(err)
	if e.Message == nil {
		return
	}
	// A client that does not read must not hold the connection.
	hi.conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
	if hi.talk.Write(wire.AppendError(nil, &e)) == nil {
		lingerClose(hi.conn)
	}
}

// lingerClose ends what is written and reads away what the client still sends,
// for a moment, so that the last message is not lost to a reset.
func lingerClose(c net.Conn) {
	if w, ok := underlying(c).(interface{ CloseWrite() error }); !ok || w.CloseWrite() != nil {
		return
	}
	c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	var sink [1024]byte
	for range 64 {
		if _, err := c.Read(sink[:]); err != nil {
			return
		}
	}
}

// underlying is the connection that the gateway accepted as c.
func underlying(c net.Conn) net.Conn {
	if pc, ok := c.(*proxy.Conn); ok {
		return pc.Conn
	}
	return c
}

// transport is the connection under TLS and all else that wraps it.
func transport(c net.Conn) net.Conn {
	for {
		switch w := c.(type) {
		case *proxy.Conn:
			c = w.Conn
		case *tls.Conn:
			c = w.NetConn()
		default:
			return c
		}
	}
}

func (h *Handler) loginTimeout() time.Duration {
	if h.LoginTimeout > 0 {
		return h.LoginTimeout
	}
	return 10 * time.Second
}

// resourceName works out which resource the client asks for; the ways of saying
// so must agree.
func (h *Handler) resourceName(hi *hello) (string, error) {
	name, ok := named.Agreed(h.Resource, named.ByServer(hi.serverName, h.Domain), hi.login.Resource)
	switch {
	case !ok:
		return "", errAmbiguousResource
	case name == "":
		return "", errNoResource
	}
	return name, nil
}

var (
	errAmbiguousResource = errors.New("the server name, the user name and this port name different resources")
	errNoResource        = errors.New("no resource was named: connect as USER+RESOURCE")
)
