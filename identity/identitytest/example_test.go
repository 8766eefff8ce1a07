package identitytest_test

import (
	"testing"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
)

// Documents of one's own pass what all do. Each test has empty ones.
func ExampleTestDocuments() {
	_ = func(t *testing.T) { // func TestDocuments
		identitytest.TestDocuments(t, func(*testing.T) identity.Documents { return &identity.Memory{} })
	}
}
