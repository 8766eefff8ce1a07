package kubernetes

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// forward sends the request to the API server, and its answer back.
func (x *exchange) forward(ctx context.Context, out *proxy.Outcome) {
	s := x.visit.Session()
	credential, err := x.visit.Credential(ctx)
	if err != nil {
		out.Err = err
		x.refuse(http.StatusBadGateway, "the gateway has no credential for the cluster now", "Try again in a minute.")
		return
	}
	up, err := x.h.shared().upstreams.Of(s.Gateway(), s.Target.Resource, false, credential)
	if err != nil {
		x.h.log().Error("kubernetes: connections to a cluster", "resource", x.resource.Name, "err", err)
		out.Err = errors.New("the connection to the cluster is not set up")
		x.refuse(http.StatusBadGateway, "the cluster cannot be reached")
		return
	}
	own := make(http.Header)
	if err := authorise(own, s, credential); err != nil {
		out.Err = err
		x.refuse(http.StatusForbidden, err.Error())
		return
	}
	if x.r.Header.Get("Upgrade") != "" {
		x.upgrade(ctx, up, own, credential, out)
		return
	}
	flow, tell := s.Wants()
	wants := flow || tell
	rp := &httputil.ReverseProxy{
		Transport: up, BufferPool: relay.Copies(), ErrorLog: slog.NewLogLogger(x.h.log().Handler(), slog.LevelDebug),
		Rewrite:        func(p *httputil.ProxyRequest) { x.rewrite(p.Out, up, own, wants) },
		ModifyResponse: func(res *http.Response) error { return x.modify(res, wants, out, credential) },
		ErrorHandler:   func(_ http.ResponseWriter, _ *http.Request, err error) { x.failed(err, out) },
	}
	rp.ServeHTTP(x.w, x.r.WithContext(relay.Hints(ctx)))
}

// passed are the headers of a client's that reach the API server: it reads no others of those that
// clients send, and some of these would say who asks.
var passed = []string{"Accept", "Accept-Encoding", "Content-Type", "Content-Length", "If-None-Match", "If-Modified-Since", "User-Agent", "Kubectl-Command", "Kubectl-Session"}

// rewrite makes of a client's request the one that the API server gets.
func (x *exchange) rewrite(r *http.Request, up *relay.Upstream, own http.Header, wants bool) {
	r.URL = &url.URL{Scheme: up.Scheme, Host: up.Host, Path: x.r.URL.Path, RawPath: x.r.URL.RawPath, RawQuery: x.r.URL.RawQuery, ForceQuery: x.r.URL.ForceQuery}
	r.Host = up.Host
	h := make(http.Header, len(passed)+len(own))
	for _, name := range passed {
		if v := x.r.Header[name]; v != nil { // also where a client has said that the connection needs it alone
			h[name] = slices.Clone(v)
		}
	}
	for name, v := range own {
		h[name] = v
	}
	if wants || x.hides() {
		h.Set("Accept-Encoding", "identity")
		delete(h, "If-None-Match")
		delete(h, "If-Modified-Since")
		if x.call.isObject() {
			h["Accept"] = []string{readable(h["Accept"])}
		}
	}
	r.Header, r.Trailer = h, nil
	x.in = relay.NewMeter()
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &relay.Measured{ReadCloser: r.Body, Meter: x.in}
	}
}

// isObject reports whether the call is answered by objects of the API. What says nothing of a resource is its schemas and names; logs and
// what a proxy reaches have types of their own.
func (c *call) isObject() bool {
	return c.resource != "" && c.subresource != "log" && c.subresource != "proxy"
}

// readable returns what is asked for in the place of what an Accept says: JSON, where that was something which could not be looked at.
func readable(accept []string) string {
	var keep []string
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			media, _, _ := strings.Cut(strings.ToLower(part), ";")
			if strings.TrimSpace(media) == "application/json" {
				keep = append(keep, strings.TrimSpace(part))
			}
		}
	}
	if len(keep) == 0 {
		return "application/json"
	}
	return strings.Join(keep, ", ")
}

// hides reports whether the answer may show values of Secrets that are hidden.
func (x *exchange) hides() bool { return x.call.isSecret() && !settingsOf(x.resource).ShowSecrets }

// modify makes of the API server's answer the one that the client gets. An error withholds it.
func (x *exchange) modify(res *http.Response, wants bool, out *proxy.Outcome, c *proxy.Credential) error {
	out.Code = strconv.Itoa(res.StatusCode)
	h := res.Header
	for _, name := range []string{"Set-Cookie", "Alt-Svc", "Www-Authenticate"} {
		delete(h, name)
	}
	if res.StatusCode == http.StatusUnauthorized && c != nil {
		x.visit.Refused()
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return errors.New("the API server has upgraded a connection that was not to be")
	}
	x.out = relay.NewMeter()
	if x.hides() {
		if err := hide(res); err != nil {
			return err
		}
	}
	if wants {
		if x.call.resource != "" && opaque(h.Get("Content-Type")) && res.ContentLength != 0 {
			return errOpaque
		}
		f := &relay.Filter{Session: x.visit.Session(), Op: x.op, Head: x.r.Method == http.MethodHead}
		if err := f.Answer(res); err != nil {
			return err
		}
	}
	if res.Body != nil && res.Body != http.NoBody {
		res.Body = &relay.Measured{ReadCloser: res.Body, Meter: x.out, Failed: func(err error) {
			var withheld *relay.WithheldError
			if errors.As(err, &withheld) || errors.Is(err, errSecret) {
				out.Err = err
			}
		}}
	}
	return nil
}

var errOpaque = errors.New("the answer is withheld: the API server has sent it in a form that the gateway does not read, although it was asked for JSON")

// opaque reports whether a type of the API's own cannot be looked at.
func opaque(media string) bool {
	media, _, err := mime.ParseMediaType(media)
	return err == nil && (strings.HasPrefix(media, "application/vnd.kubernetes.") || strings.HasPrefix(media, "application/cbor") || strings.HasSuffix(media, "+protobuf"))
}

// hide hides the values of Secrets in an answer.
func hide(res *http.Response) error {
	if res.Body == nil || res.Body == http.NoBody || res.ContentLength == 0 {
		return nil
	}
	media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if coding := res.Header.Get("Content-Encoding"); err != nil || media != "application/json" || coding != "" && coding != "identity" {
		return errOpaque
	}
	res.Body = &secretBody{ReadCloser: res.Body}
	res.ContentLength = -1
	for _, name := range []string{"Content-Length", "Etag"} {
		delete(res.Header, name)
	}
	return nil
}

// failed answers a request that the API server has not.
func (x *exchange) failed(err error, out *proxy.Outcome) {
	var withheld *relay.WithheldError
	switch cause := x.visit.Session().Err(); {
	case errors.As(err, &withheld), errors.Is(err, errOpaque):
		out.Err = err
		x.refuse(http.StatusBadGateway, err.Error())
	case cause != nil:
		out.Err = cause
		x.refuse(http.StatusForbidden, "the session has ended: "+cause.Error())
	case errors.Is(err, context.Canceled) || x.r.Context().Err() != nil:
		out.Err = proxy.ErrClientLeft
		panic(http.ErrAbortHandler)
	default:
		x.h.log().Warn("kubernetes: a cluster does not answer", "resource", x.resource.Name, "session", x.visit.Session().ID, "err", err)
		out.Err = errors.New("the cluster cannot be reached, or does not answer")
		x.refuse(http.StatusBadGateway, "the cluster cannot be reached, or does not answer", "Try again in a minute; the gateway's log says why.")
	}
}

// authorise sets who asks the cluster: the account, or who it speaks for.
func authorise(h http.Header, s *proxy.Session, c *proxy.Credential) error {
	if c != nil {
		secret := c.Token.Reveal()
		if secret == "" {
			secret = c.Password.Reveal()
		}
		if secret != "" {
			h.Set("Authorization", "Bearer "+secret)
		}
	}
	set := settingsOf(s.Target.Resource)
	switch set.Impersonate {
	case ImpersonateAccount:
		name := s.Target.Account.Username
		if !printable(name) {
			return errors.New("the account has no user name that the cluster could be asked as")
		}
		h.Set("Impersonate-User", name)
	case ImpersonateUser:
		id := s.Identity
		if now := s.Gateway().Session(s.ID); now != nil {
			id = now.Identity
		}
		list := append([]string{id.Subject}, id.Groups...)
		for i, name := range list {
			if !printable(name) {
				return errors.New("your name, or that of a group of yours, has characters that the cluster cannot be told")
			}
			list[i] = set.prefix() + name
		}
		h.Set("Impersonate-User", list[0])
		h["Impersonate-Group"] = list[1:]
	}
	return nil
}

// printable reports whether a name can be told in a header as it is.
func printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) && strings.TrimSpace(s) == s
}
