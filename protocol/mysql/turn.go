package mysql

import (
	"sync"
	"sync/atomic"
)

// turn is whose turn it is: the server's while it owes an answer, else the client's.
type turn struct {
	owed atomic.Pointer[answer]

	mu     sync.Mutex
	moved  sync.Cond
	infile *infile // that the client is to send, while the server owes its answer
	closed bool
}

func (t *turn) init() { t.moved.L = &t.mu }

// owe notes that the server owes a.
func (t *turn) owe(a *answer) { t.owed.Store(a) }

// settle notes that the answer is complete.
func (t *turn) settle() {
	t.owed.Store(nil)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.infile = nil
	t.moved.Broadcast()
}

// want notes that the server wants a file of the client's.
func (t *turn) want(f *infile) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.infile = f
	t.moved.Broadcast()
}

// close wakes up who waits; the session is over.
func (t *turn) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.moved.L != nil {
		t.moved.Broadcast()
	}
}

// wait waits until nothing is owed, or the client is to send a file, which it returns.
// over is true when the session is.
func (t *turn) wait() (f *infile, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.owed.Load() != nil && t.infile == nil && !t.closed {
		t.moved.Wait()
	}
	return t.infile, t.closed
}
