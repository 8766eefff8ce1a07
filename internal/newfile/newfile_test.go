package newfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPut(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	write := func(name, text string) { require.NoError(t, root.WriteFile(name, []byte(text), 0o600)) }
	write("a", "one")
	require.NoError(t, Put(root, "a", "b"))
	require.NoError(t, Sync(root, "."))
	require.NoFileExists(t, filepath.Join(dir, "a"))
	write("a", "two")
	require.ErrorIs(t, Put(root, "a", "b"), fs.ErrExist)
	require.NoError(t, root.Symlink("nowhere", "link"))
	require.ErrorIs(t, Put(root, "a", "link"), fs.ErrExist)
	require.ErrorIs(t, Put(root, "missing", "c"), fs.ErrNotExist)
	b, err := root.ReadFile("b")
	require.NoError(t, err)
	require.Equal(t, "one", string(b), "nothing is replaced")
	require.Error(t, Sync(root, "missing"))
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	for _, text := range []string{"one", "two, which is longer", ""} {
		require.NoError(t, Replace(file, []byte(text)))
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, text, string(got))
		st, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), st.Mode().Perm())
	}
	taken := filepath.Join(dir, "b")
	require.NoError(t, os.MkdirAll(filepath.Join(taken, "c"), 0o700))
	require.Error(t, Replace(taken, []byte("one")))
	require.ErrorIs(t, Replace(filepath.Join(dir, "nowhere", "a"), nil), fs.ErrNotExist)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 2, "nothing else is left")
}

func TestMake(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	made := make(chan string, 20)
	var wg sync.WaitGroup
	for i := range cap(made) {
		wg.Go(func() {
			text := strings.Repeat(fmt.Sprint(i, " "), 1000)
			if err := Make(file, []byte(text)); err == nil {
				made <- text
			} else {
				assert.ErrorIs(t, err, fs.ErrExist)
			}
		})
	}
	wg.Wait()
	require.Len(t, made, 1, "one of those who begin at once")
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, <-made, string(got))
	st, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), st.Mode().Perm())
	require.ErrorIs(t, Make(filepath.Join(dir, "nowhere", "a"), nil), fs.ErrNotExist)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing else is left")
}

// TestPublish: a file that everybody may read is written whole, and left alone where it says the same.
func TestPublish(t *testing.T) {
	file := filepath.Join(t.TempDir(), "folder", "ca.pem")
	require.NoError(t, Publish(file, []byte("one")))
	before, err := os.Stat(file)
	require.NoError(t, err)
	require.Zero(t, before.Mode().Perm()&^0o644)
	require.NoError(t, Publish(file, []byte("one")))
	same, err := os.Stat(file)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, same))
	require.NoError(t, Publish(file, []byte("two")))
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "two", string(b))
	other, err := os.Stat(file)
	require.NoError(t, err)
	require.False(t, os.SameFile(before, other), "who had it open reads the one from before")
	list, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, list, 1)
}
