package postgres

import (
	"reflect"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// bothReadings is what text does in either reading of the backslashes in its
// plain literals. A reading by which a literal does not end, or by which the text is
// malformed, does not count: the server refuses the whole text then.
func (a *Analyzer) bothReadings(text []byte, catalog sql.Scope, r *proxy.Reading) *proxy.Facts {
	var readings []*proxy.Facts
	var refused *proxy.Facts
	for _, literals := range []sql.Literals{sql.LiteralsPlain, sql.LiteralsEscaped} {
		n := &sql.Normalised{}
		sql.NormalisePostgresAs(n, text, a.limits, literals)
		switch n.Problem {
		case "":
		case sql.Unclosed:
			continue
		default:
			return unreadable(n.Problem)
		}
		as := text
		if literals == sql.LiteralsEscaped {
			as = n.AppendEscaped(make([]byte, 0, len(text)+64), text)
		}
		facts, _ := a.parse(n, as, catalog, r, nil)
		if facts.Malformed {
			refused = facts
			continue
		}
		readings = append(readings, facts)
	}
	switch len(readings) {
	case 0:
		if refused != nil {
			return refused
		}
		return unreadable(sql.Unclosed)
	case 1:
		return readings[0]
	}
	return either(readings[0], readings[1], r.BackslashLiterals)
}

// either is what a text may do that is read in one of two ways. What marks a NULL
// in a COPY is read as the server has reported.
func either(x, y *proxy.Facts, escaped bool) *proxy.Facts {
	if reflect.DeepEqual(x, y) {
		return x
	}
	f := sum([]*proxy.Facts{x, y})
	f.Parts, f.Statements, f.Relations = nil, max(x.Statements, y.Statements), distinct(f.Relations)
	f.Columns, f.ColumnsKnown = nil, f.ColumnsKnown && !f.Rows
	f.Dialect, f.Path, f.Normalised, f.Fingerprint = x.Dialect, x.Path, x.Normalised, x.Fingerprint
	if escaped {
		f.Copy = y.Copy
	}
	if !sameFormat(x.Copy, y.Copy) {
		f.Effects |= proxy.EffectUnknown
		if f.Unknown == "" {
			f.Unknown = sql.Ambiguous
		}
	}
	return f
}

// sameFormat reports whether rows of two COPYs are told apart in the same way,
// but for what marks a NULL.
func sameFormat(x, y *proxy.CopyFacts) bool {
	if x == nil || y == nil {
		return x == y
	}
	a, b := *x, *y
	a.Null, b.Null = "", ""
	return reflect.DeepEqual(a, b)
}
