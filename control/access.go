package control

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// AccessDesk takes requests for access to resources.
type AccessDesk struct {
	Desk *review.Desk
	// Terms returns those on which somebody may ask for access to a resource, in the order of the rules. account may be empty. The error
	// wraps proxy.ErrNotFound where the resource is not there.
	Terms func(who *proxy.Identity, resource, account string) ([]review.Terms, error)
	// Actions are the words that mean something, for who grants a part of everything.
	Actions []string
}

// AccessRequest is the body of POST /v1/requests.
type AccessRequest struct {
	Resource string   `json:"resource"`
	Account  string   `json:"account,omitempty"` // empty: those that the rule is about
	Rule     string   `json:"rule,omitempty"`    // empty: the first one that allows the actions
	Actions  []string `json:"actions,omitempty"` // empty: all that the rule allows
	Seconds  int64    `json:"seconds,omitempty"` // 0: as long as the rule says
	// From is when access begins; zero is with the last approval.
	From   time.Time `json:"from,omitzero"`
	Reason string    `json:"reason"`
}

// maxAccess is the longest time that is read, in seconds; what may be asked for is less.
const maxAccess = int64(365 * 24 * time.Hour / time.Second)

var errNoAccess = NotFound("access is not asked for at this gateway")

// askAccess makes a request for access.
func (h *Handler) askAccess(c *call) error {
	desk := c.portal.Access
	if desk == nil {
		return errNoAccess
	}
	var req AccessRequest
	if err := c.body(&req); err != nil {
		return err
	}
	if scoped, err := c.scoped(); err != nil {
		return err
	} else if scoped {
		return &Error{http.StatusForbidden, CodeForbidden, "an access token that has scopes asks for nothing more"}
	}
	if req.Seconds < 0 || req.Seconds > maxAccess {
		return badRequest("seconds: got %d, want a time of at most a year", req.Seconds)
	}
	all, err := desk.Terms(c.who, req.Resource, req.Account)
	if errors.Is(err, proxy.ErrNotFound) || err == nil && len(all) == 0 {
		return NotFound("you can ask for access to no resource of this name")
	}
	if err != nil {
		return err
	}
	terms := slices.IndexFunc(all, func(t review.Terms) bool {
		return (req.Rule == "" || t.Rule == req.Rule) && !slices.ContainsFunc(req.Actions, func(a string) bool { return !slices.Contains(t.Actions, a) })
	})
	if terms < 0 {
		return badRequest("no rule lets you ask for that at %s: %s", req.Resource, offered(all))
	}
	r, err := desk.Desk.Ask(c.Context(), c.who, review.Ask{
		Resource: req.Resource, Account: req.Account, Terms: all[terms], Actions: req.Actions, For: time.Duration(req.Seconds) * time.Second,
		From: req.From, Reason: req.Reason, Remote: c.RemoteAddr,
	})
	if err != nil {
		return h.accessError(err)
	}
	h.answer(c.w, http.StatusCreated, r)
	return nil
}

// offered says what may be asked for.
func offered(all []review.Terms) string {
	text := "you may ask for"
	for i, t := range all {
		if i > 0 {
			text += "; or"
		}
		text += fmt.Sprintf(" %v by rule %s", t.Actions, t.Rule)
	}
	return text
}

// accessError is a refusal of a request for access as the API tells it. What the store or the record says of itself is in the log.
func (h *Handler) accessError(err error) error {
	if errors.Is(err, review.ErrAsk) {
		return badRequest("%v", err)
	}
	told := decisionError(err)
	var e *Error
	if !errors.As(told, &e) || e.Code != CodeUnrecorded {
		return told
	}
	h.log().Error("control: what becomes of a request could not be recorded or kept", "err", err)
	return &Error{e.Status, e.Code, "this could not be recorded or kept: look at the request again before you try anew; the gateway's log says why"}
}

// findAccess returns a request for access that the caller may know of.
func (c *call) findAccess(id string) (*review.Request, error) {
	if c.portal.Access == nil {
		return nil, review.ErrUnknown
	}
	r, err := c.portal.Access.Desk.Get(c.Context(), id)
	if err != nil {
		return nil, err
	}
	if !c.seesAccess(r) {
		return nil, review.ErrUnknown
	}
	return r, nil
}

// seesAccess reports whether the caller may know of a request for access: her own, and those of which she is an approver.
func (c *call) seesAccess(r *review.Request) bool {
	return c.permitted || c.owns(r.Requester, r.For) || c.means != byPeer && r.ApproverOf(c.who)
}

// decideAccess has the caller decide about a request for access.
func (h *Handler) decideAccess(c *call, r *review.Request, d *decisionBody, approve bool) error {
	for _, a := range d.Actions {
		if !slices.Contains(c.portal.Access.Actions, a) {
			return badRequest("actions: %q is unknown: want one of %s", a, strings.Join(c.portal.Access.Actions, ", "))
		}
	}
	by, channel, err := h.decider(c, d)
	if err == nil {
		desk, vote := c.portal.Access.Desk, review.Vote{By: by, Hash: d.Hash, Reason: d.Reason, Channel: channel}
		if approve {
			r, err = desk.Approve(c.Context(), r.ID, vote, review.Narrow{For: time.Duration(d.Seconds) * time.Second, Actions: d.Actions})
		} else {
			r, err = desk.Deny(c.Context(), r.ID, vote)
		}
	}
	if err != nil {
		return h.refusedDecision(c, c.PathValue("id"), d.User, "", err)
	}
	h.answer(c.w, http.StatusOK, r)
	return nil
}

// refusedDecision records that somebody may not decide, and returns why.
func (h *Handler) refusedDecision(c *call, id, user, session string, err error) error {
	a := audit.Action{
		Type: audit.AdminRefused, Action: audit.AdminDecide, By: c.who, Session: session, Reason: "request " + knownID(id) + " as " + user + ": " + err.Error(), Remote: c.RemoteAddr,
	}
	if rerr := h.record(a); rerr != nil {
		return rerr
	}
	return h.accessError(err)
}

// cancelRequest withdraws a request for access of the caller's own.
func (h *Handler) cancelRequest(c *call) error {
	return h.endAccess(c, func(r *review.Request, _ string) (*review.Request, error) {
		return c.portal.Access.Desk.Cancel(c.Context(), r.ID, c.who)
	})
}

// revokeRequest takes back access that was granted.
func (h *Handler) revokeRequest(c *call) error {
	return h.endAccess(c, func(r *review.Request, reason string) (*review.Request, error) {
		return c.portal.Access.Desk.Revoke(c.Context(), r.ID, review.Vote{By: c.who, Reason: reason, Channel: channelOf(c)}, c.permitted)
	})
}

func channelOf(c *call) string {
	if c.means == byPeer {
		return "control socket, " + c.who.Subject
	}
	return apiProtocol
}

func (h *Handler) endAccess(c *call, end func(r *review.Request, reason string) (*review.Request, error)) error {
	if c.portal.Access == nil {
		return errNoAccess
	}
	var req ReasonRequest
	if err := c.body(&req); err != nil {
		return err
	}
	r, err := c.findAccess(c.PathValue("id"))
	if err == nil {
		r, err = end(r, req.Reason)
	}
	if err != nil {
		return h.refusedDecision(c, c.PathValue("id"), c.who.Subject, "", err)
	}
	h.answer(c.w, http.StatusOK, r)
	return nil
}
