package prose

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/maskdata"
)

var types = [...]string{Person: "PERSON", Place: "LOCATION", Company: "ORGANIZATION", Street: "STREET_ADDRESS"}

func find(text string) (spans []maskdata.Span) {
	var t Tagger
	for _, n := range Default().Find(nil, &t, []byte(text), nil) {
		spans = append(spans, maskdata.Span{Start: n.Start, End: n.End, Type: types[n.Kind]})
	}
	return spans
}

// TestQuality scores names and sentences that are not in what was learned.
func TestQuality(t *testing.T) {
	m := maskdata.New(11)
	var score maskdata.Score
	for range 5000 {
		s := m.Prose()
		score.Add(s, find(s.Text), func(want, got string) bool { return want == got })
	}
	t.Log("\n" + score.String())
	p := score.Types["PERSON"]
	require.GreaterOrEqual(t, p.F2(), 0.85)
	require.GreaterOrEqual(t, p.Precision(), 0.85)
	require.GreaterOrEqual(t, score.Types["STREET_ADDRESS"].Recall(), 0.9)
}
