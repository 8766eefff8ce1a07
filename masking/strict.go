package masking

import (
	"strconv"

	"github.com/sallyport/sallyport/proxy"
)

const (
	strictRemedy = "Return the column by itself, or leave it out."
	doubtful     = "used in WHERE, JOIN, ORDER BY, GROUP BY or a function call; this text may do so"
	maxUsed      = 32 // names that are noted of one statement
)

// strictly refuses a statement that uses a column under a strict rule for more
// than returning it. Where the analyser knows, its word counts; else the text's.
func (x *session) strictly(facts *proxy.Facts, m *mentions) proxy.Verdict {
	if v := x.keeps(facts, m); v.Refuses() {
		return v
	}
	if facts != nil && facts.ColumnsKnown && facts.Unknown == "" && !m.made {
		for i := range facts.Uses {
			u := &facts.Uses[i]
			if v := x.strictUse(&u.Origin, usePlaces[u.In]); v.Refuses() {
				return v
			}
		}
		opaque := false
		for i := range facts.Columns {
			opaque = opaque || facts.Columns[i].Opaque
			for k := range facts.Columns[i].Origins {
				o := &facts.Columns[i].Origins[k]
				if o.How == proxy.DerivedPlain {
					continue
				}
				if v := x.strictUse(o, derivations[o.How]); v.Refuses() {
					return v
				}
			}
		}
		if !opaque && !facts.Unsure {
			return proxy.Pass()
		}
	}
	for _, name := range m.used {
		if mode := x.view.modeOf("", "", name); mode.Mode == Strict {
			return refuseUse(mode.rule, name, "used in WHERE, JOIN, ORDER BY, GROUP BY or a function call")
		}
	}
	if m.doubtful {
		for i := range x.view.columns {
			if c := &x.view.columns[i]; c.mode.Mode == Strict {
				return refuseUse(c.mode.rule, c.column, doubtful)
			}
		}
		if x.view.general.Mode == Strict {
			return refuseUse(x.view.general.rule, "", doubtful)
		}
	}
	return proxy.Pass()
}

// keeps refuses what would keep a column under a strict rule where other names say
// nothing of it: tables and functions made of it, and what is copied elsewhere.
func (x *session) keeps(facts *proxy.Facts, m *mentions) proxy.Verdict {
	const kept = "stored under another name"
	if facts != nil && facts.Unknown == "" && len(facts.Writes) > 0 {
		for i := range facts.Writes {
			for k := range facts.Writes[i].Column.Origins {
				if v := x.strictUse(&facts.Writes[i].Column.Origins[k], kept); v.Refuses() {
					return v
				}
			}
		}
		return proxy.Pass()
	}
	copies := len(m.fills) > 0 && m.selects || len(m.lasts) > 0 && m.keeps
	if !copies || facts != nil && facts.Effects.Has(proxy.EffectPrepare) {
		return proxy.Pass()
	}
	for _, name := range m.names {
		if mode := x.view.modeOf("", "", name); mode.Mode == Strict {
			return refuseUse(mode.rule, name, kept)
		}
	}
	return proxy.Pass()
}

// strictUse refuses a use of base column o.
func (x *session) strictUse(o *proxy.Origin, how string) proxy.Verdict {
	if o.Column == "*" {
		for i := range x.view.columns {
			if c := &x.view.columns[i]; c.mode.Mode == Strict && c.of(o.Schema, o.Relation) {
				return refuseUse(c.mode.rule, c.column, "part of a row that is "+how)
			}
		}
		return proxy.Pass()
	}
	if mode := x.view.modeOf(o.Schema, o.Relation, o.Column); mode.Mode == Strict {
		return refuseUse(mode.rule, o.Column, how)
	}
	return proxy.Pass()
}

var usePlaces = map[proxy.UsePlace]string{
	proxy.UsePredicate: "used in a condition", proxy.UseJoin: "used in JOIN", proxy.UseGroup: "used in GROUP BY", proxy.UseOrder: "used in ORDER BY",
	proxy.UseDistinct: "used in DISTINCT",
}

var derivations = map[proxy.Derivation]string{
	proxy.DerivedTransformed: "used in an expression", proxy.DerivedAggregated: "used in an aggregate", proxy.DerivedPredicate: "used in a comparison",
}

func refuseUse(rule, column, how string) proxy.Verdict {
	name := "a column"
	if column != "" {
		name = "column " + strconv.Quote(column)
	}
	if how == "" {
		how = "used"
	}
	return proxy.Deny(proxy.CauseMasking, rule, name+" is masked and may not be "+how, strictRemedy)
}
