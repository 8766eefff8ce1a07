package mysql

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/sqlc-dev/marino/ast"
	"github.com/sqlc-dev/marino/parser"

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
	if s.names.Unsure&proxy.UnsurePath != 0 {
		l.schema = ""
	}
	return l
}

// resolve adds to the facts of a statement what the catalog says.
func (s *looked) resolve(f *proxy.Facts, n ast.StmtNode) {
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
	switch n := n.(type) {
	case *ast.SelectStmt, *ast.SetOprStmt:
		s.returns(f, l, n)
	case *ast.CreateTableStmt:
		if n.TemporaryKeyword != ast.TemporaryNone {
			s.makes(f, l, n)
		}
	case *ast.InsertStmt:
		s.fills(f, l, n)
	case *ast.UpdateStmt:
		s.changes(f, l, n)
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
	}
	if assigns(n) {
		f.Renames = append(f.Renames, proxy.NameChange{Kind: proxy.NameTemporary, Value: "@"})
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
	switch {
	case l.missing || l.unknown:
		f.Unsure = f.Unsure || l.missing
		if !ok || l.unknown {
			return
		}
		fallthrough
	case ok:
		if f.Rows {
			f.Columns, f.ColumnsKnown = columns, true
		}
	}
}

// makes notes a table that only the session sees, with what its columns hold.
func (s *looked) makes(f *proxy.Facts, l *lineage, n *ast.CreateTableStmt) {
	c := proxy.NameChange{Kind: proxy.NameTemporary, Value: lower(n.Table.Name.O), Schema: lower(n.Table.Schema.O), Known: true, Table: true}
	if n.ReferTable != nil {
		c.Known = false
		if r := l.catalog.Relation(lower(or(n.ReferTable.Schema.O, l.schema)), lower(n.ReferTable.Name.O)); r != nil {
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
		c.Known = c.Known && ok && !l.missing && !l.unknown
		for _, from := range columns {
			at := slices.IndexFunc(c.Columns, func(x proxy.Column) bool { return strings.EqualFold(x.Name, from.Name) })
			if at < 0 {
				c.Columns = append(c.Columns, from)
			} else {
				c.Columns[at] = from
			}
		}
	}
	f.Renames = append(f.Renames, c)
}

// fills notes what a query puts into a table, which may be the session's own.
func (s *looked) fills(f *proxy.Facts, l *lineage, n *ast.InsertStmt) {
	table := target(n.Table)
	if n.Select == nil || table == nil {
		return
	}
	c := proxy.NameChange{Kind: proxy.NameFilled, Value: lower(table.Name.O), Schema: lower(table.Schema.O)}
	own := slices.IndexFunc(l.temporary, func(r *proxy.OwnRelation) bool { return r.Name == c.Value })
	columns, ok := l.query(n.Select, nil)
	f.Uses = l.uses
	var names []string
	for _, col := range n.Columns {
		names = append(names, col.Name.O)
	}
	if names == nil && own >= 0 {
		for i := range l.temporary[own].Columns {
			names = append(names, l.temporary[own].Columns[i].Name)
		}
	} else if r := l.catalog.Relation(lower(or(table.Schema.O, l.schema)), lower(table.Name.O)); names == nil && r != nil {
		for i := range r.Columns {
			names = append(names, r.Columns[i].Name)
		}
	}
	if c.Known = ok && !l.missing && !l.unknown && len(names) == len(columns); c.Known {
		for i, from := range columns {
			from.Name = names[i]
			c.Columns = append(c.Columns, from)
			if own < 0 {
				f.Writes = append(f.Writes, proxy.Write{Schema: lower(or(table.Schema.O, l.schema)), Relation: c.Value, Column: from})
			}
		}
	}
	if own >= 0 {
		f.Renames = append(f.Renames, c)
	}
}

// changes notes what an UPDATE puts into columns.
func (s *looked) changes(f *proxy.Facts, l *lineage, n *ast.UpdateStmt) {
	in := &frame{}
	l.with(n.With, in)
	if n.TableRefs != nil && n.TableRefs.TableRefs != nil {
		l.from(n.TableRefs.TableRefs, in)
	}
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

// assigns reports whether a statement gives a user variable something that is not in its own
// text.
func assigns(n ast.StmtNode) bool {
	a := &assignment{}
	switch n := n.(type) {
	case *ast.SelectStmt:
		if n.SelectIntoOpt != nil && n.SelectIntoOpt.Tp == ast.SelectIntoVars && n.From != nil {
			return true
		}
	case *ast.SetStmt:
		for _, v := range n.Variables {
			if !v.IsSystem && v.Value != nil {
				a.inside++
				v.Value.Accept(a)
				a.inside--
			}
		}
		return a.found
	case *ast.CallStmt, *ast.GetDiagnosticsStmt:
		return true // what it returns in parameters, what a message quotes
	}
	n.Accept(a)
	return a.found
}

// assignment looks for := of what is read.
type assignment struct {
	inside int
	found  bool
}

// Enter is called for every node.
func (a *assignment) Enter(n ast.Node) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.VariableExpr:
		if n.Value != nil && !n.IsSystem {
			a.inside++
			n.Value.Accept(a)
			a.inside--
		}
		return n, true
	case *ast.ColumnNameExpr, *ast.SubqueryExpr:
		a.found = a.found || a.inside > 0
	}
	return n, a.found
}

// Leave is called after a node's children.
func (a *assignment) Leave(n ast.Node) (ast.Node, bool) { return n, true }

// Resolve says of the views of a snapshot what their columns derive from. It is for
// [sql.CatalogCache.Resolve].
func Resolve(s *sql.Snapshot) {
	const (
		under = iota + 1
		done
	)
	state := make(map[*sql.Relation]int)
	var view func(r *sql.Relation)
	view = func(r *sql.Relation) {
		if !r.IsView() || state[r] != 0 {
			return // one that is under way names itself, and stays opaque
		}
		state[r] = under
		defer func() { state[r] = done }()
		columns := columnsOf(s, r, view)
		if len(columns) != len(r.Columns) {
			return
		}
		for i := range columns {
			c := &r.Columns[i]
			columns[i].Name = c.Name
			c.Source = columns[i]
		}
	}
	for _, r := range s.Relations {
		view(r)
	}
}

// columnsOf returns what a view's query returns; nil when that is not known.
func columnsOf(s *sql.Snapshot, r *sql.Relation, view func(*sql.Relation)) (columns []proxy.Column) {
	defer func() {
		if recover() != nil {
			columns = nil
		}
	}()
	if r.Definition == "" {
		return nil
	}
	var n sql.MySQLText
	sql.NormaliseMySQL(&n, []byte(r.Definition), sql.MySQLReading{}, sql.Limits{}.WithDefaults())
	if n.Problem != "" || n.Statements != 1 {
		return nil
	}
	p := parser.New()
	p.SetMariaDB(true)
	stmts, _, err := p.ParseSQL(string(n.Clean))
	if err != nil || len(stmts) != 1 {
		return nil
	}
	v := &visitor{facts: &proxy.Facts{}, mode: proxy.EffectRead}
	v.statement(stmts[0])
	if v.facts.Effects.Has(proxy.EffectCall | proxy.EffectUnknown) {
		return nil // a function may return anything
	}
	l := &lineage{catalog: s, schema: r.Schema, view: view}
	columns, ok := l.query(stmts[0], nil)
	if !ok || l.missing || l.unknown {
		return nil
	}
	return columns
}
