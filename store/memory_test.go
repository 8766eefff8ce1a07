package store_test

import (
	"testing"

	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Test(t, func(*testing.T) store.Store { return store.NewMemory() })
}
