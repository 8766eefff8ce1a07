package wire_test

import (
	"bytes"
	"fmt"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
)

// A reader takes messages one after the other, each up to a limit.
func Example() {
	stream := wire.AppendQuery(nil, []byte("SELECT 1"))
	stream = wire.AppendQuery(stream, bytes.Repeat([]byte("x"), 1000))
	r := wire.NewReader(bytes.NewReader(stream))
	defer r.Close()
	for range 2 {
		typ, body, err := r.ReadMessage(100)
		if err != nil {
			fmt.Println(err)
			continue
		}
		text, err := wire.ParseQuery(body)
		fmt.Printf("%c %s %v\n", typ, text, err)
	}
	// Output:
	// Q SELECT 1 <nil>
	// message is too large: 'Q' of 1006 bytes
}
