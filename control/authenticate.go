package control

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/proxy"
)

// SessionCookie is what browsers show. Its name ties it to one host and TLS.
const SessionCookie = "__Host-session"

// means is by what a caller is known.
type means uint8

const (
	byLogin       means = iota // the session of a login: a person is there
	byPeer                     // the operating system's word
	byCertificate              // one that a login was given
	byToken                    // an access token
)

// meansOf returns by what an identity was proven to the API.
func meansOf(who *proxy.Identity) means {
	token := who.Claims[identity.ClaimToken]
	switch {
	case who.Method == proxy.MethodPeer:
		return byPeer
	case who.Method == proxy.MethodCertificate:
		return byCertificate
	case token != "":
		return byToken
	}
	return byLogin
}

// Known is who makes a request. It is for Authenticate of a handler that is served on the
// local socket and, by TLS, to other machines: at the socket it is who the operating system
// says; elsewhere it is proven by the session of a login or an access token, as a bearer,
// by the cookie of a browser that is at a page of the gateway's own, or by a client
// certificate.
func (h *Handler) Known(r *http.Request) (*proxy.Identity, error) {
	if isPeer(r) {
		return PeerIdentity(r)
	}
	if r.TLS == nil {
		return nil, fmt.Errorf("%w: the request did not come by TLS", proxy.ErrUnauthenticated)
	}
	p := h.portal()
	secret, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if bearer {
		return p.bearer(r.Context(), proxy.NewSecret(secret))
	}
	if r.Header.Get("Authorization") != "" {
		return nil, proxy.ErrUnauthenticated
	}
	if c, err := r.Cookie(SessionCookie); err == nil {
		if err := fromHere(r); err != nil {
			return nil, err
		}
		return p.session(r.Context(), proxy.NewSecret(c.Value))
	}
	if len(r.TLS.PeerCertificates) > 0 && p.Identities != nil {
		leaf := r.TLS.PeerCertificates[0]
		return p.Identities.Authenticate(r.Context(), proxy.Proof{
			Method: proxy.MethodCertificate, User: leaf.Subject.CommonName, Certificates: r.TLS.PeerCertificates, Remote: remoteAddr(r), Protocol: apiProtocol,
		})
	}
	return nil, proxy.ErrUnauthenticated
}

// apiProtocol is what proofs and events of the API have as their protocol.
const apiProtocol = "api"

func isPeer(r *http.Request) bool {
	_, ok := r.Context().Value(peerKey{}).(Peer)
	return ok
}

// fromHere refuses what a page of another site has the browser send with its cookie,
// reading included.
func fromHere(r *http.Request) error {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "", "same-origin", "none":
		return nil
	default:
		return fmt.Errorf("%w: the request comes from a page of another site (%q)", proxy.ErrUnauthenticated, site)
	}
}

// bearer is who a secret proves.
func (p *Portal) bearer(ctx context.Context, secret proxy.Secret) (*proxy.Identity, error) {
	if !tokens.IsSecret(tokens.Prefix, secret.Reveal()) {
		return p.session(ctx, secret)
	}
	if p.Tokens == nil || p.Identities == nil {
		return nil, proxy.ErrUnauthenticated
	}
	id, err := p.Tokens.Find(ctx, secret)
	if err != nil {
		return nil, err
	}
	return p.now(ctx, id)
}

func (p *Portal) session(ctx context.Context, secret proxy.Secret) (*proxy.Identity, error) {
	if p.Sessions == nil {
		return nil, proxy.ErrUnauthenticated
	}
	return p.Sessions.Find(ctx, secret)
}

// now is who an identity is now.
func (p *Portal) now(ctx context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	now, err := p.Identities.Refresh(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
	}
	if now == nil || now.Subject != id.Subject {
		return nil, proxy.ErrUnauthenticated
	}
	return now, nil
}

// scoped reports whether the caller has less than her own rights: her access token says
// what it is for.
func (c *call) scoped() (bool, error) {
	if c.means != byToken {
		return false, nil
	}
	if c.portal.Tokens == nil {
		return true, nil
	}
	return c.portal.Tokens.Scoped(c.Context(), c.who)
}

// LoginName is the name with which somebody logs in at listeners. It decides nothing: a
// certificate says who it is.
func LoginName(who *proxy.Identity) string {
	_, own, _ := strings.Cut(who.Subject, "/") // of a provider's user
	for _, name := range []string{who.Name, who.Subject, own} {
		if name != "" && identity.ValidName(name) == nil {
			return name
		}
	}
	return "me"
}

// remoteAddr is where a request comes from, for proofs.
func remoteAddr(r *http.Request) net.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return nil
	}
	return net.TCPAddrFromAddrPort(at)
}

// wait is the refusal of a caller who asks too often.
func wait(w http.ResponseWriter, d time.Duration) error {
	seconds := int((d + time.Second - 1) / time.Second)
	w.Header().Set("Retry-After", fmt.Sprint(seconds))
	return &Error{http.StatusTooManyRequests, CodeBusy, fmt.Sprintf("too many requests: ask again in %d s", seconds)}
}
