package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport/store"
)

// findings keep what masking found in columns in the store. They are a
// [masking.Keeper].
type findings struct{ store store.Store }

const (
	kindFinding = "finding"
	findingLife = 365 * 24 * time.Hour // since it has changed
)

// Kept implements masking.Keeper.
func (f findings) Kept(ctx context.Context, key string) ([]byte, error) {
	d, err := f.store.Get(ctx, kindFinding, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return d.Body, err
}

// Keep implements masking.Keeper.
func (f findings) Keep(ctx context.Context, key string, b []byte) error {
	return store.Update(ctx, f.store, kindFinding, key, func(d store.Document) ([]store.Write, error) {
		d.Kind, d.Name, d.Body, d.Expires = kindFinding, key, b, time.Now().Add(findingLife)
		if d.Version == 0 {
			return []store.Write{store.Create(d)}, nil
		}
		return []store.Write{store.Replace(d)}, nil
	})
}
