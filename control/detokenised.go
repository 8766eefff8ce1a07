package control

import (
	"net/http"

	"github.com/sallyport/sallyport/audit"
)

// Detokenise is the permission to record that a masked value is turned
// back. The values themselves do not come here: who turns them back holds the key.
const Detokenise Permission = "detokenise"

// DetokenisedRequest is the body of POST /v1/detokenised.
type DetokenisedRequest struct {
	User  string `json:"user"`            // who has proven it by a password
	Type  string `json:"type,omitempty"`  // of the value
	Error string `json:"error,omitempty"` // why it was not turned back
}

// Action is what is recorded of it.
func (r *DetokenisedRequest) Action() audit.Action {
	reason := "as " + r.User
	if r.Error != "" {
		reason += ": " + r.Error
	}
	return audit.Action{Type: audit.AdminDetokenise, Action: r.Type, Reason: reason}
}

// noteDetokenised records it; when that fails, the caller shows nothing.
func (h *Handler) noteDetokenised(c *call) error {
	var req DetokenisedRequest
	if err := c.body(&req); err != nil {
		return err
	}
	if req.User == "" || len(req.User)+len(req.Type)+len(req.Error) > maxReason {
		return badRequest("a user is needed, and at most %d bytes", maxReason)
	}
	a := req.Action()
	a.By, a.Remote = c.who, c.RemoteAddr
	if err := h.record(a); err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, Done{})
	return nil
}
