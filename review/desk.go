package review

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// KindRequest is the kind of the documents of requests. The names are their identifiers.
const KindRequest = "request"

// Limits of requests. Those of one person are for access and for operations each, and count what her agents ask for.
const (
	MaxPending      = 1000 // that wait at once
	MaxPerRequester = 10   // of those, of one person
	MaxAsked        = 30   // that one person makes within AskedWithin, whatever becomes of them
	AskedWithin     = 10 * time.Minute
	MaxAccessReason = 1000                // bytes
	KeepRequests    = 30 * 24 * time.Hour // for which one is kept that is over
	MaxAhead        = 30 * 24 * time.Hour // that access may begin in the future
)

// DefaultStale is how long what was granted counts while the store cannot be asked whether it still is.
const DefaultStale = time.Minute

// Desk takes requests for access to resources and about operations that are held, has them approved, and knows what is granted. It keeps
// them in a store, which several gateways may share: each transition is one write, which fails when another was faster, and is recorded
// before. What is granted is known without asking the store. It is the [proxy.Reviewer] of a gateway. Its fields are set before [Desk.Load], which comes first. It is safe for concurrent use.
type Desk struct {
	Store store.Store
	// Note records a transition. On an error a request is not made, and an approval not given; everything that takes away
	// happens all the same.
	Note func(ctx context.Context, n *proxy.Note) error
	// Who returns who somebody is now, by subject, to see whether those who have approved still may. An error that wraps
	// proxy.ErrUnavailable says that nobody knows; any other that she is nobody any more. Nil: who has approved still may.
	Who func(ctx context.Context, subject string) (*proxy.Identity, error)
	// Gone returns why a requester is gone or disabled; empty: she is not. It is asked before something is granted to her, and about
	// requests of which Doubt was told. An error says that nobody knows. Nil: nobody is gone.
	Gone func(ctx context.Context, r *Request) (why string, err error)
	// OnCall returns who is on call at a list, for approvers "oncall:NAME". An error says that it is not known. Nil: nobody is.
	OnCall func(ctx context.Context, list string) (Roster, error)
	// CountsRows reports whether rows are counted at a resource, so that an approver may bound how many there are by what she grants:
	// whatever lets sessions in by Granted then has to hold Grant.Rows. Nil: at none.
	CountsRows func(resource string) bool
	// Sealer seals what is held: the texts and arguments of operations. Nil: they are kept as they are.
	Sealer Sealer
	// Signer signs requests, so that nothing is approved by who writes into the store. The audit log of a gateway that shares the store
	// with no other is one. Nil: they are believed as the store has them.
	Signer Signer
	// Revision names the rules by which sessions are judged now, for what is signed. May be nil.
	Revision func() string
	// Link returns where a request is shown to people, for those who wait; empty: nowhere. May be nil.
	Link func(id string) string
	// Told returns what is written with a transition, for those who tell people of it. May be nil.
	Told func(n *Notice) ([]store.Write, error)
	// Seen returns the change in the store's feed up to which Follow was called. Nil: nobody else changes what is in the store.
	Seen func() int64
	// Stale is how long what was granted counts while it is not known what others have changed; 0 is DefaultStale.
	Stale time.Duration
	Log   *slog.Logger // nil is slog.Default
	// Gateway names the gateway that the desk is of, among those on the store; see Admit.
	Gateway string
	// Unkept is told of what has become of a request that was admitted, and with kept that the store has it. Nil: nobody is.
	Unkept func(r *Request, kept bool) error

	version atomic.Uint64
	clock   atomic.Pointer[reading]
	fresh   atomic.Pointer[time.Time] // when everything was known last that others had changed

	mu      sync.Mutex
	behind  []*reading                        // of the clock, when the feed was not followed up to its change; the oldest first
	unread  map[string]bool                   // requests that others have changed, and that could not be read
	doubts  map[string]string                 // why requests are over, by identifier; empty: it is asked
	making  map[string]chan struct{}          // by person, while she makes one; closed then
	known   map[string]*known                 // requests that wait, or are approved, by identifier
	watches map[string]map[*watch]bool        // by subject
	waiters map[string]map[chan struct{}]bool // by identifier
	// attended are held operations on whose decision somebody waits here.
	attended map[string]bool
}

// known is a request as this gateway has seen it last.
type known struct {
	request Request
	version int64
	open    bool // what it grants was so when it was looked at last
	void    bool // it is being ended, and counts no longer
	seen    time.Time
	// ends is when what it grants is over at the latest, by this machine's clock: the store's may be set back. Zero: it grants nothing.
	ends time.Time
}

// counts reports whether what was granted is so at a time: by the store's clock, and here.
func (k *known) counts(now, here time.Time) bool {
	return k.request.open(now) && !k.void && here.Before(k.ends)
}

// follows takes over what holds of a request whatever the store has of it: when it is over at the latest.
func (k *known) follows(was *known, now, here time.Time) {
	k.void = was != nil && was.void
	r := &k.request
	if r.Access == nil || r.Access.Grant == nil {
		return
	}
	until := r.Access.Grant.Until
	k.ends = here.Add(until.Sub(now))
	if was == nil {
		return
	}
	if g := was.request.Access; g != nil && g.Grant != nil && g.Grant.Until.Equal(until) && was.ends.Before(k.ends) {
		k.ends = was.ends
	}
}

// reading is one of the store's clock, and of its feed.
type reading struct {
	asked time.Time // of this machine, whose wall clock may be set meanwhile
	store time.Time // at asked
	head  int64     // the latest change
}

func (d *Desk) log() *slog.Logger { return cmp.Or(d.Log, slog.Default()) }

// now is the time by the store's clock.
// Now is the time by the store's clock, as all gateways on the store have it.
func (d *Desk) Now() time.Time { return d.now() }

func (d *Desk) now() time.Time {
	c := d.clock.Load()
	if c == nil {
		return time.Now().UTC()
	}
	return c.store.Add(time.Since(c.asked)).UTC()
}

// stale is when what is known does not count any more.
func (d *Desk) stale() time.Time {
	at := d.fresh.Load()
	if at == nil {
		return time.Time{}
	}
	return at.Add(cmp.Or(d.Stale, DefaultStale))
}

// touch asks the store for the time, and how far its feed has come.
func (d *Desk) touch(ctx context.Context) (*reading, error) {
	began := time.Now()
	head, now, err := d.Store.Head(ctx)
	if err != nil {
		return nil, err
	}
	r := &reading{began, now.Add(-time.Since(began) / 2), head}
	d.clock.Store(r)
	d.mu.Lock()
	// Only the oldest and the latest are of use: the feed comes to the former first.
	if d.behind = append(d.behind, r); len(d.behind) > 2 {
		d.behind = append(d.behind[:1], r)
	}
	d.mu.Unlock()
	d.freshen()
	return r, nil
}

// freshen notes up to when it is known what others have changed.
func (d *Desk) freshen() {
	var seen int64 = 1<<63 - 1
	if d.Seen != nil {
		seen = d.Seen()
	}
	was := d.stale()
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.unread) == 0 && len(d.behind) > 0 && d.behind[0].head <= seen {
		d.fresh.Store(&d.behind[0].asked)
		d.behind = d.behind[1:]
	}
	if now := time.Now(); !now.Before(was) && now.Before(d.stale()) {
		d.version.Add(1) // what was granted counts again
	}
}

// Load reads all requests that are not over.
func (d *Desk) Load(ctx context.Context) error {
	began, err := d.touch(ctx)
	if err != nil {
		return err
	}
	there := make(map[string]bool)
	for doc, err := range store.All(ctx, d.Store, KindRequest, "") {
		if err != nil {
			return err
		}
		there[doc.Name] = true
		if err := d.take(ctx, doc); err != nil {
			return err
		}
	}
	var gone []string
	d.mu.Lock()
	for id, k := range d.known {
		if !there[id] && k.version <= began.head && !k.unkept() {
			gone = append(gone, id)
		}
	}
	d.mu.Unlock()
	for _, id := range gone {
		if err := d.Follow(ctx, id); err != nil {
			return err
		}
	}
	d.mu.Lock()
	for id := range d.known {
		d.doubt(id, "") // what has happened while nobody looked
	}
	d.unread, d.behind = nil, []*reading{{began.asked, began.store, 0}} // whatever the feed was followed to
	d.mu.Unlock()
	d.freshen()
	return nil
}

// take takes in a document. One that is damaged grants nothing, and keeps nobody from anything else. The error says that it is not
// known whether it is.
func (d *Desk) take(ctx context.Context, doc store.Document) error {
	r, err := d.requestOf(ctx, doc)
	switch {
	case errors.Is(err, proxy.ErrUnavailable):
		return err
	case err != nil:
		d.log().Error("what the store has of a request grants nothing", "request", doc.Name, "err", err)
		d.gone(doc.Name, doc.Version)
	default:
		d.see(r, doc.Version)
	}
	return nil
}

// gone ends a request that the store does not have any more, or only damaged.
func (d *Desk) gone(id string, version int64) {
	d.mu.Lock()
	k := d.known[id]
	d.mu.Unlock()
	if k != nil {
		gone := k.request.clone()
		gone.State = Ended
		d.see(&gone, version)
	}
}

// Follow reads a request again that another gateway may have changed. Until that is done, what is known gets older.
func (d *Desk) Follow(ctx context.Context, id string) error {
	doc, err := d.Store.Get(ctx, KindRequest, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		d.gone(id, 1<<62)
		err = nil
	case err == nil:
		err = d.take(ctx, doc)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		delete(d.unread, id)
		return nil
	}
	if d.unread == nil {
		d.unread = make(map[string]bool)
	}
	d.unread[id] = true
	return err
}

// see takes in what a request is now, and tells those who wait for it or go by it.
func (d *Desk) see(r *Request, version int64) {
	now := d.now()
	d.mu.Lock()
	if d.known == nil {
		d.known = make(map[string]*known)
	}
	was := d.known[r.ID]
	back := was != nil && was.request.over() && !r.over()
	if back || was != nil && was.version >= version {
		d.mu.Unlock()
		if back && version > was.version {
			d.log().Error("a request that is over is in the store as it was before: it stays over", "request", r.ID)
		}
		return
	}
	here := time.Now()
	// What is over is remembered for a while, so that what it was before does not count again.
	k := &known{request: r.remembered(), version: version, seen: here}
	k.follows(was, now, here)
	open := k.counts(now, here)
	k.open = open
	d.known[r.ID] = k
	for c := range d.waiters[r.ID] {
		select {
		case c <- struct{}{}:
		default: // it looks soon
		}
	}
	changed := open || was != nil && was.open
	var calls []*watch
	ids := []string{r.ID}
	if r.over() && r.State != Ended {
		ids = append(ids, d.extended(r.ID)...) // which end with it
	}
	if changed || len(ids) > 1 {
		d.version.Add(1)
		for f := range d.watches[r.Requester] {
			calls = append(calls, f)
		}
	}
	d.mu.Unlock()
	why := ""
	if !open {
		why = r.ending()
	}
	for _, f := range calls {
		for _, id := range ids {
			f.changed(id, why)
		}
	}
}

// Get returns a request, also one that is over.
func (d *Desk) Get(ctx context.Context, id string) (*Request, error) {
	if r := d.notKept(id); r != nil {
		return r, nil
	}
	_, r, err := d.read(ctx, id)
	return r, err
}

// read returns a request as the store has it, with its document.
func (d *Desk) read(ctx context.Context, id string) (doc store.Document, r *Request, err error) {
	if store.CheckName(id) != nil {
		return doc, nil, ErrUnknown
	}
	for range 2 { // it may have ended here after the store was asked
		doc, err = d.Store.Get(ctx, KindRequest, id)
		if errors.Is(err, store.ErrNotFound) {
			return doc, nil, ErrUnknown
		}
		if err != nil {
			return doc, nil, err
		}
		if r, err = d.requestOf(ctx, doc); err != nil {
			return doc, nil, err
		}
		d.mu.Lock()
		k := d.known[id]
		back := k != nil && k.request.over() && !r.over()
		d.mu.Unlock()
		if !back {
			return doc, r, nil
		}
	}
	return doc, nil, fmt.Errorf("reading request %q: it is over, and the store has it as it was before", id)
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

// Waiting returns how many requests wait for a decision, and since when the first of them does; zero where none waits.
func (d *Desk) Waiting() (n int, oldest time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.known {
		if k.request.State != Pending {
			continue
		}
		if n++; n == 1 || k.request.Created.Before(oldest) {
			oldest = k.request.Created
		}
	}
	return n, oldest
}

// History returns the latest of those requests that are over and that which wants, as far as they are kept.
func (d *Desk) History(ctx context.Context, limit int, which func(*Request) bool) ([]Request, error) {
	var list []Request
	for doc, err := range store.All(ctx, d.Store, KindRequest, "") {
		if err != nil {
			return nil, err
		}
		r, err := d.requestOf(ctx, doc)
		if err == nil && r.over() && which(r) {
			list = append(list, *r)
		}
	}
	slices.SortFunc(list, byAge)
	return list[max(0, len(list)-limit):], nil
}

// Each calls f with the requests that wait or are approved, as they are now, and with the version of each, which another one takes the
// place of with every change. f may ask the desk.
func (d *Desk) Each(f func(r *Request, version int64)) {
	d.mu.Lock()
	all := make([]known, 0, len(d.known))
	for _, k := range d.known {
		if !k.request.over() {
			all = append(all, known{request: k.request.clone(), version: k.version})
		}
	}
	d.mu.Unlock()
	for i := range all {
		f(&all[i].request, all[i].version)
	}
}
