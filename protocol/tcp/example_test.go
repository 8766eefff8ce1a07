package tcp_test

import (
	"fmt"

	"github.com/sallyport/sallyport/protocol/tcp"
	"github.com/sallyport/sallyport/proxy"
)

// What a connection is decided about: where it leads, and that nobody sees what flows.
func ExampleOperation() {
	op, err := tcp.Operation(proxy.Target{Resource: &proxy.Resource{Name: "cache", Type: "tcp", Address: "redis.internal:6379"}}, "connect")
	if err != nil {
		panic(err)
	}
	f := op.(*proxy.Forward)
	fmt.Println(f.Info().Kind, f.Network, f.Host, f.Port, f.Opaque)
	// Output: forward tcp redis.internal 6379 true
}
