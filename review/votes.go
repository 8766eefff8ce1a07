package review

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Narrow is what an approver grants less of. The zero value grants what was asked for.
type Narrow struct {
	For     time.Duration // 0: as long as was asked for
	Actions []string      // empty: all that was asked for
	// Rows is how many may be returned or changed by what is granted, in all sessions together; 0: as many as the rules let. They are
	// bounded where Desk.CountsRows says that somebody counts them.
	Rows uint64
}

// MaxRows is the largest number of rows by which an approver bounds what she grants.
const MaxRows = math.MaxInt64 / 4

// rowsText says how many rows there may be.
func rowsText(n uint64) string {
	if n == 1 {
		return "at most 1 row"
	}
	return fmt.Sprintf("at most %d rows", n)
}

// Approve gives one approval. The request is granted when it is the last one that is needed. An operation is approved as it is.
func (d *Desk) Approve(ctx context.Context, id string, v Vote, narrow Narrow) (*Request, error) {
	return d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
		switch err := d.votable(ctx, r, &v, now); {
		case err != nil:
			return step{}, err
		case r.Access != nil:
			return d.approveAccess(ctx, r, &v, narrow, now)
		case narrow.For != 0 || len(narrow.Actions) > 0 || narrow.Rows > 0:
			return step{}, fmt.Errorf("%w: less of it, since the request is about an operation: approve it as it is, or deny it", ErrAsk)
		}
		r.UseBy = now.Add(r.lets())
		return r.decide(Approved, &v, now), nil
	})
}

// votable reports why a vote does not count. Afterwards it is that of somebody who may be on call.
func (d *Desk) votable(ctx context.Context, r *Request, v *Vote, now time.Time) error {
	if err := r.pending(now); err != nil {
		return err
	}
	if err := d.called(ctx, r, v); err != nil {
		return err
	}
	v.Reason = strings.TrimSpace(v.Reason)
	switch err := r.mayDecide(v.By); {
	case err != nil:
		return err
	case v.Hash != r.Hash:
		return ErrChanged
	case len(v.Reason) > maxReason:
		return ErrReason
	}
	return nil
}

// decide makes the state that a vote decides.
func (r *Request) decide(as State, v *Vote, now time.Time) step {
	r.State, r.DecidedBy, r.DecidedAt, r.Channel, r.Reason = as, v.By.Subject, &now, v.Channel, v.Reason
	r.OnCall = v.onCall
	return step{string(as), v.Reason, as == Approved}
}

// approveAccess gives one approval of access.
func (d *Desk) approveAccess(ctx context.Context, r *Request, v *Vote, narrow Narrow, now time.Time) (step, error) {
	a := r.Access
	stage := a.stage()
	if a.voted(v.By.Subject) {
		return step{}, errVoted
	}
	if err := a.Proof.by(v, now); err != nil {
		return step{}, err
	}
	var first *Request
	if a.Extends != "" {
		var err error
		if first, _, err = d.extending(ctx, r); err != nil {
			return step{}, err
		}
	}
	if narrow.Rows > 0 && (d.CountsRows == nil || !d.CountsRows(r.Resource)) {
		return step{}, fmt.Errorf("%w: got a bound of %d rows, and nobody counts rows at %s: grant a shorter time or fewer actions", ErrAsk, narrow.Rows, r.Resource)
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
	vote := VoteRecord{
		Stage: stage, By: v.By.Subject, Name: v.By.Name, At: now, Channel: v.Channel, Method: v.By.Method.String(), Reason: v.Reason,
		Seconds: int64(narrow.For / time.Second), Actions: narrow.Actions, Rows: narrow.Rows, OnCall: v.onCall,
	}
	if v.Proven {
		vote.Factors, vote.Proven = v.By.Claims[claimFactors], v.By.AuthTime
	}
	a.Votes = append(a.Votes, vote)
	r.Hash = r.accessDigest() // those who approve next see what is left
	if a.stage() == len(a.Stages) {
		if err := d.there(ctx, r); err != nil {
			return step{}, err
		}
		if err := d.recount(ctx, r, v.By.Subject); err != nil {
			return step{}, err
		}
	}
	if a.stage() < len(a.Stages) {
		return step{Voted, v.Reason, true}, nil
	}
	if first != nil {
		a.follow(first.Access, now)
	} else {
		a.grant(now)
	}
	return r.decide(Approved, v, now), nil
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
	switch {
	case n.Rows > MaxRows:
		return fmt.Errorf("%w: got a bound of %d rows, want at most %d", ErrAsk, n.Rows, uint64(MaxRows))
	case a.Rows > 0 && n.Rows > a.Rows:
		return fmt.Errorf("%w: got a bound of %d rows, which is more than the %d that another approver has left", ErrAsk, n.Rows, a.Rows)
	case n.Rows > 0:
		a.Rows = n.Rows
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
	if d.Who == nil {
		return nil
	}
	for i := range r.Access.Votes {
		v := &r.Access.Votes[i]
		if v.By == last || v.Lost {
			continue
		}
		who, err := d.Who(ctx, v.By)
		if errors.Is(err, proxy.ErrUnavailable) {
			return err
		}
		v.Lost = err != nil || who == nil || !r.Access.approver(v.Stage, OnCall(who, v.OnCall))
	}
	return nil
}

// Deny refuses a request, with a reason that its requester is told.
func (d *Desk) Deny(ctx context.Context, id string, v Vote) (*Request, error) {
	return d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
		if err := d.votable(ctx, r, &v, now); err != nil {
			return step{}, err
		}
		if v.Reason == "" {
			return step{}, ErrReason
		}
		return r.decide(Denied, &v, now), nil
	})
}

// Reveal returns a request that waits with what is hidden of it, for one of its approvers, where the rules allow that. It is recorded
// before.
func (d *Desk) Reveal(ctx context.Context, id string, v Vote) (*Request, error) {
	if _, err := d.touch(ctx); err != nil {
		return nil, err
	}
	_, r, err := d.read(ctx, id)
	if err == nil {
		err = d.votable(ctx, r, &v, d.now())
	}
	switch {
	case err != nil:
		return nil, err
	case r.said == nil:
		return nil, fmt.Errorf("%w: nothing is hidden of this request", ErrAsk)
	case !r.Reveal:
		return nil, fmt.Errorf("%w: what is hidden of this request may not be shown: rule %s does not allow it", ErrIneligible, strings.Join(r.Rules, ", rule "))
	}
	noted := *r
	noted.DecidedBy, noted.Channel = v.By.Subject, v.Channel
	if err := d.note(ctx, &noted, Revealed, v.Reason); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnrecorded, err)
	}
	r.Text, r.Arguments, r.Hidden = r.said.Text, r.said.Arguments, nil
	return r, nil
}

// Cancel withdraws a request of one's own; when it was approved, what was granted ends.
func (d *Desk) Cancel(ctx context.Context, id string, by *proxy.Identity) (*Request, error) {
	return d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
		switch {
		case by == nil || by.Subject != r.Requester && by.Subject != r.For:
			return step{}, ErrUnknown
		case r.State != Pending && r.State != Approved:
			return step{}, r.decided()
		}
		return r.decide(Cancelled, &Vote{By: by}, now), nil
	})
}

// Revoke takes back what was approved: its approvers may, and those who are permitted to. The sessions end that are open by it.
func (d *Desk) Revoke(ctx context.Context, id string, v Vote, permitted bool) (*Request, error) {
	v.Reason = strings.TrimSpace(v.Reason)
	if r := d.notKept(id); r != nil {
		may, err := d.oversees(ctx, r, v.By, permitted)
		if err != nil {
			return nil, err
		}
		s, err := r.revoke(&v, may, d.now())
		if err != nil {
			return nil, err
		}
		return d.endUnkept(ctx, r, s)
	}
	return d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
		may, err := d.oversees(ctx, r, v.By, permitted)
		if err != nil {
			return step{}, err
		}
		return r.revoke(&v, may, now)
	})
}

// oversees reports whether somebody is an approver of a request, or permitted to act as one.
func (d *Desk) oversees(ctx context.Context, r *Request, by *proxy.Identity, permitted bool) (bool, error) {
	if by == nil || permitted {
		return by != nil, nil
	}
	return d.ApproverOf(ctx, r, by)
}
