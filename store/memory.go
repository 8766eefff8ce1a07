package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Memory is a store that lives as long as the process: for tests and trials.
type Memory struct {
	mu     sync.Mutex
	state  State
	latest time.Time
	hints  Hints
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{} }

// NotFound is the error for a document that does not exist.
func NotFound(kind, name string) error {
	return fmt.Errorf("store: get: %s %q: %w", kind, name, ErrNotFound)
}

// CheckSince returns ErrTrimmed unless the changes after since are all in a feed
// that has forgotten those up to trimmed, and whose latest is head.
func CheckSince(since, trimmed, head int64) error {
	if since < trimmed || since > head {
		return fmt.Errorf("store: changes after %d: got %d to %d: %w", since, trimmed+1, head, ErrTrimmed)
	}
	return nil
}

// enter locks the state and returns the time, which never goes back.
func (m *Memory) enter() time.Time {
	m.mu.Lock()
	if now := time.Now().UTC().Truncate(time.Microsecond); now.After(m.latest) {
		m.latest = now
	}
	return m.latest
}

// Get implements Store.
func (m *Memory) Get(_ context.Context, kind, name string) (Document, error) {
	now := m.enter()
	defer m.mu.Unlock()
	return m.state.Get(now, kind, name)
}

// List implements Store.
func (m *Memory) List(_ context.Context, q Query) ([]Document, error) {
	now := m.enter()
	defer m.mu.Unlock()
	return m.state.List(now, q)
}

// Kinds implements Store.
func (m *Memory) Kinds(context.Context) ([]string, error) {
	now := m.enter()
	defer m.mu.Unlock()
	return m.state.Kinds(now), nil
}

// Write implements Store.
func (m *Memory) Write(ctx context.Context, ws ...Write) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("store: write: %w", err)
	}
	now := m.enter()
	defer m.mu.Unlock()
	seq, err := m.state.Write(now, ws...)
	if err == nil {
		m.hints.Seen(seq)
	}
	return seq, err
}

// Changes implements Store.
func (m *Memory) Changes(_ context.Context, since int64, limit int) ([]Change, error) {
	m.enter()
	defer m.mu.Unlock()
	return m.state.Changes(since, limit)
}

// Wait implements Store.
func (m *Memory) Wait(ctx context.Context, since int64) error { return m.hints.Wait(ctx, since) }

// Head implements Store.
func (m *Memory) Head(context.Context) (int64, time.Time, error) {
	now := m.enter()
	defer m.mu.Unlock()
	return m.state.Seq, now, nil
}

// Acquire implements Store.
func (m *Memory) Acquire(_ context.Context, name, holder string, ttl time.Duration) (Lease, error) {
	now := m.enter()
	defer m.mu.Unlock()
	return m.state.Acquire(now, name, holder, ttl)
}

// Release implements Store.
func (m *Memory) Release(_ context.Context, l Lease) error {
	m.enter()
	defer m.mu.Unlock()
	m.state.Release(l)
	return nil
}

// Sweep implements Store.
func (m *Memory) Sweep(context.Context) (bool, error) {
	now := m.enter()
	defer m.mu.Unlock()
	m.state.Sweep(now)
	m.hints.Seen(m.state.Seq)
	return false, nil
}

// Hints implements Store.Wait for a store that knows of its own process's changes.
// The zero value is ready.
type Hints struct {
	mu     sync.Mutex
	latest int64
	more   chan struct{}
}

// Seen wakes those who wait for a change up to seq.
func (h *Hints) Seen(seq int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if seq <= h.latest {
		return
	}
	h.latest = seq
	if h.more != nil {
		close(h.more)
		h.more = nil
	}
}

// Wait returns when a change after since was seen, or after PollEvery.
func (h *Hints) Wait(ctx context.Context, since int64) error {
	h.mu.Lock()
	if h.latest > since {
		h.mu.Unlock()
		return nil
	}
	if h.more == nil {
		h.more = make(chan struct{})
	}
	more := h.more
	h.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, PollEvery, errPoll)
	defer cancel()
	select {
	case <-more:
		return nil
	case <-ctx.Done():
		if context.Cause(ctx) == errPoll {
			return nil
		}
		return fmt.Errorf("store: wait: %w", ctx.Err())
	}
}

var errPoll = errors.New("time to look again")
