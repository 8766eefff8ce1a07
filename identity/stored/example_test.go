package stored_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/stored"
	"github.com/sallyport/sallyport/store"
)

// Gateways on one store have the same documents.
func Example() {
	s := store.NewMemory() // a database, where gateways share it
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	first, second := stored.Documents(s), stored.Documents(s)
	if _, err := first.Write(ctx, "greeting", identity.Document{Name: "hello", Body: []byte(`"hi"`)}); err != nil {
		fmt.Println(err)
		return
	}
	d, err := second.Get(ctx, "greeting", "hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", d.Body)
	// Output:
	// "hi"
}
