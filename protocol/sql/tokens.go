package sql

import "unicode/utf8"

// Token is one of a text, as PostgreSQL's scanner sees it; an operator of several characters
// is as many tokens.
type Token struct {
	Start, End int
	// Word is a word that is not in quotes, in lower case; empty of all else.
	Word string
	// Depth is how many parentheses and brackets are open around it.
	Depth int
}

// PostgresTokens returns the tokens of text. It is false for a text that cannot be read with
// certainty.
func PostgresTokens(text []byte, limits Limits) (tokens []Token, ok bool) {
	limits = limits.WithDefaults()
	if len(text) > limits.Bytes || !utf8.Valid(text) {
		return nil, false
	}
	s := postgresScanner{in: text, limits: limits, operatorEnd: -1}
	depth := 0
	for {
		s.skip()
		switch {
		case s.problem != "" || len(tokens) > limits.Tokens:
			return nil, false
		case s.at >= len(s.in):
			return tokens, true
		}
		t := Token{Start: s.at, Depth: depth}
		out := len(s.out)
		s.token()
		if s.problem != "" {
			return nil, false
		}
		t.End = s.at
		switch c := text[t.Start]; {
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			depth--
			t.Depth = depth
		case classes[c]&classStart != 0 && s.nameEnd == len(s.out) && text[t.End-1] != '"':
			t.Word = string(s.out[out:])
			if t.Word[0] == ' ' {
				t.Word = t.Word[1:]
			}
		}
		tokens = append(tokens, t)
	}
}
