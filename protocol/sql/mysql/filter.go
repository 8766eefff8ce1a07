package mysql

import (
	"github.com/sqlc-dev/marino/ast"
	"github.com/sqlc-dev/marino/opcode"
)

// restricts reports whether a WHERE can leave rows out: whether what it compares
// includes a column, in every branch of an OR. Conditions that are always true
// in other ways are not looked for.
func restricts(n ast.ExprNode) bool {
	switch n := n.(type) {
	case nil:
		return false
	case *ast.ParenthesesExpr:
		return restricts(n.Expr)
	case *ast.UnaryOperationExpr:
		if n.Op == opcode.Not || n.Op == opcode.Not2 {
			return restricts(n.V)
		}
	case *ast.BinaryOperationExpr:
		switch n.Op {
		case opcode.LogicAnd:
			return restricts(n.L) || restricts(n.R)
		case opcode.LogicOr, opcode.LogicXor:
			return restricts(n.L) && restricts(n.R)
		}
		if same(n.L, n.R) {
			return false // id = id
		}
	}
	return mentionsColumn(n)
}

func same(a, b ast.ExprNode) bool {
	l, ok := a.(*ast.ColumnNameExpr)
	r, ok2 := b.(*ast.ColumnNameExpr)
	return ok && ok2 && l.Name.Name.L == r.Name.Name.L && (l.Name.Table.L == r.Name.Table.L || l.Name.Table.L == "" || r.Name.Table.L == "")
}

// mentionsColumn reports whether a column is named in an expression, outside of
// subqueries that are judged by themselves.
func mentionsColumn(n ast.ExprNode) bool {
	m := &mention{}
	n.Accept(m)
	return m.found
}

// mention looks for a column.
type mention struct{ found bool }

func (m *mention) Enter(n ast.Node) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.ColumnNameExpr:
		m.found = true
	case *ast.SubqueryExpr:
		if s, ok := n.Query.(*ast.SelectStmt); ok && restricts(s.Where) {
			m.found = true // EXISTS (SELECT … WHERE …)
		}
		return n, true
	case ast.ValueExpr:
		return n, true
	}
	return n, m.found
}

func (m *mention) Leave(n ast.Node) (ast.Node, bool) { return n, true }

// scans reports whether a query reads a relation with nothing that leaves rows
// out.
func scans(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.SelectStmt:
		return n.From != nil && !restricts(n.Where)
	case *ast.SetOprStmt:
		if n.SelectList == nil {
			return false
		}
		for _, s := range n.SelectList.Selects {
			if scans(s) {
				return true
			}
		}
	case *ast.SetOprSelectList:
		for _, s := range n.Selects {
			if scans(s) {
				return true
			}
		}
	}
	return false
}
