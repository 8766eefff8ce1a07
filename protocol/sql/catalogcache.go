package sql

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
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
	// Load reads a catalog. Of several sessions that need one, one loads.
	Load func(ctx context.Context, k CatalogKey) (*Snapshot, error)
	// Resolve works out what the columns of views derive from, before anybody sees
	// the snapshot. Nil leaves them opaque.
	Resolve func(*Snapshot)
	// MaxAge is the age at which a snapshot that is in use is read again; 0 is one
	// minute. Until that is done the old one is used.
	MaxAge time.Duration
	// Wait bounds how long a statement waits for a catalog that is being read; 0 is
	// 5 s. It is judged without one then.
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

	mu      sync.Mutex
	loading chan struct{} // closed when the load under way has ended; nil when there is none
	last    time.Time     // when the last load ended
	took    time.Duration // how long it took
	failed  bool
	burst   int // loads without a pause
	digest  [sha256.Size]byte
}

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
	maxBurst   = 8 // changes after which the catalog is read at once
	maxEntries = 1024
)

// Snapshot returns the newest snapshot of r's database. See [Catalog].
func (c *CatalogCache) Snapshot(ctx context.Context, r *proxy.Reading) *Snapshot {
	e := c.entry(r)
	now := time.Now()
	if e.used.Load() != now.Unix() {
		e.used.Store(now.Unix())
	}
	l := e.current.Load()
	if l != nil && l.changes == e.changes.Load() {
		if age := now.Sub(l.at); age > cmp.Or(c.MaxAge, time.Minute) || l.snapshot.Partial && age > minPause {
			c.refresh(e, now)
		}
		return l.snapshot
	}
	// None, or one from before a change: that must not be used.
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Wait, 5*time.Second))
	defer cancel()
	for {
		loading := c.refresh(e, time.Now())
		if loading == nil {
			return nil
		}
		select {
		case <-loading:
		case <-ctx.Done():
			return nil
		}
		if l := e.current.Load(); l != nil && l.changes == e.changes.Load() {
			return l.snapshot
		}
	}
}

// Changed has the database's catalogs read again before they are used.
func (c *CatalogCache) Changed(r *proxy.Reading) {
	c.each(r, func(e *catalogEntry) { e.changes.Add(1) })
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
			c.refresh(e, now)
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
// what is closed when it has ended; nil when the last attempt failed a moment
// ago, or changes follow one another so fast that reading would be all that the
// server does.
func (c *CatalogCache) refresh(e *catalogEntry, now time.Time) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.loading != nil {
		return e.loading
	}
	switch {
	case now.Sub(e.last) >= e.pause():
		e.burst = 0
	case e.failed || e.burst >= maxBurst:
		return nil
	default:
		e.burst++
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
	digest, err := c.read(e, l)
	e.mu.Lock()
	l.at = time.Now()
	e.last, e.failed, e.loading, e.took = l.at, err != nil, nil, l.at.Sub(begun)
	if err == nil {
		e.digest = digest
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
func (c *CatalogCache) read(e *catalogEntry, l *loaded) (digest [sha256.Size]byte, err error) {
	defer func() {
		if recover() != nil {
			err = errLoader
		}
	}()
	s, err := c.Load(c.context(), e.key)
	if err != nil || s == nil {
		return digest, cmp.Or(err, errLoader)
	}
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(&s.Contents); err != nil {
		return digest, err
	}
	h.Sum(digest[:0])
	if old := e.current.Load(); old != nil && digest == e.digest {
		l.snapshot = old.snapshot
		return digest, nil
	}
	if c.Resolve != nil {
		c.Resolve(s)
	}
	s.paths.resolve = c.Resolve
	s.ID, l.snapshot = c.ids.Add(1), s
	return digest, nil
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
		return 2048 + l.snapshot.size*(1+l.snapshot.paths.count())
	}
	return 2048
}

func (c *CatalogCache) log() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	return slog.Default()
}
