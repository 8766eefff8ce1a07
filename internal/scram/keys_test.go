package scram

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKeys: logging in again derives nothing, and another password, salt or count of iterations is another.
func TestKeys(t *testing.T) {
	var k Keys
	first, err := k.of("secret", []byte("salt"), MinIterations)
	require.NoError(t, err)
	for range 2 {
		again, err := k.of("secret", []byte("salt"), MinIterations)
		require.NoError(t, err)
		require.Same(t, &first.client[0], &again.client[0], "what is remembered is used")
	}
	for _, c := range []struct {
		password, salt string
		iterations     int
	}{
		{"secrets", "salt", MinIterations},
		{"secret", "salts", MinIterations},
		{"tsecret", "sal", MinIterations},
		{"secret", "salt", MinIterations + 1},
	} {
		got, err := k.of(c.password, []byte(c.salt), c.iterations)
		require.NoError(t, err)
		want, err := derive(c.password, []byte(c.salt), c.iterations)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.NotEqual(t, first, got)
	}
	require.Len(t, k.known, 5)
}

// TestKeysExchange: a client that remembers keys proves its password, and nobody's who has another.
func TestKeysExchange(t *testing.T) {
	v, err := NewVerifier("secret")
	require.NoError(t, err)
	var k Keys
	same := func(_ int, m string) string { return m }
	for range 3 {
		require.NoError(t, exchange(&Client{Password: "secret", Keys: &k}, &Server{Verifier: v}, []string{Mechanism}, same))
		require.Error(t, exchange(&Client{Password: "Secret", Keys: &k}, &Server{Verifier: v}, []string{Mechanism}, same))
	}
	require.Len(t, k.known, 2)
}

// TestKeysAreBounded: a server that says another salt each time fills no memory.
func TestKeysAreBounded(t *testing.T) {
	var k Keys
	var wg sync.WaitGroup
	for i := range 2 * maxKeys {
		wg.Go(func() {
			_, err := k.of("secret", fmt.Append(nil, i), 1)
			require.NoError(t, err)
		})
	}
	wg.Wait()
	require.Len(t, k.known, maxKeys)
}

func BenchmarkKeys(b *testing.B) {
	salt := []byte("0123456789abcdef")
	b.Run("derived", func(b *testing.B) {
		for b.Loop() {
			if _, err := derive("secret", salt, DefaultIterations); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("remembered", func(b *testing.B) {
		var k Keys
		for b.Loop() {
			if _, err := k.of("secret", salt, DefaultIterations); err != nil {
				b.Fatal(err)
			}
		}
	})
}
