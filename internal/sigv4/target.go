package sigv4

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// Param is a parameter of a query, or a header, decoded.
type Param struct{ Name, Value string }

// Target is what a request is for, as it was sent and as it is read.
type Target struct {
	// Raw is the path as it was sent.
	Raw string
	// Path are its segments, decoded: "/a/b%2Fc" is "a" and "b/c", and "/" one empty segment.
	Path []string
	// Query are its parameters in their order, decoded.
	Query []Param
}

// Bounds of a target.
const (
	maxTarget = 32 << 10
	maxParams = 256
)

// Reasons to refuse a target.
var (
	ErrTarget = errors.New("the path or the query of the request cannot be read: write other characters than letters, digits, -, ., _ and ~ as %XX")
	ErrPlus   = errors.New(`the query has "+", which is read in several ways: write a space as %20 and a plus as %2B`)
)

// ParseTarget reads the target of a request line.
func ParseTarget(uri string) (*Target, error) {
	if len(uri) > maxTarget || !strings.HasPrefix(uri, "/") || strings.ContainsRune(uri, '#') {
		return nil, ErrTarget
	}
	path, query, _ := strings.Cut(uri, "?")
	t := &Target{Raw: path}
	for s := range strings.SplitSeq(path[1:], "/") {
		text, ok := decode(s)
		if !ok || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, ErrTarget
		}
		t.Path = append(t.Path, text)
	}
	if strings.Contains(query, "+") {
		return nil, ErrPlus
	}
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		n, ok := decode(name)
		v, ok2 := decode(value)
		if !ok || !ok2 || n == "" || len(t.Query) == maxParams {
			return nil, ErrTarget
		}
		t.Query = append(t.Query, Param{n, v})
	}
	return t, nil
}

// Get returns the first parameter of a name, and how many there are.
func (t *Target) Get(name string) (value string, n int) {
	for _, p := range t.Query {
		if p.Name == name {
			if n == 0 {
				value = p.Value
			}
			n++
		}
	}
	return value, n
}

// Encoded is the path with all encoded that has to be, once.
func (t *Target) Encoded() string {
	var b strings.Builder
	for _, s := range t.Path {
		b.WriteByte('/')
		escape(&b, s, false)
	}
	return b.String()
}

// EncodedQuery is the query in canonical form, which can be sent too.
func EncodedQuery(params []Param) string {
	type pair struct{ name, value string }
	list := make([]pair, 0, len(params))
	for _, p := range params {
		list = append(list, pair{Escape(p.Name), Escape(p.Value)})
	}
	slices.SortStableFunc(list, func(a, b pair) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.value, b.value)) })
	var b strings.Builder
	for i, p := range list {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name + "=" + p.value)
	}
	return b.String()
}

// Escape encodes all but letters, digits, -, ., _ and ~.
func Escape(s string) string {
	var b strings.Builder
	escape(&b, s, false)
	return b.String()
}

// escape encodes s, but for slashes where these are kept.
func escape(b *strings.Builder, s string, slashes bool) {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~', slashes && c == '/':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
}

// Twice is a path that is encoded already, encoded once more, as all services but S3 want it signed.
func Twice(path string) string {
	var b strings.Builder
	escape(&b, path, true)
	return b.String()
}

func decode(s string) (string, bool) {
	if !strings.Contains(s, "%") {
		for i := range len(s) {
			if s[i] <= ' ' || s[i] >= 0x7f {
				return "", false
			}
		}
		return s, true
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f {
			return "", false
		}
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			c = byte(hi<<4 | lo)
			i += 2
		}
		out = append(out, c)
	}
	return string(out), true
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
