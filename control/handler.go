package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// Permission is something that one may be allowed to do here.
type Permission string

// Permissions.
const (
	List  Permission = "list"  // see who is at which resource
	Kill  Permission = "kill"  // end a session
	Watch Permission = "watch" // see what a session sees
	// Configure is to change what of the configuration is kept in the store, and to approve
	// what others have changed there.
	Configure Permission = "configure"
	// Review is to see what is held, with its text. To decide takes the password of
	// a user who may, besides.
	Review Permission = "review"
)

// Permissions are all there are, in the order of documents.
func Permissions() []Permission {
	return []Permission{List, Kill, Watch, Review, Erase, Hold, Detokenise, Users, Configure, Audit}
}

// Handler serves the API. On the local socket its callers are users of the machine; by TLS
// they are those who have logged in: see [Portal] and [Handler.Known]. Its fields are set before the first request. It is
// safe for concurrent use.
type Handler struct {
	// Gateway is the gateway whose sessions these are. Its observers are told of logins and of
	// those that failed.
	Gateway *proxy.Gateway
	// Records gets every action before it takes effect, and refused ones, as an
	// event of the gateway's own; it is also what is watched.
	Records *audit.Log
	// Authenticate says who makes a request. Nil, an error and a nil identity refuse
	// it.
	Authenticate func(r *http.Request) (*proxy.Identity, error)
	// Permit says whether who may do p; nil permits nothing.
	Permit func(who *proxy.Identity, p Permission) bool
	// Requests are operations that are held, and access that is asked for; nil when nothing can be.
	Requests *review.Desk
	// Offline makes and uses grants that count while the store does not answer. Nil: there are none.
	Offline Offline
	// Authorities are those that sign certificates. Nil: the gateway has none.
	Authorities func() []*ca.Authority
	// Agents returns what is known of agents that dial out. Nil: none can connect.
	Agents func(ctx context.Context) ([]Agent, error)
	// Hosts are resources that are known by the key that they showed when they were first reached. Nil: none is.
	Hosts Hosts
	// Deciders proves by a password who decides. Nil: nobody decides here.
	Deciders proxy.Authenticator
	// Portal returns what people and programs of other machines come in by, in the current
	// revision. Nil: there are only operators.
	Portal func() *Portal
	// Archive opens what is recorded, for those who look it up. Nil: nobody does that here.
	Archive func() (*audit.Archive, error)
	// Spool is the directory where packs of evidence are put together; empty is the system's for such files. SpoolLimit bounds one, in
	// bytes; 0 is compliance.DefaultLimit.
	Spool      string
	SpoolLimit int64
	// Log is told of failures; nil is slog.Default.
	Log *slog.Logger

	proving  sync.Mutex // one password is tried at a time
	once     sync.Once
	mux      *http.ServeMux
	limits   *limits
	watchers atomic.Int32
	sockets  sockets
	searches atomic.Int32

	exporting atomic.Bool // a pack of evidence is being made

	following    sync.Mutex
	followers    map[string]int // those who follow the lists, by subject
	followersAll int
}

// maxBody bounds a request's body, in bytes.
const maxBody = 64 << 10

// call is one request by somebody who may make it.
type call struct {
	*http.Request
	w         http.ResponseWriter
	portal    *Portal
	who       *proxy.Identity
	means     means
	permitted bool // the caller has the route's permission
	// again returns why the caller may not go on: her login may have ended since the request
	// began. It is nil where nobody needs to be known.
	again func() error
	// still is again, for a request that goes on for long: it does not count as a use of the caller's session. It may be
	// asked by another goroutine than that of the request.
	still func() error
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.once.Do(h.route)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) authenticate(r *http.Request) (*proxy.Identity, error) {
	if h.Authenticate == nil {
		return nil, proxy.ErrUnauthenticated
	}
	who, err := h.Authenticate(r)
	if err == nil && who == nil {
		err = proxy.ErrUnauthenticated
	}
	return who, err
}

// record records an action, which is not to be done on an error.
func (h *Handler) record(a audit.Action) error {
	if h.Records == nil {
		return &Error{http.StatusServiceUnavailable, CodeUnrecorded, "this is refused because it could not be recorded"}
	}
	if err := h.Records.Act(a); err != nil {
		return &Error{http.StatusServiceUnavailable, CodeUnrecorded, err.Error()}
	}
	return nil
}

// Codes of errors. They are stable.
const (
	CodeNotFound        = "not-found"       // what the request names is not there
	CodeForbidden       = "forbidden"       // the caller, or who decides, may not do this
	CodeUnauthenticated = "unauthenticated" // it is not known who calls, or who decides
	CodeUnproven        = "unproven"        // the caller has not proven herself again, and stays logged in
	CodeBadRequest      = "bad-request"     // the request is not what is wanted here
	CodeConflict        = "conflict"        // it was decided already, or is not what was seen
	CodeUnbound         = "unbound"         // a secret would go elsewhere, which the request does not confirm
	CodeHeld            = "held"            // the state of the record does not allow this; the message says which it is
	CodeUnrecorded      = "unrecorded"      // it was not done, because it could not be recorded
	CodeBusy            = "busy"            // too many sessions are watched, or requests made
	CodeOutdated        = "outdated"        // the client is older than the gateway understands
	CodeUnavailable     = "unavailable"     // something that is needed to answer does not answer itself
	CodeInternal        = "internal"        // the gateway's log says what went wrong
)

// Error is a failure as the API tells it. [Handler] answers with it, and the
// methods of a client return it.
type Error struct {
	Status  int    `json:"-"`       // of HTTP
	Code    string `json:"code"`    // one of the codes above
	Message string `json:"message"` // for people
}

func (e *Error) Error() string { return e.Message }

// NotFound is the failure of what names something that is not there.
func NotFound(message string) *Error { return &Error{http.StatusNotFound, CodeNotFound, message} }

func badRequest(format string, args ...any) *Error {
	return &Error{http.StatusBadRequest, CodeBadRequest, fmt.Sprintf(format, args...)}
}

func (h *Handler) fail(w http.ResponseWriter, err error) {
	var e *Error
	if !errors.As(err, &e) {
		// What went wrong inside is for the operator.
		h.log().Error("control", "err", err)
		e = &Error{http.StatusInternalServerError, CodeInternal, "something went wrong; the gateway's log says what"}
	}
	h.answer(w, e.Status, failure{e})
}

func (h *Handler) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		h.log().Debug("control: the caller left", "err", err)
	}
}

func (h *Handler) log() *slog.Logger {
	if h.Log != nil {
		return h.Log
	}
	return slog.Default()
}

// body reads a request's body, one JSON object with known keys, into v. It must
// be declared as JSON: what a page of another site can send is not. A body may be long in
// coming: who the caller is, and whether she may do it, is asked again when it is there.
func (c *call) body(v any) error { return c.bodyWithin(v, maxBody) }

// bodyWithin is body, of at most limit bytes.
func (c *call) bodyWithin(v any, limit int64) error {
	if media, _, err := mime.ParseMediaType(c.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return badRequest("the body must be application/json")
	}
	d := json.NewDecoder(http.MaxBytesReader(c.w, c.Body, limit))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badRequest("the body does not have the form that is wanted here: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badRequest("the body holds more than one value")
	}
	if c.again == nil {
		return nil // an open route
	}
	return c.again()
}
