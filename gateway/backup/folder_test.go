package backup

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// Two names that are one to the file system do not become one file, which would be neither.
func TestFolderOneName(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	defer root.Close()
	d := folder{root: root}
	write := func(text string, again bool) error {
		w, err := d.create("data/a", 0o600, again)
		if err != nil {
			return err
		}
		_, err = w.Write([]byte(text))
		require.NoError(t, err)
		return w.Close()
	}
	require.NoError(t, write("one", false))
	require.ErrorContains(t, write("two", false), "upper and lower case")
	require.ErrorIs(t, write("two", false), fs.ErrExist)
	require.NoError(t, write("three", true), "a file that was changed while it was read comes again")
	text, err := root.ReadFile("data/a")
	require.NoError(t, err)
	require.Equal(t, "three", string(text))
}

// The names of files, which are kept until the list of them was read, are bounded as it is.
func TestNamesAreBounded(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "data/a", Mode: 0o600}))
	require.NoError(t, w.Close())
	r := &reader{to: nowhere{}, files: make(manifest), names: maxManifest - len("data/a") + 1}
	archive := tar.NewReader(&b)
	h, err := archive.Next()
	require.NoError(t, err)
	require.ErrorContains(t, r.file(archive, h), "the names of its files")
}
