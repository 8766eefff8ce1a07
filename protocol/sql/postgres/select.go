package postgres

import (
	"slices"
	"strconv"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/proxy"
)

// query is what a query returns. Names that it does not know are looked up in
// outer.
func (r *resolver) query(n *ast.SelectStmt, outer *space) rows {
	if n == nil {
		r.incomplete = true
		return openRows
	}
	if r.depth++; r.depth > maxDepth || !r.spend(1) {
		r.incomplete = true
		r.depth--
		return openRows
	}
	seen := r.with
	r.withQueries(n.WithClause, outer)
	var t rows
	switch {
	case n.Larg != nil || n.Rarg != nil:
		t = r.combined(n, outer)
	case n.ValuesLists != nil && len(n.ValuesLists.Items) > 0:
		t = r.values(n.ValuesLists, outer)
		s := &space{outer: outer, rows: t, outputs: t.columns}
		r.order(n.SortClause, s)
		r.limit(n, outer)
	default:
		t = r.selected(n, outer)
	}
	r.with = seen
	r.depth--
	return t
}

// combined is UNION, INTERSECT or EXCEPT.
func (r *resolver) combined(n *ast.SelectStmt, outer *space) rows {
	left, right := r.query(n.Larg, outer), r.query(n.Rarg, outer)
	if n.Op != ast.SETOP_UNION {
		for i := range min(len(left.columns), len(right.columns)) {
			r.compared(left.columns[i].value, right.columns[i].value, true)
		}
	}
	if n.Op == ast.SETOP_EXCEPT { // rows of the right one only take rows away
		for i := range right.columns {
			right.columns[i].value = r.as(right.columns[i].value, proxy.DerivedPredicate)
		}
	}
	t := r.merge(left, right)
	if !n.All || n.Op != ast.SETOP_UNION {
		r.use(r.all(t), proxy.UseDistinct)
	}
	r.order(n.SortClause, &space{outer: outer, rows: t, outputs: t.columns})
	r.limit(n, outer)
	return t
}

func (r *resolver) values(lists *ast.NodeList, outer *space) rows {
	var t rows
	var given givenLists
	for i, item := range lists.Items {
		list, ok := item.(*ast.NodeList)
		if !ok || i > 0 && len(list.Items) != len(t.columns) {
			r.incomplete = true
			return openRows
		}
		for k, e := range list.Items {
			v := given.take(k, r.expression(outer, e))
			if i == 0 {
				r.add(&t, output{"column" + strconv.Itoa(k+1), v})
			} else if k < len(t.columns) {
				t.columns[k].value = r.union(t.columns[k].value, v)
			}
		}
	}
	given.put(t.columns)
	return t
}

// selected is SELECT … FROM.
func (r *resolver) selected(n *ast.SelectStmt, outer *space) rows {
	s := r.from(n.FromClause, outer)
	r.equates(s, n.WhereClause)
	r.use(r.expression(s, n.WhereClause), proxy.UsePredicate) // which may tell more of what the columns are
	r.windows(n.WindowClause, s)
	t := r.targets(n.TargetList, s)
	s.outputs = t.columns
	r.group(n.GroupClause, s)
	r.use(r.expression(s, n.HavingClause), proxy.UsePredicate)
	r.distinct(n.DistinctClause, s, t)
	r.order(n.SortClause, s)
	r.limit(n, s)
	return t
}

// targets are the columns of a list after SELECT or RETURNING.
func (r *resolver) targets(list *ast.NodeList, s *space) rows {
	var t rows
	if list == nil {
		return t
	}
	for _, item := range list.Items {
		target, ok := item.(*ast.ResTarget)
		if !ok {
			r.incomplete = true
			return openRows
		}
		if all, ok := r.stars(s, target.Val); ok {
			r.extend(&t, all)
			continue
		}
		name := target.Name
		if name == "" {
			name = columnName(target.Val)
		}
		v := r.expression(s, target.Val)
		if t.open {
			t.rest = r.union(t.rest, v)
			t.columns = append(slices.Clone(t.columns), output{name, v})
			continue
		}
		r.add(&t, output{name, v})
	}
	return t
}

// windows notes the windows that a query defines.
func (r *resolver) windows(list *ast.NodeList, s *space) {
	if list == nil {
		return
	}
	s.windows = make(map[string]value, len(list.Items))
	for _, item := range list.Items {
		if w, ok := item.(*ast.WindowDef); ok && w != nil {
			s.windows[w.Name] = r.window(w, s)
		}
	}
}

// window is what decides about the rows of a window.
func (r *resolver) window(w *ast.WindowDef, s *space) value {
	group, order := r.generic(s, w.PartitionClause), r.generic(s, w.OrderClause)
	r.use(group, proxy.UseGroup)
	r.use(order, proxy.UseOrder)
	v := r.union(group, order)
	v = r.union(v, r.union(r.expression(s, w.StartOffset), r.expression(s, w.EndOffset)))
	for _, name := range []string{w.Name, w.Refname} {
		if name != "" && s != nil {
			v = r.union(v, s.windows[name])
		}
	}
	return r.as(v, proxy.DerivedPredicate)
}

// group notes GROUP BY: columns, numbers of outputs, expressions, and sets of
// them.
func (r *resolver) group(list *ast.NodeList, s *space) {
	if list == nil {
		return
	}
	for _, item := range list.Items {
		if set, ok := item.(*ast.GroupingSet); ok && set != nil {
			r.group(set.Content, s)
			continue
		}
		r.use(r.ordinalOr(item, s, false), proxy.UseGroup)
	}
}

func (r *resolver) distinct(list *ast.NodeList, s *space, t rows) {
	if list == nil {
		return
	}
	on := false
	for _, item := range list.Items {
		if !isNil(item) {
			on = true
			r.use(r.ordinalOr(item, s, true), proxy.UseDistinct)
		}
	}
	if !on {
		r.use(r.all(t), proxy.UseDistinct)
	}
}

func (r *resolver) order(list *ast.NodeList, s *space) {
	if list == nil {
		return
	}
	for _, item := range list.Items {
		n := item
		if by, ok := item.(*ast.SortBy); ok && by != nil {
			n = by.Node
		}
		r.use(r.ordinalOr(n, s, true), proxy.UseOrder)
	}
}

// ordinalOr is what an item of ORDER BY or GROUP BY means: an output by its
// number or name, else an expression. ORDER BY looks at the outputs' names
// first.
func (r *resolver) ordinalOr(n ast.Node, s *space, outputsFirst bool) value {
	switch e := n.(type) {
	case *ast.A_Const:
		i, ok := e.Val.(*ast.Integer)
		if !ok {
			return value{}
		}
		r.literals = true
		if i.IVal >= 1 && int(i.IVal) <= len(s.outputs) {
			return s.outputs[i.IVal-1].value
		}
		return opaque
	case *ast.ColumnRef:
		names, rest := namesOf(e.Fields)
		if len(names) != 1 || len(rest) > 0 {
			break
		}
		of, named := lookup(r, rows{columns: s.outputs}, names[0])
		if !named {
			break
		}
		if outputsFirst {
			return of
		}
		if v, ok := lookup(r, rows{columns: s.columns}, names[0]); ok {
			return v
		}
		return of
	}
	return r.expression(s, n)
}

func (r *resolver) limit(n *ast.SelectStmt, s *space) {
	r.use(r.expression(s, n.LimitCount), proxy.UsePredicate)
	r.use(r.expression(s, n.LimitOffset), proxy.UsePredicate)
}

// withQueries makes the queries of a WITH known.
func (r *resolver) withQueries(n *ast.WithClause, outer *space) {
	if n == nil || n.Ctes == nil {
		return
	}
	if n.Recursive {
		r.recursive(n, outer)
		return
	}
	for _, item := range n.Ctes.Items {
		c, ok := item.(*ast.CommonTableExpr)
		if !ok {
			r.incomplete = true
			continue
		}
		t := r.withQuery(c, outer)
		r.with = &with{r.with, c.Ctename, t}
	}
}

const maxRounds = 20

// recursive makes the queries of a WITH RECURSIVE known. Each may name any, itself
// too: what they derive from grows round by round, until it does not.
func (r *resolver) recursive(n *ast.WithClause, outer *space) {
	before := r.with
	var queries []*ast.CommonTableExpr
	for _, item := range n.Ctes.Items {
		if c, ok := item.(*ast.CommonTableExpr); ok {
			queries = append(queries, c)
			r.with = &with{r.with, c.Ctename, rows{open: true}}
		} else {
			r.incomplete = true
		}
	}
	current := make([]rows, len(queries))
	bind := func() {
		r.with = before
		for i, c := range queries {
			r.with = &with{r.with, c.Ctename, current[i]}
		}
	}
	for i, c := range queries { // the part that is not recursive comes first
		current[i] = rows{open: true}
		if q := selectOf(c.Ctequery); q != nil && q.Larg != nil {
			seen := r.with
			r.withQueries(q.WithClause, outer)
			current[i] = r.query(q.Larg, outer).named(stringsOf(c.Aliascolnames))
			r.with = seen
		}
	}
	for round := 0; ; round++ {
		changed := false
		for i, c := range queries {
			bind()
			t := r.withQuery(c, outer)
			if !alike(current[i], t) {
				changed, current[i] = true, t
			}
		}
		if !changed {
			break
		}
		if round > maxRounds || !r.spend(1) {
			r.incomplete = true
			for i := range current {
				current[i] = openRows
			}
			break
		}
	}
	bind()
}

// alike reports whether two rounds of a recursion found the same.
func alike(a, b rows) bool {
	return a.open == b.open && len(a.rest.origins) == len(b.rest.origins) && slices.EqualFunc(a.columns, b.columns, func(x, y output) bool {
		return x.name == y.name && x.opaque == y.opaque && len(x.origins) == len(y.origins)
	})
}

func (r *resolver) withQuery(c *ast.CommonTableExpr, outer *space) rows {
	var t rows
	if q := selectOf(c.Ctequery); q != nil {
		t = r.query(q, outer)
	} else {
		t = r.change(c.Ctequery, outer)
	}
	t = t.named(stringsOf(c.Aliascolnames))
	all := value{}
	if c.SearchClause != nil || c.CycleClause != nil {
		all = r.as(r.all(t), proxy.DerivedTransformed)
	}
	if c.SearchClause != nil {
		t.columns = append(slices.Clone(t.columns), output{c.SearchClause.SearchSeqColumn, all})
	}
	if c.CycleClause != nil {
		t.columns = append(slices.Clone(t.columns), output{c.CycleClause.CycleMarkColumn, r.as(all, proxy.DerivedPredicate)}, output{c.CycleClause.CyclePathColumn, all})
	}
	return t
}
