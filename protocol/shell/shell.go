// Package shell says which programs a command line runs, by a shell's grammar:
// through pipes, substitutions, sh -c, sudo, env, xargs, find -exec and the
// like. What is computed while it runs is not known here, and said to be so.
package shell

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Dynamic marks in a word what is computed while the command runs. What is
// before it is certain.
const Dynamic = "\x00"

// Bounds on what is parsed.
const (
	maxBytes   = 64 << 10
	maxNesting = 100 // of parentheses, braces, substitutions
	maxDepth   = 8   // of shells in shells
)

// Grammar reads command lines of POSIX shells and bash. The zero value is ready
// and safe for concurrent use.
type Grammar struct{}

// Programs returns every program that command would run with its arguments, and
// every file that it writes by a redirection as {">", FILE}. The error says what
// cannot be told from the text; what could be is returned with it.
func (Grammar) Programs(command string) ([][]string, error) {
	r := &reading{}
	r.read(command, 0)
	return r.programs, errors.Join(r.errs...)
}

// Check returns why command cannot be understood; nil when it can.
func (g Grammar) Check(command string) error {
	_, err := g.Programs(command)
	return err
}

type reading struct {
	programs [][]string
	errs     []error
}

func (r *reading) unclear(format string, args ...any) {
	if len(r.errs) < 4 {
		r.errs = append(r.errs, fmt.Errorf(format, args...))
	}
}

func (r *reading) read(text string, depth int) {
	switch {
	case len(text) > maxBytes:
		r.unclear("the command is longer than %d bytes", maxBytes)
		return
	case depth > maxDepth:
		r.unclear("shells are nested too deeply")
		return
	case strings.IndexByte(text, 0) >= 0:
		r.unclear("the command has a NUL in it")
		return
	case nesting(text) > maxNesting:
		r.unclear("the command is nested too deeply")
		return
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		r.unclear("it is not valid shell syntax")
		return
	}
	piped := make(map[*syntax.Stmt]bool)
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.BinaryCmd:
			if n.Op == syntax.Pipe || n.Op == syntax.PipeAll {
				piped[n.Y] = true
			}
		case *syntax.Stmt:
			r.statement(n, piped[n], depth)
		case *syntax.FuncDecl:
			r.function(n)
		case *syntax.DeclClause:
			for _, a := range n.Args {
				r.assignment(a)
			}
		}
		return true
	})
}

// nesting is an upper bound of how deeply a text is nested, whatever is quoted.
func nesting(text string) int {
	depth, most := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '(', '{', '`':
			depth++
			most = max(most, depth)
		case ')', '}':
			depth = max(0, depth-1)
		}
	}
	return most
}

// function notes a function that starts itself, which fills the machine with
// copies.
func (r *reading) function(f *syntax.FuncDecl) {
	syntax.Walk(f.Body, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.CallExpr); ok && len(c.Args) > 0 && c.Args[0].Lit() == f.Name.Value {
			r.unclear("the function %q starts itself", f.Name.Value)
		}
		return true
	})
}

func (r *reading) statement(s *syntax.Stmt, piped bool, depth int) {
	input := piped
	for _, d := range s.Redirs {
		switch d.Op {
		case syntax.RdrOut, syntax.AppOut, syntax.RdrAll, syntax.AppAll, syntax.ClbOut, syntax.RdrInOut:
			if d.Word != nil {
				r.programs = append(r.programs, []string{">", word(d.Word)})
			}
		case syntax.RdrIn, syntax.Hdoc, syntax.DashHdoc, syntax.WordHdoc:
			input = true
		}
	}
	call, ok := s.Cmd.(*syntax.CallExpr)
	if !ok {
		return
	}
	for _, a := range call.Assigns {
		r.assignment(a)
	}
	words := make([]string, len(call.Args))
	for i, w := range call.Args {
		words[i] = word(w)
	}
	r.program(words, input, depth)
}

// finders are variables that change which programs or libraries run.
var finders = []string{"PATH", "IFS", "ENV", "BASH_ENV", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "LD_*", "DYLD_*", "PYTHON*", "PERL5*", "NODE_OPTIONS", "GIT_SSH*"}

func (r *reading) assignment(a *syntax.Assign) {
	if a.Name != nil && !appends(a) {
		r.variable(a.Name.Value)
	}
}

// appends reports whether a adds folders after those of PATH: what was found
// stays what it was.
func appends(a *syntax.Assign) bool {
	if a.Name.Value != "PATH" || a.Value == nil {
		return false
	}
	parts := a.Value.Parts
	if len(parts) == 1 {
		if q, ok := parts[0].(*syntax.DblQuoted); ok {
			parts = q.Parts
		}
	}
	if len(parts) < 2 {
		return false
	}
	p, ok := parts[0].(*syntax.ParamExp)
	rest, literal := parts[1].(*syntax.Lit)
	plain := ok && p.Param.Value == "PATH" && p.Exp == nil && p.Repl == nil && p.Slice == nil && p.Index == nil && !p.Excl && !p.Length && !p.Width
	return plain && literal && strings.HasPrefix(rest.Value, ":")
}

func (r *reading) variable(name string) {
	for _, f := range finders {
		if ok, _ := path.Match(f, name); ok {
			r.unclear("it sets %s, which changes what programs do", name)
		}
	}
}

// program notes one program, and those that it starts for its caller. input is
// true when something is written to its standard input.
func (r *reading) program(words []string, input bool, depth int) {
	if len(words) == 0 {
		return
	}
	name := words[0]
	if strings.Contains(name, Dynamic) {
		r.unclear("the name of a program is computed")
		return
	}
	if strings.ContainsAny(name, "*?[") && name != "[" {
		r.unclear("the name of a program is a pattern")
		return
	}
	if depth > maxDepth {
		r.unclear("programs are nested too deeply")
		return
	}
	r.programs = append(r.programs, words)
	args := words[1:]
	base := path.Base(name)
	if slices.Contains(shells, base) {
		r.shell(base, args, input, depth)
		return
	}
	switch base {
	case "fish", "csh", "tcsh", "pwsh", "nu", "elvish", "xonsh":
		r.unclear("%s has its own syntax", base)
	case "eval":
		r.text(strings.Join(args, " "), depth)
	case "source", ".":
		r.file(base, args, depth)
	case "alias", "trap", "coproc", "enable", "hash":
		r.unclear("%s changes what words mean", base)
	case "exec", "command", "builtin", "nohup", "setsid", "time", "ionice", "nice", "stdbuf", "timeout", "sudo", "doas", "env", "xargs", "chroot",
		"busybox", "toybox", "unshare", "nsenter", "strace", "watch", "flock", "chrt", "taskset", "parallel", "script", "runuser", "su", "pkexec", "systemd-run":
		r.wrapper(base, args, input, depth)
	case "find":
		r.find(args, depth)
	default:
		r.inline(base, args, input, depth)
	}
}

// text reads the text of a command that is in an argument.
func (r *reading) text(s string, depth int) {
	if strings.Contains(s, Dynamic) {
		r.unclear("the text of a command is computed")
		return
	}
	r.read(s, depth+1)
}

// shell finds the text that a shell is given by -c.
func (r *reading) shell(name string, args []string, input bool, depth int) {
	text := false
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case strings.Contains(a, Dynamic):
			r.unclear("an argument of %s is computed", name)
			return
		case a == "--":
			if i+1 < len(args) {
				r.operand(name, args[i+1:], text, depth)
				return
			}
		case a == "-o", a == "+o", a == "-O", a == "+O", a == "--rcfile", a == "--init-file":
			i++
		case len(a) > 1 && a[0] == '-' && a[1] != '-':
			text = text || strings.Contains(a, "c")
		case strings.HasPrefix(a, "-"), strings.HasPrefix(a, "+"):
		default:
			r.operand(name, args[i:], text, depth)
			return
		}
	}
	if !text {
		r.unclear("%s reads commands that are not in the text", name)
	}
}

// operand is a shell's first: a text after -c, else a file.
func (r *reading) operand(name string, args []string, text bool, depth int) {
	if text {
		r.text(args[0], depth)
		return
	}
	r.file(name, args, depth)
}

// file notes a file of commands: what it does is no more known than what any
// other program does, "sh FILE" is "FILE". One that is the input by another name
// is not a file.
func (r *reading) file(name string, args []string, depth int) {
	switch {
	case len(args) == 0 || args[0] == "-" || strings.Contains(args[0], "/dev/") || strings.Contains(args[0], "/proc/") || strings.Contains(args[0], "/fd/"):
		r.unclear("%s reads commands that are not in the text", name)
	case depth > maxDepth || strings.ContainsAny(args[0], Dynamic+"*?["):
		r.unclear("the file that %s runs is computed", name)
	default:
		r.programs = append(r.programs, args)
	}
}

// texts are wrappers whose option -c takes the text of a command.
var texts = []string{"su", "runuser", "script", "flock", "watch"}

// wrapper finds the program that a wrapper starts.
func (r *reading) wrapper(name string, args []string, input bool, depth int) {
	i := 0
	for ; i < len(args); i++ {
		a := args[i]
		switch {
		case strings.HasPrefix(a, Dynamic):
			r.unclear("an argument of %s is computed", name)
			return
		case (a == "-c" || a == "--command") && slices.Contains(texts, name):
			if i+1 < len(args) {
				r.text(args[i+1], depth)
			}
			return
		case name == "env" && (strings.HasPrefix(a, "-S") || strings.HasPrefix(a, "--split-string")):
			r.unclear("env splits a text into words")
			return
		case (name == "env" || name == "sudo") && strings.Contains(a, "=") && !strings.HasPrefix(a, "-"):
			v, _, _ := strings.Cut(a, "=")
			r.variable(v)
			continue
		case a == "--":
			i++
		case strings.HasPrefix(a, "-") && a != "-" || name == "env" && a == "-":
			takes, known := takesWord(name, a)
			if !known {
				r.unclear("an option of %s, %q, is not known", name, a)
				return
			}
			if takes {
				i++
			}
			continue
		}
		break
	}
	switch name {
	case "timeout", "chroot", "taskset", "flock", "chrt": // a duration, a folder, a mask, a file, a priority
		i++
		if name == "flock" && i+1 < len(args) && (args[i] == "-c" || args[i] == "--command") {
			r.text(args[i+1], depth)
			return
		}
	case "script":
		r.unclear("script starts a shell")
		return
	case "su", "runuser":
		if i < len(args) || input { // a user, and then a shell that reads
			r.unclear("%s starts a shell", name)
		}
		return
	case "watch": // joins its arguments into a text
		if i < len(args) {
			r.text(strings.Join(args[i:], " "), depth)
		}
		return
	case "xargs", "parallel":
		if i < len(args) { // what is read is appended
			r.program(append(slices.Clone(args[i:]), Dynamic), false, depth+1)
		}
		return
	}
	if i < len(args) {
		r.program(args[i:], input, depth+1)
	}
}

// find starts programs by its own words.
func (r *reading) find(args []string, depth int) {
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-exec", "-execdir", "-ok", "-okdir":
			end := i + 1
			for end < len(args) && args[end] != ";" && args[end] != "+" {
				end++
			}
			words := slices.Clone(args[i+1 : end])
			for j, w := range words {
				words[j] = strings.ReplaceAll(w, "{}", Dynamic)
			}
			r.program(words, false, depth+1)
			i = end
		case "-delete":
			r.programs = append(r.programs, append([]string{"rm", "-r"}, starts(args)...))
		}
	}
}

// starts are the folders in which find begins.
func starts(args []string) []string {
	for i, a := range args {
		if strings.HasPrefix(a, "-") || a == "(" || a == "!" {
			return args[:i]
		}
	}
	return args
}

// word returns a word as its program gets it, with Dynamic for what is not
// known.
func word(w *syntax.Word) string {
	var b strings.Builder
	for _, p := range w.Parts {
		if !part(&b, p, false) {
			b.WriteString(Dynamic)
		}
	}
	return b.String()
}

func part(b *strings.Builder, p syntax.WordPart, quoted bool) bool {
	switch p := p.(type) {
	case *syntax.Lit:
		return literal(b, p.Value, quoted)
	case *syntax.SglQuoted:
		if p.Dollar && strings.ContainsRune(p.Value, '\\') {
			return false
		}
		b.WriteString(p.Value)
		return true
	case *syntax.DblQuoted:
		for _, q := range p.Parts {
			if !part(b, q, true) {
				return false
			}
		}
		return true
	}
	return false
}

// literal writes a piece of text without its backslashes.
func literal(b *strings.Builder, s string, quoted bool) bool {
	if !quoted && strings.Contains(s, "{") && (strings.Contains(s, ",") || strings.Contains(s, "..")) {
		return false // {a,b} becomes several words
	}
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (!quoted || strings.IndexByte("$`\"\\\n", s[i+1]) >= 0) {
			i++
			if s[i] == '\n' {
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return true
}
