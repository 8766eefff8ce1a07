package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway/config"
)

// empty is a gateway of nothing but a listener, which does not run yet.
func empty(t *testing.T) *Gateway {
	t.Helper()
	g, err := New(parse(t, config.Options{}, `{listen: {postgres: "127.0.0.1:0"}, resources: []}`), Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { g.Close() })
	return g
}

// A gateway that is closed opens nothing again: its audit log is closed, too.
func TestClosedGateway(t *testing.T) {
	for name, do := range map[string]func(g *Gateway) error{
		"listen": (*Gateway).Listen,
		"run":    func(g *Gateway) error { return g.Run(t.Context()) },
		"apply":  func(g *Gateway) error { return g.Apply(g.parts().config) },
	} {
		for _, listening := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				g := empty(t)
				if listening {
					require.NoError(t, g.Listen())
				}
				require.NoError(t, g.Close())
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- do(g) }()
				select {
				case err := <-done:
					require.ErrorIs(t, err, ErrClosed)
				case <-ctx.Done():
					t.Fatal("it serves with a closed audit log")
				}
				require.Nil(t, g.Addr("postgres", ""))
				require.NoFileExists(t, Socket(g.parts().config))
				require.NoError(t, g.Close())
			})
		}
	}
}

// Addresses can be asked for while the gateway begins to listen and is closed.
func TestListenWhileAsked(t *testing.T) {
	g := empty(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				g.Addr("postgres", "")
			}
		})
	}
	require.NoError(t, g.Listen())
	require.NoError(t, g.Listen(), "it listens already")
	require.NotNil(t, g.Addr("postgres", ""))
	wg.Go(func() { g.Close() })
	wg.Wait()
}

// A revision that cannot be made leaves nothing of itself.
func TestApplyFails(t *testing.T) {
	g := empty(t)
	before, revision, authority := g.parts(), g.Proxy().Revision(), g.Authority()
	require.NotEmpty(t, authority)

	dir := t.TempDir()
	writePair(t, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "masking.key"), []byte("0123456789abcdef0123456789abcdef"), 0o600))
	file := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`{listen: {postgres: "127.0.0.1:0"}, resources: [], tls: {cert: cert.pem, key: key.pem}, masking_key: {secret: "file:masking.key"}}`), 0o600))
	f, err := Load(file, config.Options{})
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, "masking.key")))
	require.Error(t, g.Apply(f))
	require.Same(t, before, g.parts())
	require.Same(t, revision, g.Proxy().Revision())
	require.Equal(t, authority, g.Authority(), "the certificate that clients see is still the authority's")
}

// writePair writes a certificate and its key to dir.
func writePair(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
}
