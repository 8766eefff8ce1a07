package mysql

import (
	"context"
	"slices"

	"github.com/sqlc-dev/marino/ast"
	"github.com/sqlc-dev/marino/parser"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Which columns a statement fills with its own literals and parameters is worked out like the base
// columns of a result: a literal is one more thing that a value may derive from. The parser is
// given a text in which each is replaced by its number ([sql.MarkedMySQL]).

// Fills says which columns text fills with its literals and parameters. See [proxy.FillAnalyzer].
func (a *Analyzer) Fills(ctx context.Context, text []byte, r *proxy.Reading) *proxy.Fills {
	reading := readingOf(r)
	reading.Places = true
	var n sql.MySQLText
	sql.NormaliseMySQL(&n, text, reading, a.limits)
	switch {
	case n.Problem != "":
		return &proxy.Fills{Unknown: n.Problem}
	case !r.Certain && (n.Quotes || n.Backslashes || n.Versions):
		return &proxy.Fills{Unknown: "it can be read in several ways"}
	}
	s := a.looked(ctx, r)
	if s.catalog == nil {
		return &proxy.Fills{Unknown: "there is no catalog"}
	}
	key, shared := s.appendKey(slices.Clone(n.Text))
	if shared = shared && len(key) <= maxKey; shared {
		if f := a.fills.Get(key); f != nil {
			return f
		}
	}
	f := a.filled(&n, &s)
	if shared {
		a.fills.Put(key, f)
	}
	return f
}

// Literals appends the literals of text to dst. See [proxy.FillAnalyzer].
func (a *Analyzer) Literals(dst [][]byte, text []byte, r *proxy.Reading) [][]byte {
	return sql.LiteralsOfMySQL(dst, text, readingOf(r), a.limits)
}

// Replace appends text with literals replaced. See [proxy.FillAnalyzer].
func (a *Analyzer) Replace(dst, text []byte, r *proxy.Reading, with func(i int) ([]byte, bool)) ([]byte, error) {
	return sql.ReplacedMySQL(dst, text, readingOf(r), a.limits, with)
}

// filled works out what text fills.
func (a *Analyzer) filled(n *sql.MySQLText, names *looked) (f *proxy.Fills) {
	a.parsers <- struct{}{}
	defer func() { <-a.parsers }()
	defer func() {
		if p := recover(); p != nil {
			f = &proxy.Fills{Unknown: "the parser failed"}
		}
	}()
	marked, ok := sql.MarkedMySQL(n)
	if !ok {
		return &proxy.Fills{Unknown: "its literals cannot be told apart"}
	}
	p := parser.New()
	p.SetMariaDB(true)
	stmts, _, err := p.ParseSQL(string(marked))
	if err != nil && n.Statements == 1 {
		if change, _ := returning(p, marked); change != nil {
			stmts, err = []ast.StmtNode{change}, nil
		}
	}
	if err != nil || len(stmts) != n.Statements {
		return &proxy.Fills{Unknown: "it does not parse"}
	}
	f = &proxy.Fills{}
	at := *names
	for _, s := range stmts {
		done, _ := statement(s)
		at.fillsOf(f, s, done)
		at.resolve(done, s)
		at.after(done)
	}
	return f
}

// fillsOf adds what one statement fills.
func (s *looked) fillsOf(f *proxy.Fills, n ast.StmtNode, done *proxy.Facts) {
	l := s.lineage()
	l.marked = true
	written := &proxy.Facts{}
	over := false
	switch n := n.(type) {
	case *ast.InsertStmt:
		over = n.IsReplace || len(n.OnDuplicate) > 0
		s.fills(written, l, n, nil)
	case *ast.UpdateStmt:
		over = true
		s.changes(written, l, n, nil)
	case *ast.ExplainStmt:
		if n.Analyze {
			s.fillsOf(f, n.Stmt, done)
		}
		return
	case *ast.CallStmt:
		c := &collector{l: l}
		n.Accept(c)
		f.Called = append(f.Called, sourcesOf(c.origins)...)
		return
	case *ast.SelectStmt, *ast.SetOprStmt, *ast.DeleteStmt, *ast.LoadDataStmt:
	default:
		if done.Unknown != "" || done.Effects.Has(opaque) {
			f.Unknown = or(f.Unknown, or(done.Unknown, "it may write anything"))
		}
		return
	}
	if done.Effects.Has(proxy.EffectCall) { // of functions that may write what they are given
		c := &collector{l: s.lineage(), f: &frame{}}
		c.l.marked = true
		n.Accept(c)
		f.Called = append(f.Called, sourcesOf(c.origins)...)
	}
	if l.missing || l.unknown {
		f.Unknown = or(f.Unknown, "it is not known what it fills")
		return
	}
	for _, c := range written.Renames { // from where values go on, and nobody looks at them
		if c.Kind == proxy.NameFilled {
			f.Columns = append(f.Columns, proxy.Fill{Schema: c.Schema, Relation: c.Value, Column: "*", Over: over, Opaque: true})
		}
	}
	for _, w := range written.Writes {
		values := sourcesOf(w.Column.Origins)
		if len(values) == 0 {
			continue
		}
		fill := proxy.Fill{Schema: w.Schema, Relation: w.Relation, Column: lower(w.Column.Name), Over: over, Values: values}
		if r := s.catalog.Relation(w.Schema, w.Relation); r != nil {
			if c := r.Column(fill.Column); c != nil {
				fill.Type, fill.NotNull = c.Type, c.NotNull
				if r.IsView() {
					fill.Bases = plainOrigins(c.Source.Origins)
				}
			}
		}
		f.Columns = append(f.Columns, fill)
	}
}

func plainOrigins(list []proxy.Origin) (out []proxy.Origin) {
	for _, o := range list {
		if o.How == proxy.DerivedPlain {
			out = append(out, o)
		}
	}
	return out
}

// marks are the names under which literals, parameters and NULL are followed. No relation has them.
const (
	markLiteral = "\x00literal"
	markParam   = "\x00param"
	markNull    = "\x00null"
)

// markOf is a marked value as what others derive from.
func markOf(v ast.ValueExpr) (proxy.Origin, bool) {
	number := func(n int64) (proxy.Origin, bool) {
		if i, ok := sql.MarkedParam(n); ok {
			return proxy.Origin{Relation: markParam, Type: uint32(i)}, true
		}
		i, ok := sql.MarkedNumber(n)
		return proxy.Origin{Relation: markLiteral, Type: uint32(i)}, ok
	}
	switch x := v.GetValue().(type) {
	case nil:
		return proxy.Origin{Relation: markNull}, true
	case string:
		i, ok := sql.MarkedString(x)
		return proxy.Origin{Relation: markLiteral, Type: uint32(i)}, ok
	case []byte:
		i, ok := sql.MarkedString(string(x))
		return proxy.Origin{Relation: markLiteral, Type: uint32(i)}, ok
	case int64:
		return number(x)
	case uint64:
		return number(int64(x))
	case float64:
		return number(int64(x))
	}
	return proxy.Origin{}, false
}

// sourcesOf are the literals and parameters of a list of origins. What only decides is not
// written.
func sourcesOf(list []proxy.Origin) (out []proxy.Source) {
	kinds := map[string]proxy.SourceKind{markLiteral: proxy.SourceLiteral, markParam: proxy.SourceParam, markNull: proxy.SourceNull}
	for _, o := range list {
		kind, ok := kinds[o.Relation]
		if !ok || o.How == proxy.DerivedPredicate {
			continue
		}
		part := o.How != proxy.DerivedPlain
		s := proxy.Source{Kind: kind, N: int(o.Type), Part: part, Changed: part}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
