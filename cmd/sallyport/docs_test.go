package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/revision"
)

func document(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", name))
	require.NoError(t, err)
	return string(b)
}

// Every config that a document shows is one that the gateway takes.
func TestDocumentedConfigs(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	n := 0
	for _, name := range []string{"README.md", "docs/config.md", "docs/console.md", "docs/clients.md", "docs/login.md", "docs/reviews.md", "docs/ssh.md", "docs/mysql.md", "docs/web.md", "docs/tcp.md", "docs/kubernetes.md", "docs/aws.md"} {
		found := blocks.FindAllStringSubmatch(document(t, name), -1)
		if name == "docs/reviews.md" {
			found = found[:2] // the others are parts
		}
		for _, m := range found {
			f, err := config.Parse(filepath.Join(t.TempDir(), "sallyport.yaml"), []byte(m[1]), configOptions())
			require.NoError(t, err, "%s:\n%s", name, m[1])
			_, err = f.Policy()
			require.NoError(t, err)
			_, err = f.Directory(t.Context(), nil)
			require.NoError(t, err)
			n++
		}
	}
	require.GreaterOrEqual(t, n, 2)
}

// TestBreakGlass: the account for emergencies that docs/login.md shows connects by its second factor,
// when that was proven recently, and by nothing less; what it writes waits for an approval.
func TestBreakGlass(t *testing.T) {
	text := ""
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(document(t, "docs/login.md"), -1) {
		if strings.Contains(m[1], "breakglass") {
			text = m[1]
		}
	}
	f, err := config.Parse(filepath.Join(t.TempDir(), "sallyport.yaml"), []byte(text), configOptions())
	require.NoError(t, err)
	rules, err := f.Policy()
	require.NoError(t, err)
	all, err := f.Directory(t.Context(), nil)
	require.NoError(t, err)
	orders, err := all.Lookup(t.Context(), "orders")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		methods string
		age     time.Duration
		want    []string
	}{
		"with the second factor": {identity.MethodsFactor, time.Minute, []string{"emergency", "emergency-writes"}},
		"some time ago":          {identity.MethodsFactor, time.Hour, []string{"emergency-writes"}},
		"by the password alone":  {"", time.Minute, []string{"emergency-writes"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := &proxy.Gateway{}
			require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{rules}}))
			id := &proxy.Identity{Subject: "breakglass", Groups: []string{"emergency"}, AuthTime: time.Now().Add(-c.age), Claims: map[string]string{identity.ClaimMethods: c.methods}}
			s, _, err := g.Open(t.Context(), proxy.OpenRequest{Identity: id, Target: proxy.Target{Resource: orders}, Dry: true})
			if len(c.want) == 1 {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			defer s.Close(nil)
			require.Equal(t, c.want, rules.Decide(s).Rules)
			v := s.Ask(t.Context(), &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Facts: &proxy.Facts{Effects: proxy.EffectInsert}})
			require.Equal(t, proxy.ActionHold, v.Action)
		})
	}
}

// The objects of docs/objects.md can be applied at a gateway of its config file.
func TestDocumentedObjects(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(document(t, "docs/objects.md"), -1)
	require.Len(t, blocks, 2)
	f, err := config.Parse(filepath.Join(t.TempDir(), "sallyport.yaml"), []byte(blocks[0][1]), configOptions())
	require.NoError(t, err)
	list, err := config.ReadObjects("team.yaml", []byte(blocks[1][1]))
	require.NoError(t, err)
	var changes []revision.Change
	for _, o := range list {
		changes = append(changes, revision.Change{Key: o.Key, After: o.Text})
	}
	_, err = f.Try(list, changes)
	require.NoError(t, err)
}

// Every command that a document shows exists, with its flags.
func TestDocumentedCommands(t *testing.T) {
	line := regexp.MustCompile("(?m)^    (?:bin/)?(sallyport .*)$|`(?:bin/)?(sallyport [^`]+)`")
	files, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	require.NoError(t, err)
	n := 0
	for _, file := range append(files, filepath.Join("..", "..", "README.md")) {
		name, err := filepath.Rel(filepath.Join("..", ".."), file)
		require.NoError(t, err)
		for _, m := range line.FindAllStringSubmatch(document(t, name), -1) {
			exists(t, m[1]+m[2])
			n++
		}
	}
	require.Greater(t, n, 60)
}

// Every key of the config file is in docs/config.md.
func TestDocumentedKeys(t *testing.T) {
	text := document(t, "docs/config.md")
	n := 0
	var visit func(of reflect.Type)
	seen := map[reflect.Type]bool{}
	visit = func(of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || seen[of] {
			return
		}
		seen[of] = true
		for i := range of.NumField() {
			f := of.Field(i)
			key, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if key == "" || key == "-" || option == "later" {
				continue
			}
			require.Regexp(t, `\b`+key+`\b`, text, "%s of %s", key, of)
			n++
			visit(f.Type)
		}
	}
	visit(reflect.TypeFor[config.File]())
	for _, p := range gateway.Defaults().Protocols {
		visit(reflect.TypeOf(p.Settings()))
	}
	require.Greater(t, n, 100)
}

// The table of words in docs/config.md is the one that the rules know.
func TestDocumentedActions(t *testing.T) {
	text := document(t, "docs/config.md")
	for _, effect := range policy.Actions() {
		require.Contains(t, text, "`"+effect+"`")
	}
}

// Every test that the threat model names exists. Suites that others call are tests of
// proxytest.
func TestDocumentsNameTests(t *testing.T) {
	tests := map[string]bool{}
	require.NoError(t, filepath.WalkDir(filepath.Join("..", ".."), func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, "_test.go") && !strings.HasSuffix(filepath.Dir(p), "proxytest") {
			return err
		}
		b, err := os.ReadFile(p)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(b), -1) {
			tests[m[1]] = true
		}
		return err
	}))
	for file, least := range map[string]int{"docs/threat-model.md": 30, "docs/masking.md": 30, "docs/objects.md": 10} {
		named := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(document(t, file), -1)
		require.Greater(t, len(named), least)
		for _, name := range named {
			require.True(t, tests[name], "%s names %s, which does not exist", file, name)
		}
	}
}

// Every message that docs/troubleshooting.md explains is one that the code says, apart
// from the parts that differ.
func TestDocumentedMessages(t *testing.T) {
	var code strings.Builder
	require.NoError(t, filepath.WalkDir(filepath.Join("..", ".."), func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return err
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if b, ok := n.(*ast.BasicLit); ok && b.Kind == token.STRING {
				s, err := strconv.Unquote(b.Value)
				require.NoError(t, err)
				code.WriteString(s + "\n")
			}
			return true
		})
		return nil
	}))
	// Texts that are written in parts continue on the next line.
	joined := strings.ReplaceAll(code.String(), " \n", " ")
	headings := regexp.MustCompile("(?m)^### `(.*)`$").FindAllStringSubmatch(document(t, "docs/troubleshooting.md"), -1)
	require.Greater(t, len(headings), 7)
	for _, h := range headings {
		said := false
		for part := range strings.SplitSeq(strings.ReplaceAll(h[1], "` and `", "…"), "…") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			said = true
			require.Contains(t, joined, part, "docs/troubleshooting.md explains %q", h[1])
		}
		require.True(t, said, h[1])
	}
}
