package review

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// MaxHeld is how many operations one person has held within [AskedWithin], whatever becomes of them.
const MaxHeld = 100

// Notes implements [proxy.Noter]: a desk leaves notes of what becomes of requests.
func (d *Desk) Notes() []proxy.NoteKind { return []proxy.NoteKind{proxy.NoteReview} }

// Request implements [proxy.Reviewer]: it makes a request about op, of session s, and returns what the session waits on. Where the
// same person has had the same operation approved, and it has not run, that approval is used; and where her request for it waits still
// although nobody waits here, such as after the gateway's end, she waits on it again. The error is for the user.
func (d *Desk) Request(ctx context.Context, s *proxy.Session, op proxy.Op, a *proxy.Hold) (*proxy.Pending, error) {
	if slices.ContainsFunc(a.Approvers, func(groups []string) bool { return len(groups) == 0 }) {
		return nil, errors.New("this needs an approval, but no group is allowed to give it")
	}
	r, err := d.about(ctx, s, op, a)
	if err != nil {
		return nil, err
	}
	inside := inTransaction(ctx, op, a)
	if inside > 0 {
		until := r.Created.Add(inside)
		r.Locked = &until
	}
	if d.earlier(r) == nil { // who waits on, waits on what was shown
		if err := d.holdBounds(r); err != nil && r.Under == "" {
			return nil, err
		}
		if err := r.measure(ctx, op); err != nil {
			return nil, err
		}
	}
	done, err := d.turn(ctx, r.person())
	if err != nil {
		return nil, err
	}
	defer done()
	message := "is waiting for approval"
	if was := d.earlier(r); was != nil {
		if r = was; r.State == Approved {
			message = "was approved by " + r.DecidedBy
		}
	} else if stands, why, err := d.under(ctx, r, a.For); err != nil {
		return nil, err
	} else if stands {
		message = "was approved under request " + r.Under + " by " + r.DecidedBy
	} else if err := d.holdBounds(r); err != nil {
		return nil, err
	} else {
		message += why
		d.call(ctx, r)
		version, err := d.keep(ctx, store.Document{Kind: KindRequest, Name: r.ID}, r, step{Asked, "", true})
		if err != nil {
			d.log().Error("the request for a held operation could not be recorded or kept", "subject", r.Requester, "resource", r.Resource, "err", err)
			return nil, errors.New("this needs an approval, but the request for it could not be recorded or kept: try again later")
		}
		d.see(r, version)
	}
	if r.State == Pending && r.After != "" {
		message += "; request " + r.After + " for the same was approved, and the gateway stopped as it ran: look whether it has changed anything before it runs again"
	}
	d.mu.Lock()
	if d.attended == nil {
		d.attended = make(map[string]bool)
	}
	d.attended[r.ID] = true
	d.mu.Unlock()
	until := r.Deadline
	if now := d.now(); inside > 0 && r.State == Pending && now.Add(inside).Before(until) {
		until = now.Add(inside)
		message += ", here for " + shortTime(inside) + " because a transaction is open"
	} else {
		inside = 0
	}
	h := &held{desk: d, session: s, op: op, id: r.ID, rule: r.Rules[0], inside: inside}
	p := &proxy.Pending{ID: r.ID, Message: fmt.Sprintf("%s: request %s %s", r.Message, r.ID, message), Link: d.link(r.ID), Wait: h.wait}
	if r.State == Pending { // what is approved is used at once
		p.Deadline = time.Now().Add(until.Sub(d.now()))
	}
	return p, nil
}

// inTransaction is how long the client of op waits where others wait for what its open transaction has locked; 0: as long as the request.
func inTransaction(ctx context.Context, op proxy.Op, a *proxy.Hold) time.Duration {
	st, ok := op.(*proxy.Statement)
	if !ok || !st.Open(ctx) {
		return 0
	}
	return min(a.For, cmp.Or(a.InTransaction, proxy.DefaultInTransaction))
}

// about is the request about an operation.
func (d *Desk) about(ctx context.Context, s *proxy.Session, op proxy.Op, a *proxy.Hold) (*Request, error) {
	now := d.now()
	r := &Request{
		ID: newRequestID(), State: Pending, Requester: s.Identity.Subject, For: s.Identity.OnBehalfOf, Creators: append(creators(s.Identity), a.Not...), Session: s.ID,
		Resource: s.Target.Resource.Name, Account: s.Target.Account.Name, Database: s.Target.Database, Blind: a.Blind, Message: a.Message, Reveal: a.Reveal,
		Rules: slices.Clone(a.Rules), Approvers: slices.Clone(a.Approvers), Created: now, Deadline: now.Add(a.For), Under: a.Under,
	}
	if err := r.standing(a.Standing); err != nil {
		return nil, err
	}
	if err := r.show(op); err != nil {
		return nil, err
	}
	r.means(s, op)
	var err error
	r.sums, r.Content = newSums(op), r.content(op)
	r.After = d.perhapsRun(r.Content)
	if r.Hash, err = r.hash(); err != nil {
		return nil, err
	}
	if err := r.conceal(s.Concealed(ctx, op)); err != nil {
		return nil, err
	}
	return r, nil
}

// earlier is a request for the same, by the same rules, that was approved and not used, or that waits with nobody waiting on it here.
// Several gateways may have somebody who waits on it; the operation runs once.
func (d *Desk) earlier(r *Request) *Request {
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.known {
		o := &k.request
		if o.Access != nil || (o.Standing != nil) != (r.Standing != nil) || k.void || o.over() || o.due(now) != "" || o.Content != r.Content || d.attended[o.ID] || !slices.Equal(o.Rules, r.Rules) ||
			!slices.EqualFunc(o.Approvers, r.Approvers, slices.Equal) {
			continue
		}
		was := o.clone()
		return &was
	}
	return nil
}

// holdBounds reports that too much waits already.
func (d *Desk) holdBounds(r *Request) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	pending, own, lately := 0, 0, 0
	for _, k := range d.known {
		o := &k.request
		mine := o.person() == r.person() && o.Access == nil
		if mine && o.Created.After(r.Created.Add(-AskedWithin)) {
			lately++
		}
		if o.State != Pending {
			continue
		}
		if pending++; mine {
			own++
		}
	}
	const needs = "this needs an approval, but "
	switch {
	case own >= MaxPerRequester:
		return fmt.Errorf(needs+"you already have %d operations waiting for approval, which is the limit", own)
	case lately >= MaxHeld:
		return fmt.Errorf(needs+"%d of your operations were held within %d minutes, which is the limit: try again later", lately, int(AskedWithin/time.Minute))
	case pending >= MaxPending:
		return fmt.Errorf(needs+"%d requests wait already, which is the limit: try again later", pending)
	}
	return nil
}

// held is an operation that waits.
type held struct {
	desk    *Desk
	session *proxy.Session
	op      proxy.Op
	id      string
	rule    string        // the first of those that hold it
	inside  time.Duration // how long it waits because a transaction is open, which is less than the request does; 0: as long as that
}

// wait waits for the decision and returns its verdict. What was approved is used before it runs: it runs once, or never.
func (h *held) wait(ctx context.Context) proxy.Verdict {
	d := h.desk
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.attended, h.id)
	}()
	r, err := d.Wait(ctx, h.id)
	switch {
	case ctx.Err() != nil:
		return h.leave(ctx)
	case err != nil:
		return h.refuse(proxy.CauseInternal, "request "+h.id+" is not there any more", "Send it again.")
	case r.State == Approved && r.Standing != nil:
		return h.established(ctx)
	case r.State == Approved:
		return h.claim(ctx)
	}
	return h.over(r)
}

func (h *held) refuse(c proxy.Cause, reason, remedy string) proxy.Verdict {
	return proxy.Deny(c, h.rule, reason, remedy)
}

// over is the verdict by a request that is over.
func (h *held) over(r *Request) proxy.Verdict {
	by := ""
	if r.DecidedBy != "" {
		by = " by " + r.DecidedBy
	}
	why := ""
	if r.Reason != "" {
		why = ": " + r.Reason
	}
	switch r.State {
	case Denied:
		return h.refuse(proxy.CauseDenied, r.DecidedBy+" denied request "+r.ID+why, "")
	case Revoked:
		return h.refuse(proxy.CauseDenied, "request "+r.ID+" was revoked"+by+why, "")
	case Expired:
		return h.refuse(proxy.CauseApproval, "nobody decided about request "+r.ID+" in time", "Ask an approver, and try again.")
	case Used:
		return h.refuse(proxy.CauseApproval, "request "+r.ID+" was approved and has run in another session of yours", "Send it again to ask again.")
	case Unknown:
		return h.refuse(proxy.CauseApproval, "request "+r.ID+" was approved, and whether it has run is not known, because the gateway stopped", "Look whether it has changed anything, and send it again to ask again.")
	case Lapsed:
		return h.refuse(proxy.CauseApproval, "the approval of request "+r.ID+" has lapsed", "Send it again to ask again.")
	}
	return h.refuse(proxy.CauseApproval, "request "+r.ID+" was given up", "")
}

// lastly is how long there is to say what becomes of a request that nobody waits on any more.
const lastly = 3 * time.Second

// leave gives up the request of a client that waits no more: because it cancelled, left, or waited long enough. At the gateway's end
// the request stays, for when she is back, as it does for who says that she comes back.
func (h *held) leave(ctx context.Context) proxy.Verdict {
	d, cause := h.desk, context.Cause(ctx)
	if errors.Is(cause, proxy.ErrShutdown) || errors.Is(cause, proxy.ErrParked) {
		return h.refuse(proxy.CauseApproval, "request "+h.id+" waits still", "Connect again and send the same, to wait on.")
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastly)
	defer cancel()
	if h.inside > 0 && errors.Is(cause, proxy.ErrDeadline) {
		return h.sendAway(late)
	}
	as := Cancelled
	if errors.Is(cause, proxy.ErrDeadline) {
		as = Expired
	}
	r, err := d.change(late, h.id, func(r *Request, now time.Time) (step, error) {
		if r.State != Pending && (r.State != Approved || !errors.Is(cause, proxy.ErrCanceled)) {
			return step{}, r.decided()
		}
		r.State, r.DecidedBy, r.DecidedAt, r.Channel, r.Reason = as, "", &now, "", ""
		return step{string(as), "", false}, nil
	})
	var decided *DecidedError
	switch {
	case err == nil:
		return h.over(r)
	case errors.As(err, &decided) && decided.State == Approved:
		return h.refuse(proxy.CauseApproval, "request "+h.id+" was approved by "+decided.By+" when nobody waited any more", "Send it again.")
	case !errors.As(err, &decided):
		d.log().Warn("a request could not be given up: it ends at its deadline", "request", h.id, "err", err)
	}
	return h.refuse(proxy.CauseApproval, "request "+h.id+" was given up", "")
}

// sendAway refuses the operation of a client whose transaction is open, so that what it has locked is free for others. The request stays.
func (h *held) sendAway(ctx context.Context) proxy.Verdict {
	r, err := h.desk.Get(ctx, h.id)
	switch {
	case err != nil:
		return h.refuse(proxy.CauseInternal, "request "+h.id+" could not be read", "Roll back, and send the same again later.")
	case r.State == Approved:
		return h.refuse(proxy.CauseApproval, "request "+h.id+" was approved by "+r.DecidedBy+" when nobody waited any more", "Roll back, and send the same again.")
	case r.State != Pending:
		return h.over(r)
	}
	return h.refuse(proxy.CauseApproval, "nobody decided about request "+h.id+" within "+shortTime(h.inside)+", and it waits no longer while its transaction is open, "+
		"because others wait for what that has locked; the request waits on until "+r.Deadline.Format(time.RFC3339), "Roll back, and send the same again when it is approved.")
}

// claim uses the approval.
func (h *held) claim(ctx context.Context) proxy.Verdict {
	d := h.desk
	r, err := d.change(ctx, h.id, func(r *Request, now time.Time) (step, error) {
		switch {
		case r.State != Approved:
			return step{}, r.decided()
		case !now.Before(r.UseBy):
			return step{}, &DecidedError{State: Lapsed, At: r.UseBy}
		case r.changed(h.op):
			r.State = Lapsed
			return step{string(Lapsed), "the operation differs from the one that was approved", false}, nil
		}
		if lost, err := d.lost(ctx, r); err != nil {
			return step{}, err
		} else if lost {
			r.State = Lapsed
			return step{string(Lapsed), r.DecidedBy + " is not an approver any more", false}, nil
		}
		r.State, r.Use = Used, &Use{h.session.ID, h.op.Info().ID, now}
		return step{string(Used), "", true}, nil
	})
	var decided *DecidedError
	switch {
	case err == nil && r.State == Used:
		return proxy.Verdict{Action: proxy.ActionAllow, Rule: h.rule, Grant: r.ID + " by " + r.DecidedBy, Impact: r.Impact}
	case err == nil:
		return h.over(r)
	case errors.As(err, &decided):
		return h.over(&Request{ID: h.id, State: decided.State, DecidedBy: decided.By})
	case ctx.Err() != nil:
		return h.refuse(proxy.CauseApproval, "request "+h.id+" was approved when nobody waited any more", "Send it again.")
	}
	d.log().Error("an operation that was approved does not run, because its use could not be recorded or kept", "request", h.id, "err", err)
	return h.refuse(proxy.CauseInternal, "request "+h.id+" was approved, but its use could not be recorded or kept", "Send it again later.")
}

// lost reports whether who has approved an operation may not any more.
func (d *Desk) lost(ctx context.Context, r *Request) (bool, error) {
	if d.Who == nil {
		return false, nil
	}
	who, err := d.Who(ctx, r.DecidedBy)
	if errors.Is(err, proxy.ErrUnavailable) {
		return false, err
	}
	return err != nil || r.mayDecide(OnCall(who, r.OnCall)) != nil, nil
}

// changed reports whether op is not what the request was made about.
func (r *Request) changed(op proxy.Op) bool {
	now := *r
	now.Arguments = nil
	if now.show(op) != nil {
		return true
	}
	text, arguments, _ := proxy.Digests(op, r.sums.Salt)
	return now.content(op) != r.Content || text != r.sums.Text || arguments != r.sums.Arguments
}
