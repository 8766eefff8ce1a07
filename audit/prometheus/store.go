package prometheus

import (
	"context"
	"sync"
	"time"
)

// storeWithin is how long the store may take to answer when the numbers are asked for.
const storeWithin = 2 * time.Second

// storeCheck asks the store one question at a time, however many ask for the numbers: those who reach the address
// must not load the store, and a store that hangs must not keep the other numbers back.
type storeCheck struct {
	mu   sync.Mutex
	open *question // that waits for its answer; nil when none does
}

// question is one to the store.
type question struct {
	begun time.Time
	done  chan struct{} // closed when what follows is set
	took  time.Duration
	err   error
}

// ask returns whether the store answers and how long that took, or has taken by now.
func (s *storeCheck) ask(store func(context.Context) error) (up bool, took time.Duration) {
	s.mu.Lock()
	q := s.open
	if q == nil {
		q = &question{begun: time.Now(), done: make(chan struct{})}
		s.open = q
		go s.answer(q, store)
	}
	s.mu.Unlock()
	late := time.NewTimer(time.Until(q.begun.Add(storeWithin)))
	defer late.Stop()
	select {
	case <-q.done:
		return q.err == nil, q.took
	case <-late.C:
		return false, time.Since(q.begun)
	}
}

func (s *storeCheck) answer(q *question, store func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), storeWithin)
	defer cancel()
	q.err = store(ctx)
	q.took = time.Since(q.begun)
	s.mu.Lock()
	s.open = nil
	s.mu.Unlock()
	close(q.done)
}
