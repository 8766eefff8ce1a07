package masking

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// aWord speaks for each set of topics, for the weak shapes.
var aWord = []struct {
	topic Topics
	word  string
}{
	{aboutPhone, "phone"},
	{aboutSSN, "ssn"},
	{aboutTax, "tax"},
	{aboutPassport, "passport"},
	{aboutLicense, "license"},
	{aboutBirth, "born"},
	{aboutCard, "card"},
	{aboutBank, "account"},
	{aboutNHS, "nhs"},
	{aboutAadhaar, "aadhaar"},
	{aboutSIN, "sin"},
	{aboutTFN, "tfn"},
	{aboutABN, "abn"},
	{aboutMedicare, "medicare"},
	{aboutBSN, "bsn"},
	{aboutPESEL, "pesel"},
	{aboutCPF, "cpf"},
	{aboutNIR, "nir"},
	{aboutPersonnr, "personnummer"},
	{aboutMyNumber, "mynumber"},
	{aboutTeudat, "teudat"},
	{aboutCPR, "cpr"},
	{aboutNational, "national"},
}

// render makes a number of the shape with random digits that are valid.
func render(r *rand.Rand, shape string, valid func([]byte) bool) (string, bool) {
	sep := "-"
	if r.IntN(2) == 0 {
		sep = " "
	}
	shape = strings.ReplaceAll(shape, "~", sep)
	for range 400000 {
		var text strings.Builder
		var digits []byte
		for s := shape; s != ""; {
			var n int
			if k, err := fmt.Sscanf(s, "%d", &n); k != 1 || err != nil {
				return "", false
			}
			s = strings.TrimLeft(s, "0123456789")
			for range n {
				d := byte(r.IntN(10))
				digits = append(digits, d)
				text.WriteByte(d + '0')
			}
			if s != "" {
				text.WriteByte(s[0])
				s = s[1:]
			}
		}
		if valid != nil && !valid(digits) {
			continue
		}
		out := text.String()
		if close, open := strings.IndexByte(out, ')'), strings.IndexByte(out, '('); close >= 0 && open < 0 {
			out = "(" + out
		}
		return out, true
	}
	return "", false
}

// TestRecallOfNumbers makes numbers of every recognizer and every shape, and
// counts those of which a digit would be seen.
func TestRecallOfNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	total, missed := 0, 0
	for _, rec := range numberRecognizers() {
		for weak, shapes := range map[bool][]string{false: rec.Shapes, true: rec.Weak} {
			for _, shape := range shapes {
				word := "value"
				if weak {
					for _, w := range aWord {
						if rec.Context&w.topic != 0 {
							word = w.word
							break
						}
					}
				}
				miss := 0
				const n = 20
				for range n {
					value, ok := render(r, shape, rec.Digits)
					require.True(t, ok, "%s %s", rec.Type, shape)
					text := word + " " + value + " end"
					total++
					covered := false
					for _, f := range Default().Scan(nil, []byte(text)) {
						covered = covered || f.Start <= len(word)+2 && f.End >= len(text)-4
					}
					if !covered {
						miss++
					}
				}
				missed += miss
				if miss > n/4 {
					t.Errorf("%s %q: %d of %d are not found", rec.Type, shape, miss, n)
				}
			}
		}
	}
	require.LessOrEqual(t, missed*100, total, "%d of %d", missed, total)
}
