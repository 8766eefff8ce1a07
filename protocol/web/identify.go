package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// proof is what a request shows of who sends it.
type proof struct {
	// key names it among those of all clients: a digest, since it is kept.
	key string
	// ambient says that browsers add it by themselves, whichever page has sent the request.
	ambient bool
	// find returns who it proves now.
	find func(ctx context.Context) (*proxy.Identity, error)
	// method says how, for the log of logins.
	claims string
	// cookie is the secret of a browser's login; empty: it is something else.
	cookie proxy.Secret
}

func digest(kind string, secret []byte) string {
	sum := sha256.Sum256(append([]byte(kind+" "), secret...))
	return hex.EncodeToString(sum[:])
}

// bearerOf returns the gateway's token that a header holds.
func (h *Handler) bearerOf(value string) (string, bool) {
	scheme, secret, ok := strings.Cut(value, " ")
	if !ok || h.Bearers == nil || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	secret = strings.TrimSpace(secret)
	return secret, h.Bearers.Is(secret)
}

// shown returns what a request shows of who sends it; nil when it shows nothing. A token
// comes first, since it was put there for this request.
func (x *exchange) shown() (*proof, error) {
	h, c, r, a := x.h, x.conn, x.r, x.app
	if x.known() {
		// The whole body is read before anybody is waited for, so that it is seen when the client leaves.
		return x.itself(), x.read.Buffer(r.Context(), x.w, r, relay.MaxHeldBody)
	}
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		if len(r.Header[name]) > 1 {
			return nil, fmt.Errorf("the request has %d headers %s: send one", len(r.Header[name]), name)
		}
		secret, ok := h.bearerOf(r.Header.Get(name))
		if !ok {
			continue
		}
		return &proof{
			key: digest("token", []byte(secret)), claims: "an access token",
			find: func(ctx context.Context) (*proxy.Identity, error) {
				return h.Bearers.Bearer(ctx, proxy.NewSecret(secret))
			},
		}, nil
	}
	if h.Logins != nil {
		list := r.CookiesNamed(sessionCookie)
		if len(list) > 1 {
			return nil, errors.New("the request has two cookies of the gateway: delete the cookies of this site")
		}
		if len(list) == 1 && list[0].Value != "" {
			secret := proxy.NewSecret(list[0].Value)
			return &proof{
				key: digest("cookie", []byte(list[0].Value)), ambient: true, cookie: secret, claims: "a login in the browser",
				find: func(ctx context.Context) (*proxy.Identity, error) {
					return h.Logins.Find(ctx, a.resource.Name, secret)
				},
			}, nil
		}
	}
	if certs := r.TLS.PeerCertificates; len(certs) > 0 && (h.KnowsCertificate == nil || h.KnowsCertificate(certs[0])) {
		return &proof{
			key: digest("certificate", certs[0].Raw), ambient: true, claims: certs[0].Subject.CommonName,
			find: func(ctx context.Context) (*proxy.Identity, error) {
				return c.Authenticate(ctx, proxy.Proof{Method: proxy.MethodCertificate, User: certs[0].Subject.CommonName, Certificates: certs})
			},
		}, nil
	}
	return nil, nil
}

// foreign returns why a request that a browser has sent by itself is refused: a page of
// another origin has sent it, which the application does not name.
func foreign(r *http.Request, a *app, upgrade bool) error {
	origin := r.Header.Get("Origin")
	if len(r.Header["Origin"]) > 1 {
		return errors.New("the request has several origins")
	}
	known := origin == a.origin() || slices.Contains(a.settings.Origins, origin)
	if upgrade {
		if origin == "" || known {
			return nil
		}
		return fmt.Errorf("a page of another site (%s) may not open a WebSocket here; the operator can name it in origins", clip(origin))
	}
	if safe(r.Method) || origin != "" && known {
		return nil
	}
	site := r.Header.Get("Sec-Fetch-Site")
	switch {
	case site == "same-origin", site == "none":
		return nil
	case site == "" && origin == "":
		return nil // no browser
	}
	return fmt.Errorf("a page of another site (%s) may not send a %s request here; the operator can name it in origins", clip(origin), r.Method)
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// clip makes what a client has sent fit for a message.
func clip(s string) string {
	if u, err := url.Parse(s); err != nil || len(s) > 200 || u.Host == "" {
		return "of an origin that is not told"
	}
	return s
}

// navigates reports whether a person's browser goes to a page, so that it can be sent to a login.
func navigates(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.Header.Get("Upgrade") != "" {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate" && r.Header.Get("Sec-Fetch-Dest") != "empty"
	}
	return !strings.EqualFold(r.Header.Get("X-Requested-With"), "XMLHttpRequest") && r.Header.Get("Origin") == "" && accepts(r, "text/html")
}

// accepts reports whether a client says that it takes a media type.
func accepts(r *http.Request, media string) bool {
	for _, line := range r.Header["Accept"] {
		for part := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), media) {
				return true
			}
		}
	}
	return false
}
