package prometheus

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
)

type permit struct{}

func (permit) Name() string { return "permit" }

func (permit) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if s, ok := op.(*proxy.Statement); ok && strings.HasPrefix(string(s.Text), "DROP") {
			return proxy.Deny(proxy.CausePolicy, "no", "it says so", "")
		}
		return proxy.Allow("all")
	}}, nil
}

type nowhere struct{}

func (nowhere) Name() string                                    { return "nowhere" }
func (nowhere) Deliver(context.Context, []audit.Outgoing) error { return nil }

func show(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	return w.Body.String()
}

// Sessions and operations are counted by verdict, and nothing that a user wrote
// is shown (X6).
func TestAttackX6MetricsHoldNoValues(t *testing.T) {
	m := &Metrics{}
	l, err := audit.Open(t.TempDir(), audit.Config{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	f, err := l.Feed(nowhere{}, audit.FeedConfig{})
	require.NoError(t, err)
	m.Feeds, m.Records = append(m.Feeds, f), l
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{permit{}, m, l}, Log: slog.New(slog.DiscardHandler)}
	s, connect, err := g.Open(t.Context(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "alice-secret"}, Protocol: "postgres",
		Target: proxy.Target{Resource: &proxy.Resource{Name: "or\"ders"}, Database: "shop-secret"},
	})
	require.NoError(t, err)
	s.Done(connect, &proxy.Outcome{})
	run := func(text string, o proxy.Outcome) {
		op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(text), Facts: &proxy.Facts{}}
		if !s.Ask(t.Context(), op).Refuses() {
			s.Done(op, &o)
		}
	}
	run("SELECT 'hunter2-secret'", proxy.Outcome{Rows: 3, BytesOut: 100, Duration: 3 * time.Millisecond})
	run("SELECT 2", proxy.Outcome{Err: errors.New("a secret in an error"), Duration: time.Hour})
	run("DROP TABLE secret", proxy.Outcome{})
	require.NoError(t, s.Note(t.Context(), nil, &proxy.Note{Kind: proxy.NoteMasked, Type: "US_SSN", Count: 2}))
	open := show(t, m)
	require.Contains(t, open, `sallyport_sessions_open{protocol="postgres",resource="or\"ders"} 1`)
	s.Close(nil)
	require.NoError(t, l.Close())
	text := show(t, m)
	labels := `protocol="postgres",resource="or\"ders"`
	for _, want := range []string{
		`sallyport_sessions_total{` + labels + `} 1`,
		`sallyport_sessions_open{` + labels + `} 0`,
		`sallyport_operations_total{` + labels + `,verdict="allowed"} 2`,
		`sallyport_operations_total{` + labels + `,verdict="denied"} 1`,
		`sallyport_operations_total{` + labels + `,verdict="failed"} 1`,
		`sallyport_rows_total{` + labels + `} 3`,
		`sallyport_bytes_total{direction="out",` + labels + `} 100`,
		`sallyport_operation_duration_seconds_bucket{` + labels + `,le="+Inf"} 3`,
		`sallyport_operation_duration_seconds_count{` + labels + `} 3`,
		`sallyport_masked_values_total{type="US_SSN"} 2`,
		`sallyport_gateway_events_total{kind="session-start"} 1`,
		`sallyport_export_lag_seconds{sink="nowhere"} 0`,
		`sallyport_audit_failing 0`,
	} {
		require.Contains(t, text, want+"\n")
	}
	require.NotContains(t, text, "secret")
	line := regexp.MustCompile(`^(# (HELP|TYPE) .+|[a-z_]+(\{([a-z]+="([^"\\]|\\.)*",?)*\})? [0-9.e+-]+)$`)
	require.Contains(t, text, `sallyport_decision_duration_seconds_count{`+labels+`} 3`)
	for l := range strings.Lines(text) {
		require.Regexp(t, line, strings.TrimSuffix(l, "\n"))
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("POST", "/metrics", nil))
	require.Equal(t, 405, w.Code)
}

// Channels are shown by their names, while this gateway is the one that sends.
func TestChannels(t *testing.T) {
	m := &Metrics{}
	require.NotContains(t, show(t, m), "sallyport_notices")
	list := []Channel{{Name: "b"}, {Name: "a", Waiting: 2, Dead: 3, Delivered: 4, Failures: 5, Oldest: time.Now().Add(-time.Hour), Failing: true}}
	m.Channels = func() []Channel { return list }
	text := show(t, m)
	for _, want := range []string{
		`sallyport_notices_delivered_total{channel="a"} 4`, `sallyport_notices_failures_total{channel="a"} 5`, `sallyport_notices_waiting{channel="a"} 2`,
		`sallyport_notices_dead{channel="a"} 3`, `sallyport_notices_failing{channel="a"} 1`, `sallyport_notices_failing{channel="b"} 0`, `sallyport_notices_lag_seconds{channel="b"} 0`,
	} {
		require.Contains(t, text, want+"\n")
	}
	require.Regexp(t, `sallyport_notices_lag_seconds\{channel="a"\} 36\d\d`, text)
	list = nil
	require.NotContains(t, show(t, m), `{channel=`)
}

// The numbers say when records cannot be written.
func TestFailingLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, err := audit.Open(dir, audit.Config{Log: slog.New(slog.DiscardHandler), Stall: 100 * time.Millisecond})
	require.NoError(t, err)
	m := &Metrics{Records: l}
	require.Contains(t, show(t, m), "sallyport_audit_failing 0\n")
	require.NoError(t, os.Rename(dir, dir+".away"))
	require.Eventually(t, func() bool { return strings.Contains(show(t, m), "sallyport_audit_failing 1\n") }, 20*time.Second, time.Millisecond)
	require.NoError(t, os.Rename(dir+".away", dir))
	require.Eventually(t, func() bool { return strings.Contains(show(t, m), "sallyport_audit_failing 0\n") }, 20*time.Second, time.Millisecond)
	require.NoError(t, l.Close())
}

func TestLatency(t *testing.T) {
	c := &counters{}
	for _, d := range []time.Duration{0, 500 * time.Microsecond, 501 * time.Microsecond, time.Minute, time.Hour} {
		c.done(&proxy.Outcome{Duration: d})
	}
	require.Equal(t, []uint64{2, 1, 1, 1}, []uint64{c.latency.buckets[0].Load(), c.latency.buckets[1].Load(), c.latency.buckets[len(bounds)-1].Load(), c.latency.buckets[len(bounds)].Load()})
}

func TestCountingAllocatesNothing(t *testing.T) {
	m := &Metrics{}
	c := m.of(resource{"postgres", "orders"})
	o := &proxy.Outcome{Rows: 1, Duration: time.Millisecond}
	op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement, At: time.Now()}}
	require.Zero(t, testing.AllocsPerRun(100, func() { c.start(op); c.done(o) }))
}

func BenchmarkDone(b *testing.B) {
	m := &Metrics{}
	c := m.of(resource{"postgres", "orders"})
	o := &proxy.Outcome{Rows: 1, Duration: time.Millisecond}
	for b.Loop() {
		c.done(o)
	}
}

// The store, what waits, the certificate and credentials are shown where they are known.
func TestGatewayNumbers(t *testing.T) {
	m := &Metrics{}
	require.NotContains(t, show(t, m), "sallyport_store_up")
	down := errors.New("down")
	m.Store = func(context.Context) error { return down }
	m.Waiting = func() (int, time.Time) { return 2, time.Now().Add(-time.Hour) }
	m.Certificate = func() time.Time { return time.Unix(2_000_000_000, 0) }
	m.Version = "v1.2.3"
	m.Credential("resolve", "a", nil)
	m.Credential("resolve", "b", nil)
	m.Credential("resolve", "c", down)
	m.Credential("renew", "a", down)
	m.Credential("revoke", "a", nil)
	m.Credential("resolve", "", nil)
	text := show(t, m)
	for _, want := range []string{
		`sallyport_store_up 0`, `sallyport_requests_waiting 2`, `sallyport_certificate_expiry_timestamp_seconds 2e+09`, `sallyport_credential_leases 1`,
		`sallyport_credentials_total{action="resolve",result="ok"} 3`, `sallyport_credentials_total{action="renew",result="failed"} 1`,
	} {
		require.Contains(t, text, want+"\n")
	}
	require.Regexp(t, `sallyport_requests_oldest_seconds 3(599|6\d\d)`, text)
	require.Regexp(t, `sallyport_build_info\{goversion="go[^"]+",version="v1.2.3"\} 1`, text)
	require.Contains(t, text, "go_goroutines ")
	down = nil
	require.Contains(t, show(t, m), "sallyport_store_up 1\n")
}

// What an operation waited for people's approval is not what the gateway adds.
func TestDecisionTime(t *testing.T) {
	c := &counters{}
	c.start(&proxy.Statement{Meta: proxy.Meta{At: time.Now().Add(-3 * time.Millisecond)}})
	require.Equal(t, uint64(1), c.judged.buckets[8].Load()+c.judged.buckets[9].Load()+c.judged.buckets[10].Load()+c.judged.buckets[11].Load()+c.judged.buckets[12].Load())
	require.GreaterOrEqual(t, time.Duration(c.judged.sum.Load()), 3*time.Millisecond)
}

// The types of masked values, which somebody else's analyzer can name, are names, and few.
func TestMaskedTypesAreBounded(t *testing.T) {
	m := &Metrics{}
	mask := func(typ string) { m.note(&proxy.Note{Kind: proxy.NoteMasked, Type: typ, Count: 1}) }
	for _, typ := range []string{"", "hunter2 of alice", "a@example.com", strings.Repeat("A", maxType+1)} {
		mask(typ)
	}
	for i := range 10 * maxTypes {
		mask("T" + strconv.Itoa(i))
		mask("US_SSN")
	}
	text := show(t, m)
	require.Contains(t, text, `sallyport_masked_values_total{type="US_SSN"} `+strconv.Itoa(10*maxTypes)+"\n")
	require.LessOrEqual(t, strings.Count(text, "sallyport_masked_values_total{"), maxTypes+1)
	require.NotContains(t, text, "alice")
	require.NotContains(t, text, "example.com")
	total := 0
	for _, found := range regexp.MustCompile(`(?m)^sallyport_masked_values_total\{.*\} (\d+)$`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(found[1])
		require.NoError(t, err)
		total += n
	}
	require.Equal(t, 4+20*maxTypes, total, "each is counted")
}
