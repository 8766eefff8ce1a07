package sql

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// CatalogKey names what a snapshot is of.
type CatalogKey struct {
	Resource string
	Database string
	Account  string // the account's name at the gateway: what names mean can hang on the role
}

// CatalogCache keeps snapshots of catalogs, which Load reads: at the first
// statement, after a change, on a doubt, and when one is old. Its fields must
// not change once it is in use, and it must not be copied. It is safe for
// concurrent use.
type CatalogCache struct {
	// Load reads a catalog. Of several sessions that need one, one loads. It is given
	// the snapshot that there is, nil at first, and may read only what has changed since.
	Load func(ctx context.Context, k CatalogKey, before *Snapshot) (*Snapshot, error)
	// Resolve works out what the columns of views derive from, before anybody sees
	// the snapshot. Nil leaves them opaque.
	Resolve func(*Snapshot)
	// MaxAge is the age at which a snapshot that is in use is read again; 0 is one
	// minute. Until that is done the old one is used.
	MaxAge time.Duration
	// Wait bounds how long a statement waits for a catalog that is being read; 0 is
	// 5 s. Then nothing is known of what it names.
	Wait time.Duration
	// MaxBytes bounds the memory of all snapshots, about; 0 is 256 MiB. Those that
	// were not used for the longest time go.
	MaxBytes int
	// Log is told of catalogs that cannot be read; nil is slog.Default.
	Log *slog.Logger

	ids    atomic.Uint64
	lifeMu sync.Mutex
	closed bool
	loads  sync.WaitGroup
	once   sync.Once
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.RWMutex
	entries map[CatalogKey]*catalogEntry
}

// catalogEntry is the catalog of one key.
type catalogEntry struct {
	key     CatalogKey
	current atomic.Pointer[loaded]
	used    atomic.Int64  // when it was asked for last, in Unix seconds
	changes atomic.Uint64 // counts Changed: a snapshot begun before the last is too old
	// since are the changes that current does not hold, of which kept are the latest.
	since atomic.Pointer[changed]

	mu      sync.Mutex
	loading chan struct{} // closed when the load under way has ended; nil when there is none
	last    time.Time     // when the last load ended
	took    time.Duration // how long it took
	failed  bool
}

// changed are the latest changes of a database.
type changed struct {
	count uint64 // of all that there were
	list  []proxy.NameChange
}

// after returns the changes that came after the first n.
func (c *changed) after(n uint64) []proxy.NameChange {
	switch {
	case c == nil || n >= c.count:
		return nil
	case n < c.count-uint64(len(c.list)):
		return anyObject // and others that are not kept
	}
	return c.list[uint64(len(c.list))-(c.count-n):]
}

var anyObject = []proxy.NameChange{{Kind: proxy.NameObject}}

// loaded is a snapshot, and how new it is.
type loaded struct {
	snapshot *Snapshot
	at       time.Time
	changes  uint64 // of the entry, when the load began
}

const (
	// minPause is the shortest time between two loads that a doubt or a failure
	// causes; loads that take long are farther apart, so that no server is kept
	// busy with them.
	minPause   = time.Second
	pauseRatio = 20
	maxEntries = 1024
	maxSince   = 128 // changes that are told apart
)

// Snapshot returns the newest snapshot of r's database. See [Catalog].
func (c *CatalogCache) Snapshot(ctx context.Context, r *proxy.Reading) *Snapshot {
	e := c.entry(r)
	now := time.Now()
	if e.used.Load() != now.Unix() {
		e.used.Store(now.Unix())
	}
	want := e.changes.Load()
	l := e.current.Load()
	if l != nil && l.changes >= want {
		c.renew(e, l, now)
		return l.snapshot
	}
	// None, or one from before a change: that must not be used.
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Wait, 5*time.Second))
	defer cancel()
	for {
		loading := c.refresh(e, time.Now(), true)
		if loading == nil {
			return nil
		}
		select {
		case <-loading:
		case <-ctx.Done():
			return nil
		}
		// One that was begun since is new enough, whatever has changed while it was read.
		if l := e.current.Load(); l != nil && l.changes >= want {
			return l.snapshot
		}
	}
}

// Latest returns the newest snapshot that there is, and what has changed since. See
// [Catalog].
func (c *CatalogCache) Latest(ctx context.Context, r *proxy.Reading) (*Snapshot, []proxy.NameChange) {
	e := c.entry(r)
	l := e.current.Load()
	if l == nil {
		s := c.Snapshot(ctx, r)
		return s, nil
	}
	now := time.Now()
	if e.used.Load() != now.Unix() {
		e.used.Store(now.Unix())
	}
	c.renew(e, l, now)
	return l.snapshot, e.since.Load().after(l.changes)
}

// renew has a snapshot that is in use read again when it is old, or something has
// changed since.
func (c *CatalogCache) renew(e *catalogEntry, l *loaded, now time.Time) {
	age := now.Sub(l.at)
	if age > cmp.Or(c.MaxAge, time.Minute) || age > minPause && (l.snapshot.Partial || l.changes < e.changes.Load()) {
		c.refresh(e, now, false)
	}
}

// Changed has the database's catalogs read again before what has changed is used. See
// [Catalog].
func (c *CatalogCache) Changed(r *proxy.Reading, changes []proxy.NameChange) {
	if len(changes) == 0 {
		changes = anyObject
	}
	c.each(r, func(e *catalogEntry) {
		e.mu.Lock()
		defer e.mu.Unlock()
		next := changed{count: uint64(len(changes))}
		if old := e.since.Load(); old != nil {
			next.count += old.count
			next.list = old.list[max(0, len(old.list)+len(changes)-maxSince):]
		}
		next.list = append(slices.Clip(next.list), changes...)
		if over := len(next.list) - maxSince; over > 0 {
			next.list = next.list[over:]
		}
		e.since.Store(&next)
		e.changes.Store(next.count)
	})
}

// Doubt has the database's catalogs read again, at most as often as that keeps
// a server from being busy with it. Until then the older ones are used.
func (c *CatalogCache) Doubt(r *proxy.Reading) {
	now := time.Now()
	c.each(r, func(e *catalogEntry) {
		e.mu.Lock()
		due := now.Sub(e.last) >= e.pause()
		e.mu.Unlock()
		if due {
			c.refresh(e, now, false)
		}
	})
}

// each calls f for the catalogs of r's database, of all its accounts.
func (c *CatalogCache) each(r *proxy.Reading, f func(*catalogEntry)) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for k, e := range c.entries {
		if k.Resource == r.Resource && k.Database == r.Database {
			f(e)
		}
	}
}

func (c *CatalogCache) entry(r *proxy.Reading) *catalogEntry {
	k := CatalogKey{Resource: r.Resource, Database: r.Database, Account: r.Account}
	c.mu.RLock()
	e := c.entries[k]
	c.mu.RUnlock()
	if e != nil {
		return e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[k]; e != nil {
		return e
	}
	if c.entries == nil {
		c.entries = make(map[CatalogKey]*catalogEntry)
	}
	e = &catalogEntry{key: k}
	e.used.Store(time.Now().Unix())
	c.entries[k] = e
	c.evict(e)
	return e
}

// pause is how long after a load the next may begin that nothing certain asks
// for.
func (e *catalogEntry) pause() time.Duration { return max(minPause, pauseRatio*e.took) }

// refresh begins to load e's catalog, unless that is being done, and returns
// what is closed when it has ended. It is nil when the last attempt failed a moment
// ago; and unless the catalog is needed, when it was read a moment ago.
func (c *CatalogCache) refresh(e *catalogEntry, now time.Time, needed bool) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.loading != nil {
		return e.loading
	}
	since := now.Sub(e.last)
	if e.failed && since < minPause || !needed && since < e.pause() {
		return nil
	}
	if !c.begin() {
		return nil
	}
	loading := make(chan struct{})
	e.loading = loading
	go c.load(e, loading)
	return loading
}

// begin counts a load, unless the cache is closed.
func (c *CatalogCache) begin() bool {
	c.lifeMu.Lock()
	defer c.lifeMu.Unlock()
	if !c.closed {
		c.loads.Add(1)
	}
	return !c.closed
}

var errLoader = errors.New("the loader failed")

// load reads e's catalog. It runs in a goroutine of its own, since a session
// that ends must not end what others wait for; the loader bounds its time.
func (c *CatalogCache) load(e *catalogEntry, done chan struct{}) {
	defer c.loads.Done()
	begun := time.Now()
	l := &loaded{changes: e.changes.Load()}
	err := c.read(e, l)
	e.mu.Lock()
	l.at = time.Now()
	e.last, e.failed, e.loading, e.took = l.at, err != nil, nil, l.at.Sub(begun)
	if err == nil {
		e.current.Store(l)
	}
	e.mu.Unlock()
	if err != nil {
		c.log().Warn("catalog cannot be read", "resource", e.key.Resource, "database", e.key.Database, "err", err)
	} else {
		c.mu.Lock()
		c.evict(e)
		c.mu.Unlock()
	}
	close(done)
}

// read reads a snapshot into l, or takes the one that e has when that says the
// same, so that what was worked out with it holds on.
func (c *CatalogCache) read(e *catalogEntry, l *loaded) (err error) {
	defer func() {
		if recover() != nil {
			err = errLoader
		}
	}()
	var before *Snapshot
	if old := e.current.Load(); old != nil {
		before = old.snapshot
	}
	s, err := c.Load(c.context(), e.key, before)
	if err != nil || s == nil {
		return cmp.Or(err, errLoader)
	}
	if before != nil && s.same(before) {
		before.Mark, l.snapshot = s.Mark, before
		return nil
	}
	if c.Resolve != nil {
		c.Resolve(s)
	}
	s.paths.resolve = c.Resolve
	s.ID, l.snapshot = c.ids.Add(1), s
	return nil
}

// context ends with Close.
func (c *CatalogCache) context() context.Context {
	c.once.Do(func() { c.ctx, c.cancel = context.WithCancel(context.Background()) })
	return c.ctx
}

// Close ends what is being read and waits for it. Snapshots are not read again
// after it.
func (c *CatalogCache) Close() error {
	c.lifeMu.Lock()
	c.closed = true
	c.lifeMu.Unlock()
	c.context()
	c.cancel()
	c.loads.Wait()
	return nil
}

// evict drops the catalogs that were not used for the longest time, other than
// kept, until the rest keep within the bounds. c is locked.
func (c *CatalogCache) evict(kept *catalogEntry) {
	limit := cmp.Or(c.MaxBytes, 256<<20)
	total := 0
	for _, e := range c.entries {
		total += e.size()
	}
	if total <= limit && len(c.entries) <= maxEntries {
		return
	}
	oldest := make([]*catalogEntry, 0, len(c.entries))
	for _, e := range c.entries {
		if e != kept {
			oldest = append(oldest, e)
		}
	}
	slices.SortFunc(oldest, func(a, b *catalogEntry) int { return cmp.Compare(a.used.Load(), b.used.Load()) })
	for _, e := range oldest {
		if total <= limit && len(c.entries) <= maxEntries {
			return
		}
		total -= e.size()
		delete(c.entries, e.key)
	}
}

func (e *catalogEntry) size() int {
	if l := e.current.Load(); l != nil {
		return 2048 + l.snapshot.size + l.snapshot.varies*l.snapshot.paths.count()
	}
	return 2048
}

func (c *CatalogCache) log() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	return slog.Default()
}
