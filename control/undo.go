package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// Undos is the answer to GET /v1/undo.
type Undos struct {
	Undos []review.Undo `json:"undos"` // the latest first
}

// UndoEvent is a line of the answer to POST /v1/undo/{id}: plan at first, then held while it waits for its approval, and at last
// done, conflict or failed.
type UndoEvent struct {
	Type string `json:"type"`
	// Undo and Plan are what is undone, and how: plan.
	Undo *review.Undo `json:"undo,omitempty"`
	Plan string       `json:"plan,omitempty"`
	// Request, Link and Deadline are those of the approval that it waits for: held. Of done, Request is by what the undoing ran.
	Request  string    `json:"request,omitempty"`
	Link     string    `json:"link,omitempty"`
	Deadline time.Time `json:"deadline,omitzero"`
	// Rows is how many were written back: done; or are not what the statement left: conflict. Of some of these are the keys, by
	// Columns, where they may be shown.
	Rows    int        `json:"rows,omitempty"`
	Columns []string   `json:"columns,omitempty"`
	Keys    [][]string `json:"keys,omitempty"`
	// Message says why nothing is undone: conflict, failed. It holds no value.
	Message string `json:"message,omitempty"`
}

// viaUndo is how the client came that undoes something, in records.
const viaUndo = "undo"

// listUndos lists what the caller may know of that can be undone: ?session= of one session.
func (h *Handler) listUndos(c *call) error {
	if h.Requests == nil {
		return errNoRequests
	}
	session := c.URL.Query().Get("session")
	if err := h.record(audit.Action{Type: audit.AdminRequests, By: c.who, Session: knownID(session), Remote: c.RemoteAddr}); err != nil {
		return err
	}
	list, err := h.Requests.Undos(c.Context(), func(u *review.Undo) bool {
		return (session == "" || u.Session == session) && h.seesUndo(c, u)
	})
	if err != nil {
		return h.requestError(err)
	}
	h.answer(c.w, http.StatusOK, Undos{list})
	return nil
}

// seesUndo reports whether the caller may know of what can be undone: her own, what she may approve, and what the permission shows.
func (h *Handler) seesUndo(c *call, u *review.Undo) bool {
	if c.permitted || c.owns(u.Requester, u.For) {
		return true
	}
	r, err := h.Requests.Get(c.Context(), u.ID)
	return err == nil && h.lists(c, r)
}

// undo undoes an operation as the caller, and tells how that goes until it has ended. It ends when the caller leaves.
func (h *Handler) undo(c *call) error {
	if h.Requests == nil {
		return errNoRequests
	}
	clients := c.portal.Clients
	if c.means != byLogin || clients == nil {
		return &Error{http.StatusForbidden, CodeForbidden, "this is for those who have logged in: what is undone is undone as somebody who may do that"}
	}
	id := c.PathValue("id")
	err := review.ErrNoUndo
	if u, uerr := h.Requests.Undo(c.Context(), id); uerr == nil && h.seesUndo(c, u) {
		err = nil
	} else if uerr != nil {
		err = uerr
	}
	var u *review.Undo
	var undo *proxy.Undo
	if err == nil {
		u, undo, err = h.Requests.Undoing(c.Context(), id, c.who)
	}
	if err != nil {
		return h.refusedUndo(c, err)
	}
	if err := h.record(audit.Action{Type: audit.AdminUndo, By: c.who, Session: u.Session, Reason: "request " + id, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	text, err := clients.UndoText(u.Resource, undo.Image)
	if err != nil {
		return h.openError(err)
	}
	ctx, stop := h.standing(c)
	defer stop(nil)
	c.w.Header().Set("Content-Type", "application/x-ndjson")
	c.w.WriteHeader(http.StatusOK)
	w := &undoing{c: c, ctx: ctx}
	w.tell(UndoEvent{Type: "plan", Undo: u, Plan: undo.Image.Plan()})
	w.run(h, clients, u, undo, text)
	return nil
}

// refusedUndo records that somebody does not undo something, and returns why.
func (h *Handler) refusedUndo(c *call, err error) error {
	a := audit.Action{Type: audit.AdminRefused, Action: audit.AdminUndo, By: c.who, Reason: "request " + knownID(c.PathValue("id")) + ": " + err.Error(), Remote: c.RemoteAddr}
	if !errors.Is(err, review.ErrNoUndo) && !errors.Is(err, review.ErrUndone) {
		return h.requestError(err)
	}
	if rerr := h.record(a); rerr != nil {
		return rerr
	}
	if errors.Is(err, review.ErrUndone) {
		return &Error{http.StatusConflict, CodeConflict, err.Error()}
	}
	return NotFound(err.Error())
}

// undoing tells the caller how an undoing goes. It is told by several goroutines.
type undoing struct {
	c   *call
	ctx context.Context

	mu       sync.Mutex
	session  string
	request  string
	conflict *UndoEvent
	tag      bool
	failed   *protocol.ServerNotice
}

// tell writes a line.
func (w *undoing) tell(e UndoEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := http.NewResponseController(w.c.w)
	if out.SetWriteDeadline(time.Now().Add(watcherTime)) != nil {
		return
	}
	if json.NewEncoder(w.c.w).Encode(e) == nil {
		_ = out.Flush() // who left is told nothing
	}
}

// run undoes it in a session of the caller's.
func (w *undoing) run(h *Handler, clients Clients, u *review.Undo, undo *proxy.Undo, text string) {
	undo.Differ = func(rows int, columns []string, keys [][]string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.conflict = &UndoEvent{Type: "conflict", Rows: rows, Columns: columns, Keys: keys}
	}
	client := &proxy.Client{
		Identity: w.c.who, Via: viaUndo, Undo: undo,
		Opened: func(s *proxy.Session) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.session = s.ID
		},
		Held: func(op proxy.Op, p *proxy.Pending) {
			if op.Info().Kind == proxy.KindStatement {
				w.mu.Lock()
				w.request = p.ID
				w.mu.Unlock()
			}
			w.tell(UndoEvent{Type: "held", Request: p.ID, Message: p.Message, Link: p.Link, Deadline: p.Deadline})
		},
	}
	db, err := clients.Database(w.ctx, client, ClientTarget{u.Resource, u.Account, remote(w.c.Request)}, protocol.DatabaseRequest{
		Database: u.Database, Note: func(protocol.ServerNotice) {},
	})
	if err == nil {
		defer db.Close()
		err = db.Run(w.ctx, text, w)
	}
	w.mu.Lock()
	session, done, end := w.session, w.tag && w.failed == nil && err == nil, w.end(err)
	w.mu.Unlock()
	if done || w.failed != nil { // otherwise nobody knows, and it stays as it has begun
		ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), watcherTime)
		defer cancel()
		if err := h.Requests.EndUndo(ctx, u.ID, session, done); err != nil {
			h.log().Error("control: how an undoing has ended could not be kept", "request", u.ID, "done", done, "err", err)
		}
	}
	if end.Type == "done" {
		end.Rows = len(undo.Image.Rows)
	}
	w.tell(end)
}

// end is the last line.
func (w *undoing) end(err error) UndoEvent {
	switch {
	case w.failed != nil && w.conflict != nil:
		e := *w.conflict
		e.Message = undoError(w.failed)
		return e
	case w.failed != nil:
		return UndoEvent{Type: "failed", Message: undoError(w.failed)}
	case err == nil && w.tag:
		return UndoEvent{Type: "done", Request: w.request}
	}
	var refused *protocol.ServerNotice
	if errors.As(err, &refused) {
		return UndoEvent{Type: "failed", Message: undoError(refused)}
	}
	return UndoEvent{Type: "failed", Message: "the session has ended before it was known whether this is undone: look at the list"}
}

// undoError is an error of the session without anything that the database says of its rows. What the gateway says holds no value.
func undoError(n *protocol.ServerNotice) string {
	switch {
	case n.Code == "42501" || n.Severity == "FATAL":
		return n.Message
	case n.Code == "23505":
		return "nothing is undone: a row of the same key, or of another value that must be unique, is there by now (23505)"
	case n.Code == "23503":
		return "nothing is undone: rows of other tables refer to these, or what they refer to is gone (23503)"
	case strings.HasPrefix(n.Code, "23"):
		return "nothing is undone: a constraint of the table does not allow it any more (" + n.Code + ")"
	case n.Code == "40001" || n.Code == "40P01" || n.Code == "55P03":
		return "nothing is undone: somebody else has changed or locked the rows at the same time: try again (" + n.Code + ")"
	}
	return "nothing is undone: the database answers with an error (" + n.Code + ")"
}

// Begin implements [protocol.Results].
func (w *undoing) Begin([]protocol.ResultColumn) error { return nil }

// Row implements [protocol.Results].
func (w *undoing) Row([]protocol.Cell) error { return nil }

// End implements [protocol.Results].
func (w *undoing) End(string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tag = true
	return nil
}

// Fail implements [protocol.Results].
func (w *undoing) Fail(n protocol.ServerNotice) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = &n
	return nil
}
