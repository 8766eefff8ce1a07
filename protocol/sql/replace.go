package sql

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// ErrNotReplaced says that a literal cannot be replaced by a string.
var ErrNotReplaced = errors.New("the literal cannot be replaced")

// AppendReplaced appends PostgreSQL's text to dst with each literal for which with returns
// ok replaced by a string of that value. Literals are counted as AppendLiterals does. It fails
// with ErrNotReplaced, and appends nothing, where the text has a Problem, or the literal is
// one of bits or of code points, of which what follows may say how they are read.
func AppendReplaced(dst, text []byte, limits Limits, literals Literals, with func(i int) (value []byte, ok bool)) ([]byte, error) {
	s := postgresScanner{in: text, limits: limits, operatorEnd: -1, literals: literals, spans: &[]span{}}
	if len(text) > limits.Bytes || !utf8.Valid(text) {
		return dst, ErrNotReplaced
	}
	s.run()
	if s.problem != "" {
		return dst, ErrNotReplaced
	}
	from, at := len(dst), 0
	for i, p := range *s.spans {
		v, ok := with(i)
		if !ok {
			continue
		}
		if p.kind == 'u' || p.kind == 'b' || bytes.IndexByte(v, 0) >= 0 {
			return dst[:from], ErrNotReplaced
		}
		dst = append(dst, text[at:p.start]...)
		dst = appendString(dst, v)
		at = p.end
	}
	return append(dst, text[at:]...), nil
}

// appendString appends v as a string that is read in the same way whatever a backslash in a
// plain literal means.
func appendString(dst, v []byte) []byte {
	escapes := bytes.IndexByte(v, '\\') >= 0
	if n := len(dst); n > 0 && isWordByte(dst[n-1]) { // a number, or a string, right after a word
		dst = append(dst, ' ')
	}
	if escapes {
		dst = append(dst, 'E')
	}
	dst = append(dst, '\'')
	for _, c := range v {
		if c == '\'' || c == '\\' {
			dst = append(dst, c)
		}
		dst = append(dst, c)
	}
	return append(dst, '\'')
}

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c-'0' < 10 || c|0x20-'a' < 26
}
