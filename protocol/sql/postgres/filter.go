package postgres

import (
	"reflect"

	"github.com/multigres/multigres/go/common/parser/ast"
)

// restricts reports whether a WHERE can leave rows out: whether what it compares
// includes a column, in every branch of an OR. Conditions that are always true
// in other ways are not looked for.
func restricts(n ast.Node) bool {
	if isNil(n) {
		return false
	}
	switch n := n.(type) {
	case *ast.ParenExpr:
		return restricts(n.Expr)
	case *ast.BoolExpr:
		if n.Args == nil || len(n.Args.Items) == 0 {
			return false
		}
		if n.Boolop == ast.NOT_EXPR {
			return restricts(n.Args.Items[0])
		}
		for _, arg := range n.Args.Items {
			if restricts(arg) != (n.Boolop == ast.OR_EXPR) {
				return n.Boolop != ast.OR_EXPR
			}
		}
		return n.Boolop == ast.OR_EXPR
	case *ast.A_Expr:
		if same(n.Lexpr, n.Rexpr) {
			return false // id = id
		}
	case *ast.CurrentOfExpr:
		return true
	}
	return mentionsColumn(n, 0)
}

func same(a, b ast.Node) bool {
	l, ok := a.(*ast.ColumnRef)
	r, ok2 := b.(*ast.ColumnRef)
	if !ok || !ok2 || l == nil || r == nil || l.Fields == nil || r.Fields == nil {
		return false
	}
	lt, ln := qualified(l.Fields)
	rt, rn := qualified(r.Fields)
	return ln == rn && (lt == rt || lt == "" || rt == "")
}

// mentionsColumn reports whether a column is named below n, outside of
// subqueries that are judged by themselves.
func mentionsColumn(n ast.Node, depth int) bool {
	if isNil(n) || depth > maxDepth {
		return false
	}
	switch n := n.(type) {
	case *ast.ColumnRef:
		return true
	case *ast.SubLink:
		// EXISTS (SELECT …) restricts when it is correlated, which takes a column of
		// the outer table; its own columns cannot be told from those here.
		return n.Subselect != nil && subqueryFilters(n)
	}
	found := false
	below(n, func(child ast.Node) { found = found || mentionsColumn(child, depth+1) })
	return found
}

// below calls f for every node that the fields of n hold.
func below(n ast.Node, f func(child ast.Node)) {
	if list, ok := n.(*ast.NodeList); ok {
		for _, item := range list.Items {
			f(item)
		}
		return
	}
	value := reflect.ValueOf(n)
	if value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	if value.Kind() != reflect.Struct {
		return
	}
	for i := range value.NumField() {
		if !value.Type().Field(i).IsExported() {
			continue
		}
		field := value.Field(i)
		if k := field.Kind(); k != reflect.Interface && k != reflect.Pointer || field.IsNil() {
			continue
		}
		if child, ok := field.Interface().(ast.Node); ok {
			f(child)
		}
	}
}

// walk calls f for n and every node below it, as deep as maxDepth.
func walk(n ast.Node, depth int, f func(ast.Node)) {
	if isNil(n) || depth > maxDepth {
		return
	}
	f(n)
	below(n, func(child ast.Node) { walk(child, depth+1, f) })
}

// subqueryFilters reports whether a subquery in a WHERE can leave rows out:
// it compares a column with it, or has a WHERE of its own.
func subqueryFilters(n *ast.SubLink) bool {
	if !isNil(n.Testexpr) && mentionsColumn(n.Testexpr, 0) {
		return true
	}
	s, ok := n.Subselect.(*ast.SelectStmt)
	return ok && s != nil && restricts(s.WhereClause)
}
