package postgres

import (
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// table is something that columns can be taken of by its name.
type table struct {
	schema, name string
	rows
	relation *sql.Relation // nil of anything but a relation
}

// space is the names that are seen at a place in a query.
type space struct {
	outer   *space
	tables  []*table
	rows    // what is named without a table, and what * means
	windows map[string]value
	outputs []output // what ORDER BY and GROUP BY may name
}

// join adds an item of FROM.
func (r *resolver) join(s *space, item fromItem) {
	s.tables = append(s.tables, item.tables...)
	s.columns = append(s.columns[:len(s.columns):len(s.columns)], item.columns...)
	r.spend(len(item.columns))
	if item.open {
		s.open, s.rest = true, r.union(s.rest, item.rest)
	}
}

// system are the columns that every relation has. They hold nothing of its rows.
var system = map[string]bool{"ctid": true, "xmin": true, "cmin": true, "xmax": true, "cmax": true, "tableoid": true}

// lookup returns what the column of that name holds.
func lookup(r *resolver, t rows, name string) (v value, found bool) {
	r.spend(1 + len(t.columns)/8)
	for i := range t.columns {
		if t.columns[i].name == name {
			v, found = r.union(v, t.columns[i].value), true
		}
	}
	if !found && t.open {
		return t.rest, true
	}
	return v, found
}

// bare is what a name without a table means.
func (r *resolver) bare(s *space, name string) value {
	var v value
	found := false
	for level := s; level != nil; level = level.outer {
		of, ok := lookup(r, level.rows, name)
		if ok {
			v, found = r.union(v, of), true
			if !level.open {
				return v
			}
			// It may be one of the columns that are not known, or an outer one.
		}
		if !ok && system[name] && len(level.tables) > 0 {
			return v
		}
	}
	if t := s.table("", name); t != nil {
		return r.union(v, r.whole(t))
	}
	if !found && r.body == "" {
		r.doubt = true
		return r.unsurely(value{})
	}
	return v
}

// table finds what columns are qualified with, nil when there is none.
func (s *space) table(schema, name string) *table {
	for ; s != nil; s = s.outer {
		for _, t := range s.tables {
			if t.name == name && (schema == "" || t.schema == schema) {
				return t
			}
		}
	}
	return nil
}

// whole is what a table's row as one value derives from.
func (r *resolver) whole(t *table) value {
	if t.relation != nil && !t.relation.IsView() && !t.open {
		v := value{origins: []proxy.Origin{{Schema: t.relation.Schema, Relation: t.relation.Name, Column: "*"}}}
		for i := range t.columns { // what a change has assigned, and defaults of views
			for _, o := range t.columns[i].origins {
				if o.Schema != t.relation.Schema || o.Relation != t.relation.Name {
					v = r.union(v, value{origins: []proxy.Origin{o}})
				}
			}
			v.opaque = v.opaque || t.columns[i].opaque
		}
		return v
	}
	return r.as(r.all(t.rows), proxy.DerivedTransformed)
}

// member is what the column of a table means; a name that is not a column is a function
// of its row.
func (r *resolver) member(t *table, name string) value {
	if v, ok := lookup(r, t.rows, name); ok {
		return v
	}
	if system[name] {
		return value{}
	}
	return r.called(name, r.whole(t))
}

// called is what a function returns that is called as if it were a column.
func (r *resolver) called(name string, arg value) value {
	r.calls = append(r.calls, name)
	return r.function("", name, arg)
}

// reference is what a name with points in it means.
func (r *resolver) reference(s *space, n *ast.ColumnRef) value {
	names, rest := namesOf(n.Fields)
	var v value
	switch {
	case len(names) == 0:
		return r.incompletely()
	case len(names) == 1:
		v = r.bare(s, names[0])
	case len(names) > 4:
		return r.incompletely()
	default:
		k := len(names)
		schema := ""
		if k > 2 {
			schema = names[k-3]
		}
		if t := s.table(schema, names[k-2]); t != nil {
			v = r.member(t, names[k-1])
		} else if k == 2 && r.body == names[0] && r.body != "" { // a parameter
			v = value{}
		} else {
			r.doubt, v = true, r.unsurely(value{})
		}
	}
	for _, n := range rest {
		v = r.union(r.as(v, proxy.DerivedTransformed), r.as(r.expression(s, n), proxy.DerivedPredicate))
	}
	return v
}

// namesOf splits a reference into the names that it begins with and the rest.
func namesOf(list *ast.NodeList) (names []string, rest []ast.Node) {
	if list == nil {
		return nil, nil
	}
	for i, item := range list.Items {
		s, ok := item.(*ast.String)
		if !ok {
			return names, list.Items[i:]
		}
		names = append(names, s.SVal)
	}
	return names, nil
}

// stars returns what "*", "t.*" or "s.t.*" means; ok is false when n is not one
// of them.
func (r *resolver) stars(s *space, n ast.Node) (t rows, ok bool) {
	switch n := n.(type) {
	case *ast.ColumnRef:
		names, rest := namesOf(n.Fields)
		if len(rest) != 1 {
			return rows{}, false
		}
		if _, star := rest[0].(*ast.A_Star); !star {
			return rows{}, false
		}
		switch k := len(names); k {
		case 0:
			return s.rows, true
		case 1:
			if t := s.table("", names[0]); t != nil {
				return t.rows, true
			}
		default:
			if t := s.table(names[k-2], names[k-1]); t != nil {
				return t.rows, true
			}
		}
		r.doubt = true
		return openRows, true
	case *ast.A_Indirection:
		if n.Indirection == nil || len(n.Indirection.Items) == 0 {
			return rows{}, false
		}
		last := len(n.Indirection.Items) - 1
		if _, star := n.Indirection.Items[last].(*ast.A_Star); !star {
			return rows{}, false
		}
		if t := r.rowOf(s, n.Arg); t != nil && last == 0 {
			return t.rows, true
		}
		v := r.as(r.expression(s, n.Arg), proxy.DerivedTransformed)
		return rows{open: true, rest: v}, true
	}
	return rows{}, false
}

// rowOf returns the table whose row n is, nil when it is something else.
func (r *resolver) rowOf(s *space, n ast.Node) *table {
	for {
		p, ok := n.(*ast.ParenExpr)
		if !ok {
			break
		}
		n = p.Expr
	}
	c, ok := n.(*ast.ColumnRef)
	if !ok {
		return nil
	}
	names, rest := namesOf(c.Fields)
	if len(names) != 1 || len(rest) > 0 {
		return nil
	}
	for level := s; level != nil; level = level.outer {
		if _, ok := lookup(r, level.rows, names[0]); ok {
			return nil // a column goes before a row
		}
	}
	return s.table("", names[0])
}

// incompletely is for what is not understood.
func (r *resolver) incompletely() value {
	r.incomplete = true
	return opaque
}
