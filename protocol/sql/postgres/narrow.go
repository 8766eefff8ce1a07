package postgres

import (
	"slices"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
)

// outcome is what a condition comes to for the rows that a statement may change.
type outcome uint8

const (
	varies outcome = iota // it hangs on the row
	fixed                 // it is the same for every row; which, is not known
	always                // it is true of every row, apart from those with NULLs
	never                 // it is true of no row
)

// not is the outcome of the opposite.
func (o outcome) not(negate bool) outcome {
	switch {
	case !negate:
	case o == always:
		return never
	case o == never:
		return always
	}
	return o
}

// condition judges conditions of a statement that changes a relation: whether
// they can leave rows of it out.
type condition struct {
	v        *visitor
	relation *sql.Relation // nil when the catalog does not know it
	schema   string
	table    string    // its name, whatever its alias
	name     string    // what its columns are qualified with
	others   scopeOf   // what is joined with it
	inner    []scopeOf // the subqueries around, the innermost last
	depth    int
	steps    int
}

// maxSteps bounds the work for one condition, in nodes or so. What is beyond it is
// taken to leave no row out.
const maxSteps = 1 << 20

// scopeOf are the relations of a subquery's FROM.
type scopeOf struct {
	tables []*ast.RangeVar
	names  []string // of all that it has, relations or not
	open   bool     // it may have columns that are not known
}

// everyRow reports whether a statement with these further tables and this WHERE may
// change every row of r: no temporary table of the session's own, nor what is not there.
func (v *visitor) everyRow(r *ast.RangeVar, from *ast.NodeList, where ast.Node) bool {
	c := &condition{v: v}
	if r != nil {
		c.schema, c.table, c.name = r.SchemaName, r.RelName, nameOf(r)
		c.relation = v.catalog.Relation(r.SchemaName, r.RelName)
	}
	switch {
	case c.relation != nil && c.relation.OwnTable && c.relation.Schema == temporarySchema:
		return false // its rows are the session's, and end with it
	case r != nil && v.catalog.Absent(r.SchemaName, r.RelName):
		return false // the server says so
	}
	c.others = c.scope(from)
	if isNil(where) {
		return true
	}
	switch c.judge(where, false) {
	case never:
		return false
	case varies:
		// A relation joined with itself, row by row, is all of it.
		return from != nil && len(from.Items) == 1 && len(c.others.tables) == 1 && c.pairs(where, c.others.tables[0])
	}
	return true
}

func nameOf(r *ast.RangeVar) string {
	if r.Alias != nil && r.Alias.AliasName != "" {
		return r.Alias.AliasName
	}
	return r.RelName
}

// scope is what a FROM has.
func (c *condition) scope(from *ast.NodeList) (s scopeOf) {
	var add func(n ast.Node)
	add = func(n ast.Node) {
		switch n := n.(type) {
		case *ast.RangeVar:
			s.tables = append(s.tables, n)
			s.names = append(s.names, nameOf(n))
			if n.SchemaName == "" && c.v.scope.has(n.RelName) || c.v.catalog.Relation(n.SchemaName, n.RelName) == nil {
				s.open = true
			}
		case *ast.JoinExpr:
			add(n.Larg)
			add(n.Rarg)
		case *ast.RangeSubselect:
			s.open = true
			if n.Alias != nil {
				s.names = append(s.names, n.Alias.AliasName)
			}
		case *ast.RangeFunction:
			s.open = true
			if n.Alias != nil {
				s.names = append(s.names, n.Alias.AliasName)
			}
		default:
			s.open = s.open || !isNil(n)
		}
	}
	if from != nil {
		for _, item := range from.Items {
			add(item)
		}
	}
	return s
}

// has reports whether a relation of a scope is known to have the column.
func (c *condition) has(tables []*ast.RangeVar, column string) bool {
	return slices.ContainsFunc(tables, func(t *ast.RangeVar) bool {
		rel := c.v.catalog.Relation(t.SchemaName, t.RelName)
		return rel != nil && rel.Column(column) != nil
	})
}

// own reports whether a name means a column, or the row, of the relation that is
// changed. maybe is true of a name in a subquery that may be the subquery's own
// as well.
func (c *condition) own(n *ast.ColumnRef) (own, maybe bool) {
	names, _ := namesOf(n.Fields)
	if len(names) == 0 {
		return len(c.inner) == 0, false
	}
	if len(names) > 1 {
		of := names[len(names)-2]
		for i := range c.inner {
			if slices.Contains(c.inner[i].names, of) {
				return false, false
			}
		}
		return of == c.name, false
	}
	name := names[0]
	if slices.Contains(c.v.variables, name) {
		return false, false
	}
	for i := range c.inner {
		s := &c.inner[len(c.inner)-1-i]
		if c.has(s.tables, name) || slices.Contains(s.names, name) {
			return false, false
		}
		if s.open {
			return false, true
		}
	}
	switch {
	case name == c.name, system[name]:
		return true, false
	case c.relation != nil:
		return c.relation.Column(name) != nil, false
	}
	return !c.has(c.others.tables, name) && !slices.Contains(c.others.names, name), false
}

// owns reports whether a column of the relation has a say in n.
func (c *condition) owns(n ast.Node) bool {
	own, _ := c.mentions(n)
	return own
}

// mentions reports whether columns of the relation are named below n, and whether
// names are that may be such.
func (c *condition) mentions(n ast.Node) (own, maybe bool) {
	if isNil(n) {
		return false, false
	}
	c.steps++
	if c.depth++; c.depth > maxDepth || c.steps > maxSteps {
		c.depth--
		return false, false
	}
	defer func() { c.depth-- }()
	switch n := n.(type) {
	case *ast.ColumnRef:
		return c.own(n)
	case *ast.SelectStmt:
		c.inner = append(c.inner, c.scope(n.FromClause))
		defer func() { c.inner = c.inner[:len(c.inner)-1] }()
	}
	below(n, func(child ast.Node) {
		if own {
			return
		}
		o, m := c.mentions(child)
		own, maybe = o, maybe || m
	})
	return own, maybe
}
