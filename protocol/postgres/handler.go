package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/evloop"
	"github.com/sallyport/sallyport/internal/scram"
	"github.com/sallyport/sallyport/protocol/internal/named"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Handler serves PostgreSQL's clients. Its fields must not change once it is in
// use; a Handler must not be copied.
type Handler struct {
	// Resource is the resource that all clients of this listener get; empty when
	// they choose one by user name ("alice+orders") or TLS server name.
	Resource string
	// TLS protects connections with clients. Nil declines TLS.
	TLS *tls.Config
	// RequireTLS refuses sessions without TLS. Cancel requests, which carry nothing
	// but their key, are taken without.
	RequireTLS bool
	// Domain makes the TLS server name choose the resource: with
	// "gw.example.com", "orders.gw.example.com" is the resource "orders".
	Domain string
	// KnowsCertificate reports whether a client certificate, which TLS may ask for, could
	// be a user's; who shows another logs in without. Nil: every certificate could.
	KnowsCertificate func(*x509.Certificate) bool
	// Analyzer says what statements do. Nil: every statement is unknown, and is
	// refused wherever a rule depends on understanding it.
	Analyzer proxy.Analyzer
	// Catalog names the base columns of results, and is told of what may change it.
	// Nil: they have numbers only.
	Catalog sql.Catalog
	// LoginTimeout is how long a server may take from the first byte until it is
	// ready; 0 is 10 s.
	LoginTimeout time.Duration

	measures time.Duration // how long measuring a statement may take; 0: see impact.Timeout. Tests set it

	keys    scram.Keys // by which sessions log in to servers
	cancels cancels
	retries retries
	loops   evloop.Set
	tlsOnce sync.Once
	tls     *tls.Config
}

// Protocol returns "postgres".
func (h *Handler) Protocol() string { return "postgres" }

// Check reports what leaves every client without a way to log in.
func (h *Handler) Check(r *proxy.Revision) error {
	_, verifies := r.Authenticator.(proxy.VerifierSource)
	switch {
	case h.TLS != nil:
		return nil
	case h.RequireTLS:
		return errors.New("serving postgres: RequireTLS is set and TLS is not, so no client can connect; set TLS too")
	case r.Authenticator != nil && !verifies:
		return errors.New("serving postgres: the authenticator has no verifiers, and passwords are taken over TLS only, so nobody can log in; set TLS, or make the authenticator a proxy.VerifierSource")
	}
	return nil
}

// ServeConn speaks with one client.
func (h *Handler) ServeConn(ctx context.Context, c *proxy.Conn) error {
	hello, err := h.greet(ctx, c)
	if err != nil || hello == nil {
		return err
	}
	if hello.cancel != nil {
		h.cancels.request(ctx, c.RemoteAddr(), hello.cancel)
		return nil
	}
	s, err := h.open(ctx, c, hello)
	if errors.Is(err, proxy.ErrClientLeft) {
		return nil
	}
	if err != nil {
		if h.RequireTLS && errors.Is(err, proxy.ErrUnauthenticated) {
			h.retries.note(c.RemoteAddr(), hello.user)
		}
		h.refuse(hello, err)
		return err
	}
	defer s.close()
	return s.run()
}

// refuse tells the client why it gets no session.
func (h *Handler) refuse(hello *hello, err error) {
	n := fatalNotice(err)
	var link *proxy.LinkError
	if errors.Is(err, proxy.ErrUnauthenticated) && !errors.As(err, &link) {
		n = hello.failed()
		if errors.Is(err, errNeedsTLS) {
			n.Hint = "That was over TLS. This attempt was not, and is refused whatever the password: sslmode=require makes one attempt only."
		}
	}
	if n.Message == "" {
		return
	}
	// A client that does not read must not hold the connection.
	hello.conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
	hello.conn.Write(appendNotice(nil, n))
	lingerClose(hello.conn)
}

// lingerClose ends what is written and reads away what the client still sends,
// for a moment, so that the last message is not lost to a reset.
func lingerClose(c net.Conn) {
	if closeWrite(underlying(c)) != nil {
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

func (h *Handler) loginTimeout() time.Duration {
	if h.LoginTimeout > 0 {
		return h.LoginTimeout
	}
	return 10 * time.Second
}

// shownKey is the key of a handshake's context under which the certificate that
// the client is shown is kept.
type shownKey struct{}

// serverTLS is h.TLS with the protocol's name for direct negotiation.
func (h *Handler) serverTLS() *tls.Config {
	h.tlsOnce.Do(func() {
		h.tls = h.TLS.Clone()
		h.tls.NextProtos = []string{"postgresql"}
		// A client that resumes a session is not shown the certificate: it would not see
		// a new one, and could not bind its login to any. PostgreSQL has no tickets either.
		h.tls.SessionTicketsDisabled = true
		if get := h.tls.GetCertificate; get != nil {
			h.tls.GetCertificate = func(client *tls.ClientHelloInfo) (*tls.Certificate, error) {
				c, err := get(client)
				if shown, ok := client.Context().Value(shownKey{}).(**tls.Certificate); ok && err == nil {
					*shown = c
				}
				return c, err
			}
		}
		if h.tls.MinVersion == 0 {
			h.tls.MinVersion = tls.VersionTLS12
		}
		if h.tls.CipherSuites == nil {
			h.tls.CipherSuites = sealing()
		}
	})
	return h.tls
}

// sealing are the cipher suites of TLS 1.2 that encrypt and authenticate in one, with
// keys that no later theft opens.
func sealing() []uint16 {
	var ids []uint16
	for _, c := range tls.CipherSuites() {
		if strings.HasPrefix(c.Name, "TLS_ECDHE_") && (strings.Contains(c.Name, "_GCM_") || strings.Contains(c.Name, "_CHACHA20_")) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// resourceName works out which resource the client asks for; the ways of saying
// so must agree.
func (h *Handler) resourceName(hello *hello) (string, error) {
	name, ok := named.Agreed(h.Resource, named.ByServer(hello.serverName, h.Domain), hello.login.Resource)
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
