package secrets

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// closing is a service that notices its end.
type closing struct {
	*service
	closed int
}

func (c *closing) Close() { c.set(func() { c.closed++ }) }

func (c *closing) is() int { c.mu.Lock(); defer c.mu.Unlock(); return c.closed }

// A revision's sources take the place of those of the one before: what was kept of another provider is not
// used, and a provider is closed once, after its last lease.
func TestSourcesAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, lasts := &watched{}, &closing{service: newService()}
		one, two := &closing{service: newService()}, &closing{service: newService()}
		two.value = "of two"
		first, err := NewBroker(Options{Source: Source{"lasts": lasts}, Own: Source{"s": one}, Journal: t.TempDir() + "/leases", Report: w.report})
		require.NoError(t, err)
		get := func(b *Broker, ref string) string {
			l, err := b.Lease(t.Context(), request(ref))
			require.NoError(t, err)
			return l.Password.Reveal()
		}
		require.Equal(t, "hunter2", get(first, "s:db"))
		require.Equal(t, "hunter2", get(first, "lasts:db"))
		held, err := first.Lease(t.Context(), request("s:lease/ro"))
		require.NoError(t, err)

		same, err := first.With(Source{"s": one})
		require.NoError(t, err)
		first.Retire()
		require.Equal(t, "hunter2", get(same, "s:db"))
		require.Equal(t, 2, one.count(), "what is kept is used on")

		second, err := same.With(Source{"s": two, "more": newService()})
		require.NoError(t, err)
		require.Equal(t, "of two", get(second, "s:db"))
		require.Equal(t, "hunter2", get(second, "lasts:db"))
		require.Equal(t, 1, lasts.count())
		require.NoError(t, second.Check("more:db"))
		require.Error(t, same.Check("more:db"))
		same.Retire()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.Equal(t, 1, one.lives(), "its lease is renewed by the provider that made it")
		require.Zero(t, one.is())
		held.Release()
		synctest.Wait()
		require.Zero(t, one.lives())
		require.Equal(t, 1, one.is())

		discarded := &closing{service: newService()}
		third, err := second.With(Source{"s": discarded})
		require.NoError(t, err)
		third.Retire()
		require.Equal(t, 1, discarded.is())
		require.Zero(t, two.is())
		_, err = second.With(Source{"lasts": two})
		require.ErrorContains(t, err, "two sources")
		require.NoError(t, second.Close(t.Context()))
		require.Equal(t, 1, two.is())
		require.Equal(t, 1, one.is())
		require.Zero(t, lasts.is(), "it is the caller's")
	})
}

// Leases of an earlier process are revoked by a source that a later revision brings.
func TestLeftLeasesWaitForTheirSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, path := newService(), t.TempDir()+"/leases"
		dead, err := NewBroker(Options{Own: Source{"s": s}, Journal: path})
		require.NoError(t, err)
		_, err = dead.Lease(t.Context(), request("s:lease/ro"))
		require.NoError(t, err)
		s.set(func() { s.down = ErrUnavailable })
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		require.Error(t, dead.Close(gone))
		s.set(func() { s.down = nil })

		w := &watched{}
		b, err := NewBroker(Options{Source: Default(), Journal: path, Report: w.report})
		require.NoError(t, err)
		require.Len(t, w.of(Revoked), 1)
		require.ErrorContains(t, w.of(Revoked)[0].Err, "no source s")
		require.Equal(t, 1, s.lives())
		next, err := b.With(Source{"s": s})
		require.NoError(t, err)
		synctest.Wait()
		require.Zero(t, s.lives())
		again, err := next.With(Source{"s": s})
		require.NoError(t, err)
		synctest.Wait()
		require.Len(t, w.of(Revoked), 2)
		require.NoError(t, again.Close(t.Context()))
	})
}

// A command has leases without a journal, and revokes them when it ends.
func TestBrief(t *testing.T) {
	s := newService()
	_, err := NewBroker(Options{Source: Source{"s": s}})
	require.ErrorContains(t, err, "Options.Journal")
	b, err := NewBroker(Options{Source: Source{"s": s}, Brief: true})
	require.NoError(t, err)
	_, release, err := b.Fetch(t.Context(), "s:lease/ro", false)
	require.NoError(t, err)
	require.Equal(t, 1, s.lives())
	release()
	require.NoError(t, b.Close(t.Context()))
	require.Zero(t, s.lives())
}
