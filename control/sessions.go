package control

import (
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
)

// Session is an open session as the API shows it.
type Session struct {
	ID         string     `json:"id"`
	Start      time.Time  `json:"start"`
	User       string     `json:"user"`
	For        string     `json:"for,omitempty"` // the human that an agent acts for
	Groups     []string   `json:"groups,omitempty"`
	Method     string     `json:"method"`
	Resource   string     `json:"resource"`
	Account    string     `json:"account,omitempty"`
	Database   string     `json:"database,omitempty"`
	Protocol   string     `json:"protocol"`
	Remote     string     `json:"remote,omitempty"`
	Via        string     `json:"via,omitempty"` // how the client came, such as "console"; missing: by a listener
	Deadline   *time.Time `json:"deadline,omitempty"`
	Operations uint64     `json:"operations"` // asked so far, refused ones too
	Waiting    int        `json:"waiting"`    // of them held for a decision
	Frozen     *Frozen    `json:"frozen,omitempty"`
}

// Sessions is the answer to GET /v1/sessions.
type Sessions struct {
	Sessions []Session `json:"sessions"` // oldest first
}

func describe(s *proxy.Session) Session {
	operations, waiting := s.Operations()
	v := Session{
		ID: s.ID, Start: s.Started.UTC(), User: s.Identity.Subject, For: s.Identity.OnBehalfOf, Groups: s.Identity.Groups,
		Method: s.Identity.Method.String(), Resource: s.Target.Resource.Name, Account: s.Target.Account.Name,
		Database: s.Target.Database, Protocol: s.Protocol, Via: s.Via, Operations: operations, Waiting: waiting,
	}
	if s.Remote != nil {
		v.Remote = s.Remote.String()
	}
	if !s.Deadline.IsZero() {
		end := s.Deadline.UTC()
		v.Deadline = &end
	}
	if f, is := s.Frozen(); is {
		v.Frozen = &Frozen{By: f.By, Reason: f.Reason, At: f.At.UTC()}
	}
	return v
}

func (h *Handler) listSessions(c *call) error {
	if err := h.record(audit.Action{Type: audit.AdminList, By: c.who, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	list := Sessions{Sessions: []Session{}}
	for _, s := range h.Gateway.Sessions() {
		if !c.permitted && !c.owns(s.Identity.Subject, s.Identity.OnBehalfOf) {
			continue
		}
		list.Sessions = append(list.Sessions, describe(s))
	}
	h.answer(c.w, http.StatusOK, list)
	return nil
}

func (h *Handler) showSession(c *call) error {
	s, err := h.session(c)
	if err != nil {
		return err
	}
	if err := h.record(audit.Action{Type: audit.AdminList, By: c.who, Session: s.ID, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, describe(s))
	return nil
}

// session is the open session that the request names, and that the caller may know of.
func (h *Handler) session(c *call) (*proxy.Session, error) {
	if s := h.Gateway.Session(c.PathValue("id")); s != nil && (c.permitted || c.owns(s.Identity.Subject, s.Identity.OnBehalfOf)) {
		return s, nil
	}
	return nil, NotFound("no open session has this identifier")
}

// knownID returns id when it can be one: refusals are recorded before it is
// looked up.
func knownID(id string) string {
	if len(id) > 26 || strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz") != "" {
		return ""
	}
	return id
}

// KillRequest is the body of POST /v1/sessions/{id}/kill.
type KillRequest struct {
	Reason string `json:"reason"` // told to the user, and recorded; must not be empty
}

// KilledError is why a session ended that somebody killed. Its text is fit for
// the user.
type KilledError struct {
	By     string // for the record
	Reason string
}

func (e *KilledError) Error() string { return "an administrator ended the session: " + e.Reason }

// maxReason bounds a reason, in bytes.
const maxReason = 1000

func (h *Handler) killSession(c *call) error {
	var req KillRequest
	if err := c.body(&req); err != nil {
		return err
	}
	req.Reason = strings.TrimSpace(req.Reason)
	if req.Reason == "" || len(req.Reason) > maxReason {
		return badRequest("a reason is needed, of at most %d bytes", maxReason)
	}
	s, err := h.session(c)
	if err != nil {
		return err
	}
	if err := h.record(audit.Action{Type: audit.AdminKill, By: c.who, Session: s.ID, Reason: req.Reason, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	s.Kill(&KilledError{By: c.who.Subject, Reason: req.Reason})
	h.answer(c.w, http.StatusAccepted, describe(s))
	return nil
}
