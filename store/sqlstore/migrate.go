package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// migration is one step of the schema. Steps are only ever added. A change that
// programs in use cannot live with takes two of them: one that expands, of which
// Since is an earlier version, and, when these programs are gone, one that
// contracts.
type migration struct {
	version int64
	since   int64 // the oldest schema whose programs work with this one
	steps   []string
}

var migrations = []migration{{1, 1, []string{
	`CREATE TABLE {s}meta (one BIGINT PRIMARY KEY CHECK (one = 1), seq BIGINT NOT NULL, trimmed BIGINT NOT NULL)`,
	`INSERT INTO {s}meta (one, seq, trimmed) VALUES (1, 0, 0)`,
	`CREATE TABLE {s}documents (kind {text} NOT NULL, name {text} NOT NULL, version BIGINT NOT NULL, body TEXT NOT NULL,
		expires BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, PRIMARY KEY (kind, name))`,
	`CREATE INDEX documents_expires ON {s}documents (expires) WHERE expires > 0`,
	`CREATE TABLE {s}changes (seq BIGINT PRIMARY KEY, kind {text} NOT NULL, name {text} NOT NULL, deleted BIGINT NOT NULL, at BIGINT NOT NULL)`,
	`CREATE TABLE {s}leases (name {text} PRIMARY KEY, holder {text} NOT NULL, fence BIGINT NOT NULL, until BIGINT NOT NULL)`,
}}}

// querier is a connection or a database.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// schema returns the version of the schema, 0 when there is not one, and an error
// when its programs are newer than this one.
func (s *Store) schema(ctx context.Context, q querier, own int64) (int64, error) {
	var n, version, since int64
	if err := q.QueryRowContext(ctx, s.dialect.expand(s.dialect.exists), "migrations").Scan(&n); err != nil || n == 0 {
		return 0, err
	}
	err := q.QueryRowContext(ctx, s.dialect.expand(`SELECT COALESCE(MAX(version), 0), COALESCE(MAX(since), 0) FROM {s}migrations`)).Scan(&version, &since)
	if err != nil {
		return 0, err
	}
	if since > own {
		return 0, fmt.Errorf("schema: got version %d, which needs a program that knows version %d; want at most %d: update this program", version, since, own)
	}
	return version, nil
}

// migrate brings the schema to the newest version of ms, all or nothing. Of several
// that begin at once, one does it, and the others wait.
func (s *Store) migrate(ctx context.Context, ms []migration) error {
	own := ms[len(ms)-1].version
	check, cancel := s.limit(ctx)
	defer cancel()
	version, err := s.schema(check, s.write, own)
	if err != nil {
		return s.explain("migrate", err)
	}
	if version >= own {
		return nil // without rights to change the schema
	}
	return s.tx(ctx, "migrate", func(ctx context.Context, c *sql.Conn) error {
		run := func(text string, args ...any) error {
			if text == "" {
				return nil
			}
			_, err := c.ExecContext(ctx, s.dialect.expand(text), args...)
			return err
		}
		if err := run(s.dialect.lock); err != nil {
			return err
		}
		version, err := s.schema(ctx, c, own)
		if err != nil {
			return err
		}
		if version == 0 {
			if err := s.empty(ctx, c); err != nil {
				return err
			}
			if err := run(s.dialect.make); err != nil {
				return err
			}
			if err := run(`CREATE TABLE {s}migrations (version BIGINT PRIMARY KEY, since BIGINT NOT NULL, applied BIGINT NOT NULL)`); err != nil {
				return err
			}
		}
		for _, m := range ms {
			if m.version <= version {
				continue
			}
			for _, step := range m.steps {
				if err := run(step); err != nil {
					return fmt.Errorf("to version %d: %w", m.version, err)
				}
			}
			if err := run(`INSERT INTO {s}migrations (version, since, applied) VALUES (?1, ?2, ?3)`, m.version, m.since, time.Now().UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
}

// empty returns an error when tables of something else are where the store's are to
// be made.
func (s *Store) empty(ctx context.Context, q querier) error {
	for _, table := range []string{"meta", "documents", "changes", "leases"} {
		var n int64
		if err := q.QueryRowContext(ctx, s.dialect.expand(s.dialect.exists), table).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("a table %q is there that this store did not make: give it a database or a schema of its own", table)
		}
	}
	return nil
}
