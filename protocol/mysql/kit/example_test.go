package kit_test

import (
	"fmt"

	"github.com/sallyport/sallyport/protocol/mysql/kit"
)

// An assembly adds MySQL to its protocols.
func ExampleProtocol() {
	p := kit.Protocol()
	fmt.Println(p.Name, p.DefaultPort, p.Dialect)
	// Output:
	// mysql 3306 mysql
}
