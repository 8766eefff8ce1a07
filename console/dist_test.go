package console_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
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

// imported are the files that a script has loaded before it runs; those that it loads later are import("./…").
var imported = regexp.MustCompile(`(?:from|import)\s*"\./([^"]+)"`)

// TestBudget: what a page begins with is small, and so is all of it.
func TestBudget(t *testing.T) {
	size := func(name string) int64 {
		info, err := os.Stat(filepath.Join("dist", name))
		require.NoError(t, err)
		return info.Size()
	}
	files, err := os.ReadDir("dist")
	require.NoError(t, err)
	all := int64(0)
	var begins []string
	for _, e := range files {
		all += size(e.Name())
		if name := e.Name(); strings.HasPrefix(name, "app-") && path.Ext(name) != ".gz" || strings.HasPrefix(name, "home-") && path.Ext(name) == ".js" {
			begins = append(begins, name)
		}
	}
	require.Len(t, begins, 3, "script, style and the first page: %v", begins)
	first := int64(0)
	for i := 0; i < len(begins); i++ { // which grows
		first += size(begins[i] + ".gz")
		text, err := os.ReadFile(filepath.Join("dist", begins[i]))
		require.NoError(t, err)
		for _, m := range imported.FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(begins, m[1]) {
				begins = append(begins, m[1])
			}
		}
	}
	require.Greater(t, len(begins), 3, "they share something")
	require.LessOrEqual(t, first, int64(60<<10), "script and style of the first page, in gzip's form: %v", begins)
	require.LessOrEqual(t, all, int64(1500<<10), "all files")
	t.Logf("first page %d bytes of %d files, all %d bytes", first, len(begins), all)
}
