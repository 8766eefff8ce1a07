package builtin_test

import (
	"fmt"

	"github.com/sallyport/sallyport/protocol/builtin"
)

// The types of resources that a config file can have.
func ExampleAll() {
	for _, p := range builtin.All() {
		fmt.Println(p.Name)
	}
	// Output:
	// postgres
	// mysql
	// ssh
	// web
	// kubernetes
	// aws
	// tcp
}
