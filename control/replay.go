package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/replay"
)

// shownPiece is a line of GET /v1/recordings/{id}/shown. The first has the operation, its stream and
// the terminal's size; the last has end, and one that is cut off has not.
type shownPiece struct {
	Op     uint64 `json:"op,omitempty"`
	Stream string `json:"stream,omitempty"`
	Term   string `json:"term,omitempty"`
	At     int64  `json:"at"`            // milliseconds since the recording began
	Out    string `json:"out,omitempty"` // what was shown, without what does more than to draw
	In     string `json:"in,omitempty"`  // a line that was typed
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	End    bool   `json:"end,omitempty"`
}

// Hits is the answer to GET /v1/recordings/{id}/find.
type Hits struct {
	Hits []Hit `json:"hits"`
	More bool  `json:"more,omitempty"` // there are more than these
}

// Hit is a place in a recording where a text is shown.
type Hit struct {
	Op   uint64 `json:"op"`
	At   int64  `json:"at"` // milliseconds since the recording of the operation began
	Line string `json:"line"`
}

const maxHits = 500

// SessionProof is the answer to GET /v1/recordings/{id}/proof.
type SessionProof struct {
	// State is proven; open, while there is nothing to be proven yet; erased, where what is left is proven; or
	// failed.
	State   string `json:"state"`
	Message string `json:"message,omitempty"`
	Events  uint64 `json:"events,omitempty"`
	Index   int64  `json:"index"` // its place among the sealed sessions, from 0
	// Sessions are how many sealed sessions the signed head is of, which Checkpoint is.
	Sessions   int64  `json:"sessions,omitempty"`
	Checkpoint string `json:"checkpoint,omitempty"`
	// Public is the key that lies in the gateway's log. That it is the right one is for a copy of the auditor's own to say.
	Public string `json:"public,omitempty"`
}

// recorded opens a session's record for the caller, who may see it; what says what she does there, for the gateway's own
// record. Without leave it is not read.
func (h *Handler) recorded(c *call, what string) (a *audit.Archive, id string, leave func(), err error) {
	if id = knownID(c.PathValue("id")); id == "" {
		return nil, "", nil, errNoRecording
	}
	if h.Archive == nil {
		return nil, "", nil, errNoArchive
	}
	// Who reads slowly keeps nobody from searching.
	leave = func() { h.watchers.Add(-1) }
	if h.watchers.Add(1) > maxWatchers {
		leave()
		return nil, "", nil, &Error{http.StatusTooManyRequests, CodeBusy, "too many sessions are being watched"}
	}
	if a, err = h.Archive(); err == nil {
		err = h.mayRead(c, a, id, what)
	}
	if err != nil {
		leave()
		return nil, "", nil, err
	}
	return a, id, leave, nil
}

func (h *Handler) mayRead(c *call, a *audit.Archive, id, what string) error {
	for first, err := range a.Events(id) {
		if err != nil || first.Type != audit.SessionStart || !c.permitted && !c.owns(first.User, first.For) {
			return errNoRecording
		}
		return h.record(audit.Action{Type: audit.AdminRead, By: c.who, Session: id, Reason: what, Remote: c.RemoteAddr})
	}
	return errNoRecording
}

// operation reads ?op=: the operation that is asked about, 0 for the first that has something to show.
func (c *call) operation() (uint64, error) {
	text := c.URL.Query().Get("op")
	if text == "" {
		return 0, nil
	}
	op, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, badRequest("op: got %q, want the number of an operation", text)
	}
	return op, nil
}

func shows(start *audit.Event) bool { return start.Stream != "rows" && start.Stream != "copy" }

// recordedStream finds the first recording of a terminal or a command's output, or that of ?op=.
func (h *Handler) recordedStream(c *call, what string) (a *audit.Archive, id string, start *audit.Event, leave func(), err error) {
	op, err := c.operation()
	if err != nil {
		return nil, "", nil, nil, err
	}
	if a, id, leave, err = h.recorded(c, what); err != nil {
		return nil, "", nil, nil, err
	}
	start, err = replay.First(a.Events(id), op, shows)
	if err == nil && start == nil {
		err = NotFound("nothing was recorded that was shown: the rules of recording may have it so")
	}
	if err != nil {
		leave()
		return nil, "", nil, nil, err
	}
	return a, id, start, leave, nil
}

// showRecorded sends what a terminal showed, as it came: with the times, and without waiting for them.
func (h *Handler) showRecorded(c *call) error {
	a, id, start, leave, err := h.recordedStream(c, "shown")
	if err != nil {
		return err
	}
	defer leave()
	record, err := a.Open(id)
	if err != nil {
		return err
	}
	defer record.Close()
	out := h.stream(c, "application/x-ndjson", "")
	lines := json.NewEncoder(out)
	piece := shownPiece{Op: start.Op, Stream: start.Stream, Term: start.Term, Width: start.Width, Height: start.Height}
	for p, err := range replay.Pieces(record.From(start.When(), 0), start) {
		if err != nil {
			return h.broken(c, id, err)
		}
		if err := lines.Encode(piece); err != nil {
			return nil // the reader left
		}
		piece = shownPiece{At: p.At.Milliseconds(), Out: p.Output, In: p.Input, Width: p.Width, Height: p.Height}
	}
	if err := lines.Encode(piece); err == nil {
		_ = lines.Encode(shownPiece{At: piece.At, End: true}) // the reader may have left
	}
	return nil
}

// saveCast sends the recording of a terminal as an asciicast.
func (h *Handler) saveCast(c *call) error {
	a, id, start, leave, err := h.recordedStream(c, "asciicast")
	if err != nil {
		return err
	}
	defer leave()
	if start.Stream != "terminal" {
		return NotFound("this is not the recording of a terminal: it was a command's output")
	}
	out := h.stream(c, "application/x-asciicast", fmt.Sprintf("%s-%d.cast", id, start.Op))
	if err := replay.Cast(out, a.Events(id), start.Op, id); err != nil {
		return h.broken(c, id, err)
	}
	return nil
}

// saveText sends what a terminal showed as plain text.
func (h *Handler) saveText(c *call) error {
	a, id, start, leave, err := h.recordedStream(c, "text")
	if err != nil {
		return err
	}
	defer leave()
	out := h.stream(c, "text/plain; charset=utf-8", fmt.Sprintf("%s-%d.txt", id, start.Op))
	var plain replay.Plain
	var b []byte
	for e, err := range a.Events(id) {
		if err != nil {
			return h.broken(c, id, err)
		}
		if e.Op != start.Op || e.Type != audit.RecordingOutput || e.Stream != start.Stream {
			continue
		}
		b = plain.Append(b[:0], e.Content())
		if _, err := out.Write(b); err != nil {
			return nil // the reader left
		}
	}
	return nil
}

// saveRows sends recorded rows as CSV.
func (h *Handler) saveRows(c *call) error {
	op, err := c.operation()
	if err != nil {
		return err
	}
	a, id, leave, err := h.recorded(c, "rows")
	if err != nil {
		return err
	}
	defer leave()
	start, err := replay.First(a.Events(id), op, func(start *audit.Event) bool { return !shows(start) })
	if err != nil {
		return err
	}
	if start == nil {
		return NotFound("no rows are on record: the rules of recording may have it so")
	}
	out := h.stream(c, "text/csv; charset=utf-8", fmt.Sprintf("%s-%d.csv", id, start.Op))
	if _, _, err := replay.CSV(out, a.Events(id), start.Op); err != nil {
		return h.broken(c, id, err)
	}
	return nil
}

// findRecorded finds where a text was shown.
func (h *Handler) findRecorded(c *call) error {
	text := c.URL.Query().Get("text")
	if text == "" || len(text) > 200 || !utf8.ValidString(text) {
		return badRequest("text: got %d bytes, want 1 to 200", len(text))
	}
	op, err := c.operation()
	if err != nil {
		return err
	}
	a, id, leave, err := h.recorded(c, "find "+text)
	if err != nil {
		return err
	}
	defer leave()
	hits, err := replay.Find(a.Events(id), op, text, maxHits+1)
	if err != nil {
		return err
	}
	out := Hits{Hits: []Hit{}, More: len(hits) > maxHits}
	for _, hit := range hits[:min(len(hits), maxHits)] {
		out.Hits = append(out.Hits, Hit{hit.Op, hit.At.Milliseconds(), hit.Line})
	}
	h.answer(c.w, http.StatusOK, out)
	return nil
}

// proveRecording says whether a session's record is proven to be as it was sealed.
func (h *Handler) proveRecording(c *call) error {
	a, id, leave, err := h.recorded(c, "proof")
	if err != nil {
		return err
	}
	defer leave()
	out := SessionProof{State: "proven"}
	switch p, err := a.Prove(id); {
	case errors.Is(err, audit.ErrUnsealed):
		out.State, out.Message = "open", "the record is sealed when the session has ended"
	case err != nil:
		h.log().Error("control: a record is not proven", "session", id, "err", err)
		out.State, out.Message = "failed", "the record is not as it was sealed, or cannot be read: the gateway's log says more"
	default:
		if p.Erased {
			out.State = "erased"
		}
		out.Events, out.Index, out.Sessions, out.Checkpoint, out.Public = p.Events, p.Index, p.Sessions, p.Checkpoint, p.Public
	}
	h.answer(c.w, http.StatusOK, out)
	return nil
}

// stream begins an answer that may be long. A name is that of a file to be saved.
func (h *Handler) stream(c *call, media, name string) io.Writer {
	c.w.Header().Set("Content-Type", media)
	if name != "" {
		c.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	}
	c.w.WriteHeader(http.StatusOK)
	return &patient{c.w, http.NewResponseController(c.w)}
}

// patient waits for a reader who is slow, and not for one who is gone.
type patient struct {
	io.Writer
	control *http.ResponseController
}

// Write implements [io.Writer].
func (p *patient) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(watcherTime)); err != nil {
		return 0, err
	}
	return p.Writer.Write(b)
}

// broken ends an answer that has begun and cannot be ended well. Its end says that there was more.
func (h *Handler) broken(c *call, id string, err error) error {
	if c.Context().Err() == nil {
		h.log().Warn("control: a recording could not be sent to its end", "session", id, "err", err)
	}
	panic(http.ErrAbortHandler)
}
