package testserver

import (
	"testing"

	"github.com/sallyport/sallyport/internal/freeport"
)

// FreePort is a port of 127.0.0.1 at which nobody listens, as freeport.Find finds it.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// FreeAddress is 127.0.0.1 and a FreePort.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return freeport.Address(FreePort(t))
}
