package console_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/browsertest"
)

// TestSignIn: a local user signs in, sees what she may reach, and signs out.
func TestSignIn(t *testing.T) {
	h := open(t, "")
	b := browsertest.Open(t)
	b.Go(h.url + "/connections?q=orders")
	b.Has("heading", "Sign in")
	b.Accessible("sign in")
	b.Shot("signin-light")
	b.Fill("User", "alice")
	b.Fill("Password", "wrong")
	b.Press("\r")
	b.Sees("is not correct")
	b.Fill("Password", "wonder")
	b.Press("\r")
	b.Has("heading", "Connections")
	b.Has("link", "orders")
	b.Accessible("connections")
	b.Shot("connections-light")
}
