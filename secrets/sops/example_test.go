package sops_test

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/sops"
)

// A gateway reads a value of an encrypted file, by a key of age that only the gateway has.
func Example() {
	provider, err := sops.New(sops.Config{Identity: secrets.FromFile("testdata/key.txt"), Dir: "testdata"})
	if err != nil {
		fmt.Println(err)
		return
	}
	source := secrets.Source{"sops": provider}
	value, err := source.Resolve(context.Background(), "sops:secrets.yaml#db.password", false)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(value.Password, value.Password.Reveal() == "hunter2")
	// Output:
	// [secret] true
}
