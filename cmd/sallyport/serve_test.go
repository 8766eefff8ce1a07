package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A day with the real psql: an allowed query, a refused one with the session
// going on, a cancelled one, copies both ways.
func TestServe(t *testing.T) {
	o := openOffice(t, "")
	require.Contains(t, o.psql(t, "bob", "-c", "CREATE TABLE t (id int, name text); INSERT INTO t VALUES (1, 'a'), (2, 'b')"), "INSERT 0 2")

	out := o.psql(t, "alice", "-c", "SELECT name FROM t ORDER BY id", "-c", "DELETE FROM t WHERE id = 1", "-c", "SELECT count(*) FROM t")
	require.True(t, strings.HasPrefix(out, "a\nb\nERROR:"), out)
	require.Contains(t, out, `this needs the right "write"`)
	require.True(t, strings.HasSuffix(out, "\n2\n"), "the session goes on: %s", out)

	// Inside a transaction a refusal fails it, as the server's own errors do.
	out = o.psql(t, "alice", "-c", "BEGIN", "-c", "DELETE FROM t", "-c", "SELECT 1", "-c", "ROLLBACK", "-c", "SELECT 'fresh'")
	require.Contains(t, out, "current transaction is aborted")
	require.True(t, strings.HasSuffix(out, "fresh\n"), out)

	// The evasions of statement-by-statement rules.
	for _, sql := range []string{
		"SELECT 1; DELETE FROM t", "/* SELECT */ DELETE FROM t", "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d",
		"EXPLAIN ANALYZE DELETE FROM t", "DO $$BEGIN DELETE FROM t; END$$", "COPY (DELETE FROM t RETURNING *) TO STDOUT",
		"SELECT * INTO u FROM t", "PREPARE p AS DELETE FROM t", "COPY t TO PROGRAM 'sh'", "SELECT pg_read_file('/etc/passwd')",
	} {
		require.Contains(t, o.psql(t, "alice", "-c", sql), "ERROR:", sql)
	}
	require.Equal(t, "2\n", o.psql(t, "bob", "-c", "SELECT count(*) FROM t"))

	file := filepath.Join(t.TempDir(), "rows")
	require.Equal(t, "COPY 2\n", o.psql(t, "alice", "-c", `\copy t to `+file))
	require.Equal(t, "COPY 2\n", o.psql(t, "bob", "-c", `\copy t from `+file))
	require.Contains(t, o.psql(t, "alice", "-c", `\copy t from `+file), "ERROR:")
	require.Equal(t, "4\n", o.psql(t, "alice", "-c", "SELECT count(*) FROM t"))

	cmd := exec.Command("psql", "-X", o.conn("bob"), "-c", "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b")
	text := &strings.Builder{}
	cmd.Stderr = text
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		running, err := exec.CommandContext(t.Context(), "psql", "-X", "-A", "-t", "-d", o.direct, "-c",
			"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT count(*) FROM generate_series%'").Output()
		return err == nil && string(running) == "1\n"
	}, 60*time.Second, 50*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	begun := time.Now()
	cmd.Wait()
	require.Less(t, time.Since(begun), 20*time.Second)
	require.Contains(t, text.String(), "canceling statement due to user request")

	require.Contains(t, o.psql(t, "mallory", "-c", "SELECT 1"), "FATAL:")
	o.stop(t)

	// Everything is on record, and can be proven.
	list := decode[listed[summary]](t, must(t, "sessions", "ls", "-c", o.config, "-o", "json", "-u", "alice")).Items
	require.Equal(t, "ended", list[0].End)
	require.Equal(t, 1, list[0].Refused)
	shown := must(t, "sessions", "show", "-c", o.config, list[0].ID)
	require.Contains(t, shown, "DELETE FROM t WHERE id = 1")
	require.NotContains(t, shown, password)
	log := filepath.Join(o.dir, "data", "audit")
	require.NotContains(t, must(t, "verify", log), "NOT AS SEALED")

	bundle := filepath.Join(t.TempDir(), "bundle")
	require.NoError(t, os.WriteFile(bundle, []byte(must(t, "sessions", "export", "-c", o.config, list[0].ID)), 0o600))
	key := filepath.Join(log, "log", "key.pub")
	require.Contains(t, must(t, "verify", "--key", key, bundle), "proven: session "+list[0].ID)
	b, err := os.ReadFile(bundle)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(bundle, []byte(strings.Replace(string(b), `"record":"U0FMTF`, `"record":"U0FMTE`, 1)), 0o600))
	code, _, errs := sallyport(t, "", "verify", "--key", key, bundle)
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "NOT AS SEALED")
}

// What was refused upstream, or could not be reached, is told without secrets.
func TestServeFailures(t *testing.T) {
	o := openOffice(t, "")
	require.NoError(t, os.WriteFile(filepath.Join(o.dir, "db.password"), []byte("not the password"), 0o600))
	out := o.psql(t, "alice", "-c", "SELECT 1")
	require.Contains(t, out, "FATAL:")
	require.NotContains(t, out, "not the password")
	require.NoError(t, os.Remove(filepath.Join(o.dir, "db.password")))
	out = o.psql(t, "alice", "-c", "SELECT 1")
	require.Contains(t, out, "FATAL:")
	require.NotContains(t, out, o.dir, "where secrets are is the operator's business")
}

func TestConnect(t *testing.T) {
	needs(t, "psql")
	o := openOffice(t, "")
	t.Setenv("PGPASSWORD", password)
	t.Setenv("USER", "alice")
	require.Equal(t, "7\n", must(t, "connect", "-c", o.config, "shop", "--", "-XAtc", "SELECT 3 + 4"))
	code, _, errs := sallyport(t, "", "connect", "-c", o.config, "-u", "alice", "shop", "--", "-Xc", "DROP TABLE x")
	require.Equal(t, 1, code, "psql's own")
	require.Contains(t, errs, "you may not")
	code, _, errs = sallyport(t, "", "connect", "-c", o.config, "nothing")
	require.Equal(t, exitNotFound, code)
	require.Contains(t, errs, "nothing")
}

// A resource that a user may not use answers as one that does not exist, whatever is
// asked of it; why is in the log.
func TestServeHidesResources(t *testing.T) {
	o := openOffice(t, "")
	o.stop(t)
	text, err := os.ReadFile(o.config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(o.config, []byte(strings.Replace(string(text), "access:\n",
		"  - {name: closed, type: postgres, address: \"127.0.0.1:1\", username: x}\naccess:\n", 1)), 0o600))
	o.process = start(t, "serve", "-c", o.config)
	o.wait(t, "listening")
	at := func(resource, extra string) string {
		conn := strings.Replace(o.conn("alice"), "alice+shop", "alice+"+resource, 1) + " " + extra
		out, _ := exec.Command("psql", "-X", "-At", conn, "-c", "SELECT 1").CombinedOutput()
		name, _, _ := strings.Cut(resource, "+")
		return strings.ReplaceAll(string(out), name, "NAME")
	}
	for _, extra := range []string{"", "dbname=other", "options='-c work_mem=1'", "options='-c role=x'", "replication=true", "replication=database"} {
		require.Equal(t, at("nothing", extra), at("closed", extra), extra)
		require.Contains(t, at("closed", extra), `or you may not use it: "NAME"`, extra)
	}
	require.Equal(t, at("nothing+x", ""), at("closed+x", ""), "an account")
	require.Contains(t, at("shop", "options='-c role=x'"), "is not allowed", "users are told what of their own is refused")
	o.wait(t, `msg="a session was refused".*user=alice.*resource=closed.*no rule|msg="a session was refused".*resource=closed`)
	o.stop(t)
}
