package gateway

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sallyport/sallyport/control"
)

// measured are the numbers of this gateway since it began.
func (g *Gateway) measured() control.Measured {
	f := g.metrics.Figures()
	m := control.Measured{
		Since: g.begun, Open: f.Open, Allowed: f.Decisions.Allowed, Denied: f.Decisions.Denied, Failed: f.Decisions.Failed, Recording: g.records.Err() == nil,
		Added: []control.AddedTime{}, Masked: []control.MaskedSum{}, Sinks: []control.SinkState{}, Ends: g.expirations(),
	}
	m.Waiting, m.Oldest = g.desk.Waiting()
	for _, a := range f.Added {
		m.Added = append(m.Added, control.AddedTime{Protocol: a.Protocol, Operations: a.Operations, P50: a.P50.Microseconds(), P95: a.P95.Microseconds(), P99: a.P99.Microseconds()})
	}
	for _, v := range f.Masked {
		m.Masked = append(m.Masked, control.MaskedSum{Class: v.Type, Values: v.Count})
	}
	for _, s := range g.metrics.Sinks() {
		m.Sinks = append(m.Sinks, control.SinkState{Name: s.Sink, Since: s.Since})
	}
	return m
}

// expirationsWithin bounds how long the store is asked for agents.
const expirationsWithin = 2 * time.Second

// expirations are the certificates that clients and agents rely on, the first to expire first.
func (g *Gateway) expirations() []control.Expiration {
	var list []control.Expiration
	add := func(name string, until time.Time, renews bool) {
		if !until.IsZero() {
			list = append(list, control.Expiration{Name: name, Until: until, Renews: renews})
		}
	}
	cert, _, _ := g.parts().config.ClientFiles()
	add("the gateway's certificate", g.certificateEnds(), cert == "")
	for _, a := range g.authorities() {
		for _, k := range a.Keys() {
			add("authority for "+string(a.Purpose())+", key "+k.ID, k.End, false)
		}
	}
	if g.control.Agents != nil {
		ctx, cancel := context.WithTimeout(context.Background(), expirationsWithin)
		defer cancel()
		agents, err := g.control.Agents(ctx)
		if err != nil {
			g.log.Warn("when certificates of agents expire could not be read", "err", err)
		}
		for _, a := range agents {
			if a.Revoked.IsZero() {
				add("agent "+a.Name, a.Expires, a.Connected)
			}
		}
	}
	slices.SortFunc(list, func(a, b control.Expiration) int {
		return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.Name, b.Name))
	})
	return list
}
