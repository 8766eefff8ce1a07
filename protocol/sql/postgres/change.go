package postgres

import (
	"slices"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/proxy"
)

// changed is the relation that a statement changes, and what it assigns to its
// columns.
type changed struct {
	table    *table
	schema   string // of the relation, and its name
	name     string
	assigned map[string]value
	// given are the literals and parameters that the columns of new rows get, and over are
	// those that take the place of what columns hold; where fills are worked out.
	given, over map[string][]proxy.Source
	on          proxy.Effects
}

// change is what an INSERT, UPDATE, DELETE or MERGE returns.
func (r *resolver) change(n ast.Node, outer *space) rows {
	seen := r.with
	defer func() { r.with = seen }()
	switch n := n.(type) {
	case *ast.InsertStmt:
		r.withQueries(n.WithClause, outer)
		return r.insert(n, outer)
	case *ast.UpdateStmt:
		r.withQueries(n.WithClause, outer)
		c := r.target(n.Relation, proxy.EffectUpdate)
		s := r.around(c, n.FromClause, outer)
		r.assign(c, n.TargetList, s)
		r.use(r.expression(s, n.WhereClause), proxy.UsePredicate)
		return r.returning(c, n.ReturningList, s)
	case *ast.DeleteStmt:
		r.withQueries(n.WithClause, outer)
		c := r.target(n.Relation, proxy.EffectDelete)
		s := r.around(c, n.UsingClause, outer)
		r.use(r.expression(s, n.WhereClause), proxy.UsePredicate)
		return r.returning(c, n.ReturningList, s)
	case *ast.MergeStmt:
		r.withQueries(n.WithClause, outer)
		return r.mergeInto(n, outer)
	}
	r.incomplete = true
	return openRows
}

// target is the relation that a statement changes, which no WITH hides.
func (r *resolver) target(n *ast.RangeVar, on proxy.Effects) *changed {
	if n == nil {
		r.incomplete = true
		return &changed{table: &table{rows: openRows}, on: on}
	}
	t := r.relation(n.SchemaName, n.RelName)
	c := &changed{table: t, schema: t.schema, name: n.RelName, assigned: make(map[string]value), on: on}
	if n.Alias != nil {
		t.schema, t.name = "", n.Alias.AliasName
	}
	return c
}

// around is the space of a change: the relation, and what is joined to it.
func (r *resolver) around(c *changed, list *ast.NodeList, outer *space) *space {
	s := &space{outer: outer}
	r.join(s, fromItem{tables: []*table{c.table}, rows: c.table.rows})
	if list != nil {
		for _, item := range list.Items {
			r.join(s, r.item(item, s))
		}
	}
	return s
}

func (c *changed) set(r *resolver, name string, v value) {
	if c.assigned == nil {
		c.assigned = make(map[string]value)
	}
	c.assigned[name] = r.union(c.assigned[name], v)
}

// assign notes SET.
func (r *resolver) assign(c *changed, list *ast.NodeList, s *space) {
	if list == nil {
		return
	}
	for _, item := range list.Items {
		t, ok := item.(*ast.ResTarget)
		if !ok {
			r.incomplete = true
			continue
		}
		v := r.assigns(t.Val, s)
		if t.Indirection != nil && len(t.Indirection.Items) > 0 {
			v = r.as(r.union(v, r.as(r.generic(s, t.Indirection), proxy.DerivedPredicate)), proxy.DerivedTransformed)
		}
		c.set(r, t.Name, v)
		r.gives(&c.over, t.Name, v)
	}
}

// assigns is what one item of SET gives its column; of a row its part.
func (r *resolver) assigns(n ast.Node, s *space) value {
	m, ok := n.(*ast.MultiAssignRef)
	if !ok {
		return r.expression(s, n)
	}
	switch src := m.Source.(type) {
	case *ast.RowExpr:
		if src.Args != nil && m.Colno >= 1 && m.Colno <= len(src.Args.Items) {
			return r.expression(s, src.Args.Items[m.Colno-1])
		}
	case *ast.SubLink:
		if q := selectOf(src.Subselect); q != nil {
			if t := r.query(q, s); !t.open && m.Colno >= 1 && m.Colno <= len(t.columns) {
				return t.columns[m.Colno-1].value
			}
		}
	}
	return r.as(r.expression(s, m.Source), proxy.DerivedTransformed)
}

func (r *resolver) insert(n *ast.InsertStmt, outer *space) rows {
	c := r.target(n.Relation, proxy.EffectInsert)
	var given rows
	if q := selectOf(n.SelectStmt); q != nil {
		given = r.query(q, outer)
	} else if !isNil(n.SelectStmt) {
		r.incomplete = true
	}
	r.fill(c, stringsOf(n.Cols), given)
	s := &space{outer: outer}
	r.join(s, fromItem{tables: []*table{c.table}, rows: c.table.rows})
	if k := n.OnConflictClause; k != nil {
		in := &space{outer: outer, tables: append([]*table{{name: "excluded", rows: r.after(c)}}, s.tables...), rows: s.rows}
		if k.Infer != nil {
			r.use(r.expression(in, k.Infer.WhereClause), proxy.UsePredicate)
		}
		r.assign(c, k.TargetList, in)
		r.use(r.expression(in, k.WhereClause), proxy.UsePredicate)
	}
	return r.returning(c, n.ReturningList, s)
}

// fill notes that the columns of new rows of a relation, the named ones or the first
// ones, are given values.
func (r *resolver) fill(c *changed, names []string, given rows) {
	if len(names) == 0 {
		for i := range c.table.columns {
			names = append(names, c.table.columns[i].name)
		}
	}
	set := func(name string, v value) {
		c.set(r, name, v)
		r.gives(&c.given, name, v)
	}
	for i, name := range names {
		switch {
		case given.open:
			set(name, r.all(given))
		case i < len(given.columns):
			set(name, given.columns[i].value)
		}
	}
	if len(names) == 0 && len(given.columns) > 0 || c.table.open {
		set("*", r.all(given))
	}
}

func (r *resolver) mergeInto(n *ast.MergeStmt, outer *space) rows {
	c := r.target(n.Relation, 0)
	s := &space{outer: outer}
	r.join(s, fromItem{tables: []*table{c.table}, rows: c.table.rows})
	r.join(s, r.item(n.SourceRelation, s))
	r.use(r.expression(s, n.JoinCondition), proxy.UseJoin)
	if n.MergeWhenClauses == nil {
		return r.returning(c, n.ReturningList, s)
	}
	for _, item := range n.MergeWhenClauses.Items {
		when, ok := item.(*ast.MergeWhenClause)
		if !ok {
			r.incomplete = true
			continue
		}
		r.use(r.expression(s, when.Condition), proxy.UsePredicate)
		switch when.CommandType {
		case ast.CMD_UPDATE:
			c.on |= proxy.EffectUpdate
			list := &ast.NodeList{}
			for _, t := range when.TargetList {
				list.Items = append(list.Items, t)
			}
			r.assign(c, list, s)
		case ast.CMD_INSERT:
			c.on |= proxy.EffectInsert
			var names []string
			for _, t := range when.TargetList {
				names = append(names, t.Name)
			}
			var given rows
			if when.Values != nil {
				for _, e := range when.Values.Items {
					r.add(&given, output{value: r.expression(s, e)})
				}
			}
			r.fill(c, names, given)
		case ast.CMD_DELETE:
			c.on |= proxy.EffectDelete
		}
	}
	return r.returning(c, n.ReturningList, s)
}

// after are the relation's columns once they are changed. Triggers and rules may
// put anything there.
func (r *resolver) after(c *changed) rows {
	t := c.table.rows
	t.columns = slices.Clone(t.columns)
	any := c.assigned["*"]
	if rel := c.table.relation; rel != nil {
		for _, g := range rel.Triggers {
			any.opaque = any.opaque || g.On.Has(c.on)
		}
		for _, u := range rel.Rules {
			any.opaque = any.opaque || u.On.Has(c.on)
		}
	}
	for i := range t.columns {
		t.columns[i].value = r.union(r.union(t.columns[i].value, c.assigned[t.columns[i].name]), any)
	}
	if t.open {
		for _, v := range c.assigned {
			t.rest = r.union(t.rest, v)
		}
	}
	return t
}

// returning is what RETURNING returns, and notes what is kept.
func (r *resolver) returning(c *changed, list *ast.NodeList, s *space) rows {
	var kept rows
	for _, column := range c.names() {
		kept.columns = append(kept.columns, output{column, c.assigned[column]})
	}
	r.written(c.schema, c.name, kept)
	r.fillsOf(c, c.schema, c.name)
	if list == nil || len(list.Items) == 0 {
		return rows{}
	}
	after := r.after(c)
	in := &space{outer: s.outer, tables: slices.Clone(s.tables), rows: s.rows}
	for i, t := range in.tables {
		if t == c.table {
			in.tables[i] = &table{schema: t.schema, name: t.name, rows: after, relation: t.relation}
		}
	}
	in.columns = append(slices.Clone(after.columns), s.columns[min(len(c.table.columns), len(s.columns)):]...)
	in.rest = r.union(in.rest, after.rest)
	for _, name := range []string{"old", "new"} { // from version 18
		in.tables = append(in.tables, &table{name: name, rows: after, relation: c.table.relation})
	}
	return r.targets(list, in)
}

// names are the columns that are assigned, in the relation's order.
func (c *changed) names() []string {
	var names []string
	for i := range c.table.columns {
		if _, ok := c.assigned[c.table.columns[i].name]; ok {
			names = append(names, c.table.columns[i].name)
		}
	}
	var others []string
	for name := range c.assigned {
		if !slices.Contains(names, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return append(names, others...)
}
