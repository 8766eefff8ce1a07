package postgres

import (
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/proxy"
)

// statement returns what one statement does.
func (v *visitor) statement(n ast.Stmt) *proxy.Facts {
	switch n := n.(type) {
	case *ast.SelectStmt, *ast.InsertStmt, *ast.UpdateStmt, *ast.DeleteStmt, *ast.MergeStmt:
		v.visit(n)
	default:
		if !v.utility(n) {
			v.unknown("a statement of a kind that is not known")
		}
	}
	v.facts.Rows = returnsRows(n)
	v.facts.ColumnsKnown = !v.facts.Rows
	v.facts.Limited = limited(n)
	if s, ok := n.(*ast.SelectStmt); ok && scans(s) {
		v.facts.Unfiltered |= proxy.EffectRead
	}
	return v.facts
}

// ddl are the statements that do one thing to whatever they name.
func (v *visitor) ddl(n ast.Node) proxy.Effects {
	const (
		create = proxy.EffectCreate
		alter  = proxy.EffectAlter
		drop   = proxy.EffectDrop
		grant  = proxy.EffectGrant
		reach  = proxy.EffectOutside // takes in code, other servers or files
	)
	switch n := n.(type) {
	case *ast.CreateStmt, *ast.IndexStmt, *ast.ViewStmt, *ast.CreateSchemaStmt, *ast.CreateSeqStmt, *ast.CreateTriggerStmt,
		*ast.RuleStmt, *ast.CreateFunctionStmt, *ast.CreateDomainStmt, *ast.DefineStmt, *ast.CreateEnumStmt, *ast.CreateRangeStmt,
		*ast.CompositeTypeStmt, *ast.CreateStatsStmt, *ast.CreateCastStmt, *ast.CreateConversionStmt, *ast.CreateOpClassStmt,
		*ast.CreateOpFamilyStmt, *ast.CreatePublicationStmt, *ast.CreatedbStmt, *ast.CreateTransformStmt, *ast.CreateEventTrigStmt,
		*ast.CreateForeignTableStmt, *ast.CreateAssertionStmt:
		return create
	case *ast.CreateExtensionStmt:
		if confined[n.Extname] || n.IfNotExists && v.catalog.HasExtension(n.Extname) { // the latter is nothing, in the end
			return create
		}
		return create | reach
	case *ast.CreateFdwStmt, *ast.CreateForeignServerStmt, *ast.CreateSubscriptionStmt, *ast.CreatePLangStmt,
		*ast.CreateTableSpaceStmt, *ast.CreateAmStmt, *ast.ImportForeignSchemaStmt:
		return create | reach
	case *ast.CreateUserMappingStmt, *ast.CreateRoleStmt, *ast.CreatePolicyStmt:
		return create | grant
	case *ast.AlterDomainStmt, *ast.AlterTypeStmt, *ast.AlterEnumStmt, *ast.AlterFunctionStmt, *ast.AlterSeqStmt,
		*ast.AlterStatsStmt, *ast.AlterOpFamilyStmt, *ast.AlterOperatorStmt, *ast.AlterObjectSchemaStmt, *ast.AlterObjectDependsStmt,
		*ast.AlterCollationStmt, *ast.AlterDatabaseStmt, *ast.AlterDatabaseSetStmt, *ast.AlterDatabaseRefreshCollStmt,
		*ast.AlterTSConfigurationStmt, *ast.AlterTSDictionaryStmt, *ast.AlterPublicationStmt, *ast.AlterTableMoveAllStmt,
		*ast.AlterTableSpaceStmt, *ast.AlterEventTrigStmt, *ast.AlterExtensionContentsStmt, *ast.RenameStmt, *ast.CommentStmt:
		return alter
	case *ast.AlterExtensionStmt, *ast.AlterFdwStmt, *ast.AlterForeignServerStmt, *ast.AlterSubscriptionStmt:
		return alter | reach
	case *ast.AlterOwnerStmt, *ast.AlterPolicyStmt, *ast.AlterRoleStmt, *ast.AlterRoleSetStmt, *ast.AlterUserMappingStmt,
		*ast.SecLabelStmt, *ast.ReassignOwnedStmt:
		return alter | grant
	case *ast.GrantStmt, *ast.GrantRoleStmt, *ast.AlterDefaultPrivilegesStmt:
		return grant
	case *ast.DropRoleStmt, *ast.DropOwnedStmt, *ast.DropUserMappingStmt:
		return drop | grant
	case *ast.DropdbStmt, *ast.DropTableSpaceStmt:
		return drop
	case *ast.DropStmt:
		if n.RemoveType == ast.OBJECT_POLICY {
			return drop | grant
		}
		return drop
	case *ast.AlterTableStmt:
		return alter | v.alterations(n.Cmds)
	case *ast.AlterCompositeTypeStmt:
		return alter | v.alterations(n.Cmds)
	case *ast.AlterSystemStmt:
		return proxy.EffectMaintain | reach // writes a file of the server's
	case *ast.VacuumStmt, *ast.ReindexStmt, *ast.ClusterStmt, *ast.CheckPointStmt, *ast.RefreshMatViewStmt:
		return proxy.EffectMaintain
	case *ast.LoadStmt:
		return reach
	case *ast.ListenStmt, *ast.NotifyStmt, *ast.UnlistenStmt:
		return proxy.EffectNotify
	case *ast.ConstraintsSetStmt:
		return proxy.EffectTransaction
	case *ast.TruncateStmt:
		return proxy.EffectTruncate
	}
	return 0
}

// confined are the extensions of PostgreSQL's own that it lets everybody make who may make
// a table, since they act within the database: without the languages among them.
var confined = map[string]bool{
	"btree_gin": true, "btree_gist": true, "citext": true, "cube": true, "dict_int": true, "fuzzystrmatch": true, "hstore": true, "intarray": true, "isn": true,
	"lo": true, "ltree": true, "pg_trgm": true, "pgcrypto": true, "plpgsql": true, "seg": true, "tablefunc": true, "tcn": true, "tsm_system_rows": true,
	"tsm_system_time": true, "unaccent": true, "uuid-ossp": true,
}

// alterations are what ALTER TABLE's commands do in addition to altering.
func (v *visitor) alterations(cmds *ast.NodeList) proxy.Effects {
	if cmds == nil {
		return 0
	}
	var e proxy.Effects
	for _, item := range cmds.Items {
		c, ok := item.(*ast.AlterTableCmd)
		if !ok {
			e |= proxy.EffectUnknown
			continue
		}
		switch c.Subtype {
		case ast.AT_DropColumn, ast.AT_DropConstraint:
			e |= proxy.EffectDrop
		case ast.AT_AlterColumnType:
			if v.replaces(c) {
				e |= proxy.EffectDrop // what it held is gone, as if it were another column
			}
		case ast.AT_ChangeOwner, ast.AT_DisableRowSecurity, ast.AT_NoForceRowSecurity: // enabling it gives nobody anything
			e |= proxy.EffectGrant
		}
	}
	return e
}

// utility notes a statement other than a query or a change of rows, and reports
// whether n is one.
func (v *visitor) utility(n ast.Node) bool {
	if e := v.ddl(n); e != 0 {
		v.add(e)
		if e.Has(proxy.EffectDrop|proxy.EffectTruncate) && v.loses(n) {
			v.facts.Lossless, v.losing = false, v.losing || v.depth > 0
		}
		if e.Has(proxy.EffectUnknown) {
			v.unknown("an ALTER that is not understood")
		}
		switch n := n.(type) {
		case *ast.DropStmt:
			v.dropped(n)
		case *ast.DefineStmt:
			v.madeOf(n)
		case *ast.CreateSeqStmt: // the parser does not tell a temporary one
			if n.Sequence != nil && n.Sequence.SchemaName == "" {
				v.relation(temporarySchema, n.Sequence.RelName, e)
			}
		}
		v.with(e, func() { v.children(n) })
		return true
	}
	switch n := n.(type) {
	case *ast.CreateTableAsStmt:
		e := proxy.EffectCreate | proxy.EffectInsert
		if n.Into != nil {
			v.target(n.Into.Rel, e)
		} else {
			v.add(e)
		}
		v.visit(n.Query)
	case *ast.TransactionStmt:
		v.add(proxy.EffectTransaction)
		v.transactionModes(n.Options, true)
	case *ast.VariableSetStmt:
		v.set(n)
	case *ast.VariableShowStmt:
		v.add(proxy.EffectShow)
	case *ast.ExplainStmt:
		v.explain(n)
	case *ast.PrepareStmt:
		v.add(proxy.EffectPrepare)
		v.visit(n.Query)
	case *ast.DeallocateStmt:
		v.add(proxy.EffectPrepare)
	case *ast.ExecuteStmt:
		v.add(proxy.EffectExecute)
		v.unknown("EXECUTE runs a statement that was prepared before")
		v.children(n)
	case *ast.DoStmt:
		v.add(proxy.EffectDo)
		v.block(n)
	case *ast.CallStmt:
		v.add(proxy.EffectCall)
		if n.Funccall != nil {
			v.visit(n.Funccall)
		}
	case *ast.DeclareCursorStmt:
		v.visit(n.Query)
	case *ast.FetchStmt, *ast.ClosePortalStmt:
		v.add(proxy.EffectRead)
	case *ast.CopyStmt:
		v.copy(n)
	case *ast.DiscardStmt:
		v.add(proxy.EffectSet | proxy.EffectPrepare)
	case *ast.LockStmt:
		e := proxy.EffectLock
		if n.Mode == ast.AccessShareLock {
			e = proxy.EffectRead // every SELECT takes it
		}
		v.add(e)
		v.with(e, func() { v.children(n) })
	default:
		return false
	}
	return true
}

// madeOf notes the functions that an operator or an aggregate calls by another
// name from now on, as if they were called.
func (v *visitor) madeOf(n *ast.DefineStmt) {
	if n.Kind != ast.OBJECT_OPERATOR && n.Kind != ast.OBJECT_AGGREGATE || n.Definition == nil {
		return
	}
	for _, item := range n.Definition.Items {
		d, ok := item.(*ast.DefElem)
		if !ok {
			continue
		}
		if t, ok := d.Arg.(*ast.TypeName); ok {
			schema, name := qualified(t.Names)
			if class, effects := classify(schema, name); class == proxy.FunctionOutside || class == proxy.FunctionAdmin || class == proxy.FunctionSettings {
				v.function(schema, name, class)
				v.add(effects)
			}
			if _, ok := runners[name]; ok {
				v.unknown(name + " runs a text that is not known")
			}
		}
	}
}

// dropped notes what DROP names, where it is a relation.
func (v *visitor) dropped(n *ast.DropStmt) {
	switch n.RemoveType {
	case ast.OBJECT_TABLE, ast.OBJECT_VIEW, ast.OBJECT_MATVIEW, ast.OBJECT_FOREIGN_TABLE, ast.OBJECT_SEQUENCE, ast.OBJECT_INDEX:
	default:
		return
	}
	if n.Objects == nil {
		return
	}
	for _, item := range n.Objects.Items {
		if list, ok := item.(*ast.NodeList); ok {
			schema, name := qualified(list)
			v.relation(schema, name, proxy.EffectDrop)
		}
	}
}

// returnsRows reports whether the client gets rows.
func returnsRows(n ast.Stmt) bool {
	some := func(l *ast.NodeList) bool { return l != nil && len(l.Items) > 0 }
	switch n := n.(type) {
	case *ast.SelectStmt:
		return n.IntoClause == nil
	case *ast.InsertStmt:
		return some(n.ReturningList)
	case *ast.UpdateStmt:
		return some(n.ReturningList)
	case *ast.DeleteStmt:
		return some(n.ReturningList)
	case *ast.MergeStmt:
		return some(n.ReturningList)
	case *ast.FetchStmt:
		return !n.IsMove
	case *ast.VariableShowStmt, *ast.ExplainStmt, *ast.ExecuteStmt, *ast.CallStmt:
		return true
	}
	return false
}

// limited reports whether a query's rows are bounded by LIMIT or FETCH FIRST.
func limited(n ast.Stmt) bool {
	if f, ok := n.(*ast.FetchStmt); ok {
		return f.HowMany != ast.FETCH_ALL
	}
	s, ok := n.(*ast.SelectStmt)
	if !ok {
		return !returnsRows(n)
	}
	if isNil(s.LimitCount) {
		return false
	}
	return !isNull(s.LimitCount) // LIMIT ALL is LIMIT NULL
}

func isNull(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ParenExpr:
		return isNull(n.Expr)
	case *ast.TypeCast:
		return isNull(n.Arg)
	case *ast.A_Const:
		_, null := n.Val.(*ast.Null)
		return n.Isnull || null
	}
	return false
}

// scans reports whether a query reads a relation with nothing that leaves rows
// out.
func scans(s *ast.SelectStmt) bool {
	if s.Larg != nil || s.Rarg != nil {
		return s.Larg != nil && scans(s.Larg) || s.Rarg != nil && scans(s.Rarg)
	}
	if s.FromClause == nil || restricts(s.WhereClause) {
		return false
	}
	for _, item := range s.FromClause.Items {
		if _, ok := item.(*ast.RangeVar); ok {
			return true
		}
		if j, ok := item.(*ast.JoinExpr); ok && j != nil {
			return true
		}
	}
	return false
}
