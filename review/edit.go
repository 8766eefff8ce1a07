package review

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// MaxRevisions is how often a request is changed, and MaxProposals how often one approver proposes something else for it.
const (
	MaxRevisions = 20
	MaxProposals = 20
)

// Events of a request for access that is changed, and that an approver proposes to change; it stays pending.
const (
	Edited   = "edited"
	Proposed = "proposed"
)

// Change is what a request for access is to be. The zero value of a field leaves it as it is.
type Change struct {
	Actions []string
	For     time.Duration
	From    *time.Time // the zero time is with the last approval
	Reason  string
	Remote  string // where who changes it is
}

// Proposal is what an approver would grant in the place of what is asked for. It changes nothing until the requester accepts it.
type Proposal struct {
	By      string    `json:"by"` // subject
	Name    string    `json:"name,omitempty"`
	At      time.Time `json:"at"`
	Channel string    `json:"channel,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Actions []string  `json:"actions"`
	Seconds int64     `json:"seconds"`
	From    time.Time `json:"from,omitzero"`
	Hash    string    `json:"hash"` // of all of it, and of the request: who accepts names it
}

// For is for how long access would be granted.
func (p *Proposal) For() time.Duration { return time.Duration(p.Seconds) * time.Second }

// String is what is proposed: "connect, read for 30m0s".
func (p *Proposal) String() string { return what(p.Actions, "", p.For(), p.From) }

// what says which actions access is for, where unless that is empty, and when.
func what(actions []string, at string, length time.Duration, from time.Time) string {
	text := strings.Join(actions, ", ")
	if at != "" {
		text += " at " + at
	}
	text += " for " + length.String()
	if !from.IsZero() {
		text += " from " + from.UTC().Format(time.RFC3339)
	}
	return text
}

func (p *Proposal) digest(r *Request) string {
	h := sha256.New()
	for _, s := range append([]string{"sallyport proposal 1", r.Hash, p.By, p.For().String(), p.From.UTC().Format(time.RFC3339Nano), p.Reason}, p.Actions...) {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// edited is the request that r would be by a change, on terms of now.
func (d *Desk) edited(who *proxy.Identity, r *Request, t *Terms, c *Change) (*Request, error) {
	a := Ask{
		Resource: r.Resource, Account: r.Account, Terms: *t, Actions: c.Actions, For: c.For, From: r.Access.From, Reason: c.Reason, Remote: c.Remote,
		extends: r.Access.Extends, rows: r.Access.Rows,
	}
	if c.From != nil && a.extends != "" && !c.From.Equal(a.From) {
		return nil, fmt.Errorf("%w: it begins when request %s ends", ErrAsk, a.extends)
	}
	if len(a.Actions) == 0 {
		a.Actions = r.Access.Actions
	}
	if a.For == 0 {
		a.For = r.Access.For()
	}
	if c.From != nil {
		a.From = *c.From
	}
	if strings.TrimSpace(a.Reason) == "" {
		a.Reason = r.Access.Reason
	}
	return d.plan(who, &a)
}

// narrower reports whether n asks for nothing more than r, from the same people and for the same reason.
func (r *Request) narrower(n *Request) bool {
	a, b := r.Access, n.Access
	within := slices.Contains(a.Actions, everything) || !slices.ContainsFunc(b.Actions, func(w string) bool { return !slices.Contains(a.Actions, w) })
	return within && b.Seconds <= a.Seconds && b.From.Equal(a.From) && b.Reason == a.Reason && b.Target == a.Target && !b.Auto &&
		b.Proof.equal(a.Proof) && slices.EqualFunc(a.Stages, b.Stages, func(x, y Stage) bool { return x.Need == y.Need && slices.Equal(x.Approvers, y.Approvers) })
}

// become makes r what n asks for. Who has approved has approved less, too; anything else asks everybody anew.
func (r *Request) become(n *Request, now time.Time) (step, error) {
	if r.Access.Revision >= MaxRevisions {
		return step{}, fmt.Errorf("%w: it was changed %d times, which is the limit: withdraw it, and ask anew", ErrAsk, MaxRevisions)
	}
	revision := r.Access.Revision + 1
	reset := "those who have approved it have approved this, too"
	if r.narrower(n) {
		r.Access.Actions, r.Access.Seconds = n.Access.Actions, n.Access.Seconds
		if end := r.Access.From.Add(r.Access.For()); !r.Access.From.IsZero() && end.Before(r.Deadline) {
			r.Deadline = end
		}
	} else {
		if reset = "nobody has approved this yet"; len(r.Access.Votes) > 0 {
			reset = "approvals of before do not count"
		}
		n.Access.Proposed = r.Access.Proposed
		r.Access, r.Deadline, r.Message = n.Access, n.Deadline, n.Message
	}
	r.Access.Revision, r.Access.Proposal = revision, nil
	r.Hash = r.accessDigest()
	if r.Access.Auto {
		r.byRule(now)
		return step{string(Approved), r.Access.Reason, true}, nil
	}
	r.describe()
	return step{Edited, r.Text + ": " + reset, true}, nil
}

// Edit changes a request of one's own that waits, on terms of now. A change that only narrows it keeps the approvals that it has; any
// other is a new revision, which everybody is asked about anew.
func (d *Desk) Edit(ctx context.Context, id string, by *proxy.Identity, t Terms, c Change) (*Request, error) {
	return d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
		if err := r.editable(by, &t, now); err != nil {
			return step{}, err
		}
		n, err := d.edited(by, r, &t, &c)
		switch {
		case err != nil:
			return step{}, err
		case n.same(r) && n.Access.Reason == r.Access.Reason && n.Access.Target == r.Access.Target:
			return step{}, fmt.Errorf("%w: it asks for that already", ErrAsk)
		}
		return r.become(n, now)
	})
}

// editable reports why somebody may not change a request.
func (r *Request) editable(by *proxy.Identity, t *Terms, now time.Time) error {
	switch {
	case by == nil || by.Subject != r.Requester || by.OnBehalfOf != r.For:
		return ErrUnknown
	case r.Access == nil:
		return fmt.Errorf("%w: it is about an operation: cancel that, and send another", ErrAsk)
	case t.Rule != r.Access.Rule:
		return fmt.Errorf("%w: it is by rule %s: withdraw it, and ask by rule %s", ErrAsk, r.Access.Rule, t.Rule)
	}
	return r.pending(now)
}

// Propose attaches what an approver would grant to a request that waits, on terms of now, in the place of what was proposed before.
func (d *Desk) Propose(ctx context.Context, id string, v Vote, t Terms, c Change) (*Request, error) {
	return d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
		switch err := d.votable(ctx, r, &v, now); {
		case err != nil:
			return step{}, err
		case r.Access == nil:
			return step{}, fmt.Errorf("%w: it is about an operation: deny it, and say what to send", ErrAsk)
		case t.Rule != r.Access.Rule:
			return step{}, fmt.Errorf("%w: rule %s is not there any more", ErrAsk, r.Access.Rule)
		case v.Reason == "":
			return step{}, fmt.Errorf("%w: a proposal needs a reason", ErrAsk)
		}
		if r.Access.Proposed[v.By.Subject] >= MaxProposals {
			return step{}, fmt.Errorf("%w: you have proposed something else %d times, which is the limit: approve the request, or deny it", ErrAsk, MaxProposals)
		}
		t.Auto = nil // she grants nothing by it
		c.Reason = r.Access.Reason
		n, err := d.edited(&proxy.Identity{Subject: r.Requester, OnBehalfOf: r.For}, r, &t, &c)
		if err != nil {
			return step{}, err
		}
		if n.same(r) {
			return step{}, fmt.Errorf("%w: it asks for that already: approve it", ErrAsk)
		}
		p := &Proposal{
			By: v.By.Subject, Name: v.By.Name, At: now, Channel: v.Channel, Reason: v.Reason, Actions: n.Access.Actions, Seconds: n.Access.Seconds, From: n.Access.From,
		}
		p.Hash = p.digest(r)
		r.Access.Proposal = p
		if r.Access.Proposed == nil {
			r.Access.Proposed = make(map[string]int)
		}
		r.Access.Proposed[v.By.Subject]++
		return step{Proposed, p.String() + ": " + v.Reason, true}, nil
	})
}

// Accept makes a request of one's own what an approver has proposed, on terms of now. hash is that of the proposal. Approvers approve it
// as they do any other; who has proposed it has not approved it.
func (d *Desk) Accept(ctx context.Context, id string, by *proxy.Identity, t Terms, hash, remote string) (*Request, error) {
	return d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
		if err := r.editable(by, &t, now); err != nil {
			return step{}, err
		}
		p := r.Access.Proposal
		switch {
		case p == nil:
			return step{}, fmt.Errorf("%w: nothing is proposed", ErrAsk)
		case p.Hash != hash:
			return step{}, ErrChanged
		}
		n, err := d.edited(by, r, &t, &Change{Actions: p.Actions, For: p.For(), From: &p.From, Remote: remote})
		if err != nil {
			return step{}, err
		}
		return r.become(n, now)
	})
}
