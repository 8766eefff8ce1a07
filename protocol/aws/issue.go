package aws

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// IssuePath is where clients get keys: POST with a certificate or an access token, or GET with an access token, of
// IssuePath and the resource's name.
const IssuePath = "/.gateway/keys/"

// Document are keys as SDKs read them of a process and of a container's service.
type Document struct {
	Version         int
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Token           string
	Expiration      time.Time
}

// issue answers a client that asks for keys.
func (x *exchange) issue(name string) {
	h, r := x.h, x.r
	refuse := func(status int, why string) {
		x.refuse(&problem{status: status, code: http.StatusText(status), message: why})
	}
	i, err := x.shown()
	switch {
	case err != nil:
		refuse(http.StatusBadRequest, relay.Sentence(err.Error()))
		return
	case i == nil:
		x.w.Header().Set("WWW-Authenticate", `Bearer realm="keys"`)
		refuse(http.StatusUnauthorized, "Keys are given to those who have logged in: send an access token, or show the certificate of a login.")
		return
	case r.Method != http.MethodPost && (r.Method != http.MethodGet || i.kind != byBearer):
		x.w.Header().Set("Allow", http.MethodPost)
		refuse(http.StatusMethodNotAllowed, "Keys are asked for by POST.")
		return
	case r.Header.Get("Origin") != "":
		refuse(http.StatusForbidden, "The gateway does not give keys to pages in a browser.")
		return
	}
	id, err := h.prove(r.Context(), x.conn, i)
	switch {
	case errors.Is(err, proxy.ErrUnauthenticated):
		x.conn.Gateway().Report(proxy.Event{Kind: proxy.EventLoginFailed, Protocol: h.Protocol(), Remote: x.conn.RemoteAddr(), Err: err})
		refuse(http.StatusUnauthorized, "The login has ended, or the proof is not valid. Log in again.")
		return
	case err != nil:
		h.log().Warn("aws: a login cannot be checked", "err", err)
		refuse(http.StatusServiceUnavailable, "The login cannot be checked now. Try again in a minute.")
		return
	}
	x.conn.Proven()
	resource := x.usable(id, name)
	if resource == nil {
		refuse(http.StatusNotFound, "No account of this name was found here, or you may not use it.")
		return
	}
	i.resource, i.expires = resource.Name, h.now().Add(settingsOf(resource).keys()).Truncate(time.Second)
	if i.kind == byCertificate {
		if end := r.TLS.PeerCertificates[0].NotAfter; end.Before(i.expires) {
			i.expires = end
		}
	}
	keys, err := h.Keys.issue(i)
	if err != nil {
		h.log().Error("aws: keys cannot be made", "subject", id.Subject, "err", err)
		refuse(http.StatusServiceUnavailable, "The gateway cannot make keys now. Try again in a minute.")
		return
	}
	b, err := json.Marshal(Document{1, keys.ID, keys.Secret.Reveal(), keys.Token, keys.Token, keys.Expires.UTC()})
	if err != nil {
		h.log().Error("aws: keys cannot be written", "err", err)
		refuse(http.StatusServiceUnavailable, "The gateway cannot make keys now. Try again in a minute.")
		return
	}
	head := x.w.Header()
	head.Set("Content-Type", "application/json")
	head.Set("Cache-Control", "no-store")
	_, _ = x.w.Write(append(b, '\n')) // the client is gone when this fails
}

// usable returns the account of a name, where somebody may use it or could after an approval; nil where it is not found, or where she may not.
// The access rules are asked in both cases, so that neither the answer nor its work tells one from the other.
func (x *exchange) usable(id *proxy.Identity, name string) *proxy.Resource {
	found := x.h.find(name)
	asked := found
	if asked == nil {
		asked = &proxy.Resource{Name: relay.Clip(name, maxName), Type: x.h.Protocol()}
	}
	s, connect, err := x.conn.Gateway().Open(x.r.Context(), proxy.OpenRequest{
		Identity: id, Target: proxy.Target{Resource: asked}, Protocol: x.h.Protocol(), Remote: x.conn.RemoteAddr(), Dry: true,
	})
	if err == nil {
		s.Done(connect, &proxy.Outcome{})
		s.Close(nil)
		return found
	}
	var refused *proxy.RefusedError
	switch {
	case errors.As(err, &refused) && refused.Verdict.Action == proxy.ActionHold:
	case errors.As(err, &refused) && refused.Verdict.Cause == proxy.CausePolicy, errors.Is(err, proxy.ErrNotFound):
		return nil
	} // every other reason is told when the keys are used
	return found
}

// shown is what a request for keys shows of who sends it; nil when it shows nothing.
func (x *exchange) shown() (*issued, error) {
	h, r := x.h, x.r
	switch list := r.Header["Authorization"]; {
	case len(list) > 1:
		return nil, errors.New("the request has two headers Authorization: send one")
	case len(list) == 1 && h.Bearers != nil:
		scheme, secret, _ := strings.Cut(list[0], " ")
		if secret = strings.TrimSpace(secret); strings.EqualFold(scheme, "Bearer") && h.Bearers.Is(secret) {
			return &issued{kind: byBearer, proof: []byte(secret)}, nil
		}
	}
	if certs := r.TLS.PeerCertificates; len(certs) > 0 && (h.KnowsCertificate == nil || h.KnowsCertificate(certs[0])) {
		return &issued{kind: byCertificate, proof: certs[0].Raw}, nil
	}
	return nil, nil
}

// prove returns who keys prove now: the login that they were made for may have ended.
func (h *Handler) prove(ctx context.Context, c *proxy.Conn, i *issued) (*proxy.Identity, error) {
	switch {
	case i.kind == byBearer && h.Bearers != nil:
		return h.Bearers.Bearer(ctx, proxy.NewSecret(string(i.proof)))
	case i.kind == byCertificate:
		cert, err := x509.ParseCertificate(i.proof)
		if err != nil {
			return nil, err
		}
		name := cert.Subject.CommonName
		return c.Authenticate(ctx, proxy.Proof{Method: proxy.MethodCertificate, User: name, Certificates: []*x509.Certificate{cert}})
	}
	return nil, proxy.ErrUnauthenticated
}

// entry is the visit that keys belong to: that of the login, whatever keys it has got.
func (x *exchange) entry(i *issued, resource *proxy.Resource) *relay.Entry {
	return &relay.Entry{
		Conn: x.conn, Protocol: x.h.Protocol(), Resource: resource, Proof: i.login(), Idle: idle,
		Find:   func(ctx context.Context) (*proxy.Identity, error) { return x.h.prove(ctx, x.conn, i) },
		Params: map[string]string{"host": relay.Clip(x.r.Host, 256), "user_agent": relay.Clip(x.r.UserAgent(), 256)},
	}
}
