package control

import (
	"errors"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// Requests is the answer to GET /v1/requests.
type Requests struct {
	Requests []review.Request `json:"requests"` // those that wait or are approved; the oldest first
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
	// Seconds and Actions grant less access than is asked for; zero is all of it. Rows bounds how many rows may be returned or changed by
	// what is granted, in all sessions together, where rows are counted.
	Seconds int64    `json:"seconds,omitempty"`
	Actions []string `json:"actions,omitempty"`
	Rows    uint64   `json:"rows,omitempty"`
	// From is when access would begin, in a proposal; the zero time is with the last approval.
	From *time.Time `json:"from,omitempty"`
}

// decisionBody is Decision as it travels. A password leaves its Secret in a client and nowhere else.
type decisionBody struct {
	Decision
	Password string `json:"password,omitempty"`
	Code     string `json:"code,omitempty"`
}

var errNoRequests = NotFound("approvals are not set up on this gateway")

// listRequests lists what waits or is approved; with ?past=true what is over, too.
func (h *Handler) listRequests(c *call) error {
	if h.Requests == nil {
		return errNoRequests
	}
	if err := h.record(audit.Action{Type: audit.AdminRequests, By: c.who, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	all := h.Requests.List()
	if c.URL.Query().Get("past") == "true" {
		past, err := h.Requests.History(c.Context(), maxPast, func(r *review.Request) bool { return h.lists(c, r) })
		if err != nil {
			return err
		}
		all = append(past, all...)
	}
	list := Requests{Requests: []review.Request{}}
	for i := range all {
		if h.lists(c, &all[i]) {
			list.Requests = append(list.Requests, all[i])
		}
	}
	h.answer(c.w, http.StatusOK, list)
	return nil
}

// maxPast is how many requests are listed that are over.
const maxPast = 200

func (h *Handler) showRequest(c *call) error {
	r, err := h.findRequest(c)
	if err != nil {
		return h.requestError(err)
	}
	if err := h.record(audit.Action{Type: audit.AdminRequests, By: c.who, Session: r.Session, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, r)
	return nil
}

// findRequest returns the request that the path names, when the caller may know of it.
func (h *Handler) findRequest(c *call) (*review.Request, error) {
	if h.Requests == nil {
		return nil, errNoRequests
	}
	r, err := h.Requests.Get(c.Context(), c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	switch sees, err := h.sees(c, r); {
	case err != nil:
		return nil, err
	case !sees:
		return nil, review.ErrUnknown
	}
	return r, nil
}

// sees reports whether the caller may know of a request: her own, and those of which she is an approver, besides what the permission
// shows. The error says that she may be an approver.
func (h *Handler) sees(c *call, r *review.Request) (bool, error) {
	if c.permitted || c.owns(r.Requester, r.For) || c.means == byPeer {
		return c.permitted || c.owns(r.Requester, r.For), nil
	}
	return h.Requests.ApproverOf(c.Context(), r, c.who)
}

// lists reports whether a request is listed for the caller. One of which she may be an approver is not: the log says why that is not known.
func (h *Handler) lists(c *call, r *review.Request) bool {
	sees, err := h.sees(c, r)
	return sees && err == nil
}

func (h *Handler) approveRequest(c *call) error {
	return h.decide(c, func(r *review.Request, v review.Vote, d *decisionBody) (*review.Request, error) {
		if d.From != nil {
			return nil, badRequest("from: an approval does not say when access begins: propose it")
		}
		return h.Requests.Approve(c.Context(), r.ID, v, review.Narrow{For: time.Duration(d.Seconds) * time.Second, Actions: d.Actions, Rows: d.Rows})
	})
}

func (h *Handler) denyRequest(c *call) error {
	return h.decide(c, func(r *review.Request, v review.Vote, d *decisionBody) (*review.Request, error) {
		if d.From != nil || d.Seconds != 0 || len(d.Actions) > 0 || d.Rows > 0 {
			return nil, badRequest("a denial says neither for how long nor what: propose it")
		}
		return h.Requests.Deny(c.Context(), r.ID, v)
	})
}

func (h *Handler) revealRequest(c *call) error {
	return h.decide(c, func(r *review.Request, v review.Vote, _ *decisionBody) (*review.Request, error) {
		return h.Requests.Reveal(c.Context(), r.ID, v)
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

// decides reports why nobody decides here.
func (h *Handler) decides(c *call) error {
	if h.Requests == nil || h.Deciders == nil && c.means == byPeer {
		return errNoRequests
	}
	return nil
}

// decide has the user decide whose password was given, or who has logged in.
func (h *Handler) decide(c *call, as func(*review.Request, review.Vote, *decisionBody) (*review.Request, error)) error {
	if err := h.decides(c); err != nil {
		return err
	}
	var d decisionBody
	if err := c.body(&d); err != nil {
		return err
	}
	if err := c.checkTerms(d.Actions, d.Seconds); err != nil {
		return err
	}
	return h.decideAs(c, &d, func(r *review.Request, v review.Vote) (*review.Request, error) { return as(r, v, &d) })
}

// decideAs finds out who decides about what, and answers with what becomes of it.
func (h *Handler) decideAs(c *call, d *decisionBody, as func(*review.Request, review.Vote) (*review.Request, error)) error {
	session := ""
	r, err := h.findRequest(c)
	if err == nil {
		session = r.Session
		var vote review.Vote
		if vote.By, vote.Channel, err = h.decider(c, d); err == nil {
			vote.Hash, vote.Reason, vote.Proven = d.Hash, d.Reason, true
			r, err = as(r, vote)
		}
	}
	if err != nil {
		return h.refusedDecision(c, d.User, session, err)
	}
	h.answer(c.w, http.StatusOK, r)
	return nil
}

// refusedDecision records that somebody may not decide, and returns why.
func (h *Handler) refusedDecision(c *call, user, session string, err error) error {
	a := audit.Action{
		Type: audit.AdminRefused, Action: audit.AdminDecide, By: c.who, Session: session,
		Reason: "request " + knownID(c.PathValue("id")) + " as " + user + ": " + err.Error(), Remote: c.RemoteAddr,
	}
	if rerr := h.record(a); rerr != nil {
		return rerr
	}
	return h.requestError(err)
}

// cancelRequest withdraws a request of the caller's own.
func (h *Handler) cancelRequest(c *call) error {
	return h.endRequest(c, func(r *review.Request, _ string) (*review.Request, error) {
		return h.Requests.Cancel(c.Context(), r.ID, c.who)
	})
}

// revokeRequest takes back what was approved.
func (h *Handler) revokeRequest(c *call) error {
	return h.endRequest(c, func(r *review.Request, reason string) (*review.Request, error) {
		return h.Requests.Revoke(c.Context(), r.ID, review.Vote{By: c.who, Reason: reason, Channel: channelOf(c)}, c.permitted)
	})
}

func channelOf(c *call) string {
	if c.means == byPeer {
		return "control socket, " + c.who.Subject
	}
	return apiProtocol
}

func (h *Handler) endRequest(c *call, end func(r *review.Request, reason string) (*review.Request, error)) error {
	if h.Requests == nil {
		return errNoRequests
	}
	var req ReasonRequest
	if err := c.body(&req); err != nil {
		return err
	}
	r, err := h.findRequest(c)
	if err == nil {
		r, err = end(r, req.Reason)
	}
	if err != nil {
		return h.refusedDecision(c, c.who.Subject, "", err)
	}
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

// requestError is why something is not done with a request, as the API tells it. What the store or the record says of itself is in the
// log.
func (h *Handler) requestError(err error) error {
	var decided *review.DecidedError
	var told *Error
	if e := glassError(err); e != nil {
		return e
	}
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, proxy.ErrUnauthenticated):
		return &Error{http.StatusUnauthorized, CodeUnauthenticated, "the password is not correct, or the code of a second factor"}
	case errors.Is(err, review.ErrUnknown):
		return NotFound(err.Error())
	case errors.Is(err, review.ErrOwn), errors.Is(err, review.ErrIneligible), errors.Is(err, errNotInPerson):
		return &Error{http.StatusForbidden, CodeForbidden, err.Error()}
	case errors.Is(err, review.ErrProof):
		return &Error{http.StatusForbidden, CodeUnproven, err.Error()}
	case errors.Is(err, review.ErrChanged), errors.As(err, &decided):
		return &Error{http.StatusConflict, CodeConflict, err.Error()}
	case errors.Is(err, review.ErrReason), errors.Is(err, review.ErrAsk):
		return badRequest("%v", err)
	case errors.Is(err, review.ErrOnCall):
		return &Error{http.StatusServiceUnavailable, CodeUnavailable, err.Error()}
	}
	h.log().Error("control: what becomes of a request could not be recorded or kept", "err", err)
	return &Error{
		http.StatusServiceUnavailable, CodeUnrecorded,
		"this could not be recorded or kept: look at the request again before you try anew; the gateway's log says why",
	}
}
