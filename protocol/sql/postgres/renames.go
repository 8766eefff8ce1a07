package postgres

import (
	"slices"
	"strings"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// blockRenames is what a block may change, any of whose statements may run: objects of the
// catalog, where all that it does is to read and to make, change and drop them.
func blockRenames(f *proxy.Facts) []proxy.NameChange {
	const reads = proxy.EffectDo | proxy.EffectRead | proxy.EffectShow | proxy.EffectLock
	temporary := func(r proxy.Relation) bool { return strings.HasPrefix(r.Schema, temporarySchema) }
	switch {
	case f == nil || f.Effects&^(reads|proxy.EffectsDDL) != 0 || slices.ContainsFunc(f.Relations, temporary):
		return []proxy.NameChange{anyName}
	case f.Effects.Has(proxy.EffectsDDL):
		return []proxy.NameChange{{Kind: proxy.NameObject}}
	}
	return nil
}

var anyName = proxy.NameChange{Kind: proxy.NameAnything}

// changed is renames, which never says that it is not known.
func (v *visitor) changed(n ast.Stmt) []proxy.NameChange {
	if changes := v.renames(n); changes != nil {
		return changes
	}
	return []proxy.NameChange{}
}

// renames returns what a statement changes of what names mean to its session, as far
// as the statement is understood; see [sql.Renames].
func (v *visitor) renames(n ast.Stmt) []proxy.NameChange {
	if d, ok := n.(*ast.DeclareCursorStmt); ok {
		cursor := proxy.NameChange{Kind: proxy.NameCursor, Value: d.PortalName}
		if v.into != nil && !v.into.open && v.facts.Resolved {
			cursor.Columns, cursor.Known = columns(*v.into), true
		}
		if v.loud || v.setsNames() {
			return []proxy.NameChange{anyName, cursor, {Kind: proxy.NameLoudCursor}}
		}
		return []proxy.NameChange{cursor}
	}
	if v.loud {
		return []proxy.NameChange{anyName}
	}
	switch n := n.(type) {
	case *ast.DoStmt:
		return blockRenames(v.facts.Block)
	case *ast.FetchStmt:
		if v.catalog.Names().Unsure&proxy.UnsureCursors != 0 {
			return []proxy.NameChange{anyName}
		}
		return nil
	case *ast.SelectStmt:
		if len(v.facts.Settings) > 0 {
			return v.configured(n)
		}
		if n.IntoClause == nil {
			return v.fills()
		}
	case *ast.VariableSetStmt:
		return v.sets(n)
	case *ast.DiscardStmt:
		switch n.Target {
		case ast.DISCARD_ALL:
			return []proxy.NameChange{{Kind: proxy.NameUserReset}, {Kind: proxy.NamePathReset}, {Kind: proxy.NameNoTemporary}}
		case ast.DISCARD_TEMP:
			return []proxy.NameChange{{Kind: proxy.NameNoTemporary}}
		}
		return nil
	case *ast.TransactionStmt:
		switch n.Kind {
		case ast.TRANS_STMT_COMMIT, ast.TRANS_STMT_PREPARE:
			return []proxy.NameChange{{Kind: proxy.NameCommit}}
		case ast.TRANS_STMT_ROLLBACK:
			return []proxy.NameChange{{Kind: proxy.NameRollback}}
		case ast.TRANS_STMT_ROLLBACK_TO:
			return []proxy.NameChange{{Kind: proxy.NameRollbackTo}}
		case ast.TRANS_STMT_COMMIT_PREPARED: // what another session has prepared
			return []proxy.NameChange{{Kind: proxy.NameObject}}
		}
		return nil
	}
	if v.setsNames() {
		return []proxy.NameChange{anyName} // in a way that is not one of the above
	}
	return v.made(n)
}

// setsNames reports whether the statement changes a setting that says what names mean.
func (v *visitor) setsNames() bool {
	return v.facts.Effects.Has(proxy.EffectRole) || settles(v.facts.Settings)
}

// settles reports whether a setting is changed that says what names mean.
func settles(settings []proxy.Setting) bool {
	for i := range settings {
		switch settings[i].Name {
		case "search_path", "role", "session_authorization", "all", "":
			return true
		}
	}
	return false
}

// sets is what SET and RESET change.
func (v *visitor) sets(n *ast.VariableSetStmt) []proxy.NameChange {
	gives := n.Kind == ast.VAR_SET_VALUE
	c := proxy.NameChange{Local: n.IsLocal}
	switch n.Kind {
	case ast.VAR_RESET_ALL:
		c.Kind = proxy.NamePathReset // and nothing of roles
		return []proxy.NameChange{c}
	case ast.VAR_SET_MULTI, ast.VAR_SET_CURRENT:
		return nil
	}
	switch strings.ToLower(n.Name) {
	case "search_path":
		if c.Kind = proxy.NamePathReset; gives {
			c.Kind, c.Value = proxy.NamePath, plainPath(v.facts.Settings[len(v.facts.Settings)-1].Value)
		}
	case "role":
		if c.Kind = proxy.NameRoleReset; !v.facts.Settings[len(v.facts.Settings)-1].Reset {
			c.Kind = proxy.NameRole
		}
	case "session_authorization":
		if c.Kind = proxy.NameUserReset; gives {
			c.Kind = proxy.NameUser
		}
	default:
		return nil
	}
	return []proxy.NameChange{c}
}

// plainPath is a search_path that can be followed, empty when it cannot.
func plainPath(value string) string {
	if sql.PlainPath(value) {
		return value
	}
	return ""
}

// serverPath is the search_path in which nothing but the server's own is found.
const serverPath = "pg_catalog"

// configured is what a query with set_config changes: what it says, when it calls
// it once and for one row.
func (v *visitor) configured(n *ast.SelectStmt) []proxy.NameChange {
	if !v.setsNames() {
		return nil
	}
	plain := n.FromClause == nil && n.WhereClause == nil && n.WithClause == nil && n.Larg == nil && n.Rarg == nil && n.HavingClause == nil &&
		n.GroupClause == nil && n.LimitCount == nil && n.LimitOffset == nil && n.ValuesLists == nil && n.IntoClause == nil && n.TargetList != nil
	if !plain {
		return []proxy.NameChange{anyName}
	}
	var changes []proxy.NameChange
	calls := 0
	for _, item := range n.TargetList.Items {
		t, ok := item.(*ast.ResTarget)
		if !ok {
			return []proxy.NameChange{anyName}
		}
		call, ok := t.Val.(*ast.FuncCall)
		if !ok {
			continue
		}
		if _, name := qualified(call.Funcname); name != "set_config" {
			return []proxy.NameChange{anyName} // it may return no row
		}
		calls++
		c, ok := v.configures(call)
		if !ok {
			return []proxy.NameChange{anyName}
		}
		if c.Kind != proxy.NameAnything {
			changes = append(changes, c)
		}
	}
	if calls != len(v.facts.Settings) { // others are inside of something
		return []proxy.NameChange{anyName}
	}
	return changes
}

// configures is what one set_config changes; ok is false when that is not known.
// NameAnything is of a setting that says nothing of names.
func (v *visitor) configures(n *ast.FuncCall) (c proxy.NameChange, ok bool) {
	if n.Args == nil || len(n.Args.Items) != 3 {
		return c, false
	}
	name, value, local := v.argument(n.Args.Items[0]), v.argument(n.Args.Items[1]), v.argument(n.Args.Items[2])
	if !name.known || !value.known || !local.known {
		return c, name.known && !settles([]proxy.Setting{{Name: strings.ToLower(name.text)}})
	}
	switch local.text {
	case "true", "t":
		c.Local = true
	case "false", "f":
	default:
		return c, false
	}
	switch strings.ToLower(name.text) {
	case "search_path":
		c.Kind = proxy.NamePath
		if c.Value = plainPath(value.text); strings.TrimSpace(value.text) == "" {
			c.Value = serverPath
		}
	case "role":
		if c.Kind = proxy.NameRole; value.text == "none" {
			c.Kind = proxy.NameRoleReset
		}
	case "session_authorization":
		c.Kind = proxy.NameUser
	case "", "all":
		return c, false
	}
	return c, true
}

// made is what a statement makes, changes or drops.
func (v *visitor) made(n ast.Stmt) (changes []proxy.NameChange) {
	if _, ok := n.(*ast.GrantStmt); ok { // of a schema, which may be on the path
		return []proxy.NameChange{{Kind: proxy.NameObject}}
	}
	if !v.facts.Effects.Has(proxy.EffectsDDL) {
		return v.fills()
	}
	if keepsNames(n) {
		return nil
	}
	subject, ok := subjectOf(n)
	if !ok {
		changes = append(changes, proxy.NameChange{Kind: proxy.NameObject})
	}
	for i := range v.facts.Relations {
		r := &v.facts.Relations[i]
		if !r.Effects.Has(proxy.EffectsDDL) || subject != nil && r.Name != subject.RelName { // as what a foreign key refers to
			continue
		}
		if !ok && !strings.HasPrefix(r.Schema, temporarySchema) {
			continue
		}
		c := proxy.NameChange{Kind: proxy.NameObject, Schema: r.Schema, Value: r.Name}
		c.Columns, c.Known = v.columnsOf(n, r)
		v.doubts(c.Columns)
		c.Table, c.Local = makesTable(n), endsWithTransaction(n)
		c.Altered = !r.Effects.Has(proxy.EffectCreate)
		if strings.HasPrefix(r.Schema, temporarySchema) {
			c.Kind = proxy.NameTemporary
		} else if v.catalog.Names().Unsure&proxy.UnsureSchemas != 0 && r.Effects.Has(proxy.EffectCreate) { // the first schema may be that
			changes = append(changes, proxy.NameChange{Kind: proxy.NameTemporary, Value: r.Name})
		}
		changes = append(changes, c)
	}
	if rename, ok := n.(*ast.RenameStmt); ok {
		changes = append(changes, proxy.NameChange{Kind: proxy.NameObject, Value: rename.Newname})
	}
	return changes
}

// makesTable reports whether a statement makes a relation that it names, as a table.
func makesTable(n ast.Stmt) bool {
	switch n := n.(type) {
	case *ast.CreateStmt, *ast.SelectStmt: // INTO
		return true
	case *ast.CreateTableAsStmt:
		return n.ObjType == ast.OBJECT_TABLE
	}
	return false
}

// endsWithTransaction reports whether a statement makes a table ON COMMIT DROP.
func endsWithTransaction(n ast.Stmt) bool {
	switch n := n.(type) {
	case *ast.CreateStmt:
		return n.OnCommit == ast.ONCOMMIT_DROP
	case *ast.CreateTableAsStmt:
		return n.Into != nil && n.Into.OnCommit == ast.ONCOMMIT_DROP
	}
	return false
}

// fills are the columns of the session's own relations that a statement fills.
func (v *visitor) fills() (changes []proxy.NameChange) {
	n := v.catalog.Names()
	if len(n.Temporary)+len(n.Changed) == 0 {
		return nil
	}
	for i := range v.facts.Writes {
		w := &v.facts.Writes[i]
		filled := []proxy.Column{w.Column}
		v.doubts(filled)
		changes = append(changes, proxy.NameChange{Kind: proxy.NameFilled, Value: w.Relation, Columns: filled})
	}
	return changes
}

// doubts makes columns uncertain that are filled with what a function returns which cannot
// be seen through: they may hold anything, as its result may.
func (v *visitor) doubts(filled []proxy.Column) {
	if !v.facts.Effects.Has(proxy.EffectCall) {
		return
	}
	for i := range filled {
		filled[i].Unsure = filled[i].Unsure || filled[i].Opaque
	}
}

// columnsOf are the columns of relation r, which a statement makes, with what they
// are filled with. known is false when they cannot be told.
func (v *visitor) columnsOf(n ast.Stmt, r *proxy.Relation) (list []proxy.Column, known bool) {
	if !v.catalog.Looked() {
		return nil, false
	}
	if strings.HasPrefix(r.Schema, temporarySchema) {
		switch n := n.(type) {
		case *ast.AlterTableStmt:
			return v.alteredColumns(n, r.Name)
		case *ast.RenameStmt:
			return v.renamedColumn(n, r.Name)
		}
	}
	if !r.Effects.Has(proxy.EffectCreate) {
		return nil, false
	}
	switch n := n.(type) {
	case *ast.CreateStmt:
		if n.IfNotExists && !v.absent(r) {
			return nil, false
		}
		return v.defined(n)
	case *ast.CreateTableAsStmt:
		if n.IfNotExists && !v.absent(r) {
			return nil, false
		}
	case *ast.ViewStmt, *ast.SelectStmt:
	default:
		return nil, false
	}
	if v.into == nil || v.into.open || !v.facts.Resolved {
		return nil, false
	}
	return columns(*v.into), true
}

// absent reports whether no relation of r's name is there.
func (v *visitor) absent(r *proxy.Relation) bool {
	schema := r.Schema
	if schema == temporarySchema {
		schema = ""
	}
	return v.catalog.Absent(schema, r.Name)
}

// defined are the columns that CREATE TABLE names, or takes over from tables that
// it names. It is false when it takes others from elsewhere.
func (v *visitor) defined(n *ast.CreateStmt) (list []proxy.Column, known bool) {
	if n.InhRelations != nil && len(n.InhRelations.Items) > 0 || n.OfTypename != nil || n.PartBound != nil || n.TableElts == nil {
		return nil, false
	}
	for _, item := range n.TableElts.Items {
		switch d := item.(type) {
		case *ast.ColumnDef:
			if constraint(d, ast.CONSTR_DEFAULT) != nil && !v.facts.Resolved {
				return nil, false
			}
			list = append(list, newColumn(d))
		case *ast.TableLikeClause:
			if d.Relation == nil {
				return nil, false
			}
			found, certain := v.catalog.Relations(d.Relation.SchemaName, d.Relation.RelName)
			if !certain || len(found) != 1 {
				return nil, false
			}
			for i := range found[0].Columns {
				if found[0].Columns[i].Generated != "" {
					return nil, false
				}
				list = append(list, proxy.Column{Name: found[0].Columns[i].Name})
			}
		case *ast.Constraint:
		default:
			return nil, false
		}
	}
	return v.filled(n.Relation.RelName, list), true
}

// keepsNames reports whether a statement of DDL changes nothing of what the names of
// relations, functions and operators mean.
func keepsNames(n ast.Stmt) bool {
	switch n := n.(type) {
	case *ast.CommentStmt, *ast.CreateStatsStmt, *ast.AlterStatsStmt, *ast.CreatePublicationStmt, *ast.AlterPublicationStmt, *ast.CreateSubscriptionStmt,
		*ast.AlterSubscriptionStmt, *ast.CreateRoleStmt, *ast.AlterRoleStmt, *ast.DropRoleStmt, *ast.AlterOwnerStmt, *ast.CreatePolicyStmt, *ast.AlterPolicyStmt,
		*ast.AlterDatabaseStmt, *ast.AlterDatabaseRefreshCollStmt, *ast.CreatedbStmt, *ast.DropdbStmt, *ast.CreateTableSpaceStmt, *ast.DropTableSpaceStmt,
		*ast.AlterTableSpaceStmt, *ast.AlterTableMoveAllStmt, *ast.SecLabelStmt, *ast.AlterCollationStmt, *ast.CreateEventTrigStmt, *ast.AlterEventTrigStmt,
		*ast.CreateEnumStmt, *ast.AlterEnumStmt, *ast.IndexStmt:
		return true
	case *ast.CreateExtensionStmt: // what these make takes the place of nothing of the server's
		return confined[n.Extname]
	case *ast.CreateSchemaStmt:
		return n.SchemaElts == nil || len(n.SchemaElts.Items) == 0
	case *ast.DropStmt:
		switch n.RemoveType {
		case ast.OBJECT_INDEX, ast.OBJECT_TRIGGER, ast.OBJECT_POLICY, ast.OBJECT_PUBLICATION, ast.OBJECT_STATISTIC_EXT:
			return n.Behavior != ast.DropCascade
		}
	}
	return false
}

// subjectOf returns the relation whose name may mean something else after a statement
// of DDL; nil is all that DROP names. It is false when it may be others, or something
// that is not a relation.
func subjectOf(n ast.Stmt) (subject *ast.RangeVar, ok bool) {
	switch n := n.(type) {
	case *ast.CreateStmt:
		subject = n.Relation
	case *ast.CreateForeignTableStmt:
		if n.Base != nil {
			subject = n.Base.Relation
		}
	case *ast.ViewStmt:
		subject = n.View
	case *ast.CreateTableAsStmt:
		if n.Into != nil {
			subject = n.Into.Rel
		}
	case *ast.SelectStmt:
		if n.IntoClause != nil {
			subject = n.IntoClause.Rel
		}
	case *ast.CreateSeqStmt:
		subject = n.Sequence
	case *ast.AlterSeqStmt:
		subject = n.Sequence
	case *ast.CreateTriggerStmt:
		subject = n.Relation
	case *ast.RuleStmt:
		subject = n.Relation
	case *ast.AlterTableStmt:
		subject = n.Relation
	case *ast.RenameStmt:
		switch n.RenameType {
		case ast.OBJECT_TABLE, ast.OBJECT_VIEW, ast.OBJECT_MATVIEW, ast.OBJECT_SEQUENCE, ast.OBJECT_FOREIGN_TABLE, ast.OBJECT_COLUMN, ast.OBJECT_TABCONSTRAINT,
			ast.OBJECT_TRIGGER, ast.OBJECT_RULE, ast.OBJECT_POLICY, ast.OBJECT_INDEX:
			subject = n.Relation
		}
	case *ast.DropStmt:
		switch n.RemoveType {
		case ast.OBJECT_TABLE, ast.OBJECT_VIEW, ast.OBJECT_MATVIEW, ast.OBJECT_FOREIGN_TABLE, ast.OBJECT_SEQUENCE:
			return nil, n.Behavior != ast.DropCascade
		}
	}
	return subject, subject != nil
}
