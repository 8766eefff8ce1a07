// Command opa is the reference gateway with a policy in Rego, which denies some of what
// the access rules of the config file allow. It reads a folder of modules.
//
//	go run ./examples/opa sallyport.yaml ./examples/opa/rules
//	psql "host=127.0.0.1 port=6432 user=alice+orders" -c "DELETE FROM orders WHERE id = 1"
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/policy/opa"
	"github.com/sallyport/sallyport/proxy"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: opa CONFIG-FILE FOLDER")
	}
	p, err := opa.New(opa.Config{Dirs: args[1:]})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	own := gateway.Interceptors{AfterPolicy: []proxy.Interceptor{p}}
	return gateway.Run(ctx, args[0], gateway.Defaults(), gateway.Options{Interceptors: own})
}
