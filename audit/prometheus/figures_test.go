package prometheus

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestFigures: sums over resources, and bounds that so many operations of a protocol were not above.
func TestFigures(t *testing.T) {
	m := &Metrics{}
	require.Equal(t, Figures{}, m.Figures())
	a, b := m.of(resource{"postgres", "a"}), m.of(resource{"postgres", "b"})
	a.opened.Add(3)
	a.closed.Add(1)
	b.opened.Add(1)
	for range 94 {
		a.judged.add(judgedBounds[:], 20*time.Microsecond)
	}
	for range 4 {
		b.judged.add(judgedBounds[:], 3*time.Millisecond)
	}
	b.judged.add(judgedBounds[:], time.Minute)
	b.judged.add(judgedBounds[:], time.Minute)
	a.done(&proxy.Outcome{})
	b.done(&proxy.Outcome{Verdict: &proxy.Verdict{Action: proxy.ActionDeny}})
	m.of(resource{"ssh", "c"}) // nothing was decided there
	m.note(&proxy.Note{Kind: proxy.NoteMasked, Type: "EMAIL_ADDRESS", Count: 3})
	m.note(&proxy.Note{Kind: proxy.NoteMasked, Type: "CREDIT_CARD", Count: 5})
	require.Equal(t, Figures{
		Open: 3, Decisions: Decisions{Allowed: 1, Denied: 1},
		Added:  []Added{{"postgres", 100, 25 * time.Microsecond, 5 * time.Millisecond, 0}},
		Masked: []Masked{{"CREDIT_CARD", 5}, {"EMAIL_ADDRESS", 3}},
	}, m.Figures())
}
