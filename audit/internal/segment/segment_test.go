package segment

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func has(want string) func([]byte) bool {
	return func(term []byte) bool { return string(term) == want }
}

func begins(with string) func([]byte) bool {
	return func(term []byte) bool { return bytes.HasPrefix(term, []byte(with)) }
}

func sample(docs int) *Builder {
	b := &Builder{}
	for i := range docs {
		b.Add(fmt.Appendf(nil, "document %d", i), slices.Values([]string{"all", fmt.Sprint("mod ", i%7), fmt.Sprint("own ", i)}))
	}
	return b
}

func TestFind(t *testing.T) {
	b := sample(100)
	s, err := Parse(b.Append(nil))
	require.NoError(t, err)
	require.Equal(t, 100, s.Len())
	require.Equal(t, "document 99", string(s.Doc(99)))
	for _, c := range []struct {
		name   string
		wanted []func([]byte) bool
		found  []int
	}{
		{"one document's", []func([]byte) bool{has("own 64")}, []int{64}},
		{"nobody's", []func([]byte) bool{has("own 100")}, nil},
		{"all that are wanted", []func([]byte) bool{has("all"), has("mod 3"), begins("own 9")}, []int{94}},
		{"one of them nobody's", []func([]byte) bool{has("all"), has("none")}, nil},
		{"several terms for one wish", []func([]byte) bool{begins("own 1")}, []int{1, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := s.Find(c.wanted...)
			require.NoError(t, err)
			require.Equal(t, c.found, found)
		})
	}
	found, err := s.Find()
	require.NoError(t, err)
	require.Len(t, found, 100)
}

// A segment that was read and written again is the same, but for what is dropped, which
// is gone.
func TestBuilderOfSegment(t *testing.T) {
	whole := sample(50).Append(nil)
	s, err := Parse(whole)
	require.NoError(t, err)
	same, err := s.Builder(func(int) bool { return false })
	require.NoError(t, err)
	require.Equal(t, whole, same.Append(nil))
	require.Equal(t, sample(50).Size(), same.Size())

	less, err := s.Builder(func(i int) bool { return i == 13 })
	require.NoError(t, err)
	out := less.Append(nil)
	require.NotContains(t, string(out), "document 13")
	require.NotContains(t, string(out), "own 13")
	cut, err := Parse(out)
	require.NoError(t, err)
	require.Equal(t, 50, cut.Len())
	found, err := cut.Find(has("mod 6"))
	require.NoError(t, err)
	require.Equal(t, []int{6, 20, 27, 34, 41, 48}, found)
}

// What is found is what a plain search through the documents finds.
func TestFindIsPlainSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := &Builder{}
	var docs []map[string]bool
	for range 300 {
		terms := map[string]bool{}
		for range r.IntN(20) {
			terms[fmt.Sprint(r.IntN(40))] = true
		}
		docs = append(docs, terms)
		b.Add(nil, maps.Keys(terms))
	}
	s, err := Parse(b.Append(nil))
	require.NoError(t, err)
	for range 200 {
		one, other := fmt.Sprint(r.IntN(40)), fmt.Sprint(r.IntN(40))
		var want []int
		for i, terms := range docs {
			if terms[one] && terms[other] {
				want = append(want, i)
			}
		}
		found, err := s.Find(has(one), has(other))
		require.NoError(t, err)
		require.Equal(t, want, found)
	}
}

// Whatever the bytes are, reading them ends, in an error or within bounds.
func FuzzParse(f *testing.F) {
	f.Add(sample(3).Append(nil))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{1, 0, 1, 1, 'a', 1, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			return
		}
		found, err := s.Find(begins(""))
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(found), s.Len())
		again, err := s.Builder(func(int) bool { return false })
		require.NoError(t, err)
		require.Equal(t, s.Len(), again.Len())
	})
}
