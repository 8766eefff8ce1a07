package sql

import (
	"hash/maphash"
	"sync"

	"github.com/sallyport/sallyport/proxy"
)

// Cache keeps what statements do, by key, within a bound of memory. The zero
// value is ready. It is safe for concurrent use; a hit allocates nothing.
type Cache struct {
	// Bytes bounds the memory of all entries, roughly; 0 is 32 MiB.
	Bytes int

	once   sync.Once
	seed   maphash.Seed
	shards [16]shard
}

type shard struct {
	mu      sync.RWMutex
	entries map[string]*entry
	bytes   int
}

// entry is made once; a caller that comes while it is made waits.
type entry struct {
	done  chan struct{}
	facts *proxy.Facts // nil: the maker panicked
	bytes int
}

// overhead is what an entry takes besides its key and its texts, about.
const overhead = 768

// Get returns the facts kept under key, or calls create and keeps what it
// returns. Of several callers of one key, one calls create. key is not kept.
func (c *Cache) Get(key []byte, create func() *proxy.Facts) *proxy.Facts {
	c.once.Do(func() { c.seed = maphash.MakeSeed() })
	s := &c.shards[maphash.Bytes(c.seed, key)%uint64(len(c.shards))]
	s.mu.RLock()
	e := s.entries[string(key)]
	s.mu.RUnlock()
	if e == nil {
		var mine bool
		if e, mine = s.claim(string(key)); mine {
			s.create(string(key), e, c.share(), create)
		}
	}
	<-e.done
	if e.facts == nil {
		return proxy.UnknownFacts("the analysis failed")
	}
	return e.facts
}

func (c *Cache) share() int {
	total := c.Bytes
	if total == 0 {
		total = 32 << 20
	}
	return total / len(c.shards)
}

// claim returns the key's entry, and whether the caller is to make it.
func (s *shard) claim(key string) (*entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[key]; e != nil {
		return e, false
	}
	if s.entries == nil {
		s.entries = make(map[string]*entry)
	}
	e := &entry{done: make(chan struct{})}
	s.entries[key] = e
	return e, true
}

// size is about what facts take.
func size(f *proxy.Facts) int {
	const item = 64
	n := overhead + len(f.Normalised) + item*(len(f.Relations)+len(f.Functions)+len(f.Settings)+len(f.Uses)+2*len(f.Writes)+len(f.Columns))
	for i := range f.Columns {
		n += item * len(f.Columns[i].Origins)
	}
	for i := range f.Writes {
		n += item * len(f.Writes[i].Column.Origins)
	}
	for _, p := range f.Parts {
		n += size(p)
	}
	if f.Block != nil {
		n += size(f.Block)
	}
	if f.Prepares != nil {
		n += size(f.Prepares.Facts)
	}
	return n
}

func (s *shard) create(key string, e *entry, limit int, create func() *proxy.Facts) {
	defer close(e.done) // also when create panics: the others must not wait for ever
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if e.facts == nil {
			delete(s.entries, key)
			return
		}
		e.bytes = 2*len(key) + size(e.facts)
		s.bytes += e.bytes
		// Any entries go: the order of a map's keys is random, so that nobody can
		// choose which.
		for k, old := range s.entries {
			if s.bytes <= limit {
				break
			}
			if old.bytes > 0 {
				delete(s.entries, k)
				s.bytes -= old.bytes
			}
		}
	}()
	e.facts = create()
}
