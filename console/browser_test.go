package console_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/browsertest"
)

// pages are all of the console, with who looks at them and what has come when they have.
var pages = []struct{ name, path, user, role, sees string }{
	{"home", "/", "olga", "button", "Approve"},
	{"home-own", "/", "alice", "link", "vm1"},
	{"connections", "/connections", "alice", "link", "orders"},
	{"connection", "/connections/orders", "alice", "heading", "Connect"},
	{"ask", "/connections/reports?ask=1", "alice", "button", "Ask"},
	{"requests", "/requests?past=1", "olga", "any", "denied"},
	{"request-access", "/requests?q=queue", "olga", "link", "vm1"},
	{"request-statement", "/requests?q=update", "olga", "link", "orders"},
	{"sessions", "/sessions", "ada", "any", "ended"},
	{"session", "/sessions?state=past", "ada", "any", "ended"},
	{"missing", "/nothing/here", "alice", "heading", "Nothing here"},
}

// TestPages: every page can be used by everybody, in both themes, on a telephone and enlarged, and the browser complains about nothing.
func TestPages(t *testing.T) {
	h := open(t, "")
	h.seed(t)
	b := browsertest.Open(t)
	b.Go(h.url + "/")
	b.Has("heading", "Sign in")
	look(b, "signin")
	who := ""
	for _, p := range pages {
		if p.user != who {
			if who != "" {
				b.Eval("fetch('/v1/logout', {method: 'POST'}).then(() => true)")
			}
			b.Go(h.url + "/")
			h.signIn(b, p.user)
			who = p.user
		}
		b.Go(h.url + p.path)
		b.Has(p.role, p.sees)
		if strings.HasPrefix(p.name, "request-") || p.name == "session" { // one of the list
			b.Press("jo")
			b.Has("heading", map[bool]string{true: "alice at orders", false: " at "}[p.name == "session"])
			b.Sees("Identifier")
		}
		look(b, p.name)
	}
}

// look looks at a page in every way.
func look(b *browsertest.Browser, name string) {
	for _, theme := range []string{"light", "dark"} {
		b.Prefer("prefers-color-scheme", theme)
		b.Accessible(name + ", " + theme)
		b.Shot(name + "-" + theme)
	}
	b.Prefer("prefers-color-scheme", "light")
	b.Size(390, 844, 1)
	b.Narrow(name + ", 390 px")
	b.Accessible(name + ", 390 px")
	b.Shot(name + "-390")
	b.Size(640, 400, 2) // 1280 by 800 at 200 %
	b.Narrow(name + ", 200 %")
	b.Size(1280, 800, 1)
}
