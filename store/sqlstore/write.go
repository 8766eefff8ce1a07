package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/store"
)

// tx does work in a transaction that is durable when tx returns nil.
func (s *Store) tx(ctx context.Context, op string, work func(context.Context, *sql.Conn) error) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	c, err := s.write.Conn(ctx)
	if err != nil {
		return s.explain(op, err)
	}
	defer c.Close()
	if _, err := c.ExecContext(ctx, s.dialect.begin); err != nil {
		s.rollback(ctx, c)
		return s.explain(op, err)
	}
	if err := work(ctx, c); err != nil {
		s.rollback(ctx, c)
		return s.explain(op, err)
	}
	if err := ctx.Err(); err != nil {
		s.rollback(ctx, c)
		return s.explain(op, err)
	}
	// From here on the caller's context does not count: leaving now would leave
	// the answer unknown.
	last, done := context.WithTimeout(context.WithoutCancel(ctx), s.o.Timeout)
	defer done()
	if _, err := c.ExecContext(last, "COMMIT"); err != nil {
		s.rollback(ctx, c)
		if err = s.explain(op, err); !s.dialect.definite(err) {
			err = fmt.Errorf("%w: %w", err, store.ErrUncertain)
		}
		return err
	}
	return nil
}

// rollback gives a transaction up; a connection on which that fails is closed,
// which the database answers by giving it up.
func (s *Store) rollback(ctx context.Context, c *sql.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := c.ExecContext(ctx, "ROLLBACK"); err != nil {
		_ = c.Raw(func(any) error { return driver.ErrBadConn }) // it returns this error
	}
}

// Write implements store.Store.
func (s *Store) Write(ctx context.Context, ws ...store.Write) (int64, error) {
	changes, err := store.CheckWrites(ws)
	if err != nil {
		return 0, err
	}
	var head int64
	err = s.tx(ctx, "write", func(ctx context.Context, c *sql.Conn) error {
		var now int64
		head, now, err = s.count(ctx, c, changes)
		if err != nil {
			return err
		}
		next := head - int64(changes)
		var made []store.Change
		for i := range ws {
			w := &ws[i]
			if w.Changes() {
				next++
				made = append(made, store.Change{Seq: next, Kind: w.Kind, Name: w.Name, Deleted: w.Op == store.OpDelete})
			}
			if err := s.apply(ctx, c, w, next, now); err != nil {
				return err
			}
		}
		return s.publish(ctx, c, made, now)
	})
	if err != nil {
		return 0, err
	}
	if changes > 0 {
		s.seen(head)
	}
	return head, nil
}

// count takes n numbers of the feed and returns the last of them, and the time.
// Until the transaction ends, all others who write wait for it.
func (s *Store) count(ctx context.Context, c *sql.Conn, n int) (head, now int64, err error) {
	err = s.one(c.QueryRowContext(ctx, s.sql.count, int64(n)).Scan(&head, &now))
	return head, now, err
}

// apply does one write, or returns a *store.ConflictError.
func (s *Store) apply(ctx context.Context, c *sql.Conn, w *store.Write, version, now int64) error {
	var result sql.Result
	var err error
	switch w.Op {
	case store.OpCreate:
		result, err = c.ExecContext(ctx, s.sql.create, w.Kind, w.Name, version, string(w.Body), micros(w.Expires), now)
	case store.OpReplace:
		result, err = c.ExecContext(ctx, s.sql.replace, w.Kind, w.Name, version, string(w.Body), micros(w.Expires), now, w.Version)
	case store.OpDelete:
		result, err = c.ExecContext(ctx, s.sql.remove, w.Kind, w.Name, w.Version, now)
	default:
		return s.compare(ctx, c, w, now)
	}
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err != nil || n == 1 {
		return err
	}
	return s.compare(ctx, c, w, now)
}

// compare returns a *store.ConflictError unless a document, or a fence, has the
// version that a write wants.
func (s *Store) compare(ctx context.Context, c *sql.Conn, w *store.Write, now int64) error {
	var got int64
	var row *sql.Row
	if w.Op == store.OpFence {
		row = c.QueryRowContext(ctx, s.sql.fence, w.Name)
	} else {
		row = c.QueryRowContext(ctx, s.sql.version, w.Kind, w.Name, now)
	}
	if err := row.Scan(&got); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	want := w.Version
	if w.Op == store.OpCreate {
		want = 0
	}
	if got != want || w.Changes() {
		return &store.ConflictError{Op: w.Op, Kind: w.Kind, Name: w.Name, Want: want, Got: got}
	}
	return nil
}

// publish puts changes into the feed.
func (s *Store) publish(ctx context.Context, c *sql.Conn, made []store.Change, now int64) error {
	if len(made) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString(s.sql.feed)
	var args []any
	for i, m := range made {
		if i > 0 {
			b.WriteByte(',')
		}
		deleted := int64(0)
		if m.Deleted {
			deleted = 1
		}
		for k, arg := range []any{m.Seq, m.Kind, m.Name, deleted, now} {
			b.WriteByte("(,,,,"[k])
			b.WriteString(s.dialect.numbered)
			args = append(args, arg)
			b.WriteString(strconv.Itoa(len(args)))
		}
		b.WriteByte(')')
	}
	_, err := c.ExecContext(ctx, b.String(), args...)
	return err
}

// Of one call of Sweep, so that others who write do not wait long.
const (
	sweepDocuments = 200
	sweepChanges   = 10_000
)

// Sweep implements store.Store.
func (s *Store) Sweep(ctx context.Context) (more bool, err error) {
	head, cut, expired, err := s.due(ctx)
	if err != nil || cut == 0 && !expired {
		return false, err
	}
	var made []store.Change
	err = s.tx(ctx, "sweep", func(ctx context.Context, c *sql.Conn) error {
		var now int64
		if head, now, err = s.count(ctx, c, 0); err != nil {
			return err
		}
		if made, err = s.expire(ctx, c, head, now); err != nil {
			return err
		}
		if len(made) > 0 {
			if head, _, err = s.count(ctx, c, len(made)); err != nil {
				return err
			}
		}
		if err := s.publish(ctx, c, made, now); err != nil || cut == 0 {
			return err
		}
		if _, err := c.ExecContext(ctx, s.sql.trim, cut); err != nil {
			return err
		}
		_, err := c.ExecContext(ctx, s.sql.trimmed, cut)
		return err
	})
	if err != nil {
		return false, err
	}
	if len(made) > 0 {
		s.seen(head)
	}
	_, cut, expired, err = s.due(ctx)
	return cut > 0 || expired, err
}

// due returns up to which change the feed is to be trimmed by the next call of
// Sweep, 0 for not at all, and whether there are expired documents.
func (s *Store) due(ctx context.Context) (head, cut int64, expired bool, err error) {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	var trimmed, n, old int64
	if err := s.one(s.read.QueryRowContext(ctx, s.sql.due, s.o.KeepFeed.Microseconds()).Scan(&head, &trimmed, &n, &old)); err != nil {
		return 0, 0, false, s.explain("sweep", err)
	}
	if cut = min(max(old, head-s.o.MaxFeed), trimmed+sweepChanges); cut <= trimmed {
		cut = 0
	}
	return head, cut, n > 0, nil
}

// expire deletes documents that have expired and returns the changes that this
// makes, from after head on.
func (s *Store) expire(ctx context.Context, c *sql.Conn, head, now int64) ([]store.Change, error) {
	rows, err := c.QueryContext(ctx, s.sql.expired, now, int64(sweepDocuments))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var gone []store.Change
	for rows.Next() {
		head++
		ch := store.Change{Seq: head, Deleted: true}
		if err := rows.Scan(&ch.Kind, &ch.Name); err != nil {
			return nil, err
		}
		gone = append(gone, ch)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for _, ch := range gone {
		if _, err := c.ExecContext(ctx, s.sql.sweep, ch.Kind, ch.Name, now); err != nil {
			return nil, err
		}
	}
	return gone, nil
}
