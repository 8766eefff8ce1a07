package postgres

import (
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// prepared notes in f what a PREPARE gives a name to, or which name an EXECUTE
// runs, and reports whether literals have a say in it.
func prepared(n ast.Stmt, catalog sql.Scope, f *proxy.Facts) (literals bool) {
	switch n := n.(type) {
	case *ast.PrepareStmt:
		s, ok := n.Query.(ast.Stmt)
		if !ok || isNil(n.Query) {
			return false
		}
		v := newVisitor(catalog)
		f.Prepares = &proxy.Prepared{Name: n.Name, Facts: v.whole(s)}
		return v.literals
	case *ast.ExecuteStmt:
		if n.Params != nil {
			for _, a := range n.Params.Items {
				if _, ok := constant(a); !ok && !isNull(a) {
					return false
				}
			}
		}
		f.Executes = n.Name
	}
	return false
}
