package postgres

import (
	"cmp"
	"slices"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// resolver works out which base columns the results of a statement derive from,
// and which it uses without returning them, by a catalog. Where it cannot tell,
// it says so: a value is opaque, rows are open, or the whole is incomplete.
type resolver struct {
	catalog sql.Scope
	pending *definitions // of views that are still to be resolved; nil once all are

	uses   []proxy.Use
	used   map[proxy.Use]struct{}
	writes []proxy.Write
	decide value    // what was used since the query began that is looked at
	into   *rows    // what a new relation is filled with; nil of nothing
	calls  []string // functions that are called as if they were columns

	fills *fills // where they are worked out, of a marked text
	body  string // the name of the function whose text it is: names of no column are parameters

	incomplete bool // something cannot be told
	doubt      bool // the catalog does not know a name
	unsure     bool // a name may mean something else than the catalog says
	literals   bool // literals have a say, such as a column's number in ORDER BY

	with  *with
	depth int
	work  int
}

// with is the queries in WITH that are seen at a place.
type with struct {
	outer *with
	name  string
	rows  rows
}

func (w *with) find(name string) (rows, bool) {
	for ; w != nil; w = w.outer {
		if w.name == name {
			return w.rows, true
		}
	}
	return rows{}, false
}

// statement works out n's columns and what it uses, and adds them to its facts.
func (r *resolver) statement(n ast.Node, f *proxy.Facts) {
	var t rows
	returns := false
	switch n := n.(type) {
	case *ast.SelectStmt:
		t, returns = r.query(n, nil), n.IntoClause == nil
		if n.IntoClause != nil {
			r.kept(n.IntoClause, t)
		}
	case *ast.InsertStmt, *ast.UpdateStmt, *ast.DeleteStmt, *ast.MergeStmt:
		t, returns = r.change(n, nil), f.Rows
	case *ast.CreateTableAsStmt:
		if q := selectOf(n.Query); q != nil && n.Into != nil {
			r.kept(n.Into, r.query(q, nil))
		}
	case *ast.CreateStmt:
		r.defaults(n)
	case *ast.ViewStmt: // whose columns are not filled, but read when it is
		of := r.query(selectOf(n.Query), nil).named(stringsOf(n.Aliases))
		r.into = &of
	case *ast.DeclareCursorStmt:
		of := r.query(selectOf(n.Query), nil)
		r.into = &of
	case *ast.FetchStmt:
		returns = f.Rows
		if c := r.catalog.Cursor(n.PortalName); c != nil {
			for i := range c.Columns {
				t.columns = append(t.columns, output{c.Columns[i].Name, heldBy(&c.Columns[i])})
			}
		} else {
			r.unsure, t = true, unsureRows
		}
	case *ast.PrepareStmt:
		r.statement(n.Query, &proxy.Facts{})
	case *ast.CopyStmt:
		if n.IsFrom {
			r.fillFields(n)
		} else if r.fills != nil {
			r.copied(n)
		}
		if f.Copy != nil && f.Copy.Out {
			if t = r.copied(n); t.open {
				f.Rest = r.rest(t)
			} else if !r.incomplete {
				f.Copy.Columns = columns(t)
			}
		}
	case *ast.ExplainStmt:
		if inner, ok := n.Query.(ast.Stmt); ok {
			r.statement(inner, &proxy.Facts{})
		}
	case *ast.AlterTableStmt:
		r.altered(n)
		r.moves(n)
	case *ast.RenameStmt, *ast.AlterObjectSchemaStmt:
		r.moves(n)
	case *ast.ExecuteStmt: // of what is not known; see [proxy.Facts.Executes]
		r.incomplete, r.unsure = true, true
	case *ast.DoStmt, *ast.CallStmt:
		r.incomplete = true
	}
	f.Uses, f.Writes, f.Unsure = r.uses, r.writes, r.unsure
	f.Resolved = !r.incomplete && r.catalog.Snapshot() != nil
	switch {
	case !returns:
	case t.open:
		f.Rest = r.rest(t)
	case !r.incomplete:
		f.Columns, f.ColumnsKnown = columns(t), true
	}
}

// rest is what any of the columns of open rows may hold.
func (r *resolver) rest(t rows) *proxy.Column {
	o := output{value: r.all(t)}
	c := o.column()
	return &c
}

// column is what is said of an output.
func (o *output) column() proxy.Column {
	c := proxy.Column{Name: o.name, Origins: o.origins, Opaque: o.opaque || o.unsure == anything, Unsure: o.unsure == anything}
	if o.unsure == decided {
		c.Origins = append(slices.Clone(c.Origins), proxy.Origin{Column: "*", How: proxy.DerivedPredicate})
	}
	return c
}

func columns(t rows) []proxy.Column {
	out := make([]proxy.Column, len(t.columns))
	for i := range t.columns {
		c := &t.columns[i]
		out[i] = c.column()
	}
	return out
}

// kept notes that a query's rows are kept in a new relation.
func (r *resolver) kept(into *ast.IntoClause, t rows) {
	if into.Rel == nil {
		return
	}
	t = t.named(stringsOf(into.ColNames))
	r.into = &t
	schema, name := into.Rel.SchemaName, into.Rel.RelName
	if into.Rel.RelPersistence == ast.RELPERSISTENCE_TEMP {
		schema = temporarySchema
	}
	r.written(schema, name, t)
}

// altered notes what ALTER TABLE fills columns with: by TYPE … USING, and by defaults.
func (r *resolver) altered(n *ast.AlterTableStmt) {
	if n.Relation == nil || n.Cmds == nil {
		return
	}
	c := r.target(n.Relation, proxy.EffectUpdate)
	s := r.around(c, nil, nil)
	for _, item := range n.Cmds.Items {
		cmd, ok := item.(*ast.AlterTableCmd)
		if !ok {
			r.incomplete = true
			continue
		}
		d, ok := cmd.Def.(*ast.ColumnDef)
		switch {
		case cmd.Subtype == ast.AT_ColumnDefault && !isNil(cmd.Def):
			c.set(r, cmd.Name, r.expression(&space{}, cmd.Def))
		case !ok || d == nil:
		case cmd.Subtype == ast.AT_AddColumn:
			c.set(r, d.Colname, r.defaultOf(d))
		case !isNil(d.RawDefault):
			c.set(r, cmp.Or(cmd.Name, d.Colname), r.expression(s, d.RawDefault))
		}
	}
	r.returning(c, nil, s)
}

// written notes that a relation's columns are filled with t.
func (r *resolver) written(schema, name string, t rows) {
	for i := range t.columns {
		c := &t.columns[i]
		if len(c.origins) > 0 || c.opaque || c.unsure != sure {
			r.writes = append(r.writes, proxy.Write{Schema: schema, Relation: name, Column: c.column()})
		}
	}
	if t.open {
		rest := output{"*", t.rest}
		r.writes = append(r.writes, proxy.Write{Schema: schema, Relation: name, Column: rest.column()})
	}
}

// copied are the columns of COPY … TO.
func (r *resolver) copied(n *ast.CopyStmt) rows {
	if q := selectOf(n.Query); q != nil {
		return r.query(q, nil)
	}
	if !isNil(n.Query) {
		return r.change(n.Query, nil)
	}
	if n.Relation == nil {
		return openRows
	}
	t := r.relation(n.Relation.SchemaName, n.Relation.RelName)
	names := stringsOf(n.Attlist)
	if len(names) == 0 {
		return t.rows
	}
	var listed rows
	for _, name := range names {
		v, _ := lookup(r, t.rows, name)
		r.add(&listed, output{name, v})
	}
	return listed
}

// use notes that v shapes the result without being returned.
func (r *resolver) use(v value, in proxy.UsePlace) {
	r.decide = r.union(r.decide, v)
	for _, o := range v.origins {
		u := proxy.Use{Origin: o, In: in}
		if _, ok := r.used[u]; ok || !r.spend(1) {
			continue
		}
		if r.used == nil {
			r.used = make(map[proxy.Use]struct{})
		}
		r.used[u] = struct{}{}
		r.uses = append(r.uses, u)
	}
	if v.opaque {
		r.incomplete = r.incomplete || in == proxy.UsePredicate && len(v.origins) == 0
	}
}

// selectOf returns the query that n is, nil when it is something else.
func selectOf(n ast.Node) *ast.SelectStmt {
	for {
		switch q := n.(type) {
		case *ast.SelectStmt:
			return q
		case *ast.ParenExpr:
			n = q.Expr
		default:
			return nil
		}
	}
}

func stringsOf(list *ast.NodeList) []string {
	if list == nil {
		return nil
	}
	var names []string
	for _, item := range list.Items {
		switch n := item.(type) {
		case *ast.String:
			names = append(names, n.SVal)
		case *ast.ResTarget:
			names = append(names, n.Name)
		}
	}
	return names
}
