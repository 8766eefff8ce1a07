package control

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/review"
)

// GlassFresh is how long ago somebody may have proven herself who takes access without an approval.
const GlassFresh = 5 * time.Minute

// ReviewDecision is the body of POST /v1/requests/{id}/review. Seconds and Actions are left out.
type ReviewDecision struct {
	Decision
	// Violation says that what she has done was not in order.
	Violation bool `json:"violation,omitempty"`
}

type reviewBody struct {
	decisionBody
	Violation bool `json:"violation,omitempty"`
}

// breakGlass grants access without an approval to a person who has proven herself right now, by a second factor too.
func (h *Handler) breakGlass(c *call, a review.Ask) (*review.Request, error) {
	proof := c.who.Method.String()
	if methods := c.who.Claims[identity.ClaimMethods]; methods != "" {
		proof += " (" + methods + ")"
	}
	err := c.steppedUp(h.Requests.Now())
	if err == nil {
		return h.Requests.Break(c.Context(), c.who, a, proof)
	}
	refused := audit.Action{
		Type: audit.AdminRefused, Action: audit.AdminAsk, By: c.who, Reason: "break-glass at " + a.Resource + ": " + err.Error(), Remote: c.RemoteAddr,
	}
	if rerr := h.record(refused); rerr != nil {
		return nil, rerr
	}
	return nil, err
}

// steppedUp reports why the caller has not proven herself as who breaks the glass must have. now is by the clock of the store, by which
// logins are: another gateway may have answered hers.
func (c *call) steppedUp(now time.Time) error {
	if !c.personal() {
		return &Error{http.StatusForbidden, CodeForbidden, "only a person who has logged in takes access without an approval: a certificate, an access token or a service's login is not enough"}
	}
	if !slices.Contains(strings.Fields(c.who.Claims[identity.ClaimMethods]), "mfa") {
		return &Error{http.StatusForbidden, CodeUnproven, "access without an approval needs a login with a second factor, and this one had none"}
	}
	if age := now.Sub(c.who.AuthTime); c.who.AuthTime.IsZero() || age > GlassFresh {
		return &Error{http.StatusForbidden, CodeUnproven, fmt.Sprintf("access without an approval needs a proof of yours that is at most %d minutes old: prove yourself again", int(GlassFresh/time.Minute))}
	}
	return nil
}

// reviewRequest says of access without an approval, which has ended, that it was in order, or not.
func (h *Handler) reviewRequest(c *call) error {
	if err := h.decides(c); err != nil {
		return err
	}
	var req reviewBody
	if err := c.body(&req); err != nil {
		return err
	}
	if req.Seconds != 0 || len(req.Actions) > 0 {
		return badRequest("seconds and actions: what is reviewed is over")
	}
	return h.decideAs(c, &req.decisionBody, func(r *review.Request, v review.Vote) (*review.Request, error) {
		return h.Requests.Review(c.Context(), r.ID, v, req.Violation, c.permitted && c.means != byPeer)
	})
}

// glassError is what the API answers to an error about access without an approval; nil: it is another one.
func glassError(err error) *Error {
	var unreviewed *review.UnreviewedError
	switch {
	case errors.As(err, &unreviewed), errors.Is(err, review.ErrNotDue):
		return &Error{http.StatusConflict, CodeConflict, err.Error()}
	case errors.Is(err, review.ErrReview):
		return badRequest("%v", err)
	}
	return nil
}
