// Package sqlstore keeps a store.Store in SQLite or PostgreSQL.
//
// Both hold the same tables, made by the same migrations, and are used by the same
// statements. Writers take their turn at one row, which counts the changes: so the
// feed has no gaps, and its order is that of the commits. A gateway keeps what it
// needs for decisions in memory, so that this order costs no session anything.
//
// In PostgreSQL no prepared statement and no setting outlives its transaction: a pooler
// of transactions, such as PgBouncer, may be between it and the gateway.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport/sallyport/store"
)

// Options of a store. The zero value is good.
type Options struct {
	// Timeout bounds every call; 0 is 10 seconds.
	Timeout time.Duration
	// KeepFeed and MaxFeed take the place of those of package store.
	KeepFeed time.Duration
	MaxFeed  int64
	// Log is told when hints of changes fail, which makes other gateways see them
	// after store.PollEvery; nil is slog.Default.
	Log *slog.Logger

	// Schema is where PostgreSQL keeps the tables; "" is sallyport.
	Schema string
	// Password returns PostgreSQL's password for a new connection; nil takes the
	// URL's.
	Password func(context.Context) (string, error)
	// Connections is how many connections to PostgreSQL there are at most; 0 is 8.
	Connections int
	// Poll does without LISTEN and NOTIFY, which a pooler of transactions does not
	// pass on.
	Poll bool

	maxPages int // of SQLite, for tests of a full disk
}

// Store is a store.Store in a database.
type Store struct {
	read, write *sql.DB
	file        string // SQLite's
	dialect     dialect
	sql         statements
	get         func(ctx context.Context, args ...any) *sql.Row // by kind and name
	o           Options
	hints       store.Hints

	stop       context.CancelFunc
	background sync.WaitGroup
	changed    chan struct{} // tells the sender of hints; nil when nobody sends them
}

var _ store.Store = (*Store)(nil)

// filled returns the options with what the zero values mean.
func (o Options) filled() Options {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.KeepFeed == 0 {
		o.KeepFeed = store.KeepFeed
	}
	if o.MaxFeed == 0 {
		o.MaxFeed = store.MaxFeed
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Schema == "" {
		o.Schema = "sallyport"
	}
	if o.Connections == 0 {
		o.Connections = 8
	}
	return o
}

func newStore(db *sql.DB, d dialect, o Options) *Store {
	s := &Store{read: db, write: db, dialect: d, sql: d.statements(), o: o, stop: func() {}}
	s.get = func(ctx context.Context, args ...any) *sql.Row {
		return s.read.QueryRowContext(ctx, s.sql.get, args...)
	}
	return s
}

// Close ends the store's connections. Calls after it fail.
func (s *Store) Close() error {
	s.stop()
	s.background.Wait()
	err := s.write.Close()
	if s.read != s.write {
		err = errors.Join(s.read.Close(), err)
	}
	if err != nil {
		return s.explain("close", err)
	}
	return nil
}

func (s *Store) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.o.Timeout)
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, kind, name string) (store.Document, error) {
	if err := store.CheckKey(kind, name); err != nil {
		return store.Document{}, err
	}
	ctx, cancel := s.limit(ctx)
	defer cancel()
	d := store.Document{Kind: kind}
	switch err := scan(s.get(ctx, kind, name), &d); {
	case errors.Is(err, sql.ErrNoRows):
		return store.Document{}, store.NotFound(kind, name)
	case err != nil:
		return store.Document{}, s.explain("get", err)
	}
	return d, nil
}

// scan reads a document's row.
func scan(row interface{ Scan(...any) error }, d *store.Document) error {
	var expires, created, updated int64
	if err := row.Scan(&d.Name, &d.Version, &d.Body, &expires, &created, &updated); err != nil {
		return err
	}
	d.Expires, d.Created, d.Updated = fromMicros(expires), fromMicros(created), fromMicros(updated)
	return nil
}

// fromMicros is a time as it is kept: microseconds, 0 is the zero time.
func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// afterAll is after every name with a prefix, when it is put after the prefix: no
// name holds this rune, and none has a larger one.
const afterAll = "\U0010FFFF"

// List implements store.Store.
func (s *Store) List(ctx context.Context, q store.Query) ([]store.Document, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	ctx, cancel := s.limit(ctx)
	defer cancel()
	rows, err := s.read.QueryContext(ctx, s.sql.list, q.Kind, q.Prefix, q.Prefix+afterAll, q.After, int64(q.Limit))
	if err != nil {
		return nil, s.explain("list", err)
	}
	defer rows.Close()
	var found []store.Document
	for size := 0; rows.Next(); {
		d := store.Document{Kind: q.Kind}
		if err := scan(rows, &d); err != nil {
			return nil, s.explain("list", err)
		}
		if size += len(d.Body); len(found) > 0 && size > store.MaxBatch {
			return found, nil
		}
		found = append(found, d)
	}
	if err := rows.Err(); err != nil {
		return nil, s.explain("list", err)
	}
	return found, nil
}

// Kinds implements store.Store.
func (s *Store) Kinds(ctx context.Context) ([]string, error) {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	rows, err := s.read.QueryContext(ctx, s.sql.kinds)
	if err != nil {
		return nil, s.explain("kinds", err)
	}
	defer rows.Close()
	var kinds []string
	for rows.Next() {
		var kind string
		if err := rows.Scan(&kind); err != nil {
			return nil, s.explain("kinds", err)
		}
		kinds = append(kinds, kind)
	}
	if err := rows.Err(); err != nil {
		return nil, s.explain("kinds", err)
	}
	return kinds, nil
}

// Changes implements store.Store. One statement reads both ends of the feed and what
// is between them, so that nothing is trimmed meanwhile.
func (s *Store) Changes(ctx context.Context, since int64, limit int) ([]store.Change, error) {
	if err := store.CheckLimit(&limit); err != nil {
		return nil, err
	}
	ctx, cancel := s.limit(ctx)
	defer cancel()
	rows, err := s.read.QueryContext(ctx, s.sql.changes, since, int64(limit))
	if err != nil {
		return nil, s.explain("changes", err)
	}
	defer rows.Close()
	var head, trimmed int64
	var found []store.Change
	for rows.Next() {
		var seq, deleted sql.NullInt64
		var kind, name sql.NullString
		if err := rows.Scan(&head, &trimmed, &seq, &kind, &name, &deleted); err != nil {
			return nil, s.explain("changes", err)
		}
		if seq.Valid {
			found = append(found, store.Change{Seq: seq.Int64, Kind: kind.String, Name: name.String, Deleted: deleted.Int64 != 0})
		}
	}
	if err := rows.Err(); err != nil {
		return nil, s.explain("changes", err)
	}
	if err := store.CheckSince(since, trimmed, head); err != nil {
		return nil, err
	}
	return found, nil
}

// Wait implements store.Store.
func (s *Store) Wait(ctx context.Context, since int64) error { return s.hints.Wait(ctx, since) }

// Head implements store.Store.
func (s *Store) Head(ctx context.Context) (seq int64, now time.Time, err error) {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	var at int64
	if err := s.read.QueryRowContext(ctx, s.sql.head).Scan(&seq, &at); err != nil {
		return 0, time.Time{}, s.explain("head", err)
	}
	return seq, fromMicros(at), nil
}

// seen tells this process's readers, and those of other gateways, of a change.
func (s *Store) seen(seq int64) {
	s.hints.Seen(seq)
	if s.changed == nil {
		return
	}
	select {
	case s.changed <- struct{}{}:
	default: // one is on its way
	}
}

// one explains that a row which every store has is missing.
func (s *Store) one(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("the table meta is empty: restore a backup: %w", err)
	}
	return err
}
