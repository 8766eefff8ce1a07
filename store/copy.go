package store

import (
	"bytes"
	"context"
	"fmt"
)

// Copy writes all documents of a store to another one, such as from SQLite to
// PostgreSQL. Versions and times become those of the other store; leases and the
// feed are not copied. A document that is there already with the same body and
// expiry is passed over, so that a copy which failed can be run again; one that
// differs is an error. No gateway may write meanwhile: Copy fails when the
// source has changed.
func Copy(ctx context.Context, to, from Store) (copied int, err error) {
	head, _, err := from.Head(ctx)
	if err != nil {
		return 0, err
	}
	kinds, err := from.Kinds(ctx)
	if err != nil {
		return 0, err
	}
	var ws []Write
	size := 0
	flush := func() error {
		if len(ws) == 0 {
			return nil
		}
		if _, err := to.Write(ctx, ws...); err != nil {
			return fmt.Errorf("store: copy: after %d documents: %w", copied, err)
		}
		copied += len(ws)
		ws, size = ws[:0], 0
		return nil
	}
	for _, kind := range kinds {
		there := make(map[string]Document)
		for d, err := range All(ctx, to, kind, "") {
			if err != nil {
				return copied, err
			}
			there[d.Name] = d
		}
		for d, err := range All(ctx, from, kind, "") {
			if err != nil {
				return copied, err
			}
			if old, ok := there[d.Name]; ok {
				if !bytes.Equal(old.Body, d.Body) || !old.Expires.Equal(d.Expires) {
					return copied, fmt.Errorf("store: copy: %s %q is another at the target: copy to an empty store: %w", kind, d.Name, ErrConflict)
				}
				continue
			}
			if len(ws) == MaxWrites || size+len(d.Body) > MaxBatch {
				if err := flush(); err != nil {
					return copied, err
				}
			}
			ws, size = append(ws, Create(d)), size+len(d.Body)
		}
	}
	if err := flush(); err != nil {
		return copied, err
	}
	now, _, err := from.Head(ctx)
	if err == nil && now != head {
		err = fmt.Errorf("store: copy: the source has changed meanwhile, from %d to %d: stop its gateways, empty the target and copy again", head, now)
	}
	return copied, err
}
