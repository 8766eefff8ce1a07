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
	g, session := openStale(t, s)
	defer func() { require.NoError(t, g.Close()) }()
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

// openStale is a gateway on a store, of which one resource has a bound, and what opens sessions
// there.
func openStale(t *testing.T, s store.Store) (*Gateway, func(resource string) *proxy.Session) {
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
	return g, func(resource string) *proxy.Session {
		r, err := g.parts().revision.Directory.Lookup(t.Context(), resource)
		require.NoError(t, err)
		live, op, err := g.gateway.Open(t.Context(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: proxy.Target{Resource: r}, Protocol: "postgres"})
		require.NoError(t, err)
		live.Done(op, &proxy.Outcome{})
		return live
	}
}

// TestMaxStaleWhileServing: a gateway that serves looks by itself, and ends nothing while the
// store answers.
func TestMaxStaleWhileServing(t *testing.T) {
	s := &away{Store: store.NewMemory()}
	g, session := openStale(t, s)
	const bound = time.Second
	g.parts().config.Resources[0].MaxStale = bound // less than a file may say
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	require.Eventually(t, func() bool { return g.Addr("postgres", "") != nil }, 10*time.Second, time.Millisecond)
	one, other := session("orders"), session("notes")
	for began := time.Now(); time.Since(began) < 2*bound; {
		_, err := s.Write(context.Background(), store.Create(store.Document{Kind: "test", Name: time.Now().String(), Body: []byte("{}")}))
		require.NoError(t, err)
		select {
		case <-one.Context().Done():
			t.Fatal(one.Err())
		case <-time.After(bound / 10):
		}
	}
	s.set(true)
	select {
	case <-one.Context().Done():
		require.ErrorContains(t, one.Err(), "could not be checked")
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
	require.NoError(t, other.Err())
	s.set(false)
	one.Close(nil)
	other.Close(nil)
	cancel()
	require.NoError(t, <-done)
}
