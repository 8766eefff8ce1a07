package kubernetes

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// Handler serves clients of clusters. Its fields must not change once it is in use; a Handler
// must not be copied.
type Handler struct {
	// Resource is the cluster that all clients of this listener get; empty when they choose one
	// by the host name.
	Resource string
	// TLS protects connections with clients. It is needed: kubectl sends tokens by TLS only.
	TLS *tls.Config
	// Domain makes NAME.DOMAIN a host name of the resource NAME.
	Domain string
	// Resources returns all resources that there are, of all protocols.
	Resources func() proxy.Resources
	// Ports returns those of the listeners at which a cluster is reached. Nil: this listener's alone.
	Ports func(resource string) []string
	// KnowsCertificate reports whether a client certificate could be a user's; who shows
	// another comes in without. Nil: every certificate could.
	KnowsCertificate func(*x509.Certificate) bool
	// Bearers are access tokens. Nil: nobody comes in by one.
	Bearers Bearers
	// Log is told of what goes wrong; nil is slog.Default.
	Log *slog.Logger
	// Shared is what several handlers share, such as those of one gateway. Nil: this one
	// shares nothing.
	Shared *Shared

	server relay.Server
	own    Shared
}

// Shared is what handlers know together: open sessions, and connections to clusters. The zero
// value is ready; it must not be copied.
type Shared struct {
	visits    relay.Visits
	upstreams relay.Upstreams
	denials   denials
}

// Close closes the connections that rest.
func (s *Shared) Close() error {
	s.upstreams.Close()
	return nil
}

// Bearers are access tokens. It is safe for concurrent use.
type Bearers interface {
	// Is reports whether a text has the form of such a token.
	Is(text string) bool
	// Bearer returns who a token proves now.
	Bearer(ctx context.Context, secret proxy.Secret) (*proxy.Identity, error)
}

// Protocol returns "kubernetes".
func (h *Handler) Protocol() string { return "kubernetes" }

// Check reports what leaves every client without a way in.
func (h *Handler) Check(*proxy.Revision) error {
	if h.TLS == nil {
		return errors.New("serving kubernetes: clients prove themselves over TLS only, and TLS is not set, so nobody can log in; set TLS")
	}
	return nil
}

// ServeConn serves the requests of one connection, and returns when it is closed.
func (h *Handler) ServeConn(ctx context.Context, c *proxy.Conn) error {
	if h.TLS == nil {
		return errors.New("serving kubernetes: got no TLS configuration, want one with a certificate")
	}
	return h.server.Serve(ctx, c, h.TLS, h, h.log())
}

func (h *Handler) log() *slog.Logger {
	if h.Log != nil {
		return h.Log
	}
	return slog.Default()
}

func (h *Handler) shared() *Shared {
	if h.Shared != nil {
		return h.Shared
	}
	return &h.own
}

// settingsOf are those of a resource.
func settingsOf(r *proxy.Resource) *Settings {
	if s, ok := r.Settings.(Settings); ok {
		return &s
	}
	return &Settings{}
}

// find returns the cluster of a request, and the host that it names; nil where no name of one is asked for here.
func (h *Handler) find(r *http.Request) (*proxy.Resource, string) {
	names := relay.Names{
		Protocol: h.Protocol(), Resource: h.Resource, Domain: h.Domain, Resources: h.Resources, Ports: h.Ports,
		Hosts: func(r *proxy.Resource) []string { return settingsOf(r).Hosts },
	}
	return names.Find(r)
}

// proof is what a request shows of who sends it.
type proof struct {
	key     string
	ambient bool // browsers add it by themselves, whichever page has sent the request
	find    func(ctx context.Context) (*proxy.Identity, error)
}

func digest(kind string, secret []byte) string {
	sum := sha256.Sum256(append([]byte(kind+" "), secret...))
	return hex.EncodeToString(sum[:])
}

// shown returns what a request shows of who sends it; nil when it shows nothing that counts here. A token
// comes first, since it was put there for this request.
func (h *Handler) shown(c *proxy.Conn, r *http.Request) (*proof, error) {
	if list := r.Header["Authorization"]; len(list) > 1 {
		return nil, fmt.Errorf("the request has %d headers Authorization: send one", len(list))
	}
	if scheme, secret, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && h.Bearers != nil && strings.EqualFold(scheme, "Bearer") {
		if secret = strings.TrimSpace(secret); h.Bearers.Is(secret) {
			return &proof{digest("token", []byte(secret)), false, func(ctx context.Context) (*proxy.Identity, error) {
				return h.Bearers.Bearer(ctx, proxy.NewSecret(secret))
			}}, nil
		}
	}
	certs := r.TLS.PeerCertificates
	if len(certs) == 0 || h.KnowsCertificate != nil && !h.KnowsCertificate(certs[0]) {
		return nil, nil
	}
	return &proof{digest("certificate", certs[0].Raw), true, func(ctx context.Context) (*proxy.Identity, error) {
		return c.Authenticate(ctx, proxy.Proof{Method: proxy.MethodCertificate, User: certs[0].Subject.CommonName, Certificates: certs})
	}}, nil
}
