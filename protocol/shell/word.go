package shell

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// Dynamic marks in a word what is computed while the command runs. What is
// before it is certain.
const Dynamic = "\x00"

// kind is what is known of a piece of a word.
type kind uint8

const (
	text  kind = iota // as it is
	glob              // a pattern that is not quoted; without a text, any names
	some              // not known and not empty: made for the purpose, or checked
	maybe             // not known, and perhaps empty
	home              // a home folder
)

// piece is a part of a word. The text of maybe names the variable, if it is one.
type piece struct {
	kind     kind
	text     string
	computed bool // it is not there in the text itself
}

// word is one word as its program gets it.
type word []piece

// arg is one argument: the words that it may be. What has several is not known
// to those who read Programs.
type arg []word

// Bounds on what is followed of a word that a shell computes; further on it is not
// known.
const (
	maxChoices = 16
	maxMade    = 4 << 10 // bytes
	maxPieces  = 64
)

// substituted is the text of a piece that is the file of a process substitution.
const substituted = "<()"

// Runes that carry what is not known into a text that is read again, as that of
// sh -c. They are private, so that no command has a use for them.
const (
	carrySome = '\uf8f0'
	carryAny  = '\uf8f1'
	carryHome = '\uf8f2'
)

func literalWord(s string) word {
	if s == "" {
		return word{}
	}
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= carrySome && r <= carryHome }) {
		return word{{kind: text, text: s}}
	}
	var w word
	for len(s) > 0 {
		n := strings.IndexFunc(s, func(r rune) bool { return r >= carrySome && r <= carryHome })
		if n < 0 {
			return append(w, piece{kind: text, text: s})
		}
		if n > 0 {
			w = append(w, piece{kind: text, text: s[:n]})
		}
		r, size := utf8.DecodeRuneInString(s[n:])
		w = append(w, piece{kind: [...]kind{some, maybe, home}[r-carrySome], computed: true})
		s = s[n+size:]
	}
	return w
}

// made marks words as what a shell computes.
func made(words []word) []word {
	out := make([]word, len(words))
	for i, w := range words {
		out[i] = make(word, len(w))
		for j, p := range w {
			p.computed = true
			out[i][j] = p
		}
		if len(w) == 0 {
			out[i] = word{{computed: true}}
		}
	}
	return out
}

// written returns the argument with Dynamic for all that a shell computes.
func (a arg) written() string {
	if len(a) != 1 {
		return Dynamic
	}
	if len(a[0]) == 1 && !a[0][0].computed {
		return a[0].String()
	}
	var b strings.Builder
	for _, p := range a[0] {
		if s := (word{p}).String(); !p.computed && s != Dynamic {
			b.WriteString(s)
		} else if !strings.HasSuffix(b.String(), Dynamic) {
			b.WriteString(Dynamic)
		}
	}
	return b.String()
}

// computed reports whether a shell computes a part of the argument.
func (a arg) computed() bool {
	return len(a) != 1 || slices.ContainsFunc(a[0], func(p piece) bool { return p.computed })
}

func fixed(s string) arg { return arg{literalWord(s)} }

// String returns the word with Dynamic for what is not known.
func (w word) String() string {
	if len(w) == 1 && w[0].kind == text {
		return w[0].text
	}
	var b strings.Builder
	for _, p := range w {
		switch {
		case p.kind == text || (p.kind == glob || p.kind == home) && p.text != "":
			b.WriteString(p.text)
		default:
			b.WriteString(Dynamic)
		}
	}
	return b.String()
}

// carry returns the word as a text to be read again.
func (w word) carry() string {
	var b strings.Builder
	for _, p := range w {
		switch p.kind {
		case text, glob:
			b.WriteString(p.text)
		case some:
			b.WriteRune(carrySome)
		case maybe:
			b.WriteRune(carryAny)
		case home:
			b.WriteRune(carryHome)
		}
	}
	return b.String()
}

// empty reports whether the word is certainly an empty one.
func (w word) empty() bool {
	return !slices.ContainsFunc(w, func(p piece) bool { return p.kind != text || p.text != "" })
}

// has reports whether a piece of the word is of kind k.
func (w word) has(k kind) bool {
	for _, p := range w {
		if p.kind == k {
			return true
		}
	}
	return false
}

// without returns the word as it is when what may be empty is.
func (w word) without(k kind) word {
	var out word
	for _, p := range w {
		if p.kind != k {
			out = append(out, p)
		}
	}
	return out
}

// unknown names what is not known of the word.
func (w word) unknown() string {
	for _, p := range w {
		if p.kind == maybe && p.text != "" {
			return "$" + p.text
		}
	}
	return "what is computed"
}

// String returns the argument as Programs has it.
func (a arg) String() string {
	if len(a) == 1 {
		return a[0].String()
	}
	return Dynamic
}

// carry returns the argument as a text to be read again.
func (a arg) carry() string {
	if len(a) == 1 {
		return a[0].carry()
	}
	return string(carryAny)
}

func texts(args []arg) []string {
	list := make([]string, len(args))
	for i, a := range args {
		list[i] = a.String()
	}
	return list
}

// product joins every word of a with every one of b.
func product(a, b []word) []word {
	if len(b) == 1 && len(b[0]) == 0 {
		return a
	}
	if len(a)*len(b) > maxChoices {
		return []word{{{kind: maybe, text: ""}}}
	}
	out := make([]word, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			w := append(x[:len(x):len(x)], y...)
			if w.tooLong() {
				return []word{{{kind: maybe}}}
			}
			out = append(out, w)
		}
	}
	return out
}

// tooLong reports whether a word that a shell computes is more than what is
// followed.
func (w word) tooLong() bool {
	size, computed := 0, false
	for _, p := range w {
		size += len(p.text)
		computed = computed || p.computed
	}
	return computed && (size > maxMade || len(w) > maxPieces)
}

// expand returns the arguments that the words of a command become.
func (r *reading) expand(words []*syntax.Word, s *state) []arg {
	var out []arg
	for _, w := range words {
		if list, ok := r.list(w, s); ok {
			out = append(out, list...)
			continue
		}
		several := r.braces(w)
		if several == nil {
			out = append(out, begins(w))
		}
		for _, each := range several {
			list := r.fields(each, s)
			if len(each.Parts) > 0 && each != w { // not every shell knows these braces
				for i := range list {
					list[i] = made(list[i])
				}
			}
			out = append(out, list...)
		}
	}
	return out
}

// list returns the elements of "$@" and "${a[@]}".
func (r *reading) list(w *syntax.Word, s *state) ([]arg, bool) {
	if len(w.Parts) != 1 {
		return nil, false
	}
	p := w.Parts[0]
	if q, ok := p.(*syntax.DblQuoted); ok && len(q.Parts) == 1 {
		p = q.Parts[0]
	}
	e, ok := p.(*syntax.ParamExp)
	if !ok || e.Param == nil || e.Param.Value != "@" && e.Param.Value != "*" || !bare(e) {
		return nil, false
	}
	return s.args, true
}

// braces returns the words that {a,b} and {1..9} make of w; nil when they are too
// many.
func (r *reading) braces(w *syntax.Word) []*syntax.Word {
	open, wide := 0, false
	for _, p := range w.Parts {
		if _, ok := p.(*syntax.BraceExp); ok { // read before
			return expand.Braces(w)
		}
		if l, ok := p.(*syntax.Lit); ok {
			open += strings.Count(l.Value, "{")
			a, b, found := strings.Cut(l.Value, "..")
			wide = wide || found && (len(a) > 5 || len(b) > 5)
		}
	}
	switch {
	case open == 0 || !slices.ContainsFunc(w.Parts, separates):
		return []*syntax.Word{w}
	case open > 3 || wide:
		return nil
	case !syntax.SplitBraces(w):
		return []*syntax.Word{w}
	}
	return expand.Braces(w)
}

// begins is a word of which only the begin is known: what is before its braces.
func begins(w *syntax.Word) arg {
	var known word
	if l, ok := w.Parts[0].(*syntax.Lit); ok {
		before, _, _ := strings.Cut(l.Value, "{")
		known = literal(before, false, true)
	}
	return arg{append(known, piece{kind: maybe, computed: true})}
}

// separates reports whether a part has what makes several words of braces.
func separates(p syntax.WordPart) bool {
	l, ok := p.(*syntax.Lit)
	return ok && (strings.Contains(l.Value, ",") || strings.Contains(l.Value, ".."))
}

// fields returns the arguments that a word becomes.
func (r *reading) fields(w *syntax.Word, s *state) []arg {
	var done []arg
	cur, quoted := []word{{}}, false
	for i, p := range w.Parts {
		words, split := r.part(p, s, false, i == 0)
		switch p := p.(type) {
		case *syntax.SglQuoted, *syntax.DblQuoted:
			quoted = true
		case *syntax.ParamExp:
			if p.Param != nil && p.Param.Value == "IFS" && bare(p) {
				r.unclear("$IFS separates words: write blanks")
			}
		}
		if !split {
			cur = product(cur, words)
			continue
		}
		var each [][]word
		for _, x := range words {
			each = append(each, x.split(s))
		}
		if len(each) != 1 { // any of their words
			var all []word
			for _, x := range each {
				all = append(all, x...)
			}
			if len(all) == 0 {
				all = []word{{}}
			}
			cur = product(cur, all)
			continue
		}
		for j, x := range each[0] {
			if j > 0 {
				done = append(done, cur)
				cur = []word{{}}
			}
			cur = product(cur, []word{x})
		}
	}
	if len(cur) == 1 && cur[0].empty() && !quoted {
		if len(done) == 0 && len(w.Parts) > 0 {
			r.unfollowed("a word is computed, and empty")
		}
		return done
	}
	return append(done, cur)
}

// value returns what a word is where it is not split, as in an assignment.
func (r *reading) value(w *syntax.Word, s *state) []word {
	if w == nil {
		return []word{{}}
	}
	cur := []word{{}}
	for i, p := range w.Parts {
		words, _ := r.part(p, s, false, i == 0)
		cur = product(cur, words)
	}
	return cur
}

// split returns the words that an unquoted value becomes.
func (w word) split(s *state) []word {
	if _, ok := s.vars["IFS"]; ok && w.has(text) {
		return []word{{{kind: maybe, text: ""}}}
	}
	var out []word
	var cur word
	for _, p := range w {
		if p.kind != text {
			cur = append(cur, p)
			continue
		}
		rest := p.text
		for rest != "" {
			n := strings.IndexAny(rest, " \t\n*?[")
			if n < 0 {
				cur = append(cur, piece{kind: text, text: rest, computed: p.computed})
				break
			}
			if n > 0 {
				cur = append(cur, piece{kind: text, text: rest[:n], computed: p.computed})
			}
			if c := rest[n]; c == '*' || c == '?' || c == '[' {
				cur = append(cur, piece{kind: glob, text: rest[n : n+1], computed: p.computed})
			} else if len(cur) > 0 {
				out, cur = append(out, cur), nil
			}
			rest = rest[n+1:]
		}
	}
	if len(cur) > 0 {
		out = append(out, cur)
	}
	return out
}

// part returns what a part of a word is, and whether it is split into words.
func (r *reading) part(p syntax.WordPart, s *state, quoted, first bool) (words []word, split bool) {
	switch p := p.(type) {
	case *syntax.Lit:
		if rest, ok := strings.CutPrefix(p.Value, "~+"); ok && first && !quoted {
			return []word{append(s.cwd.word(), literal(rest, quoted, false)...)}, false
		}
		return []word{literal(p.Value, quoted, first)}, false
	case *syntax.SglQuoted:
		if p.Dollar {
			return []word{literalWord(ansi(p.Value))}, false
		}
		return []word{literalWord(p.Value)}, false
	case *syntax.DblQuoted:
		cur := []word{{}}
		for _, q := range p.Parts {
			words, _ := r.part(q, s, true, false)
			cur = product(cur, words)
		}
		return cur, false
	case *syntax.ParamExp:
		return made(r.param(p, s)), !quoted
	case *syntax.CmdSubst:
		out := r.stmts(p.Stmts, s.clone(), feed{kind: fromElsewhere})
		r.fetches = r.fetches || out.net
		return made(r.printed(out, s)), !quoted
	case *syntax.ProcSubst:
		in := feed{kind: fromElsewhere}
		out := r.stmts(p.Stmts, s.clone(), in)
		if p.Op == syntax.CmdIn {
			r.opened = out
		}
		return []word{{{kind: some, text: substituted}}}, false
	case *syntax.ArithmExp:
		r.inner(p.X, s)
		return []word{{{kind: some, text: ""}}}, false
	case *syntax.ExtGlob:
		return []word{{{kind: glob, text: "*"}}}, false
	}
	return []word{{{kind: maybe, text: ""}}}, false
}

// literal reads a piece of text: its backslashes, a tilde at its begin, and
// patterns.
func literal(s string, quoted, first bool) word {
	if !strings.ContainsAny(s, "\\*?[") && (quoted || !first || !strings.HasPrefix(s, "~")) {
		return literalWord(s)
	}
	var w word
	if first && !quoted && strings.HasPrefix(s, "~") {
		end := strings.IndexByte(s, '/')
		if end < 0 {
			end = len(s)
		}
		if !strings.ContainsAny(s[:end], "\\*?[+-") {
			w = append(w, piece{kind: home, text: s[:end]})
			s = s[end:]
		}
	}
	var b strings.Builder
	flush := func() {
		w = append(w, literalWord(b.String())...)
		b.Reset()
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && (!quoted || strings.IndexByte("$`\"\\\n", s[i+1]) >= 0):
			if i++; s[i] != '\n' {
				b.WriteByte(s[i])
			}
		case !quoted && (c == '*' || c == '?'):
			flush()
			w = append(w, piece{kind: glob, text: string(c)})
		case !quoted && c == '[':
			end := strings.IndexByte(s[i+1:], ']')
			if end < 1 {
				b.WriteByte(c)
				continue
			}
			flush()
			w = append(w, piece{kind: glob, text: s[i : i+end+2]})
			i += end + 1
		default:
			b.WriteByte(c)
		}
	}
	flush()
	return w
}

// ansi reads the escapes of $'…'.
func ansi(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		number := func(digits, base int, from int) bool {
			end := from
			for end < len(s) && end-from < digits && strings.IndexByte("0123456789abcdefABCDEF"[:map[int]int{8: 8, 16: 22}[base]], s[end]) >= 0 {
				end++
			}
			n, err := strconv.ParseUint(s[from:end], base, 32)
			if err != nil {
				return false
			}
			if digits > 3 {
				b.WriteRune(rune(n))
			} else {
				b.WriteByte(byte(n))
			}
			i = end - 1
			return true
		}
		switch c := s[i]; {
		case c == 'x' && number(2, 16, i+1), c == 'u' && number(4, 16, i+1), c == 'U' && number(8, 16, i+1), c >= '0' && c <= '7' && number(3, 8, i):
		case strings.IndexByte("abefnrtv", c) >= 0:
			b.WriteByte("\a\b\x1b\f\n\r\t\v"[strings.IndexByte("abefnrtv", c)])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// bare reports whether an expansion is nothing but its variable.
func bare(e *syntax.ParamExp) bool {
	return !e.Excl && !e.Length && !e.Width && e.Index == nil && e.Slice == nil && e.Repl == nil && e.Names == 0 && e.Exp == nil
}

// param returns what an expansion of a variable may be.
func (r *reading) param(e *syntax.ParamExp, s *state) []word {
	if e.Param == nil || e.Excl || e.Names != 0 {
		return []word{{{kind: maybe, text: ""}}}
	}
	name := e.Param.Value
	r.inner(e.Index, s)
	if e.Slice != nil {
		r.inner(e.Slice.Offset, s)
		r.inner(e.Slice.Length, s)
	}
	if e.Length || e.Width {
		return []word{{{kind: some, text: ""}}}
	}
	value, set := s.lookup(name)
	if bare(e) || e.Index != nil && e.Exp == nil && e.Slice == nil && e.Repl == nil {
		return value
	}
	if e.Exp != nil {
		other := r.value(e.Exp.Word, s)
		switch e.Exp.Op {
		case syntax.ErrorUnset, syntax.ErrorUnsetOrNull:
			return checked(value)
		case syntax.DefaultUnset, syntax.DefaultUnsetOrNull, syntax.AssignUnset, syntax.AssignUnsetOrNull:
			out := other
			if set {
				out = nil
				for _, w := range value {
					if w.empty() {
						out = append(out, other...)
					} else {
						out = append(out, w)
					}
				}
			} else {
				out = append(append([]word{}, other...), word{{kind: some, text: name}})
			}
			if e.Exp.Op == syntax.AssignUnset || e.Exp.Op == syntax.AssignUnsetOrNull {
				s.vars[name] = out
			}
			return out
		case syntax.AlternateUnset, syntax.AlternateUnsetOrNull:
			if set {
				return other
			}
			return append([]word{{}}, other...)
		}
	}
	if e.Repl != nil {
		r.value(e.Repl.Orig, s)
		r.value(e.Repl.With, s)
	}
	return computed(e, value)
}

// checked is a value of which it is made sure that it is not empty.
func checked(value []word) []word {
	out := make([]word, len(value))
	for i, w := range value {
		if len(w) == 1 && w[0].kind == maybe {
			w = word{{kind: some, text: w[0].text}}
		}
		out[i] = w
	}
	return out
}

// computed is what a shell makes of a value by ${x%y}, ${x/y/z} and the like.
func computed(e *syntax.ParamExp, value []word) []word {
	plain := true
	syntax.Walk(e, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.ParamExp:
			plain = plain && n == e
		case *syntax.CmdSubst, *syntax.ProcSubst, *syntax.ArithmExp:
			plain = false
		}
		return true
	})
	out := make([]word, len(value))
	for i, w := range value {
		out[i] = word{{kind: maybe, text: ""}}
		if !plain || len(w) > maxPieces || e.End().Offset()-e.Pos().Offset() > maxMade/4 || len(w.String()) > maxMade/4 || w.String() != w.carry() {
			continue
		}
		config := &expand.Config{Env: expand.ListEnviron(e.Param.Value + "=" + w.String())}
		if result, err := expand.Literal(config, &syntax.Word{Parts: []syntax.WordPart{e}}); err == nil {
			if w := literalWord(result); len(result) <= maxMade {
				out[i] = w
			}
		}
	}
	return out
}
