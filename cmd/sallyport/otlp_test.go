package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector decodes what comes by OTLP over HTTP.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []*spans.Span
	logs    []string // event names
	metrics map[string]bool
	raw     strings.Builder
	failed  error
}

func collect(t *testing.T) *collector {
	c := &collector{metrics: map[string]bool{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil {
			err = c.take(r.URL.Path, body)
		}
		if err != nil {
			c.failed = err
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) take(path string, body []byte) error {
	c.raw.Write(body)
	switch path {
	case "/v1/traces":
		m := &collectortrace.ExportTraceServiceRequest{}
		if err := proto.Unmarshal(body, m); err != nil {
			return err
		}
		for _, r := range m.ResourceSpans {
			for _, s := range r.ScopeSpans {
				c.spans = append(c.spans, s.Spans...)
			}
		}
	case "/v1/logs":
		m := &collectorlogs.ExportLogsServiceRequest{}
		if err := proto.Unmarshal(body, m); err != nil {
			return err
		}
		for _, r := range m.ResourceLogs {
			for _, s := range r.ScopeLogs {
				for _, l := range s.LogRecords {
					c.logs = append(c.logs, l.EventName)
				}
			}
		}
	case "/v1/metrics":
		m := &collectormetrics.ExportMetricsServiceRequest{}
		if err := proto.Unmarshal(body, m); err != nil {
			return err
		}
		for _, r := range m.ResourceMetrics {
			for _, s := range r.ScopeMetrics {
				for _, one := range s.Metrics {
					c.metrics[one.Name] = true
				}
			}
		}
	}
	return nil
}

// span returns the first span with an attribute.
func (c *collector) span(key, value string) *spans.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if attribute(s.Attributes, key) == value {
			return s
		}
	}
	return nil
}

func attribute(list []*common.KeyValue, key string) string {
	for _, kv := range list {
		if kv.Key == key {
			return kv.Value.GetStringValue()
		}
	}
	return ""
}

// A collector gets a real client's session as a trace, its statements as spans below it,
// and no text of theirs; and nothing that is recorded of the data goes to any sink that
// did not ask for it.
func TestServeOTLP(t *testing.T) {
	c := collect(t)
	o := openOffice(t, `
audit:
  recordings: [{rows: full, copy: digest}]
  export:
    - {type: otlp, url: "`+c.URL+`", plaintext: true}
    - {type: file, path: events.jsonl}
    - {type: file, name: asked, path: asked.jsonl, only: ["recording.*"]}
`)
	o.psql(t, "bob", "-c", "CREATE TABLE people (id int, town text)", "-c", "INSERT INTO people VALUES (1, 'Timbuktu')")
	require.Contains(t, o.psql(t, "bob", "-c", "TABLE people"), "Timbuktu")
	require.Contains(t, o.psql(t, "bob", "-c", `\copy people from program 'printf "2\tSamarkand\n3\tBukhara\n"'`), "COPY 2")
	require.Contains(t, o.psql(t, "alice", "-c", "DELETE FROM people"), "ERROR:")
	require.Eventually(t, func() bool { return c.span("sallyport.verdict", "denied") != nil }, 20*time.Second, 20*time.Millisecond)
	o.stop(t)

	c.mu.Lock()
	require.NoError(t, c.failed)
	require.NotContains(t, c.raw.String(), "Timbuktu")
	require.Contains(t, strings.Join(c.logs, " "), "operation.refused")
	require.True(t, c.metrics["db.client.operation.duration"])
	all := map[string]*spans.Span{}
	for _, s := range c.spans {
		all[string(s.SpanId)] = s
	}
	c.mu.Unlock()
	statement := c.span("db.collection.name", "public.people")
	require.NotNil(t, statement)
	parent := all[string(statement.ParentSpanId)]
	require.NotNil(t, parent, "the session's span")
	require.Equal(t, statement.TraceId, parent.TraceId)
	require.Empty(t, parent.ParentSpanId)

	plain, err := os.ReadFile(filepath.Join(o.dir, "events.jsonl"))
	require.NoError(t, err)
	require.Contains(t, string(plain), `"type":"operation.end"`)
	require.NotContains(t, string(plain), `"type":"recording.`)
	asked, err := os.ReadFile(filepath.Join(o.dir, "asked.jsonl"))
	require.NoError(t, err)
	require.Contains(t, string(asked), `"values":[["1","Timbuktu"]]`)
	require.Regexp(t, `"type":"recording.end","op":\d+,"stream":"stdin","bytes":22,"sha256":"[0-9a-f]{64}"`, string(asked), "of what was copied in")
	require.NotContains(t, string(asked), "Samarkand")
}
