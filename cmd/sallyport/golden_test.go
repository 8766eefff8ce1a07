package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// updateFlag adds the flag that has golden tests write what they see:
// go test -run Golden -update.
func updateFlag() { flag.Bool("update", false, "rewrite the golden files") }

func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// golden holds what a test saw against testdata/golden/NAME. A line is a case:
// fields between tabs, in the order of columns. Goldens hold decisions: verdict,
// rule, cause, codes and counts. They hold no wording, time, identifier or
// address, so that texts can be rewritten and decisions cannot.
type golden struct {
	name  string
	lines []string
}

func newGolden(name string, columns ...string) *golden {
	return &golden{name, []string{"# " + strings.Join(columns, "\t")}}
}

// add adds a case. An empty field is written as "-".
func (g *golden) add(fields ...string) {
	for i, f := range fields {
		if fields[i] = visible(f); f == "" {
			fields[i] = "-"
		}
	}
	g.lines = append(g.lines, strings.Join(fields, "\t"))
}

// check compares line by line, and says every line that differs.
func (g *golden) check(t *testing.T) {
	t.Helper()
	file := filepath.Join("testdata", "golden", g.name)
	if updating() {
		require.NoError(t, os.WriteFile(file, []byte(strings.Join(g.lines, "\n")+"\n"), 0o644))
		return
	}
	b, err := os.ReadFile(file)
	require.NoError(t, err, "make it with -update")
	want := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	for i := range max(len(want), len(g.lines)) {
		w, got := "(nothing)", "(nothing)"
		if i < len(want) {
			w = want[i]
		}
		if i < len(g.lines) {
			got = g.lines[i]
		}
		if w != got {
			t.Errorf("%s:%d\n got %s\nwant %s", file, i+1, got, w)
		}
	}
}

// corpus returns the lines of a file of testdata/corpus that are not comments.
func corpusLines(t *testing.T, name string) (list []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "corpus", name))
	require.NoError(t, err)
	seen := make(map[string]bool)
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSuffix(line, "\n"); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		require.False(t, seen[line], "%s: %q is there twice", name, line)
		seen[line] = true
		list = append(list, line)
	}
	require.NotEmpty(t, list)
	return list
}
