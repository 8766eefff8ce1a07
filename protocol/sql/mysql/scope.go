package mysql

import (
	"encoding/binary"

	"github.com/sqlc-dev/marino/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// looked is what names are looked up in.
type looked struct {
	catalog *sql.Snapshot // nil: nothing is known of them
	blind   bool          // there is a catalog, and it could not be read
	names   proxy.Names   // of the session: its path is the database that is current
}

// appendKey appends what tells apart what names mean, for the cache. Nothing is appended, and it
// is false, where that is the session's own alone.
func (s *looked) appendKey(dst []byte) ([]byte, bool) {
	switch {
	case s.blind:
		return append(dst, 2), true
	case s.catalog == nil:
		return dst, true
	}
	dst = binary.BigEndian.AppendUint64(append(dst, 1), s.catalog.Number())
	dst = append(append(dst, s.names.Path...), 0, byte(s.names.Unsure))
	return dst, len(s.names.Temporary) == 0
}

func (s *looked) lineage() *lineage {
	l := &lineage{catalog: s.catalog, schema: s.names.Path, temporary: s.names.Temporary}
	l.variables = s.names.Unsure&proxy.UnsureTemporary != 0
	l.moved = s.names.Unsure&proxy.UnsureObjects != 0
	if s.names.Unsure&proxy.UnsurePath != 0 {
		l.schema = ""
	}
	return l
}

// resolve adds to the facts of a statement what the catalog says.
func (s *looked) resolve(f *proxy.Facts, n ast.StmtNode) {
	f.Path = s.names.Path
	if s.catalog == nil {
		f.Unsure = f.Unsure || s.blind && len(f.Relations) > 0
		return
	}
	l := s.lineage()
	for i := range f.Relations {
		if f.Relations[i].Schema == "" {
			f.Relations[i].Schema = lower(l.schema)
		}
	}
	followed := s.follows(f, l, n)
	f.Unsure = f.Unsure || l.missing
	if assigns(n) {
		f.Renames = append(f.Renames, proxy.NameChange{Kind: proxy.NameTemporary, Value: "@"})
	}
	e := &expansion{names: s, facts: f}
	e.expand()
	f.Unsure = f.Unsure || e.missing
	f.Resolved = followed && !l.missing && !l.unknown && !e.missing && !e.blind && f.Unknown == ""
}

// follows notes what a statement returns and fills, and reports whether that is all of it.
func (s *looked) follows(f *proxy.Facts, l *lineage, n ast.StmtNode) bool {
	switch n := n.(type) {
	case *ast.SelectStmt, *ast.SetOprStmt:
		s.returns(f, l, n)
		return f.ColumnsKnown && !f.Effects.Has(proxy.EffectCopyProgram)
	case *ast.CreateTableStmt:
		s.makes(f, l, n)
	case *ast.CreateViewStmt: // whose columns are not filled, but read when it is
		_, ok := l.query(n.Select, nil)
		return ok
	case *ast.InsertStmt:
		s.fills(f, l, n, nil)
	case *ast.UpdateStmt:
		s.changes(f, l, n, nil)
	case *ast.DeleteStmt:
		in := &frame{}
		l.with(n.With, in)
		l.reads(n.TableRefs, in)
		l.used(n.Where, in, proxy.UsePredicate, nil)
		f.Uses = l.uses
	case *ast.LoadDataStmt:
		return len(n.ColumnAssignments) == 0
	case *ast.ExplainStmt:
		inner := *f
		return s.follows(&inner, l, n.Stmt)
	case *ast.DropTableStmt:
		for _, t := range n.Tables {
			l.lost(f, t)
		}
	case *ast.AlterTableStmt:
		l.lost(f, n.Table)
		for _, spec := range n.Specs {
			if spec.NewTable != nil {
				l.lost(f, spec.NewTable)
			}
		}
	case *ast.RenameTableStmt:
		for _, t := range n.TableToTables {
			l.lost(f, t.OldTable)
			l.lost(f, t.NewTable)
		}
	case *ast.ShowStmt:
		return n.Where == nil
	case *ast.TruncateTableStmt, *ast.CreateIndexStmt, *ast.DropIndexStmt, *ast.LockTablesStmt, *ast.UnlockTablesStmt, *ast.AnalyzeTableStmt,
		*ast.CheckTableStmt, *ast.ChecksumTableStmt, *ast.OptimizeTableStmt, *ast.RepairTableStmt, *ast.UseStmt, *ast.BeginStmt, *ast.CommitStmt,
		*ast.RollbackStmt, *ast.SavepointStmt, *ast.ReleaseSavepointStmt:
	default:
		return len(f.Relations) == 0 && !f.Effects.Has(opaque)
	}
	return true
}

// opaque are the effects of statements that may do anything.
const opaque = proxy.EffectUnknown | proxy.EffectCall | proxy.EffectDo | proxy.EffectExecute

// after has what follows a statement in the same text looked up as it leaves the names.
func (s *looked) after(f *proxy.Facts) {
	n := &s.names
	for i := range f.Settings {
		if set := &f.Settings[i]; set.Name == "database" {
			n.Path = set.Value
		}
	}
	made := false
	for _, c := range f.Renames {
		if made = made || c.Kind == proxy.NameTemporary; c.Value == "@" {
			n.Unsure |= proxy.UnsureTemporary
		} else {
			*n = sql.Rename(*n, c)
		}
	}
	switch {
	case f.Effects.Has(opaque):
		n.Unsure |= proxy.UnsurePath | proxy.UnsureTemporary | proxy.UnsureObjects
		n.Temporary = sql.Unknown(n.Temporary)
	case f.Effects.Has(proxy.EffectsDDL) && !made:
		n.Unsure |= proxy.UnsureObjects
	}
}

// lost notes that it is not known any more what a name means, where it may be that of a table
// of the session's own.
func (l *lineage) lost(f *proxy.Facts, t *ast.TableName) {
	if len(l.temporary) > 0 && t != nil {
		f.Renames = append(f.Renames, proxy.NameChange{Kind: proxy.NameTemporary, Value: lower(t.Name.O)})
	}
}

// returns notes the columns of a query.
func (s *looked) returns(f *proxy.Facts, l *lineage, n ast.Node) {
	columns, ok := l.query(n, nil)
	f.Uses = l.uses
	if ok && !l.unknown && f.Rows {
		f.Columns, f.ColumnsKnown = columns, true
	}
}

// makes notes a table that is made, with what its columns hold.
func (s *looked) makes(f *proxy.Facts, l *lineage, n *ast.CreateTableStmt) {
	c := proxy.NameChange{Kind: proxy.NameTemporary, Value: lower(n.Table.Name.O), Schema: lower(n.Table.Schema.O), Known: true, Table: true}
	if n.ReferTable != nil {
		c.Known = false
		if r := l.catalog.Relation(lower(or(n.ReferTable.Schema.O, l.schema)), lower(n.ReferTable.Name.O)); r != nil && !l.moved {
			c.Known = true
			for i := range r.Columns {
				c.Columns = append(c.Columns, proxy.Column{Name: r.Columns[i].Name})
			}
		}
	}
	for _, col := range n.Cols {
		c.Columns = append(c.Columns, proxy.Column{Name: col.Name.Name.O})
	}
	if n.Select != nil {
		columns, ok := l.query(n.Select, nil)
		l.unknown = l.unknown || !ok
		f.Uses = l.uses
		c.Known = c.Known && ok && !l.missing && !l.unknown
		for _, from := range columns {
			if at := indexOf(c.Columns, from.Name); at < 0 {
				c.Columns = append(c.Columns, from)
			} else {
				c.Columns[at] = from
			}
			if n.TemporaryKeyword == ast.TemporaryNone {
				f.Writes = append(f.Writes, proxy.Write{Schema: lower(or(n.Table.Schema.O, l.schema)), Relation: c.Value, Column: from})
			}
		}
	}
	if n.TemporaryKeyword != ast.TemporaryNone {
		f.Renames = append(f.Renames, c)
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// target is the one table that an INSERT is into.
func target(refs *ast.TableRefsClause) *ast.TableName {
	if refs == nil || refs.TableRefs == nil {
		return nil
	}
	if s, ok := refs.TableRefs.Left.(*ast.TableSource); ok {
		t, _ := s.Source.(*ast.TableName)
		return t
	}
	return nil
}
