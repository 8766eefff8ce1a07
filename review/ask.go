package review

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// Ask is what somebody asks for.
type Ask struct {
	Resource, Account string // Account may be empty: any of the resource's that the rule is about
	Terms             Terms
	Actions           []string      // of the rule; empty is all
	For               time.Duration // in whole seconds; 0 is what the rule says
	From              time.Time     // zero is with the last approval
	Reason            string
	Remote            string // where she is, for who decides
	extends           string // the request that it extends; empty: none
	rows              uint64 // as many as there may be of what it extends, or of what it was before; 0: any
	connects          bool   // it is asked for by connecting, which any request does that waits and would let her in
}

// Errors of what is asked for. They are matched by errors whose texts are fit for who asks.
var (
	ErrAsk  = errors.New("this cannot be asked for")
	ErrOver = errors.New("this request is over")
)

// ID of a new request: it is said and typed by people.
func newRequestID() string { return strings.ToLower(rand.Text()[:10]) }

// plan is the request that somebody makes.
func (d *Desk) plan(who *proxy.Identity, a *Ask) (*Request, error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrAsk, fmt.Sprintf(format, args...))
	}
	t := &a.Terms
	now := d.now()
	reason := strings.TrimSpace(a.Reason)
	actions := t.Actions
	if len(a.Actions) > 0 {
		for _, w := range a.Actions {
			if !slices.Contains(t.Actions, w) {
				return nil, bad("rule %s does not allow %q; it allows %s", t.Rule, w, strings.Join(t.Actions, ", "))
			}
		}
		actions = only(t.Actions, a.Actions)
	}
	if slices.Contains(actions, everything) {
		actions = []string{everything}
	}
	length := cmp.Or(a.For, t.For).Truncate(time.Second)
	matched, err := reasonMatches(t.Reason, reason)
	if err != nil {
		return nil, err
	}
	switch {
	case who == nil || who.Subject == "":
		return nil, bad("it is not known who asks")
	case reason == "":
		return nil, bad("a reason is needed")
	case len(reason) > MaxAccessReason:
		return nil, bad("the reason has %d bytes, and may have %d", len(reason), MaxAccessReason)
	case !matched:
		return nil, bad("rule %s wants a reason that has %s", t.Rule, t.Reason)
	case length < time.Minute:
		return nil, bad("got a time of %s, want at least a minute", length)
	case length > t.Max:
		return nil, bad("got a time of %s, and rule %s grants at most %s", length, t.Rule, t.Max)
	case !a.From.IsZero() && a.From.After(now.Add(MaxAhead)):
		return nil, bad("it would begin at %s, want within %d days", a.From.UTC().Format(time.RFC3339), int(MaxAhead/24/time.Hour))
	case !a.From.IsZero() && !a.From.Add(length).After(now):
		return nil, bad("it would be over at %s already", a.From.Add(length).UTC().Format(time.RFC3339))
	case len(t.Stages) == 0 || slices.ContainsFunc(t.Stages, func(s Stage) bool { return len(s.Approvers) == 0 }):
		return nil, bad("rule %s has no approvers at %s", t.Rule, a.Resource)
	}
	r := &Request{
		ID: newRequestID(), State: Pending, Requester: who.Subject, For: who.OnBehalfOf, Creators: creators(who), Resource: a.Resource, Account: a.Account, Message: t.Message,
		Created: now, Deadline: now.Add(t.Decide),
		Access: &Access{Rule: t.Rule, Actions: slices.Clone(actions), Seconds: int64(length / time.Second), Reason: reason, Remote: a.Remote, Stages: slices.Clone(t.Stages), Target: t.Target, Uses: t.Uses, Reuse: int64(t.Reuse / time.Second), Rows: a.rows},
	}
	if r.Access.Extends = a.extends; a.extends != "" {
		t.Auto = nil // what ends on time does not go on by itself
	}
	if t.Proof.given() {
		r.Access.Proof = &t.Proof
	}
	if !a.From.IsZero() {
		r.Access.From = a.From.UTC()
		if end := r.Access.From.Add(length); end.Before(r.Deadline) {
			r.Deadline = end
		}
	}
	r.Access.Further = further(t.Escalate, now, r.Deadline)
	r.describe()
	r.Hash = r.accessDigest()
	if auto, err := t.Auto.grants(who, r, now); err != nil {
		return nil, err
	} else if auto && !d.paused(r, now) {
		r.byRule(now)
	}
	return r, nil
}

// claimsCreators are the claims of a service or an agent with the subjects of who has made it, and what has proven it.
var claimsCreators = []string{"creator", "token_creator"}

// creators are who has made a service or an agent, or what it proves itself by.
func creators(who *proxy.Identity) (list []string) {
	for _, c := range claimsCreators {
		if subject := who.Claims[c]; subject != "" && who.Kind != proxy.Human && !slices.Contains(list, subject) {
			list = append(list, subject)
		}
	}
	return list
}

// everything is the action that is all others.
const everything = "all"

// only are those of some actions, and connecting, which all of them need.
func only(actions, of []string) []string {
	return slices.DeleteFunc(slices.Clone(actions), func(w string) bool { return w != "connect" && !slices.Contains(of, w) })
}

// same reports whether two requests ask for the same.
func (r *Request) same(o *Request) bool {
	a, b := r.Access, o.Access
	return a != nil && b != nil && a.Auto == b.Auto && a.Extends == b.Extends && a.Target == b.Target && r.Requester == o.Requester && r.For == o.For && r.Resource == o.Resource && r.Account == o.Account && a.Rule == b.Rule && a.Seconds == b.Seconds &&
		a.From.Equal(b.From) && slices.Equal(a.Actions, b.Actions)
}

// admits reports whether o, which somebody makes by connecting, need not be made because r would let her in, whatever else r asks for.
func (r *Request) admits(o *Request) bool {
	a, b := r.Access, o.Access
	return a != nil && !b.Auto && a.Extends == "" && a.Target == b.Target && r.Requester == o.Requester && r.For == o.For && r.Resource == o.Resource &&
		(r.Account == "" || r.Account == o.Account) && a.Rule == b.Rule && !a.From.After(o.Created)
}

// Ask makes a request. Where the same is asked for already, and waits, that one is returned, with the reason that is given now: people
// have not decided about it by another one.
func (d *Desk) Ask(ctx context.Context, who *proxy.Identity, a Ask) (*Request, error) {
	r, err := d.plan(who, &a)
	if err != nil {
		return nil, err
	}
	made, err := d.turn(ctx, r.person())
	if err != nil {
		return nil, err
	}
	defer made()
	d.mu.Lock()
	pending, own, lately, granted := 0, 0, 0, 0
	var there, follows *Request
	for _, k := range d.known {
		mine := k.request.person() == r.person() && k.request.Access != nil
		if mine && k.request.Created.After(r.Created.Add(-AskedWithin)) {
			lately++
		}
		state := k.request.State
		if (state == Pending || state == Approved && r.Access.Auto && k.request.due(r.Created) == "" && !k.request.spent(r.Created)) && k.request.same(r) ||
			a.connects && state == Pending && k.request.admits(r) && (there == nil || k.request.Created.After(there.Created)) {
			other := k.request.clone()
			there = &other
		}
		if a.extends != "" && k.request.Access != nil && k.request.Access.Extends == a.extends && !k.request.over() {
			other := k.request.clone()
			follows = &other
		}
		if state == Approved && mine && k.request.Access.Auto {
			granted++
		}
		if state != Pending {
			continue
		}
		if pending++; mine {
			own++
		}
	}
	d.mu.Unlock()
	switch {
	case there != nil && (a.connects || there.State != Pending || there.Access.Reason == r.Access.Reason):
		return there, nil
	case there != nil:
		return d.askAgain(ctx, there.ID, r)
	case follows != nil:
		return nil, fmt.Errorf("%w: request %s extends it already: change that, or withdraw it", ErrAsk, follows.ID)
	case r.Access.Auto && granted >= MaxGranted:
		return nil, fmt.Errorf("%w: you have %d times what rules grant by themselves, which is the limit: give some of it back", ErrAsk, granted)
	case own >= MaxPerRequester:
		return nil, fmt.Errorf("%w: you have %d requests that wait, which is the limit: withdraw one", ErrAsk, own)
	case lately >= MaxAsked:
		return nil, fmt.Errorf("%w: you have made %d requests within %d minutes, which is the limit: try again later", ErrAsk, lately, int(AskedWithin/time.Minute))
	case pending >= MaxPending:
		return nil, fmt.Errorf("%w: %d requests wait already, which is the limit: try again later", ErrAsk, pending)
	}
	d.call(ctx, r)
	s := step{Asked, r.Access.Reason, true}
	if r.State == Approved {
		s.event = string(Approved)
	}
	version, err := d.keep(ctx, store.Document{Kind: KindRequest, Name: r.ID}, r, s)
	if err != nil {
		return nil, err
	}
	d.see(r, version)
	return r, nil
}

// askAgain gives a request that waits the reason of n, which asks for the same. Approvals that were given for the one of before are not
// taken away by the way: who made it says so by an edit.
func (d *Desk) askAgain(ctx context.Context, id string, n *Request) (*Request, error) {
	return d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
		if err := r.pending(now); err != nil {
			return step{}, err
		}
		if !r.same(n) {
			return step{}, fmt.Errorf("%w: request %s was changed at this moment: ask again", ErrAsk, r.ID)
		}
		if slices.ContainsFunc(r.Access.Votes, func(v VoteRecord) bool { return !v.Lost }) {
			return step{}, fmt.Errorf("%w: request %s asks for the same, and was approved by some for another reason: edit its reason, and everybody approves anew, or leave it as it is", ErrAsk, r.ID)
		}
		again := n.clone()
		return r.become(&again, now)
	})
}

// Denied returns the request by which somebody was denied the same rule at the same resource within the last minutes; nil: none, or she
// has asked again since, and that waits or was granted. Who connects again and again does not have people decide again and again.
func (d *Desk) Denied(who *proxy.Identity, a *Ask) *Request {
	since := d.now().Add(-AskedWithin)
	d.mu.Lock()
	defer d.mu.Unlock()
	var last *Request
	for _, k := range d.known {
		r := &k.request
		if r.Access == nil || r.Requester != who.Subject || r.For != who.OnBehalfOf || r.Resource != a.Resource || r.Account != "" && r.Account != a.Account || r.Access.Rule != a.Terms.Rule {
			continue
		}
		counts := r.State == Pending || r.Access.Grant != nil || r.State == Denied && latest(r.DecidedAt).After(since)
		if counts && (last == nil || r.Created.After(last.Created) || r.Created.Equal(last.Created) && r.State == Denied) {
			last = r
		}
	}
	if last == nil || last.State != Denied {
		return nil
	}
	denied := last.clone()
	return &denied
}

// turn waits until nobody else makes a request for a person, who makes one at a time: several that come at once are found to be the
// same, or too many. She has made hers when made is called.
func (d *Desk) turn(ctx context.Context, person string) (made func(), err error) {
	own := make(chan struct{})
	for {
		d.mu.Lock()
		other := d.making[person]
		if other == nil {
			if d.making == nil {
				d.making = make(map[string]chan struct{})
			}
			d.making[person] = own
			d.mu.Unlock()
			return func() {
				d.mu.Lock()
				defer d.mu.Unlock()
				delete(d.making, person)
				close(own)
			}, nil
		}
		d.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// reasonMatches reports whether a reason has what a pattern wants.
func reasonMatches(pattern, reason string) (bool, error) {
	if pattern == "" {
		return true, nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return false, err
	}
	return re.MatchString(reason), nil
}
