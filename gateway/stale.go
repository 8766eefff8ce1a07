package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// freshness is how long ago everything that other gateways, directories and providers have told
// was known here.
type freshness struct {
	at    time.Time // when it was known last
	head  int64     // of the store's feed when it was asked last; it is followed to there later
	asked time.Time
}

const (
	staleParts = 4               // how often in a bound it is looked
	headAsked  = 2 * time.Second // for which the store may answer
)

// cutStale ends sessions at resources whose users could not be looked at for as long as the
// resource allows, until ctx ends.
func (g *Gateway) cutStale(ctx context.Context) {
	f := freshness{at: time.Now()}
	for ctx.Err() == nil {
		bounds, least := g.staleBounds()
		if bounds == nil {
			f.at = time.Now() // a bound that comes begins then
		} else {
			g.lookStale(ctx, &f, bounds, time.Now())
		}
		pause(ctx, least/staleParts)
	}
}

// staleBounds are the bounds of the current revision's resources, and the least of them; nil
// when no resource has a bound.
func (g *Gateway) staleBounds() (bounds map[string]time.Duration, least time.Duration) {
	least = time.Minute
	for _, r := range g.parts().config.Resources {
		if r.MaxStale > 0 {
			if bounds == nil {
				bounds = make(map[string]time.Duration)
			}
			bounds[r.Name], least = r.MaxStale, min(least, r.MaxStale)
		}
	}
	return bounds, least
}

// lookStale finds out how fresh the gateway is at a time, and ends the sessions that may not go
// on.
func (g *Gateway) lookStale(ctx context.Context, f *freshness, bounds map[string]time.Duration, now time.Time) {
	if !f.asked.IsZero() && g.seen.Load() >= f.head {
		f.at = f.asked
	}
	asking, cancel := context.WithTimeout(ctx, headAsked)
	head, _, err := g.state.store.Head(asking)
	cancel()
	if err == nil && (f.asked.IsZero() || f.at.Equal(f.asked)) {
		f.head, f.asked = head, now
		if g.seen.Load() >= head {
			f.at = now
		}
	}
	overdue := make(map[string]time.Duration) // by login
	for _, s := range g.gateway.Sessions() {
		bound := bounds[s.Target.Resource.Name]
		switch {
		case bound == 0, s.Identity.Claims[claimOffline] != "": // what an offline grant has given needs no store
		case now.Sub(f.at) > bound:
			s.Kill(errStale(s, bound, "the gateway's store does not answer"))
		case err == nil && g.overdue(ctx, s.Identity, overdue) > bound:
			s.Kill(errStale(s, bound, "the identity provider does not answer"))
		}
	}
}

// overdue is for how long the provider of somebody could not be asked about her.
func (g *Gateway) overdue(ctx context.Context, id *proxy.Identity, known map[string]time.Duration) time.Duration {
	logins := g.parts().people.logins
	if logins == nil {
		return 0
	}
	key := id.Subject + " " + id.Claims[identity.ClaimLogin]
	d, asked := known[key]
	if !asked {
		d = logins.Overdue(ctx, id)
		known[key] = d
	}
	return d
}

func errStale(s *proxy.Session, bound time.Duration, why string) error {
	return fmt.Errorf("the session ends: for %s it could not be checked whether you may still use %s, since %s; connect again later", bound, s.Target.Resource.Name, why)
}
