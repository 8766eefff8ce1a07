package detect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/maskdata"
)

// scanned returns what the default set finds in text.
func scanned(text string) (spans []maskdata.Span) {
	for _, f := range Default().Find(nil, []byte(text)) {
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
	require.GreaterOrEqual(t, score.All.Precision(), 0.985)
	require.LessOrEqual(t, score.All.Leak(), 0.004)
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

// TestQualityLookAlikes bounds false hits by kind of text, in hits a megabyte.
func TestQualityLookAlikes(t *testing.T) {
	const size = 1 << 19
	for _, c := range maskdata.New(3).LookAlikes(size) {
		t.Run(c.Name, func(t *testing.T) {
			found := scanned(c.Text)
			seen := map[string][]string{}
			for _, f := range found {
				seen[f.Type] = append(seen[f.Type], c.Text[max(0, f.Start-20):min(len(c.Text), f.End+5)])
			}
			for typ, list := range seen {
				t.Logf("%s: %d, as %q", typ, len(list), list[:min(4, len(list))])
			}
			require.LessOrEqual(t, len(found)*(1<<20)/size, 300)
		})
	}
}

func TestQualityColumns(t *testing.T) {
	m := maskdata.New(4)
	right, total := 0, 0
	wrong := map[string]int{}
	for range 6000 {
		c := m.Column()
		var values [][]byte
		for _, v := range c.Values {
			values = append(values, []byte(v))
		}
		got, _ := Default().ColumnVerdict(c.Name, c.DBType, values)
		total++
		if string(got) == c.Type {
			right++
			continue
		}
		key := fmt.Sprintf("%s %s: want %q, got %q, as %q", c.Name, c.DBType, c.Type, got, c.Values[:2])
		wrong[fmt.Sprintf("%s %q %q", strings.ToLower(c.Name), c.Type, got)]++
		if wrong[fmt.Sprintf("%s %q %q", strings.ToLower(c.Name), c.Type, got)] == 1 && len(wrong) < 60 {
			t.Log(key)
		}
	}
	t.Logf("%d of %d right", right, total)
	require.GreaterOrEqual(t, float64(right)/float64(total), 0.98)
}

// TestQualityPeople scores people in prose as the whole scan finds them.
func TestQualityPeople(t *testing.T) {
	m := maskdata.New(12)
	var score maskdata.Score
	for range 5000 {
		s := m.Prose()
		score.Add(s, scanned(s.Text), func(want, got string) bool { return want == got })
	}
	p := score.Types["PERSON"]
	t.Logf("people: F2 %.3f, precision %.3f", p.F2(), p.Precision())
	require.GreaterOrEqual(t, p.F2(), 0.89)
	require.GreaterOrEqual(t, p.Precision(), 0.93)
}
