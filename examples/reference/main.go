// Command reference is the reference gateway and one interceptor of a company's own.
// It reads the same config file, with the same defaults.
//
//	go run ./examples/reference sallyport.yaml
//	psql "host=127.0.0.1 port=6432 user=alice+orders" -c "DROP TABLE orders"
package main

import (
	"context"
	"log"
	"os"
	"os/signal"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/proxy"
)

// keep refuses to drop anything. An interceptor is a name and the hooks it wants.
type keep struct{}

func (keep) Name() string { return "keep" }

func (keep) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if s, ok := op.(*proxy.Statement); ok && s.Facts.Effects.Has(proxy.EffectDrop) {
			return proxy.Deny(proxy.CauseGuardrail, "keep", "nothing is dropped here", "Rename it instead.")
		}
		return proxy.Pass()
	}}, nil
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: reference CONFIG-FILE")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	own := gateway.Interceptors{AfterPolicy: []proxy.Interceptor{keep{}}}
	if err := gateway.Run(ctx, os.Args[1], gateway.Defaults(), gateway.Options{Interceptors: own}); err != nil {
		log.Fatal(err)
	}
}
