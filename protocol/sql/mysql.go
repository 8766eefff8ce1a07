package sql

import (
	"bytes"
	"unicode/utf8"
)

// MySQLReading says how a server of MySQL's kind reads text.
type MySQLReading struct {
	ANSIQuotes    bool // double quotes delimit names
	NoBackslashes bool // NO_BACKSLASH_ESCAPES
	// Version is the server's, 101106 for 10.11.6, and MariaDB its kind: what is
	// in an executable comment is read from some version on. Where Version is 0
	// they are read unless SkipVersions is set.
	Version      int
	MariaDB      bool
	SkipVersions bool
	// Places has Literals noted.
	Places bool
}

// MySQLText is a text of MySQL's dialect, read in one way.
type MySQLText struct {
	// Text has its literals lifted out: 0 for whole numbers, 0.0 for others, '?' for
	// strings, b'?' for bits and hexadecimals; unquoted ASCII words in lower case.
	Text []byte
	// Clean is the text for a parser: comments are gone, what the server reads of
	// executable ones is in their place, strings are in single quotes with
	// backslashes as escapes, names in backticks.
	Clean      []byte
	Statements int    // non-empty ones
	Problem    string // why the text must not be parsed; empty when it may

	// End is where the last token ends, semicolons aside, and Inside that this is within an
	// executable comment.
	End    int
	Inside bool
	// Literals are where literals and parameters are, if they were asked for.
	Literals []MySQLLiteral

	// What would be read otherwise: a double-quoted token under the other
	// ANSIQuotes, a backslash before a quote under the other NoBackslashes, an
	// executable comment by a server of another version than 0.
	Quotes, Backslashes, Versions bool
}

// NormaliseMySQL reads text into n, reusing its slices. It follows the server's
// scanner (sql_lex.cc) in where tokens begin and end.
func NormaliseMySQL(n *MySQLText, text []byte, r MySQLReading, limits Limits) {
	s := mysqlScanner{in: text, r: r, limits: limits, n: n}
	*n = MySQLText{Text: n.Text[:0], Clean: n.Clean[:0], Literals: n.Literals[:0]}
	s.read()
}

// read reads the text, and says what its Problem is.
func (s *mysqlScanner) read() {
	n, text, limits := s.n, s.in, &s.limits
	switch {
	case len(text) > limits.Bytes+limits.Strings:
		n.Problem = TooLong
	case bytes.IndexByte(text, 0) >= 0:
		n.Problem = "the text has a NUL in it" // servers differ in whether it ends there
	default:
		s.run()
		switch {
		case n.Problem != "":
		case len(text)-s.strings > limits.Bytes:
			n.Problem = TooLong
		case s.malformed != malformed(text):
			n.Problem = NotUTF8
		}
	}
}

// malformed counts the bytes of text that are not UTF-8.
func malformed(text []byte) (n int) {
	if utf8.Valid(text) {
		return 0
	}
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			n++
		}
		text = text[size:]
	}
	return n
}

type mysqlScanner struct {
	in        []byte
	at        int
	r         MySQLReading
	limits    Limits
	n         *MySQLText
	tokens    int
	depth     int
	blocks    int // BEGIN, IF, WHILE … that are open, about
	prefix    int // operators in a row that take one operand
	pending   bool
	inside    bool            // of an executable comment that is read
	space     bool            // white space or a comment was passed since the last token
	strings   int             // bytes in strings
	malformed int             // of these, those that are not UTF-8, as in bytes that clients write
	named     bool            // the last token was a name, so that a dot after it is not a number's
	each      func(begin int) // is told of every token, which ends at at; nil: nobody is
}

func (s *mysqlScanner) peek(n int) byte {
	if s.at+n < len(s.in) {
		return s.in[s.at+n]
	}
	return 0
}

func (s *mysqlScanner) run() {
	for s.n.Problem == "" {
		s.skip()
		if s.n.Problem != "" || s.at >= len(s.in) {
			break
		}
		if s.tokens++; s.tokens > s.limits.Tokens {
			s.n.Problem = TooMany
			break
		}
		semicolon, begin, clean := s.in[s.at] == ';', s.at, len(s.n.Clean)
		s.token()
		if !semicolon {
			s.n.End, s.n.Inside = s.at, s.inside
		}
		if s.r.Places {
			s.place(begin, clean)
		}
		if s.each != nil {
			s.each(begin)
		}
	}
	if s.inside && s.n.Problem == "" {
		s.n.Problem = Unclosed
	}
	if s.pending {
		s.n.Statements++
	}
}

func mysqlSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func mysqlWord(c byte) bool { return classes[c]&classWord != 0 }

// skip passes over white space and comments, and over the ends of executable
// ones.
func (s *mysqlScanner) skip() {
	for s.at < len(s.in) && s.n.Problem == "" {
		c := s.in[s.at]
		switch {
		case mysqlSpace(c):
			s.at++
		case c == '#', c == '-' && s.peek(1) == '-' && (s.at+2 >= len(s.in) || s.peek(2) <= ' ' || s.peek(2) == 0x7f):
			if end := bytes.IndexByte(s.in[s.at:], '\n'); end >= 0 {
				s.at += end + 1
			} else {
				s.at = len(s.in)
			}
		case c == '/' && s.peek(1) == '*':
			s.comment()
		case c == '*' && s.peek(1) == '/' && s.inside:
			s.inside = false
			s.at += 2
		default:
			return
		}
		s.space = true
	}
}

// comment passes over a comment, or over the beginning of an executable one that
// the server reads.
func (s *mysqlScanner) comment() {
	begin, maria := s.at+3, false
	switch {
	case s.peek(2) == '!':
	case s.peek(2) == 'M' && s.peek(3) == '!':
		begin, maria = s.at+4, true
		if s.r.Version != 0 && !s.r.MariaDB {
			s.ignore(s.at+2, false)
			return
		}
	default:
		s.ignore(s.at+2, false)
		return
	}
	if s.inside {
		s.n.Problem = "nested executable comments"
		return
	}
	// Five or six digits are a version; servers read fewer as part of the text.
	version, digits := 0, 0
	for digits < 6 && begin+digits < len(s.in) && s.in[begin+digits] >= '0' && s.in[begin+digits] <= '9' {
		version = 10*version + int(s.in[begin+digits]-'0')
		digits++
	}
	if digits < 5 {
		version, digits = 0, 0
	}
	read := true
	switch {
	case s.r.Version == 0:
		s.n.Versions = true
		read = !s.r.SkipVersions
	case version == 0:
	case s.r.MariaDB:
		read = version <= s.r.Version && (maria || version < 50700 || version > 99999)
	default:
		read = version <= s.r.Version
	}
	if digits == 6 && !s.r.MariaDB && s.r.Version != 0 && s.r.Version < 80000 {
		s.n.Problem = "a version of six digits in a comment, which servers read in two ways"
		return
	}
	if !read {
		s.ignore(begin+digits, true)
		return
	}
	s.inside = true
	s.at = begin + digits
}

// ignore passes over a comment from its text on. In an executable one that is not
// read there may be another.
func (s *mysqlScanner) ignore(from int, nested bool) {
	for s.at = from; s.at+1 < len(s.in); s.at++ {
		switch {
		case s.in[s.at] == '*' && s.in[s.at+1] == '/':
			s.at += 2
			return
		case nested && s.in[s.at] == '/' && s.in[s.at+1] == '*':
			s.ignore(s.at+2, false)
			if s.n.Problem != "" {
				return
			}
			s.at--
		}
	}
	s.at = len(s.in)
	s.n.Problem = Unclosed
}

// apart has a space before a token that could be read as one with what is before
// it.
func (s *mysqlScanner) apart() {
	if len(s.n.Clean) == 0 {
		return
	}
	if c := s.n.Clean[len(s.n.Clean)-1]; mysqlWord(c) || c == '\'' || c == '`' {
		s.space = true
	}
}

// separate writes the space that was before a token, if there was one.
func (s *mysqlScanner) separate() {
	if s.space && len(s.n.Clean) > 0 {
		s.n.Clean = append(s.n.Clean, ' ')
		s.n.Text = append(s.n.Text, ' ')
	}
	s.space = false
	s.pending = true
}

func (s *mysqlScanner) token() {
	c := s.in[s.at]
	named := s.named
	s.named = false
	switch {
	case c == '\'':
		s.space = s.space || s.after('\'') // after one in double quotes
		s.separate()
		s.literal('\'')
	case c == '"':
		s.n.Quotes = true
		s.apart()
		s.separate()
		if s.r.ANSIQuotes {
			s.name('"')
		} else {
			s.literal('"')
		}
	case c == '`':
		s.space = s.space || s.after('`') // after a name in double quotes
		s.separate()
		s.name('`')
	case classes[c]&classDigit != 0 && !(named && !s.space && s.after('.')):
		s.number()
	case c == '.' && classes[s.peek(1)]&classDigit != 0 && !(named && !s.space):
		s.number()
	case mysqlWord(c):
		s.word()
		return
	case c == ';':
		s.at++
		if s.pending {
			s.n.Statements++
			s.pending = false
			s.n.Clean, s.n.Text = append(s.n.Clean, ';'), append(s.n.Text, ';')
			s.space = true
		}
	case c == '\\':
		if s.peek(1) != 'N' || mysqlWord(s.peek(2)) {
			s.n.Problem = "a lone backslash"
			return
		}
		s.apart()
		s.separate()
		s.n.Clean, s.n.Text = append(s.n.Clean, "NULL"...), append(s.n.Text, "null"...)
		s.at += 2
		s.space = true
	default:
		s.operator(c)
		s.named = c == '.' && named
		return
	}
	s.prefix = 0
}

// after reports whether the last character written is c.
func (s *mysqlScanner) after(c byte) bool {
	return len(s.n.Clean) > 0 && s.n.Clean[len(s.n.Clean)-1] == c
}

func (s *mysqlScanner) operator(c byte) {
	switch c {
	case '(':
		if s.depth++; s.depth > s.limits.Nesting {
			s.n.Problem = TooDeep
		}
		s.prefix = 0
	case ')':
		s.depth--
		s.prefix = 0
	case '-', '+', '!', '~':
		s.operand()
		s.space = s.space || c == '-' && s.after('-') // two of them may begin a comment
	}
	s.separate()
	s.n.Clean, s.n.Text = append(s.n.Clean, c), append(s.n.Text, c)
	s.at++
}

// operand counts operators that take one operand, on which parsers recurse.
func (s *mysqlScanner) operand() {
	if s.prefix++; s.prefix > s.limits.Nesting {
		s.n.Problem = TooDeep
	}
}

// word scans an unquoted word, and the literals that begin with a letter.
func (s *mysqlScanner) word() {
	if s.peek(1) == '\'' {
		switch s.in[s.at] | 0x20 {
		case 'n':
			s.apart()
			s.separate()
			s.at++
			s.literal('\'')
			return
		case 'x', 'b':
			s.bits()
			return
		}
	}
	begin := s.at
	for s.at < len(s.in) && mysqlWord(s.in[s.at]) {
		s.at++
	}
	s.plain(s.in[begin:s.at])
}

// plain writes a word as it is.
func (s *mysqlScanner) plain(word []byte) {
	s.separate()
	s.n.Clean = append(s.n.Clean, word...)
	mark := len(s.n.Text)
	for _, c := range word {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		s.n.Text = append(s.n.Text, c)
	}
	s.named = true
	switch string(s.n.Text[mark:]) {
	case "case", "begin", "if", "while", "loop", "repeat":
		if s.blocks++; s.blocks > s.limits.Nesting {
			s.n.Problem = TooDeep
		}
		s.prefix = 0
	case "end":
		s.blocks = max(0, s.blocks-1)
		s.prefix = 0
	case "not", "binary", "interval", "prior", "explain", "describe", "desc", "analyze", "trace":
		s.operand()
	default:
		s.prefix = 0
	}
}

// bits scans x'…' and b'…'.
func (s *mysqlScanner) bits() {
	begin := s.at
	end := bytes.IndexByte(s.in[s.at+2:], '\'')
	if end < 0 {
		s.n.Problem = Unclosed
		return
	}
	s.at += 2 + end + 1
	for _, c := range s.in[begin+2 : s.at-1] {
		if !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f') {
			s.n.Problem = "a bit string with characters that are not digits"
			return
		}
	}
	s.separate()
	s.n.Clean, s.n.Text = append(s.n.Clean, s.in[begin:s.at]...), append(s.n.Text, "b'?'"...)
}

// number scans a number, or a name that begins with a digit.
func (s *mysqlScanner) number() {
	begin := s.at
	digits := func() {
		for s.at < len(s.in) && classes[s.in[s.at]]&classDigit != 0 {
			s.at++
		}
	}
	put := func(as string) {
		s.separate()
		s.n.Clean, s.n.Text = append(s.n.Clean, s.in[begin:s.at]...), append(s.n.Text, as...)
	}
	digits()
	if c := s.peek(0); s.at == begin+1 && s.in[begin] == '0' && (c == 'x' || c == 'b') { // lower case alone, as the server
		end := s.at + 1
		for end < len(s.in) && (c == 'x' && hexadecimal(s.in[end]) || c == 'b' && (s.in[end] == '0' || s.in[end] == '1')) {
			end++
		}
		if end > s.at+1 && (end >= len(s.in) || !mysqlWord(s.in[end])) {
			s.at = end
			put("b'?'")
			return
		}
	}
	whole := true
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
			put("0.0")
			return
		}
	}
	switch {
	case !whole:
		put("0.0")
	case s.at < len(s.in) && mysqlWord(s.in[s.at]): // 1a is a name
		for s.at < len(s.in) && mysqlWord(s.in[s.at]) {
			s.at++
		}
		s.plain(s.in[begin:s.at])
	default:
		put("0")
	}
}

func hexadecimal(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// literal scans a string from its quote on.
func (s *mysqlScanner) literal(quote byte) {
	s.n.Text = append(s.n.Text, "'?'"...)
	out := append(s.n.Clean, '\'')
	defer func() { s.n.Clean = append(out, '\'') }()
	begin := s.at
	defer func() { s.strings += max(0, s.at-begin-2) }()
	put := func(c byte) {
		if s.at-begin > longestLiteral {
			return // a parser needs no more of it
		}
		if c == '\'' || c == '\\' {
			out = append(out, '\\')
		}
		out = append(out, c)
	}
	for s.at++; s.at < len(s.in); s.at++ {
		c := s.in[s.at]
		switch {
		case c == '\\' && (s.peek(1) == quote || s.peek(1) == '\\'):
			s.n.Backslashes = true
			put(c)
			if !s.r.NoBackslashes {
				if s.at-begin <= longestLiteral {
					out = out[:len(out)-2]
				}
				s.at++
				put(s.in[s.at])
			}
		case c == quote && s.peek(1) == quote:
			s.at++
			put(c)
		case c == quote:
			s.at++
			return
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRune(s.in[s.at:])
			if r == utf8.RuneError && size == 1 {
				s.malformed++
				put('?')
				continue
			}
			for range size - 1 {
				put(s.in[s.at])
				s.at++
			}
			put(s.in[s.at])
		default:
			put(c)
		}
	}
	s.n.Problem = Unclosed
}

// longestLiteral is how much of a string a parser sees.
const longestLiteral = 4 << 10

// name scans a quoted name.
func (s *mysqlScanner) name(quote byte) {
	begin := len(s.n.Clean)
	out := append(s.n.Clean, '`')
	for s.at++; s.at < len(s.in); s.at++ {
		c := s.in[s.at]
		if c == quote {
			if s.peek(1) != quote {
				s.at++
				out = append(out, '`')
				s.n.Text = append(s.n.Text, out[begin:]...)
				s.n.Clean, s.named = out, true
				return
			}
			s.at++
		}
		if c == '`' {
			out = append(out, '`')
		}
		out = append(out, c)
	}
	s.n.Clean = out
	s.n.Problem = Unclosed
}
