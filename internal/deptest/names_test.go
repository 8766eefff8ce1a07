package deptest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// protocolNames are those of protocols and of the dialects that are called like
// them, built or not.
var protocolNames = []string{"postgres", "postgresql", "mysql", "mariadb", "ssh", "kubernetes"}

// mayName are folders whose files may name protocols.
var mayName = []string{"protocol", "cmd", "examples", "docs"}

// named are the other files that name protocols, and why each may.
var named = map[string]string{
	"audit/ocsf/ocsf.go":                "OCSF has classes for SSH and for data stores; records name the protocol, and a class is found by it",
	"audit/otel/translate.go":           "the semantic conventions have names of their own for database systems",
	"detect/assigned.go":                "names of client programs in command lines that hold secrets",
	"internal/bench/main.go":            "measures one protocol",
	"internal/bench/paths.go":           "measures one protocol",
	"internal/mariaembed/mariaembed.go": "names the server's programs and user",
	"internal/pgembed/pgembed.go":       "names the server's program and role",
	"internal/testserver/postgres.go":   "names the server's database",
	"runbook/exec.go":                   "names of programs that run a text which is a word of theirs",
	"runbook/git/mirror.go":             "the scheme of a repository's address, and the program that git runs for it",
	"runbook/git/source.go":             "the scheme of a repository's address",
	"secrets/kubernetes/kubernetes.go":  "names where secrets come from",
	"internal/testserver/smallvault.go": "names the server's database",
	"secrets/vault/login.go":            "Vault's own name of a login",
	"secrets/vault/ssh.go":              "Vault's own name of an engine",
	"tools/vaultdev/main.go":            "Vault's own names of engines",
}

// literals are the places in a file where a string is the name of a protocol.
func literals(f *ast.File) []token.Pos {
	var found []token.Pos
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false // a path
		case *ast.BasicLit:
			if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && slices.Contains(protocolNames, s) {
				found = append(found, n.Pos())
			}
		}
		return true
	})
	return found
}

// TestProtocolNames holds that a protocol is a value: no code switches over the
// names of protocols, so that one from outside of the module needs no edit here.
func TestProtocolNames(t *testing.T) {
	set := token.NewFileSet()
	used := make(map[string]bool)
	files(t, func(path string, text []byte) {
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata/") {
			return
		}
		if slices.ContainsFunc(mayName, func(dir string) bool { return inside(path, dir) }) {
			return
		}
		f, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, at := range literals(f) {
			used[path] = true
			if named[path] == "" {
				t.Errorf("%s names a protocol; ask for a property of it instead: its dialect, its kinds of operations, the shape of its data.", set.Position(at))
			}
		}
	})
	for path := range named {
		if !used[path] {
			t.Errorf("%s names no protocol any more; take it off the list.", path)
		}
	}
}

// TestProtocolNamesSees shows what is found.
func TestProtocolNamesSees(t *testing.T) {
	for _, c := range []struct {
		name, text string
		found      int
	}{
		{"a comparison", `var x = s.Protocol == "ssh"`, 1},
		{"a switch", "func f() { switch p { case \"postgres\", `mysql`: } }", 2},
		{"a map", `var m = map[string]bool{"kubernetes": true}`, 1},
		{"bytes", `var b = []byte("mariadb")`, 1},
		{"a constant", `const c = "postgresql"`, 1},
		{"a longer text", `var s = "ssh is spoken here"`, 0},
		{"an import", `import "ssh"`, 0},
		{"a comment", "// ssh\nvar x = 1", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\n"+c.text, parser.SkipObjectResolution)
			require.NoError(t, err)
			require.Len(t, literals(f), c.found)
		})
	}
}
