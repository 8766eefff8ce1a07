package mysql

import (
	"slices"
	"strings"

	"github.com/sqlc-dev/marino/ast"
	"github.com/sqlc-dev/marino/parser"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// moving are functions of the server's own that answer anew each time, or otherwise in another session.
var moving = func() map[string]bool {
	m := map[string]bool{}
	for name := range strings.FieldsSeq(`rand random_bytes uuid uuid_short uuid_v4 uuid_v7 sys_guid sysdate connection_id pseudo_thread_id ps_current_thread_id ps_thread_id
		current_role found_rows row_count last_insert_id lastval is_free_lock is_used_lock ` + apart[proxy.FunctionWrites]) {
		m[name] = true
	}
	return m
}()

// RowChange takes a statement apart that changes rows of one table, or empties or drops tables. The parts are cut out of the
// text, and what is put together of them is read again: it must say the same of the statement as the text does.
func (a *Analyzer) RowChange(text []byte, r *proxy.Reading) (c *sql.RowChange, err error) {
	a.parsers <- struct{}{}
	defer func() { <-a.parsers }()
	defer func() {
		if recover() != nil {
			c, err = nil, sql.ErrNotApart
		}
	}()
	p := &cutter{text: text, reading: readingOf(r), limits: a.limits}
	var ok bool
	if p.tokens, ok = sql.MySQLTokens(text, p.reading, a.limits); !ok {
		return nil, sql.ErrNotApart
	}
	for n := len(p.tokens); n > 0 && text[p.tokens[n-1].Start] == ';'; n-- {
		p.tokens = p.tokens[:n-1]
	}
	if p.find(0, "returning") < len(p.tokens) {
		return nil, sql.ErrReturns
	}
	n, err := p.parse(string(text))
	if err != nil {
		return nil, err
	}
	c = &sql.RowChange{}
	switch n := n.(type) {
	case *ast.UpdateStmt:
		err = p.update(c, n)
	case *ast.DeleteStmt:
		err = p.delete(c, n)
	case *ast.InsertStmt:
		err = p.insert(c, n)
	case *ast.TruncateTableStmt:
		c.Effect, c.Tables = proxy.EffectTruncate, []sql.Named{{Path: quotedName(n.Table)}}
	case *ast.DropTableStmt:
		if n.IsView {
			return nil, sql.ErrNotRows
		}
		c.Effect = proxy.EffectDrop
		for _, t := range n.Tables {
			c.Tables = append(c.Tables, sql.Named{Path: quotedName(t)})
		}
	default:
		err = sql.ErrNotRows
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// cutter cuts a text at its words.
type cutter struct {
	text    []byte
	reading sql.MySQLReading
	limits  sql.Limits
	tokens  []sql.Token
}

// parse reads the one statement of a text, as the text that is cut is read.
func (p *cutter) parse(text string) (ast.StmtNode, error) {
	var t sql.MySQLText
	sql.NormaliseMySQL(&t, []byte(text), p.reading, p.limits)
	if t.Problem != "" {
		return nil, sql.ErrNotApart
	}
	reader := parser.New()
	reader.SetMariaDB(true)
	stmts, _, err := reader.ParseSQL(string(t.Clean))
	switch {
	case err != nil || len(stmts) != t.Statements:
		return nil, sql.ErrNotApart
	case len(stmts) != 1:
		return nil, sql.ErrSeveral
	}
	return stmts[0], nil
}

// cut is the text of the tokens from one to another.
func (p *cutter) cut(from, to int) string {
	if from >= to {
		return ""
	}
	return string(p.text[p.tokens[from].Start:p.tokens[to-1].End])
}

func (p *cutter) is(i int, c byte) bool {
	return i >= 0 && i < len(p.tokens) && p.text[p.tokens[i].Start] == c
}

// word reports whether a token is one of these words.
func (p *cutter) word(i int, words ...string) bool {
	return i < len(p.tokens) && p.tokens[i].Word != "" && slices.Contains(words, p.tokens[i].Word)
}

// find returns the first of these words from a token on that is outside of all parentheses and no part of a name; the end when
// there is none.
func (p *cutter) find(from int, words ...string) int {
	for i := from; i < len(p.tokens); i++ {
		if p.tokens[i].Depth == 0 && p.word(i, words...) && !p.is(i-1, '.') && !p.is(i-1, '@') {
			return i
		}
	}
	return len(p.tokens)
}

// after returns the first token from one on that is none of these words.
func (p *cutter) after(from int, words ...string) int {
	for p.word(from, words...) {
		from++
	}
	return from
}

// condition cuts what is after the tables or the values: WHERE, and ORDER BY and LIMIT.
func (p *cutter) condition(c *sql.RowChange, from int) {
	order := p.find(from, "order", "limit")
	if p.word(from, "where") {
		c.Where = p.cut(from+1, order)
	}
	c.Order = p.cut(order, len(p.tokens))
}

func (p *cutter) update(c *sql.RowChange, n *ast.UpdateStmt) error {
	c.Effect = proxy.EffectUpdate
	switch {
	case n.With != nil || len(n.TableHints) > 0:
		return sql.ErrNotApart
	case joined(n.TableRefs) || n.MultipleTable:
		return sql.ErrJoined
	case n.IgnoreErr:
		return sql.ErrIgnores
	case !p.word(0, "update"):
		return sql.ErrNotApart
	}
	at := p.after(1, "low_priority")
	set := p.find(at, "set")
	if err := p.target(c, at, set, n.TableRefs); err != nil {
		return err
	}
	where := p.find(set, "where", "order", "limit")
	p.condition(c, where)
	if err := p.sets(c, set+1, where, n.List); err != nil {
		return err
	}
	return p.check(c, n.TableRefs, n.Where, n.Order, n.Limit)
}

func (p *cutter) delete(c *sql.RowChange, n *ast.DeleteStmt) error {
	c.Effect = proxy.EffectDelete
	switch {
	case n.With != nil || len(n.TableHints) > 0:
		return sql.ErrNotApart
	case n.IsMultiTable || joined(n.TableRefs):
		return sql.ErrJoined
	case n.IgnoreErr:
		return sql.ErrIgnores
	case !p.word(0, "delete"):
		return sql.ErrNotApart
	}
	from := p.after(1, "low_priority", "quick")
	if !p.word(from, "from") {
		return sql.ErrNotApart
	}
	where := p.find(from, "where", "order", "limit")
	if err := p.target(c, from+1, where, n.TableRefs); err != nil {
		return err
	}
	p.condition(c, where)
	return p.check(c, n.TableRefs, n.Where, n.Order, n.Limit)
}

// target cuts the table that is changed.
func (p *cutter) target(c *sql.RowChange, from, to int, refs *ast.TableRefsClause) error {
	t := target(refs)
	if t == nil || from >= to {
		return sql.ErrNotApart
	}
	c.Target, c.Ref = p.cut(from, to), quotedName(t)
	if s, ok := refs.TableRefs.Left.(*ast.TableSource); ok && s.AsName.O != "" {
		c.Ref = quotedName(&ast.TableName{Name: s.AsName})
	}
	c.Tables = []sql.Named{{Path: quotedName(t)}}
	return nil
}

// sets cuts the values that columns are set to, one after the other: an expression that names a column which is set before it sees
// what that has become, so it cannot be asked for by itself.
func (p *cutter) sets(c *sql.RowChange, from, to int, list []*ast.Assignment) error {
	set := map[string]bool{}
	for i, a := range list {
		end := from
		for end < to && (p.tokens[end].Depth != 0 || !p.is(end, ',')) {
			end++
		}
		equals := from
		for equals < end && !p.is(equals, '=') {
			equals++
		}
		if end-equals < 2 || (i == len(list)-1) != (end == to) {
			return sql.ErrNotApart
		}
		s := sql.SetColumn{Column: a.Column.Name.O, Moving: moves(a.Expr)}
		value := p.cut(equals+1, end)
		if _, given := a.Expr.(*ast.DefaultExpr); !given && !names(a.Expr, set) {
			n, err := p.parse("SELECT (" + value + ")")
			if err != nil {
				return sql.ErrNotApart
			}
			one, ok := n.(*ast.SelectStmt)
			if !ok || one.From != nil || len(one.Fields.Fields) != 1 || restored(bare(one.Fields.Fields[0].Expr)) != restored(bare(a.Expr)) {
				return sql.ErrNotApart
			}
			s.Value = value
		}
		c.Sets, c.Elsewhere, c.Varies = append(c.Sets, s), c.Elsewhere || reads(a.Expr), c.Varies || s.Moving
		set[lower(a.Column.Name.O)] = true
		from = end + 1
	}
	return nil
}

// check reads what would be asked, and compares it with what the statement says.
func (p *cutter) check(c *sql.RowChange, refs *ast.TableRefsClause, where ast.ExprNode, order *ast.OrderByClause, limit *ast.Limit) error {
	n, err := p.parse(c.Select("1") + " " + c.Order)
	if err != nil {
		return sql.ErrNotApart
	}
	s, ok := n.(*ast.SelectStmt)
	if !ok || s.From == nil || restored(s.From) != restored(refs) || s.GroupBy != nil || s.Having != nil || s.LockInfo != nil || s.SelectIntoOpt != nil {
		return sql.ErrNotApart
	}
	switch {
	case where == nil:
		if c.Where != "" {
			return sql.ErrNotApart
		}
	case c.Where == "" || restored(bare(s.Where)) != restored(bare(where)):
		return sql.ErrNotApart
	}
	if (order == nil) != (s.OrderBy == nil) || order != nil && restored(order) != restored(s.OrderBy) ||
		(limit == nil) != (s.Limit == nil) || limit != nil && restored(limit) != restored(s.Limit) {
		return sql.ErrNotApart
	}
	c.Bounded = limit != nil
	if where != nil {
		c.Moving = moves(where)
		c.Elsewhere = c.Elsewhere || reads(where)
	}
	if order != nil {
		c.Moving = c.Moving || moves(order)
	}
	return nil
}

func (p *cutter) insert(c *sql.RowChange, n *ast.InsertStmt) error {
	c.Effect, c.Upsert = proxy.EffectInsert, n.IsReplace || len(n.OnDuplicate) > 0 || n.IgnoreErr
	t := target(n.Table)
	if t == nil || n.Setlist && len(n.Lists) != 1 {
		return sql.ErrNotApart
	}
	c.Tables = []sql.Named{{Path: quotedName(t)}}
	for _, col := range n.Columns {
		c.Columns = append(c.Columns, col.Name.O)
	}
	for _, row := range n.Lists {
		c.Varies = c.Varies || slices.ContainsFunc(row, func(v ast.ExprNode) bool { return moves(v) })
	}
	for _, set := range n.OnDuplicate {
		c.Varies = c.Varies || moves(set.Expr)
	}
	if n.Select == nil {
		c.Values = len(n.Lists)
		if !n.Setlist && !c.Upsert {
			p.values(c, n)
		}
		return nil
	}
	if n.RowAlias != nil {
		return sql.ErrNotApart
	}
	at := p.find(0, "select", "with", "table", "values")
	if first := p.find(0, "into"); at <= first {
		at = p.find(first, "select", "with", "table", "values")
	}
	for at > 0 && p.is(at-1, '(') {
		at--
	}
	if at >= len(p.tokens) {
		return sql.ErrNotApart
	}
	end := len(p.tokens)
	if len(n.OnDuplicate) > 0 {
		for end = p.find(at, "on"); end+1 < len(p.tokens) && !p.word(end+1, "duplicate"); end = p.find(end+1, "on") {
		}
	}
	query := p.cut(at, end)
	again, err := p.parse(query)
	if err != nil || restored(again) != restored(n.Select) {
		return sql.ErrNotApart
	}
	c.Query, c.Moving, c.Elsewhere = query, moves(n.Select), true
	c.Varies = c.Varies || c.Moving
	return nil
}

// values has the rows of VALUES as a query, where each value is an expression of its own.
func (p *cutter) values(c *sql.RowChange, n *ast.InsertStmt) {
	var rows []string
	at := p.find(0, "values", "value")
	for i := at + 1; i < len(p.tokens); i++ {
		if !p.is(i, '(') || p.tokens[i].Depth != 0 {
			continue
		}
		end := i + 1
		for end < len(p.tokens) && (p.tokens[end].Depth != 0 || !p.is(end, ')')) {
			end++
		}
		rows = append(rows, "SELECT "+p.cut(i+1, end))
		i = end
	}
	if len(rows) != len(n.Lists) {
		return
	}
	for i, row := range rows {
		one, err := p.parse(row)
		if err != nil {
			return
		}
		s, ok := one.(*ast.SelectStmt)
		if !ok || s.From != nil || len(s.Fields.Fields) != len(n.Lists[i]) {
			return
		}
		for f, field := range s.Fields.Fields {
			if field.Expr == nil || field.AsName.O != "" || moves(field.Expr) || reads(field.Expr) || restored(field.Expr) != restored(n.Lists[i][f]) {
				return
			}
			if _, given := field.Expr.(*ast.DefaultExpr); given || names(field.Expr, nil) {
				return
			}
		}
	}
	c.Source = strings.Join(rows, " UNION ALL ")
}

// bare is an expression without the parentheses around it.
func bare(n ast.ExprNode) ast.ExprNode {
	for {
		p, ok := n.(*ast.ParenthesesExpr)
		if !ok {
			return n
		}
		n = p.Expr
	}
}
