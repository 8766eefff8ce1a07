package web

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// exchange is one request, and what answers it.
type exchange struct {
	h       *Handler
	w       http.ResponseWriter
	r       *http.Request
	conn    *proxy.Conn
	app     *app
	account string // of a client that has chosen one
	path    string // as it is decided about
	sent    string // the path and query as they are sent on

	upgrade bool // it asks for a WebSocket
	visit   *relay.Visit
	op      *proxy.Request
	read    relay.Body   // what was read of the body before it is sent on
	in, out *relay.Meter // of the bodies

	reached atomic.Bool // the application may have got some of the request
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := relay.ConnOf(r)
	x := &exchange{h: h, w: w, r: r, conn: c}
	if c == nil || r.TLS == nil && !c.IsKnown() {
		x.refuse(http.StatusBadRequest, "The request did not come by a listener of the gateway's.", "")
		return
	}
	if status, why := malformed(r); why != "" {
		w.Header().Set("Connection", "close")
		x.refuse(status, why, "")
		return
	}
	if x.app = h.find(r); x.known() {
		x.app, x.account = h.named(r)
	}
	if x.app == nil {
		x.refuse(http.StatusMisdirectedRequest, "No application of this name was found here.", "")
		return
	}
	path, sent, err := normal(r.URL.EscapedPath(), x.app.settings)
	if err != nil {
		x.refuse(http.StatusBadRequest, relay.Sentence(err.Error()), "")
		return
	}
	if x.path, x.sent = path, sent; r.URL.RawQuery != "" || r.URL.ForceQuery {
		x.sent += "?" + r.URL.RawQuery
	}
	if strings.HasPrefix(strings.ToLower(path), ownPath) {
		if x.known() {
			x.refuse(http.StatusNotFound, "The path is the gateway's own, and no application's.", "")
			return
		}
		h.serveOwn(x, path)
		return
	}
	if x.preflight() {
		return
	}
	x.serve()
}

// malformed returns why the gateway does not forward a request, whatever it is for.
func malformed(r *http.Request) (status int, why string) {
	switch {
	case r.Method == http.MethodConnect:
		return http.StatusMethodNotAllowed, "The gateway opens no tunnels by CONNECT."
	case r.Method == http.MethodTrace:
		return http.StatusMethodNotAllowed, "The gateway forwards no TRACE requests."
	case r.URL.Scheme != "" || r.URL.Host != "" || r.URL.Opaque != "" || !strings.HasPrefix(r.URL.Path, "/"):
		return http.StatusBadRequest, "The request names a whole address in the place of a path: name the host in Host alone."
	case len(r.URL.RawQuery) > maxPath || strings.ContainsFunc(r.URL.RawQuery, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '\\' }):
		return http.StatusBadRequest, "The query has characters that have to be encoded, or is too long."
	case r.TLS != nil && r.TLS.ServerName != "" && !relay.SameHost(r.TLS.ServerName, r.Host):
		return http.StatusMisdirectedRequest, "The request is for another host than the connection."
	}
	if name := overrides(r.Header); name != "" {
		return http.StatusBadRequest, "The request asks for another method by " + name + ": send it with that method."
	}
	if up := r.Header["Upgrade"]; len(up) > 0 || r.Header["Http2-Settings"] != nil {
		switch {
		case len(up) != 1 || !strings.EqualFold(up[0], "websocket"):
			return http.StatusBadRequest, "The gateway upgrades connections to websocket alone."
		case r.Method != http.MethodGet || r.ProtoMajor != 1 || !token(r.Header, "Connection", "upgrade"):
			return http.StatusBadRequest, "A WebSocket is asked for by GET in HTTP/1.1, with Connection: Upgrade."
		case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
			return http.StatusBadRequest, "A request for a WebSocket has no body."
		case r.Header["Http2-Settings"] != nil:
			return http.StatusBadRequest, "The gateway upgrades connections to websocket alone."
		}
	}
	return 0, ""
}

// friend reports whether pages of an origin may use the application.
func (a *app) friend(origin string) bool { return slices.Contains(a.settings.Origins, origin) }

// preflight answers a browser's question whether a page of another origin may send a request. It
// shows nothing of who would send it, so that the gateway answers by the settings.
func (x *exchange) preflight() bool {
	r := x.r
	origin, method := r.Header.Get("Origin"), r.Header.Get("Access-Control-Request-Method")
	if r.Method != http.MethodOptions || origin == "" || method == "" || origin == x.app.origin() {
		return false
	}
	head := x.w.Header()
	head.Add("Vary", "Origin")
	head.Add("Vary", "Access-Control-Request-Method")
	head.Add("Vary", "Access-Control-Request-Headers")
	if !x.app.friend(origin) {
		x.refuse(http.StatusForbidden, "Pages of this origin may not use the application.", "The operator can name it in origins.")
		return true
	}
	head.Set("Access-Control-Allow-Origin", origin)
	head.Set("Access-Control-Allow-Credentials", "true")
	if validMethod(method) {
		head.Set("Access-Control-Allow-Methods", method)
	}
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		head.Set("Access-Control-Allow-Headers", asked)
	}
	head.Set("Access-Control-Max-Age", "600")
	x.w.WriteHeader(http.StatusNoContent)
	return true
}

func validMethod(m string) bool {
	return m != "" && len(m) <= 32 && !strings.ContainsFunc(m, func(r rune) bool { return !(r >= 'A' && r <= 'Z' || r == '-' || r == '_') })
}

// serve finds out who asks, asks whether that may be, and forwards the request.
func (x *exchange) serve() {
	h, r := x.h, x.r
	p, err := x.shown()
	if err != nil {
		x.refuse(http.StatusBadRequest, relay.Sentence(err.Error()), "")
		return
	}
	if p == nil {
		h.unproven(x, "")
		return
	}
	x.upgrade = r.Header.Get("Upgrade") != ""
	if p.ambient {
		if err := foreign(r, x.app, x.upgrade); err != nil {
			x.refuse(http.StatusForbidden, relay.Sentence(err.Error()), "")
			return
		}
	}
	v, err := h.shared.visits.Enter(r.Context(), &relay.Entry{
		Conn: x.conn, Protocol: h.Protocol(), Resource: x.app.resource, Account: x.account, Proof: p.key, Find: p.find, Expected: !p.cookie.Empty(),
		Params: map[string]string{"host": x.app.host, "user_agent": relay.Clip(r.UserAgent(), 256)},
		Idle:   func(r *proxy.Resource) time.Duration { return settingsOf(r).idle() },
	})
	var waits *relay.WaitingError
	var refused *proxy.RefusedError
	switch {
	case err == nil:
	case errors.As(err, &waits):
		x.waits(waits.Pending, "")
		return
	case errors.As(err, &refused) && refused.Verdict.Cause == proxy.CausePolicy, errors.Is(err, proxy.ErrNotFound): // why is on record
		x.refuse(http.StatusForbidden, "You may not use this application.", "")
		return
	case errors.As(err, &refused):
		x.denied(&refused.Verdict)
		return
	case errors.Is(err, proxy.ErrUnavailable):
		x.refuse(http.StatusServiceUnavailable, "Who sends this request cannot be told now.", "Try again in a minute.")
		return
	case errors.Is(err, proxy.ErrUnauthenticated):
		if !p.cookie.Empty() {
			http.SetCookie(x.w, cookie(sessionCookie, "", -1))
		}
		h.unproven(x, "The login has ended, or the proof is not valid.")
		return
	case errors.Is(err, proxy.ErrTooMany):
		x.w.Header().Set("Retry-After", "10")
		x.refuse(http.StatusServiceUnavailable, "There are too many sessions now.", "Try again in a minute.")
		return
	default:
		h.log().Warn("web: no session", "resource", x.app.resource.Name, "err", err)
		x.refuse(http.StatusServiceUnavailable, "The gateway cannot open a session now.", "Try again in a minute.")
		return
	}
	x.visit = v
	defer v.Leave()
	x.op = x.operation()
	v.Decide(r.Context(), asked{x})
}

// asked is an exchange that is decided about.
type asked struct{ *exchange }

func (x asked) Op() proxy.Op { return x.op }

func (x asked) Key() string { return x.op.Method + " " + x.app.host + x.sent }

func (x asked) Buffer(limit int64) error {
	return x.read.Buffer(x.visit.Session().Context(), x.w, x.r, limit)
}

func (x asked) Print() [sha256.Size]byte {
	body := sha256.Sum256(x.read.Bytes())
	parts := []string{x.op.Kind.String(), x.op.Method, x.app.host, x.sent, string(body[:])}
	for _, name := range telling {
		parts = append(parts, strings.Join(x.r.Header[name], "\n"))
	}
	return relay.Print(parts...)
}

// telling are headers that say what a request does: SOAP, WebDAV and APIs of AWS have a part of that there. One that is sent again for an
// approval has the same. Others may differ, as those of traces do.
var telling = []string{
	"Content-Type", "Content-Encoding", "Content-Range", "Depth", "Destination", "If-Match", "If-None-Match", "Overwrite", "Range", "Soapaction", "X-Amz-Target",
}

func (x asked) Run(op proxy.Op, v *proxy.Verdict) {
	x.op, _ = op.(*proxy.Request) // it was this one's, or that of one like it
	x.run(v)
}

func (x asked) Denied(v *proxy.Verdict) { x.denied(v) }

func (x asked) Waits(p *proxy.Pending) { x.waits(p, "") }

func (x asked) TooLong(err error) {
	x.refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("This request needs an approval, and its body cannot wait for it: %v.", err), "Send a smaller one.")
}

// run forwards a request that may run.
func (x *exchange) run(v *proxy.Verdict) {
	out := &proxy.Outcome{}
	defer func() { x.visit.Done(x.op, out, x.in, x.out) }() // also when the connection is given up
	if v.Warn != "" {
		x.w.Header().Add("X-Gateway-Warning", relay.Line(v.Warn))
	}
	ctx, stop := x.visit.Bind(x.w, x.r)
	defer stop()
	if err := http.NewResponseController(x.w).EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		out.Err = err
		return
	}
	x.forward(ctx, out)
}

// operation is what the request asks for.
func (x *exchange) operation() *proxy.Request {
	op := &proxy.Request{
		Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: x.r.Method, Host: x.app.host, Path: x.path, Query: x.r.URL.RawQuery,
		Lasting: true, // whether the answer has an end is not known
	}
	if x.upgrade {
		op.Kind = proxy.KindUpgrade
	}
	op.Action = x.action()
	return op
}

// action is the operation's own name where it is known: the method of gRPC, the operation of GraphQL, or
// the path with what names one thing of many left out.
func (x *exchange) action() string {
	if relay.IsGRPC(x.r.Header) {
		return "grpc:" + strings.TrimPrefix(x.path, "/")
	}
	return shapeOf(x.path)
}
