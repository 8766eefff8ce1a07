package control

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// Requests is the answer to GET /v1/requests.
type Requests struct {
	Requests []review.Request `json:"requests"` // operations that wait, then access that is asked for or granted; the oldest first
}

// Decision is the body of POST /v1/requests/{id}/approve and …/deny. At the local socket
// who decides is the user whose password it is, and who opened the socket is on record
// too; elsewhere it is the caller, and User and Password are left out.
type Decision struct {
	User     string       `json:"user,omitempty"`
	Password proxy.Secret `json:"-"`
	Code     proxy.Secret `json:"-"`                // of the user's second factor, where she has set one up
	Hash     string       `json:"hash"`             // of the request as it was seen
	Reason   string       `json:"reason,omitempty"` // needed to deny
	// Seconds and Actions grant less access than is asked for; zero is all of it.
	Seconds int64    `json:"seconds,omitempty"`
	Actions []string `json:"actions,omitempty"`
}

// decisionBody is Decision as it travels. A password leaves its Secret in a client and nowhere else.
type decisionBody struct {
	Decision
	Password string `json:"password,omitempty"`
	Code     string `json:"code,omitempty"`
}

var errNoRequests = NotFound("approvals are not set up on this gateway")

// queue returns where operations wait; an empty one where the gateway has no queue.
func (h *Handler) queue() *review.Queue {
	if h.Requests == nil {
		return &review.Queue{}
	}
	return h.Requests
}

// reviews reports whether anything can wait for a decision here.
func (h *Handler) reviews(c *call) bool { return h.Requests != nil || c.portal.Access != nil }

func (h *Handler) listRequests(c *call) error {
	if !h.reviews(c) {
		return errNoRequests
	}
	if err := h.record(audit.Action{Type: audit.AdminRequests, By: c.who, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	list := Requests{Requests: []review.Request{}}
	for _, r := range h.queue().List() {
		if c.seesRequest(&r) {
			list.Requests = append(list.Requests, r)
		}
	}
	if err := h.addAccess(c, &list); err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, list)
	return nil
}

// addAccess adds requests for access that wait or are approved; with ?past=true those that are over, too.
func (h *Handler) addAccess(c *call, list *Requests) error {
	if c.portal.Access == nil {
		return nil
	}
	all := c.portal.Access.Desk.List()
	if c.URL.Query().Get("past") == "true" {
		past, err := c.portal.Access.Desk.History(c.Context(), maxPast, c.seesAccess)
		if err != nil {
			return err
		}
		all = append(past, all...)
	}
	for i := range all {
		if c.seesAccess(&all[i]) {
			list.Requests = append(list.Requests, all[i])
		}
	}
	return nil
}

// maxPast is how many requests are listed that are over.
const maxPast = 200

func (h *Handler) showRequest(c *call) error {
	if !h.reviews(c) {
		return errNoRequests
	}
	r, ok := h.queue().Get(c.PathValue("id"))
	switch {
	case !ok:
		found, err := c.findAccess(c.PathValue("id"))
		if err != nil {
			return h.accessError(err)
		}
		r = *found
	case !c.seesRequest(&r):
		return NotFound(review.ErrUnknown.Error())
	}
	if err := h.record(audit.Action{Type: audit.AdminRequests, By: c.who, Session: r.Session, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, r)
	return nil
}

func (h *Handler) approveRequest(c *call) error { return h.decide(c, true) }
func (h *Handler) denyRequest(c *call) error    { return h.decide(c, false) }

// seesRequest reports whether the caller may know of a request: her own, and one that she
// may decide about, besides what the permission shows.
func (c *call) seesRequest(r *review.Request) bool {
	if c.permitted || c.owns(r.Requester, r.For) {
		return true
	}
	return c.means != byPeer && len(r.Approvers) > 0 && !slices.ContainsFunc(r.Approvers, func(groups []string) bool {
		return !slices.ContainsFunc(groups, func(g string) bool { return g == "*" || c.who.In(g) })
	})
}

// decider is who decides: elsewhere than at the local socket, the caller herself.
func (h *Handler) decider(c *call, d *decisionBody) (by *proxy.Identity, channel string, err error) {
	if c.means == byPeer {
		by, err = h.proven(c, d)
		return by, "control socket, " + c.who.Subject, err
	}
	d.User = c.who.Subject
	if !c.personal() {
		return nil, "", errNotInPerson
	}
	return c.who, apiProtocol, nil
}

var errNotInPerson = errors.New("decisions are made by people who have logged in, and not by programs")

// decide has the user decide whose password was given, or who has logged in.
func (h *Handler) decide(c *call, approve bool) error {
	if !h.reviews(c) || h.Deciders == nil && c.means == byPeer {
		return errNoRequests
	}
	var d decisionBody
	if err := c.body(&d); err != nil {
		return err
	}
	if d.Seconds < 0 || d.Seconds > maxAccess {
		return badRequest("seconds: got %d, want a time of at most a year", d.Seconds)
	}
	id := c.PathValue("id")
	queue := h.queue()
	if _, ok := queue.Get(id); !ok {
		if r, err := c.findAccess(id); err == nil {
			return h.decideAccess(c, r, &d, approve)
		} else if !errors.Is(err, review.ErrUnknown) {
			return err
		}
	}
	if r, ok := queue.Get(id); ok && !c.seesRequest(&r) {
		id = "" // it does not exist for the caller
	}
	if d.Seconds != 0 || len(d.Actions) > 0 {
		if _, ok := queue.Get(id); ok {
			return badRequest("seconds and actions grant less access than was asked for, and this request is about an operation: approve it as it is, or deny it")
		}
	}
	by, channel, err := h.decider(c, &d)
	if err == nil {
		vote := review.Vote{By: by, Hash: d.Hash, Reason: d.Reason, Channel: channel}
		if approve {
			err = queue.Approve(id, vote)
		} else {
			err = queue.Deny(id, vote)
		}
	}
	if err != nil {
		session := ""
		if r, ok := queue.Get(id); ok {
			session = r.Session
		}
		return h.refusedDecision(c, id, d.User, session, err)
	}
	r, _ := queue.Get(id)
	h.answer(c.w, http.StatusOK, r)
	return nil
}

// wrongPassword is how long a wrong password takes; one is tried at a time.
const wrongPassword = time.Second

// proven is the user whose password was given, with the groups that she has now.
func (h *Handler) proven(c *call, d *decisionBody) (*proxy.Identity, error) {
	h.proving.Lock()
	defer h.proving.Unlock()
	id, err := h.Deciders.Authenticate(c.Context(), proxy.Proof{
		Method: proxy.MethodPassword, User: d.User, Password: proxy.NewSecret(d.Password), Code: proxy.NewSecret(d.Code), Protocol: "control",
	})
	if err != nil {
		select {
		case <-time.After(wrongPassword):
		case <-c.Context().Done():
		}
		return nil, proxy.ErrUnauthenticated
	}
	return id, nil
}

// decisionError is a refusal as the API tells it.
func decisionError(err error) error {
	var decided *review.DecidedError
	switch {
	case errors.Is(err, proxy.ErrUnauthenticated):
		return &Error{http.StatusUnauthorized, CodeUnauthenticated, "the password is not correct, or the code of a second factor"}
	case errors.Is(err, review.ErrUnknown):
		return NotFound(err.Error())
	case errors.Is(err, review.ErrOwn), errors.Is(err, review.ErrIneligible), errors.Is(err, errNotInPerson):
		return &Error{http.StatusForbidden, CodeForbidden, err.Error()}
	case errors.Is(err, review.ErrChanged), errors.As(err, &decided):
		return &Error{http.StatusConflict, CodeConflict, err.Error()}
	case errors.Is(err, review.ErrReason):
		return badRequest("%v", err)
	}
	return &Error{http.StatusServiceUnavailable, CodeUnrecorded, err.Error()}
}
