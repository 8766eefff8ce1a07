package sql

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strconv"
)

// MySQLLiteral is where a literal of a text is, or a parameter.
type MySQLLiteral struct {
	kind     byte // '0' a number, '\'' or '"' a string in these quotes, 'x' bytes, '?' a parameter
	from, to int  // in the text
	at, end  int  // in Clean
}

// place notes the token from begin on, whose part of Clean begins at clean, if it is a literal.
func (s *mysqlScanner) place(begin, clean int) {
	c := s.in[begin]
	if clean < len(s.n.Clean) && s.n.Clean[clean] == ' ' {
		clean++
	}
	if s.n.Problem != "" || clean >= len(s.n.Clean) || s.at <= begin {
		return
	}
	l := MySQLLiteral{from: begin, to: s.at, at: clean, end: len(s.n.Clean)}
	last := s.n.Clean[len(s.n.Clean)-1]
	switch {
	case c == '?' && s.at == begin+1:
		l.kind = '?'
	case c == '\'', c == '"' && last == '\'':
		l.kind = c
	case last == '\'' && (c|0x20 == 'x' || c|0x20 == 'b'):
		l.kind = 'x'
	case last == '\'': // N'…'
		l.kind = '\''
	case c != '.' && classes[c]&classDigit == 0 || s.named:
		return
	case c == '0' && s.at > begin+1 && (s.in[begin+1] == 'x' || s.in[begin+1] == 'b'):
		l.kind = 'x'
	default:
		l.kind = '0'
	}
	s.n.Literals = append(s.n.Literals, l)
}

// LiteralsOfMySQL appends the values of a text's literals to dst: strings decoded, numbers as they
// are written.
func LiteralsOfMySQL(dst [][]byte, text []byte, r MySQLReading, limits Limits) [][]byte {
	r.Places = true
	var n MySQLText
	NormaliseMySQL(&n, text, r, limits)
	for _, l := range n.Literals {
		if l.kind != '?' {
			dst = append(dst, l.value(text[l.from:l.to], r.NoBackslashes))
		}
	}
	return dst
}

func (l *MySQLLiteral) value(raw []byte, plain bool) []byte {
	switch l.kind {
	case '0':
		return raw
	case 'x':
		digits := bytes.Trim(raw[1:], "xX'")
		b := make([]byte, len(digits)/2)
		if n, err := hex.Decode(b, digits); err != nil || raw[0]|0x20 == 'b' || len(raw) > 1 && raw[1] == 'b' {
			return raw[:0:0]
		} else {
			return b[:n]
		}
	}
	if raw[0] != l.kind {
		raw = raw[1:]
	}
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, l.kind) < 0 && (plain || bytes.IndexByte(raw, '\\') < 0) {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == l.kind || c == '\\' && !plain {
			i++
			if i < len(raw) {
				if out = append(out, mysqlEscaped(raw[i])); c == '\\' && (raw[i] == '%' || raw[i] == '_') {
					out = append(out[:len(out)-1], '\\', raw[i])
				} else if c == l.kind {
					out[len(out)-1] = c
				}
			}
			continue
		}
		out = append(out, c)
	}
	return out
}

// mysqlEscaped is what a character means after a backslash.
func mysqlEscaped(c byte) byte {
	switch c {
	case '0':
		return 0
	case 'b':
		return '\b'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'Z':
		return 26
	}
	return c
}

// markedParam is the number of the first parameter in a text that MarkedMySQL made.
const markedParam = 2 * marked

// MarkedMySQL returns text for a parser, with each literal and parameter replaced by its number, as
// [Marked] does: parameters are numbers for [MarkedParam]. It is not ok for a text that has a Problem, or two
// strings next to each other.
func MarkedMySQL(n *MySQLText) (out []byte, ok bool) {
	if n.Problem != "" {
		return nil, false
	}
	at, count, params := 0, 0, 0
	for i, l := range n.Literals {
		gap := n.Clean[at:l.at]
		if i > 0 && l.kind != '?' && len(bytes.TrimSpace(gap)) == 0 {
			return nil, false
		}
		out = append(out, gap...)
		if k := len(out); k > 0 && out[k-1] != ' ' { // it may come right after a word
			out = append(out, ' ')
		}
		switch l.kind {
		case '?':
			out = strconv.AppendInt(out, int64(markedParam+params), 10)
			params++
		case '0':
			out = strconv.AppendInt(out, int64(marked+count), 10)
			if bytes.ContainsAny(n.Clean[l.at:l.end], ".eE") {
				out = append(out, ".5e0"...)
			}
			count++
		default:
			out = append(append(append(append(out, '\''), markPrefix...), strconv.Itoa(count)...), '\'')
			count++
		}
		at = l.end
	}
	return append(out, n.Clean[at:]...), true
}

// MarkedParam returns of which parameter a number of a text of [MarkedMySQL] is the number.
func MarkedParam(v int64) (n int, ok bool) {
	if v < 0 {
		v = -v
	}
	return int(v - markedParam), v >= markedParam
}

// ReplacedMySQL appends text to dst with each literal for which with returns ok replaced by a string of
// that value. It fails with ErrNotReplaced, and appends nothing, where the text has a Problem.
func ReplacedMySQL(dst, text []byte, r MySQLReading, limits Limits, with func(i int) (value []byte, ok bool)) ([]byte, error) {
	r.Places = true
	var n MySQLText
	NormaliseMySQL(&n, text, r, limits)
	if n.Problem != "" {
		return dst, ErrNotReplaced
	}
	from, at, i := len(dst), 0, -1
	for _, l := range n.Literals {
		if l.kind == '?' {
			continue
		}
		i++
		v, ok := with(i)
		if !ok {
			continue
		}
		if bytes.IndexByte(v, 0) >= 0 {
			return dst[:from], ErrNotReplaced
		}
		dst = append(dst, text[at:l.from]...)
		if k := len(dst); k > 0 && isWordByte(dst[k-1]) {
			dst = append(dst, ' ')
		}
		dst = append(dst, '\'')
		for _, c := range v {
			if c == '\'' || c == '\\' && !r.NoBackslashes {
				dst = append(dst, c)
			}
			dst = append(dst, c)
		}
		dst = append(dst, '\'')
		at = l.to
	}
	return append(dst, text[at:]...), nil
}

// BoundMySQL returns text with each of its parameters, of which there are want, replaced, and how
// many there were. It fails where it can be read in ways that differ in which they are.
func BoundMySQL(text []byte, with func(i int) string, want int) (out []byte, n int, err error) {
	var first []MySQLLiteral
	for way := range 4 {
		var t MySQLText
		NormaliseMySQL(&t, text, MySQLReading{ANSIQuotes: way&1 != 0, NoBackslashes: way&2 != 0, Places: true}, Limits{}.WithDefaults())
		params := slices.DeleteFunc(slices.Clone(t.Literals), func(l MySQLLiteral) bool { return l.kind != '?' })
		if t.Problem != "" || len(params) != want {
			return nil, len(params), ErrNotReplaced
		}
		if way > 0 && !slices.EqualFunc(params, first, func(a, b MySQLLiteral) bool { return a.from == b.from }) {
			return nil, 0, ErrNotReplaced
		}
		first = params
	}
	at := 0
	for i, l := range first {
		out = append(append(out, text[at:l.from]...), with(i)...)
		at = l.to
	}
	return append(out, text[at:]...), len(first), nil
}
