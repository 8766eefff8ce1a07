package mysql

import (
	"slices"

	"github.com/sqlc-dev/marino/ast"

	"github.com/sallyport/sallyport/proxy"
)

// filling is an INSERT or REPLACE, and the table that it is into.
type filling struct {
	table   *ast.TableName
	schema  string
	name    string
	names   []string       // of the columns that it fills, in order
	columns []proxy.Column // of the table
	own     bool           // the table is the session's own
}

// filling returns what n fills; false where that is not known.
func (l *lineage) filling(n *ast.InsertStmt) (to filling, ok bool) {
	to.table = target(n.Table)
	if to.table == nil {
		l.unknown = true
		return to, false
	}
	to.schema, to.name = lower(or(to.table.Schema.O, l.schema)), lower(to.table.Name.O)
	to.own = slices.ContainsFunc(l.temporary, func(r *proxy.OwnRelation) bool { return r.Name == to.name })
	to.columns = l.table(to.table, nil)
	for _, col := range n.Columns {
		to.names = append(to.names, col.Name.O)
	}
	if to.names == nil {
		for i := range to.columns {
			to.names = append(to.names, to.columns[i].Name)
		}
	}
	return to, true
}

// fills notes what an INSERT puts into a table, which may be the session's own.
func (s *looked) fills(f *proxy.Facts, l *lineage, n *ast.InsertStmt, outer *frame) {
	to, ok := l.filling(n)
	if !ok {
		return
	}
	at := source{schema: to.schema, name: to.name, columns: to.columns}
	var written []proxy.Column
	if n.Select != nil {
		written, ok = l.query(n.Select, outer)
	} else {
		in := &frame{outer: outer, sources: []source{at}}
		for i, row := range n.Lists {
			var values []proxy.Column
			for _, v := range row {
				values = append(values, l.output("", v, in))
			}
			switch {
			case i == 0:
				written = values
			case len(values) == len(written):
				written = merge(written, values)
			default:
				ok = false
			}
		}
	}
	f.Uses = l.uses
	if len(written) == 0 && n.Select == nil {
		written = make([]proxy.Column, len(to.names)) // VALUES ()
	}
	if ok = ok && len(written) == len(to.names); !ok {
		l.unknown = true
		written = nil
	}
	for i := range written {
		written[i].Name = to.names[i]
	}
	written = append(written, s.instead(l, n, at, written, outer)...)
	f.Uses = l.uses
	if to.own {
		f.Renames = append(f.Renames, proxy.NameChange{
			Kind: proxy.NameFilled, Value: to.name, Schema: lower(to.table.Schema.O), Known: ok && !l.missing && !l.unknown, Columns: written,
		})
		return
	}
	for _, w := range written {
		if len(w.Origins) > 0 || w.Opaque {
			f.Writes = append(f.Writes, proxy.Write{Schema: to.schema, Relation: to.name, Column: w})
		}
	}
}

// instead is what ON DUPLICATE KEY UPDATE puts into columns in the place of what was written.
func (s *looked) instead(l *lineage, n *ast.InsertStmt, at source, written []proxy.Column, outer *frame) (more []proxy.Column) {
	if len(n.OnDuplicate) == 0 {
		return nil
	}
	in := &frame{outer: outer, sources: []source{at}, values: written}
	if in.values == nil {
		in.values = []proxy.Column{}
	}
	if n.RowAlias != nil {
		columns := written
		for i, a := range n.ColumnAliases {
			if columns = slices.Clone(columns); i < len(columns) {
				columns[i].Name = a.O
			}
		}
		in.sources = append(in.sources, source{name: lower(n.RowAlias.O), columns: columns})
	}
	if q, ok := n.Select.(*ast.SelectStmt); ok && q.From != nil {
		read := &frame{outer: outer}
		l.with(q.With, read)
		l.reads(q.From, read)
		in.outer = read
	}
	for _, a := range n.OnDuplicate {
		more = append(more, l.output(a.Column.Name.O, a.Expr, in))
		more[len(more)-1].Name = a.Column.Name.O
	}
	return more
}

// changes notes what an UPDATE puts into columns.
func (s *looked) changes(f *proxy.Facts, l *lineage, n *ast.UpdateStmt, outer *frame) {
	in := &frame{outer: outer}
	l.with(n.With, in)
	l.reads(n.TableRefs, in)
	for _, a := range n.List {
		to, from := l.column(a.Column, in, nil), l.output(a.Column.Name.O, a.Expr, in)
		if len(from.Origins) == 0 && !from.Opaque {
			continue
		}
		for _, o := range to.Origins {
			w := from
			w.Name = o.Column
			f.Writes = append(f.Writes, proxy.Write{Schema: o.Schema, Relation: o.Relation, Column: w})
		}
		f.Renames = append(f.Renames, filledOwn(l, in, a.Column, &from)...)
	}
	l.used(n.Where, in, proxy.UsePredicate, nil)
	f.Uses = l.uses
}

// filledOwn is what becomes of the session's own tables when a column of that name is filled.
func filledOwn(l *lineage, in *frame, n *ast.ColumnName, from *proxy.Column) (list []proxy.NameChange) {
	for _, r := range l.temporary {
		for i := range in.sources {
			if in.sources[i].columns != nil && (n.Table.O == "" || in.sources[i].name == lower(n.Table.O)) {
				c := *from
				c.Name = n.Name.O
				list = append(list, proxy.NameChange{Kind: proxy.NameFilled, Value: r.Name, Known: true, Columns: []proxy.Column{c}})
				break
			}
		}
	}
	return list
}
