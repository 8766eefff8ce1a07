package tcp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/protocol/internal/named"
	"github.com/sallyport/sallyport/proxy"
)

// Handler serves connections to resources of any protocol. Its fields must not change once it is in use; a Handler
// must not be copied.
type Handler struct {
	// Resource is the resource that all clients of this listener get; empty when they choose one by the TLS server name, or by what
	// they say as [Client] does.
	Resource string
	// TLS protects connections with clients, who prove themselves over TLS only. Nil: nobody can come in.
	TLS *tls.Config
	// Domain makes the TLS server name choose the resource: with "gw.example.com", "cache.gw.example.com" is the resource "cache".
	Domain string
	// KnowsCertificate reports whether a client certificate could be a user's; who shows another has shown none. Nil: every certificate could.
	KnowsCertificate func(*x509.Certificate) bool
	// LoginTimeout is how long TLS with a resource may take; 0 is 10 s.
	LoginTimeout time.Duration

	once   sync.Once
	server *tls.Config
}

// Protocol returns "tcp".
func (h *Handler) Protocol() string { return "tcp" }

// Check reports what leaves every client without a way in.
func (h *Handler) Check(*proxy.Revision) error {
	if h.TLS == nil {
		return errors.New("serving tcp: clients prove themselves over TLS only, and TLS is not set, so nobody can log in; set TLS")
	}
	return nil
}

// begin makes the configuration of TLS. A client that offers ALPN is answered by it; one that offers other protocols means those
// of the resource, about which the gateway says nothing.
func (h *Handler) begin() {
	h.once.Do(func() {
		if h.TLS == nil {
			return
		}
		plain := h.TLS.Clone()
		plain.NextProtos = nil
		// A client that resumes a session is not shown the certificate: it would not see a new one.
		plain.SessionTicketsDisabled = true
		plain.MinVersion = max(plain.MinVersion, tls.VersionTLS12)
		if plain.ClientAuth == tls.NoClientCert {
			plain.ClientAuth = tls.RequestClientCert
		}
		spoken := plain.Clone()
		spoken.NextProtos = []string{ALPN}
		h.server = plain.Clone()
		h.server.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if slices.Contains(hello.SupportedProtos, ALPN) {
				return spoken, nil
			}
			return plain, nil
		}
	})
}

// ServeConn serves one connection until it has ended.
func (h *Handler) ServeConn(ctx context.Context, c *proxy.Conn) error {
	h.begin()
	cl, err := h.greet(ctx, c)
	if err == nil {
		err = h.serve(ctx, c, cl)
	}
	if errors.Is(err, proxy.ErrClientLeft) {
		return nil
	}
	if err != nil && cl != nil {
		cl.refuse(err)
	}
	return err
}

// client is what a client has said before its session opens.
type client struct {
	conn       net.Conn // TLS over the gateway's connection, or that itself of a client that is known
	known      bool     // it has proven itself to the assembly
	spoken     bool     // it is told what the gateway answers
	open       bool     // what is written to it is the resource's
	serverName string
	certs      []*x509.Certificate

	login    proxy.Login
	password proxy.Secret
	ahead    []byte // what it has sent while it waited for an approval
}

// greet does the handshake of TLS, and reads what the client asks for where it says that. Where the result is not nil, the
// error can be told to the client.
func (h *Handler) greet(ctx context.Context, c *proxy.Conn) (*client, error) {
	cl := &client{conn: c, known: c.IsKnown(), spoken: c.IsKnown()}
	if !cl.known {
		if h.server == nil {
			return nil, errors.New("serving tcp: got no TLS configuration, want one with a certificate")
		}
		t := tls.Server(c, h.server)
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		state := t.ConnectionState()
		cl.conn, cl.serverName, cl.spoken = t, strings.ToLower(state.ServerName), state.NegotiatedProtocol == ALPN
		if certs := state.PeerCertificates; len(certs) > 0 && (h.KnowsCertificate == nil || h.KnowsCertificate(certs[0])) {
			cl.certs = certs
		}
	}
	if !cl.spoken {
		return cl, nil
	}
	line, err := readLine(cl.conn, maxAsk)
	if err != nil {
		if errors.Is(err, errLine) {
			return cl, fmt.Errorf("%w: %w", errAsk, err)
		}
		return nil, err // nobody is there
	}
	return cl, cl.read(line)
}

// read takes in what the client asks for.
func (cl *client) read(line []byte) error {
	var a ask
	err := json.Unmarshal(line, &a)
	clear(line) // it may hold a password
	if err != nil {
		return errAsk // its text could quote what was sent
	}
	if a.User != "" {
		if cl.login, err = proxy.ParseLogin(a.User); err != nil {
			return fmt.Errorf("%w: %w", errAsk, err)
		}
	}
	resource, ok := named.Agreed(cl.login.Resource, a.Resource)
	account, same := named.Agreed(cl.login.Account, a.Account)
	if !ok || !same {
		return errAmbiguous
	}
	cl.login.Resource, cl.login.Account = resource, account
	cl.password = proxy.NewSecret(a.Password)
	return nil
}

// resource works out which resource the client asks for; the ways of saying so must agree.
func (h *Handler) resource(cl *client) (string, error) {
	name, ok := named.Agreed(h.Resource, named.ByServer(cl.serverName, strings.ToLower(h.Domain)), cl.login.Resource)
	switch {
	case !ok:
		return "", errAmbiguous
	case name == "":
		return "", errNoResource
	}
	return name, nil
}

// authenticate proves who the client is: by what it has sent for that, else by the certificate that it has shown.
func (h *Handler) authenticate(ctx context.Context, c *proxy.Conn, cl *client) (*proxy.Identity, error) {
	switch {
	case cl.known:
		return c.Known(ctx)
	case cl.password.Reveal() != "":
		if cl.login.User == "" {
			return nil, fmt.Errorf("%w: a password came without a user name", errAsk)
		}
		return c.Authenticate(ctx, proxy.Proof{Method: proxy.MethodPassword, User: cl.login.User, Password: cl.password})
	case len(cl.certs) > 0:
		user := cl.login.User
		if user == "" {
			user = cl.certs[0].Subject.CommonName
		}
		return c.Authenticate(ctx, proxy.Proof{Method: proxy.MethodCertificate, User: user, Certificates: cl.certs})
	}
	return nil, errNoProof
}

var (
	errAsk        = errors.New("invalid request to the gateway")
	errAmbiguous  = errors.New("the server name, the user name, the request and this port name different resources or accounts")
	errNoResource = errors.New("no resource was named: name it by the TLS server name, or as USER+RESOURCE")
	errNoProof    = fmt.Errorf("%w: the client has shown no certificate of this gateway, and no password: log in first", proxy.ErrUnauthenticated)
)
