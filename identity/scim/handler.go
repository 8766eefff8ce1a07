package scim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/identity"
)

// Handler is what the company's directory talks to. It is mounted under a prefix that
// is stripped, such as /scim/v2, and served by TLS only.
type Handler struct {
	Directory *Directory
	// Authorize returns why a request is not the directory's. Nil refuses everything: who
	// may send users may become any of them.
	Authorize func(r *http.Request) error
	// URL is where it is mounted, as the directory sees it, for the addresses of
	// resources: "https://gw.example.com/scim/v2".
	URL string
	Log *slog.Logger
}

// Bearer authorizes requests with one of the tokens of which these are the SHA-256. Two
// are valid while one takes the place of the other.
func Bearer(hashes ...[sha256.Size]byte) func(r *http.Request) error {
	return func(r *http.Request) error {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got, ok := sha256.Sum256([]byte(token)), 0
		for _, h := range hashes {
			ok |= subtle.ConstantTimeCompare(got[:], h[:])
		}
		if ok != 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
			return errors.New("the token is not the directory's")
		}
		return nil
	}
}

// problem is an error as SCIM tells it.
type problem struct {
	status int
	kind   string
	detail string
}

func (p *problem) Error() string { return p.detail }

var (
	errTaken   = &problem{409, "uniqueness", "another has this name"}
	errMissing = &problem{404, "", "there is no such resource"}
)

const (
	maxBody      = 1 << 20
	defaultCount = 100
	maxCount     = 500
	mediaType    = "application/scim+json"
)

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if h.Authorize == nil {
		h.fail(w, r, &problem{403, "", "nobody may send users here"})
		return
	}
	if err := h.Authorize(r); err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		h.fail(w, r, &problem{401, "", "the token is missing or not valid"})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	parts := strings.Split(strings.Trim(path.Clean("/"+r.URL.Path), "/"), "/")
	kind, id := "", ""
	switch strings.ToLower(parts[0]) {
	case "users":
		kind = KindUser
	case "groups":
		kind = KindGroup
	}
	if len(parts) == 2 {
		id = parts[1]
	}
	var err error
	switch {
	case kind == "" && r.Method == http.MethodGet:
		err = h.describe(w, parts)
	case kind == "" || len(parts) > 2:
		err = errMissing
	case id == "" && r.Method == http.MethodGet:
		err = h.list(w, r, kind)
	case id == "" && r.Method == http.MethodPost:
		err = h.create(w, r, kind)
	case id == "":
		err = notAllowed
	case r.Method == http.MethodGet:
		err = h.get(w, r, kind, id)
	case r.Method == http.MethodPut, r.Method == http.MethodPatch:
		err = h.update(w, r, kind, id)
	case r.Method == http.MethodDelete:
		err = h.remove(w, r, kind, id)
	default:
		err = notAllowed
	}
	if err != nil {
		h.fail(w, r, err)
	}
}

var notAllowed = &problem{405, "", "this cannot be done here"}

func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &p):
	case errors.As(err, &large):
		p = &problem{413, "", fmt.Sprintf("a request has at most %d bytes", maxBody)}
	case errors.Is(err, identity.ErrConflict):
		p = &problem{409, "", "the resource was changed by another just now: try again"}
	case errors.Is(err, identity.ErrNoDocument):
		p = errMissing
	default:
		p = &problem{503, "", "the change could not be kept: try again"}
	}
	if h.Log != nil {
		h.Log.Warn("a request of the directory failed", "method", r.Method, "path", r.URL.Path, "status", p.status, "err", err)
	}
	body := map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:Error"}, "status": strconv.Itoa(p.status), "detail": p.detail}
	if p.kind != "" {
		body["scimType"] = p.kind
	}
	h.send(w, p.status, body)
}

func (h *Handler) send(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	// The client is gone when this fails.
	_ = json.NewEncoder(w).Encode(v)
}

// read returns the object that a request brings.
func read(r *http.Request) (resource, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != mediaType && t != "application/json" {
		return nil, &problem{415, "", "want " + mediaType}
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	return decode(b)
}

func etag(version int64) string { return fmt.Sprintf(`W/"%d"`, version) }

// show returns a resource as it is sent.
func (h *Handler) show(ctx context.Context, kind, id string, version int64, r resource, q *projection) map[string]any {
	out := make(map[string]any, len(r)+3)
	for k, v := range r {
		if q.wants(k) {
			out[k] = v
		}
	}
	schema, folder, name := schemaUser, "Users", "User"
	if kind == KindGroup {
		schema, folder, name = schemaGroup, "Groups", "Group"
	}
	schemas := []string{schema}
	if _, ok := r.get(schemaEnterprise).(map[string]any); ok {
		schemas = append(schemas, schemaEnterprise)
	}
	out[key(out, "schemas")] = schemas
	out["id"] = id
	if kind == KindUser && q.wants("active") {
		out[key(out, "active")] = r.active()
	}
	if q.wants("meta") {
		out["meta"] = map[string]any{"resourceType": name, "location": h.URL + "/" + folder + "/" + id, "version": etag(version)}
	}
	return out
}

// projection is what a request asks to see.
type projection struct{ only, without []string }

func project(r *http.Request) *projection {
	list := func(name string) []string {
		var out []string
		for n := range strings.SplitSeq(r.URL.Query().Get(name), ",") {
			if n, _, _ = strings.Cut(strings.TrimSpace(n), "."); n != "" && len(out) < 100 {
				out = append(out, n)
			}
		}
		return out
	}
	return &projection{list("attributes"), list("excludedAttributes")}
}

func (q *projection) wants(name string) bool {
	for _, n := range q.without {
		if strings.EqualFold(n, name) {
			return false
		}
	}
	for _, n := range q.only {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return len(q.only) == 0
}

func (h *Handler) get(w http.ResponseWriter, r *http.Request, kind, id string) error {
	d, err := h.Directory.Documents.Get(r.Context(), kind, id)
	if err != nil {
		return err
	}
	res, err := parse(d)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(d.Version))
	if r.Header.Get("If-None-Match") == etag(d.Version) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.send(w, http.StatusOK, h.show(r.Context(), kind, id, d.Version, res, project(r)))
	return nil
}

// list answers a search.
func (h *Handler) list(w http.ResponseWriter, r *http.Request, kind string) error {
	q := r.URL.Query()
	number := func(name string, otherwise int) (int, error) {
		if q.Get(name) == "" {
			return otherwise, nil
		}
		n, err := strconv.Atoi(q.Get(name))
		if err != nil {
			return 0, &problem{400, "invalidValue", name + ": want a number"}
		}
		return n, nil
	}
	start, err := number("startIndex", 1)
	if err != nil {
		return err
	}
	count, err := number("count", defaultCount)
	if err != nil {
		return err
	}
	start, count = max(start, 1), min(max(count, 0), maxCount)
	match := filter(func(map[string]any) bool { return true })
	if text := q.Get("filter"); text != "" {
		if match, err = parseFilter(text); err != nil {
			return err
		}
	}
	see := project(r)
	found := make([]any, 0, min(count, 16))
	total := 0
	var bad error
	each := func(d identity.Document) bool {
		var res resource
		if res, bad = parse(d); bad != nil {
			return false
		}
		full := h.show(r.Context(), kind, d.Name, d.Version, res, &projection{})
		if !match(full) {
			return true
		}
		if total++; total >= start && len(found) < count {
			found = append(found, h.show(r.Context(), kind, d.Name, d.Version, res, see))
		}
		return true
	}
	if d, ok, err := h.named(r.Context(), kind, q.Get("filter")); err != nil {
		return err
	} else if ok {
		if d.Version != 0 {
			each(d)
		}
	} else if err := identity.All(r.Context(), h.Directory.Documents, kind, each); err != nil {
		return err
	}
	if bad != nil {
		return bad
	}
	h.send(w, http.StatusOK, map[string]any{
		"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:ListResponse"}, "totalResults": total, "startIndex": start, "itemsPerPage": len(found), "Resources": found,
	})
	return nil
}

// named answers the search that directories send most, for a name, without looking at
// everything. ok: the filter is such a search; the document has no version when nothing
// is found.
func (h *Handler) named(ctx context.Context, kind, text string) (d identity.Document, ok bool, err error) {
	eq := equality(text)
	if want := map[string]string{KindUser: "userName", KindGroup: "displayName"}[kind]; !strings.EqualFold(eq[0], want) {
		return d, false, nil
	}
	kept, err := h.Directory.Documents.Get(ctx, kindName, nameKey(kind, eq[1]))
	if errors.Is(err, identity.ErrNoDocument) {
		return d, true, nil
	}
	if err != nil {
		return d, true, err
	}
	var by struct{ ID string }
	if err := json.Unmarshal(kept.Body, &by); err != nil {
		return d, true, err
	}
	d, err = h.Directory.Documents.Get(ctx, kind, by.ID)
	if errors.Is(err, identity.ErrNoDocument) {
		return d, true, nil
	}
	return d, true, err
}

func (h *Handler) create(w http.ResponseWriter, r *http.Request, kind string) error {
	res, err := read(r)
	if err != nil {
		return err
	}
	if err := res.clean(kind); err != nil {
		return err
	}
	id := newID()
	version, err := h.Directory.write(r.Context(), kind, id, 0, nil, res)
	if err != nil {
		return err
	}
	out := h.show(r.Context(), kind, id, version, res, project(r))
	w.Header().Set("ETag", etag(version))
	if meta, ok := out["meta"].(map[string]any); ok {
		w.Header().Set("Location", meta["location"].(string))
	}
	h.send(w, http.StatusCreated, out)
	return nil
}

// tries is how often a PATCH that meets another's change is applied anew: it says what
// changes, and not what all is.
const tries = 5

func (h *Handler) update(w http.ResponseWriter, r *http.Request, kind, id string) error {
	body, err := read(r)
	if err != nil {
		return err
	}
	var changes []change
	if r.Method == http.MethodPatch {
		if changes, err = operations(body); err != nil {
			return err
		}
	}
	for try := 1; ; try++ {
		d, err := h.Directory.Documents.Get(r.Context(), kind, id)
		if err != nil {
			return err
		}
		if err := matches(r, d.Version); err != nil {
			return err
		}
		before, err := parse(d)
		if err != nil {
			return err
		}
		now := body.clone()
		if _, told := now[key(now, "active")]; kind == KindUser && !told {
			now["active"] = before.active() // what is left out enables nobody
		}
		if changes != nil {
			now = before.clone()
			if err := now.patch(kind, copyChanges(changes)); err != nil {
				return err
			}
		}
		if err := now.clean(kind); err != nil {
			return err
		}
		version, err := h.Directory.write(r.Context(), kind, id, d.Version, before, now)
		if errors.Is(err, identity.ErrConflict) && changes != nil && try < tries && r.Header.Get("If-Match") == "" {
			continue
		}
		if err != nil {
			return err
		}
		w.Header().Set("ETag", etag(version))
		h.send(w, http.StatusOK, h.show(r.Context(), kind, id, version, now, project(r)))
		return nil
	}
}

// operations reads the changes of a PATCH.
func operations(body resource) ([]change, error) {
	raw, err := json.Marshal(body.get("Operations"))
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var list []change
	if err := dec.Decode(&list); err != nil || len(list) == 0 {
		return nil, &problem{400, "invalidSyntax", "Operations: want a list of changes"}
	}
	return list, nil
}

func copyChanges(list []change) []change {
	out := make([]change, len(list))
	for i, c := range list {
		out[i] = change{c.Op, c.Path, copyOf(c.Value)}
	}
	return out
}

// matches holds If-Match against the version that is kept.
func matches(r *http.Request, version int64) error {
	want := r.Header.Get("If-Match")
	if want == "" || want == "*" || want == etag(version) || want == strings.TrimPrefix(etag(version), "W/") {
		return nil
	}
	return &problem{412, "", "the resource has changed since"}
}

func (h *Handler) remove(w http.ResponseWriter, r *http.Request, kind, id string) error {
	d, err := h.Directory.Documents.Get(r.Context(), kind, id)
	if err != nil {
		return err
	}
	if err := matches(r, d.Version); err != nil {
		return err
	}
	res, err := parse(d)
	if err != nil {
		return err
	}
	if err := h.Directory.remove(r.Context(), kind, id, d.Version, res); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
