package control

import (
	"errors"
	"io/fs"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/audit"
)

// Permissions about records.
const (
	Erase Permission = "erase" // destroy a session's content
	Hold  Permission = "hold"  // keep sessions from being erased, and let them be
)

// ReasonRequest is the body of POST /v1/sessions/{id}/erase, hold and release.
type ReasonRequest struct {
	Reason string `json:"reason"` // recorded; must not be empty
}

// onRecord does something to a recorded session. do records it before.
func onRecord(do func(*audit.Log, audit.Action) error) func(h *Handler, c *call) error {
	return func(h *Handler, c *call) error {
		var req ReasonRequest
		if err := c.body(&req); err != nil {
			return err
		}
		req.Reason = strings.TrimSpace(req.Reason)
		if req.Reason == "" || len(req.Reason) > maxReason {
			return badRequest("a reason is needed, of at most %d bytes", maxReason)
		}
		id := knownID(c.PathValue("id"))
		if id == "" || h.Records == nil {
			return NotFound("no session has this identifier")
		}
		err := do(h.Records, audit.Action{By: c.who, Session: id, Reason: req.Reason, Remote: c.RemoteAddr})
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return NotFound("no session has this identifier")
		case errors.Is(err, audit.ErrHeld), errors.Is(err, audit.ErrOpen), errors.Is(err, audit.ErrErased), errors.Is(err, audit.ErrNotHeld), errors.Is(err, audit.ErrOwn):
			return &Error{http.StatusConflict, CodeHeld, err.Error()}
		case err != nil:
			return err
		}
		h.answer(c.w, http.StatusOK, Done{})
		return nil
	}
}
