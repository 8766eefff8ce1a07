package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// FollowConfig says how something is kept level with the log. The zero value is
// good.
type FollowConfig struct {
	// Every is how often it is brought level at most, so that sessions that end
	// together are handed over together; 0 is 1 s.
	Every time.Duration
	// Drain is how long closing the log waits for it; 0 is 5 s. The rest comes when
	// the log is opened next.
	Drain time.Duration
}

// Follower keeps something outside of the gateway level with the log's sealed
// part: copies, or a witness. The log is its queue, as it is a [Feed]'s: what
// does not answer holds up nobody, and misses nothing. Closing the log ends it.
type Follower struct {
	log    *Log
	name   string
	config FollowConfig
	// step does a part of what there is to do, and reports whether there is more. It is
	// called again after an error.
	step func(ctx context.Context) (more bool, err error)

	ctx     context.Context // ends when what is left is left for the next time
	cancel  context.CancelFunc
	wake    chan struct{}
	closing chan struct{}
	done    chan struct{}
	holds   atomic.Bool // sessions may have been held or released since it was looked

	mu    sync.Mutex
	stats FollowStats
}

// FollowStats say how a follower is doing.
type FollowStats struct {
	Name     string
	Sessions int64     // sealed ones up to which it is level
	Behind   int64     // sealed ones since
	Failures uint64    // attempts that did not succeed
	LeftOut  uint64    // sessions that are not as they were sealed, and are not copied
	Conflict bool      // what is there is something else than the log
	Since    time.Time // since when it has lacked something; zero when it lacks nothing
}

// ConflictError says that a copy or a witness holds something else than the
// log. One of the two was set back or replaced, or belongs to another log.
type ConflictError struct{ Err error }

// Error is the cause's.
func (e *ConflictError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ConflictError) Unwrap() error { return e.Err }

func conflict(format string, args ...any) error {
	return &ConflictError{fmt.Errorf(format, args...)}
}

func (l *Log) newFollower(name string, c FollowConfig) (*Follower, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if c.Every == 0 {
		c.Every = time.Second
	}
	if c.Drain == 0 {
		c.Drain = 5 * time.Second
	}
	f := &Follower{
		log: l, name: name, config: c, wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
		stats: FollowStats{Name: name},
	}
	f.holds.Store(true)
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f, nil
}

// follow begins to follow.
func (l *Log) follow(f *Follower) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, other := range l.followers {
		if other.name == f.name {
			return fmt.Errorf("two copies or witnesses are named %s", f.name)
		}
	}
	l.followers = append(l.followers, f)
	go f.run()
	f.nudge()
	return nil
}

func (l *Log) eachFollower(do func(*Follower)) {
	l.mu.Lock()
	followers := l.followers
	l.mu.Unlock()
	for _, f := range followers {
		do(f)
	}
}

func (f *Follower) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *Follower) holdsChanged() {
	f.holds.Store(true)
	f.nudge()
}

// close has the follower do what is left and end; done is closed then.
func (f *Follower) close() {
	close(f.closing)
	time.AfterFunc(f.config.Drain, f.cancel)
	f.nudge()
}

// Stats returns how the follower is doing.
func (f *Follower) Stats() FollowStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Behind = max(0, f.log.Head().N-s.Sessions)
	return s
}

func (f *Follower) count(change func(*FollowStats)) {
	f.mu.Lock()
	change(&f.stats)
	f.mu.Unlock()
}

func (f *Follower) run() {
	defer close(f.done)
	p := &patience{log: f.log, name: f.name, lag: lagAfter}
	for range f.wake {
		closing := f.isClosing() // before: what was sealed by then is handed over
		f.level(p)
		if closing {
			return
		}
		select {
		case <-time.After(f.config.Every):
		case <-f.closing:
		}
	}
}

func (f *Follower) isClosing() bool {
	select {
	case <-f.closing:
		return true
	default:
		return false
	}
}

// level does what there is to do, however long that takes. It returns early when
// the follower is to end.
func (f *Follower) level(p *patience) {
	f.count(func(s *FollowStats) {
		if s.Since.IsZero() {
			s.Since = time.Now()
		}
	})
	for {
		p.begin()
		more, err := f.step(f.ctx)
		if f.ctx.Err() != nil {
			return
		}
		if err == nil {
			p.succeeded()
			f.count(func(s *FollowStats) { s.Conflict = false })
			if !more {
				break
			}
			continue
		}
		f.failed(err)
		if p.failed(f.ctx, err) != nil {
			return
		}
	}
	f.count(func(s *FollowStats) { s.Since = time.Time{} })
}

// failed counts an attempt that failed. A conflict is reported at once: it is not a
// matter of waiting. It is on record before it is counted, so that who learns of it
// finds it there, however soon the log is closed.
func (f *Follower) failed(err error) {
	var c *ConflictError
	isConflict := errors.As(err, &c)
	if isConflict && !f.Stats().Conflict {
		f.log.logger.Error("audit: a copy or witness holds other data than the log", "name", f.name, "err", err)
		f.log.report(ExportConflict, f.name, err)
	}
	f.count(func(s *FollowStats) {
		s.Failures++
		s.Conflict = isConflict
	})
}
