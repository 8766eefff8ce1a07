package postgres

import (
	"slices"
	"strings"

	"github.com/multigres/multigres/go/common/parser"
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Resolve works out what a catalog's views show, and what its views, rules and
// functions in SQL do. It is [sql.CatalogCache]'s Resolve. What it cannot tell
// stays opaque.
func Resolve(s *sql.Snapshot) {
	d := &definitions{catalog: sql.ScopeOf(s, proxy.Names{}), begun: make(map[any]bool), limits: sql.Limits{}.WithDefaults()}
	quieten(s)
	for _, rel := range s.Relations {
		d.generated(rel)
	}
	for _, rel := range s.Relations {
		d.view(rel)
		d.rules(rel)
	}
	for _, f := range s.Functions {
		d.function(f)
	}
}

// definitions resolves what refers to one another, each once.
type definitions struct {
	catalog sql.Scope
	begun   map[any]bool
	limits  sql.Limits
	depth   int
}

// maxDefinitions bounds how many definitions stand on one another.
const maxDefinitions = 100

// once runs f for what is looked at for the first time. A caller that comes while f
// runs, in a circle, finds nothing known.
func (d *definitions) once(what any, f func()) {
	if d.begun[what] || d.depth > maxDefinitions {
		return
	}
	d.begun[what] = true
	d.depth++
	defer func() {
		d.depth--
		_ = recover() // of the parser's panics: what it means stays unknown
	}()
	f()
}

func (d *definitions) view(rel *sql.Relation) {
	if !rel.IsView() || rel.Definition == "" {
		return
	}
	d.once(rel, func() {
		stmts := d.parse(rel.Definition)
		if len(stmts) != 1 {
			return
		}
		q := selectOf(stmts[0])
		if q == nil {
			return
		}
		rel.Does = d.facts(stmts)
		r := &resolver{catalog: d.catalog, pending: d}
		t := r.query(q, nil)
		if t.open || r.incomplete || len(t.columns) != len(rel.Columns) {
			return
		}
		for i := range rel.Columns {
			c := &rel.Columns[i]
			c.Source = sourceOf(c.Name, t.columns[i].value)
		}
	})
}

// sourceOf is what a column holds that is defined as v. Rules on what it may be hold for what
// is done with it.
func sourceOf(name string, v value) proxy.Column {
	c := (&output{name, v}).column()
	if all := (proxy.Origin{Column: "*"}); c.Unsure && !slices.Contains(c.Origins, all) {
		c.Origins = append(slices.Clip(c.Origins), all)
	}
	return c
}

// generated adds what columns that are computed from others hold of those.
func (d *definitions) generated(rel *sql.Relation) {
	for i := range rel.Columns {
		c := &rel.Columns[i]
		if c.Generated == "" {
			continue
		}
		c.Source.Opaque = true
		d.once(c, func() {
			stmts := d.parse("SELECT " + c.Generated)
			if len(stmts) != 1 {
				return
			}
			q := selectOf(stmts[0])
			if q == nil || q.TargetList == nil || len(q.TargetList.Items) != 1 {
				return
			}
			target, ok := q.TargetList.Items[0].(*ast.ResTarget)
			if !ok {
				return
			}
			r := &resolver{catalog: d.catalog}
			s := &space{}
			r.join(s, fromItem{rows: r.relation(rel.Schema, rel.Name).rows})
			v := r.as(r.expression(s, target.Val), proxy.DerivedTransformed)
			v.opaque = v.opaque || r.incomplete
			c.Source = sourceOf(c.Name, r.union(value{origins: c.Source.Origins}, v))
		})
	}
}

func (d *definitions) rules(rel *sql.Relation) {
	for i := range rel.Rules {
		u := &rel.Rules[i]
		if u.Definition == "" {
			continue
		}
		d.once(u, func() {
			stmts := d.parse(u.Definition)
			if len(stmts) != 1 {
				return
			}
			rule, ok := stmts[0].(*ast.RuleStmt)
			if !ok {
				return
			}
			actions, ok := statements(rule.Actions)
			if !ok {
				return
			}
			f := d.facts(actions)
			if !isNil(rule.WhereClause) {
				v := newVisitor(d.catalog)
				v.pending = d
				v.visit(rule.WhereClause)
				v.expand()
				f = sum([]*proxy.Facts{f, v.facts})
			}
			f.Parts = nil
			u.Does = f
		})
	}
}

// statements returns the statements of a list; ok is false when it holds
// something else. Of a rule with several actions the parser loses the first, so
// that parse does not let one through.
func statements(list *ast.NodeList) (stmts []ast.Stmt, ok bool) {
	if list == nil {
		return nil, true
	}
	for _, item := range list.Items {
		switch n := item.(type) {
		case *ast.NodeList:
			inner, ok := statements(n)
			if !ok {
				return nil, false
			}
			stmts = append(stmts, inner...)
		case ast.Stmt:
			stmts = append(stmts, n)
		default:
			return nil, false
		}
	}
	return stmts, true
}

func (d *definitions) function(f *sql.Function) {
	if f.Language != "sql" || f.Body == "" {
		return
	}
	d.once(f, func() {
		body, standard := functionBody(f.Body)
		if f.Pinned && !standard {
			return // what its names mean is for its own path to say
		}
		stmts := d.parse(body)
		if stmts == nil {
			return
		}
		if facts := d.facts(stmts); facts.Unknown == "" {
			facts.Rest = d.returned(f.Name, stmts)
			f.Does = facts
		}
	})
}

// returned is what any column that a function of that name and these statements returns
// may hold, with what decides between its rows; nil when that is not known.
func (d *definitions) returned(name string, stmts []ast.Stmt) *proxy.Column {
	if len(stmts) != 1 {
		return nil
	}
	q := selectOf(stmts[0])
	if q == nil {
		return nil
	}
	r := &resolver{catalog: d.catalog, pending: d, body: name}
	t := r.query(q, nil)
	if r.incomplete || r.unsure || r.doubt {
		return nil
	}
	c := r.rest(t)
	for _, u := range r.uses {
		u.How = proxy.DerivedPredicate
		c.Origins = append(slices.Clip(c.Origins), u.Origin)
	}
	return c
}

// functionBody takes the text of a function apart; standard is that of SQL's
// standard, in which the server prints every name with its schema.
func functionBody(text string) (body string, standard bool) {
	text = strings.TrimSpace(text)
	if e, ok := strings.CutPrefix(text, "RETURN "); ok {
		return "SELECT " + e, true
	}
	if b, ok := strings.CutPrefix(text, "BEGIN ATOMIC"); ok {
		if b, ok := strings.CutSuffix(b, "END"); ok {
			return b, true
		}
	}
	return text, false
}

// parse returns the statements of a definition, nil when it does not parse.
func (d *definitions) parse(text string) []ast.Stmt {
	n := &sql.Normalised{}
	sql.NormalisePostgres(n, []byte(text), d.limits)
	if n.Problem != "" {
		return nil
	}
	stmts, err := parser.ParseSQL(text)
	if err != nil {
		return nil
	}
	if stmts = withoutEmpty(stmts); len(stmts) != n.Statements {
		return nil
	}
	return stmts
}

// facts are what the statements of a definition do together.
func (d *definitions) facts(stmts []ast.Stmt) *proxy.Facts {
	if len(stmts) == 0 {
		return &proxy.Facts{Lossless: true}
	}
	parts := make([]*proxy.Facts, len(stmts))
	for i, s := range stmts {
		v := newVisitor(d.catalog)
		v.pending = d
		parts[i] = v.statement(s)
		v.expand()
		parts[i].Renames = v.changed(s)
	}
	if len(parts) == 1 {
		return parts[0]
	}
	f := sum(parts)
	f.Parts = nil
	return f
}
