package prometheus

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/audit"
)

// Figures are the numbers that people look at, since the program began.
type Figures struct {
	Open      int // sessions
	Decisions Decisions
	Added     []Added  // by protocol
	Masked    []Masked // values, the most first
}

// Decisions are how operations went.
type Decisions struct{ Allowed, Denied, Failed uint64 }

// Added is what deciding added to operations of a protocol: so much at most to one half of them, to 95 and to 99 of 100. Those that somebody has approved do not
// count. A zero time is more than the largest bound.
type Added struct {
	Protocol      string
	Operations    uint64
	P50, P95, P99 time.Duration
}

// Masked is how many values of a type were masked.
type Masked struct {
	Type  string
	Count uint64
}

// Figures returns the numbers as they are now.
func (m *Metrics) Figures() Figures {
	m.mu.RLock()
	resources, masked := maps.Clone(m.resources), maps.Clone(m.masked)
	m.mu.RUnlock()
	var f Figures
	judged := make(map[string]*[len(judgedBounds) + 1]uint64)
	for r, n := range resources {
		closed := n.closed.Load() // first: one that opens now is not one that closed
		f.Open += int(n.opened.Load() - closed)
		f.Decisions.Allowed += n.operations[allowed].Load()
		f.Decisions.Denied += n.operations[denied].Load()
		f.Decisions.Failed += n.operations[failed].Load()
		if judged[r.protocol] == nil {
			judged[r.protocol] = new([len(judgedBounds) + 1]uint64)
		}
		for i := range n.judged.buckets {
			judged[r.protocol][i] += n.judged.buckets[i].Load()
		}
	}
	for protocol, buckets := range judged {
		a := Added{Protocol: protocol}
		for _, n := range buckets {
			a.Operations += n
		}
		if a.Operations > 0 {
			a.P50, a.P95, a.P99 = quantile(buckets, a.Operations, 0.5), quantile(buckets, a.Operations, 0.95), quantile(buckets, a.Operations, 0.99)
			f.Added = append(f.Added, a)
		}
	}
	slices.SortFunc(f.Added, func(a, b Added) int { return cmp.Compare(a.Protocol, b.Protocol) })
	for typ, n := range masked {
		f.Masked = append(f.Masked, Masked{typ, n})
	}
	slices.SortFunc(f.Masked, func(a, b Masked) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Type, b.Type)) })
	return f
}

// Sinks are how the sinks of events are doing.
func (m *Metrics) Sinks() (list []audit.FeedStats) {
	for _, f := range m.feeds() {
		list = append(list, f.Stats())
	}
	return list
}

// quantile is the bound that a share of all are not above.
func quantile(buckets *[len(judgedBounds) + 1]uint64, all uint64, share float64) time.Duration {
	sum := uint64(0)
	for i, bound := range judgedBounds {
		if sum += buckets[i]; float64(sum) >= share*float64(all) {
			return time.Duration(bound * float64(time.Second))
		}
	}
	return 0
}
