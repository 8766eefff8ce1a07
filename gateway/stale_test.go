package gateway

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// TestMaxStale: where a resource says for how long it may be unknown who still may use it,
// sessions end after that, and other resources' go on; also when the store answers, and what it
// says cannot be followed.
func TestMaxStale(t *testing.T) {
	s := &away{Store: store.NewMemory()}
	t.Setenv("STORE_KEY", store.NewKey().Text())
	g, err := New(parse(t, Defaults(), "data_dir: "+t.TempDir()+`
store: {key: env:STORE_KEY}
listen: {postgres: "127.0.0.1:0"}
identity: {users: [{name: alice, groups: [dev], password: `+verifier(t)+`}]}
resources:
  - {name: orders, type: postgres, address: orders.internal, username: x, max_stale: 1m, tls: {mode: disable}}
  - {name: notes, type: postgres, address: notes.internal, username: x, tls: {mode: disable}}
access: [{groups: [dev], allow: [connect, read]}]
`), Options{Log: slog.New(slog.DiscardHandler), Store: s})
	require.NoError(t, err)
	defer func() { require.NoError(t, g.Close()) }()
	session := func(resource string) *proxy.Session {
		r, err := g.parts().revision.Directory.Lookup(t.Context(), resource)
		require.NoError(t, err)
		live, op, err := g.gateway.Open(t.Context(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: proxy.Target{Resource: r}, Protocol: "postgres"})
		require.NoError(t, err)
		live.Done(op, &proxy.Outcome{})
		return live
	}
	follow := func() {
		head, _, err := s.Store.Head(t.Context())
		require.NoError(t, err)
		g.seen.Store(head)
	}
	bounds, least := g.staleBounds()
	require.Equal(t, map[string]time.Duration{"orders": time.Minute}, bounds)
	require.Equal(t, time.Minute, least)
	now := time.Now()
	f := freshness{at: now}
	look := func(after time.Duration) {
		now = now.Add(after)
		g.lookStale(t.Context(), &f, bounds, now)
	}
	change := func() {
		_, err := s.Write(context.Background(), store.Create(store.Document{Kind: "test", Name: now.String(), Body: []byte("{}")}))
		require.NoError(t, err)
	}
	one, other := session("orders"), session("notes")
	follow()
	for range 10 {
		look(15 * time.Second)
		change()
		follow()
	}
	require.NoError(t, one.Err())

	s.set(true)
	for range 4 {
		look(15 * time.Second)
		require.NoError(t, one.Err())
	}
	look(time.Second)
	require.EqualError(t, one.Err(), "the session ends: for 1m0s it could not be checked whether you may still use orders, since the gateway's store does not answer; connect again later")
	require.NoError(t, other.Err())

	s.set(false)
	look(time.Second)
	one.Close(nil)
	one = session("orders")
	look(time.Second)
	require.NoError(t, one.Err(), "it answers again")
	change() // and is not followed
	for range 4 {
		look(15 * time.Second)
		require.NoError(t, one.Err())
	}
	look(15 * time.Second)
	require.Error(t, one.Err())
	one.Close(nil)
	one = session("orders")
	follow()
	look(15 * time.Second)
	require.NoError(t, one.Err())
	one.Close(nil)
	other.Close(nil)
}
