package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sallyport/sallyport/store"
)

// Acquire implements store.Store. A lease is a row and not a lock of a connection:
// it outlives connections, poolers and restarts.
func (s *Store) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (store.Lease, error) {
	if err := store.CheckLease(name, holder, ttl); err != nil {
		return store.Lease{}, err
	}
	l := store.Lease{Name: name, Holder: holder}
	err := s.tx(ctx, "acquire a lease", func(ctx context.Context, c *sql.Conn) error {
		var until int64
		err := c.QueryRowContext(ctx, s.sql.acquire, name, holder, ttl.Microseconds()).Scan(&l.Fence, &until)
		l.Until = fromMicros(until)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		held := &store.HeldError{Lease: store.Lease{Name: name}}
		err = c.QueryRowContext(ctx, s.sql.holder, name).Scan(&held.Holder, &held.Fence, &until)
		held.Until = fromMicros(until)
		return errors.Join(err, held)
	})
	if err != nil {
		return store.Lease{}, err
	}
	return l, nil
}

// Release implements store.Store.
func (s *Store) Release(ctx context.Context, l store.Lease) error {
	if l.Holder == "" {
		return nil
	}
	return s.tx(ctx, "release a lease", func(ctx context.Context, c *sql.Conn) error {
		_, err := c.ExecContext(ctx, s.sql.release, l.Name, l.Holder, l.Fence)
		return err
	})
}
