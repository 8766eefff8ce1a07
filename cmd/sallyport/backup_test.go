package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// A backup that is made while sessions come and go is restored into an empty directory, and the gateway goes on from it:
// with the keys that its clients know, what its users have set up, and an audit log that is proven over the seam.
func TestBackupRestore(t *testing.T) {
	o := openOffice(t, "")
	dir := t.TempDir()
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	identity := filepath.Join(dir, "identity")
	require.NoError(t, os.WriteFile(identity, []byte(id.String()+"\n"), 0o600))
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
	require.Contains(t, must(t, "restore", "--check", "-i", identity, "--key", public, file), "is whole")
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
