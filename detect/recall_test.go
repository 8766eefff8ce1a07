package detect

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
	{aboutSort, "sortcode"},
	{aboutMedical, "dea"},
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
				const n = 12
				for range n {
					value, ok := render(r, shape, rec.Digits)
					require.True(t, ok, "%s %s", rec.Type, shape)
					text := word + " " + value + " end"
					total++
					covered := false
					for _, f := range Default().Find(nil, []byte(text)) {
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

// fill makes a text of a form of words that is valid.
func fill(r *rand.Rand, form string, valid func(w, d []byte) bool) (string, bool) {
	const letters, both = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	for range 400000 {
		w := []byte(form)
		var d []byte
		for i, c := range form {
			switch c {
			case '9':
				w[i] = byte('0' + r.IntN(10))
			case 'A':
				w[i] = letters[r.IntN(len(letters))]
			case 'X':
				w[i] = byte('0' + r.IntN(10))
				if r.IntN(4) == 0 {
					w[i] = both[r.IntN(len(both))]
				}
			}
			if isDigit(w[i]) {
				d = append(d, w[i]-'0')
			}
		}
		if len(d) > 0 && (valid == nil || valid(w, d)) {
			return string(w), true
		}
	}
	return "", false
}

func TestRecallOfWords(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, rec := range wordRecognizers() {
		if rec.Type == CNID {
			continue // chance does not find one; see TestScanFindsEveryType
		}
		for weak, forms := range map[bool][]string{false: rec.Words, true: rec.WeakWords} {
			for _, form := range forms {
				word := "value"
				for _, w := range aWord {
					if weak && rec.Context&w.topic != 0 {
						word = w.word
						break
					}
				}
				for range 10 {
					value, ok := fill(r, form, rec.Word)
					require.True(t, ok, "%s %s", rec.Type, form)
					text := word + ": " + value + ", end"
					found := Default().Find(nil, []byte(text))
					require.Len(t, found, 1, "%s %q", rec.Type, text)
					require.Equal(t, value, text[found[0].Start:found[0].End], "%s %q", rec.Type, text)
				}
			}
		}
	}
}

func TestRecallOfSecrets(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, rec := range secretRecognizers() {
		for _, p := range rec.Prefixes {
			if p.Min == 0 || rec.Type == JWT || p.Literal == "Basic " || p.Literal == "SG." || p.Literal == "A3-" { // made of parts; see TestScanFindsEveryType
				continue
			}
			var class [256]bool
			require.NoError(t, byteClass(&class, p.Body))
			var of []byte
			for c := byte('!'); c < 0x7f; c++ {
				if class[c] && c != '.' && c != '-' && c != '\'' && c != '"' {
					of = append(of, c)
				}
			}
			for range 10 {
				body := make([]byte, p.Min+r.IntN(max(p.Max, p.Min)-p.Min+1))
				value := p.Literal
				for ok := false; !ok; {
					for i := range body {
						body[i] = of[r.IntN(len(of))]
					}
					value = strings.Repeat("7", p.Least) + p.Literal + string(body)
					ok = p.Check == nil || p.Check([]byte(value))
				}
				for _, around := range []string{"%s", "a %s b", `{"k": "%s"}`, "K=%s\n", "(%s)"} {
					text := strings.Replace(around, "%s", value, 1)
					covered := false
					for _, f := range Default().Find(nil, []byte(text)) {
						at := strings.Index(text, value)
						covered = covered || f.Start <= at+p.Least+len(p.Literal) && f.End >= at+len(value)
					}
					require.True(t, covered, "%q", text)
				}
			}
		}
	}
}
