package web

import (
	"net/http"
	"net/textproto"
	"strings"
)

// same reports whether two names are one to an application: many servers make "_" of "-", and read
// no case.
func same(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if fold(a[i]) != fold(b[i]) {
			return false
		}
	}
	return true
}

func fold(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c + 'a' - 'A'
	case c == '_':
		return '-'
	}
	return c
}

// forwarded reports whether a header says where a request came from, which the gateway says.
func forwarded(name string) bool {
	return len(name) > 12 && same(name[:12], "X-Forwarded-") || same(name, "Forwarded") || same(name, "X-Real-Ip") || same(name, "Via") ||
		same(name, "X-Original-Url") || same(name, "X-Rewrite-Url") || len(name) > 10 && same(name[:10], "X-Gateway-")
}

// overrides returns the header by which a request asks for another method than its own; empty
// where none does.
func overrides(h http.Header) string {
	for name := range h {
		if same(name, "X-Http-Method-Override") || same(name, "X-Http-Method") || same(name, "X-Method-Override") {
			return name
		}
	}
	return ""
}

// strip removes the headers that only the gateway sets, and those by which some
// applications read another path than was decided about.
func strip(h http.Header, names ...string) {
	for name := range h {
		if forwarded(name) {
			delete(h, name)
			continue
		}
		for _, own := range names {
			if same(name, own) {
				delete(h, name)
			}
		}
	}
}

// withoutCookies removes the gateway's cookies, and leaves the others as they are.
func withoutCookies(h http.Header) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return
	}
	var keep []string
	for _, line := range lines {
		var parts []string
		for part := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(textproto.TrimString(part), "=")
			if !ownCookie(textproto.TrimString(name)) {
				parts = append(parts, part)
			}
		}
		if left := textproto.TrimString(strings.Join(parts, ";")); left != "" {
			keep = append(keep, left)
		}
	}
	if len(keep) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = keep
}

// withoutOwnCookies removes cookies that the application sets under the gateway's names.
func withoutOwnCookies(h http.Header) {
	lines := h["Set-Cookie"]
	var keep []string
	for _, line := range lines {
		name, _, _ := strings.Cut(line, "=")
		if !ownCookie(textproto.TrimString(name)) {
			keep = append(keep, line)
		}
	}
	switch {
	case len(keep) == len(lines):
	case len(keep) == 0:
		delete(h, "Set-Cookie")
	default:
		h["Set-Cookie"] = keep
	}
}

// token reports whether a comma-separated header has a word.
func token(h http.Header, name, word string) bool {
	for _, line := range h[name] {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(textproto.TrimString(part), word) {
				return true
			}
		}
	}
	return false
}
