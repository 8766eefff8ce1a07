package control

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// RequestChange is the body of POST /v1/requests/{id}/edit: what a request for access is to be. What is left out stays as it is.
type RequestChange struct {
	Actions []string   `json:"actions,omitempty"`
	Seconds int64      `json:"seconds,omitempty"`
	From    *time.Time `json:"from,omitempty"` // the zero time is with the last approval
	Reason  string     `json:"reason,omitempty"`
}

// AcceptRequest is the body of POST /v1/requests/{id}/accept.
type AcceptRequest struct {
	Hash string `json:"hash"` // of the proposal
}

// granting are the terms on which a rule grants access to a resource to somebody now. What she may not ask for is not there.
func (c *call) granting(who *proxy.Identity, r *review.Request) (review.Terms, error) {
	if c.portal.Access == nil || r.Access == nil {
		return review.Terms{}, badRequest("the request is about an operation, and not for access")
	}
	all, err := c.portal.Access.Terms(c.Context(), who, c.RemoteAddr, r.Resource, r.Account)
	if err != nil && !errors.Is(err, proxy.ErrNotFound) {
		return review.Terms{}, err
	}
	i := slices.IndexFunc(all, func(t review.Terms) bool { return t.Rule == r.Access.Rule })
	if i < 0 {
		return review.Terms{}, badRequest("rule %s does not let you ask for access to %s any more", r.Access.Rule, r.Resource)
	}
	return all[i], nil
}

// changeRequest changes a request of the caller's own.
func (h *Handler) changeRequest(c *call, change func(r *review.Request, t review.Terms) (*review.Request, error)) error {
	r, err := h.findRequest(c)
	var t review.Terms
	if err == nil && !c.owns(r.Requester, "") {
		err = review.ErrUnknown
	}
	if err == nil {
		t, err = c.granting(c.who, r)
	}
	if err == nil {
		r, err = change(r, t)
	}
	if err != nil {
		return h.refusedDecision(c, c.who.Subject, "", err)
	}
	h.answer(c.w, http.StatusOK, r)
	return nil
}

// change is what a body asks for, when it can be read.
func (c *call) change(actions []string, seconds int64, from *time.Time, reason string) (review.Change, error) {
	if err := c.checkTerms(actions, seconds); err != nil {
		return review.Change{}, err
	}
	return review.Change{Actions: actions, For: time.Duration(seconds) * time.Second, From: from, Reason: reason, Remote: c.RemoteAddr}, nil
}

// checkTerms refuses times and actions that mean nothing.
func (c *call) checkTerms(actions []string, seconds int64) error {
	if seconds < 0 || seconds > maxAccess {
		return badRequest("seconds: got %d, want a time of at most a year", seconds)
	}
	for _, a := range actions {
		if known := c.portal.actions(); !slices.Contains(known, a) {
			return badRequest("actions: %q is unknown: want one of %s", a, strings.Join(known, ", "))
		}
	}
	return nil
}

// editRequest changes a request of the caller's own that waits.
func (h *Handler) editRequest(c *call) error {
	var req RequestChange
	if err := c.body(&req); err != nil {
		return err
	}
	what, err := c.change(req.Actions, req.Seconds, req.From, req.Reason)
	if err != nil {
		return err
	}
	return h.changeRequest(c, func(r *review.Request, t review.Terms) (*review.Request, error) {
		return h.Requests.Edit(c.Context(), r.ID, c.who, t, what)
	})
}

// acceptRequest makes a request of the caller's own what an approver has proposed.
func (h *Handler) acceptRequest(c *call) error {
	var req AcceptRequest
	if err := c.body(&req); err != nil {
		return err
	}
	return h.changeRequest(c, func(r *review.Request, t review.Terms) (*review.Request, error) {
		return h.Requests.Accept(c.Context(), r.ID, c.who, t, req.Hash, c.RemoteAddr)
	})
}

// proposeRequest has an approver say what she would grant.
func (h *Handler) proposeRequest(c *call) error {
	return h.decide(c, func(r *review.Request, v review.Vote, d *decisionBody) (*review.Request, error) {
		if c.portal.Access == nil || r.Access == nil {
			return nil, badRequest("the request is about an operation: deny it, and say what to send")
		}
		if d.Rows > 0 {
			return nil, badRequest("rows: they are bounded by an approval, and not by a proposal")
		}
		t, err := c.portal.Access.Rule(c.Context(), r)
		if err != nil {
			return nil, err
		}
		return h.Requests.Propose(c.Context(), r.ID, v, t, review.Change{Actions: d.Actions, For: time.Duration(d.Seconds) * time.Second, From: d.From})
	})
}

// extendAccess asks for more time for what is granted to the caller.
func (h *Handler) extendAccess(c *call, req *AccessRequest) error {
	if req.Resource != "" || req.Account != "" || req.Rule != "" || len(req.Actions) > 0 || !req.From.IsZero() {
		return badRequest("more time is for what a request has granted: leave out resource, account, rule, actions and from")
	}
	var t review.Terms
	r, err := h.Requests.Get(c.Context(), req.Extends)
	if err == nil && !c.owns(r.Requester, "") {
		err = review.ErrUnknown
	}
	if err == nil {
		t, err = c.granting(c.who, r)
	}
	if err == nil {
		r, err = h.Requests.Extend(c.Context(), c.who, r.ID, t, time.Duration(req.Seconds)*time.Second, req.Reason, c.RemoteAddr)
	}
	if err != nil {
		return h.requestError(err)
	}
	h.answer(c.w, http.StatusCreated, r)
	return nil
}
