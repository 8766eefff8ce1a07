package web

import (
	"errors"
	"net/url"
	"strings"
)

// Paths that are not read the same by everybody are refused: what is decided about is what
// the application gets.
var (
	errPath      = errors.New("the path is not one: write it as /A/B, with %XX for other characters")
	errSlash     = errors.New("the path has an encoded slash or a backslash, which servers read differently; the operator can take such paths by encoded_slashes")
	errDots      = errors.New("the path has a segment of dots next to an encoded slash or backslash")
	errParameter = errors.New("the path has a semicolon, after which servers read differently; the operator can take such paths by path_parameters")
)

const maxPath = 16 << 10

// normal returns a path as it is decided about, decoded, and as it is sent on: without
// empty segments and segments of dots, and with only what needs it encoded.
func normal(escaped string, s *Settings) (path, sent string, err error) {
	if !strings.HasPrefix(escaped, "/") || len(escaped) > maxPath {
		return "", "", errPath
	}
	slashes := false
	out := make([]byte, 0, len(escaped))
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		encoded := c == '%'
		if encoded {
			if i+2 >= len(escaped) {
				return "", "", errPath
			}
			hi, lo := unhex(escaped[i+1]), unhex(escaped[i+2])
			if hi < 0 || lo < 0 {
				return "", "", errPath
			}
			c = byte(hi<<4 | lo)
			i += 2
		}
		switch {
		case c < ' ' || c == 0x7f:
			return "", "", errPath
		case c == '\\', encoded && c == '/':
			if !s.EncodedSlashes {
				return "", "", errSlash
			}
			slashes = true
		case c == ';' && !s.PathParameters:
			return "", "", errParameter
		}
		switch {
		case !encoded && (c == '/' || plain(c)), encoded && unreserved(c):
			out = append(out, c)
		default:
			const digits = "0123456789ABCDEF"
			out = append(out, '%', digits[c>>4], digits[c&15])
		}
	}
	sent = clean(string(out))
	if path, err = url.PathUnescape(sent); err != nil {
		return "", "", errPath
	}
	if slashes {
		path = strings.ReplaceAll(path, `\`, "/")
		for seg := range strings.SplitSeq(path, "/") {
			if seg == "." || seg == ".." {
				return "", "", errDots
			}
		}
	}
	return path, sent, nil
}

// clean removes segments that are empty or dots; what ends with one of them, or with a slash, ends with a slash.
func clean(path string) string {
	list := strings.Split(path[1:], "/")
	var keep []string
	dir := false
	for _, s := range list {
		dir = false
		switch s {
		case "", ".":
			dir = true
		case "..":
			dir = true
			keep = keep[:max(len(keep)-1, 0)]
		default:
			keep = append(keep, s)
		}
	}
	out := "/" + strings.Join(keep, "/")
	if dir && len(keep) > 0 {
		out += "/"
	}
	return out
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// plain reports whether a byte of a path stays as the client wrote it.
func plain(c byte) bool { return unreserved(c) || strings.IndexByte("!$&'()*+,;=:@", c) >= 0 }

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

// shapeOf is a path with what names one thing of many as {id}; empty where it has no such part.
func shapeOf(path string) string {
	list := strings.Split(path, "/")
	found := false
	for i, s := range list {
		if identifies(s) {
			list[i], found = "{id}", true
		}
	}
	if !found {
		return ""
	}
	return strings.Join(list, "/")
}

// identifies reports whether a segment is a number, a UUID or a long hexadecimal.
func identifies(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	digits, hex, dashes := 0, 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case unhex(c) >= 0:
			hex++
		case c == '-':
			dashes++
		default:
			return false
		}
	}
	switch {
	case digits == len(s):
		return true
	case dashes == 4 && len(s) == 36:
		return true
	}
	return dashes == 0 && digits > 0 && digits+hex >= 16
}

// local returns a path of this host to go back to; "/" for everything else, as what a browser
// reads as another host.
func local(to string) string {
	if len(to) < 1 || len(to) > 2048 || to[0] != '/' || len(to) > 1 && (to[1] == '/' || to[1] == '\\') {
		return "/"
	}
	for i := range len(to) {
		if to[i] <= ' ' || to[i] >= 0x7f || to[i] == '\\' {
			return "/"
		}
	}
	return to
}
