package sql

import "unicode/utf8"

// PostgresEnd returns where the last token of text ends, semicolons aside, so
// that what is put there belongs to the last statement and is not in a comment.
// It is false for text that cannot be read with certainty, and for one without a
// token.
func PostgresEnd(text []byte, limits Limits) (end int, ok bool) {
	limits = limits.WithDefaults()
	if len(text) > limits.Bytes || !utf8.Valid(text) {
		return 0, false
	}
	s := postgresScanner{in: text, limits: limits, operatorEnd: -1}
	for tokens := 0; ; tokens++ {
		s.skip()
		if s.problem != "" || tokens > limits.Tokens {
			return 0, false
		}
		if s.at >= len(s.in) {
			return end, end > 0
		}
		semicolon := s.in[s.at] == ';'
		s.token()
		if !semicolon {
			end = s.at
		}
	}
}
