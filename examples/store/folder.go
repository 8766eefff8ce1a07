package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport/sallyport/store"
)

// folder is a store.Store in a folder that several processes share: each step is
// a file, numbered, and never changed. Everyone who does the steps in their order
// has the same state. Making the next file fails when another was faster, which is
// all that it takes to agree.
type folder struct {
	dir string

	mu     sync.Mutex
	state  store.State
	steps  int
	latest time.Time
	hints  store.Hints
}

// step is something that was asked of the store. One that the state refuses is
// refused again by everyone who does it.
type step struct {
	At      time.Time
	Writes  []store.Write
	Acquire *acquire
	Release *store.Lease
	Sweep   bool
}

type acquire struct {
	Name, Holder string
	TTL          time.Duration
}

func openFolder(dir string) (*folder, error) { return &folder{dir: dir}, os.MkdirAll(dir, 0o700) }

func (f *folder) file(n int) string { return filepath.Join(f.dir, fmt.Sprintf("%012d.json", n)) }

// do does a step that is kept.
func (f *folder) do(s *step) (seq int64, l store.Lease, err error) {
	f.latest, f.steps = s.At, f.steps+1
	switch {
	case s.Writes != nil:
		seq, err = f.state.Write(s.At, s.Writes...)
	case s.Acquire != nil:
		l, err = f.state.Acquire(s.At, s.Acquire.Name, s.Acquire.Holder, s.Acquire.TTL)
	case s.Release != nil:
		f.state.Release(*s.Release)
	case s.Sweep:
		f.state.Sweep(s.At)
	}
	f.hints.Seen(f.state.Seq)
	return seq, l, err
}

// enter locks the state, does the steps that others have made, and returns the time,
// which does not go back.
func (f *folder) enter() (time.Time, error) {
	f.mu.Lock()
	for {
		b, err := os.ReadFile(f.file(f.steps + 1))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		var s step
		if err == nil {
			err = json.Unmarshal(b, &s)
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("store: step %d: %w", f.steps+1, err)
		}
		f.do(&s)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	if now.Before(f.latest) {
		now = f.latest
	}
	return now, nil
}

// keep makes a step the next one, which it is when it is on the disk, and does it.
func (f *folder) keep(ctx context.Context, s *step) (int64, store.Lease, error) {
	for ctx.Err() == nil {
		seq, l, err := f.attempt(s)
		if !errors.Is(err, fs.ErrExist) {
			return seq, l, err
		}
	}
	return 0, store.Lease{}, ctx.Err()
}

func (f *folder) attempt(s *step) (seq int64, l store.Lease, err error) {
	s.At, err = f.enter()
	defer f.mu.Unlock()
	if err != nil {
		return 0, l, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return 0, l, err
	}
	next, err := os.CreateTemp(f.dir, "next-")
	if err != nil {
		return 0, l, err
	}
	defer os.Remove(next.Name())
	_, err = next.Write(text)
	if err = errors.Join(err, next.Sync(), next.Close()); err != nil {
		return 0, l, err
	}
	if err = os.Link(next.Name(), f.file(f.steps+1)); err != nil {
		return 0, l, err
	}
	d, err := os.Open(f.dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return 0, l, fmt.Errorf("%w: %w", err, store.ErrUncertain)
	}
	return f.do(s)
}
