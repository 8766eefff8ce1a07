package postgres

import (
	"slices"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/proxy"
)

// A condition that compares a column with generated values, such as those of
// generate_series or VALUES, gives out the column by them: where substr(a, 1, 1) = n
// holds, n is a part of a. So what is compared with something derives from it, unless
// it is a column of a table that is compared as it is.

// equates notes what the columns that s sees derive from by a condition.
func (r *resolver) equates(s *space, n ast.Node) {
	if r.depth++; r.depth > maxDepth || !r.spend(1) {
		r.depth--
		return
	}
	defer func() { r.depth-- }()
	switch n := n.(type) {
	case *ast.ParenExpr:
		r.equates(s, n.Expr)
	case *ast.BoolExpr:
		if n.Args != nil {
			for _, a := range n.Args.Items {
				r.equates(s, a)
			}
		}
	case *ast.A_Expr:
		if _, name := qualified(n.Name); isNil(n.Lexpr) || isNil(n.Rexpr) || n.Kind == ast.AEXPR_OP && !compares[name] {
			return
		}
		left, right := r.columnsIn(s, n.Lexpr), r.columnsIn(s, n.Rexpr)
		if len(left) == 0 || len(right) == 0 {
			return
		}
		of, with := r.expression(s, n.Lexpr), r.expression(s, n.Rexpr)
		r.equal(left, with)
		r.equal(right, of)
	}
}

// seen is a column that an expression names.
type seen struct {
	level *space
	table *table
	at    int
}

// columnsIn are the columns that an expression names; none of one with a query in it.
func (r *resolver) columnsIn(s *space, n ast.Node) (list []seen) {
	query := false
	walk(n, r.depth, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.SubLink:
			query = true
		case *ast.ColumnRef:
			names, rest := namesOf(n.Fields)
			if len(names) == 0 || len(rest) > 0 {
				return
			}
			list = append(list, r.find(s, names)...)
		}
	})
	if query {
		return nil
	}
	return list
}

// find returns the columns that a reference may mean.
func (r *resolver) find(s *space, names []string) (list []seen) {
	column := names[len(names)-1]
	for level := s; level != nil; level = level.outer {
		for _, t := range level.tables {
			if len(names) > 1 && t.name != names[len(names)-2] {
				continue
			}
			r.spend(1 + len(t.columns)/8)
			for i := range t.columns {
				if t.columns[i].name == column {
					list = append(list, seen{level, t, i})
				}
			}
		}
		if len(list) > 0 {
			break
		}
	}
	return list
}

// equal notes that columns are compared with v.
func (r *resolver) equal(list []seen, v value) {
	if len(v.origins) == 0 {
		return
	}
	derived := r.as(v, proxy.DerivedTransformed)
	computed := false
	for _, o := range v.origins {
		computed = computed || o.How != proxy.DerivedPlain && o.How != proxy.DerivedPredicate
	}
	for _, c := range list {
		column := &c.table.columns[c.at]
		if slices.ContainsFunc(column.origins, func(o proxy.Origin) bool { return !o.Own }) && !computed || column.opaque || column.unsure != sure {
			continue
		}
		held := r.union(column.value, derived)
		c.table.columns = append([]output(nil), c.table.columns...)
		c.table.columns[c.at].value = held
		columns := append([]output(nil), c.level.columns...)
		for i := range columns {
			if columns[i].name == column.name {
				columns[i].value = r.union(columns[i].value, derived)
			}
		}
		c.level.columns = columns
	}
}
