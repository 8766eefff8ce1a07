package ocsf

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
)

func schema(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	b, err := os.ReadFile("testdata/ocsf.schema.json")
	require.NoError(t, err)
	s := &jsonschema.Schema{}
	require.NoError(t, json.Unmarshal(b, s))
	r, err := s.Resolve(nil)
	require.NoError(t, err)
	return r
}

func valid(t *testing.T, s *jsonschema.Resolved, r audit.Outgoing) map[string]any {
	t.Helper()
	line := Append(nil, r)
	var m map[string]any
	require.NoError(t, json.Unmarshal(line, &m), string(line))
	require.NoError(t, s.Validate(m), string(line))
	return m
}

var postgres = &audit.Event{Type: audit.SessionStart, User: "alice", Groups: []string{"dev"}, Resource: "orders", Database: "shop", Protocol: "postgres", Remote: "10.0.0.7:4711"}

// Every type of event is of its class, and valid.
func TestClasses(t *testing.T) {
	s := schema(t)
	ssh := *postgres
	ssh.Protocol, ssh.Database = "ssh", ""
	for _, c := range []struct {
		name     string
		start    *audit.Event
		event    audit.Event
		class    float64
		activity float64
		status   any
	}{
		{"gateway start", nil, audit.Event{Type: audit.GatewayStart}, 6002, 3, nil},
		{"gateway stop", nil, audit.Event{Type: audit.GatewayStop}, 6002, 4, nil},
		{"login", nil, audit.Event{Type: "gateway.login", User: "alice", Protocol: "postgres", Remote: "[::1]:5"}, 3002, 1, 1.0},
		{"failed login", nil, audit.Event{Type: "gateway.login-failed", Error: "wrong"}, 3002, 1, 2.0},
		{"refused session", nil, audit.Event{Type: "gateway.session-refused", User: "bob", Resource: "orders", Protocol: "ssh"}, 4007, 5, 2.0},
		{"failed connection", nil, audit.Event{Type: "gateway.connection-failed"}, 4001, 4, 2.0},
		{"overload", nil, audit.Event{Type: "gateway.overload"}, 4001, 3, 2.0},
		{"panic", nil, audit.Event{Type: "gateway.panic", Error: "x"}, 0, 99, nil},
		{"killed", nil, audit.Event{Type: audit.AdminKill, User: "root", Session: "s9"}, 6003, 4, 1.0},
		{"watched", nil, audit.Event{Type: audit.AdminWatch, User: "root"}, 6003, 2, 1.0},
		{"not permitted", nil, audit.Event{Type: audit.AdminRefused, User: "eve", Action: "admin.kill"}, 6003, 3, 2.0},
		{"lag", nil, audit.Event{Type: audit.ExportLagging, Name: "siem"}, 0, 99, nil},
		{"a type of tomorrow", nil, audit.Event{Type: "moon.landing"}, 0, 99, nil},
		{"session start", postgres, *postgres, 4001, 1, 1.0},
		{"ssh session", &ssh, ssh, 4007, 1, 1.0},
		{"session end", postgres, audit.Event{Type: audit.SessionEnd}, 4001, 2, 1.0},
		{"session lost", postgres, audit.Event{Type: audit.SessionRecovered}, 4001, 2, 2.0},
		{"connect", postgres, audit.Event{Type: audit.OperationStart, Op: 1, Kind: "connect"}, 6005, 3, nil},
		{"query", postgres, audit.Event{Type: audit.OperationStart, Op: 2, Kind: "statement", Text: "SELECT 1", Effects: "read", Fingerprint: "00ab"}, 6005, 4, nil},
		{"delete", postgres, audit.Event{Type: audit.OperationRefused, Op: 3, Kind: "statement", Text: "x", Effects: "read,delete", Rule: "r", Reason: "no"}, 6005, 7, 2.0},
		{"write", postgres, audit.Event{Type: audit.OperationStart, Effects: "insert"}, 6005, 5, nil},
		{"update", postgres, audit.Event{Type: audit.OperationStart, Effects: "update,insert"}, 6005, 2, nil},
		{"create", postgres, audit.Event{Type: audit.OperationStart, Effects: "create"}, 6005, 6, nil},
		{"ended", postgres, audit.Event{Type: audit.OperationEnd, Op: 2, Verdict: "allow", Rows: 3, Micros: 4100, Masked: map[string]uint64{"US_SSN": 2}}, 6005, 4, 1.0},
		{"failed", postgres, audit.Event{Type: audit.OperationEnd, Op: 2, Code: "42P01"}, 6005, 4, 2.0},
		{"command", &ssh, audit.Event{Type: audit.OperationStart, Kind: "exec", Text: "uptime"}, 4007, 6, nil},
		{"command ended", &ssh, audit.Event{Type: audit.OperationEnd, Kind: "exec", Code: "0"}, 4007, 6, 1.0},
		{"file", &ssh, audit.Event{Type: audit.OperationStart, Kind: "file", Name: "read", Text: "/etc/"}, 4007, 6, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.event.Time = "2026-11-25T08:00:00.123456Z"
			c.event.Index = 7
			b, err := json.Marshal(c.event)
			require.NoError(t, err)
			m := valid(t, s, audit.Outgoing{Session: "s1", Index: 7, Type: c.event.Type, JSON: b, Start: c.start})
			require.Equal(t, c.class, m["class_uid"])
			require.Equal(t, c.activity, m["activity_id"])
			require.Equal(t, c.status, m["status_id"])
			require.Equal(t, 1795593600123.0, m["time"])
		})
	}
}

// What real sessions record is valid too.
func TestSessions(t *testing.T) {
	s := schema(t)
	l, err := audit.Open(t.TempDir(), audit.Config{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	sink := &sink{}
	_, err = l.Feed(sink, audit.FeedConfig{})
	require.NoError(t, err)
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{permit{}, l}, Log: slog.New(slog.DiscardHandler)}
	session, connect, err := g.Open(t.Context(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "alice"}, Target: proxy.Target{Resource: &proxy.Resource{Name: "shop"}, Database: "shop"},
		Protocol: "postgres", Remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711},
	})
	require.NoError(t, err)
	session.Done(connect, &proxy.Outcome{})
	op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte("SELECT '\x00\xff'"), Facts: &proxy.Facts{Effects: proxy.EffectRead}}
	require.False(t, session.Ask(t.Context(), op).Refuses())
	session.Done(op, &proxy.Outcome{Err: errors.New("broken"), Duration: time.Second})
	session.Close(errors.New("gone"))
	l.Event(proxy.Event{Kind: proxy.EventLoginFailed, At: time.Now(), User: "\xff"})
	require.NoError(t, l.Close())
	require.GreaterOrEqual(t, len(sink.got), 9)
	for _, r := range sink.got {
		valid(t, s, r)
	}
}

func TestUnreadable(t *testing.T) {
	line := Append(nil, audit.Outgoing{Session: "s1", Index: 1, Type: audit.SessionEnd, JSON: []byte("{")})
	require.True(t, json.Valid(line))
}

type permit struct{}

func (permit) Name() string { return "permit" }

func (permit) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(context.Context, proxy.Op) proxy.Verdict { return proxy.Allow("all") }}, nil
}

type sink struct {
	mu  sync.Mutex
	got []audit.Outgoing
}

func (*sink) Name() string { return "test" }

func (s *sink) Deliver(_ context.Context, batch []audit.Outgoing) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, batch...)
	return nil
}

func BenchmarkAppend(b *testing.B) {
	r := audit.Outgoing{Session: "s1", Index: 2, Type: audit.OperationStart, Start: postgres, JSON: []byte(`{"i":2,"t":"2026-11-25T08:00:00.123456Z","type":"operation.start","op":2,"kind":"statement","text":"SELECT abalance FROM pgbench_accounts WHERE aid = 4711","effects":"read"}`)}
	buf := make([]byte, 0, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		Append(buf, r)
	}
}
