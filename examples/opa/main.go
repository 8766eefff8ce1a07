// Command opa is the reference gateway whose config files can have a policy in Rego, which denies
// some of what the access rules allow:
//
//	policy: {opa: {dirs: [examples/opa/rules]}}
//
//	go run ./examples/opa sallyport.yaml
//	psql "host=127.0.0.1 port=6432 user=alice+orders" -c "DELETE FROM orders WHERE id = 1"
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/gateway/rego"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: opa CONFIG-FILE")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return gateway.Run(ctx, args[0], options(), gateway.Options{})
}

// options are what config files are read with.
func options() config.Options {
	o := gateway.Defaults()
	o.Rego = rego.Engine{}
	return o
}
