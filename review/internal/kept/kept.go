// Package kept keeps in a store what a channel has to remember: which message is about which request, and what was taken already.
package kept

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport/store"
)

// within is how long it is tried to keep something, also when the attempt as a whole has ended: a message whose place is not known is
// written again.
const within = 5 * time.Second

// Put keeps a text under a name for a time, in place of what is there.
func Put(ctx context.Context, s store.Store, kind, name string, body []byte, life time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	_, now, err := s.Head(ctx)
	if err != nil {
		return err
	}
	return store.Update(ctx, s, kind, name, func(d store.Document) ([]store.Write, error) {
		d.Body, d.Expires = body, now.Add(life)
		if d.Version == 0 {
			return []store.Write{store.Create(d)}, nil
		}
		return []store.Write{store.Replace(d)}, nil
	})
}

// empty is the text of what is there or not.
var empty = []byte("{}")

// Once notes a name for a time, and reports whether nobody has noted it yet, at any gateway on the store.
func Once(ctx context.Context, s store.Store, kind, name string, life time.Duration) (bool, error) {
	_, now, err := s.Head(ctx)
	if err == nil {
		_, err = s.Write(ctx, store.Create(store.Document{Kind: kind, Name: name, Body: empty, Expires: now.Add(life)}))
	}
	if errors.Is(err, store.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// Note notes a name for a time, whether it is noted or not.
func Note(ctx context.Context, s store.Store, kind, name string, life time.Duration) error {
	return Put(ctx, s, kind, name, empty, life)
}

// Forget takes a name back.
func Forget(ctx context.Context, s store.Store, kind, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	return store.Update(ctx, s, kind, name, func(d store.Document) ([]store.Write, error) {
		if d.Version == 0 {
			return nil, nil
		}
		return []store.Write{store.Delete(d)}, nil
	})
}
