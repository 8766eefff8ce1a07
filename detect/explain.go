package detect

import (
	"fmt"
	"math"
	"strings"
)

// ColumnExplanation says what a column is taken for, and why.
type ColumnExplanation struct {
	// Type is what the column as a whole is masked as, else what some of its values
	// are; "" is nothing.
	Type  Type
	Whole bool
	Seen  int // values that are not empty
	// Reasons are what was counted and known, each with how much it speaks for the
	// type, in nats; 0 of what is not weighed.
	Reasons []Reason
}

// Reason is a part of a [ColumnExplanation].
type Reason struct {
	Says   string
	Weight float64
}

// ExplainColumn says how a column of that name and database type with these values
// is judged.
func (p *Detector) ExplainColumn(name, dbType string, values [][]byte) ColumnExplanation {
	h := p.Contents(Column{Name: name, Type: strings.ToLower(dbType)}, values)
	e := ColumnExplanation{Type: h.Whole, Whole: h.Whole != ""}
	if !e.Whole {
		e.Type = h.Some
	}
	for _, v := range values {
		if !absent(v) {
			e.Seen++
		}
	}
	if t, ok := p.TypeOfName(name); ok {
		e.Reasons = append(e.Reasons, Reason{Says: fmt.Sprintf("its name says that it holds %s", t)})
	}
	weighs := false
	for i := range mediums {
		m, n := &mediums[i], &h.tallies.of[i]
		if n.candidates == 0 || e.Type != "" && m.typ != e.Type {
			continue
		}
		weighs = true
		e.Reasons = append(e.Reasons, Reason{
			fmt.Sprintf("%d of %d that look like %s pass its check, which 1 in %.0f would by chance", n.passes, n.candidates, m.typ, 1/m.chance), round(h.tallies.likelihood(i)),
		})
	}
	for i := range weights {
		if weighs && weights[i].of(&h.profile) {
			e.Reasons = append(e.Reasons, Reason{weights[i].says, weights[i].by})
		}
	}
	if len(e.Reasons) == 0 && e.Type != "" {
		e.Reasons = append(e.Reasons, Reason{Says: fmt.Sprintf("its values look like %s", e.Type)})
	}
	return e
}

func round(x float64) float64 { return math.Round(x*10) / 10 }

// String says it in lines.
func (e ColumnExplanation) String() string {
	var b strings.Builder
	switch {
	case e.Type == "":
		fmt.Fprintf(&b, "nothing: %d values", e.Seen)
	case e.Whole:
		fmt.Fprintf(&b, "%s, the whole column: %d values", e.Type, e.Seen)
	default:
		fmt.Fprintf(&b, "%s, some of %d values", e.Type, e.Seen)
	}
	for _, r := range e.Reasons {
		fmt.Fprintf(&b, "\n%s", r.Says)
		if r.Weight != 0 {
			fmt.Fprintf(&b, ": %+.2g", r.Weight)
		}
	}
	return b.String()
}
