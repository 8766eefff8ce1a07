package postgres

import (
	"slices"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/proxy"
)

// constraint returns the constraint of that kind of a column's definition, nil when it has
// none.
func constraint(d *ast.ColumnDef, kind ast.ConstrType) *ast.Constraint {
	if d.Constraints == nil {
		return nil
	}
	for _, item := range d.Constraints.Items {
		if c, ok := item.(*ast.Constraint); ok && c.Contype == kind {
			return c
		}
	}
	return nil
}

// newColumn is a column that a statement makes. One that is generated may hold what all
// others of its row do.
func newColumn(d *ast.ColumnDef) proxy.Column {
	return proxy.Column{Name: d.Colname, Unsure: constraint(d, ast.CONSTR_GENERATED) != nil}
}

// defaultOf is what the default of a column holds, which is what its rows may be filled
// with.
func (r *resolver) defaultOf(d *ast.ColumnDef) value {
	if c := constraint(d, ast.CONSTR_DEFAULT); c != nil && !isNil(c.RawExpr) {
		return r.expression(&space{}, c.RawExpr)
	}
	return value{}
}

// defaults notes what the defaults of the columns that CREATE TABLE names hold.
func (r *resolver) defaults(n *ast.CreateStmt) {
	if n.Relation == nil || n.TableElts == nil {
		return
	}
	t := rows{}
	for _, item := range n.TableElts.Items {
		if d, ok := item.(*ast.ColumnDef); ok {
			r.add(&t, output{d.Colname, r.defaultOf(d)})
		}
	}
	schema := n.Relation.SchemaName
	if schema == "" && n.Relation.RelPersistence == ast.RELPERSISTENCE_TEMP {
		schema = temporarySchema
	}
	r.written(schema, n.Relation.RelName, t)
}

// filled returns columns of the relation of that name with what the statement fills them
// with.
func (v *visitor) filled(name string, list []proxy.Column) []proxy.Column {
	for i := range v.facts.Writes {
		w := &v.facts.Writes[i]
		if w.Relation != name {
			continue
		}
		for k := range list {
			if c := &list[k]; c.Name == w.Column.Name || w.Column.Name == "*" {
				c.Origins = append(slices.Clip(c.Origins), w.Column.Origins...)
				c.Opaque, c.Unsure = c.Opaque || w.Column.Opaque, c.Unsure || w.Column.Unsure
			}
		}
	}
	return list
}

// alteredColumns are the columns of a temporary table of the session's own once a
// statement has altered it. known is false when they cannot be told.
func (v *visitor) alteredColumns(n *ast.AlterTableStmt, name string) (list []proxy.Column, known bool) {
	own := v.catalog.Temporary(name)
	if own == nil || !own.Known || n.Cmds == nil || !v.facts.Resolved {
		return nil, false
	}
	list = slices.Clone(own.Columns)
	at := func(name string) int {
		return slices.IndexFunc(list, func(c proxy.Column) bool { return c.Name == name })
	}
	for _, item := range n.Cmds.Items {
		c, ok := item.(*ast.AlterTableCmd)
		if !ok {
			return nil, false
		}
		switch c.Subtype {
		case ast.AT_AddColumn:
			d, ok := c.Def.(*ast.ColumnDef)
			if !ok {
				return nil, false
			}
			if at(d.Colname) < 0 {
				list = append(list, newColumn(d))
			}
		case ast.AT_DropColumn:
			if i := at(c.Name); i >= 0 {
				list = slices.Delete(list, i, i+1)
			}
		case ast.AT_AlterColumnType, ast.AT_ColumnDefault, ast.AT_SetNotNull, ast.AT_DropNotNull, ast.AT_AddConstraint, ast.AT_DropConstraint,
			ast.AT_SetStatistics, ast.AT_SetStorage:
		default:
			return nil, false
		}
	}
	return v.filled(name, list), true
}

// renamedColumn are the columns of a temporary table of the session's own once one has
// another name.
func (v *visitor) renamedColumn(n *ast.RenameStmt, name string) (list []proxy.Column, known bool) {
	own := v.catalog.Temporary(name)
	if own == nil || !own.Known || n.RenameType != ast.OBJECT_COLUMN {
		return nil, false
	}
	list = slices.Clone(own.Columns)
	for i := range list {
		if list[i].Name == n.Subname {
			list[i].Name = n.Newname
		}
	}
	return list, true
}
