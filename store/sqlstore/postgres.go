package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// OpenPostgres opens the store in a PostgreSQL database, in a schema of its own,
// which it makes. The URL is postgres://USER@HOST:PORT/DATABASE. To another machine
// the server's certificate is checked, unless the URL's sslmode says otherwise.
// Several gateways may have the store open.
func OpenPostgres(ctx context.Context, address string, o Options) (*Store, error) {
	o = o.filled()
	if !schemaName.MatchString(o.Schema) {
		return nil, fmt.Errorf("store: open: schema %q: want a-z, then also 0-9 and \"_\", at most 40", o.Schema)
	}
	c, err := postgresConfig(address)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*c, stdlib.OptionBeforeConnect(o.password))
	db.SetMaxOpenConns(o.Connections)
	db.SetMaxIdleConns(o.Connections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	s := newStore(db, postgresDialect(c, o), o)
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if !o.Poll {
		s.tell(c)
	}
	return s, nil
}

// CheckPostgres returns why OpenPostgres would refuse a URL and options without asking the
// database. A password belongs into Options, so it refuses one in the URL.
func CheckPostgres(address string, o Options) error {
	if o = o.filled(); !schemaName.MatchString(o.Schema) {
		return fmt.Errorf("store: open: schema %q: want a-z, then also 0-9 and \"_\", at most 40", o.Schema)
	}
	if _, err := postgresConfig(address); err != nil {
		return err
	}
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	if _, in := u.User.Password(); in || u.Query().Has("password") {
		return errors.New("store: open: the URL of the database holds a password: give it apart from the URL")
	}
	return nil
}

var schemaName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// postgresConfig reads a URL. Its errors do not hold the URL, in which a password
// may be.
func postgresConfig(address string) (*pgx.ConnConfig, error) {
	wrong := func(why string) error {
		return fmt.Errorf("store: open: the URL of the database %s: want postgres://USER@HOST:PORT/DATABASE", why)
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, wrong("cannot be read")
	}
	if !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://") {
		return nil, wrong("has another scheme")
	}
	q := u.Query()
	switch mode := q.Get("sslmode"); {
	case mode == "" && local(u):
		q.Set("sslmode", "prefer")
	case mode == "":
		q.Set("sslmode", "verify-full")
	case !local(u) && (mode == "prefer" || mode == "allow"):
		return nil, wrong("has an sslmode that goes on without TLS when it is not there: take verify-full, or disable")
	}
	u.RawQuery = q.Encode()
	c, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, wrong("is not understood: look at its port, sslmode and the files that it names")
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.StatementCacheCapacity, c.DescriptionCacheCapacity = 0, 0
	c.ConnectTimeout = 5 * time.Second
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "sallyport"
	}
	return c, nil
}

// local reports whether all hosts of a URL are this machine.
func local(u *url.URL) bool {
	hosts := strings.Split(u.Host, ",")
	if q := u.Query()["host"]; len(q) > 0 {
		hosts = strings.Split(strings.Join(q, ","), ",")
	}
	for _, h := range hosts {
		if name, _, err := net.SplitHostPort(h); err == nil {
			h = name
		}
		h = strings.Trim(h, "[]")
		if ip := net.ParseIP(h); !strings.HasPrefix(h, "/") && h != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

// password sets that of a new connection.
func (o *Options) password(ctx context.Context, c *pgx.ConnConfig) error {
	if o.Password == nil {
		return nil
	}
	p, err := o.Password(ctx)
	if err != nil {
		return fmt.Errorf("the database's password: %w", err)
	}
	c.Password = p
	return nil
}

// ready checks the database and brings its schema up to date.
func (s *Store) ready(ctx context.Context) error {
	check, cancel := s.limit(ctx)
	defer cancel()
	var encoding string
	if err := s.read.QueryRowContext(check, `SELECT current_setting('server_encoding')`).Scan(&encoding); err != nil {
		return s.explain("open", err)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("store: open: %s: the database's encoding: got %s, want UTF8: make another database", s.dialect.name, encoding)
	}
	return s.migrate(ctx, migrations)
}

func postgresDialect(c *pgx.ConnConfig, o Options) dialect {
	schema, limit := o.Schema, o.Timeout.Milliseconds()
	const micros = `CAST(EXTRACT(EPOCH FROM %s()) * 1000000 AS BIGINT)`
	return dialect{
		name: fmt.Sprintf("PostgreSQL %s/%s", net.JoinHostPort(c.Host, fmt.Sprint(c.Port)), c.Database),
		// In one round trip. A server that does not wait for its disk is told to.
		begin: fmt.Sprintf(`BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = %d; SET LOCAL statement_timeout = %d;
			SET LOCAL idle_in_transaction_session_timeout = %d;
			SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'`, max(1, limit/2), max(1, limit), max(1, limit)),
		text: `TEXT COLLATE "C"`, schema: `"` + schema + `".`, share: " FOR SHARE", numbered: "$",
		now: fmt.Sprintf(micros, "statement_timestamp"), clock: fmt.Sprintf(micros, "clock_timestamp"),
		exists: `SELECT COUNT(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = '` + schema + `' AND c.relname = ?1`,
		lock: fmt.Sprintf(`SELECT pg_advisory_xact_lock(hashtext('sallyport store %s'))`, schema),
		make: `DO $do$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = '` + schema + `') THEN
			CREATE SCHEMA "` + schema + `"; END IF; END $do$`,
		definite: func(err error) bool {
			var e *pgconn.PgError
			return errors.As(err, &e) && e.SeverityUnlocalized == "ERROR"
		},
		advice: postgresAdvice,
	}
}

func postgresAdvice(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		var c *pgconn.ConnectError
		if errors.As(err, &c) {
			return "the database does not answer: look whether it runs, and at the URL"
		}
		return ""
	}
	switch e.Code {
	case "25006":
		return "the database is read-only: point the URL at the primary"
	case "42501":
		return "the role may not do this: make it the schema's owner, or GRANT CREATE ON DATABASE for the first start"
	case "53100":
		return "the server's disk is full: make room; nothing was lost"
	case "53300":
		return "the server has no connection left: raise max_connections, or have fewer"
	case "55P03", "57014":
		return "others hold a lock for long: look at pg_stat_activity"
	case "28P01", "28000":
		return "the server refuses the role: look at its password and pg_hba.conf"
	case "42P01", "3F000":
		return "the store's tables are gone: restore a backup"
	case "57P01", "57P02", "57P03":
		return "the server stops or starts: it is asked again with the next call"
	}
	return ""
}
