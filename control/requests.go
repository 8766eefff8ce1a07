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
	Requests []review.Request `json:"requests"` // pending, oldest first
}

// Decision is the body of POST /v1/requests/{id}/approve and …/deny. Who decides
// is the user whose password it is; who opened the socket is on record too.
type Decision struct {
	User     string       `json:"user"`
	Password proxy.Secret `json:"-"`
	Hash     string       `json:"hash"`   // of the request as it was seen
	Reason   string       `json:"reason"` // needed to deny
}

// decisionBody is Decision as it travels. A password leaves its Secret in [Client] and nowhere else.
type decisionBody struct {
	Decision
	Password string `json:"password"`
}

var errNoRequests = NotFound("approvals are not set up on this gateway")

func (h *Handler) listRequests(c *call) error {
	if h.Requests == nil {
		return errNoRequests
	}
	if err := h.record(audit.Action{Type: audit.AdminRequests, By: c.who, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, Requests{h.Requests.List()})
	return nil
}

func (h *Handler) showRequest(c *call) error {
	if h.Requests == nil {
		return errNoRequests
	}
	r, ok := h.Requests.Get(c.PathValue("id"))
	if !ok {
		return NotFound(review.ErrUnknown.Error())
	}
	if err := h.record(audit.Action{Type: audit.AdminRequests, By: c.who, Session: r.Session, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, r)
	return nil
}

func (h *Handler) approveRequest(c *call) error { return h.decide(c, (*review.Queue).Approve) }
func (h *Handler) denyRequest(c *call) error    { return h.decide(c, (*review.Queue).Deny) }

// decide has the user whose password was given decide.
func (h *Handler) decide(c *call, do func(*review.Queue, string, review.Vote) error) error {
	if h.Requests == nil || h.Deciders == nil {
		return errNoRequests
	}
	var d decisionBody
	if err := c.body(&d); err != nil {
		return err
	}
	id := c.PathValue("id")
	by, err := h.proven(c, &d)
	if err == nil {
		err = do(h.Requests, id, review.Vote{By: by, Hash: d.Hash, Reason: d.Reason, Channel: "control socket, " + c.who.Subject})
	}
	if err != nil {
		a := audit.Action{Type: audit.AdminRefused, Action: audit.AdminDecide, By: c.who, Reason: "request " + knownID(id) + " as " + d.User + ": " + err.Error(), Remote: c.RemoteAddr}
		if r, ok := h.Requests.Get(id); ok {
			a.Session = r.Session
		}
		if rerr := h.record(a); rerr != nil {
			return rerr
		}
		return decisionError(err)
	}
	r, _ := h.Requests.Get(id)
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
		Method: proxy.MethodPassword, User: d.User, Password: proxy.NewSecret(d.Password), Protocol: "control",
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
		return &Error{http.StatusUnauthorized, CodeUnauthenticated, "the password is not correct"}
	case errors.Is(err, review.ErrUnknown):
		return NotFound(err.Error())
	case errors.Is(err, review.ErrOwn), errors.Is(err, review.ErrIneligible):
		return &Error{http.StatusForbidden, CodeForbidden, err.Error()}
	case errors.Is(err, review.ErrChanged), errors.As(err, &decided):
		return &Error{http.StatusConflict, CodeConflict, err.Error()}
	case errors.Is(err, review.ErrReason):
		return badRequest("%v", err)
	}
	return &Error{http.StatusServiceUnavailable, CodeUnrecorded, err.Error()}
}
