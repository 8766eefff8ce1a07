package shell

import (
	"maps"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// state is what is known at one place of a command.
type state struct {
	vars    map[string][]word // what variables hold that the text sets
	args    []arg             // $1 and further
	unbound bool              // args are not known
	cwd     place
	held    *state // what is known where the statement before held
	depth   int    // of shells in shells
}

func (s *state) clone() *state {
	c := *s
	c.vars, c.held = maps.Clone(s.vars), nil
	return &c
}

// with is a state with arguments of its own; nil are not known.
func (s *state) with(args []arg) *state {
	c := s.clone()
	c.args, c.unbound = args, args == nil
	return c
}

// given are variables that every session has. They are not empty.
var given = []string{
	"USER", "LOGNAME", "HOSTNAME", "UID", "EUID", "PPID", "BASHPID", "RANDOM", "SECONDS", "SHLVL", "LINENO", "OSTYPE", "MACHTYPE", "HOSTTYPE", "TERM",
	"EPOCHSECONDS", "BASH_VERSION", "BASH_SOURCE", "FUNCNAME", "$", "!", "#", "?", "0", "-", "_",
}

// lookup returns what a variable may hold. set is true when the text sets it.
func (s *state) lookup(name string) (value []word, set bool) {
	if v, ok := s.vars[name]; ok {
		return v, true
	}
	switch name {
	case "HOME":
		return []word{{{kind: home, text: ""}}}, true
	case "PWD":
		return []word{s.cwd.word()}, true
	case "SHELL", "BASH":
		return []word{{{kind: text, text: "/bin/sh"}}}, true
	case "@", "*":
		if s.unbound {
			return []word{{{kind: maybe, text: name}}}, false
		}
		var all []word
		for _, a := range s.args {
			all = append(all, a...)
		}
		if len(all) == 0 {
			return []word{{}}, true
		}
		return all, true
	}
	if slices.Contains(given, name) {
		return []word{{{kind: some, text: name}}}, true
	}
	if len(name) == 1 && name[0] >= '1' && name[0] <= '9' && !s.unbound {
		if i := int(name[0] - '1'); i < len(s.args) {
			return s.args[i], true
		}
		return []word{{}}, true
	}
	return []word{{{kind: maybe, text: name}}}, false
}

// merge makes s what it is after either of two ways.
func (s *state) merge(a, b *state) {
	s.vars = maps.Clone(a.vars)
	for name, v := range b.vars {
		s.vars[name] = union(lookupOr(a, name), v)
	}
	for name, v := range a.vars {
		if _, ok := b.vars[name]; !ok {
			s.vars[name] = union(v, lookupOr(b, name))
		}
	}
	s.cwd = a.cwd
	if !a.cwd.equal(b.cwd) {
		s.cwd = place{base: elsewhere}
	}
	s.args, s.unbound = a.args, a.unbound || b.unbound
}

func lookupOr(s *state, name string) []word {
	v, _ := s.lookup(name)
	return v
}

// union returns the words that either may be.
func union(a, b []word) []word {
	out := slices.Clone(a)
	for _, w := range b {
		if !slices.ContainsFunc(out, func(x word) bool { return slices.Equal(x, w) }) {
			out = append(out, w)
		}
	}
	if len(out) > maxChoices {
		return []word{{{kind: maybe, text: ""}}}
	}
	return out
}

// stmts reads statements one after another, and returns what they print.
func (r *reading) stmts(list []*syntax.Stmt, s *state, in feed) feed {
	out := feed{kind: fromNothing}
	for _, st := range list {
		out = out.then(r.stmt(st, s, in))
	}
	return out
}

func (r *reading) stmt(st *syntax.Stmt, s *state, in feed) feed {
	if !r.step() {
		return feed{kind: fromElsewhere}
	}
	s.held = nil
	if st.Background || st.Coprocess { // in a shell of its own
		s, in = s.clone(), feed{kind: fromNothing}
	}
	var writes []arg
	for _, d := range st.Redirs {
		switch d.Op {
		case syntax.RdrIn:
			r.opened = feed{}
			file := r.expand([]*syntax.Word{d.Word}, s)
			in = feed{kind: fromElsewhere}
			switch {
			case r.opened.kind != fromSession:
				in = r.opened
			case len(file) == 1 && (file[0].String() == "/dev/tty" || file[0].String() == "/dev/stdin"):
				in = feed{kind: fromSession}
			case len(file) == 1 && file[0].String() == "/dev/null":
				in = feed{kind: fromNothing}
			}
		case syntax.Hdoc, syntax.DashHdoc:
			in = feed{kind: fromText, text: r.hereDocument(d, s)}
		case syntax.WordHdoc:
			in = feed{kind: fromText, text: arg(r.value(d.Word, s)).carry()}
		case syntax.RdrOut, syntax.AppOut, syntax.RdrAll, syntax.AppAll, syntax.ClbOut, syntax.RdrInOut:
			if d.Word != nil {
				writes = append(writes, r.expand([]*syntax.Word{d.Word}, s)...)
			}
		case syntax.DplOut:
			for _, w := range r.expand([]*syntax.Word{d.Word}, s) {
				if strings.Trim(w.String(), "0123456789-") != "" {
					writes = append(writes, w)
				}
			}
		}
	}
	out := r.command(st.Cmd, s, in)
	for _, w := range writes {
		if !sinks[w.String()] {
			r.notes([]arg{fixed(">"), w})
		}
		r.writes("a redirection", w, out, s)
	}
	if len(writes) > 0 {
		return feed{kind: fromNothing}
	}
	return out
}

// sinks are files that keep nothing.
var sinks = map[string]bool{"/dev/null": true, "/dev/tty": true, "/dev/stdout": true, "/dev/stderr": true, "/dev/fd/1": true, "/dev/fd/2": true}

func (r *reading) hereDocument(d *syntax.Redirect, s *state) string {
	if d.Hdoc == nil {
		return ""
	}
	var b strings.Builder
	for _, p := range d.Hdoc.Parts {
		if l, ok := p.(*syntax.Lit); ok && slices.ContainsFunc(d.Word.Parts, quotes) {
			b.WriteString(l.Value)
			continue
		}
		words, _ := r.part(p, s, true, false)
		b.WriteString(arg(words).carry())
	}
	return b.String()
}

func quotes(p syntax.WordPart) bool {
	switch p := p.(type) {
	case *syntax.SglQuoted, *syntax.DblQuoted:
		return true
	case *syntax.Lit:
		return strings.Contains(p.Value, "\\")
	}
	return false
}

func (r *reading) command(cmd syntax.Command, s *state, in feed) feed {
	switch c := cmd.(type) {
	case *syntax.CallExpr:
		return r.call(c, s, in)
	case *syntax.BinaryCmd:
		return r.binary(c, s, in)
	case *syntax.Subshell:
		return r.stmts(c.Stmts, s.clone(), in)
	case *syntax.Block:
		return r.stmts(c.Stmts, s, in)
	case *syntax.IfClause:
		return r.branch(c, s, in)
	case *syntax.WhileClause:
		r.loop(c.Do, s, in, func(body *state) {
			r.stmts(c.Cond, body, in)
			if !c.Until {
				narrow(c.Cond, body)
			}
		})
	case *syntax.ForClause:
		r.loop(c.Do, s, in, func(body *state) { r.round(c.Loop, body) })
	case *syntax.CaseClause:
		r.value(c.Word, s)
		before := s.clone()
		for _, i := range c.Items {
			for _, p := range i.Patterns {
				r.value(p, before)
			}
			way := before.clone()
			r.stmts(i.Stmts, way, in)
			s.merge(s.clone(), way)
		}
	case *syntax.FuncDecl:
		r.functions[c.Name.Value] = c.Body
		r.copies(c)
		return feed{kind: fromNothing}
	case *syntax.TimeClause:
		if c.Stmt != nil {
			return r.stmt(c.Stmt, s, in)
		}
	case *syntax.CoprocClause:
		r.stmt(c.Stmt, s.clone(), feed{kind: fromElsewhere})
	case *syntax.DeclClause:
		for _, a := range c.Args {
			r.assign(a, s)
		}
		return feed{kind: fromNothing}
	case *syntax.TestClause, *syntax.ArithmCmd, *syntax.LetClause:
		r.inner(c, s)
		return feed{kind: fromNothing}
	case nil:
		return feed{kind: fromNothing}
	default:
		r.unclear("it has a form that is not known")
	}
	return feed{kind: fromElsewhere}
}

// round sets a loop's variable to what it may be in any round.
func (r *reading) round(l syntax.Loop, s *state) {
	switch l := l.(type) {
	case *syntax.WordIter:
		items := s.args
		if l.InPos.IsValid() {
			items = r.expand(l.Items, s)
		}
		var each []word
		for _, i := range items {
			each = union(each, i)
		}
		s.vars[l.Name.Value] = each
	case *syntax.CStyleLoop:
		r.inner(l.Init, s)
		r.inner(l.Cond, s)
		r.inner(l.Post, s)
	}
}

// loop reads a loop's body twice, so that the second round sees what the first has
// set. begin is what comes before each.
func (r *reading) loop(do []*syntax.Stmt, s *state, in feed, begin func(*state)) {
	first := r.aside()
	body := s.clone()
	begin(body)
	first.stmts(do, body, in)
	body.merge(s, body.clone())
	begin(body)
	r.stmts(do, body, in)
	s.merge(s.clone(), body)
}

// inner reads the substitutions in what is not made of words.
func (r *reading) inner(n syntax.Node, s *state) {
	if n == nil {
		return
	}
	syntax.Walk(n, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CmdSubst:
			r.stmts(n.Stmts, s.clone(), feed{kind: fromElsewhere})
			return false
		case *syntax.ProcSubst:
			r.stmts(n.Stmts, s.clone(), feed{kind: fromElsewhere})
			return false
		}
		return true
	})
}

// copies notes a function that starts itself twice at a time, which fills the
// machine with copies.
func (r *reading) copies(f *syntax.FuncDecl) {
	syntax.Walk(f.Body, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.CallExpr); ok && len(c.Args) > 0 && c.Args[0].Lit() == f.Name.Value {
			r.unclear("the function %q starts itself", f.Name.Value)
		}
		return true
	})
}

func (r *reading) binary(c *syntax.BinaryCmd, s *state, in feed) feed {
	switch c.Op {
	case syntax.Pipe, syntax.PipeAll:
		out := r.stmt(c.X, s.clone(), in)
		return r.stmt(c.Y, s.clone(), out)
	case syntax.AndStmt:
		out := r.stmt(c.X, s, in)
		after := s.clone()
		if s.held != nil {
			after = s.held
		}
		narrow([]*syntax.Stmt{c.X}, after)
		out = out.then(r.stmt(c.Y, after, in))
		if r.leaves(c.Y) { // goes on only where the condition did not hold
			narrowNot(c.X, s)
		} else {
			s.merge(s.clone(), after)
			s.cwd, s.held = after.cwd, after
		}
		return out
	}
	out := r.stmt(c.X, s, in)
	other := s.clone()
	out = out.then(r.stmt(c.Y, other, in))
	if r.leaves(c.Y) {
		narrow([]*syntax.Stmt{c.X}, s)
	} else {
		s.merge(s.clone(), other)
	}
	return out
}

// leaves reports whether a statement ends the command.
func (r *reading) leaves(st *syntax.Stmt) bool {
	switch c := st.Cmd.(type) {
	case *syntax.CallExpr:
		return len(c.Args) > 0 && slices.Contains([]string{"exit", "return", "die", "fail", "abort", "continue", "break"}, c.Args[0].Lit())
	case *syntax.Block:
		return len(c.Stmts) > 0 && r.leaves(c.Stmts[len(c.Stmts)-1])
	}
	return false
}

func (r *reading) branch(c *syntax.IfClause, s *state, in feed) feed {
	r.stmts(c.Cond, s, in)
	then := s.clone()
	narrow(c.Cond, then)
	out := r.stmts(c.Then, then, in)
	ends := len(c.Then) > 0 && r.leaves(c.Then[len(c.Then)-1])
	if ends && len(c.Cond) == 1 {
		narrowNot(c.Cond[0], s)
	}
	other := s.clone()
	switch {
	case c.Else != nil && len(c.Else.Cond) > 0:
		r.branch(c.Else, other, in)
	case c.Else != nil:
		r.stmts(c.Else.Then, other, in)
	}
	if ends {
		*s = *other
	} else {
		s.merge(then, other)
	}
	if c.Else != nil {
		return feed{kind: fromElsewhere}
	}
	return out
}

// narrow notes the variables that a condition, which held, found to be there: by
// test -n, -d, -e and the like.
func narrow(cond []*syntax.Stmt, s *state) {
	for _, st := range cond {
		if st.Negated {
			narrowed(st, s, "-z")
			continue
		}
		narrowed(st, s, "-n", "-d", "-e", "-f", "-L", "-h", "-r", "-w", "-x", "-s", "-v")
	}
}

// narrowNot is narrow for a condition that did not hold.
func narrowNot(st *syntax.Stmt, s *state) {
	if st.Negated {
		narrowed(st, s, "-n", "-d", "-e", "-f", "-L", "-h", "-r", "-w", "-x", "-s", "-v")
	} else {
		narrowed(st, s, "-z")
	}
}

func narrowed(st *syntax.Stmt, s *state, tests ...string) {
	check := func(op string, n syntax.Node) {
		if !slices.Contains(tests, op) || n == nil {
			return
		}
		syntax.Walk(n, func(n syntax.Node) bool {
			if e, ok := n.(*syntax.ParamExp); ok && e.Param != nil {
				v, _ := s.lookup(e.Param.Value)
				s.vars[e.Param.Value] = checked(v)
			}
			return true
		})
	}
	switch c := st.Cmd.(type) {
	case *syntax.CallExpr:
		if len(c.Args) > 2 && (c.Args[0].Lit() == "[" || c.Args[0].Lit() == "test") && !slices.ContainsFunc(c.Args, func(w *syntax.Word) bool { return w.Lit() == "-o" || w.Lit() == "!" }) {
			for i, w := range c.Args[1 : len(c.Args)-1] {
				check(w.Lit(), c.Args[i+2])
			}
		}
	case *syntax.TestClause:
		for x := c.X; x != nil; {
			switch t := x.(type) {
			case *syntax.UnaryTest:
				check(t.Op.String(), t.X)
				x = nil
			case *syntax.BinaryTest:
				x = nil
				if t.Op == syntax.AndTest {
					if u, ok := t.X.(*syntax.UnaryTest); ok {
						check(u.Op.String(), u.X)
					}
					x = t.Y
				}
			default:
				x = nil
			}
		}
	case *syntax.BinaryCmd:
		if c.Op == syntax.AndStmt {
			narrowed(c.X, s, tests...)
			narrowed(c.Y, s, tests...)
		}
	}
}

// assign notes an assignment.
func (r *reading) assign(a *syntax.Assign, s *state) {
	if a.Name == nil {
		r.value(a.Value, s)
		return
	}
	name := a.Name.Value
	r.inner(a.Index, s)
	if a.Naked {
		return
	}
	var v []word
	if a.Array != nil {
		for _, e := range a.Array.Elems {
			r.inner(e.Index, s)
			for _, f := range r.expand([]*syntax.Word{e.Value}, s) {
				v = union(v, f)
			}
		}
	} else {
		v = r.value(a.Value, s)
	}
	if len(v) == 0 {
		v = []word{{}}
	}
	switch {
	case a.Index != nil, a.Append && a.Array != nil:
		v = union(lookupOr(s, name), v)
	case a.Append:
		v = product(lookupOr(s, name), v)
	}
	r.variable(name, v, s)
	s.vars[name] = v
}

func (r *reading) call(c *syntax.CallExpr, s *state, in feed) feed {
	own := s
	if len(c.Args) > 0 {
		own = s.clone()
	}
	for _, a := range c.Assigns {
		r.assign(a, own)
	}
	if len(c.Args) == 0 {
		return feed{kind: fromNothing}
	}
	r.opened = feed{}
	words := r.expand(c.Args, s) // by what was there before
	opened := r.opened
	if len(words) == 0 {
		return feed{kind: fromNothing}
	}
	if len(c.Assigns) > 0 {
		// What a builtin such as cd or read changes stays.
		out := r.program(words, in, opened, own, s.depth)
		for _, a := range c.Assigns {
			if a.Name == nil {
				continue
			}
			if v, ok := s.vars[a.Name.Value]; ok {
				own.vars[a.Name.Value] = v
			} else {
				delete(own.vars, a.Name.Value)
			}
		}
		*s = *own
		return out
	}
	return r.program(words, in, opened, s, s.depth)
}
