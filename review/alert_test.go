package review_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/store"
)

// TestOutboxAlerts: an alert is kept and sent as what becomes of a request is, and goes to the channels that it names, whatever they want otherwise.
func TestOutboxAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &told{do: fails}, &told{}
		never := func(*review.Notice) bool { return false }
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: a, Wants: never}, review.Channel{Name: "b", Notifier: b})
		n := reviewtest.Alert("n1")
		n.To = []string{"a"}
		n.At = time.Now()
		ws, err := p.Writes(n)
		require.NoError(t, err)
		require.Len(t, ws, 1)
		_, err = p.Store.Write(t.Context(), ws...)
		require.NoError(t, err)
		p.run()
		time.Sleep(time.Minute)
		require.Empty(t, a.has())
		require.Equal(t, 1, p.status("a").Waiting)
		require.Equal(t, "it is broken", p.status("a").Failure.Error) // a dead channel is seen
		time.Sleep(4 * 24 * time.Hour)
		dead, err := p.DeadLetters(t.Context(), "a")
		require.NoError(t, err)
		require.Len(t, dead, 1)
		require.Equal(t, "alert/many-refusals/n1", dead[0].Request)
		require.Equal(t, review.Fired, dead[0].Event)
		var got *review.Notice
		a.answers(func(_ context.Context, of *review.Notice) error { got = of; return nil })
		_, err = p.Again(t.Context(), "a", "n1")
		require.NoError(t, err)
		time.Sleep(time.Hour)
		p.stop()
		require.Equal(t, []string{"alert/many-refusals/n1 fired"}, a.has())
		require.Equal(t, n.Alert, got.Alert)
		require.Empty(t, b.has())
	})
}

// TestOutboxAlertFlood: a rule that fires without an end takes no place from requests.
func TestOutboxAlertFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &told{do: func(context.Context, *review.Notice) error { return errors.New("not yet") }}
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: a})
		p.write("r1 asked", "r1 approved")
		p.run()
		for i := range review.MaxWaiting + 20 {
			n := reviewtest.Alert(fmt.Sprintf("n%05d", i))
			n.At = time.Now()
			ws, err := p.Writes(n)
			require.NoError(t, err)
			_, err = p.Store.Write(t.Context(), ws...)
			require.NoError(t, err)
		}
		time.Sleep(5 * time.Minute)
		a.answers(nil)
		time.Sleep(48 * time.Hour)
		p.stop()
		require.Contains(t, a.has(), "r1 asked")
		require.Contains(t, a.has(), "r1 approved")
		require.LessOrEqual(t, len(a.has()), review.MaxWaiting)
	})
}

// TestAlertText: what people read of an alert names who and where, on one line each, and nothing that could be taken for another line.
func TestAlertText(t *testing.T) {
	n := reviewtest.Alert("n")
	require.Equal(t, "ALERT many-refusals: 5 events within 10m, the latest operation.refused of alice at orders", n.Headline())
	require.Equal(t, "alert", n.Sort())
	require.Contains(t, n.Facts(false), review.Fact{Name: "message", Value: "somebody tries what she may not", Written: true})
	n.Alert.User, n.Alert.Message, n.Alert.Count = "eve\r\nat orders", "one\ntwo", 1
	require.Equal(t, "ALERT many-refusals: operation.refused of eve␍ at orders at orders", n.Headline())
	for _, f := range n.Facts(true) {
		require.NotContains(t, f.Value, "\n")
	}
}
