package teststore

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/store"
)

// Clocked is a store whose clock is set.
type Clocked struct {
	store.Store
	ahead atomic.Int64
}

// Set sets how far the store's clock is ahead of the machine's.
func (c *Clocked) Set(ahead time.Duration) { c.ahead.Store(int64(ahead)) }

// Pass lets time pass.
func (c *Clocked) Pass(d time.Duration) { c.ahead.Add(int64(d)) }

// Head implements [store.Store].
func (c *Clocked) Head(ctx context.Context) (int64, time.Time, error) {
	head, now, err := c.Store.Head(ctx)
	return head, now.Add(time.Duration(c.ahead.Load())), err
}
