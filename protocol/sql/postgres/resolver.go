package postgres

import (
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// resolver works out which base columns the results of a statement derive from,
// and which it uses without returning them, by a catalog. Where it cannot tell,
// it says so: a value is opaque, rows are open, or the whole is incomplete.
type resolver struct {
	catalog *sql.Snapshot
	pending *definitions // of views that are still to be resolved; nil once all are

	uses   []proxy.Use
	used   map[proxy.Use]struct{}
	writes []proxy.Write
	decide value    // what was used since the query began that is looked at
	calls  []string // functions that are called as if they were columns

	incomplete bool // something cannot be told
	doubt      bool // the catalog does not know a name
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
	case *ast.DeclareCursorStmt:
		r.query(selectOf(n.Query), nil)
	case *ast.PrepareStmt:
		r.statement(n.Query, &proxy.Facts{})
	case *ast.CopyStmt:
		if f.Copy != nil && f.Copy.Out {
			if t = r.copied(n); !t.open && !r.incomplete {
				f.Copy.Columns = columns(t)
			}
		}
	}
	f.Uses, f.Writes = r.uses, r.writes
	if returns && !t.open && !r.incomplete {
		f.Columns, f.ColumnsKnown = columns(t), true
	}
}

func columns(t rows) []proxy.Column {
	out := make([]proxy.Column, len(t.columns))
	for i := range t.columns {
		c := &t.columns[i]
		out[i] = proxy.Column{Name: c.name, Origins: c.origins, Opaque: c.opaque}
	}
	return out
}

// kept notes that a query's rows are kept in a new relation.
func (r *resolver) kept(into *ast.IntoClause, t rows) {
	if into.Rel == nil {
		return
	}
	t = t.named(stringsOf(into.ColNames))
	schema, name := into.Rel.SchemaName, into.Rel.RelName
	if into.Rel.RelPersistence == ast.RELPERSISTENCE_TEMP {
		schema = temporarySchema
	}
	r.written(schema, name, t)
}

// written notes that a relation's columns are filled with t.
func (r *resolver) written(schema, name string, t rows) {
	for i := range t.columns {
		c := &t.columns[i]
		if len(c.origins) > 0 || c.opaque {
			r.writes = append(r.writes, proxy.Write{Schema: schema, Relation: name, Column: proxy.Column{Name: c.name, Origins: c.origins, Opaque: c.opaque}})
		}
	}
	if t.open {
		r.writes = append(r.writes, proxy.Write{Schema: schema, Relation: name, Column: proxy.Column{Name: "*", Origins: t.rest.origins, Opaque: t.rest.opaque}})
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
