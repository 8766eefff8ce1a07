package postgres

import (
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/proxy"
)

// moves notes the columns that have another name after a statement: as what is
// filled with those of the old one.
func (r *resolver) moves(n ast.Node) {
	switch n := n.(type) {
	case *ast.RenameStmt:
		switch n.RenameType {
		case ast.OBJECT_COLUMN:
			r.movedOne(n.Relation, n.Subname, n.Newname)
		case ast.OBJECT_TABLE, ast.OBJECT_VIEW, ast.OBJECT_MATVIEW, ast.OBJECT_FOREIGN_TABLE:
			r.moved(n.Relation, func(schema, _, column string) (string, string, string) { return schema, n.Newname, column })
		case ast.OBJECT_SCHEMA:
			r.movedAll(n.Subname, n.Newname)
		}
	case *ast.AlterObjectSchemaStmt:
		if n.Relation != nil {
			r.moved(n.Relation, func(_, name, column string) (string, string, string) { return n.NewSchema, name, column })
		}
	case *ast.AlterTableStmt:
		if n.Cmds == nil || n.Objtype == ast.OBJECT_INDEX {
			return
		}
		for _, item := range n.Cmds.Items {
			if cmd, ok := item.(*ast.AlterTableCmd); ok {
				r.joins(n.Relation, cmd)
			}
		}
	}
}

// joins notes the columns that are read through another table too after a command: that
// of which their own is a part from now on.
func (r *resolver) joins(of *ast.RangeVar, cmd *ast.AlterTableCmd) {
	var part, whole *ast.RangeVar
	switch d := cmd.Def.(type) {
	case *ast.RangeVar:
		if cmd.Subtype == ast.AT_AddInherit {
			part, whole = of, d
		}
	case *ast.PartitionCmd:
		if cmd.Subtype == ast.AT_AttachPartition {
			part, whole = d.Name, of
		}
	}
	if part == nil || whole == nil {
		return
	}
	t := r.relation(whole.SchemaName, whole.RelName)
	r.moved(part, func(_, _, column string) (string, string, string) {
		if _, known := lookup(r, t.rows, column); !known && !t.open {
			return "", "", ""
		}
		return t.schema, whole.RelName, column
	})
}

// moved notes where the columns of a relation are, by where each goes: an empty
// relation is nowhere else.
func (r *resolver) moved(of *ast.RangeVar, to func(schema, relation, column string) (string, string, string)) {
	if of == nil {
		r.incomplete = true
		return
	}
	t := r.relation(of.SchemaName, of.RelName)
	schemas := r.schemasOf(of, t)
	for i := range t.columns {
		for _, in := range schemas {
			c := t.columns[i].name
			if schema, relation, column := to(in, of.RelName, c); relation != "" {
				r.movedColumn(in, of.RelName, c, schema, relation, column)
			}
		}
	}
	r.incomplete = r.incomplete || t.open
}

// movedOne notes where a column is that gets another name. The text says all of it, even
// when what else the relation has is not known.
func (r *resolver) movedOne(of *ast.RangeVar, from, name string) {
	if of == nil {
		r.incomplete = true
		return
	}
	t := r.relation(of.SchemaName, of.RelName)
	if _, there := lookup(r, t.rows, from); !there && !t.open {
		return
	}
	schemas := r.schemasOf(of, t)
	for _, in := range schemas {
		r.movedColumn(in, of.RelName, from, in, of.RelName, name)
	}
	r.incomplete = r.incomplete || schemas[0] == ""
}

// movedColumn notes that a column is what another one was. What is above or below that
// stays.
func (r *resolver) movedColumn(schema, relation, column, toSchema, toRelation, toColumn string) {
	was := proxy.Origin{Schema: schema, Relation: relation, Column: column}
	r.writes = append(r.writes, proxy.Write{Schema: toSchema, Relation: toRelation, Column: proxy.Column{Name: toColumn, Origins: []proxy.Origin{was}}, Moved: true})
}

// schemasOf are the schemas in which a relation may be. One that the open transaction has
// changed is where it was; one that it has made without a schema is where names without
// one are looked up.
func (r *resolver) schemasOf(of *ast.RangeVar, t *table) []string {
	if t.schema != "" {
		return []string{t.schema}
	}
	found, _ := r.catalog.Relations(of.SchemaName, of.RelName)
	var list []string
	for _, rel := range found[:min(len(found), maxMeanings)] {
		list = append(list, rel.Schema)
	}
	if s := r.catalog.Snapshot(); len(list) == 0 && s != nil && r.catalog.Names().Unsure&proxy.UnsureSchemas == 0 {
		list = append(list, s.Path...)
	}
	if len(list) == 0 {
		list = append(list, "")
	}
	return list
}

// movedAll notes where the columns of all relations of a schema are.
func (r *resolver) movedAll(schema, to string) {
	s := r.catalog.Snapshot()
	if s == nil {
		return
	}
	for _, rel := range s.Relations {
		if rel.Schema != schema || !r.spend(1+len(rel.Columns)) {
			continue
		}
		r.moved(&ast.RangeVar{SchemaName: schema, RelName: rel.Name}, func(_, name, column string) (string, string, string) { return to, name, column })
	}
}
