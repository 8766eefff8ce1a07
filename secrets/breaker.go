package secrets

import (
	"fmt"
	"sync"
	"time"
)

// A breaker opens after this many failures in a row, for this long.
const (
	breakAfter = 5
	breakFor   = 5 * time.Second
)

var errOpen = fmt.Errorf("%w: it failed %d times in a row, and is asked again within %s", ErrUnavailable, breakAfter, breakFor)

// breaker keeps questions from a service that does not answer. While it is open one question
// at a time, every breakFor, finds out whether it does again.
type breaker struct {
	mu     sync.Mutex
	failed int
	until  time.Time
}

// enter returns an error when the service is not to be asked now.
func (b *breaker) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed < breakAfter {
		return nil
	}
	now := time.Now()
	if now.Before(b.until) {
		return errOpen
	}
	b.until = now.Add(breakFor) // for all but this one
	return nil
}

// leave says how a question ended.
func (b *breaker) leave(failed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !failed {
		b.failed = 0
		return
	}
	if b.failed < breakAfter {
		b.failed++
	}
	b.until = time.Now().Add(breakFor)
}
