package control

import (
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/timeline"
)

// Recordings is the answer to GET /v1/recordings.
type Recordings struct {
	Sessions []*audit.Summary `json:"sessions"` // the newest first
	// Unread is of how many sessions it is not known whether they fit: their records were removed or altered.
	Unread int `json:"unread,omitempty"`
}

// Recording is the answer to GET /v1/recordings/{id}: a session as it is on record.
type Recording struct {
	ID        string              `json:"id"`
	Start     time.Time           `json:"start"`
	End       time.Time           `json:"end,omitzero"` // missing: it is open, or the gateway stopped before it ended
	Open      bool                `json:"open,omitempty"`
	Error     string              `json:"error,omitempty"` // why it ended, unless in the ordinary way
	Recovered bool                `json:"recovered,omitempty"`
	User      string              `json:"user"`
	For       string              `json:"for,omitempty"`
	Groups    []string            `json:"groups,omitempty"`
	Method    string              `json:"method,omitempty"`
	Resource  string              `json:"resource"`
	Account   string              `json:"account,omitempty"`
	Database  string              `json:"database,omitempty"`
	Protocol  string              `json:"protocol"`
	Remote    string              `json:"remote,omitempty"`
	Recording map[string]string   `json:"recording,omitempty"` // how much of what flowed is recorded
	Lost      uint64              `json:"lost,omitempty"`      // events that could not be recorded
	All       uint64              `json:"all"`                 // how many operations there are
	List      []RecordedOperation `json:"operations"`          // those from ?skip= on, at most maxOperations
	// Withheld says that what was asked is for others to see: the caller has the permission to list sessions alone.
	Withheld bool `json:"withheld,omitempty"`
}

// RecordedOperation is what was asked in a session, and what came of it.
type RecordedOperation struct {
	Op      uint64            `json:"op"`
	At      time.Time         `json:"at"`
	Kind    string            `json:"kind"`
	Name    string            `json:"name,omitempty"`
	Text    string            `json:"text,omitempty"`
	Cut     bool              `json:"cut,omitempty"` // the text is longer
	Target  string            `json:"target,omitempty"`
	Effects string            `json:"effects,omitempty"`
	State   string            `json:"state"` // done, refused, or unfinished
	Verdict string            `json:"verdict,omitempty"`
	By      string            `json:"by,omitempty"`
	Rule    string            `json:"rule,omitempty"`
	Grant   string            `json:"grant,omitempty"`
	Reason  string            `json:"reason,omitempty"`
	Micros  int64             `json:"micros,omitempty"`
	Rows    uint64            `json:"rows,omitempty"`
	Masked  map[string]uint64 `json:"masked,omitempty"` // values by type
	Code    string            `json:"code,omitempty"`
	Error   string            `json:"error,omitempty"`
}

const (
	maxFound      = 500
	maxOperations = 500
	maxShownText  = 16 << 10
	maxSearches   = 4 // at once: they read much
)

var errNoArchive = NotFound("what is recorded is not looked up at this gateway")

// archive opens what is recorded, for one of those who search in it.
func (h *Handler) archive() (a *audit.Archive, leave func(), err error) {
	if h.Archive == nil {
		return nil, nil, errNoArchive
	}
	if h.searches.Add(1) > maxSearches {
		h.searches.Add(-1)
		return nil, nil, &Error{http.StatusTooManyRequests, CodeBusy, "too much is searched at once: ask again soon"}
	}
	if a, err = h.Archive(); err != nil {
		h.searches.Add(-1)
		return nil, nil, err
	}
	return a, func() { h.searches.Add(-1) }, nil
}

// number reads a number of a query, of at least 0 and at most limit.
func number(q url.Values, name string, def, limit int) (int, error) {
	if !q.Has(name) {
		return def, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < 0 || n > limit {
		return 0, badRequest("%s: got %q, want a number of at most %d", name, q.Get(name), limit)
	}
	return n, nil
}

// moment reads a time of a query.
func moment(q url.Values, name string) (time.Time, error) {
	if !q.Has(name) {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, q.Get(name))
	if err != nil {
		return t, badRequest("%s: got %q, want a time as RFC 3339 has it, such as 2026-01-31T14:00:00Z", name, q.Get(name))
	}
	return t, nil
}

// searchRecordings finds sessions. What they said and showed is searched for those only who may see what sessions see.
func (h *Handler) searchRecordings(c *call) error {
	q := c.URL.Query()
	find := audit.Query{
		User: q.Get("user"), Group: q.Get("group"), Resource: q.Get("resource"), Account: q.Get("account"), Database: q.Get("database"),
		Protocol: q.Get("protocol"), Kind: q.Get("kind"), Verdict: q.Get("verdict"), Rule: q.Get("rule"), Effect: q.Get("effect"),
		Relation: q.Get("table"), Masked: q.Get("masked"), Texts: q["text"],
	}
	var err error
	if find.Limit, err = number(q, "limit", 100, maxFound); err != nil {
		return err
	}
	if find.Limit == 0 {
		find.Limit = maxFound
	}
	if find.Since, err = moment(q, "since"); err != nil {
		return err
	}
	if find.Until, err = moment(q, "until"); err != nil {
		return err
	}
	if !c.permitted {
		if find.User != "" && find.User != c.who.Subject {
			h.answer(c.w, http.StatusOK, Recordings{Sessions: []*audit.Summary{}})
			return nil
		}
		find.User = c.who.Subject
	} else if len(find.Texts) > 0 && find.User != c.who.Subject && (h.Permit == nil || !h.Permit(c.who, Watch)) {
		return &Error{http.StatusForbidden, CodeForbidden, "searching for what sessions have said needs the permission " + string(Watch)}
	}
	a, leave, err := h.archive()
	if err != nil {
		return err
	}
	defer leave()
	if err := h.record(audit.Action{Type: audit.AdminRead, By: c.who, Reason: "search " + c.URL.RawQuery, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	found, err := a.Search(c.Context(), find, nil)
	if err != nil {
		return err
	}
	out := Recordings{Sessions: []*audit.Summary{}, Unread: len(found.Unread)}
	if !c.permitted {
		out.Unread = 0 // of others, too
	}
	for i := range found.Sessions {
		out.Sessions = append(out.Sessions, found.Sessions[len(found.Sessions)-1-i])
	}
	h.answer(c.w, http.StatusOK, out)
	return nil
}

var errNoRecording = NotFound("no session of this identifier is on record, or it was erased")

// showRecording lists what was asked in a session.
func (h *Handler) showRecording(c *call) error {
	skip, err := number(c.URL.Query(), "skip", 0, 1<<30)
	if err != nil {
		return err
	}
	id := knownID(c.PathValue("id"))
	if id == "" {
		return errNoRecording
	}
	a, leave, err := h.archive()
	if err != nil {
		return err
	}
	defer leave()
	out := Recording{ID: id, List: []RecordedOperation{}}
	may := func(start *audit.Event) bool {
		if c.permitted || c.owns(start.User, start.For) {
			return true
		}
		out.Withheld = h.Permit != nil && h.Permit(c.who, List)
		return out.Withheld
	}
	if err := out.read(a.Events(id), may, uint64(skip)); err != nil {
		if !errors.Is(err, errNoRecording) {
			h.log().Warn("control: a recording cannot be read", "session", id, "err", err)
		}
		if out.Start.IsZero() || errors.Is(err, errNoRecording) {
			return errNoRecording
		}
		out.Error = "the rest of the record cannot be read"
	}
	if err := h.record(audit.Action{Type: audit.AdminRead, By: c.who, Session: id, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	if out.Withheld {
		out.List = []RecordedOperation{}
	}
	out.Open = out.End.IsZero() && h.Gateway != nil && h.Gateway.Session(id) != nil
	h.answer(c.w, http.StatusOK, out)
	return nil
}

// read fills in what events say, when the caller may know of it.
func (r *Recording) read(events iter.Seq2[*audit.Event, error], may func(start *audit.Event) bool, skip uint64) error {
	refused := false
	begun := func(yield func(*audit.Event, error) bool) {
		first := true
		for e, err := range events {
			if first && (err != nil || e.Type != audit.SessionStart || !may(e)) {
				refused = true
				return
			}
			if first {
				r.Start, r.User, r.For, r.Groups, r.Method = e.When(), e.User, e.For, e.Groups, e.Method
				r.Resource, r.Account, r.Database, r.Protocol, r.Remote, r.Recording = e.Resource, e.Account, e.Database, e.Protocol, e.Remote, e.Recording
			}
			first = false
			if !yield(e, err) {
				return
			}
		}
	}
	for e, err := range timeline.Of(begun) {
		if err != nil {
			return err
		}
		switch e.Kind {
		case timeline.Ended:
			r.End, r.Error = e.Time, e.Error
		case timeline.Recovered:
			r.Recovered = true
		case timeline.Missing:
			r.Lost += e.Lost
		case timeline.Operation:
			if r.All++; r.All > skip && len(r.List) < maxOperations {
				r.List = append(r.List, shownOperation(e))
			}
		}
	}
	if refused || r.Start.IsZero() {
		return errNoRecording
	}
	return nil
}

func shownOperation(e *timeline.Entry) RecordedOperation {
	op := RecordedOperation{
		Op: e.Op, At: e.Time, Kind: e.OpKind, Name: e.Name, Text: e.Text, Target: e.Target, Effects: e.Effects, State: string(e.State), Verdict: e.Verdict,
		By: e.By, Rule: e.Rule, Grant: e.Grant, Reason: e.Reason, Micros: e.Took.Microseconds(), Rows: e.Rows, Masked: e.Masked, Code: e.Code, Error: e.Error,
	}
	if op.Cut = len(op.Text) > maxShownText; op.Cut {
		op.Text = strings.ToValidUTF8(op.Text[:maxShownText], "")
	}
	return op
}
