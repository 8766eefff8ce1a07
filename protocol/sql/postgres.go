package sql

import (
	"bytes"
	"unicode/utf8"
)

// Normalised is a text with its literals lifted out. Two texts of the same
// Text differ in the values of their literals, in comments, in white space and
// in the case of unquoted ASCII words, and in nothing else.
type Normalised struct {
	// Text has 0 for every whole number, 0.0 for other numbers, '?' for every
	// string and b'?' for every bit string; one space between words.
	Text []byte
	// Statements counts the non-empty statements.
	Statements int
	// Problem says why the text must not be parsed; empty when it may.
	Problem string
	// Backslashes says that one is in a plain literal, so that the literal's
	// value depends on how it is read.
	Backslashes bool

	plain []int // where plain literals begin, when they are read as escaped
}

// Literals says how the backslashes in plain literals are read, which is for the
// server's standard_conforming_strings to say.
type Literals uint8

// Readings of plain literals.
const (
	LiteralsEither  Literals = iota // what one reading would split otherwise than the other is Ambiguous
	LiteralsPlain                   // a backslash is one: the setting is on
	LiteralsEscaped                 // as in E'…': the setting is off
)

// NormalisePostgres normalises PostgreSQL's text into n, reusing n.Text. It
// follows the server's scanner (scan.l) in where tokens begin and end; a text
// that the server would split otherwise depending on its settings has a
// Problem.
func NormalisePostgres(n *Normalised, text []byte, limits Limits) {
	NormalisePostgresAs(n, text, limits, LiteralsEither)
}

// NormalisePostgresAs is NormalisePostgres with plain literals read in one way.
// What the server refuses to read in that way is Unclosed.
func NormalisePostgresAs(n *Normalised, text []byte, limits Limits, literals Literals) {
	s := postgresScanner{in: text, out: n.Text[:0], limits: limits, operatorEnd: -1, literals: literals, plain: n.plain[:0]}
	switch {
	case len(text)-limits.Bytes > limits.Strings:
		s.problem = TooLong
	case !utf8.Valid(text):
		s.problem = NotUTF8
	default:
		s.run()
	}
	n.Text, n.Statements, n.Problem, n.Backslashes, n.plain = s.out, s.statements, s.problem, s.backslashes, s.plain
}

// AppendEscaped appends text to dst with its plain literals written as E'…', so
// that it is read everywhere as LiteralsEscaped, as which n has it.
func (n *Normalised) AppendEscaped(dst, text []byte) []byte {
	at := 0
	for _, begin := range n.plain {
		dst = append(dst, text[at:begin]...)
		dst = append(dst, " E"...)        // it may come right after a word
		if at = begin; text[at] != '\'' { // the letter of N'…'
			at++
		}
	}
	return append(dst, text[at:]...)
}

type postgresScanner struct {
	in          []byte
	at          int
	out         []byte
	limits      Limits
	tokens      int
	depth       int
	pending     bool // tokens since the last semicolon
	statements  int
	problem     string
	literals    Literals
	backslashes bool
	plain       []int
	spans       *[]span // of literals; nil when nobody wants them
	strings     int     // bytes of them, but for numbers
	// operatorEnd is after the last operator character: -1 before the first.
	operatorEnd int
	// nameEnd is where, in out, the last word or name ended.
	nameEnd int
	// begun is where, in out, the statement began. body is 0 outside of the body of a
	// function that is not in quotes, else how many END it waits for.
	begun, body int
	parentheses int // that are open: a semicolon in them is between the actions of a rule
}

const (
	classSpace = 1 << iota
	classStart // begins a word
	classDigit
	classWord // goes on with a word
)

var classes = func() (t [256]uint8) {
	for _, c := range []byte(" \t\n\r\f\v") {
		t[c] |= classSpace
	}
	for c := range 256 {
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80:
			t[c] |= classStart | classWord
		case c >= '0' && c <= '9':
			t[c] |= classDigit | classWord
		case c == '$':
			t[c] |= classWord
		}
	}
	return t
}()

func (s *postgresScanner) peek(n int) byte {
	if s.at+n < len(s.in) {
		return s.in[s.at+n]
	}
	return 0
}

func (s *postgresScanner) run() {
	for s.problem == "" {
		s.skip()
		if s.problem != "" || s.at >= len(s.in) {
			break
		}
		if s.tokens++; s.tokens > s.limits.Tokens {
			s.problem = TooMany
			break
		}
		if s.at-s.strings > s.limits.Bytes {
			break
		}
		s.token()
	}
	if s.problem == "" && (s.at-s.strings > s.limits.Bytes || s.strings > s.limits.Strings) {
		s.problem = TooLong
	}
	if s.pending {
		s.statements++
	}
}

// skip passes over white space and comments.
func (s *postgresScanner) skip() {
	for s.at < len(s.in) {
		c := s.in[s.at]
		switch {
		case classes[c]&classSpace != 0:
			s.at++
		case c == '-' && s.peek(1) == '-':
			s.lineComment()
		case c == '/' && s.peek(1) == '*':
			if !s.blockComment() {
				s.problem = Unclosed
				return
			}
		default:
			return
		}
	}
}

func (s *postgresScanner) lineComment() {
	for s.at < len(s.in) && s.in[s.at] != '\n' && s.in[s.at] != '\r' {
		s.at++
	}
}

func (s *postgresScanner) blockComment() bool {
	depth := 0
	for s.at+1 < len(s.in) {
		switch {
		case s.in[s.at] == '/' && s.in[s.at+1] == '*':
			depth++
			s.at += 2
		case s.in[s.at] == '*' && s.in[s.at+1] == '/':
			depth--
			s.at += 2
			if depth == 0 {
				return true
			}
		default:
			s.at++
		}
	}
	return false
}

// space separates the token that begins with next from the one before. Where it
// leaves the space out, no other tokens would give the same text.
func (s *postgresScanner) space(next byte) {
	n := len(s.out)
	if n == 0 || s.out[n-1] == '(' || next == ',' || next == ')' || next == ';' {
		return
	}
	switch {
	case next == '.' && s.nameEnd == n:
	case s.out[n-1] == '.' && s.nameEnd == n-1 && (next == '"' || next == '*' || classes[next]&classStart != 0):
	default:
		s.out = append(s.out, ' ')
	}
}

func (s *postgresScanner) put(token string) {
	s.space(token[0])
	s.out = append(s.out, token...)
	s.pending = true
}

func (s *postgresScanner) token() {
	c := s.in[s.at]
	switch {
	case classes[c]&classStart != 0:
		s.word()
	case classes[c]&classDigit != 0, c == '.' && classes[s.peek(1)]&classDigit != 0:
		s.number()
	case c == '\'':
		s.plainAt(s.at)
		s.at++
		s.literal(s.literals == LiteralsEscaped, 1)
	case c == '"':
		s.name(s.at)
	case c == '$':
		s.dollar()
	case c == ';':
		s.at++
		switch {
		case s.body > 0 || s.parentheses > 0:
			s.out = append(s.out, ';')
		case s.pending:
			s.statements++
			s.pending = false
			s.out = append(s.out, ';')
			s.begun = len(s.out)
		}
	default:
		s.operator(c)
	}
}

func (s *postgresScanner) operator(c byte) {
	switch c {
	case '(', '[':
		if s.depth++; s.depth > s.limits.Nesting {
			s.problem = TooDeep
		}
	case ')', ']':
		s.depth--
	}
	switch c {
	case '(':
		s.parentheses++
	case ')':
		s.parentheses--
	}
	// Characters that follow one another can be one operator, so that nothing
	// is between them in the normalised text either.
	if !isOperator(c) {
		s.space(c)
	} else {
		if s.operatorEnd != s.at {
			s.space(c)
		}
		s.operatorEnd = s.at + 1
	}
	s.out = append(s.out, c)
	s.at++
	s.pending = true
}

func isOperator(c byte) bool { return bytes.IndexByte([]byte("~!@#^&|`?+-*/%<>=:."), c) >= 0 }

// word scans an unquoted word, and the literals that begin with a letter.
func (s *postgresScanner) word() {
	c, next := s.in[s.at]|0x20, s.peek(1)
	if next == '\'' {
		switch c {
		case 'e':
			s.at += 2
			s.literal(true, 2)
			return
		case 'b', 'x':
			s.at += 2
			s.bits()
			return
		case 'n':
			s.plainAt(s.at)
			s.at += 2
			s.literal(s.literals == LiteralsEscaped, 2)
			return
		}
	}
	if c == 'u' && next == '&' {
		switch s.peek(2) {
		case '\'':
			if s.literals == LiteralsEscaped {
				s.problem = Unclosed // the server refuses these then
				return
			}
			s.at += 3
			s.literal(false, 3)
			return
		case '"':
			begin := s.at
			s.at += 2
			s.name(begin)
			return
		}
	}
	begin := s.at
	for s.at < len(s.in) && classes[s.in[s.at]]&classWord != 0 {
		s.at++
	}
	s.space(s.in[begin])
	mark := len(s.out)
	for _, c := range s.in[begin:s.at] {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		s.out = append(s.out, c)
	}
	s.pending = true
	s.nameEnd = len(s.out)
	switch string(s.out[mark:]) {
	case "case":
		if s.depth++; s.depth > s.limits.Nesting {
			s.problem = TooDeep
		}
		if s.body > 0 {
			s.body++
		}
	case "end":
		s.depth--
		if s.body > 0 {
			s.body--
		}
	case "atomic":
		if s.body == 0 && bytes.HasSuffix(s.out, []byte(" begin atomic")) && bytes.HasPrefix(bytes.TrimLeft(s.out[s.begun:], " "), []byte("create ")) {
			s.body = 1
		}
	}
}

// number takes what every version of the server takes as one number, and no
// letter after it: servers differ in whether 1union is one word or two.
func (s *postgresScanner) number() {
	begin, whole := s.at, true
	digits := func() {
		for s.at < len(s.in) && classes[s.in[s.at]]&classDigit != 0 {
			s.at++
		}
	}
	digits()
	if s.peek(0) == '.' && s.at < len(s.in) {
		whole = false
		s.at++
		digits()
	}
	if c := s.peek(0) | 0x20; c == 'e' {
		sign := 0
		if c := s.peek(1); c == '+' || c == '-' {
			sign = 1
		}
		if classes[s.peek(1+sign)]&classDigit != 0 {
			whole = false
			s.at += 1 + sign
			digits()
		}
	}
	s.found('0', begin, begin)
	if whole {
		s.put("0")
	} else {
		s.put("0.0")
	}
}

// plainAt notes where a plain literal begins.
func (s *postgresScanner) plainAt(at int) {
	if s.literals == LiteralsEscaped {
		s.plain = append(s.plain, at)
	}
}

// literal scans a string after its opening quote, before which the literal began. In
// escaped ones a backslash takes the next character along.
func (s *postgresScanner) literal(escaped bool, opening int) {
	inner := s.at
	for {
		if !s.segment(escaped) {
			return
		}
		if !s.continued() {
			break
		}
	}
	kind := byte('\'')
	switch {
	case opening == 3:
		kind = 'u'
	case escaped:
		kind = 'e'
	}
	s.found(kind, inner-opening, inner)
	s.put("'?'")
}

// segment passes over one quoted piece and its closing quote.
func (s *postgresScanner) segment(escaped bool) bool {
	backslashes := 0 // in a row, directly before
	for s.at < len(s.in) {
		switch c := s.in[s.at]; {
		case c == '\\' && escaped:
			s.at += 2
			continue
		case c == '\\':
			backslashes++
			s.backslashes = true
			s.at++
			continue
		case c == '\'' && backslashes%2 == 1 && s.literals == LiteralsEither:
			s.problem = Ambiguous
			return false
		case c == '\'' && s.peek(1) == '\'':
			s.at += 2
		case c == '\'':
			s.at++
			return true
		default:
			s.at++
		}
		backslashes = 0
	}
	s.problem = Unclosed
	return false
}

// continued passes over white space with a line's end in it and the quote
// after it, by which the server takes the next quoted piece as part of the same
// literal.
func (s *postgresScanner) continued() bool {
	begin, line := s.at, false
	for s.at < len(s.in) {
		switch c := s.in[s.at]; {
		case c == '\n' || c == '\r':
			line = true
			s.at++
		case classes[c]&classSpace != 0:
			s.at++
		case c == '-' && s.peek(1) == '-':
			s.lineComment()
		case c == '\'' && line:
			s.at++
			return true
		default:
			s.at = begin
			return false
		}
	}
	s.at = begin
	return false
}

func (s *postgresScanner) bits() {
	inner := s.at
	for {
		end := bytes.IndexByte(s.in[s.at:], '\'')
		if end < 0 {
			s.problem = Unclosed
			return
		}
		s.at += end + 1
		if !s.continued() {
			break
		}
	}
	s.found('b', inner-2, inner)
	s.put("b'?'")
}

// name copies a quoted name, which is not a literal. begin is where its prefix, if
// any, began, and s.at its opening quote.
func (s *postgresScanner) name(begin int) {
	s.at++
	for s.at < len(s.in) {
		if s.in[s.at] != '"' {
			s.at++
			continue
		}
		if s.peek(1) != '"' {
			s.at++
			s.space(s.in[begin])
			s.out = append(s.out, s.in[begin:s.at]...)
			s.pending = true
			s.nameEnd = len(s.out)
			return
		}
		s.at += 2
	}
	s.problem = Unclosed
}

// dollar scans a parameter or a dollar-quoted literal.
func (s *postgresScanner) dollar() {
	begin := s.at
	s.at++
	if classes[s.peek(0)]&classDigit != 0 {
		for s.at < len(s.in) && classes[s.in[s.at]]&classDigit != 0 {
			s.at++
		}
		s.space('$')
		s.out = append(s.out, s.in[begin:s.at]...)
		s.pending = true
		return
	}
	if classes[s.peek(0)]&classStart != 0 {
		for s.at < len(s.in) && classes[s.in[s.at]]&(classStart|classDigit) != 0 {
			s.at++
		}
	}
	if s.at >= len(s.in) || s.in[s.at] != '$' {
		s.problem = BadDollar
		return
	}
	s.at++
	tag := s.in[begin:s.at]
	end := bytes.Index(s.in[s.at:], tag)
	if end < 0 {
		s.problem = Unclosed
		return
	}
	s.at += end + len(tag)
	s.found('$', begin, begin+len(tag))
	s.put("'?'")
}
