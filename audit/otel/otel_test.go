package otel

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport/audit"
)

// receiver takes OTLP over HTTP.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	down    string // the path that fails
	spans   []*spans.Span
	logs    []*logs.LogRecord
	metrics []*metrics.Metric
	raw     strings.Builder
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		if err == nil && r.down != req.URL.Path {
			err = r.take(req.URL.Path, body)
		} else {
			err = fmt.Errorf("down: %w", err)
		}
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(path string, body []byte) error {
	r.raw.Write(body)
	switch path {
	case "/v1/traces":
		m := &collectortrace.ExportTraceServiceRequest{}
		if err := proto.Unmarshal(body, m); err != nil {
			return err
		}
		for _, rs := range m.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				r.spans = append(r.spans, ss.Spans...)
			}
		}
	case "/v1/logs":
		m := &collectorlogs.ExportLogsServiceRequest{}
		if err := proto.Unmarshal(body, m); err != nil {
			return err
		}
		for _, rl := range m.ResourceLogs {
			for _, sl := range rl.ScopeLogs {
				r.logs = append(r.logs, sl.LogRecords...)
			}
		}
	case "/v1/metrics":
		m := &collectormetrics.ExportMetricsServiceRequest{}
		if err := proto.Unmarshal(body, m); err != nil {
			return err
		}
		for _, rm := range m.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				r.metrics = append(r.metrics, sm.Metrics...)
			}
		}
	default:
		return fmt.Errorf("nothing is at %s", path)
	}
	return nil
}

func attributes(list []*common.KeyValue) map[string]string {
	m := map[string]string{}
	for _, kv := range list {
		v := kv.Value.GetStringValue()
		if v == "" {
			v = fmt.Sprint(kv.Value.GetIntValue())
		}
		m[kv.Key] = v
	}
	return m
}

func session() []audit.Outgoing {
	start := &audit.Event{Type: audit.SessionStart, Time: "2026-11-25T08:00:00.000000Z", User: "alice", Resource: "orders", Database: "shop", Protocol: "postgres", Remote: "10.0.0.7:4711"}
	var list []audit.Outgoing
	add := func(typ, rest string) {
		i := uint64(len(list) + 1)
		list = append(list, audit.Outgoing{
			Session: "s1", Index: i, Type: typ, Start: start,
			JSON: fmt.Appendf(nil, `{"i":%d,"t":"2026-11-25T08:00:0%d.000000Z","type":"%s"%s}`, i, i, typ, rest),
		})
	}
	add(audit.SessionStart, `,"user":"alice"`)
	add(audit.OperationStart, `,"op":2,"kind":"statement","text":"SELECT 'hunter2-secret'","effects":"read","relations":"public.customers:read public.x:read"`)
	add(audit.OperationEnd, `,"op":2,"verdict":"allow","rule":"dev-reads","rows":3,"us":4000,"masked":{"US_SSN":2}`)
	add(audit.OperationStart, `,"op":3,"kind":"statement","text":"SELECT secret","effects":"read"`)
	add(audit.OperationEnd, `,"op":3,"code":"42P01","error":"relation secret does not exist","us":100`)
	add(audit.OperationRefused, `,"op":4,"kind":"statement","text":"DROP TABLE secret","effects":"drop","relations":"secret_table:drop","rule":"no-drop","reason":"secret reasons"`)
	add(audit.SessionEnd, ``)
	list = append(list, audit.Outgoing{
		Session: "gw", Index: 4, Type: "gateway.login-failed",
		JSON: []byte(`{"i":4,"t":"2026-11-25T08:00:09.000000Z","type":"gateway.login-failed","user":"secret-user","error":"secret","remote":"10.0.0.9:1"}`),
	})
	return list
}

func open(t *testing.T, r *receiver, text bool) *Sink {
	t.Helper()
	s, err := New(Config{URL: r.URL, Called: "otel", Text: text})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// A session is a trace, its operations are spans below it with the conventions'
// attributes, and nothing that a user wrote is sent (X6).
func TestAttackX6TracesHoldNoValues(t *testing.T) {
	r := receive(t)
	s := open(t, r, false)
	require.Equal(t, "otel", s.Name())
	require.NoError(t, s.Deliver(t.Context(), session()))
	require.Len(t, r.spans, 4)
	byName := map[string]*spans.Span{}
	for _, sp := range r.spans {
		byName[sp.Name] = sp
		require.Equal(t, r.spans[0].TraceId, sp.TraceId)
		require.Len(t, sp.SpanId, 8)
		require.GreaterOrEqual(t, sp.EndTimeUnixNano, sp.StartTimeUnixNano)
	}
	root := byName["session orders"]
	require.NotNil(t, root)
	require.Empty(t, root.ParentSpanId)
	require.Equal(t, spans.Span_SPAN_KIND_SERVER, root.Kind)
	require.Equal(t, "s1", attributes(root.Attributes)["session.id"])
	read := byName["READ public.customers"]
	require.NotNil(t, read)
	require.Equal(t, root.SpanId, read.ParentSpanId)
	require.Equal(t, spans.Span_SPAN_KIND_CLIENT, read.Kind)
	require.Equal(t, uint64(4_000_000), read.EndTimeUnixNano-read.StartTimeUnixNano)
	require.Equal(t, map[string]string{
		"sallyport.resource": "orders", "db.system.name": "postgresql", "db.namespace": "shop", "db.operation.name": "READ", "db.collection.name": "public.customers",
		"db.query.summary": "READ public.customers", "db.response.returned_rows": "3", "sallyport.verdict": "allowed", "sallyport.rule": "dev-reads", "sallyport.masked.US_SSN": "2",
	}, attributes(read.Attributes))
	failed := byName["READ"]
	require.Equal(t, spans.Status_STATUS_CODE_ERROR, failed.Status.Code)
	require.Equal(t, "42P01", attributes(failed.Attributes)["error.type"])
	require.Equal(t, "42P01", attributes(failed.Attributes)["db.response.status_code"])
	require.Equal(t, "denied", attributes(byName["DROP secret_table"].Attributes)["sallyport.verdict"])

	require.Len(t, r.logs, 2)
	require.Equal(t, "sallyport.operation.refused", r.logs[0].EventName)
	require.Equal(t, byName["DROP secret_table"].SpanId, r.logs[0].SpanId)
	require.Equal(t, logs.SeverityNumber_SEVERITY_NUMBER_WARN, r.logs[1].SeverityNumber)

	m := map[string]*metrics.Metric{}
	for _, x := range r.metrics {
		m[x.Name] = x
	}
	var exemplars int
	var count uint64
	for _, p := range m["db.client.operation.duration"].GetHistogram().DataPoints {
		count += p.Count
		for _, x := range p.Exemplars {
			require.Equal(t, root.TraceId, x.TraceId)
			exemplars++
		}
	}
	require.Equal(t, uint64(2), count)
	require.Positive(t, exemplars)
	require.Equal(t, "s", m["db.client.operation.duration"].Unit)
	require.Equal(t, int64(2), m["sallyport.masked.values"].GetSum().DataPoints[0].GetAsInt())
	require.Len(t, m["sallyport.operations"].GetSum().DataPoints, 3)
	require.Equal(t, int64(1), m["sallyport.sessions"].GetSum().DataPoints[0].GetAsInt())

	all := strings.ReplaceAll(r.raw.String(), "secret_table", "") // a table's name is not one
	require.NotContains(t, all, "secret")
}

// Texts are sent where the operator wants them.
func TestText(t *testing.T) {
	r := receive(t)
	require.NoError(t, open(t, r, true).Deliver(t.Context(), session()))
	require.Contains(t, r.raw.String(), "SELECT 'hunter2-secret'")
}

// A receiver that fails gets each signal once, and the same spans when events come again.
func TestFailures(t *testing.T) {
	r := receive(t)
	s := open(t, r, false)
	for _, down := range []string{"/v1/traces", "/v1/logs", "/v1/metrics"} {
		r.mu.Lock()
		r.down = down
		r.mu.Unlock()
		err := s.Deliver(t.Context(), session())
		require.Error(t, err, down)
	}
	r.mu.Lock()
	r.down = ""
	r.mu.Unlock()
	require.NoError(t, s.Deliver(t.Context(), session()))
	require.Len(t, r.spans, 4)
	require.Len(t, r.logs, 2)
	sessions := 0
	for _, m := range r.metrics {
		if m.Name == "sallyport.sessions" {
			sessions++
		}
	}
	require.Equal(t, 1, sessions)

	again := receive(t) // another process has the same events again
	require.NoError(t, open(t, again, false).Deliver(t.Context(), session()))
	for i := range r.spans {
		require.Equal(t, r.spans[i].SpanId, again.spans[i].SpanId)
	}
	// Events that begin in the middle of an operation are spans too.
	require.NoError(t, open(t, again, false).Deliver(t.Context(), session()[2:3]))
	require.Len(t, again.spans, 5)
}

func TestConfig(t *testing.T) {
	for _, u := range []string{"", "collector:4318", "ftp://x", "https://user:pass@x", "https://"} {
		_, err := New(Config{URL: u})
		require.Error(t, err, u)
	}
}
