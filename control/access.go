package control

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// Access is what may be asked for.
type Access struct {
	// Terms returns those on which somebody may ask for access to a resource, in the order of the rules. account may be empty. The error
	// wraps proxy.ErrNotFound where the resource is not there.
	Terms func(who *proxy.Identity, resource, account string) ([]review.Terms, error)
	// Rule returns those of a rule at a resource, for who proposes to grant something else. The error says that one of them is not there.
	Rule func(rule, resource string) (review.Terms, error)
	// Actions are the words that mean something, for who grants a part of everything.
	Actions []string
}

// AccessRequest is the body of POST /v1/requests.
type AccessRequest struct {
	Resource string   `json:"resource,omitempty"`
	Account  string   `json:"account,omitempty"` // empty: those that the rule is about
	Rule     string   `json:"rule,omitempty"`    // empty: the first one that allows the actions
	Actions  []string `json:"actions,omitempty"` // empty: all that the rule allows
	Seconds  int64    `json:"seconds,omitempty"` // 0: as long as the rule says
	// From is when access begins; zero is with the last approval.
	From   time.Time `json:"from,omitzero"`
	Reason string    `json:"reason"`
	// Extends is a request of the caller's by which she has access, for which she asks for more time: only seconds and reason are said.
	Extends string `json:"extends,omitempty"`
}

// maxAccess is the longest time that is read, in seconds; what may be asked for is less.
const maxAccess = int64(365 * 24 * time.Hour / time.Second)

var errNoAccess = NotFound("access is not asked for at this gateway")

// askAccess makes a request for access.
func (h *Handler) askAccess(c *call) error {
	access := c.portal.Access
	if access == nil || h.Requests == nil {
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
	if req.Extends != "" {
		return h.extendAccess(c, &req)
	}
	all, err := access.Terms(c.who, req.Resource, req.Account)
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
	r, err := h.Requests.Ask(c.Context(), c.who, review.Ask{
		Resource: req.Resource, Account: req.Account, Terms: all[terms], Actions: req.Actions, For: time.Duration(req.Seconds) * time.Second,
		From: req.From, Reason: req.Reason, Remote: c.RemoteAddr,
	})
	if err != nil {
		return h.requestError(err)
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

// actions are the words that mean something, for who grants a part of what was asked for.
func (p *Portal) actions() []string {
	if p.Access == nil {
		return nil
	}
	return p.Access.Actions
}
