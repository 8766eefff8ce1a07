package detect

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// In what is trivial nothing is found, whatever its column is called.
func TestTrivial(t *testing.T) {
	p, r := Default(), rand.New(rand.NewPCG(19, 2))
	names := []Topics{0, aboutThing, aboutIssued, aboutVersion, ^Topics(0), ^Topics(0) &^ notPeople}
	for bit := Topics(1); bit != 0; bit <<= 1 {
		names = append(names, bit)
	}
	trivial, all := 0, 0
	check := func(v string) {
		t.Helper()
		for _, topics := range names {
			all++
			if p.Trivial([]byte(v), topics) {
				trivial++
				require.Empty(t, p.FindNamed(nil, []byte(v), topics), "%q, topics %b", v, topics)
			}
		}
	}
	for n := range 1_000_000 {
		if n < 2_000 || r.IntN(500) == 0 {
			v := strconv.Itoa(n)
			check(v)
			check("-" + v)
			if len(v) > 1 {
				at := 1 + r.IntN(len(v)-1)
				check(v[:at] + "." + v[at:])
				check("-" + v[:at] + "." + v[at:])
			}
		}
	}
	for range 3_000 {
		v := fmt.Sprintf("%04d-%02d-%02d %02d:%02d:%02d", 1900+r.IntN(200), 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60))
		if r.IntN(3) > 0 {
			v += "." + strconv.Itoa(r.IntN(1_000_000))
		}
		v += []string{"", "+00", "-03", "+05:30", "-11:45"}[r.IntN(5)]
		check(v)
	}
	require.Greater(t, trivial, all/4)
	for _, v := range []string{"1234567", "4111111111111111", "1980-02-29 00:00:00", "1980-02-29", "2024-05-06 12:34:56+00 a", "2024-05-06 12:34:56.1234567", "12:34:56", "1.2.3", "1-2", "20-5", "12a", "ann"} {
		require.False(t, p.Trivial([]byte(v), 0), v)
	}
	custom, err := New(Config{Patterns: []Pattern{{Type: "CODE", Regexp: `\b\d{4}\b`}}})
	require.NoError(t, err)
	require.False(t, custom.Trivial([]byte("1234"), 0))
}
