package sql

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// span is a literal in a text, as the scanner passed over it.
type span struct {
	kind       byte // "'", 'e' of escapes, 'u' of code points, '$', '0' of numbers, 'b' of bits
	start, end int  // with its quotes
	inner      int  // where its value begins
}

// AppendLiterals appends the values of the literals in PostgreSQL's text to dst, in
// their order: strings decoded, numbers as they are written. Of a text that has a
// Problem it appends those before it.
func AppendLiterals(dst [][]byte, text []byte, limits Limits, literals Literals) [][]byte {
	s := postgresScanner{in: text, limits: limits, operatorEnd: -1, literals: literals, spans: &[]span{}}
	if len(text)-limits.Bytes > limits.Strings || !utf8.Valid(text) {
		return dst
	}
	s.run()
	for _, p := range *s.spans {
		dst = append(dst, p.value(text))
	}
	return dst
}

// marked is the number of the first literal in a text that Marked made: more than any
// number that a statement of a sensible size counts to.
const marked = 1_000_000_000

// Marked returns text with each literal replaced by its number among them, so that
// a parser's tree tells which one is where: strings by [MarkedString], numbers by
// [MarkedNumber]. It is not ok for a text that has a Problem, or two
// literals next to each other.
func Marked(text []byte, limits Limits, literals Literals) (out []byte, ok bool) {
	s := postgresScanner{in: text, limits: limits, operatorEnd: -1, literals: literals, spans: &[]span{}}
	if len(text)-limits.Bytes > limits.Strings || !utf8.Valid(text) {
		return nil, false
	}
	s.run()
	if s.problem != "" {
		return nil, false
	}
	at := 0
	for i, p := range *s.spans {
		if i > 0 && joined(text[at:p.start]) {
			return nil, false // as strings they would be one; the server refuses the text
		}
		out = append(out, text[at:p.start]...)
		if n := len(out); n > 0 && out[n-1] != ' ' { // it may come right after a word
			out = append(out, ' ')
		}
		if p.kind == '0' {
			out = strconv.AppendInt(out, int64(marked+i), 10)
			if bytes.ContainsAny(text[p.start:p.end], ".eE") {
				out = append(out, ".5e0"...)
			}
		} else {
			out = append(append(append(append(out, '\''), markPrefix...), strconv.Itoa(i)...), '\'')
		}
		at = p.end
	}
	return append(out, text[at:]...), true
}

// joined reports whether only space and comments to the end of a line are in gap.
func joined(gap []byte) bool {
	for {
		gap = bytes.TrimLeft(gap, " \t\n\r\f\v")
		if !bytes.HasPrefix(gap, []byte("--")) {
			return len(gap) == 0
		}
		end := bytes.IndexAny(gap, "\n\r")
		if end < 0 {
			return true
		}
		gap = gap[end:]
	}
}

const markPrefix = "literal "

// MarkedString returns of which literal a string of a marked text is the number.
func MarkedString(s string) (n int, ok bool) {
	rest, ok := cutPrefix(s, markPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(rest)
	return n, err == nil && n >= 0
}

func cutPrefix(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || s[:len(prefix)] != prefix {
		return "", false
	}
	return s[len(prefix):], true
}

// MarkedNumber returns of which literal a number of a marked text is the number.
func MarkedNumber(v int64) (n int, ok bool) {
	if v < 0 {
		v = -v
	}
	return int(v - marked), v >= marked
}

// found notes a literal that begins at start and ends where the scanner is.
func (s *postgresScanner) found(kind byte, start, inner int) {
	if kind != '0' {
		s.strings += s.at - start
	}
	if s.spans != nil && s.problem == "" {
		*s.spans = append(*s.spans, span{kind, start, s.at, inner})
	}
}

// value is the literal's value.
func (p span) value(text []byte) []byte {
	raw := text[p.inner:p.end]
	switch p.kind {
	case '0':
		return raw
	case '$':
		return raw[:len(raw)-(p.inner-p.start)]
	case 'e':
		return unescaped(pieces(raw, true))
	case 'u':
		return codePoints(pieces(raw, false))
	}
	return pieces(raw, false)
}

// pieces joins the quoted pieces of a literal, of which raw is what follows the first
// quote, and halves doubled quotes.
func pieces(raw []byte, escaped bool) []byte {
	if n := len(raw) - 1; n >= 0 && bytes.IndexByte(raw, '\'') == n {
		return raw[:n]
	}
	out := make([]byte, 0, len(raw))
	inside := true
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case !inside:
			if c == '-' && i+1 < len(raw) && raw[i+1] == '-' {
				for i < len(raw) && raw[i] != '\n' && raw[i] != '\r' {
					i++
				}
			}
			inside = i < len(raw) && raw[i] == '\''
		case c == '\\' && escaped && i+1 < len(raw):
			out = append(out, c, raw[i+1])
			i++
		case c == '\'' && i+1 < len(raw) && raw[i+1] == '\'':
			out = append(out, c)
			i++
		case c == '\'':
			inside = false
		default:
			out = append(out, c)
		}
	}
	return out
}

// unescaped decodes the backslashes of E'…'.
func unescaped(v []byte) []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return v
	}
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		if v[i] != '\\' || i+1 == len(v) {
			out = append(out, v[i])
			continue
		}
		i++
		number := func(from, most, base int) {
			to := from
			for to < len(v) && to-from < most && digitOf(v[to]) < base {
				to++
			}
			n, err := strconv.ParseUint(string(v[from:to]), base, 32)
			switch {
			case err != nil:
				out = append(out, v[i])
			case v[i] == 'u' || v[i] == 'U':
				out, i = utf8.AppendRune(out, rune(n)), to-1
			default:
				out, i = append(out, byte(n)), to-1
			}
		}
		switch c := v[i]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'x':
			number(i+1, 2, 16)
		case 'u':
			number(i+1, 4, 16)
		case 'U':
			number(i+1, 8, 16)
		case '0', '1', '2', '3', '4', '5', '6', '7':
			number(i, 3, 8)
		default:
			out = append(out, c)
		}
	}
	return out
}

func digitOf(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return 255
}

// codePoints decodes U&'…' with a backslash as its escape.
func codePoints(v []byte) []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return v
	}
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		from, digits := i+1, 4
		if v[i] == '\\' && from < len(v) && v[from] == '+' {
			from, digits = from+1, 6
		}
		if v[i] == '\\' && from+digits <= len(v) {
			if n, err := strconv.ParseUint(string(v[from:from+digits]), 16, 32); err == nil {
				out = utf8.AppendRune(out, rune(n))
				i = from + digits - 1
				continue
			}
		}
		if v[i] == '\\' && from < len(v) && v[from] == '\\' {
			i++
		}
		out = append(out, v[i])
	}
	return out
}
