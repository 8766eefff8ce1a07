package kubernetes

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// exchange is one request, and what answers it.
type exchange struct {
	h        *Handler
	w        http.ResponseWriter
	r        *http.Request
	resource *proxy.Resource
	host     string
	query    url.Values
	call     *call
	visit    *relay.Visit
	op       proxy.Op
	body     relay.Body
	in, out  *relay.Meter
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{h: h, w: w, r: r}
	conn := relay.ConnOf(r)
	if conn == nil || r.TLS == nil {
		x.refuse(http.StatusBadRequest, "the request did not come by a listener of the gateway's")
		return
	}
	if code, err := x.read(); err != nil {
		if code == http.StatusBadRequest {
			w.Header().Set("Connection", "close")
		}
		x.refuse(code, err.Error())
		return
	}
	p, err := h.shown(conn, r)
	if err != nil {
		x.refuse(http.StatusBadRequest, err.Error())
		return
	}
	if p == nil {
		x.unproven("the gateway does not know who sends this request")
		return
	}
	if p.ambient && (r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "") {
		x.refuse(http.StatusForbidden, "a browser has sent this with a certificate, perhaps for a page of another site: clusters take no requests of browsers")
		return
	}
	v, err := h.shared().visits.Enter(r.Context(), &relay.Entry{
		Conn: conn, Protocol: h.Protocol(), Resource: x.resource, Proof: p.key, Find: p.find,
		Params: map[string]string{"host": x.host, "user_agent": relay.Clip(r.UserAgent(), 256)},
		Idle:   func(r *proxy.Resource) time.Duration { return settingsOf(r).idle() },
	})
	if err != nil {
		x.shut(err)
		return
	}
	x.visit = v
	defer v.Leave()
	if x.op, err = x.operation(); err != nil {
		var code *codeError
		if errors.As(err, &code) {
			x.refuse(code.code, err.Error())
		} else {
			x.refuse(http.StatusBadRequest, err.Error())
		}
		return
	}
	a := asked{x}
	if x.spdy() {
		// kubectl asks in this form when it was refused in the other: that is one operation.
		if again := h.shared().denials.of(v.Session().ID + " " + a.Key()); again != nil {
			x.denied(again)
			return
		}
	}
	v.Decide(r.Context(), a)
}

// spdy reports whether the request asks for a connection of SPDY.
func (x *exchange) spdy() bool { return strings.EqualFold(x.r.Header.Get("Upgrade"), "SPDY/3.1") }

// read finds out what a request is, and for which cluster.
func (x *exchange) read() (int, error) {
	r := x.r
	if err := malformed(r); err != nil {
		return http.StatusBadRequest, err
	}
	if x.resource, x.host = x.h.find(r); x.resource == nil {
		return http.StatusMisdirectedRequest, errors.New("no cluster of this name was found here")
	}
	if err := checkPath(r.URL); err != nil {
		return http.StatusBadRequest, err
	}
	var err error
	if x.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return http.StatusBadRequest, errQuery
	}
	if x.call, err = parse(r.Method, r.URL.Path, x.query); err != nil {
		return http.StatusBadRequest, err
	}
	if x.call.leads(r.URL.Path) && !settingsOf(x.resource).ShowSecrets {
		return http.StatusForbidden, errors.New("this path leads to the API of another cluster, where values of Secrets would be shown: make each cluster a resource of its own")
	}
	for name := range r.Header {
		if fold(name, "impersonate-") {
			return http.StatusForbidden, errors.New("this gateway does not ask the cluster as somebody else: leave out --as, --as-group and --as-uid")
		}
	}
	return 0, nil
}

// malformed returns why the gateway does not forward a request, whatever it is for.
func malformed(r *http.Request) error {
	switch {
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		return errors.New("the gateway takes no requests of this method")
	case r.URL.Scheme != "" || r.URL.Host != "" || r.URL.Opaque != "" || !strings.HasPrefix(r.URL.Path, "/"):
		return errors.New("the request names a whole address in the place of a path")
	case len(r.URL.RawQuery) > 4*maxPath || strings.ContainsFunc(r.URL.RawQuery, func(c rune) bool { return c <= ' ' || c == 0x7f }):
		return errors.New("the query has characters that have to be encoded, or is too long")
	case r.TLS.ServerName != "" && !relay.SameHost(r.TLS.ServerName, r.Host):
		return errors.New("the request is for another host than the connection")
	case len(r.Header["Content-Type"]) > 1:
		return errors.New("the request has several types of its body")
	case r.Header["Http2-Settings"] != nil:
		return errUpgrade
	}
	up := r.Header["Upgrade"]
	switch {
	case len(up) == 0:
		return nil
	case len(up) != 1 || r.ProtoMajor != 1 || r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return errUpgrade
	case strings.EqualFold(up[0], "SPDY/3.1") && (r.Method == http.MethodPost || r.Method == http.MethodGet):
		return nil // it is decided about, and refused in words; see upgrade
	case !strings.EqualFold(up[0], "websocket") || r.Method != http.MethodGet:
		return errUpgrade
	}
	return nil
}

var (
	errUpgrade = errors.New("the gateway upgrades connections to websocket alone, by GET without a body in HTTP/1.1")
	errSPDY    = errors.New("the gateway does not speak SPDY: use kubectl 1.31 or later, or set KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true with 1.29 and 1.30")
)

// fold reports whether a header's name begins with a prefix in lower case, as servers that take "_" for "-" read it.
func fold(name, prefix string) bool {
	return strings.HasPrefix(strings.ReplaceAll(strings.ToLower(name), "_", "-"), prefix)
}

// unproven answers a request that does not show who sends it.
func (x *exchange) unproven(why string) {
	x.w.Header().Set("WWW-Authenticate", `Bearer realm="`+x.resource.Name+`"`)
	x.refuse(http.StatusUnauthorized, why, "Log in again. Programs send an access token as a bearer.")
}

// shut answers a request that gets no session.
func (x *exchange) shut(err error) {
	var waits *relay.WaitingError
	var refused *proxy.RefusedError
	switch {
	case errors.As(err, &waits):
		x.waits(waits.Pending)
	case errors.As(err, &refused) && refused.Verdict.Cause == proxy.CausePolicy, errors.Is(err, proxy.ErrNotFound): // why is on record
		x.refuse(http.StatusForbidden, "you may not use this cluster")
	case errors.As(err, &refused):
		x.denied(&refused.Verdict)
	case errors.Is(err, proxy.ErrUnavailable):
		x.refuse(http.StatusServiceUnavailable, "who sends this request cannot be told now", "Try again in a minute.")
	case errors.Is(err, proxy.ErrUnauthenticated):
		x.unproven("the login has ended, or the proof is not valid")
	case errors.Is(err, proxy.ErrTooMany):
		x.refuse(http.StatusServiceUnavailable, "there are too many sessions now", "Try again in a minute.")
	default:
		x.h.log().Warn("kubernetes: no session", "resource", x.resource.Name, "err", err)
		x.refuse(http.StatusServiceUnavailable, "the gateway cannot open a session now", "Try again in a minute.")
	}
}

// codeError is an error with the status by which it is answered.
type codeError struct {
	code int
	text string
}

func (e *codeError) Error() string { return e.text }

// operation is what the request asks for, by its body too.
func (x *exchange) operation() (proxy.Op, error) {
	op := x.call.operation(x.r, x.host, x.query)
	if x.r.Header.Get("Upgrade") != "" {
		if _, request := op.(*proxy.Request); request {
			return nil, errors.New("the gateway upgrades connections for exec, attach and port-forward of pods alone")
		}
		return op, nil
	}
	q, ok := op.(*proxy.Request)
	if !ok {
		return nil, errors.New("this is asked for by a connection that is upgraded to websocket")
	}
	if !x.call.judged() {
		return q, nil
	}
	if x.r.Header.Get("Content-Encoding") != "" {
		return nil, &codeError{http.StatusUnsupportedMediaType, "the gateway reads objects that are not compressed"}
	}
	if err := x.body.Buffer(x.visit.Session().Context(), x.w, x.r, maxBody); err != nil {
		return nil, &codeError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the object cannot be read: %v", err)}
	}
	f, err := x.call.read(x.r.Header.Get("Content-Type"), x.body.Bytes())
	switch {
	case errors.Is(err, errForm):
		return nil, &codeError{http.StatusUnsupportedMediaType, err.Error()}
	case err != nil:
		return nil, err
	case f.reveals && !settingsOf(x.resource).ShowSecrets:
		return nil, &codeError{http.StatusForbidden, "the patch copies or compares what is in a Secret, which the gateway does not show: send the values themselves"}
	case f.masked && !settingsOf(x.resource).ShowSecrets:
		return nil, &codeError{http.StatusForbidden, "the object holds what the gateway shows in the place of a Secret's values, which would be lost: send the values themselves, or leave them out"}
	}
	q.Also = f.names()
	return q, nil
}

// asked is an exchange that is decided about.
type asked struct{ *exchange }

func (x asked) Op() proxy.Op { return x.op }

// Key is the same for the two forms in which kubectl asks for one thing.
func (x asked) Key() string {
	method := x.r.Method
	if _, request := x.op.(*proxy.Request); !request {
		method = ""
	}
	return method + " " + x.host + x.r.URL.EscapedPath() + "?" + x.r.URL.RawQuery
}

func (x asked) Buffer(limit int64) error {
	return x.body.Buffer(x.visit.Session().Context(), x.w, x.r, limit)
}

func (x asked) Print() [sha256.Size]byte {
	sum := sha256.Sum256(x.body.Bytes())
	return relay.Print(x.op.Info().Kind.String(), x.Key(), x.r.Header.Get("Content-Type"), x.r.Header.Get("Content-Encoding"), string(sum[:]))
}

func (x asked) Run(op proxy.Op, v *proxy.Verdict) {
	x.op = op
	x.run(v)
}

func (x asked) Denied(v *proxy.Verdict) {
	if x.r.Header.Get("Upgrade") != "" && !x.spdy() {
		x.h.shared().denials.keep(x.visit.Session().ID+" "+x.Key(), v)
	}
	x.denied(v)
}

func (x asked) Waits(p *proxy.Pending) { x.waits(p) }

func (x asked) TooLong(err error) {
	x.refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("this request needs an approval, and its body cannot wait for it: %v", err), "Send a smaller one.")
}

// run does what may be done.
func (x *exchange) run(v *proxy.Verdict) {
	out := &proxy.Outcome{}
	defer func() { x.visit.Done(x.op, out, x.in, x.out) }() // also when the connection is given up
	if v.Warn != "" {                                       // kubectl prints it
		x.w.Header().Add("Warning", `299 - "`+quoted(v.Warn)+`"`)
	}
	ctx, stop := x.visit.Bind(x.w, x.r)
	defer stop()
	if err := http.NewResponseController(x.w).EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		out.Err = err
		return
	}
	x.forward(ctx, out)
}

// quoted makes a text fit for between quotes in a header.
func quoted(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(relay.Line(s))
}
