package maskdata

import (
	"fmt"
	"slices"
	"strings"
)

// Tally counts how well values of one type, or of all, were found.
type Tally struct {
	Found, Missed int // values, by overlap
	Chars, Leaked int // characters of values, and how many of them are not covered
	Hits, False   int // what was reported, and how much of it overlaps no value
}

// Recall is the part of the values that was found; 1 when there are none.
func (t Tally) Recall() float64 { return ratio(t.Found, t.Found+t.Missed) }

// Precision is the part of what was reported that overlaps a value.
func (t Tally) Precision() float64 { return ratio(t.Hits-t.False, t.Hits) }

// Leak is the part of the values' characters that would be seen.
func (t Tally) Leak() float64 { return 1 - ratio(t.Chars-t.Leaked, t.Chars) }

// F2 weighs recall twice as much as precision.
func (t Tally) F2() float64 {
	p, r := t.Precision(), t.Recall()
	if p+r == 0 {
		return 0
	}
	return 5 * p * r / (4*p + r)
}

func ratio(a, b int) float64 {
	if b == 0 {
		return 1
	}
	return float64(a) / float64(b)
}

// Score gathers what a detector found in samples. The zero value is empty.
type Score struct {
	All    Tally
	Types  map[string]*Tally
	Misses map[string][]string // by type, some of what was missed or false
}

// examples bounds how many are kept a type.
const examples = 12

// Add scores found, in order, against the values of s. same says whether a
// finding of type got counts for a value of type want; nil is always.
func (c *Score) Add(s Sample, found []Span, same func(want, got string) bool) {
	if c.Types == nil {
		c.Types, c.Misses = map[string]*Tally{}, map[string][]string{}
	}
	hit := make([]bool, len(found))
	for _, want := range s.Spans {
		t := c.of(want.Type)
		covered := make([]bool, want.End-want.Start)
		some := false
		for i, f := range found {
			if f.Start >= want.End || f.End <= want.Start || same != nil && !same(want.Type, f.Type) {
				continue
			}
			hit[i], some = true, true
			for k := max(f.Start, want.Start); k < min(f.End, want.End); k++ {
				covered[k-want.Start] = true
			}
		}
		leaked := 0
		for _, ok := range covered {
			if !ok {
				leaked++
			}
		}
		for _, t := range []*Tally{t, &c.All} {
			t.Chars += len(covered)
			t.Leaked += leaked
			if some {
				t.Found++
			} else {
				t.Missed++
			}
		}
		if leaked > 0 {
			c.example(want.Type, fmt.Sprintf("%q in %q, found %v", s.Text[want.Start:want.End], s.Text, found))
		}
	}
	for i, f := range found {
		t := c.of(f.Type)
		t.Hits++
		c.All.Hits++
		if !hit[i] {
			t.False++
			c.All.False++
			c.example(f.Type, fmt.Sprintf("false %q in %q", s.Text[f.Start:f.End], s.Text))
		}
	}
}

func (c *Score) of(typ string) *Tally {
	t := c.Types[typ]
	if t == nil {
		t = &Tally{}
		c.Types[typ] = t
	}
	return t
}

func (c *Score) example(typ, text string) {
	if len(c.Misses[typ]) < examples {
		c.Misses[typ] = append(c.Misses[typ], text[:min(len(text), 400)])
	}
}

// String is a table of all types, with examples of what went wrong.
func (c *Score) String() string {
	var b strings.Builder
	line := func(name string, t Tally) {
		fmt.Fprintf(&b, "%-28s recall %.4f  precision %.4f  F2 %.3f  leaked %.2f%%  of %d values, %d false\n",
			name, t.Recall(), t.Precision(), t.F2(), 100*t.Leak(), t.Found+t.Missed, t.False)
	}
	line("all", c.All)
	names := make([]string, 0, len(c.Types))
	for n := range c.Types {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		line(n, *c.Types[n])
		for _, m := range c.Misses[n] {
			fmt.Fprintln(&b, "   ", m)
		}
	}
	return b.String()
}
