package builtin_test

import (
	"fmt"

	"github.com/sallyport/sallyport/secrets/builtin"
)

// The names by which a config file knows the kinds of sources.
func ExampleAll() {
	for _, kind := range builtin.All() {
		fmt.Println(kind.Name)
	}
	// Output:
	// exec
	// age
	// aws
	// azure
	// google
	// kubernetes
	// onepassword
	// sops
	// vault
}
