package prometheus

import (
	"maps"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// page is what shows the numbers, with those of Go's runtime and of the process. It is made once.
type page struct {
	once    sync.Once
	handler http.Handler
}

// ServeHTTP shows the numbers.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	m.page.once.Do(func() {
		all := client.NewRegistry()
		all.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		m.page.handler = promhttp.HandlerFor(all, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
	})
	m.page.handler.ServeHTTP(w, r)
}

// Describe implements Collector of client_golang, so that a program of one's own can show the numbers in its
// own registry.
func (m *Metrics) Describe(to chan<- *client.Desc) {
	for _, d := range all {
		to <- d.desc
	}
}

// Collect implements Collector of client_golang.
func (m *Metrics) Collect(to chan<- client.Metric) {
	c := collection{to, time.Now()}
	if m.Version != "" {
		c.gauge(buildInfo, 1, m.Version, runtime.Version())
	}
	m.collectResources(c)
	m.collectCounts(c)
	m.collectGateway(c)
	m.collectSinks(c)
	m.collectChannels(c)
}

// collection is what metrics are handed to.
type collection struct {
	to  chan<- client.Metric
	now time.Time
}

func (c collection) send(d *client.Desc, kind client.ValueType, value float64, labels []string) {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "\ufffd")
	}
	c.to <- client.MustNewConstMetric(d, kind, value, labels...)
}

func (c collection) counter(d *client.Desc, value float64, labels ...string) {
	c.send(d, client.CounterValue, value, labels)
}

func (c collection) gauge(d *client.Desc, value float64, labels ...string) {
	c.send(d, client.GaugeValue, value, labels)
}

func (c collection) histogram(d *client.Desc, of *durations, bounds []float64, labels ...string) {
	buckets, total := make(map[float64]uint64, len(bounds)), uint64(0)
	for i, b := range bounds {
		total += of.buckets[i].Load()
		buckets[b] = total
	}
	total += of.buckets[len(bounds)].Load()
	sum := time.Duration(of.sum.Load()).Seconds()
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "\ufffd")
	}
	c.to <- client.MustNewConstHistogram(d, total, sum, buckets, labels...)
}

func (m *Metrics) collectResources(c collection) {
	m.mu.RLock()
	resources := maps.Clone(m.resources)
	m.mu.RUnlock()
	for r, n := range resources {
		closed := n.closed.Load() // first: one that opens now is not one that closed
		opened := n.opened.Load()
		c.counter(sessionsTotal, float64(opened), r.protocol, r.name)
		c.gauge(sessionsOpen, float64(opened-closed), r.protocol, r.name)
		for i, verdict := range verdictNames {
			c.counter(operations, float64(n.operations[i].Load()), r.protocol, r.name, verdict)
		}
		c.counter(rowsTotal, float64(n.rows.Load()), r.protocol, r.name)
		c.counter(bytesTotal, float64(n.bytesIn.Load()), r.protocol, r.name, "in")
		c.counter(bytesTotal, float64(n.bytesOut.Load()), r.protocol, r.name, "out")
		c.histogram(duration, &n.latency, bounds[:], r.protocol, r.name)
		c.histogram(judging, &n.judged, judgedBounds[:], r.protocol, r.name)
	}
}

func (m *Metrics) collectCounts(c collection) {
	m.mu.RLock()
	events, masked, credentials, leases := maps.Clone(m.events), maps.Clone(m.masked), maps.Clone(m.credentials), len(m.leases)
	m.mu.RUnlock()
	for kind, n := range events {
		c.counter(eventsTotal, float64(n), kind)
	}
	for typ, n := range masked {
		c.counter(maskedTotal, float64(n), typ)
	}
	for k, n := range credentials {
		c.counter(credentialsTotal, float64(n), k.action, k.result)
	}
	c.gauge(leasesHeld, float64(leases))
}

// collectGateway shows how the gateway is.
func (m *Metrics) collectGateway(c collection) {
	if m.Records != nil {
		c.gauge(auditFailing, bit(m.Records.Err() != nil))
	}
	if m.Waiting != nil {
		n, oldest := m.Waiting()
		c.gauge(requestsWaiting, float64(n))
		c.gauge(requestsOldest, lag(oldest, c.now))
	}
	if m.Certificate != nil {
		if until := m.Certificate(); !until.IsZero() {
			c.gauge(certificateEnds, float64(until.Unix()))
		}
	}
	if m.Store != nil {
		up, took := m.storeCheck.ask(m.Store)
		c.gauge(storeUp, bit(up))
		c.gauge(storeLatency, took.Seconds())
	}
}

// collectSinks shows how sinks, copies and witnesses are doing.
func (m *Metrics) collectSinks(c collection) {
	for _, f := range m.feeds() {
		s := f.Stats()
		c.counter(exportEvents, float64(s.Delivered), s.Sink)
		c.counter(exportFailures, float64(s.Failures), s.Sink)
		c.counter(exportLeftOut, float64(s.LeftOut), s.Sink)
		c.gauge(exportWaiting, float64(s.Waiting), s.Sink)
		c.gauge(exportLag, lag(s.Since, c.now), s.Sink)
	}
	for _, f := range m.Followers {
		s := f.Stats()
		c.gauge(copyBehind, float64(s.Behind), s.Name)
		c.counter(copyFailures, float64(s.Failures), s.Name)
		c.counter(copyLeftOut, float64(s.LeftOut), s.Name)
		c.gauge(copyConflict, bit(s.Conflict), s.Name)
		c.gauge(copyLag, lag(s.Since, c.now), s.Name)
	}
}

func (m *Metrics) collectChannels(c collection) {
	if m.Channels == nil {
		return
	}
	for _, s := range m.Channels() {
		c.counter(noticesDelivered, float64(s.Delivered), s.Name)
		c.counter(noticesFailures, float64(s.Failures), s.Name)
		c.gauge(noticesWaiting, float64(s.Waiting), s.Name)
		c.gauge(noticesDead, float64(s.Dead), s.Name)
		c.gauge(noticesFailing, bit(s.Failing), s.Name)
		c.gauge(noticesLag, lag(s.Oldest, c.now), s.Name)
	}
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func lag(since, now time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since).Seconds())
}
