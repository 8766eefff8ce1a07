package control

import (
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
)

// MessageRequest is the body of POST /v1/sessions/{id}/message.
type MessageRequest struct {
	Text string `json:"text"` // a line that the user is shown, and that is recorded
}

// Messaged is the answer to a message.
type Messaged struct {
	Now bool `json:"now"` // she is shown it at once; false: with the answer to what she asks next
}

// FreezeRequest is the body of POST /v1/sessions/{id}/freeze and …/unfreeze.
type FreezeRequest struct {
	Reason string `json:"reason"` // recorded, and of a freeze told to the user; must not be empty
}

// Frozen says of a session that it waits.
type Frozen struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// line is a text of one line, for a user and the record.
func line(what, text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxReason || strings.ContainsFunc(text, unicode.IsControl) {
		return "", badRequest("%s: want one line of at most %d bytes", what, maxReason)
	}
	return text, nil
}

func (h *Handler) messageSession(c *call) error {
	var req MessageRequest
	if err := c.body(&req); err != nil {
		return err
	}
	text, err := line("text", req.Text)
	if err != nil {
		return err
	}
	s, err := h.session(c)
	if err != nil {
		return err
	}
	if err := h.record(audit.Action{Type: audit.AdminMessage, By: c.who, Session: s.ID, Reason: text, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	now, err := s.Message("an administrator writes: " + text)
	if errors.Is(err, proxy.ErrTooManyWords) {
		return &Error{http.StatusTooManyRequests, CodeBusy, err.Error()}
	}
	h.answer(c.w, http.StatusOK, Messaged{Now: now})
	return nil
}

func (h *Handler) freezeSession(c *call) error {
	return h.frozen(c, audit.AdminFreeze, func(s *proxy.Session, reason string) error {
		if !s.Freeze(proxy.Freeze{By: c.who.Subject, Reason: reason, At: time.Now()}) {
			return &Error{http.StatusConflict, CodeConflict, "the session is frozen already"}
		}
		h.tell(s, "an administrator has frozen this session: "+reason)
		return nil
	})
}

func (h *Handler) thawSession(c *call) error {
	return h.frozen(c, audit.AdminThaw, func(s *proxy.Session, _ string) error {
		if !s.Thaw() {
			return &Error{http.StatusConflict, CodeConflict, "the session is not frozen"}
		}
		h.tell(s, "this session goes on")
		return nil
	})
}

// tell tells a user what becomes of her session. What she has no room for is in the log alone: the session is as it is.
func (h *Handler) tell(s *proxy.Session, text string) {
	if _, err := s.Message(text); err != nil {
		h.log().Warn("control: the user of a session is not told what becomes of it", "session", s.ID, "err", err)
	}
}

// frozen does something to the session that the path names, with a reason.
func (h *Handler) frozen(c *call, action string, do func(s *proxy.Session, reason string) error) error {
	var req FreezeRequest
	if err := c.body(&req); err != nil {
		return err
	}
	reason, err := line("reason", req.Reason)
	if err != nil {
		return err
	}
	s, err := h.session(c)
	if err != nil {
		return err
	}
	if err := h.record(audit.Action{Type: action, By: c.who, Session: s.ID, Reason: reason, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	if err := do(s, reason); err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, describe(s))
	return nil
}
