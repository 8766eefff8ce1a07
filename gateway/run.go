package gateway

import (
	"context"

	"github.com/sallyport/sallyport/gateway/config"
)

// Run loads a config file as [Load] does and serves what it asks for until ctx ends
// or something of it fails. It is the whole of a gateway that needs nothing between
// loading, New and [Gateway.Run].
func Run(ctx context.Context, file string, c config.Options, o Options) error {
	f, err := Load(file, c)
	if err != nil {
		return err
	}
	g, err := New(f, o)
	if err != nil {
		return err
	}
	return g.Run(ctx)
}
