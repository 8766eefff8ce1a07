package ca

import (
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestServer: a server's certificate is good for the names that it was asked for, and the
// authority is the same whenever it is opened.
func TestServer(t *testing.T) {
	w := newWorld(t)
	a, err := OpenAuthority(t.Context(), ForServers, w.options)
	require.NoError(t, err)
	b, err := OpenAuthority(t.Context(), ForServers, w.options)
	require.NoError(t, err)
	require.True(t, a.Certificates()[0].Equal(b.Certificates()[0]))
	pair, err := b.Server("localhost", "*.gw.example.com", "127.0.0.1")
	require.NoError(t, err)
	verify := func(name string) error {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: a.Pool(), DNSName: name, CurrentTime: w.options.Now()})
		return err
	}
	for _, name := range []string{"localhost", "orders.gw.example.com", "127.0.0.1"} {
		require.NoError(t, verify(name), name)
	}
	require.Error(t, verify("example.com"))
}
