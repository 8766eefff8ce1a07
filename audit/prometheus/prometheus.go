// Package prometheus counts what goes through a gateway and shows the numbers in
// Prometheus' text format. Counts, times and types only: no text, no value, no
// user's name.
package prometheus

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
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

	mu        sync.RWMutex
	resources map[resource]*counters
	events    map[string]uint64
	masked    map[string]uint64
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

type counters struct {
	opened, closed atomic.Uint64
	operations     [verdicts]atomic.Uint64
	rows           atomic.Uint64
	bytesIn        atomic.Uint64
	bytesOut       atomic.Uint64
	buckets        [len(bounds) + 1]atomic.Uint64
	latency        atomic.Int64 // nanoseconds
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
	c.latency.Add(int64(o.Duration))
	seconds := o.Duration.Seconds()
	i := 0
	for i < len(bounds) && seconds > bounds[i] {
		i++
	}
	c.buckets[i].Add(1)
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
	m.masked[n.Type] += n.Count
}

// ServeHTTP shows the numbers.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	out := bufio.NewWriter(w)
	m.write(out, time.Now())
	out.Flush() // a reader that left is not a failure of ours
}

func (m *Metrics) write(w io.Writer, now time.Time) {
	m.mu.RLock()
	resources := maps.Clone(m.resources)
	events, masked := maps.Clone(m.events), maps.Clone(m.masked)
	m.mu.RUnlock()
	list := slices.SortedFunc(maps.Keys(resources), func(a, b resource) int {
		return strings.Compare(a.protocol+"\x00"+a.name, b.protocol+"\x00"+b.name)
	})
	each := func(name, kind, help string, write func(labels string, c *counters)) {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
		for _, r := range list {
			write(fmt.Sprintf("protocol=%s,resource=%s", quote(r.protocol), quote(r.name)), resources[r])
		}
	}
	each("sallyport_sessions_total", "counter", "Sessions that were opened.", func(l string, c *counters) {
		fmt.Fprintf(w, "sallyport_sessions_total{%s} %d\n", l, c.opened.Load())
	})
	each("sallyport_sessions_open", "gauge", "Sessions that are open.", func(l string, c *counters) {
		closed := c.closed.Load() // first: one that opens now is not one that closed
		fmt.Fprintf(w, "sallyport_sessions_open{%s} %d\n", l, c.opened.Load()-closed)
	})
	each("sallyport_operations_total", "counter", "Operations that ended, by verdict.", func(l string, c *counters) {
		for i, name := range verdictNames {
			fmt.Fprintf(w, "sallyport_operations_total{%s,verdict=%s} %d\n", l, quote(name), c.operations[i].Load())
		}
	})
	each("sallyport_rows_total", "counter", "Rows that were returned.", func(l string, c *counters) {
		fmt.Fprintf(w, "sallyport_rows_total{%s} %d\n", l, c.rows.Load())
	})
	each("sallyport_bytes_total", "counter", "Bytes of operations, by direction.", func(l string, c *counters) {
		fmt.Fprintf(w, "sallyport_bytes_total{%s,direction=\"in\"} %d\n", l, c.bytesIn.Load())
		fmt.Fprintf(w, "sallyport_bytes_total{%s,direction=\"out\"} %d\n", l, c.bytesOut.Load())
	})
	each("sallyport_operation_duration_seconds", "histogram", "How long operations took.", func(l string, c *counters) {
		total := uint64(0)
		for i, b := range bounds {
			total += c.buckets[i].Load()
			fmt.Fprintf(w, "sallyport_operation_duration_seconds_bucket{%s,le=\"%g\"} %d\n", l, b, total)
		}
		total += c.buckets[len(bounds)].Load()
		fmt.Fprintf(w, "sallyport_operation_duration_seconds_bucket{%s,le=\"+Inf\"} %d\n", l, total)
		fmt.Fprintf(w, "sallyport_operation_duration_seconds_sum{%s} %g\n", l, time.Duration(c.latency.Load()).Seconds())
		fmt.Fprintf(w, "sallyport_operation_duration_seconds_count{%s} %d\n", l, total)
	})
	counts(w, "sallyport_masked_values_total", "Values that were masked, by type.", "type", masked)
	counts(w, "sallyport_gateway_events_total", "What happened outside of sessions, by kind.", "kind", events)
	if m.Records != nil {
		const name = "sallyport_audit_failing"
		fmt.Fprintf(w, "# HELP %s Whether records cannot be written, so that sessions end.\n# TYPE %s gauge\n%s %d\n", name, name, name, bit(m.Records.Err() != nil))
	}
	m.feeds(w, now)
	m.followers(w, now)
	m.channels(w, now)
}

func (m *Metrics) channels(w io.Writer, now time.Time) {
	if m.Channels == nil {
		return
	}
	stats := m.Channels()
	slices.SortFunc(stats, func(a, b Channel) int { return strings.Compare(a.Name, b.Name) })
	each := func(name, kind, help string, value func(Channel) float64) {
		series(w, name, kind, help, "channel", stats, func(c Channel) (string, float64) { return c.Name, value(c) })
	}
	each("sallyport_notices_delivered_total", "counter", "Notices of requests that a channel took.", func(c Channel) float64 { return float64(c.Delivered) })
	each("sallyport_notices_failures_total", "counter", "Attempts to tell a channel that failed.", func(c Channel) float64 { return float64(c.Failures) })
	each("sallyport_notices_waiting", "gauge", "Notices that wait for a channel.", func(c Channel) float64 { return float64(c.Waiting) })
	each("sallyport_notices_dead", "gauge", "Notices that were given up, and can be sent again.", func(c Channel) float64 { return float64(c.Dead) })
	each("sallyport_notices_failing", "gauge", "Whether a channel cannot be told.", func(c Channel) float64 { return float64(bit(c.Failing)) })
	each("sallyport_notices_lag_seconds", "gauge", "Since when notices wait for a channel.", func(c Channel) float64 { return lag(c.Oldest, now) })
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (m *Metrics) followers(w io.Writer, now time.Time) {
	stats := make([]audit.FollowStats, len(m.Followers))
	for i, f := range m.Followers {
		stats[i] = f.Stats()
	}
	each := func(name, kind, help string, value func(audit.FollowStats) float64) {
		series(w, name, kind, help, "name", stats, func(s audit.FollowStats) (string, float64) { return s.Name, value(s) })
	}
	each("sallyport_copy_behind_sessions", "gauge", "Sealed sessions that a copy or witness does not have.", func(s audit.FollowStats) float64 { return float64(s.Behind) })
	each("sallyport_copy_failures_total", "counter", "Failed attempts to reach a copy or witness.", func(s audit.FollowStats) float64 { return float64(s.Failures) })
	each("sallyport_copy_left_out_total", "counter", "Records that are not copied because they are not as they were sealed.", func(s audit.FollowStats) float64 { return float64(s.LeftOut) })
	each("sallyport_copy_conflict", "gauge", "Whether a copy or witness holds other data than the log.", func(s audit.FollowStats) float64 { return float64(bit(s.Conflict)) })
	each("sallyport_copy_lag_seconds", "gauge", "Since when a copy or witness has lacked sealed sessions.", func(s audit.FollowStats) float64 { return lag(s.Since, now) })
}

func lag(since, now time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since).Seconds())
}

func (m *Metrics) feeds(w io.Writer, now time.Time) {
	stats := make([]audit.FeedStats, len(m.Feeds))
	for i, f := range m.Feeds {
		stats[i] = f.Stats()
	}
	each := func(name, kind, help string, value func(audit.FeedStats) float64) {
		series(w, name, kind, help, "sink", stats, func(s audit.FeedStats) (string, float64) { return s.Sink, value(s) })
	}
	each("sallyport_export_events_total", "counter", "Events that a sink took.", func(s audit.FeedStats) float64 { return float64(s.Delivered) })
	each("sallyport_export_failures_total", "counter", "Deliveries that a sink did not take.", func(s audit.FeedStats) float64 { return float64(s.Failures) })
	each("sallyport_export_left_out_total", "counter", "Events that a sink misses for good.", func(s audit.FeedStats) float64 { return float64(s.LeftOut) })
	each("sallyport_export_waiting_sessions", "gauge", "Sessions with events that wait for a sink.", func(s audit.FeedStats) float64 { return float64(s.Waiting) })
	each("sallyport_export_lag_seconds", "gauge", "Since when events wait for a sink.", func(s audit.FeedStats) float64 { return lag(s.Since, now) })
}

// series writes a metric with a value for each of stats, told apart by label.
func series[T any](w io.Writer, name, kind, help, label string, stats []T, of func(T) (called string, value float64)) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	for _, s := range stats {
		called, value := of(s)
		fmt.Fprintf(w, "%s{%s=%s} %g\n", name, label, quote(called), value)
	}
}

func counts(w io.Writer, name, help, label string, m map[string]uint64) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s counter\n", name, help, name)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(w, "%s{%s=%s} %d\n", name, label, quote(k), m[k])
	}
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// quote writes a label's value.
func quote(s string) string { return `"` + escaper.Replace(strings.ToValidUTF8(s, "\ufffd")) + `"` }
