package review_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// standingHold asks for n runs within d.
func standingHold(n int, d time.Duration) *proxy.Hold {
	h := *ops
	h.Standing = &proxy.Standing{Runs: n, For: d, Scope: `{"values":"confidential-scope"}`}
	return &h
}

// under asks for what the request lets run.
func under(request string) *proxy.Hold {
	h := *ops
	h.Under = request
	return &h
}

// given has somebody given a standing approval, and returns its request.
func (d *desk) given(t *testing.T, n int, length time.Duration) review.Request {
	t.Helper()
	r, verdict := d.asking(t, d.session(t, standingHold(n, length)), del("delete from a where id = 1 -- and the like"))
	require.NoError(t, d.approve(r))
	v := <-verdict
	require.False(t, v.Refuses(), v.Reason)
	require.Contains(t, v.Grant, r.ID)
	got, err := d.Get(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, review.Approved, got.State, "it stays")
	return *got
}

// waits reports that an operation is not approved by itself: it waits for people.
func (d *desk) waits(t *testing.T, h *proxy.Hold) {
	t.Helper()
	s, verdict := d.session(t, h), make(chan *proxy.Verdict, 1)
	go func() { verdict <- s.Ask(s.Context(), del("delete from b")) }()
	var r review.Request
	require.Eventually(t, func() bool {
		for _, one := range d.List() {
			if one.State == review.Pending {
				r = one
			}
		}
		return r.ID != ""
	}, 5*time.Second, time.Millisecond)
	require.Empty(t, r.Under)
	require.NoError(t, d.deny(r, "no"))
	require.True(t, (<-verdict).Refuses())
}

// A standing approval lets so many operations of the same user run, each with a signed grant of its own, and no more.
func TestStanding(t *testing.T) {
	d := newDesk(t)
	by := d.given(t, 2, time.Hour)
	for i := range 2 {
		v := d.session(t, under(by.ID)).Ask(t.Context(), del("delete from b"))
		require.False(t, v.Refuses(), v.Reason)
		require.NotContains(t, v.Grant, by.ID, "it has a request of its own")
		require.Contains(t, v.Grant, " by bob")
		now, err := d.Get(t.Context(), by.ID)
		require.NoError(t, err)
		require.Len(t, now.Standing.Used, i+1)
		own, err := d.Get(t.Context(), now.Standing.Used[i].Request)
		require.NoError(t, err)
		require.Equal(t, review.Used, own.State)
		require.Equal(t, by.ID, own.Under)
		require.Equal(t, review.ChannelStanding, own.Channel)
	}
	now, err := d.Get(t.Context(), by.ID)
	require.NoError(t, err)
	require.Equal(t, review.Ended, now.State)
	d.waits(t, under(by.ID))
	require.Equal(t, "pending approved opened approved used ended approved used pending denied", d.told())
	require.Empty(t, d.StandingOf(person("alice")))
}

// Many at once use it as often as it may be, and not more.
func TestStandingAtOnce(t *testing.T) {
	d := newDesk(t)
	by := d.given(t, 3, time.Hour)
	var wg sync.WaitGroup
	var mu sync.Mutex
	through := 0
	for range 8 {
		s := d.session(t, under(by.ID))
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if v := s.Ask(ctx, del("delete from b")); !v.Refuses() {
				mu.Lock()
				defer mu.Unlock()
				through++
			}
		})
	}
	require.Eventually(t, func() bool {
		for _, r := range d.List() {
			if r.State == review.Pending {
				_ = d.deny(r, "no") // it may be denied already
			}
		}
		mu.Lock()
		defer mu.Unlock()
		return through == 3
	}, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool {
		for _, r := range d.List() {
			_ = d.deny(r, "no")
		}
		return len(d.List()) == 0
	}, 10*time.Second, time.Millisecond)
	wg.Wait()
	require.Equal(t, 3, through)
}

// What ends a standing approval ends it at once: people decide then.
func TestStandingEnds(t *testing.T) {
	for name, end := range map[string]func(d *desk, r review.Request) error{
		"revoked": func(d *desk, r review.Request) error {
			_, err := d.Revoke(context.Background(), r.ID, review.Vote{By: person("bob", "ops"), Reason: "enough"}, false)
			return err
		},
		"given back": func(d *desk, r review.Request) error {
			_, err := d.Cancel(context.Background(), r.ID, &proxy.Identity{Subject: r.Requester})
			return err
		},
		"its approver is not one any more": func(d *desk, _ review.Request) error {
			d.Who = func(context.Context, string) (*proxy.Identity, error) { return person("bob"), nil }
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			by := d.given(t, 5, time.Hour)
			require.NoError(t, end(d, by))
			d.waits(t, under(by.ID))
			now, err := d.Get(t.Context(), by.ID)
			require.NoError(t, err)
			require.NotEqual(t, review.Approved, now.State)
			require.Empty(t, now.Standing.Used)
		})
	}
}

// It is for one user at one place by the same approvers, and for what people have approved as standing.
func TestStandingIsOfOne(t *testing.T) {
	d := newDesk(t)
	by := d.given(t, 5, time.Hour)
	others := under(by.ID)
	others.Approvers = [][]string{{"security"}}
	r, verdict := d.asking(t, d.session(t, others), del("delete from b"))
	require.Equal(t, review.Pending, r.State)
	_, err := d.Cancel(t.Context(), r.ID, &proxy.Identity{Subject: r.Requester})
	require.NoError(t, err)
	require.True(t, (<-verdict).Refuses())

	plain, verdict := d.asking(t, d.session(t, ops), del("delete from c"))
	require.NoError(t, d.approve(plain))
	require.False(t, (<-verdict).Refuses())
	for _, id := range []string{plain.ID, "nothing", "../x"} {
		d.waits(t, under(id))
	}
	now, err := d.Get(t.Context(), by.ID)
	require.NoError(t, err)
	require.Empty(t, now.Standing.Used)

	for _, bad := range []proxy.Standing{{Runs: 0, For: time.Hour}, {Runs: review.MaxUses + 1, For: time.Hour}, {Runs: 1, For: time.Second}, {Runs: 1, For: review.MaxStanding + time.Hour}} {
		h := *ops
		h.Standing = &bad
		require.True(t, d.session(t, &h).Ask(t.Context(), del("delete from d")).Refuses())
	}
}

// Two rules that hold an operation are two approvals: who has given a standing one has not seen the other's.
func TestStandingNeedsAll(t *testing.T) {
	d := newDesk(t)
	by := d.given(t, 5, time.Hour)
	other := *ops
	other.Rules = []string{"another"}
	s, err := proxytest.Open(&proxy.Gateway{Reviewer: d}, d, holder{under(by.ID)}, holder{&other})
	require.NoError(t, err)
	defer s.Close(nil)
	r, verdict := d.asking(t, s, del("delete from b"))
	require.Equal(t, review.Pending, r.State)
	require.NoError(t, d.approve(r))
	require.False(t, (<-verdict).Refuses())
	now, err := d.Get(t.Context(), by.ID)
	require.NoError(t, err)
	require.Empty(t, now.Standing.Used)
}

// Who writes into the store makes no standing approval of another one, and more runs of none; the scope is sealed there.
func TestStandingIsForged(t *testing.T) {
	st := store.NewMemory()
	d := newDeskAt(t, st)
	by := d.given(t, 2, time.Hour)
	for _, change := range [][2]string{{`"runs":2`, `"runs":9`}, {`confidential-scope`, `anything-at-allxxx`}} {
		doc, err := st.Get(t.Context(), review.KindRequest, by.ID)
		require.NoError(t, err)
		was := bytes.Clone(doc.Body)
		doc.Body = bytes.Replace(doc.Body, []byte(change[0]), []byte(change[1]), 1)
		require.NotEqual(t, was, doc.Body)
		_, err = st.Write(t.Context(), store.Replace(doc))
		require.NoError(t, err)
		v := d.session(t, under(by.ID)).Ask(t.Context(), del("delete from b"))
		require.True(t, v.Refuses())
		doc, err = st.Get(t.Context(), review.KindRequest, by.ID)
		require.NoError(t, err)
		doc.Body = was
		_, err = st.Write(t.Context(), store.Replace(doc))
		require.NoError(t, err)
	}
	require.False(t, d.session(t, under(by.ID)).Ask(t.Context(), del("delete from b")).Refuses())
}

// While she has access to the resource without an approval, people decide about everything.
func TestStandingNotWithBreakGlass(t *testing.T) {
	d := newDesk(t)
	by := d.given(t, 5, time.Hour)
	who := proxytest.Identity
	who.AuthTime = time.Now()
	glass, err := d.Break(t.Context(), &who, review.Ask{Resource: by.Resource, Reason: "the database is down", Remote: "10.0.0.1", Terms: review.Terms{
		Rule: "emergency", Actions: []string{"connect"}, Stages: []review.Stage{{Approvers: []string{"ops"}, Need: 1}}, For: time.Hour, Max: time.Hour, Decide: time.Hour, BreakGlass: time.Hour,
	}}, "oidc (pwd mfa)")
	require.NoError(t, err)
	d.waits(t, under(by.ID))
	_, err = d.Revoke(t.Context(), glass.ID, review.Vote{By: person("bob", "ops"), Reason: "over"}, false)
	require.NoError(t, err)
	require.False(t, d.session(t, under(by.ID)).Ask(t.Context(), del("delete from b")).Refuses(), "it counts again")
}
