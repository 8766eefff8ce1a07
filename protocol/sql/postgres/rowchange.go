package postgres

import (
	"slices"
	"strings"

	"github.com/multigres/multigres/go/common/parser"
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// moving are the functions of the server's own that answer anew each time.
var moving = func() map[string]bool {
	m := map[string]bool{}
	for name := range strings.FieldsSeq(`clock_timestamp random setseed timeofday random_normal gen_random_uuid uuidv4 uuidv7 array_sample array_shuffle ` + volatile[proxy.FunctionReads]) {
		m[name] = true
	}
	return m
}()

// RowChange takes a statement apart. The parts are cut out of the text, and what was put
// together of them is read again: it must say the same of the statement as the text does.
func (a *Analyzer) RowChange(text []byte, _ *proxy.Reading) (c *sql.RowChange, err error) {
	a.parsers <- struct{}{}
	defer func() { <-a.parsers }()
	defer func() {
		if recover() != nil {
			c, err = nil, sql.ErrNotApart
		}
	}()
	tokens, ok := sql.PostgresTokens(text, a.limits)
	if !ok {
		return nil, sql.ErrNotApart
	}
	stmts, err := parser.ParseSQL(string(text))
	if err != nil {
		return nil, sql.ErrNotApart
	}
	if stmts = withoutEmpty(stmts); len(stmts) != 1 {
		return nil, sql.ErrSeveral
	}
	for n := len(tokens); n > 0 && text[tokens[n-1].Start] == ';'; n-- {
		tokens = tokens[:n-1]
	}
	p := &apart{text: text, tokens: tokens}
	c = &sql.RowChange{}
	switch n := stmts[0].(type) {
	case *ast.UpdateStmt:
		err = p.update(c, n)
	case *ast.DeleteStmt:
		err = p.delete(c, n)
	case *ast.InsertStmt:
		err = p.insert(c, n)
	case *ast.TruncateStmt:
		c.Effect, c.Cascades = proxy.EffectTruncate, n.Behavior == ast.DropCascade
		for _, item := range items(n.Relations) {
			r, ok := item.(*ast.RangeVar)
			if !ok {
				return nil, sql.ErrNotApart
			}
			c.Tables = append(c.Tables, sql.Named{Path: path(r.SchemaName, r.RelName), Only: !r.Inh})
		}
	case *ast.DropStmt:
		if n.RemoveType != ast.OBJECT_TABLE {
			return nil, sql.ErrNotRows
		}
		c.Effect, c.Cascades = proxy.EffectDrop, n.Behavior == ast.DropCascade
		for _, item := range items(n.Objects) {
			list, ok := item.(*ast.NodeList)
			if !ok {
				return nil, sql.ErrNotApart
			}
			c.Tables = append(c.Tables, sql.Named{Path: path(qualified(list))})
		}
	default:
		return nil, sql.ErrNotRows
	}
	if err != nil {
		return nil, err
	}
	if p.foreign(c.Tables) {
		return nil, sql.ErrNotApart
	}
	return c, nil
}

// foreign reports whether a table's name may be another one to the server, which folds what is
// not ASCII and not in quotes by its own rules.
func (p *apart) foreign(tables []sql.Named) bool {
	for _, t := range p.tokens {
		if t.Word == "" || !strings.ContainsFunc(t.Word, func(r rune) bool { return r > '~' }) {
			continue
		}
		for _, named := range tables {
			if strings.Contains(strings.ToLower(named.Path), strings.ToLower(`"`+t.Word+`"`)) {
				return true
			}
		}
	}
	return false
}

func items(l *ast.NodeList) []ast.Node {
	if l == nil {
		return nil
	}
	return l.Items
}

func path(schema, name string) string {
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	if schema == "" {
		return quote(name)
	}
	return quote(schema) + "." + quote(name)
}

// apart cuts a text at its words.
type apart struct {
	text   []byte
	tokens []sql.Token
}

// cut is the text of the tokens from one to another.
func (p *apart) cut(from, to int) string {
	if from >= to {
		return ""
	}
	return string(p.text[p.tokens[from].Start:p.tokens[to-1].End])
}

func (p *apart) is(i int, c byte) bool {
	return i >= 0 && i < len(p.tokens) && p.text[p.tokens[i].Start] == c
}

// find returns the first of these words from a token on that is outside of all parentheses, and
// neither a part of a name nor of IS DISTINCT FROM; the end when there is none.
func (p *apart) find(from int, words ...string) int {
	for i := from; i < len(p.tokens); i++ {
		t := &p.tokens[i]
		if t.Depth != 0 || t.Word == "" || p.is(i-1, '.') || i > 0 && (p.tokens[i-1].Word == "distinct" || p.tokens[i-1].Word == "as") {
			continue
		}
		for _, w := range words {
			if t.Word == w {
				return i
			}
		}
	}
	return len(p.tokens)
}

// begin cuts what is before the statement's own word, and returns where that is.
func (p *apart) begin(c *sql.RowChange, word string) (int, error) {
	if len(p.tokens) == 0 {
		return 0, sql.ErrNotApart
	}
	at := 0
	if p.tokens[0].Word == "with" {
		at = p.find(1, word)
		for at < len(p.tokens) && !p.is(at-1, ')') {
			at = p.find(at+1, word)
		}
		c.With = p.cut(0, at)
	}
	if at >= len(p.tokens) || p.tokens[at].Word != word {
		return 0, sql.ErrNotApart
	}
	return at + 1, nil
}

// target cuts the table that is changed.
func (p *apart) target(c *sql.RowChange, from, to int, r *ast.RangeVar) error {
	if r == nil || from >= to || r.CatalogName != "" {
		return sql.ErrNotApart
	}
	c.Target = p.cut(from, to)
	last := to - 1
	for last > from && (p.is(last, ')') || p.is(last, '*')) { // of ONLY (t), and of t *
		last--
	}
	c.Ref = p.cut(last, last+1)
	c.Tables = []sql.Named{{Path: path(r.SchemaName, r.RelName), Only: !r.Inh}}
	return nil
}

func (p *apart) update(c *sql.RowChange, n *ast.UpdateStmt) error {
	c.Effect = proxy.EffectUpdate
	at, err := p.begin(c, "update")
	if err != nil {
		return err
	}
	set := p.find(at+1, "set")
	equals := set
	for equals < len(p.tokens) && (p.tokens[equals].Depth != 0 || !p.is(equals, '=')) {
		equals++
	}
	if p.find(set+1, "set") < equals { // a table or a column of that name
		return sql.ErrNotApart
	}
	if err := p.target(c, at, set, n.Relation); err != nil {
		return err
	}
	from := p.find(set+1, "from", "where", "returning")
	where := p.find(from, "where", "returning")
	end := p.find(where, "returning")
	if from < where {
		c.Others = p.cut(from+1, where)
	}
	if where < end {
		c.Where = p.cut(where+1, end)
	}
	if err := p.sets(c, set+1, from, items(n.TargetList)); err != nil {
		return err
	}
	return check(c, n.Relation, n.FromClause, n.WhereClause, n.WithClause, n.TargetList)
}

// sets cuts the values that columns are set to.
func (p *apart) sets(c *sql.RowChange, from, to int, targets []ast.Node) error {
	for _, item := range targets {
		t, ok := item.(*ast.ResTarget)
		if !ok {
			return sql.ErrNotApart
		}
		c.Sets = append(c.Sets, sql.SetColumn{Column: t.Name, Moving: calls(moving, t.Val)})
	}
	i := 0
	for from < to && i < len(c.Sets) {
		end := from
		for end < to && (p.tokens[end].Depth != 0 || !p.is(end, ',')) {
			end++
		}
		t := targets[i].(*ast.ResTarget)
		switch {
		case p.is(from, '('): // several at once
			return nil
		case end-from > 2 && p.is(from+1, '=') && p.tokens[from+2].Word != "default" && len(items(t.Indirection)) == 0:
			value := p.cut(from+2, end)
			one, err := parser.ParseSQL("SELECT (" + value + ")")
			if err != nil || len(one) != 1 {
				return sql.ErrNotApart
			}
			s, ok := one[0].(*ast.SelectStmt)
			if !ok || len(items(s.TargetList)) != 1 {
				return sql.ErrNotApart
			}
			if v, ok := s.TargetList.Items[0].(*ast.ResTarget); !ok || said(unwrapped(v.Val)) != said(unwrapped(t.Val)) {
				return sql.ErrNotApart
			}
			c.Sets[i].Value = value
		}
		from, i = end+1, i+1
	}
	return nil
}

func (p *apart) delete(c *sql.RowChange, n *ast.DeleteStmt) error {
	c.Effect = proxy.EffectDelete
	at, err := p.begin(c, "delete")
	if err != nil {
		return err
	}
	if at >= len(p.tokens) || p.tokens[at].Word != "from" {
		return sql.ErrNotApart
	}
	using := p.find(at+1, "using", "where", "returning")
	where := p.find(using, "where", "returning")
	end := p.find(where, "returning")
	if err := p.target(c, at+1, using, n.Relation); err != nil {
		return err
	}
	if using < where {
		c.Others = p.cut(using+1, where)
	}
	if where < end {
		c.Where = p.cut(where+1, end)
	}
	return check(c, n.Relation, n.UsingClause, n.WhereClause, n.WithClause, nil)
}

func (p *apart) insert(c *sql.RowChange, n *ast.InsertStmt) error {
	c.Effect, c.Upsert = proxy.EffectInsert, n.OnConflictClause != nil
	if n.Relation == nil || n.Relation.CatalogName != "" {
		return sql.ErrNotApart
	}
	c.Tables = []sql.Named{{Path: path(n.Relation.SchemaName, n.Relation.RelName), Only: true}}
	if isNil(n.SelectStmt) { // DEFAULT VALUES
		c.Values = 1
		return nil
	}
	q, ok := n.SelectStmt.(*ast.SelectStmt)
	if !ok {
		return sql.ErrNotApart
	}
	values := len(items(q.ValuesLists))
	if values > 0 && (!isNil(q.LimitCount) || !isNil(q.LimitOffset)) {
		values = 0
	}
	if values > 0 {
		c.Values = values
		p.values(c, n)
		return nil
	}
	text, err := p.source(c, n)
	if err != nil {
		return err
	}
	c.Query, c.Source = text, text
	if err := p.columns(c, n); err != nil {
		return err
	}
	c.Moving, c.Elsewhere = calls(moving, n.SelectStmt, n.WithClause), true
	c.Casts = makes(n.SelectStmt, n.WithClause)
	c.SourceCasts = c.Casts
	return nil
}

// values cuts VALUES, where they can be a query of their own that says the same each time.
func (p *apart) values(c *sql.RowChange, n *ast.InsertStmt) {
	defer func() {
		if recover() != nil {
			c.Source, c.Columns = "", nil
		}
	}()
	of := &sql.RowChange{}
	text, err := p.source(of, n)
	given := func(t sql.Token) bool { return t.Word == "default" }
	if err != nil || of.With != "" || slices.ContainsFunc(p.tokens, given) || calls(moving, n.SelectStmt) || p.columns(of, n) != nil {
		return
	}
	c.Source, c.Columns, c.SourceCasts = text, of.Columns, makes(n.SelectStmt)
}

// columns are those that an INSERT fills.
func (p *apart) columns(c *sql.RowChange, n *ast.InsertStmt) error {
	for _, item := range items(n.Cols) {
		t, ok := item.(*ast.ResTarget)
		if !ok {
			return sql.ErrNotApart
		}
		c.Columns = append(c.Columns, t.Name)
	}
	return nil
}

// source cuts what an INSERT inserts. What cannot be a query of its own, as VALUES with a default, fails.
func (p *apart) source(c *sql.RowChange, n *ast.InsertStmt) (string, error) {
	at, err := p.begin(c, "insert")
	if err != nil {
		return "", err
	}
	for ; at < len(p.tokens); at++ { // to where the query begins
		t := &p.tokens[at]
		if t.Depth == 0 && (t.Word == "select" || t.Word == "with" || t.Word == "table" || t.Word == "values") && !p.is(at-1, '.') && p.tokens[at-1].Word != "into" && p.tokens[at-1].Word != "as" {
			break
		}
		if p.is(at, '(') && t.Depth == 0 && at+1 < len(p.tokens) {
			if w := p.tokens[at+1].Word; w == "select" || w == "with" || w == "values" || w == "table" || p.is(at+1, '(') {
				break
			}
		}
	}
	end := p.find(at, "returning")
	if c.Upsert {
		for end = p.find(at, "on"); end+1 < len(p.tokens) && p.tokens[end+1].Word != "conflict"; end = p.find(end+1, "on") {
		}
	}
	text := p.cut(at, end)
	again, err := parser.ParseSQL(c.With + " SELECT FROM (" + text + ") AS q")
	if err != nil || len(again) != 1 {
		return "", sql.ErrNotApart
	}
	s, ok := again[0].(*ast.SelectStmt)
	if !ok || len(items(s.FromClause)) != 1 || said(s.WithClause) != said(n.WithClause) {
		return "", sql.ErrNotApart
	}
	if r, ok := s.FromClause.Items[0].(*ast.RangeSubselect); !ok || said(r.Subquery) != said(n.SelectStmt) {
		return "", sql.ErrNotApart
	}
	return text, nil
}

// check reads what would be asked, and compares it with what the statement says.
func check(c *sql.RowChange, target *ast.RangeVar, others *ast.NodeList, where ast.Node, with *ast.WithClause, sets *ast.NodeList) error {
	if _, ok := where.(*ast.CurrentOfExpr); ok {
		return sql.ErrNotRows
	}
	stmts, err := parser.ParseSQL(c.Select("*"))
	if err != nil || len(stmts) != 1 {
		return sql.ErrNotApart
	}
	s, ok := stmts[0].(*ast.SelectStmt)
	if !ok || len(items(s.FromClause)) != 1 || said(s.FromClause.Items[0]) != said(target) || said(s.WithClause) != said(with) {
		return sql.ErrNotApart
	}
	if r, ok := s.FromClause.Items[0].(*ast.RangeVar); !ok || r.Inh != target.Inh {
		return sql.ErrNotApart
	}
	got := unwrapped(s.WhereClause)
	if len(items(others)) > 0 {
		link, ok := got.(*ast.SubLink)
		if !ok || link.SubLinkType != ast.EXISTS_SUBLINK {
			return sql.ErrNotApart
		}
		inner, ok := link.Subselect.(*ast.SelectStmt)
		if !ok || said(inner.FromClause) != said(others) {
			return sql.ErrNotApart
		}
		got = unwrapped(inner.WhereClause)
	} else if c.Others != "" {
		return sql.ErrNotApart
	}
	switch {
	case isNil(where):
		if c.Where != "" {
			return sql.ErrNotApart
		}
	case c.Where == "" || said(got) != said(unwrapped(where)):
		return sql.ErrNotApart
	}
	c.Moving = calls(moving, others, where, with)
	c.Casts = makes(others, where, with, sets)
	v := newVisitor(sql.Scope{})
	for _, n := range []ast.Node{others, where, with, sets} {
		v.visit(n)
	}
	c.Elsewhere = len(v.facts.Relations) > 0
	return nil
}

// unwrapped is an expression without the parentheses around it.
func unwrapped(n ast.Node) ast.Node {
	for {
		p, ok := n.(*ast.ParenExpr)
		if !ok {
			return n
		}
		n = p.Expr
	}
}

// said is a node as SQL.
func said(n ast.Node) string {
	if isNil(n) {
		return ""
	}
	if s, ok := n.(interface{ SqlString() string }); ok {
		return s.SqlString()
	}
	panic("a node without a text") // RowChange says that it cannot be taken apart
}

// makes reports whether values of types that are not the server's own may be made of others.
func makes(nodes ...ast.Node) bool {
	for _, n := range nodes {
		if text := said(n); strings.Contains(text, "::") || strings.Contains(strings.ToUpper(text), "CAST(") {
			return true
		}
	}
	v := newVisitor(sql.Scope{})
	for _, n := range nodes {
		v.visit(n)
	}
	for _, f := range v.facts.Functions {
		if _, own := classes[f.Name]; !own || f.Schema != "" && f.Schema != "pg_catalog" {
			return true
		}
	}
	return false
}

// calls reports whether one of these functions is called.
func calls(which map[string]bool, nodes ...ast.Node) bool {
	v := newVisitor(sql.Scope{})
	for _, n := range nodes {
		v.visit(n)
	}
	for _, f := range v.facts.Functions {
		if which[f.Name] && (f.Schema == "" || f.Schema == "pg_catalog") {
			return true
		}
	}
	return false
}
