package postgres

import (
	"math/big"
	"slices"
	"strings"

	"github.com/multigres/multigres/go/common/parser/ast"
)

// judge is the outcome of n, or of NOT n.
func (c *condition) judge(n ast.Node, negate bool) outcome {
	c.steps++
	if c.depth++; c.depth > maxDepth || c.steps > maxSteps {
		c.depth--
		return fixed
	}
	defer func() { c.depth-- }()
	n = bare(n)
	if value, ok := boolean(n); ok {
		if value {
			return always.not(negate)
		}
		return never.not(negate)
	}
	if isNull(n) {
		return never
	}
	switch n := n.(type) {
	case *ast.BoolExpr:
		return c.connected(n, negate)
	case *ast.A_Expr:
		return c.compared(n, negate)
	case *ast.NullTest:
		return c.nullTest(n.Arg, n.Nulltesttype == ast.IS_NULL, negate)
	case *ast.BooleanTest:
		return c.booleanTest(n, negate)
	case *ast.SubLink:
		return c.subquery(n, negate)
	case *ast.CaseExpr:
		return c.cases(n, negate)
	case *ast.CoalesceExpr:
		if n.Args != nil {
			for _, a := range n.Args.Items {
				if isNull(a) {
					continue
				}
				if _, ok := boolean(bare(a)); ok {
					return c.judge(a, negate)
				}
				break
			}
		}
	case *ast.FuncCall:
		if _, name := qualified(n.Funcname); name == "starts_with" && n.Args != nil && len(n.Args.Items) == 2 && c.owns(n.Args.Items[0]) && c.matchesAll(n.Args.Items[1], "") {
			return always.not(negate)
		}
	case *ast.CurrentOfExpr:
		return varies
	}
	return c.hangs(n)
}

// hangs is the outcome of what is not looked into.
func (c *condition) hangs(n ast.Node) outcome {
	if c.owns(n) {
		return varies
	}
	return fixed
}

// term is a condition that is true, or one of which the opposite is.
type term struct {
	n      ast.Node
	negate bool
}

// terms takes a chain of ORs apart, or of ANDs, with the NOTs pushed down.
func terms(n ast.Node, negate, or bool, list []term) []term {
	n = bare(n)
	b, ok := n.(*ast.BoolExpr)
	if !ok || b.Args == nil {
		return append(list, term{n, negate})
	}
	switch {
	case b.Boolop == ast.NOT_EXPR && len(b.Args.Items) == 1:
		return terms(b.Args.Items[0], !negate, or, list)
	case b.Boolop != ast.NOT_EXPR && (b.Boolop == ast.OR_EXPR) != negate == or:
		for _, a := range b.Args.Items {
			list = terms(a, negate, or, list)
		}
		return list
	}
	return append(list, term{n, negate})
}

// connected judges AND, OR and NOT.
func (c *condition) connected(n *ast.BoolExpr, negate bool) outcome {
	if n.Args == nil || len(n.Args.Items) == 0 {
		return fixed
	}
	if n.Boolop == ast.NOT_EXPR {
		return c.judge(n.Args.Items[0], !negate)
	}
	or := (n.Boolop == ast.OR_EXPR) != negate
	list := terms(n, negate, or, nil)
	var seen [4]bool
	for _, t := range list {
		seen[c.judge(t.n, t.negate)] = true
	}
	switch {
	case or && seen[always]:
		return always
	case or && seen[fixed]:
		return fixed // it may be true of every row
	case or && seen[varies]:
		if c.covers(list) {
			return always
		}
		return varies
	case or, seen[never]:
		return never
	case seen[varies]:
		return varies
	case seen[fixed]:
		return fixed
	}
	return always
}

// compared judges comparisons.
func (c *condition) compared(n *ast.A_Expr, negate bool) outcome {
	_, op := qualified(n.Name)
	switch n.Kind {
	case ast.AEXPR_OP:
	case ast.AEXPR_DISTINCT, ast.AEXPR_NOT_DISTINCT:
		distinct := n.Kind == ast.AEXPR_DISTINCT
		if isNull(n.Rexpr) {
			return c.nullTest(n.Lexpr, !distinct, negate)
		}
		if isNull(n.Lexpr) {
			return c.nullTest(n.Rexpr, !distinct, negate)
		}
		if op = "="; distinct {
			op = "<>"
		}
	case ast.AEXPR_IN, ast.AEXPR_OP_ANY, ast.AEXPR_OP_ALL:
		if found := c.among(n); found && (op == "=" || op == "<>") {
			return always.not(negate != (op == "<>"))
		}
		return c.side(n)
	case ast.AEXPR_LIKE, ast.AEXPR_ILIKE, ast.AEXPR_SIMILAR:
		if c.owns(n.Lexpr) && c.matchesAll(n.Rexpr, "%", "%%") {
			return always.not(negate != strings.HasPrefix(op, "!"))
		}
		return c.side(n)
	case ast.AEXPR_BETWEEN, ast.AEXPR_BETWEEN_SYM, ast.AEXPR_NOT_BETWEEN, ast.AEXPR_NOT_BETWEEN_SYM:
		if list, ok := n.Rexpr.(*ast.NodeList); ok && len(list.Items) == 2 && c.same(n.Lexpr, list.Items[0]) && c.same(n.Lexpr, list.Items[1]) {
			return always.not(negate != (n.Kind == ast.AEXPR_NOT_BETWEEN || n.Kind == ast.AEXPR_NOT_BETWEEN_SYM))
		}
		return c.side(n)
	default:
		return c.side(n)
	}
	if isNull(n.Lexpr) || isNull(n.Rexpr) {
		return never
	}
	switch op {
	case "~", "~*":
		if c.owns(n.Lexpr) && c.matchesAll(n.Rexpr, "", ".*", "^", "$", "^.*", "^.*$", ".*$", ".?") {
			return always.not(negate)
		}
	case "=", "<>", "!=", "<", "<=", ">", ">=":
		if c.same(n.Lexpr, n.Rexpr) {
			return always.not(negate != (op == "<>" || op == "!=" || op == "<" || op == ">"))
		}
		if l, r := c.value(n.Lexpr), c.value(n.Rexpr); l != nil && r != nil {
			c.v.literals = true
			order, ok := l.compare(r)
			if !ok && l.number == nil && r.number == nil && (op == "=" || op == "<>" || op == "!=") {
				order, ok = 1, true
			}
			if ok {
				return always.not(negate != !holds(op, order))
			}
			return fixed
		}
		if c.above(n, op) {
			return always.not(negate)
		}
	}
	return c.side(n)
}

// side is the outcome of a comparison that hangs on its sides. In a subquery it
// joins the subquery to the relation too when one side is certainly a column and the
// other may be the relation's.
func (c *condition) side(n *ast.A_Expr) outcome {
	own, maybe := c.mentions(n)
	if own {
		return varies
	}
	if maybe && len(c.inner) > 0 && !isNil(n.Lexpr) && !isNil(n.Rexpr) && mentionsColumn(n.Lexpr, 0) && mentionsColumn(n.Rexpr, 0) {
		return varies
	}
	return fixed
}

func holds(op string, order int) bool {
	switch op {
	case "=":
		return order == 0
	case "<>", "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// above reports whether the left side is never below the right one: a length and 0,
// a text and the empty one.
func (c *condition) above(n *ast.A_Expr, op string) bool {
	if op != ">=" && op != ">" && op != "<>" && op != "!=" || !c.owns(n.Lexpr) {
		return false
	}
	r := c.value(n.Rexpr)
	if r == nil {
		return false
	}
	c.v.literals = true
	if text, ok := constant(n.Rexpr); ok && text == "" {
		return op == ">="
	}
	least := c.least(n.Lexpr)
	if least == nil || r.number == nil {
		return false
	}
	order := least.Cmp(r.number)
	return order > 0 || order == 0 && op == ">="
}

// least is a bound that n never falls below, nil when there is none.
func (c *condition) least(n ast.Node) *big.Rat {
	if sized(n) {
		return new(big.Rat)
	}
	m, ok := bare(n).(*ast.MinMaxExpr)
	if !ok || m.Op != ast.IS_GREATEST || m.Args == nil {
		return nil
	}
	var least *big.Rat
	for _, a := range m.Args.Items {
		if v := c.value(a); v != nil && v.number != nil && (least == nil || v.number.Cmp(least) > 0) {
			least = v.number
		}
	}
	return least
}

// sized reports whether n is a function of no value below 0.
func sized(n ast.Node) bool {
	f, ok := bare(n).(*ast.FuncCall)
	if !ok {
		return false
	}
	_, name := qualified(f.Funcname)
	switch name {
	case "length", "char_length", "character_length", "octet_length", "bit_length", "abs", "cardinality", "jsonb_array_length", "json_array_length":
		return true
	}
	return false
}

// among reports whether what is compared is in the list that it is compared with.
func (c *condition) among(n *ast.A_Expr) bool {
	var items []ast.Node
	switch r := bare(n.Rexpr).(type) {
	case *ast.NodeList:
		items = r.Items
	case *ast.ArrayExpr:
		if r.Elements != nil {
			items = r.Elements.Items
		}
	case *ast.SubLink:
		s := selectOf(r.Subselect)
		return n.Kind == ast.AEXPR_OP_ANY && r.SubLinkType == ast.ARRAY_SUBLINK && s != nil && c.ofAll(s, n.Lexpr)
	}
	l := c.value(n.Lexpr)
	for _, item := range items {
		if _, ok := constant(item); ok && l == nil {
			continue // of a long list most are
		}
		if c.same(n.Lexpr, item) {
			return true
		}
		if r := c.value(item); l != nil && r != nil {
			c.v.literals = true
			if order, ok := l.compare(r); ok && order == 0 {
				return true
			}
		}
	}
	both := func(value bool) bool { // of a boolean
		return slices.ContainsFunc(items, func(item ast.Node) bool { b, ok := boolean(bare(item)); return ok && b == value })
	}
	return both(true) && both(false) && c.owns(n.Lexpr)
}

// matchesAll reports whether n is one of these patterns.
func (c *condition) matchesAll(n ast.Node, patterns ...string) bool {
	if f, ok := n.(*ast.FuncCall); ok && f.Args != nil && len(f.Args.Items) == 1 {
		n = f.Args.Items[0] // as the parser writes SIMILAR TO
	}
	text, ok := constant(n)
	c.v.literals = c.v.literals || ok
	return ok && slices.Contains(patterns, text)
}

func (c *condition) nullTest(n ast.Node, null, negate bool) outcome {
	switch {
	case isNull(n):
		return always.not(negate == null)
	case c.neverNull(n):
		return never.not(negate == null)
	}
	return c.hangs(n)
}

// neverNull reports whether n has a value in every row.
func (c *condition) neverNull(n ast.Node) bool {
	n = bare(n)
	if _, ok := constant(n); ok {
		return true
	}
	switch n := n.(type) {
	case *ast.ColumnRef:
		if own, _ := c.own(n); !own {
			return false
		}
		names, _ := namesOf(n.Fields)
		if len(names) == 0 {
			return false
		}
		name := names[len(names)-1]
		if system[name] {
			return true
		}
		if c.relation != nil {
			if col := c.relation.Column(name); col != nil {
				return col.NotNull
			}
		}
	case *ast.A_Expr:
		return n.Kind == ast.AEXPR_OP && !isNil(n.Lexpr) && c.neverNull(n.Lexpr) && c.neverNull(n.Rexpr)
	case *ast.CoalesceExpr:
		return n.Args != nil && slices.ContainsFunc(n.Args.Items, c.neverNull)
	}
	return false
}

func (c *condition) booleanTest(n *ast.BooleanTest, negate bool) outcome {
	switch n.Booltesttype {
	case ast.IS_TRUE:
		return c.judge(n.Arg, false).not(negate)
	case ast.IS_NOT_TRUE:
		return c.judge(n.Arg, false).not(!negate)
	case ast.IS_FALSE:
		return c.judge(n.Arg, true).not(negate)
	case ast.IS_NOT_FALSE:
		return c.judge(n.Arg, true).not(!negate)
	}
	return c.nullTest(n.Arg, n.Booltesttype == ast.IS_UNKNOWN, negate)
}

func (c *condition) cases(n *ast.CaseExpr, negate bool) outcome {
	var seen [4]bool
	turns := false // which result it is hangs on the row
	if n.Args != nil {
		for _, item := range n.Args.Items {
			w, ok := item.(*ast.CaseWhen)
			if !ok {
				return c.hangs(n)
			}
			when := varies
			switch {
			case isNil(n.Arg):
				when = c.judge(w.Expr, false)
			case c.same(n.Arg, w.Expr):
				when = always
			default:
				when = c.hangs(n.Arg)
			}
			if when == never {
				continue
			}
			seen[c.judge(w.Result, negate)] = true
			if when == always {
				return chosen(seen, turns)
			}
			turns = turns || when == varies
		}
	}
	if isNil(n.Defresult) {
		seen[never] = true
	} else {
		seen[c.judge(n.Defresult, negate)] = true
	}
	return chosen(seen, turns)
}

// chosen is the outcome of a choice between results.
func chosen(seen [4]bool, turns bool) outcome {
	switch {
	case seen == [4]bool{always: true}:
		return always
	case seen == [4]bool{never: true}:
		return never
	case seen[varies] && !seen[always] && !seen[fixed], turns && !seen[fixed]:
		return varies
	}
	return fixed
}
