package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Events are many, and what is looked for in them is little: their fields are read
// without decoding them. This code relies on the form in which encode.go
// writes them, one object without white space outside of strings.

// fields calls each with every field of an event's JSON, its value as it is
// written. It ends at what is not a field.
func fields(b []byte, each func(key, value []byte)) {
	for len(b) > 1 && (b[0] == '{' || b[0] == ',') && b[1] == '"' {
		key := stringEnd(b[1:])
		if key == 0 || 1+key >= len(b) || b[1+key] != ':' {
			return
		}
		name, rest := b[2:key], b[2+key:]
		n := valueEnd(rest)
		if n == 0 {
			return
		}
		each(name, rest[:n])
		b = rest[n:]
	}
}

// stringEnd is the length of the JSON string that b begins with, 0 when none ends.
func stringEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return 0
		}
		if i += n; !escaped(b[:i]) {
			return i + 1
		}
	}
	return 0
}

// escaped reports whether b ends with an odd number of backslashes.
func escaped(b []byte) bool {
	n := len(b)
	for n > 0 && b[n-1] == '\\' {
		n--
	}
	return (len(b)-n)%2 == 1
}

// valueEnd is the length of the JSON value that b begins with.
func valueEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := stringEnd(b[i:])
			if n == 0 {
				return 0
			}
			if i += n - 1; depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return i
			}
			if depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return 0
}

// eachString calls each with every string in a value, however deep, keys among
// them.
func eachString(value []byte, each func(s []byte)) {
	for {
		i := bytes.IndexByte(value, '"')
		if i < 0 {
			return
		}
		n := stringEnd(value[i:])
		if n == 0 {
			return
		}
		each(unquote(value[i : i+n]))
		value = value[i+n:]
	}
}

// unquote is what a JSON string says; nil for another value. It may be a view of
// quoted.
func unquote(quoted []byte) []byte {
	if len(quoted) < 2 || quoted[0] != '"' {
		return nil
	}
	if inside := quoted[1 : len(quoted)-1]; bytes.IndexByte(inside, '\\') < 0 {
		return inside
	}
	return appendUnquoted(nil, quoted)
}

// appendUnquoted appends what a JSON string says, and nothing for another value.
func appendUnquoted(dst, quoted []byte) []byte {
	if len(quoted) < 2 || quoted[0] != '"' {
		return dst
	}
	begun := len(dst)
	for rest := quoted[1 : len(quoted)-1]; ; {
		i := bytes.IndexByte(rest, '\\')
		if i < 0 {
			return append(dst, rest...)
		}
		dst = append(dst, rest[:i]...)
		c, n := unescape(rest[i:])
		if n == 0 { // encode.go does not write it
			var s string
			if json.Unmarshal(quoted, &s) != nil {
				return dst[:begun]
			}
			return append(dst[:begun], s...)
		}
		dst, rest = utf8.AppendRune(dst, c), rest[i+n:]
	}
}

// unescape reads an escape sequence as encode.go writes them, and returns its
// length; 0 for others.
func unescape(b []byte) (c rune, n int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\':
		return rune(b[1]), 2
	case 'n':
		return '\n', 2
	case 't':
		return '\t', 2
	case 'u':
		if len(b) < 6 {
			return 0, 0
		}
		for _, digit := range b[2:6] {
			value := strings.IndexByte(hexDigits, digit)
			if value < 0 {
				return 0, 0
			}
			c = c<<4 | rune(value)
		}
		if !utf16.IsSurrogate(c) {
			return c, 6
		}
	}
	return 0, 0
}
