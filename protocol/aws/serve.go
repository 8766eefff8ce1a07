package aws

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// exchange is one request, and what answers it.
type exchange struct {
	h    *Handler
	w    http.ResponseWriter
	r    *http.Request
	conn *proxy.Conn

	signed   *sigv4.Signed
	issued   *issued
	resource *proxy.Resource
	settings *Settings
	call     *call
	payload  payload

	visit   *relay.Visit
	op      *proxy.Request
	read    relay.Body
	body    *awaited // nil: the request has no body
	held    int64    // of room, for the body
	in, out *relay.Meter
	ran     atomic.Bool // the account may have got it, and has not said that it failed
}

// maxBody bounds the body of a request to another service than S3, which is read before anything is decided.
const maxBody = 16 << 20

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = r.WithContext(r.Context()) // whose body is another's: the server knows by its own whether the client has been asked for it
	x := &exchange{h: h, w: w, r: r, conn: relay.ConnOf(r)}
	if r.Body != nil && r.Body != http.NoBody {
		x.body = &awaited{ReadCloser: r.Body, from: http.NewResponseController(w), wait: cmp.Or(h.patience, bodyIdle)}
		r.Body = x.body
	}
	if x.conn == nil || r.TLS == nil {
		x.refuse(&problem{http.StatusBadRequest, "InvalidRequest", "The request did not come through a listener of the gateway."})
		return
	}
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace || len(r.Header["Upgrade"]) > 0 || r.Header["Http2-Settings"] != nil {
		w.Header().Set("Connection", "close")
		x.refuse(&problem{http.StatusMethodNotAllowed, "MethodNotAllowed", "The gateway does not open tunnels or upgrade connections."})
		return
	}
	if name, ok := strings.CutPrefix(r.RequestURI, IssuePath); ok {
		x.issue(name)
		return
	}
	defer x.leave()
	if err := x.authenticate(); err != nil {
		x.refuse(x.problem(err))
		return
	}
	x.serve()
}

// authenticate reads the request, and checks that somebody with keys of this gateway's has signed it.
func (x *exchange) authenticate() error {
	h, r := x.h, x.r
	target, err := sigv4.ParseTarget(r.RequestURI)
	if err != nil {
		return err
	}
	if x.signed, err = sigv4.Parse(r, target); err != nil {
		x.signed = nil
		return err
	}
	s := x.signed
	if err := s.Covered(r); err != nil {
		return err
	}
	now := h.now()
	if err := s.Fresh(now); err != nil {
		return err
	}
	issued, secret, err := h.Keys.find(s.KeyID, s.Token, now)
	if err != nil {
		return err
	}
	x.issued = issued
	if x.resource = h.find(issued.resource); x.resource == nil {
		return errToken
	}
	x.settings = settingsOf(x.resource)
	x.call = &call{service: s.Service, region: s.Region, known: services[s.Service], method: r.Method, target: target, header: r.Header, holds: x.holds}
	isS3 := x.form() == formS3
	if x.payload, err = payloadOf(r, s, isS3); err != nil {
		return err
	}
	if !x.payload.known { // the signature covers the digest of a body that has to be read first
		if err := x.whole(maxBody); err != nil {
			return err
		}
		x.payload.word = sigv4.Digest(x.call.body)
	}
	key, err := s.Verify(r, target, secret, isS3, x.payload.word)
	if err != nil {
		return err
	}
	if err := hoisted(r, target); err != nil {
		return err
	}
	if err := x.payload.decode(r, s, key); err != nil {
		return err
	}
	if isS3 {
		x.bucket()
		if readsS3Body(x.call) {
			return x.whole(maxS3Body)
		}
		return nil
	}
	return x.whole(maxBody)
}

// hoisted moves parameters of a presigned address that are headers into the headers: services read them as these.
func hoisted(r *http.Request, t *sigv4.Target) error {
	var keep []sigv4.Param
	for _, p := range t.Query {
		if len(p.Name) < 6 || !strings.EqualFold(p.Name[:6], "x-amz-") {
			keep = append(keep, p)
			continue
		}
		name := http.CanonicalHeaderKey(p.Name)
		if _, twice := r.Header[name]; twice || strings.ContainsFunc(p.Name, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == ':' }) || p.Value != relay.Line(p.Value) {
			return fmt.Errorf("%w: %s is there twice, or is not a header", sigv4.ErrForm, sigv4.Escape(p.Name))
		}
		r.Header[name] = []string{p.Value}
	}
	t.Query = keep
	return nil
}

// bucket moves a bucket that the host names into the path.
func (x *exchange) bucket() {
	host, _, err := relay.SplitHost(x.r.Host)
	if err != nil {
		return
	}
	bases := slices.Clone(x.settings.Hosts)
	if x.h.Domain != "" {
		bases = append(bases, x.resource.Name+"."+x.h.Domain)
	}
	bucket := ""
	for _, text := range bases {
		base, _, err := relay.SplitHost(text)
		if err != nil {
			continue
		}
		if host == base {
			return // it is the account's, also where it is below another one
		}
		if name, ok := strings.CutSuffix(host, "."+base); ok && (bucket == "" || len(name) < len(bucket)) {
			bucket = name
		}
	}
	if bucket != "" {
		x.call.target.Path = append([]string{bucket}, x.call.target.Path...)
	}
}

// serve finds out what is asked for, asks whether that may be, and sends it on.
func (x *exchange) serve() {
	s := x.signed
	if !x.settings.takes(x.settings.Regions, s.Region) || !isRegion(s.Region) {
		x.refuse(&problem{http.StatusForbidden, "AccessDenied", "The gateway does not serve the region " + s.Region + " for this account."})
		return
	}
	if !x.settings.takes(x.settings.Services, s.Service) {
		x.refuse(&problem{http.StatusForbidden, "AccessDenied", "The gateway does not serve the service " + s.Service + " for this account."})
		return
	}
	if err := x.call.read(x.settings.EmptySegments); err != nil {
		x.refuse(problemOf(err))
		return
	}
	x.op = x.call.operation()
	v, err := x.h.shared.visits.Enter(x.r.Context(), x.entry(x.issued, x.resource))
	if err != nil {
		x.refuse(x.outside(err))
		return
	}
	defer v.Leave()
	x.visit = v
	if x.once() {
		who := v.Session().Identity.Subject
		fresh, full := x.h.shared.seen.add(who, s.Value(), x.h.now())
		switch {
		case full:
			x.refuse(unavailable("The gateway has too many of your requests to remember. Try again in some minutes."))
			return
		case !fresh:
			x.refuse(&problem{http.StatusForbidden, "AccessDenied", "This request has been sent before: sign it anew."})
			return
		}
		defer func() {
			if !x.ran.Load() { // SDKs try it again, some of them with the signature that it has
				x.h.shared.seen.forget(who, s.Value())
			}
		}()
	}
	v.Decide(x.r.Context(), x.parts()...)
}

// once reports whether the request may come once only. Where neither the body nor the attempt is signed, a client may have written
// several things in one second.
func (x *exchange) once() bool {
	s := x.signed
	says := len(x.payload.word) == 2*sha256.Size || x.payload.signed || slices.Contains(s.Names, "amz-sdk-request")
	return says && !s.Presigned && x.op.Access != proxy.AccessRead
}

// outside is why a request comes into no session.
func (x *exchange) outside(err error) *problem {
	var pending *relay.WaitingError
	var refused *proxy.RefusedError
	switch {
	case errors.As(err, &pending):
		return waits(pending.Pending)
	case errors.As(err, &refused) && refused.Verdict.Cause == proxy.CausePolicy, errors.Is(err, proxy.ErrNotFound): // why is on record
		return &problem{http.StatusForbidden, "AccessDenied", "You may not use this account."}
	case errors.As(err, &refused):
		return denied(&refused.Verdict)
	case errors.Is(err, proxy.ErrUnauthenticated):
		return &problem{http.StatusForbidden, "ExpiredToken", "The login has ended. Log in again."}
	case errors.Is(err, proxy.ErrUnavailable):
		return unavailable("The gateway cannot check now who sends this request. Try again in a minute.")
	case errors.Is(err, proxy.ErrTooMany):
		return unavailable("There are too many sessions now. Try again in a minute.")
	}
	x.h.log().Warn("aws: no session", "resource", x.resource.Name, "err", err)
	return unavailable("The gateway cannot open a session now. Try again in a minute.")
}

// run sends on a request that may run.
func (x *exchange) run(_ *proxy.Verdict) {
	out := &proxy.Outcome{}
	defer func() { x.visit.Done(x.op, out, x.in, x.out) }() // also when the connection is given up
	ctx, stop := x.visit.Bind(x.w, x.r)
	defer stop()
	x.forward(ctx, out)
}
