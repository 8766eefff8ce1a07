package review

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// session is one of alice's that began some time ago.
func (d *desk) session(id string, age time.Duration) *proxy.Session {
	return &proxy.Session{ID: id, Identity: d.people.ids["alice"], Target: vm, Started: time.Now().Add(-age)}
}

// grantedIn is the request by which a session has the rule, and whether it would have to be opened by it.
func (d *desk) has(s *proxy.Session) (id string, opens bool) {
	id, g, _, ok := d.GrantedIn(s, "prod")
	if !ok {
		return "", false
	}
	return id, g.Opens
}

// TestUses: what is granted for a number of sessions opens as many, at whatever gateways, and those go on.
func TestUses(t *testing.T) {
	s := store.NewMemory()
	one, two := openDesk(t, s, everybody()), openDesk(t, s, everybody())
	twice := terms
	twice.Uses = 2
	r := one.asks(t, twice, nil)
	require.Contains(t, r.Lines(), "opens       2 sessions\n")
	_, err := one.Approve(t.Context(), r.ID, one.vote(r, "olga"), Narrow{})
	require.NoError(t, err)
	require.NoError(t, two.Follow(t.Context(), r.ID))
	first, second, third := one.session("first", 0), one.session("second", 0), one.session("third", 0)
	id, opens := one.has(first)
	require.Equal(t, r.ID, id)
	require.True(t, opens)
	require.NoError(t, one.Open(t.Context(), r.ID, first.ID))
	require.NoError(t, one.Open(t.Context(), r.ID, first.ID), "it is one session")
	_, opens = one.has(first)
	require.False(t, opens)
	require.Equal(t, r.ID, one.granted("prod"), "one more")
	require.NoError(t, two.Open(t.Context(), r.ID, second.ID))
	require.ErrorIs(t, one.Open(t.Context(), r.ID, third.ID), ErrSpent, "which one has not heard of")
	for _, d := range []*desk{one, two} {
		require.NoError(t, d.Follow(t.Context(), r.ID))
		for _, in := range []*proxy.Session{first, second} {
			id, opens := d.has(in)
			require.Equal(t, r.ID, id)
			require.False(t, opens)
		}
		id, _ := d.has(third)
		require.Empty(t, id)
		require.Empty(t, d.granted("prod"))
	}
	require.Equal(t, []string{"pending ", "approved olga", "opened olga"}, one.notes)
	require.Equal(t, []string{"opened olga"}, two.notes)
	now, err := one.Get(t.Context(), r.ID)
	require.NoError(t, err)
	require.Contains(t, now.Lines(), "opened      2 of 2\n")
	require.ErrorIs(t, one.Open(t.Context(), "nothing", "x"), ErrUnknown)

	// What is open already and does not have to be opened comes first, also where it ends earlier.
	short := one.asks(t, terms, func(a *Ask) { a.For = time.Minute })
	_, err = one.Approve(t.Context(), short.ID, one.vote(short, "olga"), Narrow{})
	require.NoError(t, err)
	more := one.asks(t, twice, func(a *Ask) { a.For = 2 * time.Hour })
	_, err = one.Approve(t.Context(), more.ID, one.vote(more, "olga"), Narrow{})
	require.NoError(t, err)
	id, opens = one.has(third)
	require.Equal(t, short.ID, id)
	require.False(t, opens)
	id, _ = one.has(first)
	require.Equal(t, r.ID, id, "the longest of those")

	// What cannot be recorded opens nothing, and a request that is over neither.
	one.fails = errFull
	require.ErrorIs(t, one.Open(t.Context(), more.ID, third.ID), errFull)
	one.fails = nil
	_, err = one.Cancel(t.Context(), more.ID, one.people.ids["alice"])
	require.NoError(t, err)
	require.ErrorIs(t, one.Open(t.Context(), more.ID, third.ID), ErrSpent)
}

// TestUsesAtOnce: sessions that are opened at the same moment at two gateways are as many as may be.
func TestUsesAtOnce(t *testing.T) {
	for range 50 {
		s := store.NewMemory()
		gateways := []*desk{openDesk(t, s, everybody()), openDesk(t, s, everybody())}
		few := terms
		few.Uses = 3
		r := gateways[0].asks(t, few, nil)
		_, err := gateways[0].Approve(t.Context(), r.ID, gateways[0].vote(r, "olga"), Narrow{})
		require.NoError(t, err)
		var all sync.WaitGroup
		results := make([]error, 8)
		for i := range results {
			all.Go(func() { results[i] = gateways[i%2].Open(t.Context(), r.ID, string(rune('a'+i))) })
		}
		all.Wait()
		open := slices.DeleteFunc(results, func(err error) bool { return errors.Is(err, ErrSpent) })
		require.Len(t, open, 3)
		for _, err := range open {
			require.NoError(t, err)
		}
	}
}

// TestReuse: further sessions are opened within a time, and those that are open go on.
func TestReuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, store.NewMemory(), everybody())
		again := terms
		again.Reuse = 10 * time.Minute
		r := d.asks(t, again, nil)
		require.Contains(t, r.Lines(), "opens       sessions within 10m0s of the beginning\n")
		_, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
		require.NoError(t, err)
		open := d.session("open", 0)
		time.Sleep(10*time.Minute - time.Second)
		d.touches(t)
		require.Equal(t, r.ID, d.granted("prod"))
		late := d.session("late", 0)
		time.Sleep(2 * time.Second)
		d.touches(t)
		require.Empty(t, d.granted("prod"))
		for _, s := range []*proxy.Session{open, late} {
			id, opens := d.has(s)
			require.Equal(t, r.ID, id)
			require.False(t, opens)
		}
		id, _ := d.has(d.session("new", 0))
		require.Empty(t, id)

		// More time is for what is open.
		more, err := d.Extend(t.Context(), d.people.ids["alice"], r.ID, again, time.Hour, "INC-2", "")
		require.NoError(t, err)
		_, err = d.Approve(t.Context(), more.ID, d.vote(more, "olga"), Narrow{})
		require.NoError(t, err)
		id, _ = d.has(open)
		require.Equal(t, more.ID, id)
		require.Empty(t, d.granted("prod"))
	})
}

// TestUsesGoOn: a session that was opened by what was granted for some goes on by an extension of it, also where that opens nothing more.
func TestUsesGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, store.NewMemory(), everybody())
		once := terms
		once.Uses = 1
		r := d.asks(t, once, nil)
		_, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
		require.NoError(t, err)
		more, err := d.Extend(t.Context(), d.people.ids["alice"], r.ID, once, time.Hour, "INC-2", "")
		require.NoError(t, err)
		_, err = d.Approve(t.Context(), more.ID, d.vote(more, "olga"), Narrow{Actions: []string{"exec"}})
		require.NoError(t, err)
		s := d.session("s", 0)
		require.NoError(t, d.Open(t.Context(), r.ID, s.ID))
		time.Sleep(time.Hour + time.Second)
		d.touches(t)
		id, opens := d.has(s)
		require.Equal(t, more.ID, id)
		require.False(t, opens)
	})
}
