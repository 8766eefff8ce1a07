// Package relay holds what protocols over HTTP share: connections that a server of net/http serves, sessions that last over many
// requests, requests that wait for an approval, connections to applications, and answers that interceptors edit.
package relay

import (
	"net"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// IsGRPC reports whether headers are those of gRPC.
func IsGRPC(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "application/grpc" || strings.HasPrefix(media, "application/grpc+")
}

// Address is where a client is, without its port.
func Address(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// Line makes a text fit for a header.
func Line(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s)
}

// Clip is the first n bytes of a text, fit for a header.
func Clip(s string, n int) string { return Line(s[:min(len(s), n)]) }

// Sentence makes a text begin with a capital letter and end with a full stop.
func Sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	s = string(unicode.ToUpper(r)) + s[n:]
	if !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "!") && !strings.HasSuffix(s, "?") {
		s += "."
	}
	return s
}
