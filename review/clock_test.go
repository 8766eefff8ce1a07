package review

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/teststore"
	"github.com/sallyport/sallyport/store"
)

// TestClockIsSet: what was granted lasts no longer than it was granted for when the store's clock is set back, at any gateway that knew of
// it; and nothing that has ended counts again. Where the clock is set forward it ends early.
func TestClockIsSet(t *testing.T) {
	const skew = 5 * time.Minute
	for _, ahead := range []time.Duration{-skew, skew} {
		synctest.Test(t, func(t *testing.T) {
			s := &teststore.Clocked{Store: store.NewMemory()}
			one, two := openDesk(t, s, everybody()), openDesk(t, s, everybody())
			go one.Run(t.Context())
			go two.Run(t.Context())
			r := one.asks(t, terms, nil)
			_, err := one.Approve(t.Context(), r.ID, one.vote(r, "olga"), Narrow{})
			require.NoError(t, err)
			began := time.Now()
			require.NoError(t, two.Follow(t.Context(), r.ID))
			time.Sleep(30 * time.Minute)
			s.Set(ahead)
			time.Sleep(touchEvery + every)
			for _, d := range []*desk{one, two} {
				_, g, _, ok := d.Granted(d.people.ids["alice"], vm, "prod")
				require.True(t, ok)
				require.False(t, g.Until.After(began.Add(time.Hour+time.Second)), "it ends at %s, which is %s after it began", g.Until, g.Until.Sub(began))
			}
			time.Sleep(time.Until(began.Add(time.Hour + 2*every)))
			require.Empty(t, one.granted("prod"))
			require.Empty(t, two.granted("prod"))
			s.Set(-2 * skew)
			time.Sleep(touchEvery + every)
			require.Empty(t, one.granted("prod"), "nor is it revived")
			require.Empty(t, two.granted("prod"), "nor is it revived")
		})
	}
}
