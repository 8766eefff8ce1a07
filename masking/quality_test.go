package masking

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/maskdata"
)

// scanned returns what the default set finds in text.
func scanned(text string) (spans []maskdata.Span) {
	for _, f := range Default().Scan(nil, []byte(text)) {
		spans = append(spans, maskdata.Span{Start: f.Start, End: f.End, Type: string(f.Type)})
	}
	return spans
}

func TestQualityStructured(t *testing.T) {
	m := maskdata.New(1)
	var score maskdata.Score
	for range 20000 {
		s := m.Structured()
		score.Add(s, scanned(s.Text), nil)
	}
	t.Log("\n" + score.String())
	require.GreaterOrEqual(t, score.All.Recall(), 0.99)
	require.GreaterOrEqual(t, score.All.Precision(), 0.97)
	require.LessOrEqual(t, score.All.Leak(), 0.005)
}

func TestQualitySecrets(t *testing.T) {
	m := maskdata.New(2)
	var score maskdata.Score
	for range 10000 {
		s := m.Secret()
		score.Add(s, scanned(s.Text), nil)
	}
	t.Log("\n" + score.String())
	require.GreaterOrEqual(t, score.All.Recall(), 0.985)
	require.GreaterOrEqual(t, score.All.Precision(), 0.97)
	require.LessOrEqual(t, score.All.Leak(), 0.01)
}
