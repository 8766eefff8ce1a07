package kit_test

import (
	"context"
	"errors"
	"net"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/ssh/kit"
	"github.com/sallyport/sallyport/proxy"
)

// A gateway of one's own gets SSH with host key, authorities, known hosts and menu
// from one constructor. Clients know it by the file kit.KnownHosts("data/ssh").
func ExampleNew() {
	serve := func(ctx context.Context, ln net.Listener, users *identity.Users, access *policy.Policy, resources proxy.Resources) error {
		k := kit.New(kit.Config{
			Dir: "data/ssh",
			Listeners: func() []protocol.Listener {
				return []protocol.Listener{{Protocol: kit.Protocol().Name, Address: ln.Addr().String()}}
			},
			Resources: func() proxy.Resources { return resources }, May: access.May, KnowsKey: users.KnowsKey,
		})
		handler, err := k.Handler("")
		if err != nil {
			return errors.Join(err, ln.Close())
		}
		gateway := &proxy.Gateway{Authenticator: users, Directory: resources, Interceptors: []proxy.Interceptor{access}}
		return gateway.Serve(ctx, ln, handler)
	}
	_ = serve
}
