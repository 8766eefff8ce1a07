package detect

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// left returns which values of a column of texts nothing is found in, once all of
// them were read.
func left(name string, values []string) (list []string) {
	p := Default()
	held := p.Contents(Column{Name: name, Type: "text"}, bytesOf(values))
	if held.Whole != "" {
		return nil
	}
	var w Weigher
	w.Know(held)
	for _, v := range values {
		if len(w.Weigh(p.FindNamed(nil, []byte(v), p.Topics(name)), []byte(v))) == 0 {
			list = append(list, v)
		}
	}
	return list
}

func bytesOf(values []string) (list [][]byte) {
	for _, v := range values {
		list = append(list, []byte(v))
	}
	return list
}

// TestOtherNumbersOfPeople: the other forms with a check are weighed as cards are.
func TestOtherNumbersOfPeople(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for i := range mediums {
		m := &mediums[i]
		if m.typ == Card {
			continue
		}
		var valid, others []string
		for len(valid) < 30 || len(others) < 60 {
			w := []byte(map[Type]string{FRNIR: "999999999999999", CNID: "999999999999999999", CHAHV: "7569999999999", ESNIF: "99999999A", ESNIE: "A9999999A", SGNRIC: "A9999999A", IEPPS: "9999999A", TWID: "A999999999"}[m.typ])
			for k, c := range w {
				switch {
				case c == '9':
					w[k] = byte('0' + r.IntN(10))
				case c == 'A':
					w[k] = byte('A' + r.IntN(26))
				}
			}
			if m.typ == CNID {
				copy(w[6:], "19800506")
			}
			if m.typ == ESNIE {
				w[0] = 'X' + w[0]%3
			}
			if m.typ == SGNRIC {
				w[0] = "STFG"[w[0]%4]
			}
			if m.form(w) {
				others = append(others, string(w))
				if m.pass(w) {
					valid = append(valid, string(w))
				}
			}
		}
		share := float64(len(valid)) / float64(len(others))
		if m.typ != ESNIF && m.typ != ESNIE && m.typ != IEPPS && m.typ != SGNRIC { // whose letters are fewer than 26
			require.InDelta(t, m.chance, share, m.chance*0.6, "%s", m.typ)
		}
		for _, name := range []string{"reference", "order_no", "x"} {
			require.Empty(t, left(name, valid[:30]), "%s in %s", m.typ, name)
			require.GreaterOrEqual(t, len(left(name, others[:60])), 58, "%s in %s: %q", m.typ, name, others[:3])
		}
	}
}

// TestWeightsAreDocumented: docs/masking.md has the table of weights.
func TestWeightsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/masking.md")
	require.NoError(t, err)
	var table strings.Builder
	for _, w := range weights {
		fmt.Fprintf(&table, "| %s | %+g |\n", w.says, w.by)
	}
	require.Contains(t, string(text), "|---|---|\n"+table.String()+"\n")
}

// TestWeights: each weight decides a column that without it is taken for something
// else, and none is a veto.
func TestWeights(t *testing.T) {
	decided := map[*weight]bool{}
	for _, c := range []struct {
		says          string
		column        Column
		cards, others int
		masked        bool
		otherwise     bool // masked without the weight
	}{
		{"it holds text", Column{Name: "x", Type: "text"}, 1, 3, true, false},
		{"it holds numbers", Column{Name: "x", Type: "bigint"}, 1, 2, false, true},
		{"it is numbered by a sequence", Column{Name: "x", Type: "bigint", Sequence: true}, 1, 0, false, true},
		{"it is numbered by a sequence", Column{Name: "x", Type: "bigint", Sequence: true}, 4, 0, true, true},
		{"it is a key", Column{Name: "x", Type: "bigint", Key: true}, 2, 1, true, true},
		{"it is a key", Column{Name: "x", Type: "bigint", Key: true}, 2, 2, false, true},
		{"it refers to a key", Column{Name: "x", Type: "bigint", Reference: true}, 2, 2, false, true},
		{"it refers to a key", Column{Name: "x", Type: "bigint", Reference: true}, 2, 1, true, true},
		{"its name is that of an id", Column{Name: "extID", Type: "text"}, 1, 3, false, true},
		{"its name is that of an id", Column{Name: "ext_id", Type: "text"}, 1, 2, true, true},
		{"its name is that of a thing", Column{Name: "order_no", Type: "text"}, 1, 3, false, true},
		{"its name is that of a thing", Column{Name: "invoice", Type: "text"}, 1, 2, true, true},
		{"its name is about cards", Column{Name: "card_ref", Type: "text"}, 1, 12, true, false},
		{"its name is about cards", Column{Name: "card_ref", Type: "text"}, 5, 45, false, false},
		{"its name is about identity numbers", Column{Name: "citizen_idnumber", Type: "text"}, 1, 12, true, false},
		{"its name is about identity numbers", Column{Name: "citizen_idnumber", Type: "text"}, 5, 45, false, false},
	} {
		p := Default().profileOf(c.column)
		var of *weight
		for i := range weights {
			if weights[i].says == c.says {
				require.Nil(t, of, "two weights say: %s", c.says)
				of = &weights[i]
			}
		}
		require.NotNil(t, of, c.says)
		require.True(t, of.of(&p), "%s: %+v", c.says, c.column)
		var counted tallies
		counted.of[0].candidates, counted.of[0].passes = uint32(c.cards+c.others), uint32(c.cards)
		with := p.prior() + counted.likelihood(0)
		require.Equal(t, c.masked, with > 0, "%s: %.2f", c.says, with)
		require.Equal(t, c.otherwise, with-of.by > 0, "%s: %.2f without it", c.says, with-of.by)
		decided[of] = decided[of] || c.masked != c.otherwise
	}
	for i := range weights {
		require.True(t, decided[&weights[i]], "no column of the test is decided by: %s", weights[i].says)
	}
}
