package postgres

import (
	"github.com/multigres/multigres/go/common/parser/ast"
)

// subquery judges EXISTS, IN (SELECT …) and the like.
func (c *condition) subquery(n *ast.SubLink, negate bool) outcome {
	s := selectOf(n.Subselect)
	if s == nil {
		return fixed
	}
	switch {
	case n.SubLinkType == ast.EXISTS_SUBLINK:
		return c.exists(s).not(negate)
	case !isNil(n.Testexpr) && c.owns(n.Testexpr):
		_, op := qualified(n.OperName)
		if n.SubLinkType == ast.ANY_SUBLINK && (op == "" || op == "=") && c.ofAll(s, n.Testexpr) {
			return always.not(negate)
		}
		if n.SubLinkType == ast.ANY_SUBLINK && c.exists(s) == never {
			return never.not(negate)
		}
		return varies
	}
	if o := c.exists(s); o == varies || c.owns(s) {
		return varies
	}
	return fixed
}

// exists is whether a query returns a row.
func (c *condition) exists(s *ast.SelectStmt) outcome {
	if s.Larg != nil || s.Rarg != nil {
		return c.hangs(s)
	}
	if onlyAggregates(s) {
		return always // one row, whatever it counts
	}
	plain := s.HavingClause == nil && s.LimitCount == nil && s.LimitOffset == nil
	if len(c.inner) == 0 && plain && s.FromClause != nil && len(s.FromClause.Items) == 1 {
		if t, ok := s.FromClause.Items[0].(*ast.RangeVar); ok && !isNil(s.WhereClause) && c.pairs(s.WhereClause, t) {
			return always
		}
	}
	c.inner = append(c.inner, c.scope(s.FromClause))
	defer func() { c.inner = c.inner[:len(c.inner)-1] }()
	where := always
	if !isNil(s.WhereClause) {
		where = c.judge(s.WhereClause, false)
	}
	switch {
	case where == never, where == varies:
		return where
	case s.FromClause != nil && c.owns(s.FromClause), c.owns(s.HavingClause):
		return varies
	case s.FromClause == nil && plain:
		return where
	}
	return fixed
}

// onlyAggregates reports whether a query returns one row for all that it reads.
func onlyAggregates(s *ast.SelectStmt) bool {
	if s.GroupClause != nil || !isNil(s.HavingClause) || !isNil(s.LimitCount) || !isNil(s.LimitOffset) || s.TargetList == nil {
		return false
	}
	for _, item := range s.TargetList.Items {
		t, ok := item.(*ast.ResTarget)
		if !ok {
			return false
		}
		if f, ok := t.Val.(*ast.FuncCall); ok {
			if schema, name := qualified(f.Funcname); f.Over == nil && aggregates[name] && (schema == "" || schema == "pg_catalog") {
				return true
			}
		}
	}
	return false
}

// is reports whether t is the relation that is changed.
func (c *condition) is(t *ast.RangeVar) bool {
	if t.RelName != c.table || t.SchemaName == "" && c.v.scope.has(t.RelName) {
		return false
	}
	return t.SchemaName == c.schema || t.SchemaName == "" || c.schema == ""
}

// pairs reports whether a condition only says that a row of t, which is the
// relation itself, has the same value in a column as the row that is changed.
func (c *condition) pairs(n ast.Node, t *ast.RangeVar) bool {
	if !c.is(t) || nameOf(t) == c.name {
		return false
	}
	for _, part := range terms(n, false, false, nil) {
		e, ok := part.n.(*ast.A_Expr)
		if !ok || part.negate || e.Kind != ast.AEXPR_OP {
			return false
		}
		if _, op := qualified(e.Name); op != "=" {
			return false
		}
		l, lc := columnOf(e.Lexpr)
		r, rc := columnOf(e.Rexpr)
		if lc == "" || lc != rc || !(l == c.name && r == nameOf(t) || r == c.name && l == nameOf(t)) {
			return false
		}
	}
	return true
}

func columnOf(n ast.Node) (table, column string) {
	ref, ok := bare(n).(*ast.ColumnRef)
	if !ok {
		return "", ""
	}
	return qualified(ref.Fields)
}

// ofAll reports whether a query returns the column n of every row of the relation
// that is changed.
func (c *condition) ofAll(s *ast.SelectStmt, n ast.Node) bool {
	if len(c.inner) > 0 || s.Larg != nil || !isNil(s.LimitCount) || !isNil(s.LimitOffset) || !isNil(s.HavingClause) ||
		s.FromClause == nil || len(s.FromClause.Items) != 1 || s.TargetList == nil || len(s.TargetList.Items) != 1 {
		return false
	}
	t, ok := s.FromClause.Items[0].(*ast.RangeVar)
	target, ok2 := s.TargetList.Items[0].(*ast.ResTarget)
	if !ok || !ok2 || !c.is(t) {
		return false
	}
	_, column := columnOf(n)
	if _, of := columnOf(target.Val); column == "" || of != column {
		return false
	}
	return isNil(s.WhereClause) || (&condition{v: c.v, relation: c.relation, schema: c.schema, table: c.table, name: nameOf(t)}).judge(s.WhereClause, false) == always
}
