package control

import (
	"context"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// Offline makes grants that count while the store does not answer, and has them used; see package review/offline. What it refuses it
// tells by an [Error].
type Offline interface {
	Make(ctx context.Context, by *proxy.Identity, r OfflineGrantRequest) (*OfflineGrant, error)
	Begin(ctx context.Context, r OfflineBegin) (*OfflineStatement, error)
	Use(ctx context.Context, by *proxy.Identity, r OfflineUse) (*OfflineAccess, error)
}

// OfflineGrantRequest is the body of POST /v1/offline-grants.
type OfflineGrantRequest struct {
	Subject  string   `json:"subject"` // who may use it
	Key      string   `json:"key"`     // hers: a public key of SSH
	Resource string   `json:"resource"`
	Account  string   `json:"account,omitempty"`
	Rule     string   `json:"rule,omitempty"`    // empty: the first that lets her
	Actions  []string `json:"actions,omitempty"` // empty: all that the rule allows
	Seconds  int64    `json:"seconds,omitempty"` // the longest time; 0 is what the rule says
	Days     int      `json:"days,omitempty"`    // for which it can be used; 0 is 90
	Reason   string   `json:"reason"`
}

// OfflineGrant is a grant that was made. Sealed is what is kept of it for the emergency.
type OfflineGrant struct {
	ID       string    `json:"id"`
	Sealed   string    `json:"sealed"`
	NotAfter time.Time `json:"not_after"`
}

// OfflineBegin is the body of POST /v1/offline-grants/begin.
type OfflineBegin struct {
	Sealed  string `json:"sealed"`
	Reason  string `json:"reason"`
	Seconds int64  `json:"seconds,omitempty"` // 0: as long as the grant says
}

// OfflineStatement is what people sign.
type OfflineStatement struct {
	Text    string    `json:"text"`
	Subject string    `json:"subject"` // who signs it, besides
	Need    int       `json:"need"`    // so many
	Keepers []string  `json:"keepers"` // of these
	Expires time.Time `json:"expires"`
}

// OfflineUse is the body of POST /v1/offline-grants/use.
type OfflineUse struct {
	Sealed     string   `json:"sealed"`
	Statement  string   `json:"statement"`
	Signatures []string `json:"signatures"` // as ssh-keygen writes them
}

// OfflineAccess is by what the user of a grant logs in.
type OfflineAccess struct {
	Request  *review.Request `json:"request"`
	User     string          `json:"user"`
	Password string          `json:"password"` // shown once
	Resource string          `json:"resource"`
}

var errNoOffline = NotFound("this gateway has no offline grants: its configuration names no keepers")

// atMachine reports why offline grants are not used here: they are at the gateway's machine, where nothing else needs to answer.
func (h *Handler) atMachine(c *call) error {
	switch {
	case h.Offline == nil:
		return errNoOffline
	case c.means != byPeer:
		return &Error{http.StatusForbidden, CodeForbidden, "offline grants are used at the gateway's machine, by the local socket"}
	}
	return nil
}

func (h *Handler) makeOffline(c *call) error {
	if h.Offline == nil {
		return errNoOffline
	}
	var req OfflineGrantRequest
	if err := c.body(&req); err != nil {
		return err
	}
	if req.Reason == "" || len(req.Reason) > maxReason {
		return badRequest("reason: want 1 to %d bytes", maxReason)
	}
	if req.Seconds < 0 || req.Seconds > maxAccess || req.Days < 0 || req.Days > 366 {
		return badRequest("seconds and days: got %d and %d, want times of at most a year", req.Seconds, req.Days)
	}
	a := audit.Action{Type: audit.AdminOffline, Action: "make", By: c.who, Reason: "for " + req.Subject + " at " + req.Resource + ": " + req.Reason, Remote: c.RemoteAddr}
	if err := h.record(a); err != nil {
		return err
	}
	g, err := h.Offline.Make(c.Context(), c.who, req)
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusCreated, g)
	return nil
}

func (h *Handler) beginOffline(c *call) error {
	if err := h.atMachine(c); err != nil {
		return err
	}
	var req OfflineBegin
	if err := c.body(&req); err != nil {
		return err
	}
	if req.Seconds < 0 || req.Seconds > maxAccess {
		return badRequest("seconds: got %d, want a time of at most a day", req.Seconds)
	}
	if err := h.record(audit.Action{Type: audit.AdminOffline, Action: "begin", By: c.who, Reason: shortReason(req.Reason), Remote: c.RemoteAddr}); err != nil {
		return err
	}
	s, err := h.Offline.Begin(c.Context(), req)
	if err != nil {
		return h.refusedOffline(c, err)
	}
	h.answer(c.w, http.StatusOK, s)
	return nil
}

func (h *Handler) useOffline(c *call) error {
	if err := h.atMachine(c); err != nil {
		return err
	}
	var req OfflineUse
	if err := c.body(&req); err != nil {
		return err
	}
	access, err := h.Offline.Use(c.Context(), c.who, req)
	if err != nil {
		return h.refusedOffline(c, err)
	}
	h.answer(c.w, http.StatusCreated, access)
	return nil
}

// refusedOffline records that an offline grant was not used, and returns why.
func (h *Handler) refusedOffline(c *call, err error) error {
	a := audit.Action{Type: audit.AdminRefused, Action: audit.AdminOffline, By: c.who, Reason: shortReason(err.Error()), Remote: c.RemoteAddr}
	if rerr := h.record(a); rerr != nil {
		return rerr
	}
	return err
}

// shortReason is a text that somebody has sent, as it is recorded.
func shortReason(text string) string {
	if len(text) > maxReason {
		return text[:maxReason]
	}
	return text
}
