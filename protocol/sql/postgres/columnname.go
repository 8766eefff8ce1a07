package postgres

import (
	"strings"

	"github.com/multigres/multigres/go/common/parser/ast"
)

// unnamedColumn is how the server calls a column for which it finds no name.
const unnamedColumn = "?column?"

// columnName is how the server calls the column of an expression (FigureColname
// in its parse_target.c).
func columnName(n ast.Node) string {
	if name, strength := figure(n); strength > 0 {
		return name
	}
	return unnamedColumn
}

// figure returns a name and how good it is: 1 for one that a better one below
// would replace, 0 for none.
func figure(n ast.Node) (name string, strength int) {
	if isNil(n) {
		return "", 0
	}
	switch n := n.(type) {
	case *ast.ParenExpr:
		return figure(n.Expr)
	case *ast.ColumnRef:
		if names := stringsOf(n.Fields); len(names) > 0 {
			return names[len(names)-1], 2
		}
	case *ast.A_Indirection:
		if names := stringsOf(n.Indirection); len(names) > 0 {
			return names[len(names)-1], 2
		}
		return figure(n.Arg)
	case *ast.FuncCall:
		_, name := qualified(n.Funcname)
		return name, 2
	case *ast.A_Expr:
		if n.Kind == ast.AEXPR_NULLIF {
			return "nullif", 2
		}
	case *ast.TypeCast:
		name, strength := figure(n.Arg)
		if strength <= 1 && n.TypeName != nil {
			if names := stringsOf(n.TypeName.Names); len(names) > 0 {
				return names[len(names)-1], 1
			}
		}
		return name, strength
	case *ast.CollateClause:
		return figure(n.Arg)
	case *ast.GroupingFunc:
		return "grouping", 2
	case *ast.SubLink:
		switch n.SubLinkType {
		case ast.EXISTS_SUBLINK:
			return "exists", 2
		case ast.ARRAY_SUBLINK:
			return "array", 2
		case ast.EXPR_SUBLINK:
			return firstColumn(n.Subselect), 2
		}
	case *ast.CaseExpr:
		name, strength := figure(n.Defresult)
		if strength <= 1 {
			return "case", 1
		}
		return name, strength
	case *ast.A_ArrayExpr, *ast.ArrayExpr:
		return "array", 2
	case *ast.RowExpr:
		return "row", 2
	case *ast.CoalesceExpr:
		return "coalesce", 2
	case *ast.MinMaxExpr:
		if n.Op == ast.IS_LEAST {
			return "least", 2
		}
		return "greatest", 2
	case *ast.XmlSerialize:
		return "xmlserialize", 2
	case *ast.XmlExpr:
		if names := []string{"xmlconcat", "xmlelement", "xmlforest", "xmlparse", "xmlpi", "xmlroot", "xmlserialize"}; int(n.Op) < len(names) {
			return names[n.Op], 2
		}
	case *ast.JsonFuncExpr:
		if names := []string{"json_exists", "json_query", "json_value"}; int(n.Op) < len(names) {
			return names[n.Op], 2
		}
	case *ast.SQLValueFunction:
		return valueFunction(n), 2
	case *ast.JsonObjectConstructor:
		return "json_object", 2
	case *ast.JsonArrayConstructor, *ast.JsonArrayQueryConstructor:
		return "json_array", 2
	case *ast.JsonObjectAgg:
		return "json_objectagg", 2
	case *ast.JsonArrayAgg:
		return "json_arrayagg", 2
	}
	return "", 0
}

// valueFunction is the name of current_date and its like, without a precision.
func valueFunction(n *ast.SQLValueFunction) string {
	name, _, _ := strings.Cut(strings.ToLower(n.SqlString()), "(")
	return name
}

// firstColumn is how the server calls the first column of a query.
func firstColumn(n ast.Node) string {
	q := selectOf(n)
	for q != nil && q.Larg != nil {
		q = q.Larg
	}
	if q == nil {
		return unnamedColumn
	}
	if q.ValuesLists != nil && len(q.ValuesLists.Items) > 0 {
		return "column1"
	}
	if q.TargetList == nil || len(q.TargetList.Items) == 0 {
		return unnamedColumn
	}
	if t, ok := q.TargetList.Items[0].(*ast.ResTarget); ok {
		if t.Name != "" {
			return t.Name
		}
		return columnName(t.Val)
	}
	return unnamedColumn
}
