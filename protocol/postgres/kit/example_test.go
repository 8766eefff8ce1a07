package kit_test

import (
	"context"
	"net"

	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/protocol/postgres/kit"
	"github.com/sallyport/sallyport/proxy"
)

// A gateway of one's own gets PostgreSQL with catalogs, samples, estimates and
// LIMIT from one constructor.
func ExampleNew() {
	serve := func(ctx context.Context, ln net.Listener, gateway *proxy.Gateway, access proxy.Interceptor) error {
		k := kit.New(kit.Config{Gateway: gateway})
		defer k.Close()
		guard, err := guardrail.New(guardrail.Config{
			Rules:      guardrail.Defaults(),
			Estimators: map[string]guardrail.Estimator{kit.Dialect: k.Estimator},
			Limiters:   map[string]guardrail.Limiter{kit.Dialect: k.Limiter},
		})
		if err != nil {
			return err
		}
		mask, err := masking.New(masking.Config{Sampler: k.Sampler})
		if err != nil {
			return err
		}
		gateway.Interceptors = []proxy.Interceptor{access, guard, mask}
		return gateway.Serve(ctx, ln, k.Handler("shop"))
	}
	_ = serve
}
