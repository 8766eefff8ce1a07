package audit_test

import (
	"context"
	"fmt"
	"os"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// A log is the last interceptor of the chain. What it recorded is read from its
// directory, while it is open too.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	log, err := audit.Open(dir, audit.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := proxytest.Open(&proxy.Gateway{}, log)
	if err != nil {
		fmt.Println(err)
		return
	}
	op := proxytest.Statement("SELECT 1", proxy.EffectRead)
	s.Ask(context.Background(), op)
	s.Done(op, &proxy.Outcome{Rows: 1})
	s.Close(nil)
	if err := log.Close(); err != nil {
		fmt.Println(err)
		return
	}

	archive, err := audit.OpenArchive(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	for e, err := range archive.Events(s.ID) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %q\n", e.Type, e.Text)
	}
	// Output:
	// session.start ""
	// operation.start ""
	// operation.end ""
	// operation.start "SELECT 1"
	// operation.end ""
	// session.end ""
}
