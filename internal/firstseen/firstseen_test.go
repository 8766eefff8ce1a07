package firstseen

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What was seen first is kept, in the form of earlier versions.
func TestRemember(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "seen")
	f, ctx := At(path), t.Context()
	seen, err := f.Known(ctx, "vm1")
	require.NoError(t, err)
	require.Nil(t, seen)
	require.NoFileExists(t, path)
	for _, shown := range []string{"first", "second"} {
		seen, err = f.Remember(ctx, "vm1", []byte(shown))
		require.NoError(t, err)
		require.Equal(t, "first", string(seen))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "vm1 Zmlyc3Q=\n", string(text))
	for _, name := range []string{"", "a b", "a\nb"} {
		_, err = f.Remember(ctx, name, []byte("x"))
		require.ErrorContains(t, err, "without spaces")
	}
}

// What is forgotten stays counted, also when the file is read again.
func TestSwap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seen")
	first, gone, second := Sight{[]byte("first"), 0}, Sight{nil, 1}, Sight{[]byte("second"), 1}
	swap := func(before, after Sight, want bool) {
		t.Helper()
		done, err := At(path).Swap("vm1", before, after)
		require.NoError(t, err)
		require.Equal(t, want, done)
	}
	require.NoError(t, os.WriteFile(path, []byte("vm2 Zmlyc3Q=\r\n\nvm2 c2Vjb25k\n"), 0o600))
	swap(first, gone, false)
	swap(Sight{}, first, true)
	swap(Sight{}, second, false)
	swap(first, gone, true)
	seen, err := At(path).Known(t.Context(), "vm1")
	require.NoError(t, err)
	require.Nil(t, seen)
	swap(first, second, false)
	seen, err = At(path).Remember(t.Context(), "vm1", []byte("second"))
	require.NoError(t, err)
	require.Equal(t, "second", string(seen))
	all, err := At(path).All()
	require.NoError(t, err)
	require.Equal(t, map[string]Sight{"vm1": second, "vm2": first}, all)
	swap(second, Sight{}, true)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "vm2 Zmlyc3Q=\n", string(text))
}

// A line that cannot be read is an error, and no name that is unknown.
func TestDamaged(t *testing.T) {
	for _, line := range []string{strings.Repeat("x", 1<<20), "vm1 !", "vm1 ", " Zmlyc3Q=", "vm1 Zmlyc3Q= x", "vm1 Zmlyc3Q= -1", "vm1 Zmlyc3Q= 1 2"} {
		path := filepath.Join(t.TempDir(), "seen")
		text := line + "\nvm2 Zmlyc3Q=\n"
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := At(path).Known(t.Context(), "vm2")
		require.ErrorContains(t, err, "line 1", line)
		_, err = At(path).Remember(t.Context(), "vm2", []byte("another"))
		require.Error(t, err, line)
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(got))
	}
}

// Of many who see something first under one name at once, all know the same.
func TestAtOnce(t *testing.T) {
	f := At(filepath.Join(t.TempDir(), "seen"))
	got := make([]string, 20)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			seen, err := f.Remember(t.Context(), "vm1", fmt.Append(nil, i))
			assert.NoError(t, err)
			got[i] = string(seen)
		})
	}
	wg.Wait()
	for _, g := range got {
		require.Equal(t, got[0], g)
	}
}
