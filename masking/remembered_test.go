package masking

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/maskdata"
)

func TestRemembered(t *testing.T) {
	for _, c := range []struct {
		name, value, text string
		want              []string
	}{
		{"as it is", "123-45-6789", "got 123-45-6789.", []string{"123-45-6789"}},
		{"without signs", "123-45-6789", "n=123456789", []string{"123456789"}},
		{"with other signs", "123456789", "(123) 45/6789", []string{"123) 45/6789"}},
		{"twice", "123456789", "123456789,123456789", []string{"123456789", "123456789"}},
		{"part of a word", "123456789", "x123456789", nil},
		{"other digits", "123456789", "123456780", nil},
		{"of a longer number", "123456789", "123456789-0", []string{"123456789"}},
		{"any case", "Smithers", "Error: SMITHERS is here", []string{"SMITHERS"}},
		{"several words", "Ann Smithers Jones", "to ann_smithers jones!", []string{"ann_smithers jones"}},
		{"a word of it", "Ann Smithers", "Smithers", nil},
		{"address", "ann@example.com", "<ann@example.com>", []string{"ann@example.com"}},
		{"behind many words", "123456789", strings.Repeat("a b ", 500) + "123 456 789 end", []string{"123 456 789"}},
		{"behind a long word", "123456789", strings.Repeat("ab", 500) + " 123456789", []string{"123456789"}},
		{"other scripts", "Çelik Zoë 1", "name Çelik Zoë 1", []string{"Çelik Zoë 1"}},
		{"too short", "12345", "12345", nil},
		{"a common word", "active", "active", nil},
		{"too long", strings.Repeat("1", 300), strings.Repeat("1", 300), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r remembered
			require.Empty(t, r.find(nil, []byte(c.text)))
			r.add([]byte(c.value))
			var got []string
			for _, f := range r.find(nil, []byte(c.text)) {
				got = append(got, c.text[f.Start:f.End])
			}
			require.Equal(t, c.want, got)
		})
	}
}

// TestRememberedIsBounded fills it many times over: the newest are found.
func TestRememberedIsBounded(t *testing.T) {
	var r remembered
	for i := range 100000 {
		r.add(fmt.Appendf(nil, "%09d", i))
	}
	found := 0
	for i := 99000; i < 100000; i++ {
		found += len(r.find(nil, fmt.Appendf(nil, "%09d", i)))
	}
	require.Greater(t, found, 900)
	text := maskdata.Clean()
	require.Zero(t, testing.AllocsPerRun(3, func() { r.find(nil, text) }))
}

func BenchmarkRemembered(b *testing.B) {
	var r remembered
	for i := range 1000 {
		r.add(fmt.Appendf(nil, "%09d", i))
	}
	text := maskdata.Clean()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r.find(nil, text)
	}
}
