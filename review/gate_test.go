package review_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// gated is a desk with a gate that grants alice access for an hour and has deletions approved.
func gated(t *testing.T, change func(*review.Gate)) (*review.Desk, func() (*proxy.Session, error)) {
	t.Helper()
	d := &review.Desk{Store: store.NewMemory(), Note: func(context.Context, *proxy.Note) error { return nil }}
	require.NoError(t, d.Load(t.Context()))
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go d.Run(ctx)
	g := &review.Gate{
		Desk: d,
		Access: func(*proxy.Identity, proxy.Target) (review.Terms, bool) {
			return review.Terms{
				Rule: "night", Actions: []string{"connect"}, Stages: []review.Stage{{Approvers: []string{"ops"}, Need: 1}},
				For: time.Hour, Max: time.Hour, Decide: time.Hour,
			}, true
		},
		Operation: func(_ *proxy.Session, op proxy.Op) *proxy.Hold {
			if st, ok := op.(*proxy.Statement); !ok || st.Facts.Effects&proxy.EffectDelete == 0 {
				return nil
			}
			return &proxy.Hold{Rules: []string{"deletes"}, Approvers: [][]string{{"ops"}}, Message: "deletes are looked at", For: time.Minute}
		},
	}
	if change != nil {
		change(g)
	}
	return d, func() (*proxy.Session, error) { return proxytest.Open(&proxy.Gateway{Reviewer: g}, g) }
}

var olga = &proxy.Identity{Subject: "olga", Groups: []string{"ops"}}

// decides approves the one request that waits, once there is one.
func decides(t *testing.T, d *review.Desk) *review.Request {
	t.Helper()
	for {
		for _, r := range d.List() {
			if r.State == review.Pending {
				got, err := d.Approve(t.Context(), r.ID, review.Vote{By: olga, Hash: r.Hash, Channel: "test"}, review.Narrow{})
				require.NoError(t, err)
				return got
			}
		}
		time.Sleep(time.Second)
	}
}

// TestGate: who connects without a grant is told of her request, is let in by the grant, and is sent away when it is over.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, open := gated(t, nil)
		_, err := open()
		require.ErrorContains(t, err, "waits for an approval of ops; connect again when it is approved")
		_, err = open()
		require.ErrorContains(t, err, "waits for an approval")
		require.Len(t, d.List(), 1, "connecting again asks for the same")

		r := decides(t, d)
		s, err := open()
		require.NoError(t, err)
		op := proxytest.Statement("SELECT 1", proxy.EffectRead)
		v := s.Ask(t.Context(), op)
		require.False(t, v.Refuses(), v)
		s.Done(op, &proxy.Outcome{})
		time.Sleep(time.Until(r.Access.Grant.Until) - time.Minute)
		require.NoError(t, s.Err())
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.ErrorContains(t, s.Err(), "the time is over that request "+r.ID+" has granted")
		s.Close(nil)

		_, err = open()
		require.ErrorContains(t, err, "waits for an approval")
		r = decides(t, d)
		s, err = open()
		require.NoError(t, err)
		_, err = d.Revoke(t.Context(), r.ID, review.Vote{By: olga, Reason: "an incident", Channel: "test"}, false)
		require.NoError(t, err)
		synctest.Wait()
		require.ErrorContains(t, s.Err(), "was revoked by olga: an incident")
		s.Close(nil)

		_, err = open()
		require.ErrorContains(t, err, "waits for an approval")
		denied := d.List()[0]
		_, err = d.Deny(t.Context(), denied.ID, review.Vote{By: olga, Hash: denied.Hash, Reason: "not today", Channel: "test"})
		require.NoError(t, err)
		_, err = open()
		require.ErrorContains(t, err, "olga denied request "+denied.ID+": not today")
	})
}

// TestGateWaits: a client waits for its grant, and goes on by another one when there is one.
func TestGateWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, open := gated(t, func(g *review.Gate) { g.Wait = time.Minute })
		_, err := open()
		require.ErrorContains(t, err, "waits for an approval still")
		go decides(t, d)
		s, err := open()
		require.NoError(t, err)
		defer s.Close(nil)

		held := proxytest.Statement("DELETE FROM orders", proxy.EffectDelete)
		go decides(t, d)
		v := s.Ask(t.Context(), held)
		require.Equal(t, proxy.ActionAllow, v.Action)
		require.Contains(t, v.Grant, "by olga")
		s.Done(held, &proxy.Outcome{})
	})
}

// TestGateAfterADenial: of what somebody has asked for, the latest says what becomes of her when she connects: a denial, or what she has
// asked for since, on whatever terms.
func TestGateAfterADenial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var terms review.Terms
		d, open := gated(t, func(g *review.Gate) { terms, _ = g.Access(nil, proxy.Target{}) })
		deny := func(id string) {
			t.Helper()
			r, err := d.Get(t.Context(), id)
			require.NoError(t, err)
			_, err = d.Deny(t.Context(), id, review.Vote{By: olga, Hash: r.Hash, Reason: "not " + id, Channel: "test"})
			require.NoError(t, err)
			time.Sleep(time.Second)
		}
		asks := func(length, ahead time.Duration) string {
			t.Helper()
			r, err := d.Ask(t.Context(), &proxy.Identity{Subject: "alice"}, review.Ask{Resource: "shop", Terms: terms, For: length, From: time.Now().Add(ahead), Reason: "INC-1"})
			require.NoError(t, err)
			time.Sleep(time.Second)
			return r.ID
		}
		first := asks(20*time.Minute, 0)
		deny(first)
		_, err := open()
		require.ErrorContains(t, err, "olga denied request "+first)

		second := asks(10*time.Minute, 0)
		_, err = open()
		require.ErrorContains(t, err, "request "+second+" for connect at shop for 10m0s", "what was asked for since waits")
		require.Len(t, d.List(), 1, "connecting asks for nothing further")
		deny(second)
		for range 5 { // whatever order it is looked at
			_, err = open()
			require.ErrorContains(t, err, "olga denied request "+second+": not "+second, "the latest denial is told")
		}

		third := asks(15*time.Minute, 0)
		decides(t, d)
		s, err := open()
		require.NoError(t, err)
		s.Close(nil)
		time.Sleep(time.Second)
		_, err = d.Revoke(t.Context(), third, review.Vote{By: olga, Reason: "enough", Channel: "test"}, false)
		require.NoError(t, err)
		_, err = open()
		require.ErrorContains(t, err, "waits for an approval", "a denial of before what was granted is over")
		_, err = d.Cancel(t.Context(), d.List()[0].ID, &proxy.Identity{Subject: "alice"})
		require.NoError(t, err)

		later := asks(time.Hour, time.Hour)
		_, err = open()
		require.ErrorContains(t, err, "waits for an approval")
		require.NotContains(t, err.Error(), later, "what begins later lets nobody in now")
		require.Len(t, d.List(), 2)
	})
}

// TestGateCountsNoRows: a gate, which counts no rows, lets nobody in by what another program on the store has granted with a bound of them.
func TestGateCountsNoRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, open := gated(t, nil)
		_, err := open()
		require.Error(t, err)
		r := d.List()[0]
		vote := review.Vote{By: olga, Hash: r.Hash, Channel: "test"}
		_, err = d.Approve(t.Context(), r.ID, vote, review.Narrow{Rows: 5})
		require.ErrorContains(t, err, "nobody counts rows at shop")
		d.CountsRows = func(string) bool { return true } // as of the other program
		_, err = d.Approve(t.Context(), r.ID, vote, review.Narrow{Rows: 5})
		require.NoError(t, err)
		_, err = open()
		require.ErrorContains(t, err, "request "+r.ID+" grants at most 5 rows, and nobody counts them here")
	})
}

// TestGateFree: a gate that asks for nothing passes everything, and a session that needs a grant no more is left alone.
func TestGateFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := false
		d, open := gated(t, func(g *review.Gate) {
			terms := g.Access
			g.Access = func(who *proxy.Identity, at proxy.Target) (review.Terms, bool) {
				out, _ := terms(who, at)
				return out, !free
			}
		})
		_, err := open()
		require.Error(t, err)
		r := decides(t, d)
		s, err := open()
		require.NoError(t, err)
		defer s.Close(nil)
		free = true
		_, err = d.Revoke(t.Context(), r.ID, review.Vote{By: olga, Reason: "an incident", Channel: "test"}, false)
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, s.Err())
		_, open = gated(t, func(g *review.Gate) { g.Access, g.Operation = nil, nil })
		s, err = open()
		require.NoError(t, err)
		defer s.Close(nil)
		op := proxytest.Statement("DELETE FROM orders", proxy.EffectDelete)
		v := s.Ask(t.Context(), op)
		require.False(t, v.Refuses(), v)
		s.Done(op, &proxy.Outcome{})
	})
}

// TestGateInterceptor: a gate keeps the contract of interceptors.
func TestGateInterceptor(t *testing.T) {
	proxytest.TestInterceptor(t, func(t *testing.T) proxy.Interceptor {
		d := &review.Desk{Store: store.NewMemory(), Note: func(context.Context, *proxy.Note) error { return nil }}
		require.NoError(t, d.Load(t.Context()))
		return &review.Gate{Desk: d, Access: func(*proxy.Identity, proxy.Target) (review.Terms, bool) { return review.Terms{}, false }}
	})
}

// TestGateBounds: a gate lets in as many sessions as were granted, and at once where its terms grant by themselves.
func TestGateBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, open := gated(t, func(g *review.Gate) {
			terms := g.Access
			g.Access = func(who *proxy.Identity, at proxy.Target) (review.Terms, bool) {
				out, ok := terms(who, at)
				out.Uses, out.Auto = 1, &review.Auto{Applies: func(_ *proxy.Identity, _ string, _ time.Time) bool { return time.Now().Minute() == 0 }}
				return out, ok
			}
		})
		s, err := open()
		require.NoError(t, err, "the rule grants it at this minute")
		require.Equal(t, []string{s.ID}, d.List()[0].Access.Opened)
		time.Sleep(2 * time.Minute)
		_, err = open()
		require.ErrorContains(t, err, "waits for an approval of ops")
		require.NoError(t, s.Err())
		decides(t, d)
		second, err := open()
		require.NoError(t, err)
		_, err = open()
		require.ErrorContains(t, err, "waits for an approval of ops")
		for _, s := range []*proxy.Session{s, second} {
			require.NoError(t, s.Err())
			s.Close(nil)
		}
		synctest.Wait()
	})
}
