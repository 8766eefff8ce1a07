// Command maskfilter is the reference gateway with a masking filter of one's own,
// which hides columns of tables. It binds to base columns: whatever a result calls
// them, and through views, subqueries, whole rows, JSON and COPY, their values are
// NULL. What cannot be traced to base columns is hidden, or the statement refused.
//
//	go run ./examples/maskfilter sallyport.yaml public.people.ssn
//	psql "host=127.0.0.1 port=6432 user=alice+orders" -c "SELECT row_to_json(p) FROM people p"
//
// A filter that goes by the names in the result looks right and leaks: an alias is
// enough. proxytest.TestMaskingFilter fails it; the test of this example shows both.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/proxy"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: maskfilter CONFIG SCHEMA.TABLE.COLUMN…")
	}
	f, err := newFilter(args[1:]...)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return gateway.Run(ctx, args[0], gateway.Defaults(), options(f))
}

// options are the whole of the wiring: the filter sees data before the masking rules
// of the config file do.
func options(f filter) gateway.Options {
	return gateway.Options{Interceptors: gateway.Interceptors{AfterGuardrails: []proxy.Interceptor{f}}}
}
