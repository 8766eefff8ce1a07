package web

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// forward sends the request to the application, and its answer back.
func (x *exchange) forward(ctx context.Context, out *proxy.Outcome) {
	s := x.visit.Session()
	credential, err := x.visit.Credential(ctx)
	if err != nil {
		out.Err = err
		x.refuse(http.StatusBadGateway, "The gateway has no credential for the application now.", "Try again in a minute.")
		return
	}
	resource := s.Target.Resource
	up, err := x.h.shared.upstreams.Of(s.Gateway(), resource, x.app.settings.HTTP2, credential)
	if err != nil {
		x.h.log().Error("web: connections to an application", "resource", resource.Name, "err", err)
		out.Err = errors.New("the connection to the application is not set up")
		x.refuse(http.StatusBadGateway, "The application cannot be reached.", "")
		return
	}
	assertion := ""
	if x.h.Signer != nil {
		if assertion, err = x.h.Signer.sign(x); err != nil {
			x.h.log().Error("web: an assertion cannot be signed", "err", err)
			out.Err = errors.New("the assertion cannot be signed")
			x.refuse(http.StatusServiceUnavailable, "The gateway cannot tell the application who you are.", "Try again in a minute.")
			return
		}
	}
	flow, tell := s.Wants()
	wants := flow || tell
	ctx = httptrace.WithClientTrace(relay.Hints(ctx), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { x.reached.Store(true) }})
	rp := &httputil.ReverseProxy{
		Transport: up, BufferPool: relay.Copies(), ErrorLog: slog.NewLogLogger(x.h.log().Handler(), slog.LevelDebug),
		Rewrite:        func(p *httputil.ProxyRequest) { x.rewrite(p, up, credential, assertion, wants) },
		ModifyResponse: func(res *http.Response) error { return x.modify(res, wants, out, credential) },
		ErrorHandler:   func(_ http.ResponseWriter, _ *http.Request, err error) { x.failed(err, out) },
	}
	rp.ServeHTTP(x.w, x.r.WithContext(ctx))
}

// rewrite makes of a client's request the one that the application gets. Headers that the client has named
// in Connection are gone already; what is set here stays.
func (x *exchange) rewrite(p *httputil.ProxyRequest, up *relay.Upstream, c *proxy.Credential, assertion string, wants bool) {
	s, out := x.app.settings, p.Out
	path, _, _ := strings.Cut(x.sent, "?")
	decoded, err := url.PathUnescape(path)
	if err != nil { // it was decoded before
		decoded = path
	}
	out.URL = &url.URL{Scheme: up.Scheme, Host: up.Host, Path: decoded, RawPath: path, RawQuery: x.r.URL.RawQuery, ForceQuery: x.r.URL.ForceQuery}
	out.Host = x.app.host
	if s.HostHeader != "" {
		out.Host = s.HostHeader
	}
	h := out.Header
	strip(h, s.assertionHeader())
	withoutCookies(h)
	if _, ours := x.h.bearerOf(h.Get("Authorization")); ours {
		delete(h, "Authorization")
	}
	strip(h, "Proxy-Authorization")
	if at := relay.Address(x.conn.RemoteAddr()); at != "" {
		h.Set("X-Forwarded-For", at)
	}
	h.Set("X-Forwarded-Host", x.app.host)
	h.Set("X-Forwarded-Proto", "https")
	inject(h, s, c)
	if assertion != "" {
		h.Set(s.assertionHeader(), assertion)
	}
	if wants {
		x.askPlain(h)
	}
	x.in = relay.NewMeter()
	if out.Body != nil && out.Body != http.NoBody {
		trailer := make(http.Header)
		for name := range x.r.Trailer {
			if !forwarded(name) && !same(name, s.assertionHeader()) && !same(name, "Authorization") && !same(name, s.Credential) && !same(name, "Cookie") {
				trailer[name] = nil
			}
		}
		out.Trailer = trailer
		out.Body = &relay.Measured{ReadCloser: out.Body, Meter: x.in, End: func() {
			for name := range trailer {
				trailer[name] = x.r.Trailer[name]
			}
		}}
	}
}

// askPlain asks the application for an answer that can be looked at: whole, and not compressed.
func (x *exchange) askPlain(h http.Header) {
	h.Set("Accept-Encoding", "identity")
	for _, name := range []string{"Grpc-Accept-Encoding", "Sec-Websocket-Extensions", "Accept-Signature", "Want-Content-Digest", "Want-Repr-Digest"} {
		delete(h, name)
	}
	if safe(x.r.Method) {
		for _, name := range []string{"Range", "If-Range", "If-None-Match", "If-Modified-Since"} {
			delete(h, name)
		}
	}
}

// inject adds the account's secret.
func inject(h http.Header, s *Settings, c *proxy.Credential) {
	secret := secretOf(c)
	if secret == "" {
		return
	}
	name := "Authorization"
	value := "Bearer " + secret
	switch how := s.Credential; {
	case how == "basic" || how == "" && c.Username != "":
		value = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+secret))
	case how != "" && how != "bearer":
		name, value = how, secret
	}
	strip(h, name)
	h.Set(name, value)
}

func secretOf(c *proxy.Credential) string {
	if c == nil {
		return ""
	}
	if t := c.Token.Reveal(); t != "" {
		return t
	}
	return c.Password.Reveal()
}

// failed answers a request that the application has not.
func (x *exchange) failed(err error, out *proxy.Outcome) {
	var withheld *relay.WithheldError
	switch cause := x.visit.Session().Err(); {
	case errors.As(err, &withheld):
		out.Err = withheld
		x.refuse(http.StatusBadGateway, relay.Sentence(withheld.Error()), "")
	case cause != nil:
		out.Err = cause
		x.refuse(http.StatusForbidden, relay.Sentence("the session has ended: "+cause.Error()), "")
	case errors.Is(err, context.Canceled) || x.r.Context().Err() != nil:
		out.Err = proxy.ErrClientLeft
		panic(http.ErrAbortHandler)
	default:
		x.h.log().Warn("web: an application does not answer", "resource", x.app.resource.Name, "session", x.visit.Session().ID, "err", err)
		out.Err = errors.New("the application cannot be reached, or does not answer")
		x.refuse(http.StatusBadGateway, "The application cannot be reached, or does not answer.", "Try again in a minute; the gateway's log says why.")
	}
}

// modify makes of an application's answer the one that the client gets. An error withholds it.
func (x *exchange) modify(res *http.Response, wants bool, out *proxy.Outcome, c *proxy.Credential) error {
	out.Code = strconv.Itoa(res.StatusCode)
	h := res.Header
	withoutOwnCookies(h)
	for name := range h {
		if len(name) > 10 && same(name[:10], "X-Gateway-") {
			delete(h, name)
		}
	}
	delete(h, "Alt-Svc") // it leads around the gateway
	x.redirect(h)
	if res.StatusCode == http.StatusUnauthorized && secretOf(c) != "" {
		// A browser would ask for a password that its user does not have.
		delete(h, "Www-Authenticate")
		x.visit.Refused()
	}
	x.out = relay.NewMeter()
	if wants {
		f := relay.Filter{Session: x.visit.Session(), Op: x.op, Head: x.r.Method == http.MethodHead, Scripts: x.app.settings.MaskScripts}
		if err := f.Answer(res); err != nil {
			return err
		}
	}
	if res.StatusCode != http.StatusSwitchingProtocols && res.Body != nil && res.Body != http.NoBody {
		res.Body = &relay.Measured{ReadCloser: res.Body, Meter: x.out, Failed: func(err error) {
			var withheld *relay.WithheldError
			if errors.As(err, &withheld) {
				out.Err = withheld
			}
		}}
	}
	return nil
}

// redirect has answers lead to the application as the client knows it.
func (x *exchange) redirect(h http.Header) {
	for _, name := range []string{"Location", "Content-Location"} {
		u, err := url.Parse(h.Get(name))
		if err != nil || u.Host == "" || u.User != nil || !strings.EqualFold(u.Host, x.app.resource.Address) {
			continue
		}
		u.Scheme, u.Host = "https", x.app.host
		h.Set(name, u.String())
	}
}
