package postgres

import (
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/proxy"
)

// in visits WITH, then runs f where its queries can be named. A query in WITH
// sees those before it; in WITH RECURSIVE all of them.
func (v *visitor) in(with *ast.WithClause, f func()) {
	outer := v.scope
	if with != nil && with.Ctes != nil {
		inner := &scope{outer: outer}
		if with.Recursive {
			for _, item := range with.Ctes.Items {
				if cte, ok := item.(*ast.CommonTableExpr); ok {
					inner.names = append(inner.names, cte.Ctename)
				}
			}
		}
		v.scope = inner
		for _, item := range with.Ctes.Items {
			cte, ok := item.(*ast.CommonTableExpr)
			if !ok {
				v.unknown("a WITH that is not understood")
				continue
			}
			v.visit(cte.Ctequery)
			if cte.SearchClause != nil {
				v.children(cte.SearchClause)
			}
			if cte.CycleClause != nil {
				v.children(cte.CycleClause)
			}
			if !with.Recursive {
				inner.names = append(inner.names, cte.Ctename)
			}
		}
	}
	f()
	v.scope = outer
}

func (v *visitor) query(n *ast.SelectStmt) {
	v.add(proxy.EffectRead)
	v.in(n.WithClause, func() { v.select_(n) })
}

// select_ visits a query after its WITH.
func (v *visitor) select_(n *ast.SelectStmt) {
	if n.IntoClause != nil {
		v.target(n.IntoClause.Rel, proxy.EffectCreate|proxy.EffectInsert)
		v.visit(n.IntoClause.Options)
	}
	if n.Larg != nil {
		v.visit(n.Larg)
	}
	if n.Rarg != nil {
		v.visit(n.Rarg)
	}
	for _, list := range []*ast.NodeList{
		n.DistinctClause, n.TargetList, n.FromClause, n.GroupClause, n.WindowClause, n.ValuesLists, n.SortClause, n.LockingClause,
	} {
		if list != nil {
			v.visit(list)
		}
	}
	for _, e := range []ast.Node{n.WhereClause, n.HavingClause, n.LimitOffset, n.LimitCount} {
		v.visit(e)
	}
}

func (v *visitor) insert(n *ast.InsertStmt) {
	v.in(n.WithClause, func() {
		v.target(n.Relation, proxy.EffectInsert)
		if s, ok := n.SelectStmt.(*ast.SelectStmt); ok && s != nil && s.ValuesLists != nil && s.WithClause == nil {
			v.select_(s) // VALUES reads nothing but what is in it
		} else {
			v.visit(n.SelectStmt)
		}
		if n.Cols != nil {
			v.visit(n.Cols)
		}
		if c := n.OnConflictClause; c != nil {
			if c.Action == ast.ONCONFLICT_UPDATE {
				v.target(n.Relation, proxy.EffectUpdate)
			}
			v.children(c)
		}
		v.returning(n.Relation, n.ReturningList)
	})
}

func (v *visitor) update(n *ast.UpdateStmt) {
	v.in(n.WithClause, func() {
		v.target(n.Relation, proxy.EffectUpdate)
		if v.everyRow(n.Relation, n.FromClause, n.WhereClause) {
			v.facts.Unfiltered |= proxy.EffectUpdate
		}
		if n.TargetList != nil {
			v.visit(n.TargetList)
		}
		v.from(n.FromClause)
		v.visit(n.WhereClause)
		v.returning(n.Relation, n.ReturningList)
	})
}

func (v *visitor) delete(n *ast.DeleteStmt) {
	v.in(n.WithClause, func() {
		v.target(n.Relation, proxy.EffectDelete)
		if v.everyRow(n.Relation, n.UsingClause, n.WhereClause) {
			v.facts.Unfiltered |= proxy.EffectDelete
		}
		v.from(n.UsingClause)
		v.visit(n.WhereClause)
		v.returning(n.Relation, n.ReturningList)
	})
}

func (v *visitor) merge(n *ast.MergeStmt) {
	v.in(n.WithClause, func() {
		v.add(proxy.EffectRead)
		if n.MergeWhenClauses != nil {
			for _, item := range n.MergeWhenClauses.Items {
				when, ok := item.(*ast.MergeWhenClause)
				if !ok {
					v.unknown("a WHEN that is not understood")
					continue
				}
				switch when.CommandType {
				case ast.CMD_INSERT:
					v.target(n.Relation, proxy.EffectInsert)
				case ast.CMD_UPDATE:
					v.target(n.Relation, proxy.EffectUpdate)
					v.matched(n, when, proxy.EffectUpdate)
				case ast.CMD_DELETE:
					v.target(n.Relation, proxy.EffectDelete)
					v.matched(n, when, proxy.EffectDelete)
				case ast.CMD_NOTHING:
				default:
					v.unknown("a WHEN that is not understood")
				}
				v.children(when)
			}
		}
		v.with(proxy.EffectRead, func() { v.visit(n.SourceRelation) })
		v.visit(n.JoinCondition)
		v.returning(n.Relation, n.ReturningList)
	})
}

// matched notes a change of every row, by a MERGE in which nothing restricts it.
func (v *visitor) matched(n *ast.MergeStmt, when *ast.MergeWhenClause, e proxy.Effects) {
	source := &ast.NodeList{Items: []ast.Node{n.SourceRelation}}
	if v.everyRow(n.Relation, source, when.Condition) && (when.MatchKind != ast.MERGE_WHEN_MATCHED || v.everyRow(n.Relation, source, n.JoinCondition)) {
		v.facts.Unfiltered |= e
	}
}

// from visits the tables other than the one that a statement changes.
func (v *visitor) from(list *ast.NodeList) {
	if list == nil {
		return
	}
	v.add(proxy.EffectRead)
	v.with(proxy.EffectRead, func() { v.visit(list) })
}

// returning makes a change a read too.
func (v *visitor) returning(r *ast.RangeVar, list *ast.NodeList) {
	if list == nil || len(list.Items) == 0 {
		return
	}
	v.target(r, proxy.EffectRead)
	v.visit(list)
}
