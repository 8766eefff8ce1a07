package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport/gateway/config"
)

// Reload reads the config file again and applies it; see [Gateway.Apply]. A file that
// says what it said applies, too: what it names may have changed. On an error, which is
// also logged, nothing has changed.
func (g *Gateway) Reload() error {
	f, err := g.parts().config.Reload()
	if err == nil {
		err = g.Apply(f)
	}
	var problems config.Problems
	switch {
	case err == nil:
		g.retry(context.Background(), true)
		g.log.Info("the config file is used as it is now", "config", f.Name(), "resources", len(f.Resources), "users", len(f.Identity.Users), "access_rules", len(f.Access))
	case errors.Is(err, ErrClosed):
	case errors.As(err, &problems):
		for _, p := range problems {
			g.log.Error("the config file has a problem: the gateway goes on with the one from before, also with users and rights that the file takes away", "problem", p.String())
		}
	default:
		g.log.Error("the config file cannot be used: the gateway goes on with the one from before, also with users and rights that the file takes away", "err", err)
	}
	return err
}

// followEvery is how often it is asked whether the config file has changed.
const followEvery = 2 * time.Second

// follow reloads the config file when it has changed, until ctx ends. A file is read once it
// is the same at two looks, since it need not be written at one moment.
func (g *Gateway) follow(ctx context.Context) {
	t := time.NewTicker(followEvery)
	defer t.Stop()
	var last, tried digest
	missed := 0 // looks in a row at which it could not be read
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		g.retry(ctx, false)
		changed, now, err := g.parts().config.Changed()
		if err != nil { // at the first look it may be being replaced
			if missed++; missed == 2 {
				g.log.Error("the config file cannot be read: the gateway goes on with the one from before, also with users and rights that the file takes away", "err", err)
			}
			continue
		}
		missed = 0
		if changed && now == last && now != tried {
			tried = now // also when it cannot be used: that was logged
			_ = g.Reload()
		}
		last = now
	}
}
