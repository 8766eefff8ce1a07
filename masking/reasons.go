package masking

import (
	"slices"

	"github.com/sallyport/sallyport/proxy"
)

// action is what is done with the values of a column.
type action uint8

const (
	scan    action = iota // each is looked into
	unquote               // the same, without its literals
	mask                  // each is masked as a whole, as of one type
	hide                  // each is hidden: what it is of is not known
)

// reason is a case of what is known of a column, and what is done because of it.
type reason struct {
	says string // of the column
	does action
	when func(q *question) bool // nil: what is known is told by more than a word
}

// What is certain of a column, by itself or by the columns that it derives from, decides
// first.
var (
	ofRule     = reason{says: "a rule is about it", does: mask}
	ofName     = reason{says: "its name says what it holds", does: mask}
	ofCopy     = reason{says: "it was filled with a masked column", does: mask}
	ofMade     = reason{says: "it was filled with what was computed from a masked column", does: hide}
	ofOrigin   = reason{says: "its values are those of a masked column", does: mask}
	ofUse      = reason{says: "it is computed from a masked column, or hangs on one", does: hide}
	ofContents = reason{says: "what was read of its table says what it holds", does: mask}
	ofValues   = reason{says: "nearly all values of the result are of one type", does: mask}
)

// doubts are what may be known of every other column. The first case that a column is
// decides; the last is every column.
var doubts = [...]reason{
	{"it is a plan, which may quote what functions return", unquote, func(q *question) bool { return q.isPlan() && q.plan != nil }},
	{"it is a plan, which has no data", scan, (*question).isPlan},
	{"it is not certain what its names mean to the session", hide, func(q *question) bool { return q.from != nil && q.from.Unsure }},
	{"all that it may hold is known, and is not masked", scan, (*question).resolved},
	{"an earlier statement gave its name to a masked column", hide, func(q *question) bool { return q.kept.gives(q.shape.Name, q.view) }},
	{"settings are read, where masked values may have gone", hide, func(q *question) bool { return q.kept.aside && q.m.settings }},
	{"it is a whole row as one value", hide, (*question).isRow},
	{"it is of what was made of masked columns", hide, func(q *question) bool { return q.kept.made(q.shape.Relation) }},
	{"it is of a view that cannot be seen through", hide, func(q *question) bool { return q.shape.Source != nil && q.shape.Source.Opaque }},
	{"a table is named that was filled with masked columns", hide, func(q *question) bool { return q.m.copies }},
	{"something is named that was made of masked columns", hide, func(q *question) bool { return q.ofTable() && q.m.made }},
	{"a masked column is named, which may be returned by this name", hide, func(q *question) bool { return q.ofTable() && q.m.any && !q.given() }},
	{"it is of a table, by its own name", scan, (*question).ofTable},
	{"it is of what an earlier statement prepared, of which masked columns may be part", hide, func(q *question) bool { return q.kept.reads(q.facts, q.m) }},
	{"it holds times, as no masked column does that is named", scan, func(q *question) bool {
		return q.m.any && q.column.kind == kindTime && !q.m.dates && q.view.mode < Balanced
	}},
	{"it is JSON whose keys are the names of columns", scan, func(q *question) bool {
		return q.m.any && q.column.kind == kindJSON && !q.m.computed && !q.m.opens && !q.m.renames && !q.m.made
	}},
	{"a masked column is named, and this may be computed from it", hide, func(q *question) bool { return q.m.any }},
	{"the name of a table or a query may mean its whole row", hide, func(q *question) bool {
		return q.m.rows && (q.column.kind != kindJSON || q.m.opens)
	}},
	{"a function is called that may return anything", hide, func(q *question) bool { return q.does(proxy.EffectCall) && !q.view.trusted(q.facts) }},
	{"the functions that are called return nothing masked", scan, func(q *question) bool { return q.does(proxy.EffectCall) }},
	{"it is of what an earlier statement prepared, of no masked column", scan, func(q *question) bool { return q.unknown() && q.m.runs }},
	{"it is not known what the statement does", hide, (*question).unknown},
	{"it has no name, and a rule is about a relation that is read", hide, func(q *question) bool { return q.shape.Name == "" && q.ruled() }},
	{"nothing that is masked is in reach", scan, func(*question) bool { return true }},
}

// question is what is known of a column of a result.
type question struct {
	view   *view
	facts  *proxy.Facts // of the statement; nil is nothing
	column *column
	shape  *proxy.ShapeColumn
	from   *proxy.Column // what it derives from; nil is nothing
	listed bool          // the text lists it by its name
	m      *mentions
	kept   *memory // of earlier statements
	plan   *plan   // that the statement shows; nil of one without foreign literals
}

// doubt returns the case of a column that is not certain to be masked.
func (q *question) doubt() *reason {
	for i := range doubts {
		if doubts[i].when(q) {
			return &doubts[i]
		}
	}
	return &doubts[0] // hidden
}

// resolved reports whether all that a column may hold is known by the columns that
// it derives from.
func (q *question) resolved() bool {
	made := func(o proxy.Origin) bool { return q.kept.made(o.Relation) }
	if q.kept.made(q.shape.Relation) || q.from != nil && slices.ContainsFunc(q.from.Origins, made) {
		return false // its columns' names are those that somebody chose for copies
	}
	if q.from == nil {
		return q.listed || q.shape.Column != ""
	}
	// A field of JSON that has a masked name is taken out of a column that has none.
	return !q.from.Opaque && !(q.m.fields && changes(q.from))
}

// isRow reports whether a column's values are whole rows.
func (q *question) isRow() bool {
	return q.ofTable() && q.shape.Attr == 0 || q.column.oid == oidRecord || q.column.oid == oidRecords
}

// isPlan reports whether a column shows the plan of a statement.
func (q *question) isPlan() bool {
	return q.facts != nil && q.facts.Plan != nil && q.shape.Name == "QUERY PLAN" && !q.ofTable()
}

// ofTable reports whether the server says which table a column is of.
func (q *question) ofTable() bool { return q.shape.Table != 0 }

// given reports whether the statement says of which column the name of this one is.
func (q *question) given() bool {
	_, known := q.m.labels.origin(q.shape.Name)
	return known
}

// ruled reports whether the statement may read a relation that a rule is about.
func (q *question) ruled() bool {
	for i := range q.view.columns {
		if touches(q.facts, &q.view.columns[i]) {
			return true
		}
	}
	return false
}

// does reports whether the statement is known to have an effect.
func (q *question) does(e proxy.Effects) bool { return q.facts != nil && q.facts.Effects.Has(e) }

// unknown reports whether it is not known what the statement does.
func (q *question) unknown() bool { return q.facts == nil || q.facts.Effects.Has(proxy.EffectUnknown) }

// numbersPass reports whether short numbers pass in a column that is hidden by a doubt, as
// counts do.
func (q *question) numbersPass() bool {
	return q.view.mode == Display && !q.m.computed && !q.m.made && !q.m.foreign && !(q.m.rows && q.m.opens) && !(q.kept.aside && q.m.settings) &&
		!(q.kept.computed && (q.m.runs || q.kept.gives(q.shape.Name, q.view)))
}
