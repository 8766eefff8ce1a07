package gateway

import (
	"cmp"
	"context"
	"time"
)

// measure has the gateway's numbers show how it is, besides what goes through it.
func (g *Gateway) measure() {
	g.metrics.Version = cmp.Or(g.options.Version, "(devel)")
	g.metrics.Waiting = g.desk.Waiting
	g.metrics.Certificate = g.certificateEnds
	g.metrics.Store = func(ctx context.Context) error {
		_, _, err := g.state.store.Head(ctx)
		return err
	}
}

// certificateEnds returns until when the certificate is valid that clients are shown. It does not wait while a revision
// is made: then it says what was known before.
func (g *Gateway) certificateEnds() time.Time {
	if g.applying.TryLock() {
		if g.shown != nil && g.shown.pair.Leaf != nil {
			g.certUntil.Store(g.shown.pair.Leaf.NotAfter.Unix())
		}
		g.applying.Unlock()
	}
	if until := g.certUntil.Load(); until != 0 {
		return time.Unix(until, 0)
	}
	return time.Time{}
}
