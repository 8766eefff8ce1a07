package hours

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestUntilIsWhenItChanges(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	days, err := ParseDays([]string{"fri-sun"})
	require.NoError(t, err)
	for name, h := range map[string]Hours{
		"in the day":               {From: 9 * 60, To: 17 * 60, Zone: berlin},
		"over midnight":            {Days: days, From: 22 * 60, To: 6 * 60, Zone: berlin},
		"whole days":               {Days: days, Zone: berlin},
		"to midnight":              {From: 12 * 60, To: 24 * 60, Zone: berlin},
		"in the hour that is lost": {From: 2*60 + 15, To: 2*60 + 45, Zone: berlin},
		"in UTC":                   {Days: days, From: 60, To: 120},
	} {
		t.Run(name, func(t *testing.T) {
			for _, around := range []string{"2026-03-27T00:00:00Z", "2026-10-23T00:00:00Z", "2026-11-27T00:00:00Z"} { // clocks are put forward, and back
				begin, err := time.Parse(time.RFC3339, around)
				require.NoError(t, err)
				changes := 0
				for at := begin; at.Before(begin.AddDate(0, 0, 4)); {
					until := h.Until(at)
					require.True(t, until.After(at), at)
					for ; at.Before(until); at = at.Add(time.Minute) {
						require.Equal(t, h.Contains(at), h.Contains(until.Add(-time.Nanosecond)), at)
					}
					at = until
					changes++
				}
				require.LessOrEqual(t, changes, 16) // it is not polled
			}
		})
	}
}

func TestString(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	for want, h := range map[string]Hours{
		"mon-fri 09:00-17:30 Europe/Berlin": {Days: 0b0111110, From: 540, To: 1050, Zone: berlin},
		"sat,sun UTC":                       {Days: 0b1000001},
		"tue,thu-sat UTC":                   {Days: 0b1110100},
		"22:00-06:00 UTC":                   {From: 22 * 60, To: 360},
	} {
		require.Equal(t, want, h.String())
	}
}
