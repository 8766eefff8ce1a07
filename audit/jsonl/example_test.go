package jsonl_test

import (
	"context"
	"log"
	"os"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/jsonl"
)

// Every event is one line, which says of which session it is.
func Example() {
	sink := &jsonl.Writer{W: os.Stdout, Called: "stdout"} // in audit.Config's Sinks
	events := []audit.Outgoing{
		{Session: "s1", Index: 1, Type: "session.start", JSON: []byte(`{"i":1,"type":"session.start","user":"alice"}`)},
		{Session: "s1", Index: 2, Type: "session.end", JSON: []byte(`{"i":2,"type":"session.end"}`)},
	}
	if err := sink.Deliver(context.Background(), events); err != nil {
		log.Fatal(err)
	}
	// Output:
	// {"record":"s1","i":1,"type":"session.start","user":"alice"}
	// {"record":"s1","i":2,"type":"session.end"}
}
