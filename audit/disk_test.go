package audit

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Everything that the package writes goes through its storage, so that the tests of faults and of
// lost power reach it.
func TestEveryWriteGoesThroughTheStorage(t *testing.T) {
	writing := map[string]bool{
		"Chmod": true, "Chown": true, "Chtimes": true, "CopyFS": true, "Create": true, "CreateTemp": true, "Link": true, "Mkdir": true, "MkdirAll": true,
		"MkdirTemp": true, "OpenFile": true, "OpenRoot": true, "Remove": true, "RemoveAll": true, "Rename": true, "Symlink": true, "Truncate": true, "WriteFile": true,
	}
	storages := map[string]bool{"owner_unix.go": true, "owner_windows.go": true, "files.go": true, "lock.go": true}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if of, ok := call.X.(*ast.Ident); ok && of.Name == "os" && writing[call.Sel.Name] {
				found++
				require.True(t, storages[name], "%s calls os.%s: use the log's disk", name, call.Sel.Name)
			}
			return true
		})
	}
	require.Greater(t, found, 3)
}
