package review

import (
	"cmp"
	"context"
	"encoding/json"
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

// Get returns a request, also one that is over.
func (d *Desk) Get(ctx context.Context, id string) (*Request, error) {
	_, r, err := d.read(ctx, id)
	return r, err
}

// read returns a request as the store has it, with its document.
func (d *Desk) read(ctx context.Context, id string) (doc store.Document, r *Request, err error) {
	if store.CheckName(id) != nil {
		return doc, nil, ErrUnknown
	}
	doc, err = d.Store.Get(ctx, KindRequest, id)
	if errors.Is(err, store.ErrNotFound) {
		return doc, nil, ErrUnknown
	}
	if err != nil {
		return doc, nil, err
	}
	r, err = requestOf(doc)
	return doc, r, err
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
