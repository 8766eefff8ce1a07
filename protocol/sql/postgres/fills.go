package postgres

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/multigres/multigres/go/common/parser"
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Which columns a statement fills with its own literals and parameters is worked out
// like the base columns of a result: a literal is one more thing that a value may derive
// from. The parser does not say where in the text a literal is, so it is given a text
// in which each is replaced by its number ([sql.Marked]).

// fills are what a resolver finds of them.
type fills struct {
	columns  []proxy.Fill
	called   []proxy.Source
	compared []proxy.Fill
}

// Fills says which columns text fills with its literals and parameters. See
// [proxy.FillAnalyzer].
func (a *Analyzer) Fills(ctx context.Context, text []byte, r *proxy.Reading) *proxy.Fills {
	n := a.scratch.Get().(*sql.Normalised)
	defer func() {
		if cap(n.Text) <= maxKey {
			a.scratch.Put(n)
		}
	}()
	literals := literalsOf(r)
	sql.NormalisePostgresAs(n, text, a.limits, literals)
	if n.Problem != "" {
		return &proxy.Fills{Unknown: n.Problem}
	}
	catalog, _ := a.scope(ctx, r)
	if len(n.Text) > maxKey {
		return a.filled(text, literals, catalog)
	}
	n.Text = catalog.AppendKey(append(n.Text, 0))
	if f := a.fills.Get(n.Text); f != nil {
		return f
	}
	f := a.filled(text, literals, catalog)
	a.fills.Put(n.Text, f)
	return f
}

// Literals appends the literals of text to dst. See [proxy.FillAnalyzer].
func (a *Analyzer) Literals(dst [][]byte, text []byte, r *proxy.Reading) [][]byte {
	return sql.AppendLiterals(dst, text, a.limits, literalsOf(r))
}

// Replace appends text with literals replaced. See [proxy.FillAnalyzer].
func (a *Analyzer) Replace(dst, text []byte, r *proxy.Reading, with func(i int) ([]byte, bool)) ([]byte, error) {
	return sql.AppendReplaced(dst, text, a.limits, literalsOf(r), with)
}

func literalsOf(r *proxy.Reading) sql.Literals {
	if r.BackslashLiterals {
		return sql.LiteralsEscaped
	}
	return sql.LiteralsPlain
}

// filled works out what text fills.
func (a *Analyzer) filled(text []byte, literals sql.Literals, catalog sql.Scope) (f *proxy.Fills) {
	a.parsers <- struct{}{}
	defer func() { <-a.parsers }()
	defer func() {
		if p := recover(); p != nil {
			f = &proxy.Fills{Unknown: "the parser failed"}
		}
	}()
	marked, ok := sql.Marked(text, a.limits, literals)
	if !ok {
		return &proxy.Fills{Unknown: "its literals cannot be told apart"}
	}
	stmts, err := parser.ParseSQL(string(marked))
	if err != nil {
		return &proxy.Fills{Unknown: "it does not parse"}
	}
	f = &proxy.Fills{}
	for _, s := range withoutEmpty(stmts) {
		r := &resolver{catalog: catalog, fills: &fills{}}
		done := newVisitor(catalog).whole(s)
		if e, ok := s.(*ast.ExplainStmt); ok && done.Effects.Has(proxy.EffectsWrite) { // EXPLAIN ANALYZE
			if inner, ok := e.Query.(ast.Stmt); ok {
				s = inner
			}
		}
		r.statement(s, &proxy.Facts{})
		if c, ok := s.(*ast.CallStmt); ok && c.Funccall != nil {
			r.expression(nil, c.Funccall)
		}
		if e, ok := s.(*ast.ExecuteStmt); ok && e.Params != nil {
			for _, p := range e.Params.Items {
				v := r.expression(nil, p)
				if len(v.given) != 1 {
					return &proxy.Fills{Unknown: done.Unknown}
				}
				f.Arguments = append(f.Arguments, v.given[0])
			}
		}
		if r.incomplete {
			for i := range r.fills.columns {
				r.fills.columns[i].Opaque = true
			}
		}
		f.Columns = append(f.Columns, r.fills.columns...)
		f.Compared = append(f.Compared, r.fills.compared...)
		f.Called = bothGiven(f.Called, r.fills.called)
		if done.Unknown != "" && f.Unknown == "" {
			f.Unknown = done.Unknown
		}
		catalog = catalog.After(sql.Renames(done))
	}
	return f
}

// given is what a constant or a parameter is.
func (r *resolver) given(n ast.Node) value {
	if r.fills == nil {
		return value{}
	}
	switch n := n.(type) {
	case *ast.ParamRef:
		return value{given: []proxy.Source{{Kind: proxy.SourceParam, N: n.Number - 1}}}
	case *ast.A_Const:
		if isNull(n) {
			return value{given: []proxy.Source{{Kind: proxy.SourceNull}}}
		}
		if i, ok := literalMarked(n.Val); ok {
			return value{given: []proxy.Source{{Kind: proxy.SourceLiteral, N: i}}}
		}
	}
	return value{}
}

// literalMarked returns of which literal v is the number in a marked text.
func literalMarked(v ast.Node) (int, bool) {
	switch v := v.(type) {
	case *ast.String:
		return sql.MarkedString(v.SVal)
	case *ast.Integer:
		return sql.MarkedNumber(int64(v.IVal))
	case *ast.Float:
		whole, _, _ := bytes.Cut([]byte(v.FVal), []byte("."))
		if i, err := strconv.ParseInt(string(whole), 10, 64); err == nil {
			return sql.MarkedNumber(i)
		}
	}
	return 0, false
}

// intact is v, which an expression returns as it is or in another type.
func (r *resolver) intact(v value) value {
	given := v.given
	v = r.as(v, proxy.DerivedTransformed)
	v.given = given
	return v
}

// skipped is v, in the place of which something else comes when it is NULL.
func skipped(v value) value {
	v.given = slices.Clone(v.given)
	for i := range v.given {
		v.given[i].Skipped = true
	}
	return v
}

func compareSources(a, b proxy.Source) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.N, b.N))
}

// bothGiven is what is in either list, in order. What is whole in one is whole.
func bothGiven(a, b []proxy.Source) []proxy.Source {
	switch {
	case len(b) == 0:
		return a
	case len(a) == 0:
		return b
	}
	out := make([]proxy.Source, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch compareSources(a[0], b[0]) {
		case -1:
			out, a = append(out, a[0]), a[1:]
		case 1:
			out, b = append(out, b[0]), b[1:]
		default:
			x := a[0]
			x.Part, x.Skipped = x.Part && b[0].Part, x.Skipped && b[0].Skipped
			x.Changed, x.Elements = x.Changed || b[0].Changed, x.Elements && b[0].Elements
			out, a, b = append(out, x), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// givenAs is what is given to a value that derives from it in a way. What only decides
// is not written.
func givenAs(given []proxy.Source, how proxy.Derivation) []proxy.Source {
	switch {
	case len(given) == 0 || how == proxy.DerivedPlain:
		return given
	case how == proxy.DerivedPredicate:
		return nil
	}
	out := slices.Clone(given)
	for i := range out {
		out[i].Part, out[i].Changed = true, true
	}
	return out
}

// givenLists gathers what is given to the columns of VALUES, whose rows may be many.
type givenLists [][]proxy.Source

// take takes what is given out of v, which is in column k.
func (l *givenLists) take(k int, v value) value {
	if len(v.given) > 0 {
		for len(*l) <= k {
			*l = append(*l, nil)
		}
		(*l)[k] = append((*l)[k], v.given...)
		v.given = nil
	}
	return v
}

// put gives it back.
func (l givenLists) put(columns []output) {
	for k, given := range l {
		if k < len(columns) {
			slices.SortStableFunc(given, compareSources)
			columns[k].given = slices.CompactFunc(given, func(a, b proxy.Source) bool { return a == b })
		}
	}
}

// fillsOf notes what a change fills.
func (r *resolver) fillsOf(c *changed, schema, name string) {
	if r.fills == nil {
		return
	}
	for _, column := range c.names() {
		f := proxy.Fill{Schema: schema, Relation: name, Column: column}
		if schema == temporarySchema { // from where values go on, and nobody looks at them
			f.Column, f.Opaque = "*", true
		}
		if given, ok := c.given[column]; ok {
			f.Values = given
			r.fillColumn(c.table, f)
		}
		if given, ok := c.over[column]; ok {
			f.Over, f.Values = true, given
			r.fillColumn(c.table, f)
		}
	}
}

// gives notes in to what is given to a column.
func (r *resolver) gives(to *map[string][]proxy.Source, column string, v value) {
	if r.fills == nil {
		return
	}
	if *to == nil {
		*to = make(map[string][]proxy.Source)
	}
	(*to)[column] = bothGiven((*to)[column], v.given)
}

// fillColumn notes that a column of a table is filled.
func (r *resolver) fillColumn(t *table, f proxy.Fill) {
	for i := range t.columns {
		if t.columns[i].name != f.Column {
			continue
		}
		for _, o := range t.columns[i].origins {
			if o.How == proxy.DerivedPlain && (o.Relation != f.Relation || o.Column != f.Column || o.Schema != f.Schema) {
				f.Bases = append(f.Bases, o)
			}
		}
	}
	if rel := t.relation; rel != nil {
		for i := range rel.Columns {
			if rel.Columns[i].Name == f.Column {
				f.Type, f.NotNull = rel.Columns[i].Type, rel.Columns[i].NotNull
			}
		}
	}
	r.fills.columns = append(r.fills.columns, f)
}

// fillFields notes what a COPY from the client fills, field by field.
func (r *resolver) fillFields(n *ast.CopyStmt) {
	if r.fills == nil || n.Relation == nil || n.IsProgram || n.Filename != "" {
		return
	}
	t := r.relation(n.Relation.SchemaName, n.Relation.RelName)
	names := stringsOf(n.Attlist)
	if t.schema == temporarySchema {
		names = nil // from where values go on, and nobody looks at them
	} else if len(names) == 0 && t.relation != nil {
		for i := range t.relation.Columns {
			if c := &t.relation.Columns[i]; c.Generated == "" {
				names = append(names, c.Name)
			}
		}
	}
	for i, name := range names {
		r.fillColumn(t, proxy.Fill{Schema: t.schema, Relation: t.name, Column: name, Values: []proxy.Source{{Kind: proxy.SourceField, N: i}}})
	}
	if len(names) == 0 {
		r.fillColumn(t, proxy.Fill{Schema: t.schema, Relation: t.name, Column: "*", Opaque: true})
	}
}

// objectWrites are the server's functions that write large objects.
var objectWrites = map[string]bool{"lo_put": true, "lowrite": true, "lo_from_bytea": true}

// oidBytea is the number of the type of large objects' data.
const oidBytea = 17

// fillCalled notes a call of a function that writes a large object, or may write
// anything.
func (r *resolver) fillCalled(schema, name string, args value) {
	if r.fills == nil || len(args.given) == 0 {
		return
	}
	server := (schema == "" || schema == "pg_catalog") && !r.owned("", name)
	switch class := classes[name]; {
	case server && objectWrites[name]:
		r.fills.columns = append(r.fills.columns, proxy.Fill{
			Schema: "pg_catalog", Relation: "pg_largeobject", Column: "data", Type: oidBytea, Over: name != "lo_from_bytea", Values: args.given,
		})
	case !server || class == proxy.FunctionUnknown || class == proxy.FunctionOutside:
		r.fills.called = bothGiven(r.fills.called, args.given)
	}
}
