package review

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/store"
)

func (d *desk) extends(t *testing.T, id string, length time.Duration) (*Request, error) {
	t.Helper()
	return d.Extend(t.Context(), d.people.ids["alice"], id, two(terms), length, "INC-2", "")
}

func (d *desk) approveAll(t *testing.T, r *Request) *Request {
	t.Helper()
	for _, by := range []string{"olga", "otto", "sven"} {
		now, err := d.Approve(t.Context(), r.ID, d.vote(r, by), Narrow{})
		require.NoError(t, err)
		r = now
	}
	require.Equal(t, Approved, r.State)
	return r
}

// TestExtend: more time is asked for as access was, and there is something granted at each moment from the first to the last.
func TestExtend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, store.NewMemory(), everybody())
		automatic := two(terms)
		automatic.Auto = &Auto{}
		first := d.approveAll(t, d.asks(t, two(terms), nil))
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go d.Run(ctx)
		time.Sleep(50 * time.Minute)
		r, err := d.Extend(t.Context(), d.people.ids["alice"], first.ID, automatic, 30*time.Minute, "INC-2", "")
		require.NoError(t, err)
		require.Equal(t, Pending, r.State, "people decide, also where a rule grants by itself")
		require.Equal(t, "connect, exec, shell at vm1 for 30m0s from "+first.Access.Grant.Until.Format(time.RFC3339)+", to go on after request "+first.ID, r.Text)
		require.Equal(t, first.Access.Stages, r.Access.Stages)
		again, err := d.extends(t, first.ID, 30*time.Minute)
		require.NoError(t, err)
		require.Equal(t, r.ID, again.ID)
		_, err = d.extends(t, first.ID, 40*time.Minute)
		require.ErrorContains(t, err, "request "+r.ID+" extends it already")
		require.Equal(t, first.ID, d.granted("prod"), "what is asked for is not granted")
		got := d.approveAll(t, r)
		require.Equal(t, first.Access.Grant.Until.Add(30*time.Minute), got.Access.Grant.Until)
		_, g, _, ok := d.Granted(d.people.ids["alice"], vm, "prod")
		require.True(t, ok)
		require.WithinDuration(t, got.Access.Grant.Until, g.Until, time.Millisecond, "nobody is told of an end that does not come")
		for time.Now().Before(got.Access.Grant.Until) {
			require.Equal(t, r.ID, d.granted("prod"))
			time.Sleep(time.Second)
		}
		require.Empty(t, d.granted("prod"))
		stop()
		synctest.Wait()
	})
}

// TestExtendNarrowed: an extension for less does not take away what is granted still, and follows without a gap.
func TestExtendNarrowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, store.NewMemory(), everybody())
		approve := func(r *Request, n Narrow) *Request {
			got, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), n)
			require.NoError(t, err)
			return got
		}
		first := approve(d.asks(t, terms, nil), Narrow{})
		r, err := d.Extend(t.Context(), d.people.ids["alice"], first.ID, terms, time.Hour, "INC-2", "")
		require.NoError(t, err)
		approve(r, Narrow{Actions: []string{"exec"}})
		end := first.Access.Grant.Until
		time.Sleep(time.Until(end) - time.Millisecond)
		d.touches(t)
		require.Equal(t, first.ID, d.granted("prod"))
		time.Sleep(time.Millisecond)
		require.Equal(t, r.ID, d.granted("prod"))
		_, g, _, _ := d.Granted(d.people.ids["alice"], vm, "prod")
		require.Equal(t, []string{"connect", "exec"}, g.Actions)

		// One that is approved late does not last longer.
		first = approve(d.asks(t, terms, nil), Narrow{})
		r, err = d.Extend(t.Context(), d.people.ids["alice"], first.ID, terms, time.Hour, "INC-3", "")
		require.NoError(t, err)
		time.Sleep(time.Hour + 20*time.Minute)
		d.touches(t)
		d.settle(t.Context())
		got := approve(r, Narrow{})
		require.WithinDuration(t, time.Now(), got.Access.Grant.From, time.Second)
		require.Equal(t, first.Access.Grant.Until.Add(time.Hour), got.Access.Grant.Until)
	})
}

// TestExtendIsRefused: who asks for more time, of what, and when.
func TestExtendIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, store.NewMemory(), everybody())
		waits := d.asks(t, two(terms), nil)
		later := d.approveAll(t, d.asks(t, two(terms), func(a *Ask) { a.From = time.Now().Add(30 * time.Minute) }))
		first := d.approveAll(t, d.asks(t, two(terms), func(a *Ask) { a.For = 20 * time.Minute }))
		other, moved := two(terms), two(terms)
		other.Rule, moved.Target = "other", "another"
		extend := func(who, id string, terms Terms, length time.Duration) error {
			_, err := d.Extend(t.Context(), d.people.ids[who], id, terms, length, "INC-2", "")
			return err
		}
		for _, c := range []struct {
			says string
			err  error
		}{
			{"there is no such request", extend("eve", first.ID, two(terms), 0)},
			{"there is no such request", extend("alice", "nothing", two(terms), 0)},
			{"is pending: ask anew", extend("alice", waits.ID, two(terms), 0)},
			{"is not there yet: ask anew", extend("alice", later.ID, two(terms), 0)},
			{"rule prod does not grant this any more", extend("alice", first.ID, other, 0)},
			{"rule prod does not grant this any more", extend("alice", first.ID, moved, 0)},
			{"at most 8h", extend("alice", first.ID, two(terms), 9*time.Hour)},
		} {
			require.ErrorContains(t, c.err, c.says)
		}
		time.Sleep(20 * time.Minute)
		d.touches(t)
		require.ErrorContains(t, extend("alice", first.ID, two(terms), 0), "is ended: ask anew")
	})
}

// TestExtendIsTakenBack: an extension ends with what it extends when that is taken back, also elsewhere and after a restart, and is not
// approved any more; the sessions by it are told why.
func TestExtendIsTakenBack(t *testing.T) {
	for name, back := range map[string]func(d *desk, r *Request) error{
		"revoked":   steps[3].do,
		"withdrawn": steps[4].do,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := store.NewMemory()
				one, two := openDesk(t, s, everybody()), openDesk(t, s, everybody())
				approve := func(r *Request) *Request {
					got, err := one.Approve(t.Context(), r.ID, one.vote(r, "olga"), Narrow{})
					require.NoError(t, err)
					return got
				}
				extend := func(r *Request) *Request {
					got, err := one.Extend(t.Context(), one.people.ids["alice"], r.ID, terms, time.Hour, "INC-2", "")
					require.NoError(t, err)
					return got
				}
				first := approve(one.asks(t, terms, nil))
				second := approve(extend(first))
				third := approve(extend(second))
				waits := extend(third)
				require.Equal(t, third.ID, one.granted("prod"))
				var mu sync.Mutex
				told := make(map[string]string)
				defer one.Watch("alice", func(id, why string) {
					mu.Lock()
					defer mu.Unlock()
					told[id] = why
				})()
				require.NoError(t, back(two, first))
				require.NoError(t, one.Follow(t.Context(), first.ID))
				require.Empty(t, one.granted("prod"), "at once")
				if name == "revoked" {
					require.Contains(t, told[third.ID], "was revoked by otto: because")
				}
				_, err := one.Approve(t.Context(), waits.ID, one.vote(waits, "olga"), Narrow{})
				require.ErrorContains(t, err, "which this one extends, is ")
				late := openDesk(t, s, everybody())
				require.Empty(t, late.granted("prod"))
				for range 3 { // one after the other
					late.settle(t.Context())
				}
				for id, want := range map[string]State{second.ID: Revoked, third.ID: Revoked, waits.ID: Cancelled} {
					got, err := late.Get(t.Context(), id)
					require.NoError(t, err)
					require.Equal(t, want, got.State)
					require.Contains(t, got.Reason, "which it extends, was taken back")
				}
			})
		})
	}
}

// TestExtendRace: an extension that is approved as what it extends is taken back grants nothing.
func TestExtendRace(t *testing.T) {
	for range 100 {
		s := store.NewMemory()
		one, two := openDesk(t, s, everybody()), openDesk(t, s, everybody())
		first := one.asks(t, terms, nil)
		_, err := one.Approve(t.Context(), first.ID, one.vote(first, "olga"), Narrow{})
		require.NoError(t, err)
		r, err := one.Extend(t.Context(), one.people.ids["alice"], first.ID, terms, time.Hour, "INC-2", "")
		require.NoError(t, err)
		var wg sync.WaitGroup
		var approved error
		wg.Go(func() { _, approved = one.Approve(t.Context(), r.ID, one.vote(r, "olga"), Narrow{}) })
		wg.Go(func() { _, err = two.Revoke(t.Context(), first.ID, two.vote(first, "otto"), false) })
		wg.Wait()
		require.NoError(t, err)
		require.NoError(t, one.Follow(t.Context(), first.ID))
		require.Empty(t, one.granted("prod"))
		one.settle(t.Context())
		one.settle(t.Context())
		got, err := one.Get(t.Context(), r.ID)
		require.NoError(t, err)
		require.True(t, got.over())
		require.Equal(t, approved == nil, got.State == Revoked)
	}
}

// TestExtendDamaged: requests that extend each other in a circle, as no desk makes them, keep nobody from anything.
func TestExtendDamaged(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	for _, id := range []string{"a", "b"} {
		r := Request{ID: id, State: Approved, Requester: "alice", Resource: "vm1", Access: &Access{Rule: "prod", Extends: "a", Grant: &Grant{From: time.Now(), Until: time.Now().Add(time.Hour)}}}
		if id == "a" {
			r.Access.Extends = "b"
		}
		d.see(&r, 1)
	}
	require.NotEmpty(t, d.granted("prod"))
	gone := Request{ID: "a", State: Revoked, Requester: "alice", Access: &Access{Extends: "b", Grant: &Grant{}}}
	d.see(&gone, 2)
	require.Empty(t, d.granted("prod"))
}
