package runbook

import (
	"context"
	"errors"
	"sync"
	"time"
)

var errLimit = errors.New("the step has taken longer than its limit")

// limit ends a step that takes too long. The time in which it waits for people does not count.
type limit struct {
	mu    sync.Mutex
	timer *time.Timer
	since time.Time     // when the timer was started
	left  time.Duration // then
	waits int           // for how many approvals it waits
}

type limitKey struct{}

// limited returns a context that ends when a step has worked for d.
func limited(ctx context.Context, d time.Duration) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &limit{since: time.Now(), left: d, timer: time.AfterFunc(d, func() { cancel(errLimit) })}
	return context.WithValue(ctx, limitKey{}, l), func() {
		l.timer.Stop()
		cancel(nil)
	}
}

// OnHold says that the step that ctx is of waits for people, until over is called: the time until then does not count for
// its limit. A [Gate] calls it.
func OnHold(ctx context.Context) (over func()) {
	l, ok := ctx.Value(limitKey{}).(*limit)
	if !ok {
		return func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waits++; l.waits == 1 {
		l.timer.Stop() // where it has ended the step already, that stays so
		l.left -= time.Since(l.since)
	}
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.waits--; l.waits == 0 && ctx.Err() == nil {
			l.since = time.Now()
			l.timer.Reset(max(l.left, 0))
		}
	})
}
