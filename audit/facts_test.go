package audit

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// shown is an event of recorded output.
func shown(text string) []byte {
	j := fmt.Appendf(nil, `{"i":1,"t":"2026-01-01T00:00:00.000000Z","type":%q,"op":1,"stream":"terminal"`, RecordingOutput)
	return append(data(j, []byte(text)), '}')
}

func termsOf(t *testing.T, events ...[]byte) []string {
	t.Helper()
	f := newFacts("")
	require.NoError(t, f.read(func(yield func([]byte, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}))
	return slices.Sorted(maps.Keys(f.terms))
}

// A session is found by every word of what it showed, wherever that was cut.
func TestFactsHaveEveryWord(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 7))
	parts := []string{"a", "w", "n", "o", "Z", "_", "0", "1f", "é", "ß", "Ж", "日本", "\u0301", "\u212a", " ", " ", "\t", "\r\n", ".", `"`, `\`, "€", "\ufffd", "😀"}
	for range 300 {
		var text strings.Builder
		for range r.IntN(500) {
			text.WriteString(parts[r.IntN(len(parts))])
		}
		want := map[string]struct{}{}
		for _, word := range strings.FieldsFunc(text.String(), func(c rune) bool {
			return c == unicode.ReplacementChar || c != '_' && !unicode.In(c, unicode.Letter, unicode.Digit, unicode.Mark)
		}) {
			if word = strings.ToLower(word); len(word) <= maxWord {
				want["w"+word] = struct{}{}
			} else {
				want[moreWords] = struct{}{}
			}
		}
		var events [][]byte
		for rest := text.String(); rest != ""; {
			n := 1 + r.IntN(len(rest))
			events = append(events, shown(rest[:n]))
			rest = rest[n:]
		}
		require.Equal(t, slices.Sorted(maps.Keys(want)), termsOf(t, events...), "%q", text.String())
	}
}

// A class of which a session has too many terms takes nothing from the others, and the
// terms say that there are more.
func TestFactsOfManyWords(t *testing.T) {
	numbers, names := &strings.Builder{}, &strings.Builder{}
	for i := range 2 * maxNumerals {
		fmt.Fprintf(numbers, "%d ", 1_000_000+i)
	}
	for i := range 2 * maxWords {
		fmt.Fprintf(names, "name%d ", i)
	}
	const last = "w n o word "
	lastTerms := []string{"wn", "wo", "ww", "wword"}

	terms := termsOf(t, shown(numbers.String()), shown(last))
	require.Subset(t, terms, append(lastTerms, moreNumerals))
	require.Len(t, terms, maxNumerals+1+len(lastTerms))

	terms = termsOf(t, shown(names.String()), shown(last), shown("4711"))
	require.Subset(t, terms, []string{moreWords, "w4711"})
	require.Len(t, terms, maxWords+2)

	// When nothing more is taken, what was shown is not read, and other facts are.
	terms = termsOf(t, shown(names.String()), shown(numbers.String()), shown(last), []byte(`{"i":1,"type":"operation.start","user":"ann","text":"word"}`))
	require.Subset(t, terms, []string{moreWords, moreNumerals, "uann"})
	require.Len(t, terms, maxWords+maxNumerals+3)
}
