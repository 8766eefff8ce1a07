package review

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Narrow is what an approver grants less of. The zero value grants what was asked for.
type Narrow struct {
	For     time.Duration // 0: as long as was asked for
	Actions []string      // empty: all that was asked for
}

// Approve gives one approval. The request is granted when it is the last one that is needed.
func (d *Desk) Approve(ctx context.Context, id string, v Vote, narrow Narrow) (*Request, error) {
	reason := strings.TrimSpace(v.Reason)
	return d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
		if err := r.pending(now); err != nil {
			return step{}, err
		}
		a := r.Access
		stage := a.stage()
		switch err := r.mayVote(v.By, stage); {
		case err != nil:
			return step{}, err
		case v.Hash != r.Hash:
			return step{}, ErrChanged
		case len(reason) > maxReason:
			return step{}, ErrReason
		case a.voted(v.By.Subject):
			return step{}, errVoted
		}
		if err := a.narrow(narrow); err != nil {
			return step{}, err
		}
		if !a.From.IsZero() {
			end := a.From.Add(a.For())
			if !now.Before(end) {
				return step{}, fmt.Errorf("%w: for %s from %s it would be over already", ErrAsk, a.For(), a.From.Format(time.RFC3339))
			}
			if end.Before(r.Deadline) {
				r.Deadline = end
			}
		}
		a.Votes = append(a.Votes, VoteRecord{
			Stage: stage, By: v.By.Subject, Name: v.By.Name, At: now, Channel: v.Channel, Method: v.By.Method.String(), Reason: reason,
			Seconds: int64(narrow.For / time.Second), Actions: narrow.Actions,
		})
		r.Hash = r.accessDigest() // those who approve next see what is left
		if a.stage() < len(a.Stages) {
			return step{Voted, reason, true}, nil
		}
		if err := d.recount(ctx, r, v.By.Subject); err != nil {
			return step{}, err
		}
		if a.stage() < len(a.Stages) {
			return step{Voted, reason, true}, nil
		}
		from := now
		if a.From.After(now) {
			from = a.From
		}
		until := from.Add(a.For())
		if !a.From.IsZero() {
			until = a.From.Add(a.For()) // what was asked for does not begin late and last longer
		}
		a.Grant = &Grant{From: from, Until: until, Actions: slices.Clone(a.Actions)}
		r.State, r.DecidedBy, r.DecidedAt, r.Channel, r.Reason = Approved, v.By.Subject, &now, v.Channel, reason
		return step{string(Approved), reason, true}, nil
	})
}

// errVoted refuses a second vote of one person.
var errVoted = fmt.Errorf("%w: you have approved this request already, and others are needed, too", ErrIneligible)

// narrow makes a what an approver grants of it.
func (a *Access) narrow(n Narrow) error {
	switch {
	case n.For < 0 || n.For > 0 && n.For < time.Minute:
		return fmt.Errorf("%w: got a time of %s, want at least a minute", ErrAsk, n.For)
	case n.For > a.For():
		return fmt.Errorf("%w: got a time of %s, which is longer than the %s that was asked for", ErrAsk, n.For, a.For())
	case n.For > 0:
		a.Seconds = int64(n.For / time.Second)
	}
	if len(n.Actions) == 0 {
		return nil
	}
	if slices.Contains(a.Actions, everything) && !slices.Contains(n.Actions, everything) {
		a.Actions = append([]string{"connect"}, slices.DeleteFunc(slices.Clone(n.Actions), func(w string) bool { return w == "connect" })...)
		return nil
	}
	for _, w := range n.Actions {
		if !slices.Contains(a.Actions, w) {
			return fmt.Errorf("%w: %q was not asked for", ErrAsk, w)
		}
	}
	a.Actions = only(a.Actions, n.Actions)
	return nil
}

// recount looks whether those who have approved before are still approvers.
func (d *Desk) recount(ctx context.Context, r *Request, last string) error {
	for i := range r.Access.Votes {
		v := &r.Access.Votes[i]
		if v.By == last || v.Lost {
			continue
		}
		who, err := d.Who(ctx, v.By)
		if errors.Is(err, proxy.ErrUnavailable) {
			return err
		}
		v.Lost = err != nil || who == nil || !r.Access.Stages[v.Stage].approver(who)
	}
	return nil
}

// mayVote reports why by may not approve a stage.
func (r *Request) mayVote(by *proxy.Identity, stage int) error {
	if err := r.personal(by); err != nil {
		return err
	}
	if stage >= len(r.Access.Stages) || !r.Access.Stages[stage].approver(by) {
		return ErrIneligible
	}
	return nil
}

// approver reports whether by is an approver of any stage.
func (r *Request) approver(by *proxy.Identity) bool {
	return r.personal(by) == nil && slices.ContainsFunc(r.Access.Stages, func(s Stage) bool { return s.approver(by) })
}

// Deny refuses a request, with a reason that its requester is told.
func (d *Desk) Deny(ctx context.Context, id string, v Vote) (*Request, error) {
	reason := strings.TrimSpace(v.Reason)
	return d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
		if err := r.pending(now); err != nil {
			return step{}, err
		}
		switch err := r.mayVote(v.By, r.Access.stage()); {
		case err != nil:
			return step{}, err
		case v.Hash != r.Hash:
			return step{}, ErrChanged
		case reason == "", len(reason) > maxReason:
			return step{}, ErrReason
		}
		r.State, r.DecidedBy, r.DecidedAt, r.Channel, r.Reason = Denied, v.By.Subject, &now, v.Channel, reason
		return step{string(Denied), reason, false}, nil
	})
}

// Cancel withdraws a request of one's own; when it was approved, what was granted ends.
func (d *Desk) Cancel(ctx context.Context, id string, by *proxy.Identity) (*Request, error) {
	return d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
		switch {
		case by == nil || by.Subject != r.Requester && by.Subject != r.For:
			return step{}, ErrUnknown
		case r.over():
			return step{}, r.decided()
		}
		r.State, r.DecidedBy, r.DecidedAt, r.Reason = Cancelled, by.Subject, &now, ""
		return step{string(Cancelled), "", false}, nil
	})
}

// Revoke takes back what was approved: its approvers may, and those who are permitted to. The sessions end that are open by it.
func (d *Desk) Revoke(ctx context.Context, id string, v Vote, permitted bool) (*Request, error) {
	reason := strings.TrimSpace(v.Reason)
	return d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
		switch {
		case v.By == nil || !permitted && !r.approver(v.By):
			return step{}, ErrIneligible
		case r.State != Approved:
			return step{}, r.decided()
		case reason == "", len(reason) > maxReason:
			return step{}, ErrReason
		}
		r.State, r.DecidedBy, r.DecidedAt, r.Channel, r.Reason = Revoked, v.By.Subject, &now, v.Channel, reason
		return step{string(Revoked), reason, false}, nil
	})
}
