// Package maskdata makes text with sensitive values of known place and type, and
// text that only looks like it, and scores what a detector finds in either. It
// knows nothing of the detector: checks and forms are written down a second
// time, from their public descriptions.
package maskdata

import (
	"math/rand/v2"
	"strings"
)

// Span is a sensitive value: Text[Start:End] of its sample.
type Span struct {
	Start, End int
	Type       string
}

// Sample is a text with all its sensitive values.
type Sample struct {
	Text  string
	Spans []Span
}

// Maker makes samples. Equal seeds make equal ones.
type Maker struct {
	r        *rand.Rand
	v        *Vocabulary
	training bool
}

// New returns a maker of samples for tests.
func New(seed uint64) *Maker { return &Maker{r: rand.New(rand.NewPCG(seed, 0x5a11)), v: &testing} }

// NewTraining returns a maker of samples to learn from: with names of v, and
// sentences that the samples for tests have not.
func NewTraining(seed uint64, v *Vocabulary) *Maker {
	return &Maker{r: rand.New(rand.NewPCG(seed, 0x7121)), v: v, training: true}
}

// pick returns one of list.
func pick[T any](m *Maker, list []T) T { return list[m.r.IntN(len(list))] }

func (m *Maker) one(list ...string) string { return list[m.r.IntN(len(list))] }

func (m *Maker) chance(percent int) bool { return m.r.IntN(100) < percent }

// digits returns n random digits.
func (m *Maker) digits(n int) string { return m.fill(strings.Repeat("#", n)) }

// fill replaces # by a digit, ! by one from 1 to 9, N by one from 2 to 9, ? by an
// upper-case letter and % by a letter or digit.
func (m *Maker) fill(form string) string {
	b := []byte(form)
	for i, c := range b {
		switch c {
		case '#':
			b[i] = byte('0' + m.r.IntN(10))
		case '!':
			b[i] = byte('1' + m.r.IntN(9))
		case 'N':
			b[i] = byte('2' + m.r.IntN(8))
		case '?':
			b[i] = byte('A' + m.r.IntN(26))
		case '%':
			b[i] = upperAlnum[m.r.IntN(len(upperAlnum))]
		}
	}
	return string(b)
}

const (
	lowerHex   = "0123456789abcdef"
	upperAlnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	lowerAlnum = "abcdefghijklmnopqrstuvwxyz0123456789"
	alnum      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	urlSafe    = alnum + "-_"
	base64Set  = alnum + "+/"
)

// of returns n random bytes of set.
func (m *Maker) of(set string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = set[m.r.IntN(len(set))]
	}
	return string(b)
}

// within puts value in the place of {V} in a text; its own marks, if any, say
// which part of it is sensitive.
func within(text, value, typ string) Sample {
	i := strings.Index(text, "{V}")
	s := Sample{Text: text[:i] + value + text[i+len("{V}"):]}
	s.Spans = []Span{{i, i + len(value), typ}}
	if a, b, ok := marked(value); ok {
		value = value[:a] + value[a+len("«"):b] + value[b+len("»"):]
		s.Text = text[:i] + value + text[i+len("{V}"):]
		s.Spans[0] = Span{i + a, i + b - len("«"), typ}
	}
	return s
}

// marked returns where « and » stand in s.
func marked(s string) (a, b int, ok bool) {
	a, b = strings.Index(s, "«"), strings.Index(s, "»")
	return a, b, a >= 0 && b > a
}

// group parts s into groups of the given lengths.
func group(s, sep string, lengths ...int) string {
	var b strings.Builder
	for i, n := range lengths {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(s[:n])
		s = s[n:]
	}
	b.WriteString(s)
	return b.String()
}
