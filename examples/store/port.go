package main

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/store"
)

var _ store.Store = (*folder)(nil)

// look returns what show finds in the newest state.
func look[T any](f *folder, show func(now time.Time) (T, error)) (found T, err error) {
	now, err := f.enter()
	defer f.mu.Unlock()
	if err != nil {
		return found, err
	}
	return show(now)
}

func (f *folder) Get(_ context.Context, kind, name string) (store.Document, error) {
	return look(f, func(now time.Time) (store.Document, error) { return f.state.Get(now, kind, name) })
}

func (f *folder) List(_ context.Context, q store.Query) ([]store.Document, error) {
	return look(f, func(now time.Time) ([]store.Document, error) { return f.state.List(now, q) })
}

func (f *folder) Kinds(context.Context) ([]string, error) {
	return look(f, func(now time.Time) ([]string, error) { return f.state.Kinds(now), nil })
}

func (f *folder) Changes(_ context.Context, since int64, limit int) ([]store.Change, error) {
	return look(f, func(time.Time) ([]store.Change, error) { return f.state.Changes(since, limit) })
}

func (f *folder) Head(context.Context) (seq int64, now time.Time, err error) {
	now, err = look(f, func(now time.Time) (time.Time, error) { seq = f.state.Seq; return now, nil })
	return seq, now, err
}

func (f *folder) Wait(ctx context.Context, since int64) error { return f.hints.Wait(ctx, since) }

func (f *folder) Write(ctx context.Context, ws ...store.Write) (int64, error) {
	if _, err := store.CheckWrites(ws); err != nil {
		return 0, err
	}
	seq, _, err := f.keep(ctx, &step{Writes: ws})
	return seq, err
}

func (f *folder) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (store.Lease, error) {
	if err := store.CheckLease(name, holder, ttl); err != nil {
		return store.Lease{}, err
	}
	_, l, err := f.keep(ctx, &step{Acquire: &acquire{name, holder, ttl}})
	return l, err
}

func (f *folder) Release(ctx context.Context, l store.Lease) error {
	_, _, err := f.keep(ctx, &step{Release: &l})
	return err
}

func (f *folder) Sweep(ctx context.Context) (bool, error) {
	_, _, err := f.keep(ctx, &step{Sweep: true})
	return false, err
}
