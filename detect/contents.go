package detect

import "strings"

// Column is what is known of a column besides its values.
type Column struct {
	Name      string
	Type      string // the database's name for it, such as "bigint"
	Sequence  bool   // the database numbers it: an identity, a default by a sequence
	Key       bool   // it is, or belongs to, a primary key or a unique one
	Reference bool   // it refers to another table's key
}

// Contents is what a column holds, by some of its values. It is not changed once it
// is made.
type Contents struct {
	Whole Type // of every value; "" where the values differ, or are nothing
	Some  Type // of at least one in five values; "" where there is no such type
	// Parts says that its values have parts, as arrays and documents do, of which
	// these are some.
	Parts bool
	// Members are the keys of JSON under which something was found, in lower case,
	// with its type; nil of what is not JSON.
	Members map[string]Type

	profile profile
	tallies tallies
}

// Contents returns what c holds, by some of its values.
func (p *Detector) Contents(c Column, values [][]byte) *Contents {
	h := &Contents{profile: p.profileOf(c)}
	for _, v := range values {
		h.tallies.add(v)
	}
	if structured(c.Type, values) {
		h.Parts = true
		h.Some, h.Members = p.inside(values, strings.HasPrefix(c.Type, "json"))
		return h
	}
	h.Some = p.holds(h, values)
	h.Whole, _ = p.ColumnVerdict(c.Name, c.Type, values)
	return h
}

// Join returns what c says, weighed by the values that speak more for each form of
// numbers: those of c, or those of earlier, which were read of the same column.
func (c *Contents) Join(earlier *Contents) *Contents {
	joined := *c
	for i := range earlier.tallies.of {
		if earlier.tallies.of[i].passes == 0 || earlier.speaks(i) <= joined.speaks(i) {
			continue
		}
		joined.tallies.of[i] = earlier.tallies.of[i]
		if mediums[i].typ == Card {
			joined.tallies.others = earlier.tallies.others
		}
		joined.profile = earlier.profile
	}
	return &joined
}

// speaks is how much the values speak for the i-th medium, in nats.
func (c *Contents) speaks(i int) float64 { return c.profile.prior() + c.tallies.likelihood(i) }

// holds is what is in a column by some of its values: the type of which one in five
// of them is at least, by what its name says or in spite of it, and not by
// chance.
func (p *Detector) holds(h *Contents, values [][]byte) Type {
	for i := range h.tallies.of {
		if h.tallies.of[i].passes > 0 && h.speaks(i) > 0 {
			return mediums[i].typ
		}
	}
	for _, topics := range []Topics{h.profile.topics, 0} {
		hits, seen := p.whole(topics, values)
		for t, n := range hits {
			if n*5 >= seen && !checked(t) {
				return t
			}
		}
	}
	return ""
}
