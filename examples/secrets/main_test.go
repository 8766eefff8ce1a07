package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/examples/internal/exampletest"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/secrets"
)

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	key, files := filepath.Join(dir, "sealing.key"), filepath.Join(dir, "secrets")
	require.NoError(t, run([]string{"key", key}, nil))
	seal := func(name, secret string) {
		require.NoError(t, run([]string{"seal", key, files, name}, strings.NewReader(secret+"\n")))
	}
	seal("orders", exampletest.Upstream)
	seal("other", exampletest.Upstream)
	f, err := openFolder(key, files)
	require.NoError(t, err)

	file := exampletest.Config(t, exampletest.Shop(t, ""), "sealed:orders")
	_, err = gateway.Load(file, gateway.Defaults())
	require.ErrorContains(t, err, "not a reference to a secret", "the scheme is not known without its provider")
	g, _ := exampletest.Serve(t, file, options(f), gateway.Options{})
	query := func() string {
		return exampletest.Psql(t, g.Addr("postgres", "").String(), "secret", "user=alice+shop sslmode=require", "SELECT current_user")
	}
	require.Equal(t, "app", query())

	sealed, err := os.ReadFile(filepath.Join(files, "orders"))
	require.NoError(t, err)
	require.NotContains(t, string(sealed), exampletest.Upstream)
	broken := append([]byte(nil), sealed...)
	broken[len(broken)-1] ^= 1
	other, err := os.ReadFile(filepath.Join(files, "other"))
	require.NoError(t, err)
	for _, c := range []struct {
		name string
		text []byte
	}{{"changed", broken}, {"another secret's file", other}, {"empty", nil}} {
		t.Run(c.name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(filepath.Join(files, "orders"), c.text, 0o600))
			_, err := f.Resolve(t.Context(), secrets.Ref{Path: "orders"}, secrets.Use{})
			require.Error(t, err)
			out := query()
			require.Contains(t, out, "FATAL")
			require.NotContains(t, out, exampletest.Upstream)
		})
	}
	seal("orders", exampletest.Upstream)
	require.Eventually(t, func() bool { return query() == "app" }, 30*time.Second, 50*time.Millisecond, "a failure is remembered for a second, and nothing else")
}

func TestFetch(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "sealing.key")
	require.NoError(t, run([]string{"key", key}, nil))
	require.ErrorIs(t, run([]string{"key", key}, nil), os.ErrExist)
	f, err := openFolder(key, filepath.Join(dir, "secrets"))
	require.NoError(t, err)
	large := strings.NewReader(strings.Repeat("x", maxSecret+10))
	require.ErrorContains(t, run([]string{"seal", key, filepath.Join(dir, "secrets"), "large"}, large), "larger than 65536 bytes")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "outside"), []byte("x"), 0o600))
	for _, name := range []string{"none", "../outside", filepath.Join(dir, "outside")} {
		_, err := f.Resolve(t.Context(), secrets.Ref{Path: name}, secrets.Use{})
		require.Error(t, err, name)
	}
	require.NoError(t, os.WriteFile(key, []byte("short"), 0o600))
	_, err = openFolder(key, dir)
	require.ErrorContains(t, err, "want 32 bytes in base64")
	require.ErrorContains(t, run(nil, nil), "usage")
}
