package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/sallyport/sallyport/control"
)

// Paths of the server and of what OAuth clients read about it first (RFC 9728), below the API's URL.
const (
	Path         = "/mcp"
	MetadataPath = "/.well-known/oauth-protected-resource" + Path
)

// Bounds.
const (
	maxBody     = 128 << 10        // bytes of a request
	maxCalls    = 1000             // requests that are served at a time
	maxOfPerson = 16               // of them for the agents of one human
	callTime    = 10 * time.Minute // of a request
)

// Handler is the MCP server. It is safe for concurrent use. Its fields are set before the first request.
type Handler struct {
	// Control says who calls, and what there is.
	Control *control.Handler
	// Version is the gateway's.
	Version string

	once   sync.Once
	server http.Handler

	mu    sync.Mutex
	calls map[string]int // by human
	all   int
}

type agentKey struct{}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.once.Do(h.build)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := h.serve(w, r); err != nil {
		fail(w, err)
	}
}

// build makes the server. All agents have the same one: the tools are those of everybody.
func (h *Handler) build() {
	s := newServer(h.Version)
	stream := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true, MaxRequestBodyBytes: maxBody, PropagateRequestCancellation: true,
		DisableLocalhostProtection: true, // the Host is compared with the gateway's own
	})
	// Who calls is known already; this is how the server's tools are told.
	known := func(_ context.Context, _ string, r *http.Request) (*auth.TokenInfo, error) {
		a, ok := r.Context().Value(agentKey{}).(*control.AIAgent)
		if !ok {
			return nil, auth.ErrInvalidToken
		}
		return &auth.TokenInfo{UserID: a.Identity.Subject, Expiration: a.Identity.Expires, Extra: map[string]any{agentExtra: a}}, nil
	}
	h.server = auth.RequireBearerToken(known, nil)(stream)
}

const agentExtra = "agent"

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	terms := h.Control.AIAgents()
	if terms == nil {
		return control.NotFound("this gateway serves no AI agents")
	}
	u, err := url.Parse(terms.URL)
	if err != nil {
		return err
	}
	if err := fromHere(r, u); err != nil {
		return err
	}
	if r.URL.Path == MetadataPath {
		return metadata(w, r, terms)
	}
	a, err := h.Control.AIAgent(w, r)
	if err != nil {
		var told *control.Error
		if errors.As(err, &told) && told.Status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+u.Scheme+"://"+u.Host+MetadataPath+`"`)
		}
		return err
	}
	leave, err := h.enter(a.Identity.Person())
	if err != nil {
		return err
	}
	defer leave()
	if r, err = strict(w, r); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), agentKey{}, a), callTime)
	defer cancel()
	h.server.ServeHTTP(w, r.WithContext(ctx))
	return nil
}

// fromHere refuses a request for another host, and one of a web page: agents are programs, and no page
// has a browser send what its user did not.
func fromHere(r *http.Request, own *url.URL) error {
	if !strings.EqualFold(r.Host, own.Host) {
		return &control.Error{Status: http.StatusMisdirectedRequest, Code: control.CodeForbidden, Message: "the request is for another host than this gateway's"}
	}
	origin := r.Header.Get("Origin")
	site := r.Header.Get("Sec-Fetch-Site")
	if origin != "" && !strings.EqualFold(origin, own.Scheme+"://"+own.Host) || site != "" && site != "same-origin" && site != "none" {
		return &control.Error{Status: http.StatusForbidden, Code: control.CodeForbidden, Message: "the request comes from a page of another site"}
	}
	return nil
}

// enter counts a request of an agent of somebody.
func (h *Handler) enter(person string) (leave func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all >= maxCalls || h.calls[person] >= maxOfPerson {
		return nil, &control.Error{Status: http.StatusTooManyRequests, Code: control.CodeBusy, Message: "too many calls run at a time: wait until one has ended"}
	}
	if h.calls == nil {
		h.calls = make(map[string]int)
	}
	h.all++
	h.calls[person]++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.all--
		if h.calls[person]--; h.calls[person] == 0 {
			delete(h.calls, person)
		}
	}, nil
}

// strict reads the body, and refuses one that two readers could understand in two ways.
func strict(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	if r.Body == nil || r.Method != http.MethodPost {
		return r, nil
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, &control.Error{Status: http.StatusRequestEntityTooLarge, Code: control.CodeBadRequest, Message: "the request has more than 128 KiB"}
	case err != nil:
		return nil, &control.Error{Status: http.StatusBadRequest, Code: control.CodeBadRequest, Message: "the request cannot be read"}
	}
	if err := unambiguous(b); err != nil {
		return nil, &control.Error{Status: http.StatusBadRequest, Code: control.CodeBadRequest, Message: err.Error()}
	}
	r = r.WithContext(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(b))
	return r, nil
}

// metadata says where tokens for the server come from: no authorization server makes them, the gateway itself does.
func metadata(w http.ResponseWriter, r *http.Request, terms *control.AIAgents) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return &control.Error{Status: http.StatusMethodNotAllowed, Code: control.CodeBadRequest, Message: "this is read by GET"}
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(oauthex.ProtectedResourceMetadata{Resource: terms.URL, BearerMethodsSupported: []string{"header"}, ResourceName: "Sallyport"})
}

// fail answers with a failure, as the API does.
func fail(w http.ResponseWriter, err error) {
	var told *control.Error
	if !errors.As(err, &told) {
		told = &control.Error{Status: http.StatusInternalServerError, Code: control.CodeInternal, Message: "something went wrong; ask the gateway's operator"}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(told.Status)
	// The caller is gone when this fails.
	_ = json.NewEncoder(w).Encode(struct {
		Error *control.Error `json:"error"`
	}{told})
}
