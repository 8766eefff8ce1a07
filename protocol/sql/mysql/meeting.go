package mysql

import "github.com/sqlc-dev/marino/ast"

// meeting calls each with every node below n.
type meeting func(n ast.Node)

// Enter is called for every node.
func (m meeting) Enter(n ast.Node) (ast.Node, bool) {
	m(n)
	return n, false
}

// Leave is called after a node's children.
func (meeting) Leave(n ast.Node) (ast.Node, bool) { return n, true }

// moves reports whether something answers anew each time, or otherwise in another session: by functions, and by variables.
func moves(n ast.Node) (found bool) {
	n.Accept(meeting(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.VariableExpr:
			found = true
		case *ast.FuncCallExpr:
			found = found || n.Schema.O == "" && moving[lower(n.FnName.O)]
		}
	}))
	return found
}

// reads reports whether something reads tables.
func reads(n ast.Node) (found bool) {
	n.Accept(meeting(func(n ast.Node) {
		_, is := n.(*ast.SelectStmt)
		_, isTable := n.(*ast.TableName)
		found = found || is || isTable
	}))
	return found
}

// names reports whether something names one of these columns; any, where none are said.
func names(n ast.Node, columns map[string]bool) (found bool) {
	n.Accept(meeting(func(n ast.Node) {
		if c, ok := n.(*ast.ColumnName); ok {
			found = found || columns == nil || columns[lower(c.Name.O)]
		}
	}))
	return found
}
