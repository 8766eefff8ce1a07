package wire_test

import (
	"fmt"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
)

// A packet has a length of three bytes and a number; views of its payload allocate nothing.
func Example() {
	packet := wire.BeginPacket(nil)
	packet = wire.AppendError(packet, &wire.Error{Code: 1142, State: []byte("42000"), Message: []byte("a rule denies it")})
	packet, _ = wire.EndPacket(packet, 0, 1)

	n, seq := wire.Header(packet)
	e, err := wire.ParseError(packet[wire.HeaderLen:][:n])
	fmt.Println(seq, e.Code, string(e.State), string(e.Message), err)
	// Output:
	// 1 1142 42000 a rule denies it <nil>
}
