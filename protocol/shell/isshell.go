package shell

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// shells are those whose grammar is read here.
var shells = []string{"sh", "bash", "dash", "ash", "ksh", "zsh", "rbash", "mksh"}

// plainOptions are options with which a shell still reads what it runs from its
// input.
var plainOptions = []string{"-", "-l", "-i", "-s", "-e", "-u", "-x", "--login", "--norc", "--noprofile", "--posix"}

// IsShell reports whether command is nothing but a shell that reads what it runs
// from its input, such as "bash -l" or "exec sh -s": it begins a session as a
// shell does that was asked for as one.
func (Grammar) IsShell(command string) bool {
	if len(command) > 256 {
		return false
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(command), "")
	if err != nil || len(file.Stmts) != 1 {
		return false
	}
	s := file.Stmts[0]
	call, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || len(call.Assigns) > 0 || len(s.Redirs) > 0 || s.Negated || s.Background || s.Coprocess {
		return false
	}
	words := make([]string, len(call.Args))
	for i, w := range call.Args {
		if words[i] = w.Lit(); words[i] == "" {
			return false
		}
	}
	if len(words) > 1 && words[0] == "exec" {
		words = words[1:]
	}
	if len(words) == 0 || !slices.Contains(shells, path.Base(words[0])) {
		return false
	}
	return !slices.ContainsFunc(words[1:], func(a string) bool { return !slices.Contains(plainOptions, a) })
}
