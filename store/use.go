package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"
)

// All returns every document of a kind whose name begins with prefix, page by
// page: one that is written meanwhile may be missing. It ends after an error.
func All(ctx context.Context, s Store, kind, prefix string) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		for q := (Query{Kind: kind, Prefix: prefix}); ; {
			page, err := s.List(ctx, q)
			if err != nil {
				yield(Document{}, err)
				return
			}
			if len(page) == 0 {
				return
			}
			for _, d := range page {
				if !yield(d, nil) {
					return
				}
			}
			q.After = page[len(page)-1].Name
		}
	}
}

// rest is how long Follow rests after it was woken for nothing, as by a store that
// has been set back and remembers later changes.
const rest = 50 * time.Millisecond

// Follow returns the changes after since as they are made, until ctx ends. An error
// is returned in their place, once for each failed attempt; following goes on
// when the caller does, except after ErrTrimmed. To know a store's whole state at
// all times, ask for Head, read everything, and follow from there: what changed
// while it was read comes again.
func Follow(ctx context.Context, s Store, since int64) iter.Seq2[[]Change, error] {
	return func(yield func([]Change, error) bool) {
		woken := false
		for ctx.Err() == nil {
			changes, err := s.Changes(ctx, since, 0)
			if err == nil && len(changes) == 0 {
				if woken && !pause(ctx, rest) {
					return
				}
				woken = true
				if err = s.Wait(ctx, since); err == nil {
					continue
				}
			}
			woken = false
			switch {
			case ctx.Err() != nil:
				return
			case errors.Is(err, ErrTrimmed):
				yield(nil, err)
				return
			case err != nil:
				if !yield(nil, err) || !pause(ctx, PollEvery) {
					return
				}
			default:
				since = changes[len(changes)-1].Seq
				if !yield(changes, nil) {
					return
				}
			}
		}
	}
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempts is how often Update tries.
const attempts = 10

// Update reads a document, has edit say what to write, and writes that. When a
// document has changed meanwhile, it begins again, up to ten times. The document
// that edit gets has version 0 when it does not exist; when edit returns no
// writes, nothing is done. edit may be called several times.
func Update(ctx context.Context, s Store, kind, name string, edit func(Document) ([]Write, error)) error {
	var err error
	for i := range attempts {
		if i > 0 && !pause(ctx, rand.N(time.Duration(i)*10*time.Millisecond)) {
			return fmt.Errorf("store: update: %s %q: %w", kind, name, ctx.Err())
		}
		var d Document
		d, err = s.Get(ctx, kind, name)
		if errors.Is(err, ErrNotFound) {
			d, err = Document{Kind: kind, Name: name}, nil
		}
		if err != nil {
			return err
		}
		var ws []Write
		if ws, err = edit(d); err != nil || len(ws) == 0 {
			return err
		}
		if _, err = s.Write(ctx, ws...); !errors.Is(err, ErrConflict) {
			return err
		}
		var conflict *ConflictError
		if errors.As(err, &conflict) && conflict.Op == OpFence {
			return err // a lost lease does not come back
		}
	}
	return fmt.Errorf("store: update: %s %q: others were faster %d times: %w", kind, name, attempts, err)
}

// SweepEvery sweeps the store at an interval until ctx ends, and tells failed of
// errors. Several gateways may sweep one store.
func SweepEvery(ctx context.Context, s Store, interval time.Duration, failed func(error)) {
	for pause(ctx, interval) {
		for more := true; more; {
			var err error
			if more, err = s.Sweep(ctx); err != nil {
				if ctx.Err() == nil {
					failed(err)
				}
				break
			}
		}
	}
}
