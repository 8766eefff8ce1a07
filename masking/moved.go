package masking

import (
	"strconv"

	"github.com/sallyport/sallyport/proxy"
)

const moveRemedy = "Change the rule first, so that it is about the new name too."

// moves refuses a statement after which a column that a rule is about has a name that
// the rule does not cover. Columns that are masked by what their names say are
// followed instead; see [spread].
func (v *view) moves(facts *proxy.Facts) proxy.Verdict {
	if facts == nil {
		return proxy.Pass()
	}
	for i := range facts.Writes {
		w := &facts.Writes[i]
		if !w.Moved {
			continue
		}
		for k := range w.Column.Origins {
			o := &w.Column.Origins[k]
			if rule, ok := v.about(o.Schema, o.Relation, o.Column); ok {
				if _, still := v.about(w.Schema, w.Relation, w.Column.Name); !still {
					return proxy.Deny(proxy.CauseMasking, rule, "column "+strconv.Quote(o.Column)+" is masked by a rule about its name, so it may not get another", moveRemedy)
				}
			}
		}
	}
	return proxy.Pass()
}

// about returns the name of a rule that is about a column.
func (v *view) about(schema, relation, column string) (rule string, ok bool) {
	for i := range v.columns {
		if c := &v.columns[i]; c.matches(schema, relation, column) {
			return c.mode.rule, true
		}
	}
	return "", false
}
