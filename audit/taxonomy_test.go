package audit

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// Every type of event is in the table of docs/audit.md, and nothing else is.
func TestTaxonomy(t *testing.T) {
	want := map[string]bool{}
	f, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	require.NoError(t, err)
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			for _, x := range v.Values {
				if lit, ok := x.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					s, err := strconv.Unquote(lit.Value)
					require.NoError(t, err)
					want[s] = true
				}
			}
		}
		return true
	})
	require.True(t, want[SessionStart])
	delete(want, GatewayPrefix)
	delete(want, ReviewPrefix) // its states are review's, which audit does not know
	for k := proxy.EventKind(1); k.String() != ""; k++ {
		if k != proxy.EventSessionStart && k != proxy.EventSessionEnd { // the session's own record tells
			want[GatewayPrefix+k.String()] = true
		}
	}
	types := map[string]bool{}
	for _, typ := range Types() {
		types[typ] = true
	}
	require.Equal(t, want, types)
	doc, err := os.ReadFile("../docs/audit.md")
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(doc), "| type | when |\n|---|---|\n")
	require.True(t, ok)
	table, _, _ = strings.Cut(table, "\n\n")
	got := map[string]bool{}
	for line := range strings.Lines(table) {
		types, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		for i, s := range strings.Split(types, "`") {
			if i%2 == 1 {
				got[s] = true
			}
		}
	}
	for typ := range want {
		require.True(t, got[typ], "docs/audit.md does not explain %s", typ)
	}
	for typ := range got {
		if strings.HasPrefix(typ, ReviewPrefix) {
			continue
		}
		require.True(t, want[typ], "docs/audit.md explains %s, which is not recorded", typ)
	}
}
