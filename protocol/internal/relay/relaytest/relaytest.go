// Package relaytest has what tests of protocols over HTTP share.
package relaytest

import (
	"context"
	"crypto"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// Serve has a gateway serve a protocol until the test ends, and returns where.
func Serve(t testing.TB, g *proxy.Gateway, h proxy.Handler) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx, l, h) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(30 * time.Second):
			t.Error("the gateway does not end")
		}
	})
	return l.Addr().String()
}

// Leased is a credential that every session gets.
type Leased proxy.Credential

// Lease returns the credential.
func (c Leased) Lease(context.Context, proxy.LeaseRequest) (*proxy.Lease, error) {
	return &proxy.Lease{Credential: proxy.Credential(c)}, nil
}

// KeyOf returns a function that keeps keys in memory, each under its name.
func KeyOf() func(name string, generate func() (crypto.PrivateKey, error)) (crypto.PrivateKey, error) {
	var mu sync.Mutex
	keys := map[string]crypto.PrivateKey{}
	return func(name string, generate func() (crypto.PrivateKey, error)) (crypto.PrivateKey, error) {
		mu.Lock()
		defer mu.Unlock()
		if keys[name] == nil {
			k, err := generate()
			if err != nil {
				return nil, err
			}
			keys[name] = k
		}
		return keys[name], nil
	}
}
