package prose

import (
	"encoding/binary"
	"math/rand/v2"
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
	require.GreaterOrEqual(t, p.F2(), 0.9)
	require.GreaterOrEqual(t, p.Precision(), 0.92)
	require.GreaterOrEqual(t, score.Types["STREET_ADDRESS"].Recall(), 0.9)
}

// TestEightBytesAtATime compares what is said of eight bytes with what is said of
// each.
func TestEightBytesAtATime(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		line := make([]byte, r.IntN(40))
		n := 0
		for i := range line {
			if line[i] = "aZ @[`{/:A z"[r.IntN(12)]; r.IntN(3) == 0 {
				line[i] = byte(r.Uint32())
			}
			if letter(line[i]) || line[i] == ' ' {
				n++
			}
		}
		require.Equal(t, n, lettersIn(line), "%q", line)
		if len(line) >= 8 {
			m := capitals(binary.LittleEndian.Uint64(line))
			for i := range 8 {
				c := line[i]
				require.Equal(t, c >= 'A' && c <= 'Z' || c >= 0xC0, m>>(8*i+7)&1 == 1, "%q at %d", line, i)
			}
		}
	}
}
