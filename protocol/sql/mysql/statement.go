package mysql

import (
	"strings"

	"github.com/sqlc-dev/marino/ast"

	"github.com/sallyport/sallyport/proxy"
)

// statement notes what one statement does.
func (v *visitor) statement(n ast.StmtNode) {
	switch n := n.(type) {
	case *ast.SelectStmt:
		v.facts.Rows = n.SelectIntoOpt == nil
		v.facts.Limited = n.Limit != nil || !v.facts.Rows
		v.unfilteredRead(n)
		v.visit(n)
	case *ast.SetOprStmt:
		v.facts.Rows, v.facts.Limited = true, n.Limit != nil
		v.unfilteredRead(n)
		v.visit(n)
	case *ast.InsertStmt:
		v.insert(n)
	case *ast.UpdateStmt:
		v.update(n)
	case *ast.DeleteStmt:
		v.delete(n)
	case *ast.LoadDataStmt:
		v.load(n.FileLocRef, n.OnDuplicate)
		v.with(proxy.EffectInsert, func() { v.visit(n.Table) })
		v.children(n, "Table")
	case *ast.CallStmt:
		v.facts.Rows = true
		v.add(proxy.EffectCall)
		v.children(n)
	case *ast.DoStmt:
		v.add(proxy.EffectRead)
		v.children(n)
	default:
		if !v.session(n) && !v.definition(n) && !v.administration(n) {
			v.unknown("a statement of a kind that is not known")
		}
	}
}

func (v *visitor) unfilteredRead(n ast.Node) {
	if scans(n) {
		v.facts.Unfiltered |= proxy.EffectRead
	}
}

func (v *visitor) insert(n *ast.InsertStmt) {
	e := proxy.EffectInsert
	if n.IsReplace {
		e |= proxy.EffectDelete
	}
	if len(n.OnDuplicate) > 0 {
		e |= proxy.EffectUpdate
	}
	v.add(e)
	v.with(e, func() { v.visit(n.Table) })
	v.with(proxy.EffectRead, func() { v.children(n, "Table") })
}

func (v *visitor) update(n *ast.UpdateStmt) {
	v.query(n.With, func() {
		v.add(proxy.EffectUpdate)
		if !restricts(n.Where) {
			v.facts.Unfiltered |= proxy.EffectUpdate
		}
		e := proxy.EffectUpdate
		if joined(n.TableRefs) { // which of them are changed is told by their columns
			e |= proxy.EffectRead
		}
		v.tables(n.TableRefs, e)
		v.with(proxy.EffectRead, func() { v.children(n, "With", "TableRefs") })
	})
}

func (v *visitor) delete(n *ast.DeleteStmt) {
	v.query(n.With, func() {
		v.add(proxy.EffectDelete)
		if !restricts(n.Where) {
			v.facts.Unfiltered |= proxy.EffectDelete
		}
		e := proxy.EffectDelete
		if joined(n.TableRefs) {
			e |= proxy.EffectRead
		}
		v.tables(n.TableRefs, e)
		v.with(proxy.EffectRead, func() { v.children(n, "With", "TableRefs", "Tables") })
	})
}

// tables notes the tables that a change names with what is done to them; what
// is in their subqueries and conditions is read.
func (v *visitor) tables(refs *ast.TableRefsClause, e proxy.Effects) {
	if refs == nil {
		return
	}
	var walk func(n ast.ResultSetNode)
	walk = func(n ast.ResultSetNode) {
		switch n := n.(type) {
		case nil:
		case *ast.Join:
			walk(n.Left)
			walk(n.Right)
			v.with(proxy.EffectRead, func() { v.children(n, "Left", "Right") })
		case *ast.TableSource:
			if name, ok := n.Source.(*ast.TableName); ok {
				v.with(e, func() { v.visit(name) })
				return
			}
			walk(n.Source)
		case *ast.TableName:
			v.with(e, func() { v.visit(n) })
		default:
			v.with(proxy.EffectRead, func() { v.visit(n) })
		}
	}
	if refs.TableRefs != nil {
		walk(refs.TableRefs)
	}
}

// joined reports whether there is more than one table.
func joined(refs *ast.TableRefsClause) bool {
	return refs != nil && refs.TableRefs != nil && (refs.TableRefs.Right != nil || isJoin(refs.TableRefs.Left))
}

func isJoin(n ast.ResultSetNode) bool {
	j, ok := n.(*ast.Join)
	return ok && (j.Right != nil || isJoin(j.Left))
}

// load notes where LOAD takes its rows from.
func (v *visitor) load(from ast.FileLocRefTp, duplicates ast.OnDuplicateKeyHandlingType) {
	e := proxy.EffectInsert
	if from == ast.FileLocClient {
		e |= proxy.EffectCopyIn
	} else {
		e |= proxy.EffectCopyProgram | proxy.EffectOutside
	}
	if duplicates == ast.OnDuplicateKeyHandlingReplace {
		e |= proxy.EffectDelete
	}
	v.add(e)
}

// session notes statements about the session and its transactions, and reports
// whether n is one.
func (v *visitor) session(n ast.StmtNode) bool {
	switch n := n.(type) {
	case *ast.SetStmt:
		v.set(n)
	case *ast.UseStmt:
		v.add(proxy.EffectSet)
		v.facts.Settings = append(v.facts.Settings, proxy.Setting{Name: "database", Value: n.DBName})
	case *ast.SetRoleStmt:
		v.add(proxy.EffectRole)
	case *ast.BeginStmt, *ast.CommitStmt, *ast.RollbackStmt, *ast.SavepointStmt, *ast.ReleaseSavepointStmt, *ast.XAStmt:
		v.add(proxy.EffectTransaction)
	case *ast.LockTablesStmt:
		v.add(proxy.EffectLock)
		for _, l := range n.TableLocks {
			v.with(proxy.EffectLock, func() { v.visit(l.Table) })
		}
	case *ast.UnlockTablesStmt:
		v.add(proxy.EffectLock)
	case *ast.ShowStmt:
		v.facts.Rows, v.facts.Limited = true, false
		v.add(proxy.EffectShow)
		v.with(proxy.EffectShow, func() { v.children(n) })
	case *ast.HelpStmt, *ast.GetDiagnosticsStmt, *ast.SignalStmt, *ast.ResignalStmt:
		v.facts.Rows = true
		v.add(proxy.EffectShow)
	case *ast.ExplainStmt:
		v.explain(n)
	case *ast.ExplainForStmt:
		v.facts.Rows = true
		v.add(proxy.EffectShow)
	case *ast.PrepareStmt:
		v.add(proxy.EffectPrepare)
		v.unknown("PREPARE takes its statement from a text")
	case *ast.ExecuteStmt:
		v.facts.Rows = true
		v.add(proxy.EffectExecute)
		v.unknown("EXECUTE runs a statement that was prepared before")
		v.facts.Unsure = true // whose text may have come from anywhere
		v.children(n)
	case *ast.DeallocateStmt:
		v.add(proxy.EffectPrepare)
	case *ast.HandlerOpenStmt, *ast.HandlerReadStmt, *ast.HandlerCloseStmt:
		_, v.facts.Rows = n.(*ast.HandlerReadStmt)
		v.add(proxy.EffectRead)
		v.with(proxy.EffectRead, func() { v.children(n) })
		if v.facts.Rows {
			v.facts.Limited = false
			v.facts.Unfiltered |= proxy.EffectRead
		}
	default:
		return false
	}
	return true
}

// set notes SET. Variables of the user's own change nothing.
func (v *visitor) set(n *ast.SetStmt) {
	v.literals = true
	v.add(proxy.EffectSet)
	for _, a := range n.Variables {
		v.visit(a.Value)
		name := strings.ToLower(a.Name)
		switch {
		case a.Name == ast.SetNames, a.Name == ast.SetCharset:
			name = "names"
		case !a.IsSystem:
			continue
		}
		if a.IsGlobal || a.IsInstance {
			v.add(proxy.EffectMaintain)
		}
		s := proxy.Setting{Name: name}
		if value, ok := a.Value.(ast.ValueExpr); ok {
			s.Value = value.GetString()
		}
		v.facts.Settings = append(v.facts.Settings, s)
	}
}

// explain notes EXPLAIN and DESCRIBE, which run their statement only with ANALYZE.
func (v *visitor) explain(n *ast.ExplainStmt) {
	if n.Analyze {
		v.statement(n.Stmt)
		v.add(proxy.EffectShow)
		v.facts.Rows = true
		return
	}
	inner := &visitor{facts: &proxy.Facts{}, mode: proxy.EffectRead, scope: v.scope, depth: v.depth}
	inner.statement(n.Stmt)
	v.add(proxy.EffectShow)
	v.facts.Rows, v.facts.Limited = true, false
	v.literals = v.literals || inner.literals
	for _, r := range inner.facts.Relations {
		v.relation(r.Schema, r.Name, proxy.EffectShow)
	}
	// Subqueries in FROM may be run to know their rows, and functions with them.
	v.add(inner.facts.Effects & (proxy.EffectCall | proxy.EffectOutside | proxy.EffectLock))
	v.facts.Functions = append(v.facts.Functions, inner.facts.Functions...)
	if inner.facts.Unknown != "" {
		v.unknown(inner.facts.Unknown)
	}
}
