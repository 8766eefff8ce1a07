package postgres

import (
	"slices"
	"strings"

	"github.com/multigres/multigres/go/common/parser"
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// block reads a block of PL/pgSQL, as DO runs one, and takes in what its statements
// do, whichever of them run. What it does not read to the end is unknown.
type block struct {
	v      *visitor
	text   string
	tokens []token
	at     int
	depth  int
	why    string // it cannot be read
}

type token struct {
	word       string // an unquoted word in lower case, or a sign
	begin, end int
}

// maxBlocks bounds how deeply statements are within one another.
const maxBlocks = 100

// block notes what a DO does. Its results and what it changes are not followed, so
// that it stays unknown for all who need that.
func (v *visitor) block(n *ast.DoStmt) {
	v.literals = true
	w := newVisitor(v.catalog)
	w.pending, w.texts = v.pending, v.texts
	w.add(proxy.EffectDo)
	switch why := w.do(n); {
	case why != "":
		v.unknown("the gateway does not know what a DO block does: " + why)
	case w.facts.Unknown != "":
		v.unknown(w.facts.Unknown)
	default:
		w.expand()
		v.doubt = v.doubt || w.doubt
		v.facts.Block = w.facts
		v.unknown("what a DO block returns and changes is not followed")
	}
}

// do takes in what a DO runs, and says why that cannot be told.
func (v *visitor) do(n *ast.DoStmt) (why string) {
	text, found := "", false
	if n.Args != nil {
		for _, item := range n.Args.Items {
			d, ok := item.(*ast.DefElem)
			if !ok {
				return "it is not understood"
			}
			s, ok := literal(d.Arg)
			switch {
			case !ok:
				return "it is not understood"
			case d.Defname == "as":
				text, found = s, true
			case s != "plpgsql":
				return "it is in the language " + s
			}
		}
	}
	if !found {
		return "it has no text"
	}
	tokens, why := tokensOf(text)
	if why != "" {
		return why
	}
	b := &block{v: v, text: text, tokens: tokens}
	outer := v.variables
	v.variables = append(slices.Clone(outer), "found", "sqlstate", "sqlerrm")
	b.label()
	b.block()
	b.accept(";")
	if b.at < len(b.tokens) {
		b.fail("its end is not understood")
	}
	v.variables = outer
	return b.why
}

// tokensOf takes a text apart, where every server does so in one way.
func tokensOf(text string) (list []token, why string) {
	n := &sql.Normalised{}
	sql.NormalisePostgres(n, []byte(text), sql.Limits{}.WithDefaults())
	switch {
	case n.Problem != "":
		return nil, n.Problem
	case n.Backslashes:
		return nil, sql.Ambiguous
	}
	l := parser.NewLexer(text)
	for {
		t := l.NextToken()
		if t == nil || t.Type == parser.INVALID || l.HasErrors() {
			return nil, "its words cannot be told apart"
		}
		if t.Type == parser.EOF {
			return list, ""
		}
		if t.Position < 0 || t.Position >= len(text) || len(list) > 0 && t.Position <= list[len(list)-1].begin {
			return nil, "its words cannot be told apart"
		}
		list = append(list, token{word: strings.ToLower(t.Text), begin: t.Position})
		if k := len(list); k > 1 {
			list[k-2].end = t.Position
		}
		list[len(list)-1].end = len(text)
		if c := text[t.Position]; c == '"' || c == '\'' || c == '$' {
			list[len(list)-1].word = string(c) // no word, whatever it holds
		}
	}
}

func (b *block) fail(why string) {
	if b.why == "" {
		b.why = why
	}
	b.at = len(b.tokens)
}

func (b *block) peek() string {
	if b.at < len(b.tokens) {
		return b.tokens[b.at].word
	}
	return ""
}

func (b *block) accept(word string) bool {
	if b.at < len(b.tokens) && b.tokens[b.at].word == word {
		b.at++
		return true
	}
	return false
}

func (b *block) expect(word string) {
	if !b.accept(word) {
		b.fail("a " + strings.ToUpper(word) + " is missing")
	}
}

// until returns the tokens before the first of these words that is not within
// parentheses or a CASE, and passes over that word.
func (b *block) until(words ...string) (list []token, word string) {
	begin, parens, cases := b.at, 0, 0
	for ; b.at < len(b.tokens); b.at++ {
		w := b.tokens[b.at].word
		if parens == 0 && cases == 0 && slices.Contains(words, w) {
			list = b.tokens[begin:b.at]
			b.at++
			return list, w
		}
		switch w {
		case "(", "[":
			parens++
		case ")", "]":
			parens--
		case "case":
			cases++
		case "end":
			if cases--; cases < 0 {
				b.fail("an END is out of place")
				return nil, ""
			}
		}
	}
	b.fail("a statement does not end")
	return nil, ""
}

// of returns the text of tokens that follow one another.
func (b *block) of(list []token) string {
	if len(list) == 0 {
		return ""
	}
	return b.text[list[0].begin:list[len(list)-1].end]
}

// run takes in what a statement does. One before it, or after it in a loop, may
// have changed what names mean.
func (b *block) run(text string) {
	if b.why == "" {
		b.v.run(text, "the block", sql.Scope{})
	}
}

// expression takes in what working one out does.
func (b *block) expression(list []token) {
	if len(list) == 0 {
		b.fail("an expression is missing")
		return
	}
	b.run("SELECT " + b.of(list))
}

func (b *block) label() {
	if b.accept("<<") {
		b.at++
		b.expect(">>")
	}
}

// block reads [DECLARE …] BEGIN … [EXCEPTION …] END [label].
func (b *block) block() {
	outer := b.v.variables
	if b.accept("declare") {
		for b.why == "" && b.peek() != "begin" {
			if b.accept("declare") {
				continue
			}
			b.declaration()
		}
	}
	b.expect("begin")
	end := b.statements("end", "exception")
	if end == "exception" {
		b.expect("when")
		for b.why == "" {
			b.until("then")
			if end = b.statements("when", "end"); end == "end" {
				break
			}
		}
	}
	if b.peek() != ";" && b.at < len(b.tokens) {
		b.at++ // its label
	}
	b.v.variables = outer
}

func (b *block) declaration() {
	list, _ := b.until(";")
	if len(list) < 2 {
		b.fail("a declaration is not understood")
		return
	}
	b.v.variables = append(b.v.variables, unquoted(b.of(list[:1])))
	for i, t := range list {
		switch t.word {
		case "cursor", "refcursor":
			b.fail("cursors are not read")
			return
		case "default", ":=", "=":
			b.expression(list[i+1:])
			return
		}
	}
}

// unquoted is the name that a word means.
func unquoted(word string) string {
	word = strings.TrimSpace(word)
	if name, ok := strings.CutPrefix(word, `"`); ok {
		return strings.ReplaceAll(strings.TrimSuffix(name, `"`), `""`, `"`)
	}
	return strings.ToLower(word)
}

// statements reads statements up to one of these words, and passes over that.
func (b *block) statements(ends ...string) string {
	if b.depth++; b.depth > maxBlocks {
		b.fail("it is nested more deeply than the limit")
	}
	defer func() { b.depth-- }()
	for b.why == "" {
		if w := b.peek(); slices.Contains(ends, w) {
			b.at++
			return w
		}
		if b.at >= len(b.tokens) {
			b.fail("it does not end")
			break
		}
		b.statement()
	}
	return ""
}

func (b *block) statement() {
	b.label()
	if b.assignment() {
		return
	}
	switch w := b.peek(); w {
	case "begin", "declare":
		b.block()
		b.expect(";")
	case "if":
		b.at++
		for b.why == "" {
			b.condition("then")
			switch b.statements("elsif", "elseif", "else", "end") {
			case "else":
				b.statements("end")
			case "elsif", "elseif":
				continue
			}
			break
		}
		b.expect("if")
		b.expect(";")
	case "case":
		b.at++
		if list, _ := b.until("when"); len(list) > 0 {
			b.expression(list)
		}
		for b.why == "" {
			b.condition("then")
			end := b.statements("when", "else", "end")
			if end == "else" {
				b.statements("end")
			}
			if end != "when" {
				break
			}
		}
		b.expect("case")
		b.expect(";")
	case "loop":
		b.at++
		b.loop()
	case "while":
		b.at++
		b.condition("loop")
		b.loop()
	case "for", "foreach":
		b.at++
		outer := b.v.variables
		b.each(w)
		b.loop()
		b.v.variables = outer
	case "exit", "continue":
		list, _ := b.until(";")
		if i := slices.IndexFunc(list, func(t token) bool { return t.word == "when" }); i >= 0 {
			b.expression(list[i+1:])
		}
	case "null", "commit", "rollback":
		if list, _ := b.until(";"); len(list) != 1 {
			b.fail("a statement is not understood")
		} else if w != "null" {
			b.run(w)
		}
	case "return":
		b.at++
		if list, _ := b.until(";"); len(list) > 0 {
			b.expression(list)
		}
	case "perform":
		b.at++
		list, _ := b.until(";")
		b.expression(list)
	case "raise":
		b.at++
		b.raise()
	case "assert":
		b.at++
		list, _ := b.until(";")
		b.expression(list)
	case "get":
		list, _ := b.until(";")
		if len(list) < 2 || list[1].word != "diagnostics" && list[1].word != "stacked" && list[1].word != "current" {
			b.fail("a GET is not understood")
		}
	case "execute":
		b.at++
		list, _ := b.until(";")
		b.execute(list)
	case "open", "fetch", "move", "close":
		b.fail("cursors are not read")
	default:
		list, _ := b.until(";")
		b.sql(list)
	}
}

// condition reads an expression up to a word.
func (b *block) condition(end string) {
	list, _ := b.until(end)
	b.expression(list)
}

// loop reads a loop's statements and its end.
func (b *block) loop() {
	b.statements("end")
	b.expect("loop")
	if b.peek() != ";" {
		b.at++ // its label
	}
	b.expect(";")
}

// each reads what a FOR or FOREACH goes through, up to LOOP.
func (b *block) each(word string) {
	list, _ := b.until("in")
	for _, t := range list {
		b.v.variables = append(b.v.variables, unquoted(b.text[t.begin:t.end]))
	}
	if word == "foreach" {
		b.expect("array")
		b.condition("loop")
		return
	}
	b.accept("reverse")
	list, _ = b.until("loop")
	if len(list) == 0 {
		b.fail("a FOR is not understood")
		return
	}
	if list[0].word == "execute" {
		b.execute(list[1:])
		return
	}
	if w := list[0].word; w != "select" && w != "with" && w != "values" {
		if i := slices.IndexFunc(list, func(t token) bool { return t.word == "by" }); i >= 0 {
			b.expression(list[i+1:])
			list = list[:i]
		}
		if from, to, ok := strings.Cut(b.of(list), ".."); ok {
			b.run("SELECT " + from)
			b.run("SELECT " + to)
			return
		}
	}
	b.sql(list)
}

// assignment reads "name := expression" and reports whether there is one.
func (b *block) assignment() bool {
	i := b.at
	for depth := 0; i < len(b.tokens); i++ {
		w := b.tokens[i].word
		switch {
		case w == "[" || w == "(" && depth > 0:
			depth++
		case w == "]" || w == ")" && depth > 0:
			depth--
		case depth > 0 || w == ".":
		case w == ":=" || w == "=":
			if i == b.at {
				return false
			}
			target := b.tokens[b.at:i]
			b.at = i + 1
			list, _ := b.until(";")
			if j := slices.IndexFunc(target, func(t token) bool { return t.word == "[" }); j >= 0 {
				b.expression(target) // its index
			}
			b.expression(list)
			return true
		case i > b.at && b.tokens[i-1].word != ".":
			return false
		}
	}
	return false
}

// raise reads RAISE: its format is a literal, after which expressions follow.
func (b *block) raise() {
	list, _ := b.until(";")
	for i, t := range list {
		switch t.word {
		case ",":
			b.options(list[i+1:])
			return
		case "using":
			b.options(list[i:])
			return
		case "(":
			b.fail("a RAISE is not understood")
			return
		}
	}
}

// options takes in expressions, and those of USING, which have names.
func (b *block) options(list []token) {
	using := false
	begin, parens := 0, 0
	flush := func(end int) {
		part := list[begin:end]
		if using && len(part) > 2 && (part[1].word == "=" || part[1].word == ":=") {
			part = part[2:]
		}
		if len(part) > 0 {
			b.expression(part)
		}
		begin = end + 1
	}
	for i, t := range list {
		switch {
		case t.word == "(" || t.word == "[":
			parens++
		case t.word == ")" || t.word == "]":
			parens--
		case parens == 0 && t.word == ",":
			flush(i)
		case parens == 0 && t.word == "using":
			flush(i)
			using = true
		}
	}
	flush(len(list))
}

// execute takes in EXECUTE of a literal.
func (b *block) execute(list []token) {
	end := slices.IndexFunc(list, func(t token) bool { return t.word == "into" || t.word == "using" })
	if end < 0 {
		end = len(list)
	}
	text, ok := b.literal(list[:end])
	if !ok {
		b.fail("EXECUTE runs a text that is not a plain literal")
		return
	}
	b.run(text)
	if i := slices.IndexFunc(list, func(t token) bool { return t.word == "using" }); i >= 0 {
		rest := list[i+1:]
		if j := slices.IndexFunc(rest, func(t token) bool { return t.word == "into" }); j >= 0 {
			rest = rest[:j]
		}
		b.expression(rest)
	}
}

// literal returns the value of an expression that is one.
func (b *block) literal(list []token) (string, bool) {
	if len(list) == 0 || len(list) > 9 {
		return "", false
	}
	stmts, err := parser.ParseSQL("SELECT " + b.of(list))
	if err != nil || len(stmts) != 1 {
		return "", false
	}
	s := selectOf(stmts[0])
	if s == nil || s.TargetList == nil || len(s.TargetList.Items) != 1 || s.FromClause != nil {
		return "", false
	}
	t, ok := s.TargetList.Items[0].(*ast.ResTarget)
	if !ok {
		return "", false
	}
	return plainText(t.Val)
}

// sql takes in a statement of SQL, without the INTO that gives its row to
// variables.
func (b *block) sql(list []token) {
	parens := 0
	for i, t := range list {
		switch {
		case t.word == "(":
			parens++
		case t.word == ")":
			parens--
		case t.word == "into" && parens == 0 && i > 0 && list[i-1].word != "insert" && list[i-1].word != "merge":
			end := i + 1
			if end < len(list) && list[end].word == "strict" {
				end++
			}
			end++ // the first name
			for end < len(list) && (list[end].word == "." || list[end].word == ",") {
				end += 2
			}
			if end > len(list) {
				b.fail("an INTO is not understood")
				return
			}
			b.run(b.of(list[:i]) + " " + b.of(list[end:]))
			return
		}
	}
	if len(list) == 0 {
		b.fail("a statement is missing")
		return
	}
	b.run(b.of(list))
}
