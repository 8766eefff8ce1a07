package detect

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/maskdata"
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
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('0' + r.IntN(10))
		}
		return string(b)
	}
	// Numbers of all lengths; those of values with check digits, so that a shape that has
	// them would find them.
	for whole := range 24 {
		for after := -1; after < 22; after++ {
			for range 40 {
				v := digits(whole)
				if after >= 0 {
					v += "." + digits(after)
				}
				check(v)
				check("-" + v)
			}
		}
	}
	m := maskdata.New(19)
	for range 20_000 {
		s := m.Structured()
		for _, x := range s.Spans {
			plain := strings.Map(func(c rune) rune {
				if c < '0' || c > '9' {
					return -1
				}
				return c
			}, s.Text[x.Start:x.End])
			check(plain)
			if len(plain) > 2 {
				at := 1 + r.IntN(len(plain)-1)
				check(plain[:at] + "." + plain[at:])
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
	for _, v := range []string{"1234567890123", "4111111111111111", "123.4567", "001234567890", "00.12345", "1e10", "+1234567", "12.5%", "1980-02-29 00:00:00", "1980-02-29", "2024-05-06 12:34:56+00 a", "2024-05-06 12:34:56.1234567", "12:34:56", "1.2.3", "1-2", "20-5", "12a", "ann"} {
		require.False(t, p.Trivial([]byte(v), 0), v)
	}
	for _, v := range []string{"", "-", "1234.56", "-1234.56", "99999.99", "0.1234567", "1234567", "123456789", "1234567890", "-123456789012", "12345678.12345678"} {
		require.True(t, p.Trivial([]byte(v), 0), v)
	}
	for topic, v := range map[Topics]string{aboutSSN: "123456789", aboutPhone: "1234.56789", aboutBank: "12345678", aboutLicense: "1234567", aboutBirth: "19800229"} {
		require.False(t, p.Trivial([]byte(v), topic), v)
	}
	for name, own := range map[string]Recognizer{
		"a shape":                  {Type: "CODE", Score: 90, Shapes: []string{"4.2"}},
		"a shape of any separator": {Type: "CODE", Score: 90, Shapes: []string{"4~2"}},
		"a literal":                {Type: "CODE", Score: 90, Prefixes: []Prefix{{Literal: "34.", Min: 2, Body: "0-9"}}},
	} {
		detector, err := New(Config{Recognizers: []Recognizer{own}})
		require.NoError(t, err, name)
		require.False(t, detector.Trivial([]byte("1234.56"), 0), name)
	}
	custom, err := New(Config{Patterns: []Pattern{{Type: "CODE", Regexp: `\b\d{4}\b`}}})
	require.NoError(t, err)
	require.False(t, custom.Trivial([]byte("1234"), 0))
}
