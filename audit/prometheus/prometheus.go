// Package prometheus counts what goes through a gateway and shows the numbers to
// Prometheus. Counts, times and types only: no text, no value, no
// user's name. What is shown grows with the resources of the gateway, and not with its users.
package prometheus

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
)

// Metrics is a proxy.Interceptor that only counts, and an http.Handler that
// shows. Its zero value is ready. It is safe for concurrent use.
type Metrics struct {
	// Records is shown too: whether records can be written. Nil is not.
	Records *audit.Log
	// Feeds are shown too: how events' sinks are doing.
	Feeds []*audit.Feed
	// Followers are shown too: how copies and witnesses are doing.
	Followers []*audit.Follower
	// Channels, which tell people of requests, are shown too while this gateway is the one that sends; nil is not.
	Channels func() []Channel
	// Waiting returns how many requests wait for a decision, and since when the first of them does; nil is not shown.
	Waiting func() (requests int, oldest time.Time)
	// Store asks the store a question, which takes as long as its answer; nil is not shown.
	Store func(ctx context.Context) error
	// Certificate returns until when the certificate is valid that clients see; nil is not shown.
	Certificate func() time.Time
	// Version is the program's; empty is not shown.
	Version string

	added       []*audit.Feed
	page        page
	storeCheck  storeCheck
	mu          sync.RWMutex
	leases      map[string]bool // of credentials, that are held
	credentials map[credential]uint64
	resources   map[resource]*counters
	events      map[string]uint64
	masked      map[string]uint64
}

// Add has a feed shown with those of Feeds, from now on.
func (m *Metrics) Add(f *audit.Feed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.added = append(m.added, f)
}

// feeds are those that are shown.
func (m *Metrics) feeds() []*audit.Feed {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Concat(m.Feeds, m.added)
}

// Channel is how one that tells people of requests is doing.
type Channel struct {
	Name                string
	Waiting, Dead       int       // notices that wait, and those that were given up
	Delivered, Failures uint64    // notices that were taken, and attempts that failed
	Oldest              time.Time // since when a notice waits; zero: nothing waits
	Failing             bool      // the latest attempt failed
}

type resource struct{ protocol, name string }

// Verdicts, as they are counted.
const (
	allowed = iota
	denied
	failed
	verdicts
)

var verdictNames = [verdicts]string{"allowed", "denied", "failed"}

// bounds of the latency histogram, in seconds.
var bounds = [...]float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60}

// judgedBounds are those of the histogram of what deciding takes.
var judgedBounds = [...]float64{0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5}

// durations are those of a histogram. All histograms have as many bounds.
type durations struct {
	buckets [len(bounds) + 1]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

func (d *durations) add(bounds []float64, t time.Duration) {
	seconds := t.Seconds()
	i := 0
	for i < len(bounds) && seconds > bounds[i] {
		i++
	}
	d.buckets[i].Add(1)
	d.sum.Add(int64(t))
}

type counters struct {
	opened, closed atomic.Uint64
	operations     [verdicts]atomic.Uint64
	rows           atomic.Uint64
	bytesIn        atomic.Uint64
	bytesOut       atomic.Uint64
	latency        durations
	judged         durations
}

// Name is "metrics".
func (m *Metrics) Name() string { return "metrics" }

// Intercept counts a session, unless it is dry.
func (m *Metrics) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	if s.Dry {
		return proxy.Hooks{}, nil
	}
	r := resource{protocol: s.Protocol}
	if s.Target.Resource != nil {
		r.name = s.Target.Resource.Name
	}
	c := m.of(r)
	c.opened.Add(1)
	return proxy.Hooks{
		Start: func(_ context.Context, op proxy.Op) error { c.start(op); return nil },
		Done:  func(_ context.Context, _ proxy.Op, o *proxy.Outcome) { c.done(o) },
		Noted: func(_ context.Context, _ proxy.Op, n *proxy.Note) error { m.note(n); return nil },
		Close: func(error) { c.closed.Add(1) },
	}, nil
}

func (m *Metrics) of(r resource) *counters {
	m.mu.RLock()
	c := m.resources[r]
	m.mu.RUnlock()
	if c != nil {
		return c
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.resources == nil {
		m.resources = make(map[resource]*counters)
	}
	if m.resources[r] == nil {
		m.resources[r] = &counters{}
	}
	return m.resources[r]
}

func (c *counters) done(o *proxy.Outcome) {
	switch {
	case o.Verdict != nil && o.Verdict.Refuses():
		c.operations[denied].Add(1)
		return
	case o.Err != nil:
		c.operations[failed].Add(1)
	default:
		c.operations[allowed].Add(1)
	}
	c.rows.Add(o.Rows)
	c.bytesIn.Add(o.BytesIn)
	c.bytesOut.Add(o.BytesOut)
	c.latency.add(bounds[:], o.Duration)
}

// start counts how long it took to decide about an operation that is about to run. How long people took to approve
// one is not what the gateway adds.
func (c *counters) start(op proxy.Op) {
	if m := op.Info(); len(m.Grants()) == 0 {
		c.judged.add(judgedBounds[:], time.Since(m.At))
	}
}

// Event counts what happens outside of sessions, by kind. The gateway calls it; see
// [proxy.Observer].
func (m *Metrics) Event(e proxy.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.events == nil {
		m.events = make(map[string]uint64)
	}
	m.events[e.Kind.String()] += max(1, e.Count)
}

// note counts the values that were masked, by type.
func (m *Metrics) note(n *proxy.Note) {
	if n.Kind != proxy.NoteMasked {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.masked == nil {
		m.masked = make(map[string]uint64)
	}
	m.masked[m.maskedType(n.Type)] += n.Count
}

// maxTypes bounds the types of masked values that are shown by their names, and maxType such a name, in bytes.
const (
	maxTypes = 200
	maxType  = 64
)

// otherType is the name of all types that are not shown by their own.
const otherType = "other"

// maskedType is the name by which a type is shown. An analyzer of somebody else names types as it likes, also by what it was given
// to read: a type that has spaces or signs in its name, and one that comes after maxTypes others, is otherType. m.mu is locked.
func (m *Metrics) maskedType(name string) string {
	if _, ok := m.masked[name]; ok {
		return name
	}
	if name == "" || len(m.masked) >= maxTypes || len(name) > maxType || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") != "" {
		return otherType
	}
	return name
}

// credential is what became of one.
type credential struct{ action, result string }

// What becomes of credentials, as package secrets names it.
const (
	resolve = "resolve"
	revoke  = "revoke"
	lost    = "lost"
)

// Credential counts what became of a credential for a resource, in the words of package secrets: resolve, renew, revoke or lost. lease names
// the lease that it is of; empty where it has none.
func (m *Metrics) Credential(action, lease string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.credentials == nil {
		m.credentials, m.leases = make(map[credential]uint64), make(map[string]bool)
	}
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.credentials[credential{action, result}]++
	switch {
	case lease == "":
	case action == resolve && err == nil:
		m.leases[lease] = true
	case action == revoke && err == nil, action == lost:
		delete(m.leases, lease)
	}
}
