package audit

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// permit allows everything except statements that say so.
type permit struct{}

func (permit) Name() string { return "permit" }

func (permit) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if s, ok := op.(*proxy.Statement); ok && string(s.Text) == "refuse me" {
			return proxy.Deny(proxy.CausePolicy, "no", "it says so", "say something else")
		}
		return proxy.Allow("all")
	}}, nil
}

func quiet() Config { return Config{Log: slog.New(slog.DiscardHandler)} }

func openLog(t testing.TB, dir string, c Config) *Log {
	t.Helper()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	l, err := Open(dir, c)
	require.NoError(t, err)
	return l
}

// newSession opens a session whose last interceptor is l.
func newSession(t testing.TB, l *Log) *proxy.Session {
	t.Helper()
	return newSessionOf(t, l, "postgres")
}

func newSessionOf(t testing.TB, l *Log, protocol string) *proxy.Session {
	t.Helper()
	s, err := tryNewSessionOf(l, protocol)
	require.NoError(t, err)
	return s
}

func tryNewSession(l *Log) (*proxy.Session, error) { return tryNewSessionOf(l, "postgres") }

func tryNewSessionOf(l *Log, protocol string) (*proxy.Session, error) {
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{permit{}, l}, Log: slog.New(slog.DiscardHandler)}
	s, connect, err := g.Open(context.Background(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}, Method: proxy.MethodSCRAM},
		Target:   proxy.Target{Resource: &proxy.Resource{Name: "shop", Type: "postgres"}, Database: "shop"},
		Protocol: protocol, Remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711},
		Params: map[string]string{"application_name": "psql"},
	})
	if err != nil {
		return nil, err
	}
	s.Done(connect, &proxy.Outcome{})
	return s, nil
}

func statementOf(text string, args ...proxy.Arg) *proxy.Statement {
	return &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(text), Args: args, Facts: &proxy.Facts{
		Effects: proxy.EffectRead | proxy.EffectDelete, Normalised: "normal", Fingerprint: 0xabc,
		Relations: []proxy.Relation{{Schema: "public", Name: "cust\"omers", Effects: proxy.EffectRead}},
		Functions: []proxy.Function{{Name: "lower"}},
	}}
}

// run asks one statement and ends it.
func run(s *proxy.Session, text string, args ...proxy.Arg) *proxy.Verdict {
	op := statementOf(text, args...)
	v := s.Ask(context.Background(), op)
	if !v.Refuses() {
		s.Done(op, &proxy.Outcome{Rows: 3, BytesOut: 100, Tag: "SELECT 3"})
	}
	return v
}

// record makes a closed log with a few sessions and returns its directory, its
// public key and the sessions' identifiers.
func record(t testing.TB, sessions int) (dir, public string, ids []string) {
	t.Helper()
	return recordWith(t, sessions, Config{})
}

func recordWith(t testing.TB, sessions int, c Config) (dir, public string, ids []string) {
	t.Helper()
	dir = t.TempDir()
	l := openLog(t, dir, c)
	for range sessions {
		s := newSession(t, l)
		run(s, "SELECT 1")
		run(s, "refuse me")
		ids = append(ids, s.ID)
		s.Close(nil)
	}
	require.NoError(t, l.Close())
	return dir, l.PublicKey(), ids
}

func verify(t testing.TB, dir, public string) *Report {
	t.Helper()
	r, err := Verify(dir, public, nil)
	require.NoError(t, err)
	return r
}

// files lists what proofs stand on: the records, the list of leaves and the
// checkpoint.
func files(t testing.TB, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "sessions", "*", "*"+recordSuffix))
	require.NoError(t, err)
	return append(list, filepath.Join(dir, "log", "leaves"), filepath.Join(dir, "log", "checkpoint"))
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return b
}

func write(t testing.TB, name string, b []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(name, b, 0o600))
}

func removeFile(t testing.TB, name string) {
	t.Helper()
	require.NoError(t, os.Remove(name))
}

// find returns the path of a session's files in a log, without their suffixes.
func find(dir, id string) (string, error) { return newCabinet(dir, newDisk(system{})).find(id) }
