package storetest_test

import (
	"testing"

	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/storetest"
)

// A store of one's own passes what every store does. Each test has an empty one.
func Example() {
	_ = func(t *testing.T) { // func TestStore
		storetest.Test(t, func(*testing.T) store.Store { return store.NewMemory() })
	}
}
