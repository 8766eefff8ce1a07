package detect

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLiteralsHaveAPairAtBothPlaces goes over a text with each literal by pairs,
// from an even and from an odd place.
func TestLiteralsHaveAPairAtBothPlaces(t *testing.T) {
	p := Default()
	one := func(class *[256]bool) byte { return byte(slices.Index(class[:], true)) }
	for n := range p.literals {
		l := &p.literals[n]
		front := []byte(" ")
		if l.prior != "" {
			front = []byte{l.prior[len(l.prior)-1]}
		}
		if l.least > 0 {
			front = append(front, bytes.Repeat([]byte{one(&l.front)}, l.least)...)
		}
		text := append(slices.Clone(front), l.text...)
		if l.min > 0 {
			text = append(text, one(&l.body))
		}
		for from := range 2 {
			found := false
			for i := from; i+1 < len(text); i += 2 {
				pair := pairOf(text[i], text[i+1])
				if p.triggers.kinds[pair]&startsLiteral == 0 {
					continue
				}
				found = found || slices.ContainsFunc(*p.triggers.list(pair), func(x place) bool {
					return x.pair == pair && int(x.literal) == n && i-int(x.at) == len(front)
				})
			}
			require.True(t, found, "%q from %d", text, from)
		}
	}
}

// TestLiteralsOfAnyParity finds tokens at every place of a text, behind letters,
// digits and signs.
func TestLiteralsOfAnyParity(t *testing.T) {
	for _, token := range []string{"ghp_16C7e42F292c6912E7710c838347Ae178B4a", "AKIAIOSFODNN7EXAMPLE", "8UG8Q~q2r7_ZMvMPCXv9q9CNyDWD6Y2nwWMsPYD", "r8_16C7e42F292c6912E7710c838347Ae178B4ab"} {
		for _, before := range []string{"", " ", "x ", "12 ", "a1, ", "k: 1234,", "\"", "2024-05-06 12:34:56 ", "é ", "12:34 ", "5ms ", "a\\n", "ab\\n"} {
			for pad := range 9 {
				text := string(bytes.Repeat([]byte{','}, pad)) + before + token
				got := Default().Find(nil, []byte(text))
				require.Len(t, got, 1, "%q", text)
				require.Equal(t, len(text), got[0].End, "%q", text)
			}
		}
	}
}

func TestDigitRun(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		text := make([]byte, r.IntN(30))
		for i := range text {
			if text[i] = byte('0' + r.IntN(10)); r.IntN(8) == 0 {
				text[i] = byte(r.Uint32())
			}
		}
		n := 0
		for n < len(text) && isDigit(text[n]) {
			n++
		}
		require.Equal(t, n, digitRun(text, 0), "%q", text)
	}
}
