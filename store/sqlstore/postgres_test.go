package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/storetest"
)

// TestPostgresKilled holds that acknowledged writes outlive a server that is killed
// while they are made, although it does not wait for its disk by default; that
// calls fail while it is away and succeed afterwards; and that a follower misses
// nothing.
func TestPostgresKilled(t *testing.T) {
	server := testserver.Postgres(t, pgembed.Config{Settings: map[string]string{"synchronous_commit": "off", "wal_writer_delay": "10s"}})
	s := openDatabase(t, address(server, "postgres"), Options{Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	seen := make(chan store.Change, 100_000)
	var follower sync.WaitGroup
	follow, stop := context.WithCancel(ctx)
	follower.Go(func() {
		for cs, err := range store.Follow(follow, s, 0) {
			if errors.Is(err, store.ErrTrimmed) {
				t.Error(err)
			}
			for _, c := range cs {
				seen <- c
			}
		}
	})

	var mu sync.Mutex
	kept, unsure := make(map[string]bool), make(map[string]bool)
	for round := range 5 {
		var writers sync.WaitGroup
		killed := make(chan struct{})
		begun := make(chan struct{}, 4)
		for w := range 4 {
			writers.Go(func() {
				for i := 0; ; i++ {
					name := fmt.Sprintf("%d-%d-%d", round, w, i)
					_, err := s.Write(ctx, store.Create(document("k", name, "1")))
					mu.Lock()
					switch {
					case err == nil:
						kept[name] = true
					case errors.Is(err, store.ErrUncertain):
						unsure[name] = true
					}
					mu.Unlock()
					if i == 10 {
						begun <- struct{}{}
					}
					if err != nil {
						select {
						case <-killed:
							return
						case <-time.After(time.Millisecond):
						}
					}
				}
			})
		}
		for range 4 {
			<-begun
		}
		server.Kill()
		close(killed)
		writers.Wait()
		_, err := s.Get(ctx, "k", "n")
		require.ErrorContains(t, err, "the database does not answer")
		require.NotErrorIs(t, err, store.ErrNotFound)
		require.NotContains(t, err.Error(), server.Password)
		require.NoError(t, server.Restart(ctx))
		require.Eventually(t, func() bool {
			_, _, err := s.Head(ctx)
			return err == nil
		}, 20*time.Second, 10*time.Millisecond)
	}

	there := names(t, s, "k")
	for name := range kept {
		require.True(t, there[name], "%s was acknowledged and is lost", name)
	}
	for name := range there {
		require.True(t, kept[name] || unsure[name], "%s was refused and is there", name)
	}
	require.Greater(t, len(kept), 200)
	t.Logf("%d kept, %d of which the answer was lost", len(kept), len(unsure))
	for next := int64(1); next <= int64(len(there)); next++ {
		select {
		case c := <-seen:
			require.Equal(t, next, c.Seq)
		case <-ctx.Done():
			t.Fatalf("change %d of %d is not seen", next, len(there))
		}
	}
	stop()
	follower.Wait()
}

// TestPostgresHints holds that another gateway's change is seen at once with
// notifications, and after store.PollEvery without.
func TestPostgresHints(t *testing.T) {
	for name, poll := range map[string]bool{"notified": false, "polling": true} {
		t.Run(name, func(t *testing.T) {
			server, database := testserver.Database(t, "")
			a := openDatabase(t, address(server, database), Options{Poll: poll})
			b := openDatabase(t, address(server, database), Options{Poll: poll})
			if !poll {
				require.Eventually(t, func() bool {
					return testserver.Exec(t, server, database, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT seq, %'`) == "2"
				}, 20*time.Second, 20*time.Millisecond)
			}
			race(t, a, b)
			// Of several, at least one comes much before its poll: it is notified.
			fastest := time.Hour
			for i := range 5 {
				seq, _, err := a.Head(t.Context())
				require.NoError(t, err)
				written := make(chan time.Time, 1)
				go func() {
					_, err := a.Write(t.Context(), store.Create(document("k", fmt.Sprint("hint", i), "1")))
					if err != nil {
						t.Error(err)
					}
					written <- time.Now()
				}()
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				for cs, err := range store.Follow(ctx, b, seq) {
					require.NoError(t, err)
					require.Equal(t, seq+1, cs[0].Seq)
					break
				}
				require.NoError(t, ctx.Err(), "the other's change is not seen")
				cancel()
				fastest = min(fastest, time.Since(<-written))
			}
			if !poll {
				require.Less(t, fastest, store.PollEvery/2)
			}
		})
	}
}

// TestPostgresForgedHints holds that notifications by others change nothing.
func TestPostgresForgedHints(t *testing.T) {
	server, database := testserver.Database(t, "")
	s := openDatabase(t, address(server, database), Options{})
	require.Eventually(t, func() bool {
		return testserver.Exec(t, server, database, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT seq, %'`) == "1"
	}, 20*time.Second, 20*time.Millisecond)
	testserver.Exec(t, server, database, `SELECT pg_notify('store_sallyport', (g::bigint * 1000000)::text) FROM generate_series(1, 5000) g`)
	_, err := s.Write(t.Context(), store.Create(document("k", "n", "1")))
	require.NoError(t, err)
	cs, err := s.Changes(t.Context(), 0, 0)
	require.NoError(t, err)
	require.Equal(t, []store.Change{{Seq: 1, Kind: "k", Name: "n"}}, cs)
	begun := time.Now()
	require.NoError(t, s.Wait(t.Context(), 1))
	require.Greater(t, time.Since(begun), store.PollEvery/2, "nothing has changed")
}

// bouncer starts PgBouncer in transaction mode, with fewer connections than clients,
// and returns a URL.
func bouncer(t *testing.T, server *pgembed.Server, database string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program = "/usr/sbin/pgbouncer"; !exists(program) {
			testserver.Missing(t, "PgBouncer")
		}
	}
	at := testserver.FreeAddress(t)
	_, port, _ := net.SplitHostPort(at)
	dir, err := os.MkdirTemp("", "bouncer") // one that PgBouncer's user may enter
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	cmd := exec.Command(program, filepath.Join(dir, "ini"))
	files := map[string]string{
		"users": fmt.Sprintf("%q %q\n", pgembed.User, server.Password),
		"ini": fmt.Sprintf("[databases]\n%s = host=127.0.0.1 port=%d\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\n"+
			"auth_type = scram-sha-256\nauth_file = %s\npool_mode = transaction\ndefault_pool_size = 3\n", database, server.Port, port, filepath.Join(dir, "users")),
	}
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	if u, err := user.Lookup("postgres"); err == nil && os.Geteuid() == 0 {
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		for _, name := range []string{"", "users", "ini"} {
			require.NoError(t, os.Chown(filepath.Join(dir, name), uid, gid))
		}
	}
	var log strings.Builder
	cmd.Stderr, cmd.Stdout = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", at)
		return err == nil && c.Close() == nil
	}, 20*time.Second, 10*time.Millisecond)
	return testserver.URL(pgembed.User, server.Password, at, database, "")
}

func exists(file string) bool { _, err := os.Stat(file); return err == nil }

// TestPgBouncer holds that a pooler of transactions may be on the way: all tests
// pass, with listening as without.
func TestPgBouncer(t *testing.T) {
	server, database := testserver.Database(t, "")
	url := bouncer(t, server, database)
	n := 0
	storetest.Test(t, func(t *testing.T) store.Store {
		n++
		return openDatabase(t, url, Options{Schema: fmt.Sprintf("s%d", n), Poll: n%2 == 0})
	})
	race(t, openDatabase(t, url, Options{Poll: true}), openDatabase(t, url, Options{Poll: true}))
}

func TestPostgresRefusals(t *testing.T) {
	server, database := testserver.Database(t, "")
	reader, latin := "reader_"+database, "latin_"+database // the server is shared
	url := address(server, database)
	s := openDatabase(t, url, Options{Poll: true})
	_, err := s.Write(t.Context(), store.Create(document("k", "n", "1")))
	require.NoError(t, err)

	t.Run("read-only", func(t *testing.T) {
		testserver.Exec(t, server, database, fmt.Sprintf(
			"CREATE ROLE %[1]s LOGIN PASSWORD 'canary'; GRANT USAGE ON SCHEMA sallyport TO %[1]s; GRANT SELECT ON ALL TABLES IN SCHEMA sallyport TO %[1]s", reader))
		r := openDatabase(t, testserver.URL(reader, "canary", server.Address(), database, ""), Options{Poll: true})
		require.Len(t, names(t, r, "k"), 1)
		_, err := r.Write(t.Context(), store.Create(document("k", "m", "1")))
		require.ErrorContains(t, err, "the role may not do this")
		require.NotContains(t, err.Error(), "canary")
		require.NotErrorIs(t, err, store.ErrUncertain)
		_, err = OpenPostgres(t.Context(), testserver.URL(reader, "canary", server.Address(), database, ""), Options{Schema: "another"})
		require.ErrorContains(t, err, "the role may not do this")
	})
	t.Run("a wrong password", func(t *testing.T) {
		_, err := OpenPostgres(t.Context(), testserver.URL(pgembed.User, "canary", server.Address(), database, ""), Options{})
		require.ErrorContains(t, err, "the server refuses the role")
		require.NotContains(t, err.Error(), "canary")
	})
	t.Run("a password from elsewhere", func(t *testing.T) {
		bare := "postgres://" + pgembed.User + "@" + server.Address() + "/" + database
		s := openDatabase(t, bare, Options{Password: func(context.Context) (string, error) { return server.Password, nil }})
		require.Len(t, names(t, s, "k"), 1)
		_, err := OpenPostgres(t.Context(), bare, Options{Password: func(context.Context) (string, error) { return "", os.ErrDeadlineExceeded }})
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
	t.Run("a lock that others hold", func(t *testing.T) {
		s := openDatabase(t, url, Options{Poll: true, Timeout: time.Second})
		c, err := pgx.Connect(t.Context(), url)
		require.NoError(t, err)
		defer c.Close(context.Background())
		_, err = c.Exec(t.Context(), "BEGIN; UPDATE sallyport.meta SET seq = seq")
		require.NoError(t, err)
		_, err = s.Write(t.Context(), store.Create(document("k", "waits", "1")))
		require.Error(t, err)
		require.NotErrorIs(t, err, store.ErrUncertain)
		require.Len(t, names(t, s, "k"), 1)
		_, err = c.Exec(t.Context(), "ROLLBACK")
		require.NoError(t, err)
		_, err = s.Write(t.Context(), store.Create(document("k", "goes on", "1")))
		require.NoError(t, err)
	})
	t.Run("a session that stopped in its transaction", func(t *testing.T) {
		c, err := s.write.Conn(t.Context())
		require.NoError(t, err)
		defer c.Close()
		_, err = c.ExecContext(t.Context(), s.dialect.begin)
		require.NoError(t, err)
		for setting, want := range map[string]string{
			"idle_in_transaction_session_timeout": "10s", "lock_timeout": "5s", "statement_timeout": "10s", "synchronous_commit": "on",
		} {
			var got string
			require.NoError(t, c.QueryRowContext(t.Context(), "SELECT current_setting($1)", setting).Scan(&got))
			require.Equal(t, want, got, setting)
		}
		_, err = c.ExecContext(t.Context(), "ROLLBACK")
		require.NoError(t, err)
	})
	t.Run("tables of others", func(t *testing.T) {
		testserver.Exec(t, server, database, "CREATE SCHEMA foreign_schema; CREATE TABLE foreign_schema.changes (x int)")
		_, err := OpenPostgres(t.Context(), url, Options{Schema: "foreign_schema"})
		require.ErrorContains(t, err, `a table "changes" is there that this store did not make`)
	})
	t.Run("another encoding", func(t *testing.T) {
		testserver.Exec(t, server, "postgres", "CREATE DATABASE "+latin+" ENCODING 'LATIN1' TEMPLATE template0")
		_, err := OpenPostgres(t.Context(), address(server, latin), Options{})
		require.ErrorContains(t, err, "got LATIN1, want UTF8")
	})
	t.Run("backup", func(t *testing.T) {
		require.ErrorContains(t, s.Backup(t.Context(), filepath.Join(t.TempDir(), "b")), "pg_dump")
	})
}

// TestPostgresURL holds what is asked of the way to a server, and that errors do not
// hold the URL's password.
func TestPostgresURL(t *testing.T) {
	for _, c := range []struct {
		url     string
		tls     bool // nothing without TLS and a checked certificate
		refused bool
	}{
		{url: "postgres://u:canary@127.0.0.1/db"},
		{url: "postgres://u:canary@localhost:5433/db"},
		{url: "postgres://u:canary@[::1]:5433/db"},
		{url: "postgresql:///db?host=/run/postgresql&user=u&password=canary"},
		{url: "postgres://u:canary@db.example.com/db", tls: true},
		{url: "postgres://u:canary@127.0.0.1.example.com/db", tls: true},
		{url: "postgres://u:canary@10.0.0.1:5432/db", tls: true},
		{url: "postgres://u:canary@127.0.0.1,db.example.com/db", tls: true},
		{url: "postgres:///db?host=db.example.com&user=u&password=canary", tls: true},
		{url: "postgres://u:canary@db.example.com/db?sslmode=verify-full", tls: true},
		{url: "postgres://u:canary@db.example.com/db?sslmode=disable"},
		{url: "postgres://u:canary@db.example.com/db?sslmode=prefer", refused: true},
		{url: "postgres://u:canary@db.example.com/db?sslmode=allow", refused: true},
		{url: "postgres://u:canary@db.example.com/db?sslmode=canary", refused: true},
		{url: "postgres://u:canary@db.example.com:canary/db", refused: true},
		{url: "postgres://u:canary%@db/db", refused: true},
		{url: "postgres://u:ca nary@h:1/db", refused: true},
		{url: "mysql://u:canary@db/db", refused: true},
		{url: "host=db password=canary", refused: true},
		{url: "", refused: true},
	} {
		t.Setenv("PGSSLMODE", "disable")
		got, err := postgresConfig(c.url)
		if c.refused {
			require.Error(t, err, c.url)
			require.NotContains(t, err.Error(), "canary")
			require.NotContains(t, err.Error(), "ca nary")
			continue
		}
		require.NoError(t, err, c.url)
		if c.tls {
			for _, f := range got.Fallbacks {
				require.NotNil(t, f.TLSConfig, c.url)
				require.False(t, f.TLSConfig.InsecureSkipVerify, c.url)
			}
			require.NotNil(t, got.TLSConfig, c.url)
			require.False(t, got.TLSConfig.InsecureSkipVerify, c.url)
		}
	}
	_, err := OpenPostgres(t.Context(), "postgres://u@127.0.0.1/db", Options{Schema: `x"; DROP`})
	require.ErrorContains(t, err, "schema")
}
