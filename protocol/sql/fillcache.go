package sql

import (
	"sync"

	"github.com/sallyport/sallyport/proxy"
)

// FillCache remembers what statements fill, by their normalised text. The zero value is
// ready.
type FillCache struct {
	mu      sync.RWMutex
	entries map[string]*proxy.Fills
	bytes   int
}

// maxFillBytes bounds the cache, roughly. When it is full it begins anew.
const maxFillBytes = 8 << 20

// Get returns what is remembered for a key; nil is nothing.
func (c *FillCache) Get(key []byte) *proxy.Fills {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[string(key)]
}

// Put remembers f.
func (c *FillCache) Put(key []byte, f *proxy.Fills) {
	const column, source = 128, 24
	n := 2*len(key) + column
	for _, list := range [][]proxy.Fill{f.Columns, f.Compared} {
		for i := range list {
			n += column + source*len(list[i].Values)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil || c.bytes+n > maxFillBytes {
		c.entries, c.bytes = make(map[string]*proxy.Fills), 0
	}
	if _, ok := c.entries[string(key)]; !ok {
		c.entries[string(key)] = f
		c.bytes += n
	}
}
