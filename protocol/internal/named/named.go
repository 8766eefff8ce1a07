// Package named works out what a client asks for, where it may say so in several ways.
package named

import "strings"

// ByServer returns the resource that a TLS server name means: the one label before domain. Both are in lower
// case. The result is empty where the name is another one, or domain is empty.
func ByServer(name, domain string) string {
	if domain == "" {
		return ""
	}
	resource, ok := strings.CutSuffix(name, "."+domain)
	if !ok || strings.Contains(resource, ".") {
		return ""
	}
	return resource
}

// Agreed returns what several ways of saying a name agree on; those that are empty say nothing. ok is false
// where two differ. The name is empty where nothing was said.
func Agreed(said ...string) (name string, ok bool) {
	for _, s := range said {
		switch {
		case s == "" || s == name:
		case name == "":
			name = s
		default:
			return "", false
		}
	}
	return name, true
}
