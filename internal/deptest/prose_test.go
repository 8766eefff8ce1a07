package deptest

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "lower testdata/prose.txt to what is found; write it when it does not exist")

// budgetFile lists how many findings each file may have: path, rule, number. It
// only shrinks: a file that is not listed has no findings.
const budgetFile = "testdata/prose.txt"

// proseRule is a habit that is found by its words.
type proseRule struct {
	name  string
	words *regexp.Regexp
	but   *regexp.Regexp // matches that are allowed; nil allows none
	write string         // what to write
	// messages limits the rule to messages of libraries.
	messages bool
}

// spaced compiles a pattern in which a space is any white space, so that a match
// may continue on the next line.
func spaced(pattern string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)` + strings.ReplaceAll(pattern, " ", `\s+`))
}

var commandUse = regexp.MustCompile(`\bUse:\s+"([a-z-]+)`)

// commands are those of the binary, as alternatives of a pattern.
func commands(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("../../cmd/sallyport/*.go")
	require.NoError(t, err)
	var names []string
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range commandUse.FindAllSubmatch(b, -1) {
			names = append(names, string(m[1]))
		}
	}
	require.Subset(t, names, []string{"serve", "sessions", "passwd"})
	return strings.Join(names, "|")
}

var configTag = regexp.MustCompile("yaml:\"([a-z0-9]+_[a-z0-9_]+)")

// configKeys are the keys of the reference config that nobody would write in a
// sentence, as alternatives of a pattern.
func configKeys(t *testing.T) string {
	t.Helper()
	var keys []string
	files, err := filepath.Glob("../../gateway/config/*.go")
	require.NoError(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		for _, m := range configTag.FindAllSubmatch(b, -1) {
			keys = append(keys, string(m[1]))
		}
	}
	require.Contains(t, keys, "masking_key")
	slices.Sort(keys)
	return strings.Join(slices.Compact(keys), "|")
}

func proseRules(t *testing.T) []proseRule {
	t.Helper()
	return []proseRule{
		{
			name: "none", words: spaced(`\b(\w+ )?(is|are|was|were) none( of)?\b`), but: spaced(`^there | of$`),
			write: `what it is not ("is not a number"), or "there is none"`,
		},
		{
			name: "is-no", words: spaced(`\b(\w+ )?(is|are|was|were) no \w+`),
			but:   spaced(`^there |^(\w+ )?\w+ no (longer|more|less|larger|smaller|greater|shorter|longer|higher|lower|older|newer|earlier|later|better|worse|different|slower|faster)$`),
			write: `"is not a …", or "there is no …"`,
		},
		{
			name: "stands", words: spaced(`\bstands\b|\b(stand|stood) (alone|before|beside|behind|for|here|in|there)\b`),
			write: `"is", "means", "is listed in", "is written in"`,
		},
		{name: "beside", words: spaced(`\bbeside\b`), write: `"next to", "in addition to", "together with"`},
		{name: "behind", words: spaced(`\bbehind\b`), write: `"after", "under", "that the gateway serves", "late"`},
		{name: "whoever", words: spaced(`\bwho(so)?ever\b|\bwhom\b`), write: `who it is: the user, the approver, the caller`},
		{name: "speaks-of", words: spaced(`\b(speaks?|speaking|spoke|spoken) of\b`), write: `"is about", "describes", "names"`},
		{
			name:  "has-done",
			words: spaced(`\b(has|have|had|having) (it|them|((the|its|their|a|an|every|each|all) \w+)) (asked|checked|done|kept|made|masked|read|recorded|refused|run|sealed|sent|signed|told|written)\b( by)?|\b(has|have|had) not (a|an|any|its|the|their)\b`),
			but:   spaced(` by$`),
			write: `who does it: "the gateway signs the key"; "does not have"`,
		},
		{
			name:  "rate",
			words: spaced(`\b(once|twice|times|one|bytes|events|lines|rows|channels|[KM]i?B|\d+) an? (column|event|line|operation|request|resource|result|row|session|stream|user|value)\b|\b(a|one|hundred) (entry|file|line|note|object|row|segment) an? (event|line|operation|row|segment|session|text|value)\b`),
			write: `"per session", "for each session"`,
		},
		{
			name: "nothing-of", words: spaced(`\bof (which|what)( \w+){0,4} nothing\b|\bnothing can be (known|said|told) of\b|\bof (which|what) nothing\b`),
			write: `"nothing is known about …", or what is not known`,
		},
		{name: "an-own", words: spaced(`\ban own\b`), write: `"its own …", "a … of its own"`},
		{
			name: "binary", words: spaced(`\bsallyport (` + commands(t) + `)\b`), messages: true,
			write: `what is to be done; hints that need a command come from the assembly`,
		},
		{
			name: "config-key", words: spaced(`\b(` + configKeys(t) + `)\b`), messages: true,
			write: `the thing; only the assembly knows its config file's keys`,
		},
	}
}

// notProse are paths whose texts are data, and why.
var notProse = map[string]string{
	"internal/deptest/prose_test.go": "it names what it looks for",
	"internal/maskdata/":             "sample texts in which values are looked for",
	"detect/internal/prose/train/":   "sample texts in which names are looked for",
}

// messagesElsewhere are folders that may name the binary and keys of the config
// file: they are the assembly, or show how to use it.
var messagesElsewhere = []string{"cmd", "docs", "examples", "gateway", "internal"}

// passage is a piece of text, with offsets into the file's text kept.
type passage struct {
	text    string
	line    int
	message bool // a string literal of a library
}

// find returns where a rule's words are, in a text.
func (r *proseRule) find(p *passage) []finding {
	if r.messages && !p.message {
		return nil
	}
	var found []finding
	for _, at := range r.words.FindAllStringIndex(p.text, -1) {
		words := strings.Join(strings.Fields(p.text[at[0]:at[1]]), " ")
		if r.but != nil && r.but.MatchString(words) {
			continue
		}
		found = append(found, finding{p.line + strings.Count(p.text[:at[0]], "\n"), words})
	}
	return found
}

type finding struct {
	line  int
	words string
}

// passages are the texts of a file: comments and string literals of Go, and
// Markdown without code.
func passages(path string, text []byte) ([]passage, error) {
	switch {
	case strings.HasSuffix(path, ".md"):
		return []passage{{text: markdown(text), line: 1}}, nil
	case strings.HasSuffix(path, ".go"):
		return goPassages(path, text)
	}
	return nil, nil
}

var inlineCode = regexp.MustCompile("`[^`\n]*`")

// markdown is the text with code made blank.
func markdown(text []byte) string {
	var b strings.Builder
	fence := false
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(strings.TrimLeft(line, " "), "```"):
			fence = !fence
			line = "\n"
		case fence, strings.HasPrefix(line, "    "):
			line = "\n"
		}
		b.WriteString(inlineCode.ReplaceAllString(line, "…"))
	}
	return b.String()
}

var commentMark = regexp.MustCompile(`(?m)^[\t ]*//`)

func goPassages(path string, text []byte) ([]passage, error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var ps []passage
	for _, c := range f.Comments {
		from, to := set.Position(c.Pos()), set.Position(c.End())
		ps = append(ps, passage{text: commentMark.ReplaceAllString(string(text[from.Offset:to.Offset]), ""), line: from.Line})
	}
	if strings.HasSuffix(path, "_test.go") {
		return ps, nil // its texts are inputs
	}
	library := !slices.ContainsFunc(messagesElsewhere, func(dir string) bool { return inside(path, dir) })
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			return n.Tag == nil // a tag is not prose, and types have no texts
		case *ast.BasicLit:
			if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				if strings.HasPrefix(n.Value, `"`) {
					s = strings.ReplaceAll(s, "\n", " ") // all on one line of the file
				}
				ps = append(ps, passage{text: s, line: set.Position(n.Pos()).Line, message: library && strings.Contains(s, " ")})
			}
		}
		return true
	})
	return ps, nil
}

// spot is a place in the budget.
type spot struct{ path, rule string }

// readBudget reads the list. It is nil when the file does not exist.
func readBudget(t *testing.T) map[spot]int {
	t.Helper()
	b, err := os.ReadFile(budgetFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	budget := make(map[spot]int)
	for i, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var s spot
		var n int
		_, err := fmt.Sscan(line, &s.path, &s.rule, &n)
		require.NoError(t, err, "%s:%d: want PATH RULE NUMBER", budgetFile, i+1)
		require.Positive(t, n, "%s:%d: a file without findings is not listed", budgetFile, i+1)
		require.NotContains(t, budget, s, "%s:%d: listed twice", budgetFile, i+1)
		budget[s] = n
	}
	return budget
}

func writeBudget(t *testing.T, budget map[spot]int) {
	t.Helper()
	spots := slices.SortedFunc(maps.Keys(budget), func(a, b spot) int {
		return cmp.Or(strings.Compare(a.path, b.path), strings.Compare(a.rule, b.rule))
	})
	var b bytes.Buffer
	b.WriteString("# How many places of old prose each file may have: PATH RULE NUMBER. See TestProse. Numbers only go down.\n")
	for _, s := range spots {
		fmt.Fprintf(&b, "%s %s %d\n", s.path, s.rule, budget[s])
	}
	require.NoError(t, os.WriteFile(budgetFile, b.Bytes(), 0o644))
}

// TestProse holds that texts are plain English, as far as that can be found by
// words. Files that are older than the rules may have as many findings as
// testdata/prose.txt says, and no more; when one has fewer, the list must be
// lowered: go test ./internal/deptest -run Prose -update.
func TestProse(t *testing.T) {
	rules := proseRules(t)
	found := make(map[spot][]finding)
	files(t, func(path string, text []byte) {
		if strings.Contains(path, "testdata/") {
			return
		}
		for p := range notProse {
			if path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p) {
				return
			}
		}
		ps, err := passages(path, text)
		require.NoError(t, err)
		for i := range ps {
			for k := range rules {
				s := spot{path, rules[k].name}
				if fs := rules[k].find(&ps[i]); len(fs) > 0 {
					found[s] = append(found[s], fs...)
				}
			}
		}
	})
	budget := readBudget(t)
	if *update {
		lowered := make(map[spot]int)
		for s, fs := range found {
			if n := min(len(fs), budget[s]); n > 0 {
				lowered[s] = n
			} else if budget == nil {
				lowered[s] = len(fs)
			}
		}
		writeBudget(t, lowered)
		budget = lowered
	}
	for s, fs := range found {
		if len(fs) <= budget[s] {
			continue
		}
		write := rules[slices.IndexFunc(rules, func(r proseRule) bool { return r.name == s.rule })].write
		for _, f := range fs {
			t.Errorf("%s:%d: %q: write %s. (%s: %d are found, %d are allowed.)", s.path, f.line, f.words, write, s.rule, len(fs), budget[s])
		}
	}
	for s, n := range budget {
		if len(found[s]) < n {
			t.Errorf("%s has %d places of %q and the list says %d; lower it: go test ./internal/deptest -run Prose -update.", s.path, len(found[s]), s.rule, n)
		}
	}
}

// TestProseSees shows what each rule finds, and what it lets be.
func TestProseSees(t *testing.T) {
	for _, c := range []struct{ name, path, text, want string }{
		{"none", "a.md", "Its size is none.", "none"},
		{"there is none", "a.md", "It is made when there is none.", ""},
		{"none of", "a.md", "It is none of them.", ""},
		{"is no", "a.md", "This is no\nnumber.", "is-no"},
		{"are no", "a.md", "Those are no hours.", "is-no"},
		{"there is no", "a.md", "There is no number, and it has no name.", ""},
		{"no longer", "a.md", "It is no longer open, and is no larger than that.", ""},
		{"stands", "a.md", "The list stands in a file.", "stands"},
		{"stand in", "a.md", "Secrets never stand in this file.", "stands"},
		{"standard", "a.md", "The standard library stands out.", "stands"},
		{"standing", "a.md", "A standing order, and they understand.", ""},
		{"beside", "a.md", "A file beside it.", "beside"},
		{"besides", "a.md", "Besides, it is small.", ""},
		{"behind", "a.md", "The server behind it.", "behind"},
		{"whoever", "a.md", "Ask whoever runs it.", "whoever"},
		{"whom", "a.md", "The user to whom it belongs.", "whoever"},
		{"speaks of", "a.md", "The rule speaks of users.", "speaks-of"},
		{"speaks", "a.md", "It speaks HTTP.", ""},
		{"has it done", "a.md", "She has it signed.", "has-done"},
		{"has not the", "a.md", "It has not the columns.", "has-done"},
		{"signed by", "a.md", "It has a key signed by the authority.", ""},
		{"has done", "a.md", "It has signed the key and has not left.", ""},
		{"once a session", "a.md", "This is told once a session.", "rate"},
		{"a file a session", "a.md", "There is one file a session.", "rate"},
		{"a session", "a.md", "It opens a session once.", ""},
		{"of which nothing", "a.md", "A text of which nothing is known.", "nothing-of"},
		{"of what nothing", "a.md", "Of what is not understood nothing can be said.", "nothing-of"},
		{"an own", "a.md", "An own provider.", "an-own"},
		{"inline code", "a.md", "Write `stands` there.", ""},
		{"fenced code", "a.md", "```\nstands\n```\n", ""},
		{"after a fence", "a.md", "```\nx\n```\nIt stands.", "stands"},
		{"a comment", "p/a.go", "package p\n\n// It stands\n// there.\nvar x = 1", "stands"},
		{"a comment of two lines", "p/a.go", "package p\n\n// This is no\n// number.\nvar x = 1", "is-no"},
		{"a text", "p/a.go", "package p\n\nvar x = \"it is no number\"", "is-no"},
		{"a text of a test", "p/a_test.go", "package p\n\nvar x = \"it is no number\"", ""},
		{"an import", "p/a.go", "package p\n\nimport \"behind\"", ""},
		{"a tag", "p/a.go", "package p\n\ntype t struct {\n\tA int `json:\"behind\"`\n}", ""},
		{"the binary", "p/a.go", "package p\n\nvar x = `make one with \"sallyport passwd\"`", "binary"},
		{"the binary in its own folder", "cmd/sallyport/a.go", "package p\n\nvar x = `make one with \"sallyport passwd\"`", ""},
		{"another text with the name", "p/a.go", "package p\n\nvar x = `sallyport masking key`", ""},
		{"a key of the config", "p/a.go", "package p\n\nvar x = `set masking_key first`", "config-key"},
		{"a key in the config's package", "gateway/config/a.go", "package p\n\nvar x = `set masking_key first`", ""},
		{"a word that is a key", "p/a.go", "package p\n\nvar x = `masking_key`", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ps, err := passages(c.path, []byte(c.text))
			require.NoError(t, err)
			var got []string
			for i := range ps {
				for _, r := range proseRules(t) {
					if len(r.find(&ps[i])) > 0 {
						got = append(got, r.name)
					}
				}
			}
			require.Equal(t, c.want, strings.Join(got, " "))
		})
	}
}

// TestProseLines shows that findings have their lines.
func TestProseLines(t *testing.T) {
	for _, c := range []struct {
		name, path, text string
		line             int
	}{
		{"Markdown", "a.md", "# A\n\n```\nx\n```\n\nIt\nstands.\n", 8},
		{"a comment", "a.go", "package p\n\n// A\n// B\n// stands\nvar x = 1", 5},
		{"a text", "a.go", "package p\n\nvar x = \"a\\nb\\nit stands\"", 3},
		{"a raw text", "a.go", "package p\n\nvar x = `a\nb\nit stands`", 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			ps, err := passages(c.path, []byte(c.text))
			require.NoError(t, err)
			rules := proseRules(t)
			stands := rules[slices.IndexFunc(rules, func(r proseRule) bool { return r.name == "stands" })]
			var lines []int
			for i := range ps {
				for _, f := range stands.find(&ps[i]) {
					lines = append(lines, f.line)
				}
			}
			require.Equal(t, []int{c.line}, lines)
		})
	}
}
