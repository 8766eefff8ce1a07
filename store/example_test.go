package store_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/sallyport/sallyport/store"
)

// A change is made by the version that was read, and refused when another was
// faster; those who follow the feed learn of it.
func Example() {
	ctx := context.Background()
	s := store.NewMemory() // or sqlstore.OpenSQLite, sqlstore.OpenPostgres

	if _, err := s.Write(ctx, store.Create(store.Document{Kind: "user", Name: "alice", Body: []byte(`{"groups":["dev"]}`)})); err != nil {
		log.Fatal(err)
	}
	mine, err := s.Get(ctx, "user", "alice")
	if err != nil {
		log.Fatal(err)
	}
	yours := mine

	yours.Body = []byte(`{"groups":["dev","dba"]}`)
	if _, err := s.Write(ctx, store.Replace(yours)); err != nil {
		log.Fatal(err)
	}
	_, err = s.Write(ctx, store.Delete(mine))
	fmt.Println(err, errors.Is(err, store.ErrConflict))

	for changes, err := range store.Follow(ctx, s, 0) {
		if err != nil {
			log.Fatal(err)
		}
		for _, c := range changes {
			fmt.Println(c.Seq, c.Kind, c.Name, c.Deleted)
		}
		break
	}
	// Output:
	// store: delete: user "alice": got version 2, want version 1: read it again true
	// 1 user alice false
	// 2 user alice false
}

// Work that one gateway at a time does takes a lease. What it writes carries the
// fence, so that nothing is written by one who lost the lease unnoticed.
func ExampleFence() {
	ctx := context.Background()
	s := store.NewMemory()

	slow, err := s.Acquire(ctx, "rotate keys", "gateway 1", store.MaxTTL)
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Release(ctx, slow); err != nil { // or its time is up
		log.Fatal(err)
	}
	if _, err := s.Acquire(ctx, "rotate keys", "gateway 2", store.MaxTTL); err != nil {
		log.Fatal(err)
	}
	_, err = s.Write(ctx, store.Fence(slow), store.Create(store.Document{Kind: "key", Name: "1", Body: []byte(`{}`)}))
	fmt.Println(err)
	// Output:
	// store: fence: lease "rotate keys": got fence 3, want 1: another has taken it: stop this work
}
