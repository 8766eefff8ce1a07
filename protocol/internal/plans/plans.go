// Package plans keeps what resources are asked for plans of statements with: for each session a connection
// of the gateway's own, which lasts as long as the session.
package plans

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Why there is no estimate. They are shown to the user.
var (
	ErrNoPlan       = errors.New("the server made no plan for it in time")
	ErrNoConnection = errors.New("the server cannot be asked for a plan")
	ErrPlan         = errors.New("the server's plan is not understood")
)

// Timeout is the time that one estimate may take, logging in included; set is what the user of an
// estimator has chosen, and 0 or less is 3 seconds.
func Timeout(set time.Duration) time.Duration {
	if set <= 0 {
		return 3 * time.Second
	}
	return set
}

// Sessions keeps an X for each session. The zero value keeps none, and is ready. It is safe for concurrent
// use.
type Sessions[X any] struct {
	mu   sync.Mutex
	kept map[string]*kept[X] // by the session's identifier, which all revisions share
}

// kept is a session's X. Who holds turn may use it.
type kept[X any] struct {
	turn chan struct{}
	x    X
}

// Use calls ask with what is kept for s, the zero value at first, which nobody else uses meanwhile. When s ends
// it is given to end, once nobody uses it. The error is ErrNoPlan when ctx ends before ask can be called,
// else that of ask.
func (l *Sessions[X]) Use(ctx context.Context, s *proxy.Session, end func(*X), ask func(*X) error) error {
	k := l.of(s, end)
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return ErrNoPlan
	}
	return ask(&k.x)
}

// Len returns the number of sessions for which something is kept.
func (l *Sessions[X]) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.kept)
}

func (l *Sessions[X]) of(s *proxy.Session, end func(*X)) *kept[X] {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kept[s.ID]
	if k == nil {
		if l.kept == nil {
			l.kept = make(map[string]*kept[X])
		}
		k = &kept[X]{turn: make(chan struct{}, 1)}
		l.kept[s.ID] = k
		context.AfterFunc(s.Context(), func() {
			l.mu.Lock()
			delete(l.kept, s.ID)
			l.mu.Unlock()
			k.turn <- struct{}{} // who is at it is told by the same context
			end(&k.x)
		})
	}
	return k
}
