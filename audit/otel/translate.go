package otel

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otellog "go.opentelemetry.io/otel/log"
	otelmetric "go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/audit"
)

const scope = "github.com/sallyport/sallyport/audit/otel"

// maxStarted bounds how many operations of a session are remembered until they
// end.
const maxStarted = 1024

// translator makes spans, logs and metrics of events.
type translator struct {
	text    bool
	tracer  oteltrace.Tracer
	logger  otellog.Logger
	ended   collected
	emitted emitted
	reader  *metric.ManualReader
	stop    []func(context.Context) error

	duration   otelmetric.Float64Histogram
	operations otelmetric.Int64Counter
	sessions   otelmetric.Int64Counter
	masked     otelmetric.Int64Counter

	started map[string]map[uint64]*audit.Event // operations that have not ended, by session
}

// collected and emitted take what the SDK makes, in place of its exporters.
type collected struct{ spans []trace.ReadOnlySpan }

func (c *collected) OnStart(context.Context, trace.ReadWriteSpan) {}
func (c *collected) OnEnd(s trace.ReadOnlySpan)                   { c.spans = append(c.spans, s) }
func (c *collected) Shutdown(context.Context) error               { return nil }
func (c *collected) ForceFlush(context.Context) error             { return nil }

type emitted struct{ logs []sdklog.Record }

func (e *emitted) OnEmit(_ context.Context, r *sdklog.Record) error {
	e.logs = append(e.logs, r.Clone())
	return nil
}
func (e *emitted) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }
func (e *emitted) Shutdown(context.Context) error                         { return nil }
func (e *emitted) ForceFlush(context.Context) error                       { return nil }

// identifiers come from what a span is about, so that it has the same whenever
// it is made.
type identifiers struct{}

type spanKey struct{}

// spanOf names the span that is started next: a session, and an operation in it.
type spanOf struct {
	session string
	op      uint64
}

func traceID(session string) (id oteltrace.TraceID) {
	sum := sha256.Sum256([]byte("trace " + session))
	copy(id[:], sum[:])
	return id
}

func (s spanOf) id() (id oteltrace.SpanID) {
	sum := sha256.Sum256([]byte("span " + s.session + " " + strconv.FormatUint(s.op, 10)))
	copy(id[:], sum[:])
	return id
}

func (s spanOf) context() oteltrace.SpanContext {
	return oteltrace.NewSpanContext(oteltrace.SpanContextConfig{TraceID: traceID(s.session), SpanID: s.id(), TraceFlags: oteltrace.FlagsSampled})
}

func (identifiers) NewIDs(ctx context.Context) (oteltrace.TraceID, oteltrace.SpanID) {
	s, _ := ctx.Value(spanKey{}).(spanOf)
	return traceID(s.session), s.id()
}

func (identifiers) NewSpanID(ctx context.Context, _ oteltrace.TraceID) oteltrace.SpanID {
	s, _ := ctx.Value(spanKey{}).(spanOf)
	return s.id()
}

func newTranslator(text bool) *translator {
	t := &translator{text: text, reader: metric.NewManualReader(metric.WithTemporalitySelector(metric.DeltaTemporalitySelector)), started: make(map[string]map[uint64]*audit.Event)}
	res := resource.NewSchemaless(attribute.String("service.name", "sallyport"))
	spans := trace.NewTracerProvider(trace.WithResource(res), trace.WithIDGenerator(identifiers{}), trace.WithSampler(trace.AlwaysSample()), trace.WithSpanProcessor(&t.ended))
	logs := sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(&t.emitted))
	meters := metric.NewMeterProvider(metric.WithResource(res), metric.WithReader(t.reader))
	t.stop = []func(context.Context) error{spans.Shutdown, logs.Shutdown, meters.Shutdown}
	t.tracer, t.logger = spans.Tracer(scope), logs.Logger(scope)
	m := meters.Meter(scope)
	// Names that the SDK refuses are an error of this package, which its test sees.
	var errs [4]error
	t.duration, errs[0] = m.Float64Histogram("db.client.operation.duration", otelmetric.WithUnit("s"), otelmetric.WithDescription("How long operations took."),
		otelmetric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10))
	t.operations, errs[1] = m.Int64Counter("sallyport.operations", otelmetric.WithUnit("{operation}"), otelmetric.WithDescription("Operations that ended, by verdict."))
	t.sessions, errs[2] = m.Int64Counter("sallyport.sessions", otelmetric.WithUnit("{session}"), otelmetric.WithDescription("Sessions that were opened."))
	t.masked, errs[3] = m.Int64Counter("sallyport.masked.values", otelmetric.WithUnit("{value}"), otelmetric.WithDescription("Values that were masked, by type."))
	for _, err := range errs {
		if err != nil {
			panic(err)
		}
	}
	return t
}

func (t *translator) close(ctx context.Context) error {
	var first error
	for _, stop := range t.stop {
		if err := stop(ctx); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// translate makes what is sent of a batch.
func (t *translator) translate(ctx context.Context, batch []audit.Outgoing) (*delivery, error) {
	for _, r := range batch {
		e := &audit.Event{}
		if err := json.Unmarshal(r.JSON, e); err != nil {
			return nil, fmt.Errorf("otel: %w", err)
		}
		t.event(ctx, r, e)
	}
	d := &delivery{spans: t.ended.spans, logs: t.emitted.logs, metrics: &metricdata.ResourceMetrics{}}
	t.ended.spans, t.emitted.logs = nil, nil
	if err := t.reader.Collect(ctx, d.metrics); err != nil {
		return nil, fmt.Errorf("otel: %w", err)
	}
	if len(d.metrics.ScopeMetrics) == 0 {
		d.metrics = nil
	}
	return d, nil
}

func (t *translator) event(ctx context.Context, r audit.Outgoing, e *audit.Event) {
	at := timeOf(e)
	switch e.Type {
	case audit.SessionStart:
		t.sessions.Add(ctx, 1, otelmetric.WithAttributes(where(r.Start)...))
	case audit.SessionEnd, audit.SessionRecovered:
		delete(t.started, r.Session)
		t.session(r, e, at)
	case audit.OperationStart:
		ops := t.started[r.Session]
		if ops == nil {
			ops = make(map[uint64]*audit.Event)
			t.started[r.Session] = ops
		}
		if len(ops) < maxStarted {
			ops[e.Op] = e
		}
	case audit.OperationEnd, audit.OperationRefused:
		start := t.started[r.Session][e.Op]
		delete(t.started[r.Session], e.Op)
		if start == nil || e.Type == audit.OperationRefused {
			start = e
		}
		t.operation(r, start, e, at)
		if e.Type == audit.OperationRefused {
			t.log(r, e, at)
		}
	default:
		if r.Start == nil || strings.HasPrefix(e.Type, "record.") {
			t.log(r, e, at)
		}
	}
}

func timeOf(e *audit.Event) time.Time {
	at, err := time.Parse(time.RFC3339Nano, e.Time)
	if err != nil {
		return time.Unix(0, 0)
	}
	return at
}

// start begins the span that s names.
func (t *translator) start(s spanOf, name string, kind oteltrace.SpanKind, at time.Time, attrs []attribute.KeyValue) (context.Context, oteltrace.Span) {
	ctx := context.WithValue(context.Background(), spanKey{}, s)
	if s.op > 0 {
		ctx = oteltrace.ContextWithSpanContext(ctx, spanOf{session: s.session}.context())
	}
	return t.tracer.Start(ctx, name, oteltrace.WithTimestamp(at), oteltrace.WithSpanKind(kind), oteltrace.WithAttributes(attrs...))
}

// session makes a session's span, when it has ended.
func (t *translator) session(r audit.Outgoing, e *audit.Event, at time.Time) {
	if r.Start == nil {
		return
	}
	attrs := append(where(r.Start), attribute.String("session.id", r.Session))
	if r.Start.User != "" {
		attrs = append(attrs, attribute.String("user.name", r.Start.User))
	}
	_, span := t.start(spanOf{session: r.Session}, "session "+r.Start.Resource, oteltrace.SpanKindServer, timeOf(r.Start), attrs)
	if e.Error != "" || e.Type == audit.SessionRecovered {
		span.SetStatus(codes.Error, "")
	}
	span.End(oteltrace.WithTimestamp(at))
}

// operation makes an operation's span, and measures it.
func (t *translator) operation(r audit.Outgoing, start, end *audit.Event, at time.Time) {
	verdict := "allowed"
	switch {
	case end.Type == audit.OperationRefused:
		verdict = "denied"
	case end.Error != "" || end.Code != "" && end.Code != "0":
		verdict = "failed"
	}
	name, attrs := t.describe(r, start, end)
	attrs = append(attrs, attribute.String("sallyport.verdict", verdict))
	if end.Rule != "" {
		attrs = append(attrs, attribute.String("sallyport.rule", end.Rule))
	}
	began := at.Add(-time.Duration(end.Micros) * time.Microsecond)
	ctx, span := t.start(spanOf{r.Session, end.Op}, name, oteltrace.SpanKindClient, began, attrs)
	if verdict != "allowed" {
		span.SetStatus(codes.Error, "")
	}
	for typ, n := range end.Masked {
		span.SetAttributes(attribute.Int64("sallyport.masked."+typ, int64(n)))
		t.masked.Add(ctx, int64(n), otelmetric.WithAttributes(attribute.String("type", typ)))
	}
	span.End(oteltrace.WithTimestamp(at))
	// With the span in ctx, the measurement has an exemplar that leads to it.
	labels := append(where(r.Start), attribute.String("sallyport.verdict", verdict))
	t.operations.Add(ctx, 1, otelmetric.WithAttributes(labels...))
	if verdict != "denied" {
		t.duration.Record(ctx, float64(end.Micros)/1e6, otelmetric.WithAttributes(where(r.Start)...))
	}
}

// describe names an operation and says what it does, by the conventions.
func (t *translator) describe(r audit.Outgoing, start, end *audit.Event) (string, []attribute.KeyValue) {
	attrs := where(r.Start)
	kind := start.Kind
	if kind == "" {
		kind = "operation"
	}
	name := kind
	if system(r.Start) != "" {
		operation := strings.ToUpper(strings.ReplaceAll(start.Effects, ",", " "))
		if kind == "connect" {
			operation = "CONNECT"
		}
		table, _, _ := strings.Cut(start.Relations, " ")
		if i := strings.LastIndexByte(table, ':'); i >= 0 {
			table = table[:i]
		}
		name = strings.TrimSpace(operation + " " + table)
		if name == "" {
			name = kind
		}
		add := func(key, value string) {
			if value != "" {
				attrs = append(attrs, attribute.String(key, value))
			}
		}
		add("db.operation.name", operation)
		add("db.collection.name", table)
		add("db.query.summary", name)
		add("db.response.status_code", end.Code)
		if t.text {
			add("db.query.text", start.Text)
		}
		if end.Rows > 0 {
			attrs = append(attrs, attribute.Int64("db.response.returned_rows", int64(end.Rows)))
		}
	} else if t.text && start.Text != "" {
		attrs = append(attrs, attribute.String("process.command_line", start.Text))
	}
	if end.Type == audit.OperationEnd && (end.Error != "" || end.Code != "" && end.Code != "0") {
		typ := end.Code
		if typ == "" {
			typ = "_OTHER"
		}
		attrs = append(attrs, attribute.String("error.type", typ))
	}
	return name, attrs
}

// system is the database's name in the conventions; empty for what is not a database.
func system(start *audit.Event) string {
	if start == nil {
		return ""
	}
	return map[string]string{"postgres": "postgresql", "mysql": "mysql"}[start.Protocol]
}

// where are the attributes of a session's resource.
func where(start *audit.Event) []attribute.KeyValue {
	if start == nil {
		return nil
	}
	attrs := []attribute.KeyValue{attribute.String("sallyport.resource", start.Resource)}
	if s := system(start); s != "" {
		attrs = append(attrs, attribute.String("db.system.name", s))
		if start.Database != "" {
			attrs = append(attrs, attribute.String("db.namespace", start.Database))
		}
	} else if start.Protocol != "" {
		attrs = append(attrs, attribute.String("network.protocol.name", start.Protocol))
	}
	return attrs
}

// log makes a log record of what was refused, or happened outside of sessions. It
// has no text: a reason can name what a user wrote.
func (t *translator) log(r audit.Outgoing, e *audit.Event, at time.Time) {
	var rec otellog.Record
	rec.SetTimestamp(at)
	rec.SetEventName("sallyport." + e.Type)
	rec.SetSeverity(otellog.SeverityInfo)
	if e.Type == audit.OperationRefused || strings.HasSuffix(e.Type, "-failed") || strings.HasSuffix(e.Type, "refused") || e.Type == audit.ExportLagging {
		rec.SetSeverity(otellog.SeverityWarn)
	}
	rec.SetBody(attribute.StringValue(e.Type))
	add := func(key, value string) {
		if value != "" {
			rec.AddAttributes(attribute.String(key, value))
		}
	}
	add("sallyport.rule", e.Rule)
	add("sallyport.by", e.By)
	add("sallyport.sink", map[bool]string{true: e.Name}[strings.HasPrefix(e.Type, "export.")])
	if host, _, err := net.SplitHostPort(e.Remote); err == nil {
		add("client.address", host)
	}
	ctx := context.Background()
	if r.Start != nil {
		add("session.id", r.Session)
		for _, a := range where(r.Start) {
			rec.AddAttributes(a)
		}
		ctx = oteltrace.ContextWithSpanContext(ctx, spanOf{r.Session, e.Op}.context())
	}
	t.logger.Emit(ctx, rec)
}
