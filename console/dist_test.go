package console_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/devtool"
)

// TestDist: the files that are part of the module are those that the sources make, byte for byte.
func TestDist(t *testing.T) {
	devtool.Modules(t) // or it is skipped
	out := t.TempDir()
	text, err := exec.Command(devtool.Build(t, "consoledev"), "-root", "..", "-out", out).CombinedOutput()
	require.NoError(t, err, "%s", text)
	const hint = "console/dist is not what console/src makes: run go generate ./console"
	made, err := os.ReadDir(out)
	require.NoError(t, err)
	there, err := os.ReadDir("dist")
	require.NoError(t, err)
	var want, got []string
	for _, e := range made {
		want = append(want, e.Name())
	}
	for _, e := range there {
		got = append(got, e.Name())
	}
	require.Equal(t, want, got, hint)
	for _, name := range got {
		is, err := os.ReadFile(filepath.Join("dist", name))
		require.NoError(t, err)
		if plain, ok := strings.CutSuffix(name, ".gz"); ok { // how well it is packed is up to the compiler's version
			r, err := gzip.NewReader(bytes.NewReader(is))
			require.NoError(t, err)
			is, err = io.ReadAll(r)
			require.NoError(t, err)
			name = plain
		}
		should, err := os.ReadFile(filepath.Join(out, name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(should, is), "%s: %s", name, hint)
	}
}

// TestTypes: the sources say the same of each other's values.
func TestTypes(t *testing.T) {
	modules := devtool.Modules(t)
	src, err := filepath.Abs("src")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Symlink(src, filepath.Join(dir, "src")))
	require.NoError(t, os.Symlink(modules, filepath.Join(dir, "node_modules")))
	text, err := exec.Command(filepath.Join(modules, ".bin", "tsc"), "--project", filepath.Join(dir, "src"), "--preserveSymlinks").CombinedOutput()
	require.NoError(t, err, "%s", text)
}

// TestBudget: what a page begins with is small, and so is all of it.
func TestBudget(t *testing.T) {
	all, first := int64(0), int64(0)
	files, err := os.ReadDir("dist")
	require.NoError(t, err)
	for _, e := range files {
		info, err := e.Info()
		require.NoError(t, err)
		all += info.Size()
		for _, name := range []string{"app-", "chunk-", "home-"} {
			if strings.HasPrefix(e.Name(), name) && strings.HasSuffix(e.Name(), ".gz") {
				first += info.Size()
			}
		}
	}
	require.LessOrEqual(t, first, int64(60<<10), "script and style of the first page, in gzip's form")
	require.LessOrEqual(t, all, int64(1500<<10), "all files")
	t.Logf("first page %d bytes, all %d bytes", first, all)
}
