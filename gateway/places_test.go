package gateway

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/sqlstore"
)

// counting is a gateway that counts its sessions in a store.
type counting struct {
	*proxy.Gateway
	places *places
	log    *lockedText
}

func openCounting(s store.Store, limit int) *counting {
	c := &counting{log: &lockedText{}}
	log := slog.New(slog.NewTextHandler(c.log, nil))
	c.places = newPlaces(s, log)
	c.Gateway = &proxy.Gateway{Log: log, Places: c.places, Limits: proxy.Limits{MaxPerIdentity: limit}, Interceptors: []proxy.Interceptor{proxytest.Allow{}}, Unrecorded: true}
	return c
}

func (c *counting) session(subject string) (*proxy.Session, error) {
	resource := proxytest.Resource
	s, op, err := c.Open(context.Background(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: subject}, Target: proxy.Target{Resource: &resource}, Protocol: "test"})
	if err == nil {
		s.Done(op, &proxy.Outcome{})
	}
	return s, err
}

// TestPlaces: a person has as many sessions as she may at all gateways together, also when they
// begin at once, and none is lost.
func TestPlaces(t *testing.T) {
	test := func(t *testing.T, s store.Store) {
		const limit = 5
		gateways := []*counting{openCounting(s, limit), openCounting(s, limit), openCounting(s, limit)}
		var mu sync.Mutex
		var open []*proxy.Session
		begin := func() {
			var wg sync.WaitGroup
			for i := range 30 {
				wg.Go(func() {
					s, err := gateways[i%3].session("alice")
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						open = append(open, s)
					} else if !errors.Is(err, proxy.ErrTooMany) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		begin()
		require.Len(t, open, limit)
		other, err := gateways[0].session("bob")
		require.NoError(t, err)
		other.Close(nil)
		for range 2 {
			open[0].Close(nil)
			open = open[1:]
		}
		for _, g := range gateways {
			g.places.leaving.Wait()
		}
		begin()
		require.Len(t, open, limit)
		for _, s := range open {
			s.Close(nil)
		}
		for _, g := range gateways {
			require.NoError(t, g.places.close())
			require.Empty(t, g.places.open)
			require.NotContains(t, g.log.String(), "level=WARN")
		}
		for _, kind := range []string{kindPlaces, kindAlive} {
			list, err := s.List(t.Context(), store.Query{Kind: kind})
			require.NoError(t, err)
			require.Empty(t, list, kind)
		}
	}
	t.Run("memory", func(t *testing.T) { test(t, store.NewMemory()) })
	t.Run("PostgreSQL", func(t *testing.T) {
		server, name := testserver.Database(t, "")
		s, err := sqlstore.OpenPostgres(t.Context(), testserver.URL(pgembed.User, server.Password, server.Address(), name, ""), sqlstore.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		test(t, s)
	})
}

// away is a store that does not answer while it is down.
type away struct {
	store.Store
	mu   sync.Mutex
	down bool
}

func (a *away) set(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

func (a *away) err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down {
		return errors.New("connection refused")
	}
	return nil
}

func (a *away) Get(ctx context.Context, kind, name string) (store.Document, error) {
	if err := a.err(); err != nil {
		return store.Document{}, err
	}
	return a.Store.Get(ctx, kind, name)
}

func (a *away) Head(ctx context.Context) (int64, time.Time, error) {
	if err := a.err(); err != nil {
		return 0, time.Time{}, err
	}
	return a.Store.Head(ctx)
}

// TestPlacesStoreDown: while the store does not answer a gateway goes by its own sessions, and
// the store learns afterwards what it has missed.
func TestPlacesStoreDown(t *testing.T) {
	shared := store.NewMemory()
	s := &away{Store: shared}
	one, two := openCounting(s, 3), openCounting(shared, 3)
	first, err := one.session("alice")
	require.NoError(t, err)
	s.set(true)
	for range 2 {
		_, err := one.session("alice")
		require.NoError(t, err, "nobody is kept out")
	}
	require.Contains(t, one.log.String(), "sessions at other gateways are not known")
	_, err = one.session("alice")
	require.ErrorIs(t, err, proxy.ErrTooMany, "its own count")
	first.Close(nil)
	one.places.leaving.Wait()
	s.set(false)
	require.NoError(t, one.places.settle(t.Context()))
	require.Empty(t, one.places.unsaid)
	last, err := two.session("alice")
	require.NoError(t, err)
	_, err = two.session("alice")
	require.ErrorIs(t, err, proxy.ErrTooMany)
	last.Close(nil)
}

// TestPlacesOfTheDead: sessions of a gateway that is not heard of any more do not count, and
// count again when it comes back.
func TestPlacesOfTheDead(t *testing.T) {
	s := store.NewMemory()
	dead, lives := openCounting(s, 2), openCounting(s, 2)
	for range 2 {
		_, err := dead.session("alice")
		require.NoError(t, err)
	}
	_, err := lives.session("alice")
	require.ErrorIs(t, err, proxy.ErrTooMany)
	d, err := s.Get(t.Context(), kindAlive, dead.places.id)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(aliveFor), d.Expires, 10*time.Second)
	_, err = s.Write(t.Context(), store.Delete(d)) // as time does
	require.NoError(t, err)
	mine, err := lives.session("alice")
	require.NoError(t, err)
	require.NoError(t, dead.places.beat(t.Context()))
	require.NoError(t, dead.places.settle(t.Context()))
	_, err = lives.session("alice")
	require.ErrorIs(t, err, proxy.ErrTooMany)
	mine.Close(nil)
}

// TestPlacesRun: a gateway stays known while it runs, says so when the store does not answer,
// and is forgotten when it has stopped.
func TestPlacesRun(t *testing.T) {
	s := &away{Store: store.NewMemory()}
	s.set(true)
	c := openCounting(s, 2)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.places.run(ctx)
	}()
	require.Eventually(t, func() bool { return strings.Contains(c.log.String(), "counts those of each gateway alone") }, 10*time.Second, time.Millisecond)
	s.set(false)
	cancel()
	<-done
	require.NoError(t, c.places.beat(t.Context()))
	require.NoError(t, c.places.close())
	_, err := s.Get(t.Context(), kindAlive, c.places.id)
	require.ErrorIs(t, err, store.ErrNotFound)
}
