package sqlstore

import (
	"context"
	"errors"
	"fmt"
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

// InspectSQLite looks at the store in a file and leaves it as it is. An error says why OpenSQLite
// would fail.
func InspectSQLite(ctx context.Context, file string, o Options) (*Inspection, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("store: inspect: %w", err)
	}
	if err := private(file); err != nil {
		return nil, err
	}
	d := sqliteDialect(file)
	db, err := sqliteDB(file, 1, 0, "query_only(1)")
	if err != nil {
		return nil, d.explain("inspect", err)
	}
	return newStore(db, d, o.filled()).inspect(ctx)
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
