package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/store"
)

// explain adds to a database's error which operation failed, where, and what to do
// about it. Errors of package store mean the caller and not the database.
func (s *Store) explain(op string, err error) error { return s.dialect.explain(op, err) }

func (d *dialect) explain(op string, err error) error {
	for _, own := range []error{store.ErrConflict, store.ErrHeld, store.ErrInvalid} {
		if errors.Is(err, own) {
			return err
		}
	}
	advice := d.advice(err)
	if advice == "" && errors.Is(err, context.DeadlineExceeded) {
		advice = "the database is slow, or others write for long: look at its load"
	}
	if advice == "" {
		return fmt.Errorf("store: %s: %s: %w", op, d.name, err)
	}
	return fmt.Errorf("store: %s: %s: %w: %s", op, d.name, err, advice)
}
