package postgres

import (
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/proxy"
)

// wholeOf returns the table of an UPDATE or DELETE that changes all of it, and every row
// of nothing else; nil of all other statements.
func wholeOf(n ast.Stmt, f *proxy.Facts) *proxy.Relation {
	var r *ast.RangeVar
	effect := proxy.EffectUpdate
	switch n := n.(type) {
	case *ast.UpdateStmt:
		if n.WithClause == nil && n.FromClause == nil {
			r = n.Relation
		}
	case *ast.DeleteStmt:
		effect = proxy.EffectDelete
		if n.WithClause == nil && n.UsingClause == nil {
			r = n.Relation
		}
	}
	if r == nil || r.RelName == "" || f.Unfiltered != effect {
		return nil
	}
	return &proxy.Relation{Schema: r.SchemaName, Name: r.RelName, Effects: effect}
}
