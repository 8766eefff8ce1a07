package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// A backup that is made while sessions come and go is restored into an empty directory, and the gateway goes on from it:
// with the keys that its clients know, what its users have set up, and an audit log that is proven over the seam.
func TestBackupRestore(t *testing.T) {
	o := openOffice(t, "")
	dir := t.TempDir()
	id, identity := ageIdentity(t, dir)
	must(t, "admin", "users", "disable", "-c", o.config, "--reason", "left", "bob")

	var stop atomic.Bool
	var done atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for !stop.Load() {
				if err := selectOne(t.Context(), o); err != nil {
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return done.Load() >= 5 || failed.Load() != nil }, 40*time.Second, 10*time.Millisecond)
	file := filepath.Join(dir, "gateway.age")
	code, _, errs := sallyport(t, "", "backup", "-c", o.config, "--to", id.Recipient().String(), file)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, errs, "db.password")
	after := done.Load()
	require.Eventually(t, func() bool { return done.Load() >= after+3 || failed.Load() != nil }, 40*time.Second, 10*time.Millisecond)
	stop.Store(true)
	wg.Wait()
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
	o.stop(t)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	code, _, errs = sallyport(t, "", "backup", "-c", o.config, "--to", id.Recipient().String(), file)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "is there already")

	public := filepath.Join(o.dir, "data", "audit", "log", "key.pub")
	checked := must(t, "restore", "--check", "-i", identity, "--key", public, file)
	require.Contains(t, checked, "is whole")
	require.Contains(t, checked, "proven")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	flipped := filepath.Join(dir, "flipped.age")
	require.NoError(t, os.WriteFile(flipped, b, 0o600))
	to := filepath.Join(dir, "etc")
	code, _, errs = sallyport(t, "", "restore", "-i", identity, "--data-dir", filepath.Join(dir, "new"), flipped)
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "damaged, or was altered")
	require.NoDirExists(t, filepath.Join(dir, "new"))

	require.NoError(t, os.Mkdir(to, 0o700))
	data := filepath.Join(dir, "data")
	code, out, errs := sallyport(t, "", "restore", "-i", identity, "--key", public, "--data-dir", data, "--config-dir", to, file)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "proven")
	require.Contains(t, errs, "counts again")
	text, err := os.ReadFile(filepath.Join(to, "sallyport.yaml"))
	require.NoError(t, err)
	config := filepath.Join(to, "sallyport.yaml")
	require.NoError(t, os.WriteFile(config, []byte(replaceOnce(t, string(text), "data_dir: data", "data_dir: "+data)), 0o600))

	again := start(t, "serve", "-c", config)
	again.wait(t, "listening")
	require.NoError(t, selectOne(t.Context(), o), "the certificate is by the authority that clients know")
	_, err = pgx.Connect(t.Context(), strings.Replace(dsn(o), "alice", "bob", 1))
	require.Error(t, err, "bob stays disabled")
	again.stop(t)
	proven := must(t, "verify", "--key", public, filepath.Join(data, "audit"))
	require.NotContains(t, proven, "NOT AS SEALED")
	list := decode[listed[summary]](t, must(t, "sessions", "ls", "-c", config, "-o", "json", "-u", "alice")).Items
	require.Greater(t, len(list), 5)
}

// A store on PostgreSQL is dumped before the backup: the gateway goes on from both, with an audit log that knows more than
// the store, and what the dump does not have is as it was then.
func TestBackupRestorePostgres(t *testing.T) {
	needs(t, "pg_dump")
	needs(t, "pg_restore")
	server, database := testserver.Database(t, "")
	t.Setenv("STORE_PASSWORD", server.Password)
	t.Setenv("STORE_KEY", strings.Repeat("ab", 32))
	store := func(database string) string {
		return fmt.Sprintf(`store: {url: "postgres://postgres@%s/%s", password: "env:STORE_PASSWORD", key: "env:STORE_KEY"}`, server.Address(), database)
	}
	o := openOffice(t, store(database)+"\n")
	dir := t.TempDir()
	id, identity := ageIdentity(t, dir)
	must(t, "admin", "users", "disable", "-c", o.config, "--reason", "left", "bob")
	require.NoError(t, selectOne(t.Context(), o))

	tool := func(name string, args ...string) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	address := func(database string) string {
		return testserver.URL("postgres", server.Password, server.Address(), database, "")
	}
	dump, file := filepath.Join(dir, "store.dump"), filepath.Join(dir, "gateway.age")
	tool("pg_dump", "-n", "sallyport", "-Fc", "-f", dump, "-d", address(database))
	must(t, "admin", "users", "enable", "-c", o.config, "--reason", "came back", "bob")
	require.NoError(t, selectOne(t.Context(), o))
	code, _, errs := sallyport(t, "", "backup", "-c", o.config, "--to", id.Recipient().String(), file)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, errs, "pg_dump")
	o.stop(t)

	_, again := testserver.Database(t, "")
	tool("pg_restore", "-d", address(again), dump)
	public := filepath.Join(o.dir, "data", "audit", "log", "key.pub")
	must(t, "restore", "--check", "-i", identity, "--key", public, file)
	to, data := filepath.Join(dir, "etc"), filepath.Join(dir, "data")
	code, _, errs = sallyport(t, "", "restore", "-i", identity, "--key", public, "--data-dir", data, "--config-dir", to, file)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, errs, "pg_dump")
	require.NoFileExists(t, filepath.Join(data, "store.db"))
	config := filepath.Join(to, "sallyport.yaml")
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	changed := replaceOnce(t, replaceOnce(t, string(text), "data_dir: data", "data_dir: "+data), store(database), store(again))
	require.NoError(t, os.WriteFile(config, []byte(changed), 0o600))

	restored := start(t, "serve", "-c", config)
	restored.wait(t, "listening")
	require.NoError(t, selectOne(t.Context(), o), "the certificate is by the authority that clients know: its key is sealed in the dump")
	_, err = pgx.Connect(t.Context(), strings.Replace(dsn(o), "alice", "bob", 1))
	require.Error(t, err, "bob is disabled, as when the dump was made")
	restored.stop(t)
	require.NotContains(t, must(t, "verify", "--key", public, filepath.Join(data, "audit")), "NOT AS SEALED")
	list := decode[listed[summary]](t, must(t, "sessions", "ls", "-c", config, "-o", "json", "-u", "alice")).Items
	require.Len(t, list, 3)
}

func dsn(o *office) string { return o.conn("alice") }

func selectOne(ctx context.Context, o *office) error {
	c, err := pgx.Connect(ctx, dsn(o))
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	var n int
	if err := c.QueryRow(ctx, "SELECT 1").Scan(&n); err != nil {
		return err
	}
	return c.Close(ctx)
}

// A backup replaces no file, also not one that is made while it is written, and leaves nothing when it fails. It is not
// written into the data directory that it is of.
func TestBackupNewFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x.age")
	err := writeNew(&cli{}, "backup", name, func(io.Writer) error { return os.WriteFile(name, []byte("mine"), 0o600) })
	require.ErrorIs(t, err, fs.ErrExist)
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))
	require.NoError(t, os.Remove(name))
	require.ErrorIs(t, writeNew(&cli{}, "backup", name, func(io.Writer) error { return io.ErrUnexpectedEOF }), io.ErrUnexpectedEOF)
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, list)

	o := openOffice(t, "")
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	data := filepath.Join(o.dir, "data")
	code, _, errs := sallyport(t, "", "backup", "-c", o.config, "--to", id.Recipient().String(), filepath.Join(data, "x.age"))
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "write it to a folder outside of data_dir")
	found, err := filepath.Glob(filepath.Join(data, "*backup*"))
	require.NoError(t, err)
	require.Empty(t, found)
	require.NoFileExists(t, filepath.Join(data, "x.age"))
}

// What backup and restore cannot do is told as wrong use.
func TestBackupUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"backup"}, "name the file to write"},
		{[]string{"backup", "x"}, "say who can open it"},
		{[]string{"backup", "--to", "age1x", "--passphrase-file", "y", "x"}, "say who can open it"},
		{[]string{"backup", "--to", "age1x", "x"}, "want public keys of age"},
		{[]string{"backup", "--passphrase-file", "-", "x"}, "want 12 or more"},
		{[]string{"restore"}, "name the backup's file"},
		{[]string{"restore", "x"}, "give --data-dir DIR"},
		{[]string{"restore", "--check", "x"}, "say what opens it"},
		{[]string{"restore", "--check", "--passphrase-file", "-", "-"}, "cannot both come from the input"},
	} {
		code, _, errs := sallyport(t, "short\n", c.args...)
		require.Equal(t, exitUsage, code, c.args)
		require.Contains(t, errs, c.says)
		require.NotContains(t, errs, "short")
	}
}

// A backup for a passphrase asks for as much work as age does by itself, or more, and one that asks for minutes of work and gigabytes of
// memory, which another has made, is refused before any of it is done.
func TestBackupPassphraseWork(t *testing.T) {
	pass := filepath.Join(t.TempDir(), "pass")
	require.NoError(t, os.WriteFile(pass, []byte("correct horse battery\n"), 0o600))
	to, err := recipients(&cli{}, nil, pass)
	require.NoError(t, err)
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to...)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	stanza := regexp.MustCompile(`(?m)^-> scrypt \S+ (\d+)$`)
	at := stanza.FindSubmatchIndex(b.Bytes())
	require.NotNil(t, at)
	work, err := strconv.Atoi(string(b.Bytes()[at[2]:at[3]]))
	require.NoError(t, err)
	require.GreaterOrEqual(t, work, 18)

	for _, work := range []string{"21", "22", "30", "63"} {
		file := filepath.Join(t.TempDir(), "x.age")
		require.NoError(t, os.WriteFile(file, slices.Concat(b.Bytes()[:at[2]], []byte(work), b.Bytes()[at[3]:]), 0o600))
		code, _, errs := sallyport(t, "", "restore", "--check", "--passphrase-file", pass, file)
		require.Equal(t, exitError, code, work)
		require.Contains(t, errs, "work factor too large", work)
	}
}

// A secret that is given in the place of the file which holds it is not printed.
func TestBackupSecretAsName(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	secret := id.String()
	for _, args := range [][]string{
		{"backup", "--to", secret, "x"},
		{"backup", "--passphrase-file", secret, "x"},
		{"restore", "--check", "--identity", secret, "x"},
		{"restore", "--check", "--passphrase-file", secret, "x"},
	} {
		code, out, errs := sallyport(t, "", args...)
		require.Equal(t, exitUsage, code, args[:2])
		require.Contains(t, errs, "make another")
		require.NotContains(t, out+errs, secret)
	}
	file := filepath.Join(t.TempDir(), "key")
	for text, args := range map[string][]string{
		secret:                       {"backup", "--to", file, "x"},
		id.Recipient().String():      {"restore", "--check", "--identity", file, "x"},
		secret[:len(secret)-1] + "!": {"restore", "--check", "--identity", file, "x"},
	} {
		require.NoError(t, os.WriteFile(file, []byte(text+"\n"), 0o600))
		code, out, errs := sallyport(t, "", args...)
		require.Equal(t, exitUsage, code, args[:2])
		require.NotContains(t, out+errs, text)
	}
}

// A gateway does not start on a data directory into which a restore did not come to its end.
func TestServeInterruptedRestore(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(config, []byte("data_dir: data\nlisten: {postgres: \"127.0.0.1:0\"}\n"), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data", ".restoring"), 0o700))
	code, _, errs := sallyport(t, "", "serve", "-c", config)
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "did not come to its end")
	list, err := os.ReadDir(filepath.Join(dir, "data"))
	require.NoError(t, err)
	require.Len(t, list, 1)
}

// ageIdentity makes a key of age, and puts it into a file.
func ageIdentity(t *testing.T, dir string) (id *age.X25519Identity, file string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	file = filepath.Join(dir, "identity")
	require.NoError(t, os.WriteFile(file, []byte(id.String()+"\n"), 0o600))
	return id, file
}
