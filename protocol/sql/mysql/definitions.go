package mysql

import (
	"strings"

	"github.com/sqlc-dev/marino/ast"
	"github.com/sqlc-dev/marino/parser"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Resolve says of the views of a snapshot what their columns derive from and what they read, and
// of triggers what they do. It is for [sql.CatalogCache.Resolve].
func Resolve(s *sql.Snapshot) {
	d := &definitions{catalog: s, begun: make(map[*sql.Relation]bool)}
	for _, r := range s.Relations {
		d.generated(r)
	}
	for _, r := range s.Relations {
		d.view(r)
	}
	for _, r := range s.Relations {
		for i := range r.Triggers {
			for _, f := range s.Functions {
				if f.OID == r.Triggers[i].Function && f.Does == nil {
					f.Does = d.trigger(r, f.Body)
				}
			}
		}
	}
}

// definitions resolves what refers to one another, each once.
type definitions struct {
	catalog *sql.Snapshot
	begun   map[*sql.Relation]bool
}

// view resolves a view. One that is under way names itself, and stays opaque.
func (d *definitions) view(r *sql.Relation) {
	if !r.IsView() || d.begun[r] || r.Definition == "" {
		return
	}
	d.begun[r] = true
	n := parsed(r.Definition)
	if n == nil {
		return
	}
	does, _ := statement(n)
	for i := range does.Relations {
		if does.Relations[i].Schema == "" {
			does.Relations[i].Schema = r.Schema
		}
	}
	if does.Unknown != "" {
		return
	}
	does.Rows, does.Unfiltered = false, 0
	r.Does = does
	if does.Effects.Has(proxy.EffectCall) {
		return // a function may return anything
	}
	l := &lineage{catalog: d.catalog, schema: r.Schema, view: d.view}
	columns, ok := l.query(n, nil)
	if !ok || l.missing || l.unknown || len(columns) != len(r.Columns) {
		return
	}
	for i := range columns {
		c := &r.Columns[i]
		columns[i].Name = c.Name
		c.Source = columns[i]
	}
}

// generated adds what columns that are computed from others of their row hold of those.
func (d *definitions) generated(r *sql.Relation) {
	var row []proxy.Column
	for i := range r.Columns {
		row = append(row, r.Columns[i].Source)
	}
	// Twice: one may be computed from another one.
	for range 2 {
		for i := range r.Columns {
			c := &r.Columns[i]
			if c.Generated == "" || r.Server {
				continue
			}
			c.Source.Opaque = true
			q, ok := parsed("SELECT " + c.Generated).(*ast.SelectStmt)
			if !ok || q.Fields == nil || len(q.Fields.Fields) != 1 || q.Fields.Fields[0].Expr == nil {
				continue
			}
			l := &lineage{catalog: d.catalog, schema: r.Schema}
			from := l.output(c.Name, q.Fields.Fields[0].Expr, &frame{sources: []source{{schema: r.Schema, name: r.Name, columns: row}}})
			if l.missing || l.unknown || from.Unsure {
				continue
			}
			own := proxy.Origin{Schema: r.Schema, Relation: r.Name, Column: c.Name, Type: c.Type, NotNull: c.NotNull}
			c.Source.Opaque, c.Source.Origins = from.Opaque, []proxy.Origin{own}
			for _, o := range from.Origins {
				o.How = through(o.How, proxy.DerivedTransformed)
				c.Source.Origins = append(c.Source.Origins, o)
			}
			row[i] = c.Source
		}
	}
}

// parsed returns the one statement of a definition; nil where it is not understood.
func parsed(text string) (n ast.StmtNode) {
	defer func() {
		if recover() != nil {
			n = nil
		}
	}()
	var t sql.MySQLText
	sql.NormaliseMySQL(&t, []byte(text), sql.MySQLReading{}, sql.Limits{}.WithDefaults())
	if t.Problem != "" {
		return nil
	}
	p := parser.New()
	p.SetMariaDB(true)
	stmts, _, err := p.ParseSQL(string(t.Clean))
	if err != nil || len(stmts) != 1 {
		return nil
	}
	return stmts[0]
}

// trigger is what a trigger of r does, nil where that is not known: of blocks, conditions,
// changes, and values that are set in the row.
func (d *definitions) trigger(r *sql.Relation, body string) (does *proxy.Facts) {
	if body == "" {
		return nil
	}
	n, ok := parsed("CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW " + body).(*ast.CreateTriggerStmt)
	if !ok {
		return nil
	}
	s := &looked{catalog: d.catalog, names: proxy.Names{Path: r.Schema}}
	l := s.lineage()
	table := l.table(&ast.TableName{Schema: ast.NewCIStr(r.Schema), Name: ast.NewCIStr(r.Name)}, nil)
	t := &triggered{names: s, of: r, facts: &proxy.Facts{Lossless: true}, row: &frame{sources: []source{{name: "new", columns: table}, {name: "old", columns: table}}}}
	t.statement(n.Body)
	if t.unknown {
		return nil
	}
	return t.facts
}

// triggered takes in what the text of a trigger does.
type triggered struct {
	names   *looked
	of      *sql.Relation
	facts   *proxy.Facts
	row     *frame
	depth   int
	unknown bool
}

func (t *triggered) statements(list []ast.StmtNode) {
	for _, n := range list {
		t.statement(n)
	}
}

func (t *triggered) statement(n ast.StmtNode) {
	if t.depth++; t.depth > maxLineage {
		t.unknown = true
	}
	defer func() { t.depth-- }()
	if t.unknown {
		return
	}
	switch n := n.(type) {
	case nil:
	case *ast.ProcedureBlock:
		t.unknown = t.unknown || len(n.ProcedureVars) > 0
		t.statements(n.ProcedureProcStmts)
	case *ast.ProcedureIfInfo:
		t.statement(n.IfBody)
	case *ast.ProcedureIfBlock:
		t.expression(n.IfExpr)
		t.statements(n.ProcedureIfStmts)
		t.statement(n.ProcedureElseStmt)
	case *ast.ProcedureElseIfBlock:
		t.statement(n.ProcedureIfStmt)
	case *ast.ProcedureElseBlock:
		t.statements(n.ProcedureIfStmts)
	case *ast.SetStmt:
		t.set(n)
	case *ast.InsertStmt, *ast.UpdateStmt, *ast.DeleteStmt:
		t.change(n)
	default:
		t.unknown = true
	}
}

// expression takes in an expression that is not kept.
func (t *triggered) expression(e ast.ExprNode) {
	v := &visitor{facts: &proxy.Facts{}, mode: proxy.EffectRead}
	v.visit(e)
	t.absorb(v.facts)
}

// set takes in SET of columns of the row; there is no other SET that is understood.
func (t *triggered) set(n *ast.SetStmt) {
	for _, a := range n.Variables {
		name, isNew := strings.CutPrefix(lower(a.Name), "new.")
		if !isNew || a.IsGlobal || a.IsPersist || a.IsInstance {
			t.unknown = true
			return
		}
		t.expression(a.Value)
		l := t.names.lineage()
		from := l.output(name, a.Value, t.row)
		from.Name = name
		t.unknown = t.unknown || l.missing || l.unknown || assigns(n)
		t.fills(proxy.Write{Schema: t.of.Schema, Relation: t.of.Name, Column: from})
	}
}

func (t *triggered) fills(w proxy.Write) {
	if len(w.Column.Origins) > 0 || w.Column.Opaque {
		t.facts.Writes = append(t.facts.Writes, w)
	}
}

// change takes in a change of another table.
func (t *triggered) change(n ast.StmtNode) {
	f, _ := statement(n)
	l := t.names.lineage()
	switch n := n.(type) {
	case *ast.InsertStmt:
		t.names.fills(f, l, n, t.row)
	case *ast.UpdateStmt:
		t.names.changes(f, l, n, t.row)
	}
	t.unknown = t.unknown || l.missing || l.unknown || assigns(n)
	t.absorb(f)
}

func (t *triggered) absorb(f *proxy.Facts) {
	for i := range f.Relations {
		if f.Relations[i].Schema == "" {
			f.Relations[i].Schema = t.of.Schema
		}
	}
	t.unknown = t.unknown || f.Unknown != "" || f.Effects.Has(opaque)
	absorb(t.facts, f)
}
