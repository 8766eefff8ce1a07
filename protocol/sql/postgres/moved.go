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
			r.moved(n.Relation, func(schema, name, column string) (string, string, string) {
				if column != n.Subname {
					return "", "", ""
				}
				return schema, name, n.Newname
			})
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
	for i := range t.columns {
		c := &t.columns[i]
		schema, relation, column := to(t.schema, of.RelName, c.name)
		if relation == "" {
			continue
		}
		was := proxy.Origin{Schema: t.schema, Relation: of.RelName, Column: c.name} // what is above or below it stays
		r.writes = append(r.writes, proxy.Write{Schema: schema, Relation: relation, Column: proxy.Column{Name: column, Origins: []proxy.Origin{was}}, Moved: true})
	}
	r.incomplete = r.incomplete || t.open
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
