package age_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	sealed "github.com/sallyport/sallyport/audit/age"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// stars masks everything.
type stars struct{}

func (stars) Name() string { return "stars" }

func (stars) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Flow: func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
		return proxy.Filter{
			Bytes: func(dst, src []byte) ([]byte, error) { return append(dst, bytes.Repeat([]byte("*"), len(src))...), nil },
			Row:   func(r *proxy.Row) error { r.Set(0, []byte("***")); return nil },
		}, nil
	}}, nil
}

// What was masked is in the record for the holder of the key alone: in the record
// of everybody else the values are masked.
func TestOriginals(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	to, err := sealed.ParseRecipient(id.Recipient().String())
	require.NoError(t, err)
	dir := t.TempDir()
	l, err := audit.Open(dir, audit.Config{Log: slog.New(slog.DiscardHandler), Recordings: func(*proxy.Session) audit.Recording {
		return audit.Recording{Terminal: audit.Full, Rows: audit.Full, Original: to}
	}})
	require.NoError(t, err)
	s, err := proxytest.Open(&proxy.Gateway{}, l.Originals(), stars{}, l)
	require.NoError(t, err)
	shell := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}, Terminal: true}
	require.False(t, s.Ask(t.Context(), shell).Refuses())
	flow, err := s.Flow(shell, &proxy.Shape{Kind: proxy.ShapeStream, Media: "terminal"})
	require.NoError(t, err)
	long := "4111 1111 1111 1111 " + strings.Repeat("x", 200_000)
	out, err := flow.Bytes(nil, []byte(long))
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("*", len(long)), string(out))
	in, err := s.Flow(shell, &proxy.Shape{Kind: proxy.ShapeStream, Media: "stdin", Inbound: true})
	require.NoError(t, err)
	_, err = in.Bytes(nil, []byte("hunter2"))
	require.NoError(t, err)
	s.Done(shell, &proxy.Outcome{})
	query := proxytest.Statement("SELECT card", proxy.EffectRead)
	require.False(t, s.Ask(t.Context(), query).Refuses())
	flow, err = s.Flow(query, &proxy.Shape{Kind: proxy.ShapeRows, Columns: []proxy.ShapeColumn{{Name: "card"}, {Name: "note"}}})
	require.NoError(t, err)
	require.NoError(t, flow.Row(proxy.NewRow([][]byte{[]byte("4111"), nil})))
	s.Done(query, &proxy.Outcome{})
	s.Close(nil)
	require.NoError(t, l.Close())

	a, err := audit.OpenArchive(dir)
	require.NoError(t, err)
	files := map[string]*bytes.Buffer{"terminal": {}, "rows": {}}
	var rest strings.Builder
	for e, err := range a.Events(s.ID) {
		require.NoError(t, err)
		if e.Type == audit.RecordingOriginal {
			files[e.Stream].Write(e.Content())
		}
	}
	for raw, err := range a.Raw(s.ID) {
		require.NoError(t, err)
		rest.Write(raw)
	}
	require.NotContains(t, rest.String(), "4111")
	require.NotContains(t, rest.String(), "hunter2")
	open := func(name string) string {
		r, err := age.Decrypt(files[name], id)
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		return string(b)
	}
	require.Equal(t, long, open("terminal"))
	require.Equal(t, `["4111",null]`+"\n", open("rows"))
	report, err := audit.Verify(dir, l.PublicKey(), nil)
	require.NoError(t, err)
	require.Empty(t, report.Problems)
}

// A revision that begins to keep originals keeps those of open sessions, too.
func TestOriginalsOfOpenSession(t *testing.T) {
	for name, before := range map[string]func(l *audit.Log) []proxy.Interceptor{
		"without":                   func(l *audit.Log) []proxy.Interceptor { return []proxy.Interceptor{l} },
		"with, and nothing to keep": func(l *audit.Log) []proxy.Interceptor { return []proxy.Interceptor{l.Originals(), l} },
	} {
		t.Run(name, func(t *testing.T) { testOriginalsOfOpenSession(t, before) })
	}
}

func testOriginalsOfOpenSession(t *testing.T, before func(l *audit.Log) []proxy.Interceptor) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	to, err := sealed.ParseRecipient(id.Recipient().String())
	require.NoError(t, err)
	var what atomic.Pointer[audit.Recording]
	what.Store(&audit.Recording{})
	dir := t.TempDir()
	l, err := audit.Open(dir, audit.Config{Log: slog.New(slog.DiscardHandler), Recordings: func(*proxy.Session) audit.Recording { return *what.Load() }})
	require.NoError(t, err)
	g := &proxy.Gateway{}
	s, err := proxytest.Open(g, before(l)...)
	require.NoError(t, err)
	what.Store(&audit.Recording{Original: to})
	next := *g.Revision()
	next.Interceptors = []proxy.Interceptor{proxytest.Allow{}, l.Originals(), stars{}, l}
	require.NoError(t, g.Use(&next))
	query := proxytest.Statement("SELECT card", proxy.EffectRead)
	require.False(t, s.Ask(t.Context(), query).Refuses())
	flow, err := s.Flow(query, &proxy.Shape{Kind: proxy.ShapeRows, Columns: []proxy.ShapeColumn{{Name: "card"}}})
	require.NoError(t, err)
	row := proxy.NewRow([][]byte{[]byte("4111")})
	require.NoError(t, flow.Row(row))
	require.Equal(t, "***", string(row.Value(0)))
	s.Done(query, &proxy.Outcome{})
	require.NoError(t, s.Err())
	s.Close(nil)
	require.NoError(t, l.Close())
	a, err := audit.OpenArchive(dir)
	require.NoError(t, err)
	kept := &bytes.Buffer{}
	for e, err := range a.Events(s.ID) {
		require.NoError(t, err)
		if e.Type == audit.RecordingOriginal {
			kept.Write(e.Content())
		}
	}
	r, err := age.Decrypt(kept, id)
	require.NoError(t, err)
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, `["4111"]`+"\n", string(text))
}

func TestParseRecipient(t *testing.T) {
	for _, s := range []string{"", "age1", "AGE-SECRET-KEY-1QQQ", "ssh-ed25519 AAAA"} {
		_, err := sealed.ParseRecipient(s)
		require.Error(t, err, s)
		require.NotContains(t, err.Error(), "SECRET-KEY-1QQQ")
	}
}
