package sql

import (
	"bytes"
	"strings"
)

// MySQLTokens returns the tokens of text, as a server of MySQL's kind sees them that reads it by r; an operator of several
// characters may be as many tokens. It is false for a text that cannot be read with certainty, and for one that holds a comment which
// is more to the server: an executable one, and a hint, which may set a variable of the session for the statement that it is in.
func MySQLTokens(text []byte, r MySQLReading, limits Limits) (tokens []Token, ok bool) {
	for _, begin := range []string{"/*!", "/*M!", "/*+"} {
		if bytes.Contains(text, []byte(begin)) {
			return nil, false
		}
	}
	depth := 0
	var n MySQLText
	s := mysqlScanner{in: text, r: r, limits: limits.WithDefaults(), n: &n}
	s.each = func(begin int) {
		t := Token{Start: begin, End: s.at, Depth: depth}
		switch c := text[begin]; {
		case c == '(':
			depth++
		case c == ')':
			depth--
			t.Depth = depth
		case mysqlWord(c) && s.at > begin && text[s.at-1] != '\'':
			t.Word = strings.ToLower(string(text[begin:s.at]))
		}
		tokens = append(tokens, t)
	}
	s.read()
	return tokens, n.Problem == ""
}
