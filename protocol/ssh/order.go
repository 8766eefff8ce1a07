package ssh

import (
	"context"
	"sync"
)

// order keeps what a client types after the requests that it sent before: a
// window is resized, or a signal sent, before what was typed next arrives. The
// library hands requests and data to different readers, but in the order of the
// connection, so that a request is in its channel by the time in which later
// data can be read. The zero value is ready.
type order struct {
	// marks is answered by who takes requests off the library's channel, once none
	// is left there, with how many there were.
	once  sync.Once
	marks chan chan<- uint64

	mu    sync.Mutex
	acted uint64 // requests that were acted on
	moved chan struct{}
}

func (o *order) init() {
	o.once.Do(func() { o.marks, o.moved = make(chan chan<- uint64), make(chan struct{}) })
}

// next returns where marks arrive, for the taker of requests.
func (o *order) next() <-chan chan<- uint64 {
	o.init()
	return o.marks
}

// act notes that one more request has been acted on.
func (o *order) act() {
	o.init()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acted++
	close(o.moved)
	o.moved = make(chan struct{})
}

// await waits until every request that has arrived has been acted on, or ctx
// ends.
func (o *order) await(ctx context.Context) {
	o.init()
	answer := make(chan uint64, 1)
	select {
	case o.marks <- answer:
	case <-ctx.Done():
		return
	}
	for taken := <-answer; ; {
		o.mu.Lock()
		acted, moved := o.acted, o.moved
		o.mu.Unlock()
		if acted >= taken {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}
