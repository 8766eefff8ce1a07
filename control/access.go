package control

import (
	"context"
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
	// Terms returns those on which somebody who is at an address may ask for access to a resource, in the order of the rules. from and
	// account may be empty. The error wraps proxy.ErrNotFound where the resource is not there.
	Terms func(ctx context.Context, who *proxy.Identity, from, resource, account string) ([]review.Terms, error)
	// Rule returns those of a request's rule at its resource, for who proposes to grant something else. The error says that one of them
	// is not there.
	Rule func(ctx context.Context, r *review.Request) (review.Terms, error)
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
	// BreakGlass takes it at once, without an approval. Everybody is told, and it is reviewed afterwards. The caller must have proven
	// herself within GlassFresh, with a second factor.
	BreakGlass bool `json:"break_glass,omitempty"`
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
	ask, err := access.ask(c.Context(), c.who, c.RemoteAddr, &req)
	if err != nil {
		return err
	}
	var r *review.Request
	if req.BreakGlass {
		r, err = h.breakGlass(c, *ask)
	} else {
		r, err = h.Requests.Ask(c.Context(), c.who, *ask)
	}
	if err != nil {
		return h.requestError(err)
	}
	h.answer(c.w, http.StatusCreated, r)
	return nil
}

// ask finds the terms on which somebody who is at an address may have what she asks for.
func (a *Access) ask(ctx context.Context, who *proxy.Identity, from string, req *AccessRequest) (*review.Ask, error) {
	all, err := a.Terms(ctx, who, from, req.Resource, req.Account)
	if errors.Is(err, proxy.ErrNotFound) || err == nil && len(all) == 0 {
		return nil, errNoTerms
	}
	if err != nil {
		return nil, err
	}
	terms := slices.IndexFunc(all, func(t review.Terms) bool {
		return (req.Rule == "" || t.Rule == req.Rule) && (t.BreakGlass > 0 || !req.BreakGlass) && !slices.ContainsFunc(req.Actions, func(a string) bool { return !slices.Contains(t.Actions, a) })
	})
	if terms < 0 && req.BreakGlass {
		return nil, &Error{http.StatusForbidden, CodeForbidden, fmt.Sprintf("no rule lets you take that without an approval at %s; ask for it", req.Resource)}
	}
	if terms < 0 {
		return nil, badRequest("no rule lets you ask for that at %s: %s", req.Resource, offered(all))
	}
	return &review.Ask{
		Resource: req.Resource, Account: req.Account, Terms: all[terms], Actions: req.Actions, For: time.Duration(req.Seconds) * time.Second,
		From: req.From, Reason: req.Reason, Remote: from,
	}, nil
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

// Terms are those on which somebody may ask for access.
type Terms struct {
	Rule    string         `json:"rule"`
	Actions []string       `json:"actions"`
	Seconds int64          `json:"seconds"`          // unless something else is asked for
	Max     int64          `json:"max"`              // seconds
	Decide  int64          `json:"decide"`           // how long a request may wait for a decision, in seconds
	Reason  string         `json:"reason,omitempty"` // a pattern that the reason must have
	Message string         `json:"message,omitempty"`
	Stages  []review.Stage `json:"stages"` // who decides, one after the other
	// BreakGlass is for how long at most the caller may have it without an approval, in seconds; 0: not at all.
	BreakGlass int64 `json:"break_glass,omitempty"`
}

// TermsList is the answer to GET /v1/resources/{name}/terms.
type TermsList struct {
	Terms []Terms `json:"terms"` // in the order of the rules
}

// showTerms says on what terms the caller may ask for access. What she may not ask for is like what is not there.
func (h *Handler) showTerms(c *call) error {
	access := c.portal.Access
	if access == nil || h.Requests == nil {
		return errNoAccess
	}
	all, err := access.Terms(c.Context(), c.who, c.RemoteAddr, c.PathValue("name"), c.URL.Query().Get("account"))
	if errors.Is(err, proxy.ErrNotFound) || err == nil && len(all) == 0 {
		return errNoTerms
	}
	if err != nil {
		return err
	}
	out := TermsList{}
	for _, t := range all {
		out.Terms = append(out.Terms, Terms{
			Rule: t.Rule, Actions: t.Actions, Seconds: int64(t.For / time.Second), Max: int64(t.Max / time.Second), Decide: int64(t.Decide / time.Second),
			Reason: t.Reason, Message: t.Message, Stages: t.Stages, BreakGlass: int64(t.BreakGlass / time.Second),
		})
	}
	h.answer(c.w, http.StatusOK, out)
	return nil
}

var errNoTerms = NotFound("you can ask for access to no resource of this name")

// actions are the words that mean something, for who grants a part of what was asked for.
func (p *Portal) actions() []string {
	if p.Access == nil {
		return nil
	}
	return p.Access.Actions
}
