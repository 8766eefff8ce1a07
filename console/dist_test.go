package console_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
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
		require.True(t, bytes.Equal(unpacked(t, filepath.Join(out, name)), unpacked(t, filepath.Join("dist", name))), "%s: %s", name, hint)
	}
}

// unpacked reads a file. How well one is packed is up to the compiler's version.
func unpacked(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	if strings.HasSuffix(file, ".gz") {
		r, err := gzip.NewReader(bytes.NewReader(b))
		require.NoError(t, err)
		b, err = io.ReadAll(r)
		require.NoError(t, err)
	}
	return b
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

// static are the files that a script cannot do without.
var static = regexp.MustCompile(`(?:from|import)"\./([^"]+)"`)

// TestBudget: what a page begins with is small, and so is all of it.
func TestBudget(t *testing.T) {
	all, first := int64(0), int64(0)
	files, err := os.ReadDir("dist")
	require.NoError(t, err)
	var begin []string
	for _, e := range files {
		info, err := e.Info()
		require.NoError(t, err)
		all += info.Size()
		if name, ok := strings.CutSuffix(e.Name(), ".gz"); ok && (strings.HasPrefix(name, "app-") || strings.HasPrefix(name, "home-")) {
			begin = append(begin, name)
		}
	}
	require.Len(t, begin, 3)
	for i := 0; i < len(begin); i++ {
		info, err := os.Stat(filepath.Join("dist", begin[i]+".gz"))
		require.NoError(t, err)
		first += info.Size()
		for _, m := range static.FindAllStringSubmatch(string(unpacked(t, filepath.Join("dist", begin[i]+".gz"))), -1) {
			if !slices.Contains(begin, m[1]) {
				begin = append(begin, m[1])
			}
		}
	}
	require.LessOrEqual(t, first, int64(60<<10), "script and style of the first page, in gzip's form")
	require.LessOrEqual(t, all, int64(1500<<10), "all files")
	t.Logf("first page %d bytes, all %d bytes", first, all)
}
