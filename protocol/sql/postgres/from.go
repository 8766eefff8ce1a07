package postgres

import (
	"slices"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// fromItem is an item of FROM: the tables by whose names its columns can be
// qualified, and its columns.
type fromItem struct {
	tables []*table
	rows
}

// from makes the space of a FROM list.
func (r *resolver) from(list *ast.NodeList, outer *space) *space {
	s := &space{outer: outer}
	if list == nil {
		return s
	}
	for _, item := range list.Items {
		r.join(s, r.item(item, s))
	}
	return s
}

// item is one item of FROM. What comes before it is in before, and is seen by
// LATERAL queries and by functions.
func (r *resolver) item(n ast.Node, before *space) fromItem {
	if r.depth++; r.depth > maxDepth {
		r.incomplete = true
		r.depth--
		return fromItem{rows: openRows}
	}
	defer func() { r.depth-- }()
	switch n := n.(type) {
	case *ast.ParenExpr:
		return r.item(n.Expr, before)
	case *ast.RangeVar:
		return r.rangeVar(n)
	case *ast.RangeSubselect:
		seen := before.outer
		if n.Lateral {
			seen = before
		}
		t := r.query(selectOf(n.Subquery), seen)
		return aliased(t, n.Alias)
	case *ast.RangeFunction:
		return r.rangeFunction(n, before)
	case *ast.RangeTableSample:
		item := r.item(n.Relation, before)
		r.use(r.generic(before, n.Args), proxy.UsePredicate)
		r.use(r.expression(before, n.Repeatable), proxy.UsePredicate)
		return item
	case *ast.RangeTableFunc:
		v := r.as(r.union(r.expression(before, n.DocExpr), r.expression(before, n.RowExpr)), proxy.DerivedTransformed)
		var t rows
		if n.Columns != nil {
			for _, item := range n.Columns.Items {
				c, ok := item.(*ast.RangeTableFuncCol)
				if !ok {
					t.open, t.rest = true, opaque
					break
				}
				r.add(&t, output{c.ColName, r.union(v, r.as(r.union(r.expression(before, c.ColExpr), r.expression(before, c.ColDefExpr)), proxy.DerivedTransformed))})
			}
		}
		return aliased(t, n.Alias)
	case *ast.JsonTable:
		v := r.as(r.generic(before, n), proxy.DerivedTransformed)
		// Columns in nested paths have names too; all derive from the document.
		return aliased(rows{open: true, rest: v}, n.Alias)
	case *ast.JoinExpr:
		return r.joined(n, before)
	}
	r.incomplete = true
	return fromItem{rows: openRows}
}

// aliased is rows under a name of their own.
func aliased(t rows, a *ast.Alias) fromItem {
	name := ""
	if a != nil {
		name = a.AliasName
		t = t.named(stringsOf(a.ColNames))
	}
	return fromItem{tables: []*table{{name: name, rows: t}}, rows: t}
}

func (r *resolver) rangeVar(n *ast.RangeVar) fromItem {
	t := r.named(n)
	if n.Alias != nil {
		t.schema, t.name, t.rows = "", n.Alias.AliasName, t.named(stringsOf(n.Alias.ColNames))
	}
	return fromItem{tables: []*table{t}, rows: t.rows}
}

// named is the relation, or the query in WITH, that a name means.
func (r *resolver) named(n *ast.RangeVar) *table {
	if n.SchemaName == "" {
		if t, ok := r.with.find(n.RelName); ok {
			return &table{name: n.RelName, rows: t}
		}
	}
	return r.relation(n.SchemaName, n.RelName)
}

// relation is a relation of the catalog's.
func (r *resolver) relation(schema, name string) *table {
	found, certain := r.catalog.Relations(schema, name)
	if len(found) == 0 {
		r.doubt, r.unsure = r.doubt || r.catalog.Missing(name), true
		return &table{schema: schema, name: name, rows: unsureRows}
	}
	t := r.held(found[0])
	if certain && len(found) == 1 {
		return t
	}
	// It is one of several, and may be another.
	t.relation, t.schema = nil, schema
	for _, rel := range found[1:min(len(found), maxMeanings)] {
		t.rows = r.either(t.rows, r.held(rel).rows)
	}
	if !certain || len(found) > maxMeanings {
		r.unsure = true
		t.rows = r.either(t.rows, unsureRows)
	}
	return t
}

// maxMeanings bounds how many relations are looked at that one name may mean.
const maxMeanings = 16

// unsureRows are those of a relation that may be any.
var unsureRows = rows{open: true, rest: value{unsure: anything}}

// held is a relation of the catalog's with what its columns hold.
func (r *resolver) held(rel *sql.Relation) *table {
	if r.pending != nil {
		r.pending.view(rel)
	}
	t := &table{schema: rel.Schema, name: rel.Name}
	if !rel.Own {
		t.relation = rel
	}
	t.columns = make([]output, len(rel.Columns))
	r.spend(len(rel.Columns))
	for i := range rel.Columns {
		c := &rel.Columns[i]
		t.columns[i] = output{c.Name, heldBy(&c.Source)}
	}
	return t
}

// heldBy is what a column of the catalog's holds.
func heldBy(c *proxy.Column) value {
	if c.Unsure {
		return value{origins: c.Origins, unsure: anything}
	}
	return value{origins: c.Origins, opaque: c.Opaque}
}

// either is a or b, by the names of their columns. Which columns there are and in
// which order is known only when both have the same.
func (r *resolver) either(a, b rows) rows {
	same := !a.open && !b.open && slices.EqualFunc(a.columns, b.columns, func(x, y output) bool { return x.name == y.name })
	t := rows{open: !same, columns: slices.Clone(a.columns)}
	for i := range t.columns {
		of, _ := lookup(r, b, t.columns[i].name)
		t.columns[i].value = r.union(t.columns[i].value, of)
	}
	if same {
		return t
	}
	for _, c := range b.columns {
		if _, known := lookup(r, rows{columns: t.columns}, c.name); !known {
			of, _ := lookup(r, a, c.name)
			t.columns = append(t.columns, output{c.name, r.union(c.value, of)})
		}
	}
	t.rest = r.union(r.all(a), r.all(b))
	return t
}

// joined is a join. Columns that are joined by name stand first, once.
func (r *resolver) joined(n *ast.JoinExpr, before *space) fromItem {
	left := r.item(n.Larg, before)
	seen := &space{outer: before.outer, tables: slices.Clone(before.tables), rows: before.rows}
	r.join(seen, left)
	right := r.item(n.Rarg, seen)

	item := fromItem{tables: append(slices.Clone(left.tables), right.tables...)}
	names := stringsOf(n.UsingClause)
	if n.IsNatural {
		names = nil
		for i := range left.columns {
			if name := left.columns[i].name; slices.ContainsFunc(right.columns, func(o output) bool { return o.name == name }) {
				names = append(names, name)
			}
		}
		if left.open || right.open {
			// Which columns are joined is not known, nor is in which order they come.
			item.open, item.rest = true, r.union(r.all(left.rows), r.all(right.rows))
		}
	}
	var joined rows
	for _, name := range names {
		a, _ := lookup(r, left.rows, name)
		b, _ := lookup(r, right.rows, name)
		r.use(a, proxy.UseJoin)
		r.use(b, proxy.UseJoin)
		r.compared(a, b, true)
		joined.columns = append(joined.columns, output{name, r.union(a, b)})
	}
	item.columns = slices.Clone(joined.columns)
	for _, side := range []rows{left.rows, right.rows} {
		for _, c := range side.columns {
			if !slices.Contains(names, c.name) {
				item.columns = append(item.columns, c)
			}
		}
		r.spend(len(side.columns))
		if side.open {
			item.open, item.rest = true, r.union(item.rest, side.rest)
		}
	}
	if !isNil(n.Quals) {
		on := &space{outer: before.outer, tables: slices.Clone(before.tables), rows: before.rows}
		r.join(on, item)
		r.equates(on, n.Quals)
		before.columns, item.columns = on.columns[:len(before.columns)], on.columns[len(before.columns):]
		r.use(r.expression(on, n.Quals), proxy.UseJoin)
	}
	if a := n.JoinUsingAlias; a != nil {
		item.tables = append(item.tables, &table{name: a.AliasName, rows: joined})
	}
	if n.Alias != nil {
		return aliased(item.rows, n.Alias)
	}
	return item
}

// rangeFunction is a function, or several side by side, in FROM.
func (r *resolver) rangeFunction(n *ast.RangeFunction, before *space) fromItem {
	var t rows
	if n.Functions == nil || len(n.Functions.Items) == 0 {
		r.incomplete = true
		return aliased(openRows, n.Alias)
	}
	alias := ""
	var alone *ast.FuncCall
	if n.Alias != nil && len(n.Functions.Items) == 1 {
		alias = n.Alias.AliasName
	}
	for _, item := range n.Functions.Items {
		list, ok := item.(*ast.NodeList)
		if !ok || len(list.Items) == 0 {
			r.incomplete = true
			return aliased(openRows, n.Alias)
		}
		if len(n.Functions.Items) == 1 {
			alone, _ = list.Items[0].(*ast.FuncCall)
		}
		v := r.intact(r.expression(before, list.Items[0]))
		defined := n.ColDefList
		if len(list.Items) > 1 {
			if l, ok := list.Items[1].(*ast.NodeList); ok && l != nil && len(l.Items) > 0 {
				defined = l
			}
		}
		r.extend(&t, r.returned(list.Items[0], v, defined, alias))
	}
	if n.Ordinality {
		if t.open {
			t.columns = append(slices.Clone(t.columns), output{name: "ordinality"})
		} else {
			r.add(&t, output{name: "ordinality"})
		}
	}
	if n.Alias == nil && alone != nil {
		_, name := qualified(alone.Funcname)
		return fromItem{tables: []*table{{name: name, rows: t}}, rows: t}
	}
	return aliased(t, n.Alias)
}

// returned are the columns of a function in FROM, each of which derives from v.
func (r *resolver) returned(n ast.Node, v value, defined *ast.NodeList, alias string) rows {
	var t rows
	if defined != nil && len(defined.Items) > 0 {
		for _, item := range defined.Items {
			c, ok := item.(*ast.ColumnDef)
			if !ok {
				return rows{open: true, rest: v}
			}
			r.add(&t, output{c.Colname, v})
		}
		return t
	}
	call, ok := n.(*ast.FuncCall)
	if !ok {
		if name := columnName(n); name != unnamedColumn { // current_date and the like
			if alias != "" {
				name = alias
			}
			return rows{columns: []output{{name, v}}}
		}
		return rows{open: true, rest: v}
	}
	schema, name := qualified(call.Funcname)
	if schema == "" || schema == "pg_catalog" {
		if !r.owned("", name) {
			names, ok := returnedNames[name]
			if name == "unnest" && call.Args != nil && len(call.Args.Items) == 1 && isTSVector(call.Args.Items[0], v) {
				names, ok = []string{"lexeme", "positions", "weights"}, true
			}
			if ok {
				for _, name := range names {
					r.add(&t, output{name, v})
				}
				return t
			}
			if returnsScalars[name] {
				n := 1
				if name == "unnest" && call.Args != nil {
					n = len(call.Args.Items)
				}
				if alias != "" && n == 1 {
					name = alias
				}
				for range n {
					r.add(&t, output{name, v})
				}
				return t
			}
		}
	}
	return rows{open: true, rest: v}
}

// returnedNames are the columns of built-in functions that have names of their
// own, which an alias does not change.
var returnedNames = map[string][]string{
	"json_array_elements": {"value"}, "jsonb_array_elements": {"value"},
	"json_array_elements_text": {"value"}, "jsonb_array_elements_text": {"value"},
	"json_each": {"key", "value"}, "jsonb_each": {"key", "value"},
	"json_each_text": {"key", "value"}, "jsonb_each_text": {"key", "value"},
}

// makesTSVector are the server's functions that return a tsvector.
var makesTSVector = map[string]bool{
	"to_tsvector": true, "array_to_tsvector": true, "json_to_tsvector": true, "jsonb_to_tsvector": true, "setweight": true, "strip": true, "ts_delete": true, "ts_filter": true,
	"tsvector_concat": true,
}

const oidTSVector = 3614

// isTSVector reports whether an expression, which holds v, is one of that type: a column,
// a cast or a call.
func isTSVector(n ast.Node, v value) bool {
	switch n := n.(type) {
	case *ast.ColumnRef:
		return len(v.origins) == 1 && v.origins[0].Type == oidTSVector
	case *ast.FuncCall:
		schema, name := qualified(n.Funcname)
		return (schema == "" || schema == "pg_catalog") && makesTSVector[name]
	case *ast.TypeCast:
		if n.TypeName != nil {
			_, name := qualified(n.TypeName.Names)
			return name == "tsvector"
		}
	}
	return false
}

// returnsScalars are built-in functions whose one column is called as the alias,
// or the function.
var returnsScalars = map[string]bool{
	"generate_series": true, "generate_subscripts": true, "unnest": true, "regexp_split_to_table": true, "regexp_matches": true,
	"string_to_table": true, "json_object_keys": true, "jsonb_object_keys": true, "jsonb_path_query": true, "now": true,
	"upper": true, "lower": true, "substr": true, "reverse": true, "concat": true, "format": true, "length": true,
	"row_to_json": true, "to_json": true, "to_jsonb": true, "regexp_split_to_array": true, "string_to_array": true,
}
