package protocol_test

import (
	"fmt"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/tcp/kit"
)

// An assembly of one's own adds a protocol to those of this module: it is a value in a list.
func ExampleCheck() {
	redis := protocol.Protocol{Name: "redis", DefaultPort: 6379, Open: func(protocol.Assembly) (*protocol.Service, error) {
		return &protocol.Service{}, nil // with what serves it
	}}
	fmt.Println(protocol.Check([]protocol.Protocol{kit.Protocol(), redis}))
	redis.Name = "Redis"
	fmt.Println(protocol.Check([]protocol.Protocol{kit.Protocol(), redis}))
	// Output:
	// <nil>
	// protocol 2: the name "Redis" is not lower-case letters, digits and "-"
}
