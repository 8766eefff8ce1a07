package mysql

import (
	"slices"
	"strings"

	"github.com/sqlc-dev/marino/ast"
	"github.com/sqlc-dev/marino/opcode"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// lineage works out which base columns those of a result derive from.
type lineage struct {
	catalog   *sql.Snapshot
	schema    string // in which names without one are looked up; empty: none
	temporary []*proxy.OwnRelation
	variables bool                // user variables may hold anything
	moved     bool                // names may mean something else than the catalog says
	marked    bool                // literals and parameters are marked, and followed like columns
	view      func(*sql.Relation) // resolves a view first; nil: all are resolved
	uses      []proxy.Use
	depth     int
	missing   bool // something is named that the catalog does not have
	unknown   bool // something is not followed
}

// frame is where names of columns are looked up: what one query reads, then what the
// queries around it do.
type frame struct {
	outer   *frame
	sources []source
	queries map[string][]proxy.Column // of its WITH
	star    []proxy.Column            // what a star means
	counted bool                      // star has all of them
	values  []proxy.Column            // that are inserted, which VALUES(…) means
}

// source is one thing that a query reads.
type source struct {
	schema, name string // by which it is called
	columns      []proxy.Column
}

const maxLineage = 200

// unsure is a column that may hold anything.
func unsure(name string) proxy.Column { return proxy.Column{Name: name, Opaque: true, Unsure: true} }

// lower is how names are compared.
func lower(s string) string { return strings.ToLower(s) }

// query returns the outputs of a query. It is false when they cannot be counted.
func (l *lineage) query(n ast.Node, outer *frame) (out []proxy.Column, ok bool) {
	if l.depth++; l.depth > maxLineage {
		l.unknown = true
		return nil, false
	}
	defer func() { l.depth-- }()
	switch n := n.(type) {
	case *ast.SubqueryExpr:
		return l.query(n.Query, outer)
	case *ast.SelectStmt:
		return l.selects(n, outer)
	case *ast.SetOprStmt:
		f := &frame{outer: outer}
		l.with(n.With, f)
		out, ok = l.query(n.SelectList, f)
		return out, ok
	case *ast.SetOprSelectList:
		f := &frame{outer: outer}
		l.with(n.With, f)
		for i, s := range n.Selects {
			more, known := l.query(s, f)
			switch {
			case !known:
				return nil, false
			case i == 0:
				out = more
			case len(more) != len(out):
				return nil, false
			default:
				out = merge(out, more)
			}
		}
		return out, true
	}
	l.unknown = true
	return nil, false
}

// merge returns columns of which each is one of a or one of b.
func merge(a, b []proxy.Column) []proxy.Column {
	out := make([]proxy.Column, len(a))
	for i := range a {
		out[i] = proxy.Column{
			Name: a[i].Name, Origins: append(slices.Clip(a[i].Origins), b[i].Origins...),
			Opaque: a[i].Opaque || b[i].Opaque, Unsure: a[i].Unsure || b[i].Unsure,
		}
	}
	return out
}

// with takes in the queries of a WITH. Each sees those before it, and in WITH RECURSIVE itself,
// as what its first query returns.
func (l *lineage) with(w *ast.WithClause, f *frame) {
	if w == nil {
		return
	}
	f.queries = make(map[string][]proxy.Column)
	for _, c := range w.CTEs {
		name := lower(c.Name.O)
		if w.IsRecursive {
			// Twice: what flows from a column into another takes a round each.
			f.queries[name] = l.renamed(l.first(c.Query, f), c.ColNameList)
			for range 4 {
				if cols, ok := l.query(c.Query, f); ok {
					f.queries[name] = l.renamed(cols, c.ColNameList)
				}
			}
		}
		cols, ok := l.query(c.Query, f)
		if !ok {
			l.unknown = true
		}
		f.queries[name] = l.renamed(cols, c.ColNameList)
	}
}

// first returns the outputs of the first query of several.
func (l *lineage) first(n ast.Node, f *frame) []proxy.Column {
	for {
		switch x := n.(type) {
		case *ast.SubqueryExpr:
			n = x.Query
			continue
		case *ast.SetOprStmt:
			n = x.SelectList
			continue
		case *ast.SetOprSelectList:
			if len(x.Selects) == 0 {
				return nil
			}
			n = x.Selects[0]
			continue
		case *ast.SelectStmt:
			out, _ := l.query(x, f)
			return out
		}
		return nil
	}
}

// renamed returns columns under the names of a list, where there is one.
func (l *lineage) renamed(columns []proxy.Column, names []ast.CIStr) []proxy.Column {
	if len(names) == 0 {
		return columns
	}
	if len(names) != len(columns) {
		l.unknown = true
		return nil
	}
	out := slices.Clone(columns)
	for i := range out {
		out[i].Name = names[i].O
	}
	return out
}

func (l *lineage) selects(n *ast.SelectStmt, outer *frame) ([]proxy.Column, bool) {
	f := &frame{outer: outer}
	l.with(n.With, f)
	if n.From != nil {
		l.reads(n.From, f)
	}
	var out []proxy.Column
	known := true
	switch n.Kind {
	case ast.SelectStmtKindTable:
		for i := range f.sources {
			out = append(out, f.sources[i].columns...)
		}
	case ast.SelectStmtKindValues:
		for _, row := range n.Lists {
			var values []proxy.Column
			for _, v := range row.Values {
				values = append(values, l.output("", v, f))
			}
			if out == nil {
				out = values
			} else if len(values) == len(out) {
				out = merge(out, values)
			}
		}
	default:
		if n.Fields == nil {
			return nil, false
		}
		for _, field := range n.Fields.Fields {
			if field.WildCard == nil {
				out = append(out, l.output(field.AsName.O, field.Expr, f))
				continue
			}
			columns, ok := f.all(field.WildCard)
			known = known && ok
			out = append(out, columns...)
		}
	}
	labels := make(map[string]*proxy.Column, len(out))
	for i := range out {
		labels[lower(out[i].Name)] = &out[i]
	}
	l.used(n.Where, f, proxy.UsePredicate, nil)
	if n.GroupBy != nil {
		for _, item := range n.GroupBy.Items {
			l.used(item.Expr, f, proxy.UseGroup, labels)
		}
	}
	if n.Having != nil {
		l.used(n.Having.Expr, f, proxy.UsePredicate, labels)
	}
	if n.OrderBy != nil {
		for _, item := range n.OrderBy.Items {
			l.used(item.Expr, f, proxy.UseOrder, labels)
		}
	}
	return out, known
}

// all returns what a star means. It is false when the columns cannot be counted.
func (f *frame) all(w *ast.WildCardField) (out []proxy.Column, ok bool) {
	table, schema := lower(w.Table.O), lower(w.Schema.O)
	if table == "" {
		return f.star, f.counted && len(f.star) > 0
	}
	ok = len(f.sources) > 0
	for i := range f.sources {
		s := &f.sources[i]
		if table != "" && (s.name != table || schema != "" && s.schema != schema) {
			continue
		}
		if s.columns == nil {
			return nil, false
		}
		out = append(out, s.columns...)
	}
	return out, ok && len(out) > 0
}

// reads takes in what a query reads, and what a star means in it.
func (l *lineage) reads(refs *ast.TableRefsClause, f *frame) {
	if refs != nil && refs.TableRefs != nil {
		f.star, f.counted = l.from(refs.TableRefs, f)
	}
}

// from takes in a part of what a query reads, and returns its columns as a star has them. It is
// false when they cannot be counted.
func (l *lineage) from(n ast.ResultSetNode, f *frame) (star []proxy.Column, ok bool) {
	switch n := n.(type) {
	case nil:
		return nil, true
	case *ast.Join:
		star, ok = l.from(n.Left, f)
		if n.Right != nil {
			right, known := l.from(n.Right, f)
			ok = ok && known
			star, known = joinedColumns(n, star, right)
			ok = ok && known
		}
		if n.On != nil {
			l.used(n.On.Expr, f, proxy.UseJoin, nil)
		}
		return star, ok
	case *ast.TableSource:
		return l.source(n, f)
	case *ast.TableName:
		s := source{schema: lower(n.Schema.O), name: lower(n.Name.O), columns: l.table(n, f)}
		f.sources = append(f.sources, s)
		return s.columns, s.columns != nil
	}
	l.unknown = true
	f.sources = append(f.sources, source{})
	return nil, false
}

// joinedColumns are those of a join. The columns of USING, and those that a natural join has in
// common, come first, and are one.
func joinedColumns(n *ast.Join, left, right []proxy.Column) (star []proxy.Column, ok bool) {
	common := func(c *proxy.Column) bool {
		if n.NaturalJoin {
			return indexOf(right, c.Name) >= 0
		}
		return slices.ContainsFunc(n.Using, func(u *ast.ColumnName) bool { return strings.EqualFold(u.Name.O, c.Name) })
	}
	if !n.NaturalJoin && len(n.Using) == 0 {
		return append(slices.Clip(left), right...), true
	}
	if n.Tp == ast.RightJoin { // whose order is another
		return nil, false
	}
	var rest []proxy.Column
	for i := range left {
		if !common(&left[i]) {
			rest = append(rest, left[i])
			continue
		}
		at := indexOf(right, left[i].Name)
		if at < 0 {
			return nil, false
		}
		star = append(star, merge(left[i:i+1], right[at:at+1])...)
	}
	for i := range right {
		if indexOf(star, right[i].Name) < 0 {
			rest = append(rest, right[i])
		}
	}
	return append(star, rest...), true
}

// indexOf returns where the column of a name is; -1 is nowhere.
func indexOf(list []proxy.Column, name string) int {
	return slices.IndexFunc(list, func(c proxy.Column) bool { return strings.EqualFold(c.Name, name) })
}

func (l *lineage) source(n *ast.TableSource, f *frame) (star []proxy.Column, ok bool) {
	s := source{name: lower(n.AsName.O)}
	switch from := n.Source.(type) {
	case *ast.TableName:
		s.columns = l.table(from, f)
		if s.name == "" {
			s.name, s.schema = lower(from.Name.O), lower(from.Schema.O)
			if s.schema == "" {
				s.schema = lower(l.schema)
			}
		}
	case *ast.SelectStmt, *ast.SetOprStmt:
		columns, ok := l.query(from, f) // which may be LATERAL
		if !ok {
			l.unknown = true
		}
		s.columns = columns
	case *ast.Join:
		return l.from(from, f)
	default:
		l.unknown = true
	}
	f.sources = append(f.sources, s)
	return s.columns, s.columns != nil
}

// table returns the columns of what a name means; nil when that is not known.
func (l *lineage) table(n *ast.TableName, f *frame) []proxy.Column {
	schema, name := lower(n.Schema.O), lower(n.Name.O)
	if schema == "" {
		for g := f; g != nil; g = g.outer {
			if columns, ok := g.queries[name]; ok {
				return columns
			}
		}
		schema = lower(l.schema)
	}
	for _, r := range l.temporary {
		if lower(r.Name) != name || r.Schema != "" && lower(r.Schema) != schema {
			continue
		}
		if !r.Known {
			l.missing = true
			return nil
		}
		return r.Columns
	}
	r := l.catalog.Relation(schema, name)
	if schema == "" || r == nil || l.moved {
		l.missing = true
		return nil
	}
	if l.view != nil {
		l.view(r)
	}
	out := make([]proxy.Column, len(r.Columns))
	for i := range r.Columns {
		if out[i] = r.Columns[i].Source; out[i].Opaque {
			out[i] = unsure(r.Columns[i].Name)
		}
		out[i].Name = r.Columns[i].Name
	}
	return out
}

// output is what an expression returns.
func (l *lineage) output(name string, e ast.ExprNode, f *frame) proxy.Column {
	for {
		p, ok := e.(*ast.ParenthesesExpr)
		if !ok {
			break
		}
		e = p.Expr
	}
	switch x := e.(type) {
	case *ast.ColumnNameExpr:
		c := l.column(x.Name, f, nil)
		if name != "" {
			c.Name = name
		}
		return c
	case *ast.ValuesExpr:
		if x.Column != nil && f != nil {
			if i := indexOf(f.values, x.Column.Name.Name.O); i >= 0 {
				c := f.values[i]
				c.Name = name
				return c
			}
		}
	case ast.ValueExpr:
		if o, ok := markOf(x); ok && l.marked {
			return proxy.Column{Name: name, Origins: []proxy.Origin{o}}
		}
	case *ast.SubqueryExpr:
		if columns, ok := l.query(x, f); ok && len(columns) == 1 {
			c := columns[0]
			if c.Name = name; name == "" {
				c.Name = "?"
			}
			return c
		}
	}
	c := &collector{l: l, f: f}
	c.visit(e, proxy.DerivedTransformed)
	return proxy.Column{Name: name, Origins: c.origins, Opaque: c.unsure || c.opaque, Unsure: c.unsure}
}

// column returns what a name of a column means.
func (l *lineage) column(n *ast.ColumnName, f *frame, labels map[string]*proxy.Column) proxy.Column {
	name, table, schema := lower(n.Name.O), lower(n.Table.O), lower(n.Schema.O)
	for g := f; g != nil; g = g.outer {
		var found *proxy.Column
		blind := false
		for i := range g.sources {
			s := &g.sources[i]
			if table != "" && s.name != table || schema != "" && s.schema != "" && s.schema != schema {
				continue
			}
			blind = blind || s.columns == nil
			for k := range s.columns {
				if lower(s.columns[k].Name) != name {
					continue
				}
				if found == nil {
					c := s.columns[k]
					found = &c
				} else { // as a column of USING, or of both
					both := merge([]proxy.Column{*found}, s.columns[k:k+1])
					found = &both[0]
				}
			}
		}
		switch {
		case found != nil && !blind:
			found.Name = n.Name.O
			return *found
		case blind:
			return unsure(n.Name.O)
		}
	}
	if c := labels[name]; c != nil && table == "" {
		return *c
	}
	l.missing = true
	return unsure(n.Name.O)
}

// used notes the columns that shape a result without being returned.
func (l *lineage) used(e ast.ExprNode, f *frame, in proxy.UsePlace, labels map[string]*proxy.Column) {
	if e == nil {
		return
	}
	c := &collector{l: l, f: f, labels: labels}
	c.visit(e, proxy.DerivedPredicate)
	for _, o := range c.origins {
		l.uses = append(l.uses, proxy.Use{Origin: o, In: in})
	}
}

// collector collects what an expression derives from.
type collector struct {
	l       *lineage
	f       *frame
	labels  map[string]*proxy.Column
	how     proxy.Derivation
	origins []proxy.Origin
	unsure  bool
	opaque  bool // it calls what may return anything
}

func (c *collector) visit(e ast.Node, how proxy.Derivation) {
	if c.l.depth++; c.l.depth > maxLineage {
		c.l.unknown, c.unsure = true, true
	} else if e != nil {
		was := c.how
		c.how = how
		e.Accept(c)
		c.how = was
	}
	c.l.depth--
}

// through is how a value derives by how, from what derives by of.
func through(of, how proxy.Derivation) proxy.Derivation {
	switch {
	case of == proxy.DerivedPredicate || how == proxy.DerivedPredicate:
		return proxy.DerivedPredicate
	case how == proxy.DerivedPlain:
		return of
	}
	return how
}

func (c *collector) add(col *proxy.Column) {
	c.unsure, c.opaque = c.unsure || col.Unsure, c.opaque || col.Opaque
	for _, o := range col.Origins {
		o.How = through(o.How, c.how)
		c.origins = append(c.origins, o)
	}
}

// each visits parts of a node in a way of their own.
func (c *collector) each(n ast.Node, how proxy.Derivation, parts ...ast.Node) (ast.Node, bool) {
	for _, p := range parts {
		c.visit(p, how)
	}
	return n, true
}

// Enter is called for every node of an expression.
func (c *collector) Enter(n ast.Node) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.ColumnNameExpr:
		col := c.l.column(n.Name, c.f, c.labels)
		c.add(&col)
		return n, true
	case *ast.ColumnName:
		col := c.l.column(n, c.f, c.labels)
		c.add(&col)
		return n, true
	case *ast.SubqueryExpr:
		c.subquery(n)
		return n, true
	case *ast.ExistsSubqueryExpr:
		was := c.how
		c.how = proxy.DerivedPredicate
		if s, ok := n.Sel.(*ast.SubqueryExpr); ok {
			c.subquery(s)
		} else {
			c.unsure = true
		}
		c.how = was
		return n, true
	case *ast.BinaryOperationExpr:
		switch n.Op {
		case opcode.LogicAnd, opcode.LogicOr, opcode.LogicXor, opcode.GE, opcode.LE, opcode.EQ, opcode.NE, opcode.LT, opcode.GT, opcode.NullEQ:
			return c.each(n, proxy.DerivedPredicate, n.L, n.R)
		}
	case *ast.PatternInExpr:
		c.visit(n.Expr, proxy.DerivedPredicate)
		for _, e := range n.List {
			c.visit(e, proxy.DerivedPredicate)
		}
		if n.Sel != nil {
			c.visit(n.Sel, proxy.DerivedPredicate)
		}
		return n, true
	case *ast.BetweenExpr:
		return c.each(n, proxy.DerivedPredicate, n.Expr, n.Left, n.Right)
	case *ast.PatternLikeOrIlikeExpr:
		return c.each(n, proxy.DerivedPredicate, n.Expr, n.Pattern)
	case *ast.PatternRegexpExpr:
		return c.each(n, proxy.DerivedPredicate, n.Expr, n.Pattern)
	case *ast.CompareSubqueryExpr:
		return c.each(n, proxy.DerivedPredicate, n.L, n.R)
	case *ast.IsNullExpr:
		return c.each(n, proxy.DerivedPredicate, n.Expr)
	case *ast.IsTruthExpr:
		return c.each(n, proxy.DerivedPredicate, n.Expr)
	case *ast.UnaryOperationExpr:
		if n.Op == opcode.Not || n.Op == opcode.Not2 {
			return c.each(n, proxy.DerivedPredicate, n.V)
		}
	case *ast.AggregateFuncExpr:
		how := proxy.DerivedAggregated
		if lower(n.F) == "count" {
			how = proxy.DerivedPredicate
		}
		for _, a := range n.Args {
			c.visit(a, how)
		}
		if n.Order != nil {
			for _, item := range n.Order.Items {
				c.visit(item.Expr, proxy.DerivedPredicate)
			}
		}
		return n, true
	case ast.ValueExpr:
		if o, ok := markOf(n); ok && c.l.marked {
			o.How = c.how
			c.origins = append(c.origins, o)
		}
		return n, true
	case *ast.ValuesExpr:
		if c.f != nil && c.f.values != nil && n.Column != nil {
			if i := indexOf(c.f.values, n.Column.Name.Name.O); i >= 0 {
				c.add(&c.f.values[i])
			}
			return n, true
		}
	case *ast.FuncCallExpr:
		class, _ := classify(lower(n.Schema.O), lower(n.FnName.O))
		c.opaque = c.opaque || class == proxy.FunctionUnknown
	case *ast.VariableExpr:
		c.unsure = c.unsure || !n.IsSystem && c.l.variables
		if n.Value != nil {
			c.visit(n.Value, c.how)
		}
		return n, true
	}
	return n, false
}

// Leave is called after a node's children.
func (c *collector) Leave(n ast.Node) (ast.Node, bool) { return n, true }

// subquery takes in what a query in an expression returns, and what decides about it.
func (c *collector) subquery(n *ast.SubqueryExpr) {
	before := len(c.l.uses)
	columns, ok := c.l.query(n, c.f)
	if !ok {
		c.unsure = true
	}
	for i := range columns {
		c.add(&columns[i])
	}
	for _, u := range c.l.uses[before:] {
		o := u.Origin
		o.How = proxy.DerivedPredicate
		c.origins = append(c.origins, o)
	}
}
