// Package otel sends events as OpenTelemetry has them, over OTLP: a trace a
// session with a span an operation, by the conventions for databases; metrics of how
// long operations took, with exemplars that lead to their spans; and logs of what was
// refused and of what happened outside of sessions.
//
// Counts, times, types and names of tables only: what a user wrote is in no
// attribute, unless Config.Text is set.
package otel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/sallyport/sallyport/audit"
)

// Config says where to. URL and Called are needed.
type Config struct {
	URL     string // of an OTLP/HTTP receiver, such as https://collector:4318
	Called  string // the sink's name
	TLS     *tls.Config
	Timeout time.Duration // of a delivery; 0 is 10 s
	// Text also sends statements and commands as they were written.
	Text bool
}

// Sink sends spans, metrics and logs. A delivery counts when the receiver has taken
// all three. What comes again has the same identifiers of trace and span, so that a
// receiver has it once; metrics of a session that comes again after a restart of the
// gateway are counted again.
type Sink struct {
	config  Config
	spans   trace.SpanExporter
	logs    sdklog.Exporter
	metrics metric.Exporter
	t       *translator
	pending *delivery // what was not taken
}

// delivery is a batch as it is sent.
type delivery struct {
	first, last string
	spans       []trace.ReadOnlySpan
	logs        []sdklog.Record
	metrics     *metricdata.ResourceMetrics
}

// New checks c and returns its sink. Nothing is sent yet.
func New(c Config) (*Sink, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("otel: the URL must be https://host:port")
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	s := &Sink{config: c, t: newTranslator(c.Text)}
	ctx := context.Background()
	base := strings.TrimSuffix(u.Path, "/")
	// Retries are the log's: what is not taken stays there.
	to := []otlptracehttp.Option{otlptracehttp.WithEndpoint(u.Host), otlptracehttp.WithURLPath(base + "/v1/traces"), otlptracehttp.WithTimeout(c.Timeout), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{})}
	lo := []otlploghttp.Option{otlploghttp.WithEndpoint(u.Host), otlploghttp.WithURLPath(base + "/v1/logs"), otlploghttp.WithTimeout(c.Timeout), otlploghttp.WithRetry(otlploghttp.RetryConfig{})}
	mo := []otlpmetrichttp.Option{otlpmetrichttp.WithEndpoint(u.Host), otlpmetrichttp.WithURLPath(base + "/v1/metrics"), otlpmetrichttp.WithTimeout(c.Timeout), otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{})}
	if u.Scheme == "http" {
		to, lo, mo = append(to, otlptracehttp.WithInsecure()), append(lo, otlploghttp.WithInsecure()), append(mo, otlpmetrichttp.WithInsecure())
	} else if c.TLS != nil {
		to, lo, mo = append(to, otlptracehttp.WithTLSClientConfig(c.TLS)), append(lo, otlploghttp.WithTLSClientConfig(c.TLS)), append(mo, otlpmetrichttp.WithTLSClientConfig(c.TLS))
	}
	if s.spans, err = otlptracehttp.New(ctx, to...); err != nil {
		return nil, err
	}
	if s.logs, err = otlploghttp.New(ctx, lo...); err != nil {
		return nil, err
	}
	if s.metrics, err = otlpmetrichttp.New(ctx, mo...); err != nil {
		return nil, err
	}
	return s, nil
}

// Name returns Called.
func (s *Sink) Name() string { return s.config.Called }

// Deliver sends a batch. It is not for concurrent use.
func (s *Sink) Deliver(ctx context.Context, batch []audit.Outgoing) error {
	if len(batch) == 0 {
		return nil
	}
	first, last := key(batch[0]), key(batch[len(batch)-1])
	d := s.pending
	if d == nil || d.first != first || d.last != last {
		var err error
		if d, err = s.t.translate(ctx, batch); err != nil {
			return err
		}
		d.first, d.last = first, last
		s.pending = d
	}
	// Each is sent once, so that a receiver which lacks one signal does not get the
	// others again and again.
	if len(d.spans) > 0 {
		if err := s.spans.ExportSpans(ctx, d.spans); err != nil {
			return fmt.Errorf("otel traces: %w", err)
		}
		d.spans = nil
	}
	if len(d.logs) > 0 {
		if err := s.logs.Export(ctx, d.logs); err != nil {
			return fmt.Errorf("otel logs: %w", err)
		}
		d.logs = nil
	}
	if d.metrics != nil {
		if err := s.metrics.Export(ctx, d.metrics); err != nil {
			return fmt.Errorf("otel metrics: %w", err)
		}
		d.metrics = nil
	}
	s.pending = nil
	return nil
}

// Close ends the connections.
func (s *Sink) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Timeout)
	defer cancel()
	return errors.Join(s.spans.Shutdown(ctx), s.logs.Shutdown(ctx), s.metrics.Shutdown(ctx), s.t.close(ctx))
}

func key(r audit.Outgoing) string { return fmt.Sprintf("%s/%d", r.Session, r.Index) }
