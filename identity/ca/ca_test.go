package ca

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOpenKeepsTheAuthority(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	a, err := Open(dir)
	require.NoError(t, err)
	b, err := Open(dir)
	require.NoError(t, err)
	require.True(t, a.cert.Equal(b.cert))
	st, err := os.Stat(filepath.Join(dir, keyFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode().Perm())
	pair, err := b.Server("localhost", "*.gw.example.com", "127.0.0.1")
	require.NoError(t, err)
	for _, name := range []string{"localhost", "orders.gw.example.com", "127.0.0.1"} {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: a.Pool(), DNSName: name})
		require.NoError(t, err, name)
	}
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: a.Pool(), DNSName: "example.com"})
	require.Error(t, err)
}

func TestOpenRefusesABrokenAuthority(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(dir)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, keyFile), []byte("x"), 0o600))
	_, err = Open(dir)
	require.Error(t, err)
}
