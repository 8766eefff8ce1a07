package postgres

import (
	"slices"

	"github.com/sallyport/sallyport/proxy"
)

// value is what an expression derives from. Its origins are shared between
// values and never changed.
type value struct {
	origins []proxy.Origin
	opaque  bool // it may hold more than the origins tell
	unsure  unsure
	given   []proxy.Source // literals and parameters, where fills are worked out
}

// unsure says how a value derives from names that may mean something else to the
// session than the catalog says.
type unsure uint8

const (
	sure     unsure = iota
	decided         // only their comparison decides it
	anything        // it may hold anything
)

var opaque = value{opaque: true}

// output is a column of what a query returns.
type output struct {
	name string
	value
}

// rows is what a query or an item of FROM returns.
type rows struct {
	columns []output
	// open says that it has further columns whose names are not known, all of which
	// derive from rest.
	open bool
	rest value
}

var openRows = rows{open: true, rest: opaque}

const (
	maxWork    = 4 << 20 // origins looked at in one text
	maxOrigins = 2048    // of one value
	maxColumns = 1664    // of a result, by the server's limit
)

// spend counts work and reports whether there is any left: text can be short and
// the columns that it means many.
func (r *resolver) spend(n int) bool {
	r.work += n
	if r.work > maxWork {
		r.incomplete = true
		return false
	}
	return true
}

// union is what derives from both.
func (r *resolver) union(a, b value) value {
	u := value{origins: a.origins, opaque: a.opaque || b.opaque, unsure: max(a.unsure, b.unsure), given: bothGiven(a.given, b.given)}
	switch {
	case len(b.origins) == 0:
		return u
	case len(a.origins) == 0:
		u.origins = b.origins
		return u
	case len(a.origins)+len(b.origins) > maxOrigins || !r.spend(len(a.origins)*len(b.origins)):
		u.opaque = true
		return u
	}
	grown := false
	for _, o := range b.origins {
		if slices.Contains(a.origins, o) {
			continue
		}
		if !grown {
			u.origins = append(make([]proxy.Origin, 0, len(a.origins)+len(b.origins)), a.origins...)
			grown = true
		}
		u.origins = append(u.origins, o)
	}
	return u
}

// as is v, derived in a further way. What only decides stays so.
func (r *resolver) as(v value, how proxy.Derivation) value {
	v.given = givenAs(v.given, how)
	if how == proxy.DerivedPredicate {
		v.unsure = min(v.unsure, decided)
	}
	changes := func(o proxy.Origin) bool {
		return how == proxy.DerivedPredicate && o.How != how || o.How == proxy.DerivedMember || o.How < how && o.How != proxy.DerivedPredicate
	}
	if !slices.ContainsFunc(v.origins, changes) {
		return v
	}
	r.spend(len(v.origins))
	out := make([]proxy.Origin, 0, len(v.origins))
	for _, o := range v.origins {
		if changes(o) {
			if o.How == proxy.DerivedMember {
				o.Key = ""
			}
			o.How = how
		}
		if len(out) > 64 || !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	v.origins = out
	return v
}

// all is what a whole row derives from.
func (r *resolver) all(t rows) value {
	var v value
	for i := range t.columns {
		v = r.union(v, t.columns[i].value)
	}
	if t.open {
		v = r.union(v, t.rest)
	}
	return v
}

// merge is both, column by column; the names are the first's.
func (r *resolver) merge(a, b rows) rows {
	if a.open || b.open || len(a.columns) != len(b.columns) {
		m := rows{columns: make([]output, len(a.columns)), open: true, rest: r.union(r.all(a), r.all(b))}
		for i := range a.columns {
			m.columns[i] = output{a.columns[i].name, m.rest}
		}
		return m
	}
	m := rows{columns: make([]output, len(a.columns))}
	for i := range a.columns {
		m.columns[i] = output{a.columns[i].name, r.union(a.columns[i].value, b.columns[i].value)}
	}
	return m
}

// named is t with its first columns renamed.
func (t rows) named(names []string) rows {
	if len(names) == 0 {
		return t
	}
	renamed := slices.Clone(t.columns)
	for i, name := range names {
		if i < len(renamed) {
			renamed[i].name = name
		} else if t.open {
			renamed = append(renamed, output{name, t.rest})
		}
	}
	t.columns = renamed
	return t
}

// add appends columns. A result has at most as many as the server allows.
func (r *resolver) add(t *rows, columns ...output) {
	if len(t.columns)+len(columns) > maxColumns || !r.spend(len(columns)) {
		t.open, t.rest = true, opaque
		return
	}
	t.columns = append(t.columns, columns...)
}

// extend appends all columns of more.
func (r *resolver) extend(t *rows, more rows) {
	if t.open {
		// Where the columns of more begin is not known.
		t.rest = r.union(t.rest, r.all(more))
		return
	}
	r.add(t, more.columns...)
	if more.open {
		t.open, t.rest = true, r.union(t.rest, more.rest)
	}
}
