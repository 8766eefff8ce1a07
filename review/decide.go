package review

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Vote is a decision by somebody.
type Vote struct {
	By      *proxy.Identity // as proven now, with the groups that she has now
	Hash    string          // of the request as she saw it
	Reason  string          // needed for a denial
	Channel string          // how it came, for the record
}

// Errors of a decision. Their texts are fit for who decides.
var (
	ErrUnknown    = errors.New("there is no such request")
	ErrChanged    = errors.New("the request differs from the one that you have seen: read it again")
	ErrOwn        = errors.New("you may not decide about your own request")
	ErrIneligible = errors.New("you may not decide about this request: you are not one of its approvers")
	ErrReason     = errors.New("a denial needs a reason, of at most 1000 bytes")
)

// DecidedError says that a request is not pending any more.
type DecidedError struct {
	State State
	By    string // empty when nobody decided
	At    time.Time
}

func (e *DecidedError) Error() string {
	text := "this request was " + string(e.State)
	if e.State == Expired || e.State == Lapsed {
		text = "this request has " + string(e.State)
	}
	if e.By != "" {
		text += " by " + e.By
	}
	return text + " at " + e.At.UTC().Format(time.RFC3339)
}

// Approve lets the operation run.
func (q *Queue) Approve(id string, v Vote) error { return q.decide(id, Approved, v) }

// Deny refuses it, with a reason that its user is told.
func (q *Queue) Deny(id string, v Vote) error { return q.decide(id, Denied, v) }

const maxReason = 1000

func (q *Queue) decide(id string, to State, v Vote) error {
	h := q.find(id)
	if h == nil {
		return ErrUnknown
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	r := &h.request
	if r.State == Pending && !time.Now().Before(r.Deadline) {
		h.end(Expired)
	}
	if r.State != Pending {
		e := &DecidedError{State: r.State, By: r.DecidedBy}
		if r.DecidedAt != nil {
			e.At = *r.DecidedAt
		}
		return e
	}
	v.Reason = strings.TrimSpace(v.Reason)
	switch err := r.mayDecide(v.By); {
	case err != nil:
		return err
	case v.Hash != r.Hash:
		return ErrChanged
	case to == Denied && v.Reason == "", len(v.Reason) > maxReason:
		return ErrReason
	}
	next := *r
	now := time.Now()
	next.State, next.DecidedBy, next.DecidedAt, next.Channel, next.Reason = to, v.By.Subject, &now, v.Channel, v.Reason
	if err := h.told(next); err != nil && to == Approved {
		return fmt.Errorf("the request is not approved because the approval could not be recorded: %w", err)
	}
	h.set(next)
	return nil
}

// personal reports why by may not decide, whatever groups she is in.
func (r *Request) personal(by *proxy.Identity) error {
	switch {
	case by == nil || by.Subject == "" || by.Kind != proxy.Human:
		return ErrIneligible // services and agents act for somebody, and who cannot be told
	case by.Subject == r.Requester || by.Subject == r.For:
		return ErrOwn
	}
	return nil
}

// oneOf reports whether by is in one of the groups of approvers.
func oneOf(groups []string, by *proxy.Identity) bool {
	return slices.ContainsFunc(groups, func(g string) bool { return g == "*" || by.In(g) })
}

// mayDecide reports why by may not decide.
func (r *Request) mayDecide(by *proxy.Identity) error {
	if err := r.personal(by); err != nil {
		return err
	}
	for _, groups := range r.Approvers {
		if !oneOf(groups, by) {
			return ErrIneligible
		}
	}
	return nil
}
