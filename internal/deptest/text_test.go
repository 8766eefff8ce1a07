package deptest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// files calls f with every text file of the repository.
func files(t *testing.T, f func(path string, text []byte)) {
	t.Helper()
	n := 0
	require.NoError(t, filepath.WalkDir("../..", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == ".git" || name == "bin" || name == "data" && filepath.Dir(p) == "../.." {
				return filepath.SkipDir
			}
			return nil
		}
		if d.Name() == ".git" { // of a linked work tree
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil || len(b) > 4<<20 || bytes.IndexByte(b, 0) >= 0 {
			return err
		}
		n++
		f(strings.TrimPrefix(p, "../../"), b)
		return nil
	}))
	require.Greater(t, n, 50)
}

// unwanted are texts that tie the repository to one person's machine or that
// never belong in it. They are written so that they do not match themselves.
var unwanted = []struct {
	text *regexp.Regexp
	why  string
}{
	{regexp.MustCompile(`(^|[\s"'(=])/(work|home|Users|root)/[\w.]`), "a path of one machine means nothing on another"},
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X:)`), "what is left to do stands in the tracker, what is done stands here"},
	{regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE ` + `KEY-----\n[A-Za-z0-9+/]{60}`), "private keys are made by the tests that need them"},
	{regexp.MustCompile(`(?m)^(<{7}|>{7}) `), "this is a conflict that nobody resolved"},
}

func TestNothingUnwanted(t *testing.T) {
	files(t, func(path string, text []byte) {
		if strings.Contains(path, "/testdata/") || strings.HasPrefix(path, "testdata/") {
			return
		}
		for _, u := range unwanted {
			if at := u.text.FindIndex(text); at != nil {
				t.Errorf("%s:%d: %q: %s.", path, 1+bytes.Count(text[:at[0]], []byte("\n")), text[at[0]:at[1]], u.why)
			}
		}
	})
}

// TestNoInitWiring holds that importing a package does nothing: no init
// functions, and no blank imports that would rely on another's.
func TestNoInitWiring(t *testing.T) {
	// A database/sql driver and the table of time zones are there by importing them; there is
	// no other way.
	drivers := []string{"modernc.org/sqlite", "time/tzdata"}
	set := token.NewFileSet()
	files(t, func(path string, text []byte) {
		if !strings.HasSuffix(path, ".go") || strings.Contains(path, "testdata/") {
			return
		}
		f, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, imp := range f.Imports {
			if name := strings.Trim(imp.Path.Value, `"`); imp.Name != nil && imp.Name.Name == "_" && name != "embed" && !slices.Contains(drivers, name) {
				t.Errorf("%s imports %s for its side effects; values are passed, not registered.", path, name)
			}
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function; importing a package must do nothing.", path)
			}
		}
	})
}

// TestNoAssignableVariables holds that no package can be changed from outside: what
// it exports are constants, functions, types and errors, and no variable that another
// package could set for everybody.
func TestNoAssignableVariables(t *testing.T) {
	// Values that tests copy.
	allowed := []string{"proxy/proxytest/gateway.go Resource", "proxy/proxytest/gateway.go Identity"}
	set := token.NewFileSet()
	files(t, func(path string, text []byte) {
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata/") {
			return
		}
		f, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if name.IsExported() && !strings.HasPrefix(name.Name, "Err") && !slices.Contains(allowed, path+" "+name.Name) {
						t.Errorf("%s: %s can be set from outside; return it from a function, or pass it.", path, name.Name)
					}
				}
			}
		}
	})
}

// TestEveryPackageHasAnExample holds that a reader of a package that others import finds a program
// to start from.
func TestEveryPackageHasAnExample(t *testing.T) {
	shown := make(map[string]bool) // by folder: whether it has one
	set := token.NewFileSet()
	files(t, func(path string, text []byte) {
		dir := filepath.Dir(path)
		if !strings.HasSuffix(path, ".go") || slices.ContainsFunc(strings.Split(dir, "/"), func(part string) bool {
			return slices.Contains([]string{"internal", "testdata", "tools", "examples", "deploy"}, part)
		}) {
			return
		}
		f, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
		require.NoError(t, err)
		if f.Name.Name == "main" || len(f.Decls) == 0 {
			return
		}
		shown[dir] = shown[dir] || slices.ContainsFunc(f.Decls, func(d ast.Decl) bool {
			fn, ok := d.(*ast.FuncDecl)
			return ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Example")
		})
	})
	require.Greater(t, len(shown), 50)
	for dir, has := range shown {
		if !has {
			t.Errorf("%s has no Example: add one to %s/example_test.go.", dir, dir)
		}
	}
}
