package review

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/store"
)

// TestEscalate: what nobody has decided about for a share of the time is told again, and further people approve it, once, whatever
// gateways there are; what was seen before still counts.
func TestEscalate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		one, two := openDesk(t, s, everybody()), openDesk(t, s, everybody())
		one.Told = func(n *Notice) ([]store.Write, error) { // both may try to; one is kept
			return []store.Write{store.Create(store.Document{Kind: "told", Name: n.ID, Body: []byte(strconv.Quote(n.Event + " " + n.Headline()))})}, nil
		}
		two.Told = one.Told
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		waits := terms
		waits.Decide = time.Hour
		waits.Escalate = []Escalation{{After: 80, Approvers: []string{"user:eve"}}, {After: 50, Approvers: []string{"security"}}}
		r := one.asks(t, waits, nil)
		require.NoError(t, two.Follow(ctx, r.ID))
		require.Contains(t, r.Lines(), "further     from "+r.Created.Add(30*time.Minute).Format(time.RFC3339)+" on security, too\n")
		for _, d := range []*desk{one, two} {
			go d.Run(ctx)
		}
		time.Sleep(29 * time.Minute)
		_, err := one.Approve(ctx, r.ID, one.vote(r, "sven"), Narrow{})
		require.ErrorIs(t, err, ErrIneligible, "it is not time yet")
		require.False(t, r.ApproverOf(one.people.ids["sven"]))
		time.Sleep(time.Minute + 2*time.Second)
		now, err := two.Get(ctx, r.ID)
		require.NoError(t, err)
		require.Equal(t, 1, now.Access.Escalated)
		require.Equal(t, [][]string{{"ops", "security"}}, now.Approvers)
		require.Equal(t, r.Hash, now.Hash, "it is what was asked for")
		require.True(t, now.ApproverOf(one.people.ids["sven"]))
		require.Contains(t, now.Lines(), "further     since ")
		var told []string
		for doc, err := range store.All(ctx, s, "told", "") {
			require.NoError(t, err)
			told = append(told, string(doc.Body))
		}
		slices.Sort(told)
		require.Equal(t, []string{`"asked alice asks for access to vm1"`, `"escalated the request of alice for access to vm1 waits still, and others may decide, too"`}, told, "once")
		_, err = one.Approve(ctx, r.ID, one.vote(r, "eve"), Narrow{})
		require.ErrorIs(t, err, ErrIneligible)
		got, err := one.Approve(ctx, r.ID, one.vote(r, "sven"), Narrow{})
		require.NoError(t, err)
		require.Equal(t, Approved, got.State)
		stop()
		synctest.Wait()
	})
}

// TestEscalateLate: a gateway that was down has everybody approve whose time has come, at once; what is over is not escalated.
func TestEscalateLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		waits := two(terms)
		waits.Escalate = []Escalation{{After: 50, Approvers: []string{"security"}}, {After: 60, Approvers: []string{"user:eve", "ops"}}}
		one := openDesk(t, s, everybody())
		r := one.asks(t, waits, nil)
		denied := one.asks(t, waits, func(a *Ask) { a.For = time.Minute })
		_, err := one.Deny(t.Context(), denied.ID, one.vote(denied, "olga"))
		require.NoError(t, err)
		time.Sleep(6 * time.Hour)
		late := openDesk(t, s, everybody())
		late.settle(t.Context())
		now, err := late.Get(t.Context(), r.ID)
		require.NoError(t, err)
		require.Equal(t, []string{"ops", "security", "user:eve"}, now.Access.Approvers(0))
		require.Equal(t, []string{"security", "user:eve", "ops"}, now.Access.Approvers(1))
		require.Equal(t, []string{"escalated "}, late.notes)
		// Each is one vote still, in the stage that waits.
		for i, by := range []string{"eve", "sven", "both"} {
			got, err := late.Approve(t.Context(), r.ID, late.vote(now, by), Narrow{})
			require.NoError(t, err)
			require.Equal(t, i == 2, got.State == Approved)
		}
		_, err = late.Get(t.Context(), denied.ID)
		require.NoError(t, err)

		// What cannot be recorded makes nobody an approver.
		r = late.asks(t, waits, nil)
		time.Sleep(5 * time.Hour)
		late.touches(t)
		late.fails = errFull
		late.settle(t.Context())
		late.fails = nil
		now, err = late.Get(t.Context(), r.ID)
		require.NoError(t, err)
		require.Zero(t, now.Access.Escalated)
	})
}
