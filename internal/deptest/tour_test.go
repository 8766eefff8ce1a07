package deptest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTour holds that the root's doc names every package that can be imported and
// every example, once each, and nothing that is not there; and that docs/design.md
// has a row for each.
func TestTour(t *testing.T) {
	text, err := os.ReadFile("../../doc.go")
	require.NoError(t, err)
	design, err := os.ReadFile("../../docs/design.md")
	require.NoError(t, err)
	var named, there []string
	for _, m := range regexp.MustCompile(`(?m)^//   - \[?([a-z0-9/]+)\]?: `).FindAllSubmatch(text, -1) {
		named = append(named, string(m[1]))
	}
	for _, p := range list(t) {
		if !strings.HasPrefix(p.ImportPath, module+"/") || slices.Contains(strings.Split(p.rel(), "/"), "internal") {
			continue
		}
		there = append(there, p.rel())
		if row := regexp.MustCompile("(?m)^\\|[^|]*`" + p.rel() + "`[^|]*\\|"); !row.Match(design) {
			t.Errorf("docs/design.md has no row for %s", p.rel())
		}
	}
	slices.Sort(named)
	slices.Sort(there)
	require.Equal(t, there, named, "the list in doc.go")
	for _, name := range there {
		if inside(name, "examples") {
			require.Contains(t, string(text), "// ["+name+"]: https://"+module+"/tree/main/"+name+"\n")
		}
	}
}
