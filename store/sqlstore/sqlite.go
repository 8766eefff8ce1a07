package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"modernc.org/sqlite"
)

// readers is how many connections read a SQLite file at once.
const readers = 4

// OpenSQLite opens the store in a file, and makes the file when it does not exist.
// Only its owner may read it. Several processes of one machine may have it open:
// SQLite's locks keep them apart, and each sees the others' changes after
// store.PollEvery at the latest, so that a new gateway can start before the old one
// ends. The file must be on a disk of the machine, not on a network's.
func OpenSQLite(ctx context.Context, file string, o Options) (*Store, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("store: open: %w", err)
	}
	if err := private(file); err != nil {
		return nil, err
	}
	o = o.filled()
	d := sqliteDialect(file)
	write, err := sqliteDB(file, 1, o.maxPages, "journal_mode(WAL)", "synchronous(FULL)", "secure_delete(1)", "journal_size_limit(16777216)")
	if err != nil {
		return nil, fmt.Errorf("store: open: %s: %w", d.name, err)
	}
	s := newStore(write, d, o)
	s.file = file
	if err := s.writeAhead(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.migrate(ctx, migrations); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.read, err = sqliteDB(file, readers, o.maxPages, "query_only(1)"); err != nil {
		s.read = s.write
		return nil, errors.Join(s.explain("open", err), s.Close())
	}
	// Every login reads documents, and to prepare the statement costs twice what it costs to run it.
	get, err := s.read.PrepareContext(ctx, s.sql.get)
	if err != nil {
		return nil, errors.Join(s.explain("open", err), s.Close())
	}
	s.get = get.QueryRowContext
	return s, nil
}

// writeAhead connects for the first time, which makes the file one with a log of
// writes. SQLite does not wait for another process that does the same.
func (s *Store) writeAhead(ctx context.Context) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	for {
		err := s.write.PingContext(ctx)
		if err == nil {
			return nil
		}
		if code(err) != sqliteBusy || !sleep(ctx, 5*time.Millisecond) {
			return s.explain("open", err)
		}
	}
}

// sqliteDB returns a pool of n connections that begin with the pragmas.
func sqliteDB(file string, n, maxPages int, pragmas ...string) (*sql.DB, error) {
	if maxPages > 0 {
		pragmas = append(pragmas, "max_page_count("+strconv.Itoa(maxPages)+")")
	}
	return connect(file, n, url.Values{}, pragmas)
}

// connect returns a pool of n connections that are opened with parameters of SQLite and begin with the pragmas.
func connect(file string, n int, q url.Values, pragmas []string) (*sql.DB, error) {
	q["_pragma"] = append([]string{"busy_timeout(5000)", "trusted_schema(0)"}, pragmas...)
	file, err := filepath.Abs(file) // in a URI, what comes before the first slash would be a host
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.ToSlash(file), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// private makes an empty file that only its owner may read, and its folder, or
// refuses one that others may read. It never opens a file that exists: closing it
// would drop the locks that this process has on it.
func private(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("store: open: %w", err)
	}
	f, err := create(file)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("store: open: %w", err)
	}
	return isPrivate(file)
}

// isPrivate refuses a file that others may read. It opens nothing, as private does not.
func isPrivate(file string) error {
	for _, name := range []string{file, file + "-wal", file + "-shm"} {
		st, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) && name != file {
			continue
		}
		if err != nil {
			return fmt.Errorf("store: open: %w", err)
		}
		if !st.Mode().IsRegular() {
			return fmt.Errorf("store: open: %s: got %s, want a file", name, st.Mode().Type())
		}
		if p := st.Mode().Perm(); p&0o077 != 0 && runtime.GOOS != "windows" {
			return fmt.Errorf("store: open: %s: got mode %#o, want 0600, since it holds users and keys: chmod 600 %s", name, p, name)
		}
	}
	return nil
}

func create(file string) (*os.File, error) {
	return os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// Backup writes a copy of a SQLite store to a new file, while the store is used. It
// is a store itself. PostgreSQL has pg_dump for that.
func (s *Store) Backup(ctx context.Context, file string) error {
	if s.file == "" {
		return errors.New("store: backup: PostgreSQL backs its databases up itself: use pg_dump")
	}
	return BackupSQLite(ctx, s.file, file)
}

// BackupSQLite writes a copy of the SQLite store in a file to a new file, while other processes may use
// it. Unlike [OpenSQLite] it leaves the schema as it is, which is that of the gateways that run. What a gateway
// that was killed has left in its log of writes goes into the file, as at the next start.
func BackupSQLite(ctx context.Context, from, to string) error {
	if _, err := os.Stat(from); err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	f, err := create(to)
	if err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	defer f.Close()
	db, err := sqliteDB(from, 1, 0) // readers may not write, and writers go on
	if err == nil {
		_, err = db.ExecContext(ctx, `VACUUM INTO ?1`, to)
		err = errors.Join(err, db.Close())
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		d := sqliteDialect(from)
		return errors.Join(d.explain("backup", err), os.Remove(to))
	}
	return nil
}

func sqliteDialect(file string) dialect {
	const now = `CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)`
	return dialect{
		name: "SQLite " + file, begin: "BEGIN IMMEDIATE", text: "TEXT", now: now, clock: now, numbered: "?",
		exists:   `SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1`,
		definite: func(err error) bool { return code(err) != 0 && code(err) != sqliteIOErr },
		advice: func(err error) string {
			switch code(err) {
			case sqliteBusy:
				return "another process has held its lock for 5 seconds: look for one that stopped in a transaction"
			case sqliteReadOnly:
				return "it cannot be written: look at the mode and owner of the file and its folder, and how the disk is mounted"
			case sqliteIOErr:
				return "the disk failed: look at the system's log"
			case sqliteCorrupt, sqliteNotADB:
				return "the file is damaged: restore a backup"
			case sqliteFull:
				return "the disk is full: make room; nothing was lost"
			case sqliteCantOpen:
				return "it cannot be opened: look at the mode and owner of the file and its folder"
			}
			return ""
		},
	}
}

// code is SQLite's result code of an error, 0 when it is not SQLite's.
func code(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

// Result codes of SQLite.
const (
	sqliteBusy     = 5
	sqliteReadOnly = 8
	sqliteIOErr    = 10
	sqliteCorrupt  = 11
	sqliteFull     = 13
	sqliteCantOpen = 14
	sqliteNotADB   = 26
)
