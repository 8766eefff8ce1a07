package mysql

import (
	"github.com/sqlc-dev/marino/ast"
)

// assigns reports whether a statement gives a user variable something that is not in its own
// text.
func assigns(n ast.StmtNode) bool {
	a := &assignment{}
	switch n := n.(type) {
	case *ast.SelectStmt:
		if n.SelectIntoOpt != nil && n.SelectIntoOpt.Tp == ast.SelectIntoVars && n.From != nil {
			return true
		}
	case *ast.SetStmt:
		for _, v := range n.Variables {
			if !v.IsSystem && v.Value != nil {
				a.inside++
				v.Value.Accept(a)
				a.inside--
			}
		}
		return a.found
	case *ast.CallStmt, *ast.GetDiagnosticsStmt:
		return true // what it returns in parameters, what a message quotes
	}
	n.Accept(a)
	return a.found
}

// assignment looks for := of what is read.
type assignment struct {
	inside int
	found  bool
}

// Enter is called for every node.
func (a *assignment) Enter(n ast.Node) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.VariableExpr:
		if n.Value != nil && !n.IsSystem {
			a.inside++
			n.Value.Accept(a)
			a.inside--
		}
		return n, true
	case *ast.ColumnNameExpr, *ast.SubqueryExpr:
		a.found = a.found || a.inside > 0
	}
	return n, a.found
}

// Leave is called after a node's children.
func (a *assignment) Leave(n ast.Node) (ast.Node, bool) { return n, true }
