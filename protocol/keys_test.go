package protocol

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func newKey() (crypto.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

// TestKeyFiles: all that ask for one key at a time get the same, which is the one in the file; a file that holds none is not written over, and
// the error says which one it is and nothing of what it holds.
func TestKeyFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	const n = 8
	var got [n]crypto.PrivateKey
	var errs [n]error
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { got[i], errs[i] = KeyFiles(dir)("a", newKey) })
	}
	wg.Wait()
	for i := range n {
		require.NoError(t, errs[i])
		require.Equal(t, got[0], got[i])
	}
	again, err := KeyFiles(dir)("a", newKey)
	require.NoError(t, err)
	require.Equal(t, got[0], again)
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, list, 1, "nothing else is left there")
	info, err := list[0].Info()
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	for _, text := range []string{"", "not a key", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"} {
		file := filepath.Join(dir, "b")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := KeyFiles(dir)("b", newKey)
		require.ErrorContains(t, err, file)
		require.NotContains(t, err.Error(), "not a key")
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, text, string(b))
	}
}
