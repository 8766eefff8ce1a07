package review

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// KindRequest is the kind of the documents of requests for access. The names are their identifiers.
const KindRequest = "access-request"

// Limits of requests for access.
const (
	MaxPending      = 1000                // that wait at once
	MaxPerRequester = 10                  // of those, of one person
	MaxAccessReason = 1000                // bytes
	KeepRequests    = 30 * 24 * time.Hour // for which one is kept that is over
	MaxAhead        = 30 * 24 * time.Hour // that access may begin in the future
)

// DefaultStale is how long what was granted counts while the store cannot be asked whether it still is.
const DefaultStale = time.Minute

// Desk takes requests for access to resources, has them approved, and knows what is granted. It keeps them in a store, which
// several gateways may share: each transition is one write, which fails when another was faster, and is recorded before. What is granted is
// known without asking the store. Its fields are set before [Desk.Load], which comes first. It is safe for concurrent use.
type Desk struct {
	Store store.Store
	// Note records a transition. On an error a request is not made, and an approval not given; everything that takes away
	// happens all the same.
	Note func(ctx context.Context, n *proxy.Note) error
	// Who returns who somebody is now, by subject, to see whether those who have approved still may. An error that wraps
	// proxy.ErrUnavailable says that nobody knows; any other that she is nobody any more.
	Who func(ctx context.Context, subject string) (*proxy.Identity, error)
	// Told returns what is written with a transition, for those who tell people of it. May be nil.
	Told func(n *Notice) ([]store.Write, error)
	// Stale is how long what was granted counts while the store cannot be asked; 0 is DefaultStale.
	Stale time.Duration
	Log   *slog.Logger // nil is slog.Default

	version atomic.Uint64
	ahead   atomic.Int64 // the store's clock before this machine's, in nanoseconds
	contact atomic.Int64 // when the store has answered last, in Unix nanoseconds of this machine

	mu      sync.Mutex
	known   map[string]*known                 // requests that wait, or are approved, by identifier
	watches map[string]map[*func(string)]bool // by subject
	waiters map[string]map[chan struct{}]bool // by identifier
}

// known is a request as this gateway has seen it last.
type known struct {
	request Request
	version int64
	open    bool // what it grants was so when it was looked at last
	seen    time.Time
}

// Ask is what somebody asks for.
type Ask struct {
	Resource, Account string // Account may be empty: any of the resource's that the rule is about
	Terms             Terms
	Actions           []string      // of the rule; empty is all
	For               time.Duration // 0 is what the rule says
	From              time.Time     // zero is with the last approval
	Reason            string
	Remote            string // where she is, for who decides
}

// Errors of what is asked for. They are matched by errors whose texts are fit for who asks.
var (
	ErrAsk  = errors.New("this cannot be asked for")
	ErrOver = errors.New("this request is over")
)

func (d *Desk) log() *slog.Logger { return cmp.Or(d.Log, slog.Default()) }

// now is the time by the store's clock.
func (d *Desk) now() time.Time { return time.Now().Add(time.Duration(d.ahead.Load())).UTC() }

// touch asks the store for the time.
func (d *Desk) touch(ctx context.Context) error {
	began := time.Now()
	_, now, err := d.Store.Head(ctx)
	if err != nil {
		return err
	}
	half := time.Since(began) / 2
	d.ahead.Store(int64(now.Sub(began.Add(half))))
	d.contact.Store(began.UnixNano())
	return nil
}

// Load reads all requests that are not over.
func (d *Desk) Load(ctx context.Context) error {
	if err := d.touch(ctx); err != nil {
		return err
	}
	head, _, err := d.Store.Head(ctx)
	if err != nil {
		return err
	}
	there := make(map[string]bool)
	for doc, err := range store.All(ctx, d.Store, KindRequest, "") {
		if err != nil {
			return err
		}
		r, err := requestOf(doc)
		if err != nil {
			return err
		}
		there[r.ID] = true
		d.see(r, doc.Version)
	}
	var gone []string
	d.mu.Lock()
	for id, k := range d.known {
		if !there[id] && k.version <= head {
			gone = append(gone, id)
		}
	}
	d.mu.Unlock()
	for _, id := range gone {
		if err := d.Follow(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// over reports whether nothing can become of a request any more.
func (r *Request) over() bool { return r.State != Pending && r.State != Approved }

func requestOf(doc store.Document) (*Request, error) {
	r := &Request{}
	if err := json.Unmarshal(doc.Body, r); err != nil || r.ID != doc.Name || r.Access == nil {
		return nil, fmt.Errorf("reading request %q: it is damaged", doc.Name)
	}
	return r, nil
}

// Follow reads a request again that another gateway may have changed.
func (d *Desk) Follow(ctx context.Context, id string) error {
	doc, err := d.Store.Get(ctx, KindRequest, id)
	if errors.Is(err, store.ErrNotFound) {
		d.mu.Lock()
		k := d.known[id]
		d.mu.Unlock()
		if k != nil {
			gone := k.request.clone()
			gone.State = Ended
			d.see(&gone, 1<<62)
		}
		return nil
	}
	if err != nil {
		return err
	}
	r, err := requestOf(doc)
	if err != nil {
		return err
	}
	d.see(r, doc.Version)
	return nil
}

// see takes in what a request is now, and tells those who wait for it or go by it.
func (d *Desk) see(r *Request, version int64) {
	now := d.now()
	d.mu.Lock()
	if d.known == nil {
		d.known = make(map[string]*known)
	}
	was := d.known[r.ID]
	if was != nil && was.version >= version {
		d.mu.Unlock()
		return
	}
	open := r.open(now)
	// What is over is remembered for a while, so that what was read of it before does not count again.
	d.known[r.ID] = &known{request: r.clone(), version: version, open: open, seen: time.Now()}
	for c := range d.waiters[r.ID] {
		select {
		case c <- struct{}{}:
		default: // it looks soon
		}
	}
	changed := open || was != nil && was.open
	var calls []func(string)
	if changed {
		d.version.Add(1)
		for f := range d.watches[r.Requester] {
			calls = append(calls, *f)
		}
	}
	d.mu.Unlock()
	why := ""
	if !open {
		why = r.ending()
	}
	for _, f := range calls {
		f(why)
	}
}

// ending says what the user of a session is told that was open by the request.
func (r *Request) ending() string {
	switch r.State {
	case Revoked:
		text := "request " + r.ID + ", by which you were connected, was revoked by " + r.DecidedBy
		if r.Reason != "" {
			text += ": " + r.Reason
		}
		return text
	}
	return "the time is over that request " + r.ID + " has granted"
}

// look finds what time has opened or closed since it was looked at last.
func (d *Desk) look() {
	now := d.now()
	type call struct {
		f   func(string)
		why string
	}
	var calls []call
	d.mu.Lock()
	for _, k := range d.known {
		open := k.request.open(now)
		if open == k.open {
			continue
		}
		k.open = open
		d.version.Add(1)
		why := ""
		if !open {
			why = k.request.ending()
		}
		for f := range d.watches[k.request.Requester] {
			calls = append(calls, call{*f, why})
		}
	}
	d.mu.Unlock()
	for _, c := range calls {
		c.f(c.why)
	}
}

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
		actions = slices.DeleteFunc(slices.Clone(t.Actions), func(w string) bool { return w != "connect" && !slices.Contains(a.Actions, w) })
	}
	length := cmp.Or(a.For, t.For)
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
	case len(t.Stages) == 0:
		return nil, bad("rule %s has no approvers", t.Rule)
	}
	r := &Request{
		ID: newRequestID(), State: Pending, Requester: who.Subject, For: who.OnBehalfOf, Resource: a.Resource, Account: a.Account, Message: t.Message,
		Created: now, Deadline: now.Add(t.Decide),
		Access: &Access{Rule: t.Rule, Actions: slices.Clone(actions), For: length, Reason: reason, Remote: a.Remote, Stages: slices.Clone(t.Stages)},
	}
	if !a.From.IsZero() {
		r.Access.From = a.From.UTC()
		if end := r.Access.From.Add(length); end.Before(r.Deadline) {
			r.Deadline = end
		}
	}
	r.describe()
	r.Hash = r.accessDigest()
	return r, nil
}

// same reports whether two requests ask for the same.
func (r *Request) same(o *Request) bool {
	a, b := r.Access, o.Access
	return r.Requester == o.Requester && r.Resource == o.Resource && r.Account == o.Account && a.Rule == b.Rule && a.For == b.For &&
		a.From.Equal(b.From) && slices.Equal(a.Actions, b.Actions)
}

// Ask makes a request. Where the same is asked for already, and waits, that one is returned.
func (d *Desk) Ask(ctx context.Context, who *proxy.Identity, a Ask) (*Request, error) {
	r, err := d.plan(who, &a)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	pending, own := 0, 0
	var there *Request
	for _, k := range d.known {
		if k.request.State != Pending {
			continue
		}
		if pending++; k.request.Requester == r.Requester {
			own++
		}
		if k.request.same(r) {
			other := k.request.clone()
			there = &other
		}
	}
	d.mu.Unlock()
	switch {
	case there != nil:
		return there, nil
	case own >= MaxPerRequester:
		return nil, fmt.Errorf("%w: you have %d requests that wait, which is the limit: withdraw one", ErrAsk, own)
	case pending >= MaxPending:
		return nil, fmt.Errorf("%w: %d requests wait already, which is the limit: try again later", ErrAsk, pending)
	}
	w, err := write(store.Document{Kind: KindRequest, Name: r.ID}, r)
	if err != nil {
		return nil, err
	}
	if err := d.note(ctx, r, string(Pending), r.Access.Reason); err != nil {
		return nil, fmt.Errorf("the request is not made, because it could not be recorded: %w", err)
	}
	version, err := d.commit(ctx, w, r, Asked)
	if err != nil {
		return nil, err
	}
	d.see(r, version)
	return r, nil
}

// write is the write of a request's document.
func write(doc store.Document, r *Request) (store.Write, error) {
	var err error
	if doc.Body, err = json.Marshal(r); err != nil {
		return store.Write{}, err
	}
	doc.Expires = time.Time{}
	if r.over() {
		doc.Expires = cmp.Or(latest(r.DecidedAt), r.Created).Add(KeepRequests)
	}
	if doc.Version == 0 {
		return store.Create(doc), nil
	}
	return store.Replace(doc), nil
}

func latest(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// commit writes a transition with what tells of it, and returns the document's version.
func (d *Desk) commit(ctx context.Context, w store.Write, r *Request, event string) (int64, error) {
	ws := []store.Write{w}
	if d.Told != nil {
		more, err := d.Told(&Notice{ID: r.ID + "-" + strings.ToLower(rand.Text()[:10]), Event: event, At: d.now(), Request: r.clone()})
		if err != nil {
			return 0, err
		}
		ws = append(ws, more...)
	}
	last, err := d.Store.Write(ctx, ws...)
	changing := int64(0)
	for i := range ws {
		if ws[i].Changes() {
			changing++
		}
	}
	return last - changing + 1, err // the first of the call's changes
}

// note records a transition.
func (d *Desk) note(ctx context.Context, r *Request, state, reason string) error {
	n := &proxy.RequestNote{
		ID: r.ID, State: state, Hash: r.Hash, Requester: r.Requester, For: r.For, Rules: r.Rules, Resource: r.Resource, Account: r.Account,
		DecidedBy: r.DecidedBy, Channel: r.Channel, Reason: reason,
	}
	if g := r.Access.Grant; g != nil {
		n.Until = g.Until
	}
	if state == Voted {
		v := &r.Access.Votes[len(r.Access.Votes)-1]
		n.DecidedBy, n.Channel = v.By, v.Channel
	}
	return d.Note(ctx, &proxy.Note{Kind: proxy.NoteReview, By: "review", Request: n})
}

// attempts is how often a transition is made anew when another gateway was faster.
const attempts = 10

// change makes a transition. next changes the request and says which event that is; it is called with what the store has. give
// says that it gives something, which is not done when it cannot be recorded.
func (d *Desk) change(ctx context.Context, id string, next func(r *Request, now time.Time) (event, reason string, give bool, err error)) (*Request, error) {
	if err := store.CheckName(id); err != nil {
		return nil, ErrUnknown
	}
	var err error
	for range attempts {
		if err := d.touch(ctx); err != nil {
			return nil, err
		}
		doc, err2 := d.Store.Get(ctx, KindRequest, id)
		if errors.Is(err2, store.ErrNotFound) {
			return nil, ErrUnknown
		}
		if err2 != nil {
			return nil, err2
		}
		r, err2 := requestOf(doc)
		if err2 != nil {
			return nil, err2
		}
		event, reason, give, err2 := next(r, d.now())
		if err2 != nil {
			d.see(r, doc.Version)
			return nil, err2
		}
		r.describe()
		w, err2 := write(doc, r)
		if err2 != nil {
			return nil, err2
		}
		if err2 := d.note(ctx, r, event, reason); err2 != nil && give {
			return nil, fmt.Errorf("the request is not approved because the approval could not be recorded: %w", err2)
		}
		var version int64
		if version, err = d.commit(ctx, w, r, event); err == nil {
			d.see(r, version)
			return r, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("changing request %s: others were faster %d times: %w", id, attempts, err)
}

// decided is the error of what comes after a request's end.
func (r *Request) decided() error {
	e := &DecidedError{State: r.State, By: r.DecidedBy, At: latest(r.DecidedAt)}
	return e
}

// pending checks that a request can still be decided about.
func (r *Request) pending(now time.Time) error {
	if r.State != Pending {
		return r.decided()
	}
	if !now.Before(r.Deadline) {
		return &DecidedError{State: Expired, At: r.Deadline}
	}
	return nil
}

// Narrow is what an approver grants less of. The zero value grants what was asked for.
type Narrow struct {
	For     time.Duration // 0: as long as was asked for
	Actions []string      // empty: all that was asked for
}

// Approve gives one approval. The request is granted when it is the last one that is needed.
func (d *Desk) Approve(ctx context.Context, id string, v Vote, narrow Narrow) (*Request, error) {
	reason := strings.TrimSpace(v.Reason)
	return d.change(ctx, id, func(r *Request, now time.Time) (string, string, bool, error) {
		if err := r.pending(now); err != nil {
			return "", "", false, err
		}
		a := r.Access
		stage := a.stage()
		switch err := r.mayVote(v.By, stage); {
		case err != nil:
			return "", "", false, err
		case v.Hash != r.Hash:
			return "", "", false, ErrChanged
		case len(reason) > maxReason:
			return "", "", false, ErrReason
		case a.voted(v.By.Subject):
			return "", "", false, errVoted
		}
		if err := a.narrow(narrow); err != nil {
			return "", "", false, err
		}
		a.Votes = append(a.Votes, VoteRecord{
			Stage: stage, By: v.By.Subject, Name: v.By.Name, At: now, Channel: v.Channel, Method: v.By.Method.String(), Reason: reason,
			For: narrow.For, Actions: narrow.Actions,
		})
		r.Hash = r.accessDigest() // those who approve next see what is left
		if a.stage() < len(a.Stages) {
			return Voted, reason, true, nil
		}
		if err := d.recount(ctx, r, v.By.Subject); err != nil {
			return "", "", false, err
		}
		if a.stage() < len(a.Stages) {
			return Voted, reason, true, nil
		}
		from := now
		if a.From.After(now) {
			from = a.From
		}
		until := from.Add(a.For)
		if !a.From.IsZero() {
			until = a.From.Add(a.For) // what was asked for does not begin late and last longer
		}
		a.Grant = &Grant{From: from, Until: until, Actions: slices.Clone(a.Actions)}
		r.State, r.DecidedBy, r.DecidedAt, r.Channel, r.Reason = Approved, v.By.Subject, &now, v.Channel, reason
		return string(Approved), reason, true, nil
	})
}

// errVoted refuses a second vote of one person.
var errVoted = fmt.Errorf("%w: you have approved this request already, and others are needed, too", ErrIneligible)

// narrow makes a what an approver grants of it.
func (a *Access) narrow(n Narrow) error {
	switch {
	case n.For < 0 || n.For > 0 && n.For < time.Minute:
		return fmt.Errorf("%w: got a time of %s, want at least a minute", ErrAsk, n.For)
	case n.For > a.For:
		return fmt.Errorf("%w: got a time of %s, which is longer than the %s that was asked for", ErrAsk, n.For, a.For)
	case n.For > 0:
		a.For = n.For
	}
	if len(n.Actions) == 0 {
		return nil
	}
	for _, w := range n.Actions {
		if !slices.Contains(a.Actions, w) {
			return fmt.Errorf("%w: %q was not asked for", ErrAsk, w)
		}
	}
	a.Actions = slices.DeleteFunc(slices.Clone(a.Actions), func(w string) bool { return w != "connect" && !slices.Contains(n.Actions, w) })
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

// approver reports whether by is an approver of any stage.
func (r *Request) approver(by *proxy.Identity) bool {
	return r.personal(by) == nil && slices.ContainsFunc(r.Access.Stages, func(s Stage) bool { return s.approver(by) })
}

// Deny refuses a request, with a reason that its requester is told.
func (d *Desk) Deny(ctx context.Context, id string, v Vote) (*Request, error) {
	reason := strings.TrimSpace(v.Reason)
	return d.change(ctx, id, func(r *Request, now time.Time) (string, string, bool, error) {
		if err := r.pending(now); err != nil {
			return "", "", false, err
		}
		switch err := r.mayVote(v.By, r.Access.stage()); {
		case err != nil:
			return "", "", false, err
		case v.Hash != r.Hash:
			return "", "", false, ErrChanged
		case reason == "", len(reason) > maxReason:
			return "", "", false, ErrReason
		}
		r.State, r.DecidedBy, r.DecidedAt, r.Channel, r.Reason = Denied, v.By.Subject, &now, v.Channel, reason
		return string(Denied), reason, false, nil
	})
}

// Cancel withdraws a request of one's own; when it was approved, what was granted ends.
func (d *Desk) Cancel(ctx context.Context, id string, by *proxy.Identity) (*Request, error) {
	return d.change(ctx, id, func(r *Request, now time.Time) (string, string, bool, error) {
		switch {
		case by == nil || by.Subject != r.Requester && by.Subject != r.For:
			return "", "", false, ErrUnknown
		case r.over():
			return "", "", false, r.decided()
		}
		r.State, r.DecidedBy, r.DecidedAt, r.Reason = Cancelled, by.Subject, &now, ""
		return string(Cancelled), "", false, nil
	})
}

// Revoke takes back what was approved: its approvers may, and those who are permitted to. The sessions end that are open by it.
func (d *Desk) Revoke(ctx context.Context, id string, v Vote, permitted bool) (*Request, error) {
	reason := strings.TrimSpace(v.Reason)
	return d.change(ctx, id, func(r *Request, now time.Time) (string, string, bool, error) {
		switch {
		case v.By == nil || !permitted && !r.approver(v.By):
			return "", "", false, ErrIneligible
		case r.State != Approved:
			return "", "", false, r.decided()
		case reason == "", len(reason) > maxReason:
			return "", "", false, ErrReason
		}
		r.State, r.DecidedBy, r.DecidedAt, r.Channel, r.Reason = Revoked, v.By.Subject, &now, v.Channel, reason
		return string(Revoked), reason, false, nil
	})
}

// Get returns a request, also one that is over.
func (d *Desk) Get(ctx context.Context, id string) (*Request, error) {
	if store.CheckName(id) != nil {
		return nil, ErrUnknown
	}
	doc, err := d.Store.Get(ctx, KindRequest, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	return requestOf(doc)
}

// List returns the requests that wait or are approved, the oldest first.
func (d *Desk) List() []Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]Request, 0, len(d.known))
	for _, k := range d.known {
		if !k.request.over() {
			list = append(list, k.request.clone())
		}
	}
	slices.SortFunc(list, byAge)
	return list
}

// History returns requests that are over, the latest of them, as far as they are kept.
func (d *Desk) History(ctx context.Context, limit int) ([]Request, error) {
	var list []Request
	for doc, err := range store.All(ctx, d.Store, KindRequest, "") {
		if err != nil {
			return nil, err
		}
		r, err := requestOf(doc)
		if err != nil {
			return nil, err
		}
		if r.over() {
			list = append(list, *r)
		}
	}
	slices.SortFunc(list, byAge)
	return list[max(0, len(list)-limit):], nil
}

// Wait waits until a request is decided, or ctx ends, and returns what it is then.
func (d *Desk) Wait(ctx context.Context, id string) (*Request, error) {
	c := make(chan struct{}, 1)
	d.mu.Lock()
	if d.waiters == nil {
		d.waiters = make(map[string]map[chan struct{}]bool)
	}
	if d.waiters[id] == nil {
		d.waiters[id] = make(map[chan struct{}]bool)
	}
	d.waiters[id][c] = true
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if delete(d.waiters[id], c); len(d.waiters[id]) == 0 {
			delete(d.waiters, id)
		}
	}()
	for {
		r, err := d.Get(ctx, id)
		if err != nil || r.State != Pending {
			return r, err
		}
		select {
		case <-c:
		case <-ctx.Done():
			return r, context.Cause(ctx)
		}
	}
}

// Version changes when Granted may answer otherwise than before, apart from what time brings.
func (d *Desk) Version() uint64 { return d.version.Load() }

// Granted is what somebody was granted of a rule at a target now, and when that has to be asked about again. Of several
// grants it is the one that lasts longest.
func (d *Desk) Granted(id *proxy.Identity, t proxy.Target, rule string) (request string, g Grant, check time.Time, ok bool) {
	stale := cmp.Or(d.Stale, DefaultStale)
	check = time.Unix(0, d.contact.Load()).Add(stale)
	if !time.Now().Before(check) {
		return "", Grant{}, check, false // it may have been revoked
	}
	now, ahead := d.now(), time.Duration(d.ahead.Load())
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.known {
		r := &k.request
		if r.Requester != id.Subject || r.Resource != t.Resource.Name || r.Account != "" && r.Account != t.Account.Name || r.Access.Rule != rule || !r.open(now) {
			continue
		}
		if !ok || r.Access.Grant.Until.After(g.Until) {
			request, g, ok = r.ID, *r.Access.Grant, true
		}
	}
	g.From, g.Until = g.From.Add(-ahead), g.Until.Add(-ahead) // by this machine's clock
	return request, g, check, ok
}

// Watch has changed called when what somebody is granted changes, with what her sessions are told.
func (d *Desk) Watch(subject string, changed func(why string)) (stop func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watches == nil {
		d.watches = make(map[string]map[*func(string)]bool)
	}
	if d.watches[subject] == nil {
		d.watches[subject] = make(map[*func(string)]bool)
	}
	f := &changed
	d.watches[subject][f] = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if delete(d.watches[subject], f); len(d.watches[subject]) == 0 {
			delete(d.watches, subject)
		}
	}
}

// every is how often a desk looks at what time has brought, and touchEvery how often it asks the store for the time.
const (
	every      = time.Second
	touchEvery = 5 * time.Second
)

// rememberOver is how long a request that is over is remembered: longer than any answer of the store takes.
const rememberOver = 10 * time.Minute

// Run ends requests when it is time, until ctx ends.
func (d *Desk) Run(ctx context.Context) {
	t := time.NewTicker(every)
	defer t.Stop()
	failed := false
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if time.Since(time.Unix(0, d.contact.Load())) > touchEvery {
			if err := d.touch(ctx); err != nil && ctx.Err() == nil && !failed {
				failed = true
				d.log().Error("it cannot be asked whether access that was granted still is: sessions by it end soon unless it can be", "err", err)
			} else if err == nil {
				failed = false
			}
		}
		d.look()
		d.settle(ctx)
	}
}

// settle ends what time has ended.
func (d *Desk) settle(ctx context.Context) {
	now := d.now()
	var due []string
	d.mu.Lock()
	for id, k := range d.known {
		switch {
		case k.request.due(now) != "":
			due = append(due, id)
		case k.request.over() && time.Since(k.seen) > rememberOver:
			delete(d.known, id)
		}
	}
	d.mu.Unlock()
	for _, id := range due {
		_, err := d.change(ctx, id, func(r *Request, now time.Time) (string, string, bool, error) {
			state := r.due(now)
			if state == "" {
				return "", "", false, ErrOver // another gateway was faster
			}
			r.State = state
			if state == Expired {
				r.DecidedAt = &now
			}
			return string(state), "", false, nil
		})
		if err != nil && !errors.Is(err, ErrOver) && !errors.Is(err, ErrUnknown) && ctx.Err() == nil {
			d.log().Warn("a request for access could not be ended: it is tried again", "request", id, "err", err)
		}
	}
}

// due is the state that time has brought a request to; empty: none.
func (r *Request) due(now time.Time) State {
	switch {
	case r.State == Pending && !now.Before(r.Deadline):
		return Expired
	case r.State == Approved && !now.Before(r.Access.Grant.Until):
		return Ended
	}
	return ""
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
