package detect

import (
	"bytes"
	"math"
	"slices"
	"strings"
)

// A medium is a form of values that proves little by itself: some of the numbers
// that have it by chance pass its check. How many of a column's do tells what the
// column holds.
type medium struct {
	typ    Type
	chance float64 // of what has the form, the share that passes by chance
	form   func(w []byte) bool
	pass   func(w []byte) bool
}

var mediums = [...]medium{
	{Card, 1.0 / 10, digitsThat(13, 19, cardRange), digitsThat(13, 19, validCard)},
	{FRNIR, 1.0 / 97, digitsThat(15, 15, nirForm), digitsThat(15, 15, validNIR)},
	{CNID, 1.0 / 11, digitsThat(18, 18, chineseForm), digitsThat(18, 18, func(d []byte) bool { return validChineseID(d, int(d[17])) })},
	{CHAHV, 1.0 / 10, digitsThat(13, 13, ahvForm), digitsThat(13, 13, validAHV)},
	{ESNIF, 1.0 / 23, wordsLike("99999999A", nil), wordsLike("99999999A", validDNI)},
	{ESNIE, 1.0 / 23, wordsLike("A9999999A", nieForm), wordsLike("A9999999A", validNIE)},
	{SGNRIC, 1.0 / 11, wordsLike("A9999999A", nricForm), wordsLike("A9999999A", validNRIC)},
	{IEPPS, 1.0 / 23, wordsLike("9999999A", nil), wordsLike("9999999A", validPPS)},
	{TWID, 1.0 / 10, wordsLike("A999999999", taiwanForm), wordsLike("A999999999", validTaiwanID)},
}

// digitsThat matches words of least to most digits that pass.
func digitsThat(least, most int, pass func(d []byte) bool) func(w []byte) bool {
	return func(w []byte) bool {
		if len(w) < least || len(w) > most {
			return false
		}
		var room [maxDigits]byte
		for i, c := range w {
			if !isDigit(c) {
				return false
			}
			room[i] = c - '0'
		}
		return pass(room[:len(w)])
	}
}

// wordsLike matches words of a form, as in [Recognizer], that pass; nil is all.
func wordsLike(form string, pass func(w, d []byte) bool) func(w []byte) bool {
	return func(w []byte) bool {
		if len(w) != len(form) {
			return false
		}
		var room [maxWord]byte
		n := 0
		for i, c := range w {
			switch {
			case form[i] == '9' && isDigit(c):
				room[n] = c - '0'
				n++
			case form[i] == 'A' && isUpper(c):
			default:
				return false
			}
		}
		return pass == nil || pass(w, room[:n])
	}
}

func nieForm(w, _ []byte) bool    { return w[0] >= 'X' && w[0] <= 'Z' }
func nricForm(w, _ []byte) bool   { return strings.IndexByte("STFG", w[0]) >= 0 }
func taiwanForm(_, d []byte) bool { return d[0] == 1 || d[0] == 2 }

// tallies count what a column's values look like.
type tallies struct {
	of     [len(mediums)]struct{ candidates, passes uint32 }
	seen   uint32
	others uint32 // numbers as long as a card's that no issuer gives out
}

// add counts one value, or those of an array.
func (t *tallies) add(w []byte) {
	const longest = 64 // of a number and what pads it
	switch {
	case len(w) > 1 && w[0] == '{' && w[len(w)-1] == '}':
	case len(w) > longest:
		t.seen++
		return
	default:
		t.one(bytes.TrimSpace(w))
		return
	}
	for len(w) > 0 {
		end := bytes.IndexAny(w, ",{}")
		if end < 0 {
			end = len(w)
		}
		if end > 0 {
			t.one(w[:end])
		}
		w = w[min(end+1, len(w)):]
	}
}

func (t *tallies) one(w []byte) {
	t.seen++
	if len(w) < 8 || len(w) > 19 || !isDigit(w[1]) { // as all forms have it
		return
	}
	digits := 0
	for _, c := range w {
		if !isAlnum(c) {
			return
		}
		if isDigit(c) {
			digits++
		}
	}
	if digits < 7 {
		return
	}
	for i := range mediums {
		if m := &mediums[i]; m.form(w) {
			t.of[i].candidates++
			if m.pass(w) {
				t.of[i].passes++
			}
		} else if m.typ == Card && digits == len(w) && (digits == 15 || digits == 16) {
			t.others++
		}
	}
}

// A weight moves what a column is taken for, in nats: by e for each. None of them
// decides alone.
type weight struct {
	says string
	of   func(c *profile) bool
	by   float64
}

// profile is what is known of a column besides its values.
type profile struct {
	Column
	topics Topics
	number bool
}

// weights are for and against a column of cards or numbers of persons.
var weights = [...]weight{
	{"it holds text", func(c *profile) bool { return !c.number }, 0.5},
	{"it holds numbers", func(c *profile) bool { return c.number }, -1},
	{"it is numbered by a sequence", func(c *profile) bool { return c.Sequence }, -3},
	{"it is a key", func(c *profile) bool { return c.Key }, -1},
	{"it refers to a key", func(c *profile) bool { return c.Reference }, -1},
	{"its name is that of an id", func(c *profile) bool { return namesID(c.Name) }, -0.25},
	{"its name is that of a thing", func(c *profile) bool { return c.topics&notPeople != 0 && c.topics&^notPeople == 0 }, -0.25},
	{"its name is about cards", func(c *profile) bool { return c.topics&aboutCard != 0 }, 1.5},
	{"its name is about identity numbers", func(c *profile) bool {
		return c.topics&(aboutNational|aboutTax|aboutSSN|aboutNIR|aboutPersonnr) != 0
	}, 1.5},
}

// What other numbers of a card's length count against it, at most.
const (
	otherNumber  = -0.3
	otherNumbers = -1.2
)

// namesID reports whether a column is called id, or ends in it.
func namesID(name string) bool {
	n := len(name)
	if n < 2 || !strings.EqualFold(name[n-2:], "id") {
		return false
	}
	return n == 2 || name[n-3] == '_' || isUpper(name[n-2]) && !isUpper(name[n-3])
}

// profileOf returns the profile of a column as a database tells it.
func (p *Detector) profileOf(c Column) profile {
	return profile{c, p.words.topics(c.Name), isNumber(c.Type)}
}

// prior is the sum of the weights that count for c.
func (c *profile) prior() (sum float64) {
	for i := range weights {
		if weights[i].of(c) {
			sum += weights[i].by
		}
	}
	return sum
}

// likelihood compares that a column has a share of values of the i-th medium with
// that chance has made them, in nats; without candidates it is 0. The share is not
// known: of n candidates any may be.
func (t *tallies) likelihood(i int) float64 {
	n, k := float64(t.of[i].candidates), float64(t.of[i].passes)
	if n == 0 {
		return 0
	}
	a, _ := math.Lgamma(k + 1)
	b, _ := math.Lgamma(n - k + 1)
	c, _ := math.Lgamma(n + 2)
	sum := a + b - c - k*math.Log(mediums[i].chance) - (n-k)*math.Log(1-mediums[i].chance)
	if mediums[i].typ == Card {
		sum += math.Max(otherNumbers, otherNumber*float64(t.others))
	}
	return sum
}

// mostly returns the medium that nearly all values are, and false when there is
// none of which that is much likelier than chance.
func (t *tallies) mostly(prior float64) (Type, bool) {
	const sure = 3 // nats
	for i := range t.of {
		n, k := t.of[i].candidates, t.of[i].passes
		if n >= fewest && k*5 >= n*4 && n*5 >= t.seen*4 && prior+t.likelihood(i) > sure {
			return mediums[i].typ, true
		}
	}
	return "", false
}

// Weigher tells values of a column from what has passed a check by chance. It is used
// by one goroutine. The zero value knows nothing of the column.
type Weigher struct {
	prior    float64
	number   bool
	sampled  *tallies // nil: nothing was read of the column beforehand
	streamed tallies
}

// NewWeigher returns the Weigher of a column of which it is only known whether it
// holds numbers.
func NewWeigher(number bool) Weigher {
	if number {
		return ofNumbers
	}
	return ofTexts
}

var ofNumbers, ofTexts = weigherOf(profile{number: true}), weigherOf(profile{})

func weigherOf(c profile) Weigher { return Weigher{prior: c.prior(), number: c.number} }

// Know takes in what was read of the column beforehand.
func (w *Weigher) Know(c *Contents) {
	w.sampled, w.prior, w.number = &c.tallies, c.profile.prior(), c.profile.number
}

// Forget takes back the values of which [Weigher.Know] has told; what it told of
// the column stays.
func (w *Weigher) Forget() { w.sampled = nil }

// accident reports whether a value of the i-th medium that passed its check has
// done so by chance, as far as the column tells. What was read of the column
// beforehand decides; a result, whose rows a statement chooses, only adds to it.
func (w *Weigher) accident(i int) bool {
	// A result that nothing was read for tells something only when it is long, and of
	// texts nothing: the statement may have filled it up.
	const enough = 8
	now := w.streamed.of[i].candidates
	if w.sampled == nil || w.sampled.of[i].candidates == 0 {
		return w.number && now >= enough && w.prior+w.streamed.likelihood(i) <= 0
	}
	if w.prior+w.sampled.likelihood(i) > 0 {
		return false
	}
	return now <= w.sampled.of[i].candidates || w.prior+w.streamed.likelihood(i) <= 0
}

// isNumber reports whether a type of a database holds numbers.
func isNumber(dbType string) bool {
	for _, part := range [...]string{"int", "num", "serial", "float", "double", "dec", "real"} {
		if strings.Contains(dbType, part) && !strings.Contains(dbType, "interval") && !strings.Contains(dbType, "point") {
			return true
		}
	}
	return false
}

// checked reports whether values of type t have a check that chance passes.
func checked(t Type) bool {
	for i := range mediums {
		if mediums[i].typ == t {
			return true
		}
	}
	return false
}

// Weigh counts v, a value, and takes away from what was found in it what chance has
// made: numbers that are the value, or one of an array.
func (w *Weigher) Weigh(found []Finding, v []byte) []Finding {
	w.streamed.add(v)
	return slices.DeleteFunc(found, func(f Finding) bool {
		before, after := bytes.TrimLeft(v[:f.Start], " "), bytes.TrimRight(v[f.End:], " ")
		if len(before) > 0 && (v[0] != '{' || !parts(before[len(before)-1])) || len(after) > 0 && (v[0] != '{' || !parts(after[0])) {
			return false
		}
		for i := range mediums {
			if m := &mediums[i]; m.typ == f.Type && m.form(v[f.Start:f.End]) {
				return w.accident(i)
			}
		}
		return false
	})
}

// parts reports whether c parts the values of an array.
func parts(c byte) bool { return c == '{' || c == ',' || c == '}' }
