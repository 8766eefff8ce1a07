package shell

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// shells are those whose grammar is read here.
var shells = []string{"sh", "bash", "dash", "ash", "ksh", "zsh", "rbash", "mksh"}

// otherShells have a syntax of their own.
var otherShells = []string{"fish", "csh", "tcsh", "pwsh", "nu", "elvish", "xonsh"}

// environmentPrograms are variables that name a program of the user's choice.
var environmentPrograms = []string{"EDITOR", "VISUAL", "PAGER", "BROWSER"}

// program notes one program, and those that it starts for its caller. It returns
// what the program prints.
func (r *reading) program(words []arg, in, opened feed, s *state, depth int) feed {
	if len(words) == 0 || !r.step() {
		return feed{kind: fromElsewhere}
	}
	if len(words[0]) > 1 { // any of several
		for _, w := range words[0] {
			r.program(append([]arg{{w}}, words[1:]...), in, opened, s, depth)
		}
		return feed{kind: fromElsewhere}
	}
	name := words[0].String()
	if depth > maxDepth {
		r.unclear("programs are nested too deeply")
		return feed{kind: fromElsewhere}
	}
	short, ok := base(words[0][0])
	if body := r.functions[name]; body != nil {
		out := r.function(name, body, words[1:], in, s)
		if !slices.Contains(decisive(), short) { // a shell that did not see the function runs the program
			return out
		}
	}
	if !ok || words[0][0].patterned() {
		if !r.named(words[0][0]) {
			return feed{kind: fromElsewhere}
		}
		short = ""
	}
	r.notes(words)
	args := words[1:]
	r.judge(short, args, in, s)
	switch {
	case slices.Contains(shells, short):
		return r.shell(short, args, in, s, depth)
	case slices.Contains(otherShells, short):
		return r.otherShell(short, args, in)
	case wrappers[short] != nil:
		return r.wrapper(short, args, in, s, depth)
	}
	switch short {
	case "eval":
		return r.evaluate(args, in, s, depth)
	case "source", ".":
		r.file(short, args, in, opened, s, depth)
	case "alias":
		r.alias(args, s)
	case "trap":
		r.trap(args)
	case "enable", "hash":
		if slices.ContainsFunc(args, func(a arg) bool { return a.String() == "-f" || a.String() == "-p" }) {
			r.unclear("%s changes what words mean", short)
		}
	case "find", "fd", "fdfind":
		r.find(args, s, depth)
	default:
		r.builtin(short, args, s)
		r.inline(short, args, in, s, depth)
	}
	out := r.prints(short, args, in, s)
	out.net = in.net || slices.Contains(fetchers, short)
	return out
}

// notes adds a program to those that run.
func (r *reading) notes(words []arg) {
	r.Programs = append(r.Programs, texts(words))
	list := make([]string, len(words))
	for i, a := range words {
		list[i] = a.written()
	}
	r.Written = append(r.Written, list)
	if words[0].computed() {
		r.unfollowed("the name of a program is computed")
	}
}

// patterned reports whether a program's name is a pattern, as "[" is not.
func (w word) patterned() bool {
	last := w.String()
	return w.has(glob) && last != "[" && strings.ContainsAny(path.Base(last), "*?[")
}

// named notes a program whose name is not known, or a pattern. It returns false
// when it may be one that a reading looks into.
func (r *reading) named(w word) bool {
	if len(w) == 1 && (w[0].kind == some || w[0].kind == maybe) && slices.Contains(environmentPrograms, w[0].text) {
		r.unfollowed("$%s says what runs", w[0].text)
		return true
	}
	var pattern strings.Builder
	for _, p := range w {
		switch p.kind {
		case text, glob:
			pattern.WriteString(p.text)
		default:
			pattern.WriteByte('*')
		}
	}
	last := path.Base(pattern.String())
	if !slices.ContainsFunc(decisive(), func(name string) bool { ok, err := path.Match(last, name); return ok || err != nil }) {
		r.unfollowed("the name of a program is a pattern")
		return true
	}
	if w.has(glob) {
		r.unclear("the name of a program is a pattern: write its name")
	} else {
		r.unseen(r.fetches && !slices.ContainsFunc(w, func(p piece) bool { return p.kind == maybe && p.text != "" }), "the name of a program is computed: write its name")
	}
	return false
}

// decisive are the names of programs that a reading looks into.
func decisive() []string {
	list := slices.Concat(shells, otherShells, []string{"eval", "source", "find", "rm", "mv", "dd", "tee", "cp"})
	for n := range wrappers {
		list = append(list, n)
	}
	for n := range harmful {
		list = append(list, strings.ReplaceAll(n, "*", "x"))
	}
	return list
}

// function reads a function's body with the arguments of a call.
func (r *reading) function(name string, body *syntax.Stmt, args []arg, in feed, s *state) feed {
	if slices.Contains(r.inside, name) || len(r.inside) > maxDepth {
		return feed{kind: fromElsewhere}
	}
	r.called[name] = true
	r.notes(append([]arg{fixed(name)}, args...))
	r.inside = append(r.inside, name)
	defer func(before []arg, unbound bool) {
		s.args, s.unbound = before, unbound
		r.inside = r.inside[:len(r.inside)-1]
	}(s.args, s.unbound)
	s.args, s.unbound = args, false
	if s.args == nil {
		s.args = []arg{}
	}
	return r.stmt(body, s, in)
}

// evaluate reads the text that eval gets.
func (r *reading) evaluate(args []arg, in feed, s *state, depth int) feed {
	if len(args) > 0 && args[0].String() == "--" {
		args = args[1:]
	}
	if len(args) == 0 || len(args) == 1 && len(args[0]) == 1 && args[0][0].empty() {
		return feed{kind: fromNothing} // what a program printed for the purpose
	}
	for _, a := range args {
		r.carried(a)
	}
	return r.text(textOf(args, " ", "").text, s, in, depth+1)
}

// carried returns a text that is read again, and notes when it is not written as it
// is.
func (r *reading) carried(a arg) string {
	if a.computed() {
		r.unfollowed("a part of the text of a command is computed")
	}
	return a.carry()
}

// alias reads the commands that names are given to.
func (r *reading) alias(args []arg, s *state) {
	for _, a := range args {
		if _, command, ok := strings.Cut(a.carry(), "="); ok {
			r.text(command, s.clone(), feed{kind: fromElsewhere}, s.depth+1)
		}
	}
}

func (r *reading) trap(args []arg) {
	for len(args) > 0 && args[0].String() == "--" {
		args = args[1:]
	}
	if len(args) > 1 && !strings.HasPrefix(args[0].String(), "-") && args[0].String() != "" {
		r.traps = append(r.traps, args[0].carry())
	}
}

// builtin follows what a shell's own commands change.
func (r *reading) builtin(name string, args []arg, s *state) {
	switch name {
	case "cd", "pushd":
		s.cwd = s.changed(args)
	case "popd":
		s.cwd = place{base: elsewhere}
	case "set":
		for i, a := range args {
			if a.String() == "--" {
				s.args, s.unbound = args[i+1:], false
				return
			}
		}
	case "shift":
		if len(s.args) > 0 {
			s.args = s.args[1:]
		}
	case "unset":
		for _, a := range args {
			s.vars[a.String()] = []word{{}}
		}
	case "read", "mapfile", "readarray", "getopts", "printf":
		for i, a := range args {
			if name != "printf" || i > 0 && args[i-1].String() == "-v" {
				s.vars[a.String()] = []word{{{kind: maybe, text: a.String()}}}
			}
		}
	case "export", "declare", "local", "readonly", "typeset":
		for _, a := range args {
			if n, v, ok := strings.Cut(a.carry(), "="); ok {
				s.vars[n] = []word{literalWord(v)}
				r.variable(n, s.vars[n], s)
			}
		}
	}
}

// changed is the folder in which cd ends.
func (s *state) changed(args []arg) place {
	for len(args) > 0 && len(args[0].String()) > 1 && args[0].String()[0] == '-' {
		args = args[1:]
	}
	switch {
	case len(args) == 0:
		return place{base: atHome}
	case len(args[0]) != 1 || args[0].String() == "-" || args[0][0].has(maybe):
		return place{base: elsewhere}
	}
	return args[0][0].resolve(s.cwd)
}

// shell finds what a shell runs: the text after -c, a file, or its input.
func (r *reading) shell(name string, args []arg, in feed, s *state, depth int) feed {
	command := false
	for i := 0; i < len(args); i++ {
		a := args[i].String()
		switch {
		case a != "" && strings.Trim(a, Dynamic) == "" && !args[i].substituted():
			r.unseen(r.fetches, "an argument of %s is computed: write it", name)
			return feed{kind: fromElsewhere}
		case a == "--version" || a == "--help":
			return feed{kind: fromNothing}
		case a == "--" || a == "-":
			if i+1 < len(args) && (a == "--" || command) {
				return r.operand(name, args[i+1:], command, in, s, depth)
			}
		case a == "-o", a == "+o", a == "-O", a == "+O", a == "--rcfile", a == "--init-file":
			i++
		case len(a) > 1 && a[0] == '-' && a[1] != '-':
			if strings.Contains(a, "s") && !strings.Contains(a, "c") { // what follows are arguments
				return r.input(name, args[i+1:], in, s, depth)
			}
			command = command || strings.Contains(a, "c")
		case strings.HasPrefix(a, "-"), strings.HasPrefix(a, "+"):
		default:
			return r.operand(name, args[i:], command, in, s, depth)
		}
	}
	if command {
		return feed{kind: fromNothing}
	}
	return r.input(name, nil, in, s, depth)
}

// input reads what a shell is given by its input.
func (r *reading) input(name string, args []arg, in feed, s *state, depth int) feed {
	switch in.kind {
	case fromText:
		inner := s.with(args)
		inner.unbound = false
		r.unfollowed("%s reads commands from its input", name)
		return r.text(in.text, inner, feed{kind: fromNothing}, depth+1)
	case fromNothing:
		return feed{kind: fromNothing}
	case fromSession:
		before := len(r.Unknown)
		r.unclear("%s reads commands from its input: ask for a shell alone, such as %q, or write the commands", name, name+" -l")
		r.asks += len(r.Unknown) - before
	default:
		r.unseen(in.net, "%s reads commands that are not in the text: write them, or run them from a file", name)
		if in.text != "" {
			r.text(in.text, s.with(args), feed{kind: fromElsewhere}, depth+1)
		}
	}
	return feed{kind: fromElsewhere}
}

// otherShell notes a shell whose syntax is not read.
func (r *reading) otherShell(name string, args []arg, in feed) feed {
	if only(args, "--version", "--help", "-v", "-h") {
		return feed{kind: fromNothing}
	}
	for _, a := range args {
		if !strings.HasPrefix(a.String(), "-") || strings.Contains(a.String(), "c") && !strings.Contains(a.String(), "l") {
			r.unclear("%s has its own syntax: use sh", name)
			return feed{kind: fromElsewhere}
		}
	}
	return r.input(name, nil, in, &state{}, 0)
}

// operand is a shell's first: a text after -c, else a file.
func (r *reading) operand(name string, args []arg, command bool, in feed, s *state, depth int) feed {
	if command {
		inner := s.with(slices.Clip(args[min(len(args), 2):]))
		inner.unbound = false
		return r.text(r.carried(args[0]), inner, in, depth+1)
	}
	r.file(name, args, in, r.opened, s, depth)
	return feed{kind: fromElsewhere}
}

// file notes a file of commands: what it does is no more known than what any
// other program does, "sh FILE" is "FILE". One that is the input by another name
// is not a file.
func (r *reading) file(name string, args []arg, in, opened feed, s *state, depth int) {
	if len(args) == 0 {
		return
	}
	a := args[0].String()
	switch {
	case in.kind == fromText && slices.Contains([]string{"/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"}, a):
		r.unfollowed("%s reads commands from its input", name)
		r.text(in.text, s, feed{kind: fromNothing}, depth+1)
	case opened.kind == fromText && args[0].substituted():
		r.unfollowed("%s reads commands from its input", name)
		r.text(opened.text, s, feed{kind: fromNothing}, depth+1)
	case args[0].substituted() && opened.kind == fromNothing: // printed for the purpose
	case args[0].substituted(), a == "-" || strings.Contains(a, "/dev/") || strings.Contains(a, "/proc/") || strings.Contains(a, "/fd/"):
		r.unseen(in.net || opened.net, "%s reads commands that are not in the text: write them, or run them from a file", name)
	case depth > maxDepth:
		r.unclear("programs are nested too deeply")
	default:
		if _, ok := base(args[0][0]); len(args[0]) != 1 || !ok || args[0][0].has(glob) {
			r.unclear("the file that %s runs is computed: write its name", name)
			return
		}
		r.notes(args)
	}
}

// substituted reports whether an argument is the file of a process substitution.
func (a arg) substituted() bool {
	return len(a) == 1 && len(a[0]) == 1 && a[0][0].text == substituted
}

// fileRemovers are programs that remove files, or what is in them, but no folders.
var fileRemovers = []string{"rm", "unlink", "shred", "truncate"}

// starts are the folders in which find begins.
func starts(args []arg) []arg {
	for len(args) > 0 && slices.Contains([]string{"-H", "-L", "-P"}, args[0].String()) {
		args = args[1:]
	}
	for i, a := range args {
		if s := a.String(); strings.HasPrefix(s, "-") || s == "(" || s == "!" {
			args = args[:i]
			break
		}
	}
	if len(args) == 0 {
		return []arg{fixed(".")}
	}
	return args
}

// naming are the tests of find by which it takes few of the files of a folder.
var naming = strings.Fields("-name -iname -path -ipath -wholename -iwholename -regex -iregex -lname -ilname -samefile -inum -empty -newer -perm -nouser -nogroup -false")

// aging are the tests of find by which it takes some of the files of a folder.
var aging = strings.Fields("-mtime -atime -ctime -mmin -amin -cmin -size -user -group -uid -gid -newermt -anewer -cnewer -used")

// choice follows which files find has chosen at one place of its words.
type choice struct {
	narrow bool // few of a folder's files
	all    bool // so do all of the group's alternatives so far
	files  bool // no folders
	aged   bool // by age, size or owner, which may be all of them
	groups []choice
}

// test takes the next word of find's. skip is how many words it takes along.
func (c *choice) test(args []arg, negated bool) {
	switch a := args[0].String(); {
	case a == "(":
		c.groups = append(c.groups, choice{narrow: c.narrow, all: c.all})
		c.narrow, c.all = false, true
	case a == ")" && len(c.groups) > 0:
		before := c.groups[len(c.groups)-1]
		c.groups = c.groups[:len(c.groups)-1]
		c.narrow, c.all = before.narrow || c.all && c.narrow, before.all
	case a == "-o" || a == "-or" || a == ",":
		c.all = c.all && c.narrow
		c.narrow = false
	case !negated && a == "-type" && len(args) > 1 && args[1].String() != "d":
		c.files = true
	case !negated && slices.Contains(aging, a):
		c.aged = true
	case !negated && slices.Contains(naming, a):
		value := ""
		if len(args) > 1 {
			value = args[1].String()
		}
		c.narrow = c.narrow || strings.Trim(value, "*./") != "" || a == "-empty"
	}
}

// named are the folders that the command names, in which even files alone are
// what it is about, or where it has gone; the one in which it begins is not one.
func named(starts []arg, cwd place) (list []arg) {
	for _, a := range starts {
		if s := a.carry(); cwd.base == atRoot || strings.HasPrefix(s, "/") || strings.HasPrefix(s, string(carryHome)) {
			list = append(list, a)
		}
	}
	return list
}

// found are the paths that find prints.
func found(args []arg) feed {
	c := choice{all: true}
	for i := range args {
		c.test(args[i:], i > 0 && (args[i-1].String() == "!" || args[i-1].String() == "-not"))
	}
	from := starts(args)
	return feed{kind: fromPaths, paths: c.paths(from), deep: !c.narrow && (!c.aged || len(named(from, place{})) > 0)}
}

// paths are those that are chosen.
func (c *choice) paths(starts []arg) []word {
	var out []word
	for _, a := range starts {
		for _, w := range a {
			if c.narrow || c.aged && len(named([]arg{a}, place{})) == 0 {
				w = w.below()
			}
			out = append(out, w)
		}
	}
	return out
}

// find starts programs by its own words.
func (r *reading) find(args []arg, s *state, depth int) {
	c := choice{all: true}
	from := starts(args)
	for i := 0; i < len(args); i++ {
		switch args[i].String() {
		case "-exec", "-execdir", "-ok", "-okdir", "-x", "-X", "--exec", "--exec-batch":
			end := i + 1
			for end < len(args) && args[end].String() != ";" && args[end].String() != "+" {
				end++
			}
			words := r.placed(args[i+1:end], "{}", arg(c.paths(from)))
			if len(words) > 0 && !c.narrow && slices.Contains(fileRemovers, path.Base(words[0].String())) {
				r.tree("find with "+words[0].String(), named(from, s.cwd), s)
			}
			r.program(words, feed{kind: fromSession}, feed{}, s, depth+1)
			i = end
		case "-delete":
			r.notes(append([]arg{fixed("rm"), fixed("-r")}, from...))
			switch {
			case c.narrow:
			case c.files || c.aged:
				r.tree("find -delete", named(from, s.cwd), s)
			default:
				r.tree("find -delete", from, s)
			}
		case "-fprint", "-fls", "-fprint0", "-fprintf":
			if i++; i < len(args) {
				r.notes([]arg{fixed(">"), args[i]})
				r.writes("find", args[i], feed{kind: fromElsewhere}, s)
			}
		default:
			c.test(args[i:], i > 0 && (args[i-1].String() == "!" || args[i-1].String() == "-not"))
		}
	}
}

// placed puts an argument in the place of a mark in others. In a text that is
// read again it is what is not known.
func (r *reading) placed(args []arg, mark string, value arg) []arg {
	out := make([]arg, 0, len(args))
	for _, a := range args {
		switch s := a.carry(); {
		case s == mark:
			out = append(out, made(value))
		case strings.Contains(s, mark):
			var words []word
			for _, v := range value {
				words = append(words, literalWord(strings.ReplaceAll(s, mark, v.carry())))
			}
			out = append(out, made(words))
		default:
			out = append(out, a)
		}
	}
	return out
}
