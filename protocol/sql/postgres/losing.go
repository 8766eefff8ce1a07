package postgres

import (
	"slices"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/proxy"
)

// losses are what a statement takes data away by, unless nothing of it is there; nil
// when that cannot be told from relations, schemas, types and functions.
func (v *visitor) losses(n ast.Node) (list []proxy.Loss) {
	switch n := n.(type) {
	case *ast.DropStmt:
		return v.objectsOf(n)
	case *ast.TruncateStmt:
		if n.Relations == nil {
			return nil
		}
		for _, item := range n.Relations.Items {
			r, ok := item.(*ast.RangeVar)
			if !ok {
				return nil
			}
			if !v.own(r) {
				list = append(list, proxy.Loss{Schema: r.SchemaName, Name: r.RelName, Referring: n.Behavior == ast.DropCascade})
			}
		}
	case *ast.AlterTableStmt:
		if n.Relation == nil || n.Cmds == nil || n.Objtype != ast.OBJECT_TABLE || v.own(n.Relation) {
			return nil
		}
		l, loses := proxy.Loss{Schema: n.Relation.SchemaName, Name: n.Relation.RelName}, false
		for _, item := range n.Cmds.Items {
			c, ok := item.(*ast.AlterTableCmd)
			l.Dependents = l.Dependents || !ok || c.Behavior == ast.DropCascade
			loses = loses || !ok || v.alterationLoses(n.Relation, c)
		}
		if loses {
			list = append(list, l)
		}
	}
	return list
}

// lossKinds are the objects of which the server can be asked whether they hold data.
var lossKinds = map[ast.ObjectType]proxy.LossKind{
	ast.OBJECT_TABLE: proxy.LossTable, ast.OBJECT_MATVIEW: proxy.LossTable, ast.OBJECT_VIEW: proxy.LossView, ast.OBJECT_SCHEMA: proxy.LossSchema,
	ast.OBJECT_TYPE: proxy.LossType, ast.OBJECT_DOMAIN: proxy.LossType,
	ast.OBJECT_FUNCTION: proxy.LossFunction, ast.OBJECT_PROCEDURE: proxy.LossFunction, ast.OBJECT_ROUTINE: proxy.LossFunction,
	ast.OBJECT_EXTENSION: proxy.LossExtension,
}

func (v *visitor) objectsOf(n *ast.DropStmt) (list []proxy.Loss) {
	kind, ok := lossKinds[n.RemoveType]
	if !ok || n.Objects == nil || takesNoData(n) {
		return nil
	}
	for _, item := range n.Objects.Items {
		l := proxy.Loss{Kind: kind, Dependents: n.Behavior == ast.DropCascade || kind == proxy.LossExtension}
		switch item := item.(type) {
		case *ast.NodeList:
			l.Schema, l.Name = qualified(item)
		case *ast.TypeName:
			l.Schema, l.Name = qualified(item.Names)
		case *ast.ObjectWithArgs:
			l.Schema, l.Name = qualified(item.Objname)
		case *ast.String:
			l.Name = item.SVal
		}
		if l.Name == "" {
			return nil
		}
		if kind != proxy.LossTable && kind != proxy.LossView || !v.own(&ast.RangeVar{SchemaName: l.Schema, RelName: l.Name}) {
			list = append(list, l)
		}
	}
	return list
}

// lossesOf are the losses of several statements in one text. What is there when the
// first begins says what the later ones lose, as long as nothing before them puts data
// somewhere, lets a name mean something else, or ties something to what they take along.
func lossesOf(stmts []ast.Stmt, parts []*proxy.Facts) []proxy.Loss {
	var list []proxy.Loss
	kept, tied := true, false
	for i, f := range parts {
		if f.Unknown != "" {
			return nil
		}
		if !f.Lossless {
			if !kept || f.Losing == nil || tied && slices.ContainsFunc(f.Losing, func(l proxy.Loss) bool { return l.Dependents || l.Referring }) {
				return nil
			}
		}
		if kept {
			list = append(list, f.Losing...)
		}
		kept = kept && keepsData(stmts[i], f)
		tied = tied || f.Effects.Has(proxy.EffectCreate|proxy.EffectAlter)
	}
	return list
}

// keepsData reports whether, after a statement, every relation holds the data that it
// held before, or less, and every name means what it meant, or something without data.
func keepsData(n ast.Stmt, f *proxy.Facts) bool {
	const still = proxy.EffectRead | proxy.EffectShow | proxy.EffectTruncate | proxy.EffectDrop | proxy.EffectTransaction | proxy.EffectLock | proxy.EffectSet
	renames := slices.ContainsFunc(f.Renames, func(c proxy.NameChange) bool { return c.Kind != proxy.NameObject && c.Kind != proxy.NameTemporary })
	return !renames && f.Effects&^(still|proxy.EffectsDDL) == 0 && (!f.Effects.Has(proxy.EffectCreate|proxy.EffectAlter) || makesEmpty(n))
}

// makesEmpty reports whether a statement of DDL makes nothing that holds data, and moves
// none.
func makesEmpty(n ast.Stmt) bool {
	switch n := n.(type) {
	case *ast.CreateStmt, *ast.IndexStmt, *ast.CreateSeqStmt, *ast.CreateEnumStmt, *ast.CommentStmt:
		return true
	case *ast.AlterTableStmt:
		return n.Cmds != nil && !slices.ContainsFunc(n.Cmds.Items, func(item ast.Node) bool {
			c, ok := item.(*ast.AlterTableCmd)
			return !ok || !slices.Contains(keepingCommands, c.Subtype)
		})
	}
	return false
}

var keepingCommands = []ast.AlterTableType{
	ast.AT_AddColumn, ast.AT_DropColumn, ast.AT_ColumnDefault, ast.AT_DropNotNull, ast.AT_SetNotNull, ast.AT_AddConstraint, ast.AT_DropConstraint,
	ast.AT_AlterColumnType,
}
