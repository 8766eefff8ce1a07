package console_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Budgets of the files, in bytes.
const (
	maxFirstLoad = 60 << 10         // of scripts and styles, packed: all that somebody needs to see the sign-in
	maxAssets    = 1500 << 10       // of everything, as browsers are sent it
	maxPage      = maxFirstLoad * 3 // of what one page loads besides, packed
)

var (
	staticImport  = regexp.MustCompile(`(?:import|from)"\./([^"]+\.js)"`)
	dynamicImport = regexp.MustCompile(`import\("\./([^"]+\.js)"\)`)
)

// TestSize: the console stays within its budgets.
func TestSize(t *testing.T) {
	size := func(name string) int64 {
		for _, file := range []string{name + ".gz", name} {
			if s, err := os.Stat(filepath.Join("dist", file)); err == nil {
				return s.Size()
			}
		}
		t.Fatalf("dist has no %s", name)
		return 0
	}
	var m struct{ Script, Style string }
	b, err := os.ReadFile(filepath.Join("dist", "manifest.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &m))
	read := func(name string) string {
		for _, file := range []string{name, name + ".gz"} {
			if _, err := os.Stat(filepath.Join("dist", file)); err == nil {
				return string(unpacked(t, filepath.Join("dist", file)))
			}
		}
		t.Fatalf("dist has no %s", name)
		return ""
	}
	loaded := make(map[string]bool)
	var load func(name string) int64 // with what it imports and is not there yet
	load = func(name string) (sum int64) {
		if loaded[name] {
			return 0
		}
		loaded[name] = true
		sum = size(name)
		for _, i := range staticImport.FindAllStringSubmatch(read(name), -1) {
			sum += load(i[1])
		}
		return sum
	}
	first := load(m.Script) + size(m.Style)
	t.Logf("first load: %d bytes, packed", first)
	require.LessOrEqual(t, first, int64(maxFirstLoad), "scripts and styles of the first load")
	shell := len(loaded)
	require.Greater(t, shell, 1, "the imports were not found")
	for _, i := range dynamicImport.FindAllStringSubmatch(read(m.Script), -1) {
		before := make(map[string]bool)
		for name := range loaded {
			before[name] = true
		}
		page := load(i[1])
		t.Logf("%-28s %7d bytes, packed, besides", strings.Split(i[1], "-")[0], page)
		require.LessOrEqual(t, page, int64(maxPage), i[1])
		loaded = before
	}
	files, err := os.ReadDir("dist")
	require.NoError(t, err)
	var all int64
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".gz") {
			all += size(strings.TrimSuffix(f.Name(), ".gz"))
		} else if _, err := os.Stat(filepath.Join("dist", f.Name()+".gz")); err != nil {
			all += size(f.Name())
		}
	}
	t.Logf("all: %d bytes", all)
	require.LessOrEqual(t, all, int64(maxAssets), "all files")
}
