//go:build unix

package plainfile

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("plain", "text")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	require.NoError(t, os.Symlink("plain", filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "out")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()

	f, err := Open(root, "plain", 0)
	require.NoError(t, err)
	text, err := io.ReadAll(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, "text", string(text))
	f, err = Open(root, "folder", fs.ModeDir)
	require.NoError(t, err)
	names, err := f.Readdirnames(-1)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Empty(t, names)

	for _, name := range []string{"folder", "link", "out", "pipe"} {
		_, err := Open(root, name, 0)
		require.ErrorContains(t, err, filepath.Join(dir, name), "what is not a file is refused")
	}
	_, err = Open(root, "plain", fs.ModeDir)
	require.ErrorContains(t, err, "want a file or folder of the gateway's own")
	_, err = Open(root, "missing", 0)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// TestReplaced: what is put into a file's place after it was looked at is refused, and not waited for: nobody writes into the pipe.
func TestReplaced(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "out")))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	for _, name := range []string{"pipe", "out"} {
		_, err := open(root, name, 0)
		require.Error(t, err, name)
	}
}
