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
	case *ast.NodeList:
		for _, item := range n.Items {
			if mentionsColumn(item, depth+1) {
				return true
			}
		}
		return false
	}
	v := reflect.ValueOf(n)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return false
	}
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		f := v.Field(i)
		if k := f.Kind(); k != reflect.Interface && k != reflect.Pointer || f.IsNil() {
			continue
		}
		if child, ok := f.Interface().(ast.Node); ok && mentionsColumn(child, depth+1) {
			return true
		}
	}
	return false
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
