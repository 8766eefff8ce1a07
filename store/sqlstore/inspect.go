package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
)

// Inspection is what is known of a store without using it.
type Inspection struct {
	// Schema is the version of its schema, 0 when there is none yet. Own is the newest that this program knows: it
	// brings an earlier one up to date when it opens the store.
	Schema, Own int64
	// Latency is what the quickest of some questions took.
	Latency time.Duration
	// Skew is how much later it is by this machine's clock than by the database's.
	Skew time.Duration
}

// inspections is how often the store is asked.
const inspections = 5

// InspectSQLite looks at the store in a file and writes neither to it nor to its log of writes, whether a gateway has it open,
// has closed it or was killed. An error says why OpenSQLite would fail.
func InspectSQLite(ctx context.Context, file string, o Options) (*Inspection, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("store: inspect: %w", err)
	}
	if err := isPrivate(file); err != nil {
		return nil, err
	}
	unused := !hasLog(file)
	i, err := inspectSQLite(ctx, file, unused, o)
	if unused && hasLog(file) { // a gateway has started meanwhile: what was read may be of two moments
		return inspectSQLite(ctx, file, false, o)
	}
	return i, err
}

func inspectSQLite(ctx context.Context, file string, unused bool, o Options) (*Inspection, error) {
	d := sqliteDialect(file)
	db, err := unwritten(file, unused)
	if err != nil {
		return nil, d.explain("inspect", err)
	}
	return newStore(db, d, o.filled()).inspect(ctx)
}

// hasLog reports whether a store has a log of writes: a process has it open, or was killed.
func hasLog(file string) bool {
	_, err := os.Lstat(file + "-wal")
	return !errors.Is(err, fs.ErrNotExist)
}

// unwritten opens a store so that nothing is written. A connection that may write takes the log of writes into the
// file when it ends as the last one. For a file that is unused SQLite makes no log, nor an index of it.
func unwritten(file string, unused bool) (*sql.DB, error) {
	q := url.Values{"mode": {"ro"}}
	if unused {
		q.Set("immutable", "1")
	}
	return connect(file, 1, q, []string{"query_only(1)"})
}

// VerifySQLite holds that the store in a file is whole: all of its pages, tables and indexes. Nothing may write to it meanwhile.
func VerifySQLite(ctx context.Context, file string) (err error) {
	d := sqliteDialect(file)
	defer func() {
		if err != nil {
			err = d.explain("verify", err)
		}
	}()
	db, err := unwritten(file, !hasLog(file))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var found string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&found); err != nil {
		return err
	}
	if found != "ok" {
		return fmt.Errorf("it is damaged: %s: restore a backup", found)
	}
	return nil
}

// InspectPostgres looks at the store in a PostgreSQL database and leaves it as it is.
func InspectPostgres(ctx context.Context, address string, o Options) (*Inspection, error) {
	o = o.filled()
	c, err := postgresConfig(address)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*c, stdlib.OptionBeforeConnect(o.password))
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	return newStore(db, postgresDialect(c, o), o).inspect(ctx)
}

// inspect looks at the store and closes it.
func (s *Store) inspect(ctx context.Context) (_ *Inspection, err error) {
	defer func() { err = errors.Join(err, s.Close()) }()
	ctx, cancel := s.limit(ctx)
	defer cancel()
	i := &Inspection{Own: migrations[len(migrations)-1].version}
	if i.Schema, err = s.schema(ctx, s.read, i.Own); err != nil {
		return nil, s.explain("inspect", err)
	}
	for n := range inspections {
		var micros int64
		begun := time.Now()
		if err := s.read.QueryRowContext(ctx, `SELECT `+s.dialect.clock).Scan(&micros); err != nil {
			return nil, s.explain("inspect", err)
		}
		took := time.Since(begun)
		if n == 0 || took < i.Latency {
			i.Latency, i.Skew = took, begun.Add(took/2).Sub(fromMicros(micros))
		}
	}
	return i, nil
}
