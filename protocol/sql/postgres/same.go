package postgres

import (
	"math/big"
	"strings"

	"github.com/multigres/multigres/go/common/parser/ast"
)

// bare takes off what does not change a value: parentheses, casts, collations.
func bare(n ast.Node) ast.Node {
	for !isNil(n) {
		switch t := n.(type) {
		case *ast.ParenExpr:
			n = t.Expr
		case *ast.TypeCast:
			n = t.Arg
		case *ast.CollateClause:
			if isNil(t.Arg) {
				return n
			}
			n = t.Arg
		default:
			return n
		}
	}
	return n
}

// boolean returns the value of TRUE and FALSE, and of literals that are cast to them.
func boolean(n ast.Node) (value, ok bool) {
	c, is := n.(*ast.A_Const)
	if !is {
		return false, false
	}
	b, is := c.Val.(*ast.Boolean)
	if !is {
		return false, false
	}
	return b.BoolVal, true
}

// same reports whether two expressions have one value in every row, of which the
// relation's columns are a part.
func (c *condition) same(a, b ast.Node) bool {
	x, y := c.key(a), c.key(b)
	return x != "" && x == y && c.owns(a)
}

// key tells expressions apart. What leaves a value as it is, such as adding 0, is
// left out.
func (c *condition) key(n ast.Node) string {
	n = bare(n)
	switch t := n.(type) {
	case nil:
		return ""
	case *ast.ColumnRef:
		if own, _ := c.own(t); own {
			names, rest := namesOf(t.Fields)
			if len(rest) == 0 {
				return "\x00" + names[len(names)-1]
			}
		}
	case *ast.A_Expr:
		if x := c.unchanged(t); x != nil {
			return c.key(x)
		}
	case *ast.CoalesceExpr:
		if t.Args != nil && len(t.Args.Items) > 0 {
			return c.key(t.Args.Items[0])
		}
	}
	return c.text(n)
}

// text returns an expression's text, empty when there is none, or no more time
// for it.
func (c *condition) text(n ast.Node) string {
	left := maxText
	if c.steps > maxSteps || !within(n, &left) {
		return ""
	}
	c.steps += maxText - left
	return deparse(n)
}

// maxText bounds, in nodes, the expressions that are compared with one another:
// printing takes the square of that.
const maxText = 256

// within reports whether n and what is below it are no more nodes than are left.
func within(n ast.Node, left *int) bool {
	if isNil(n) {
		return true
	}
	if *left--; *left < 0 {
		return false
	}
	ok := true
	below(n, func(child ast.Node) { ok = ok && within(child, left) })
	return ok
}

// unchanged returns the side of an operator that it leaves as it is, nil of
// others.
func (c *condition) unchanged(n *ast.A_Expr) ast.Node {
	if n.Kind != ast.AEXPR_OP {
		return nil
	}
	_, op := qualified(n.Name)
	if isNil(n.Lexpr) {
		if op == "+" {
			return n.Rexpr
		}
		return nil
	}
	neutral := map[string]string{"+": "0", "-": "0", "*": "1", "/": "1", "||": "", "#": "0", "|": "0", "<<": "0", ">>": "0", "^": "1"}
	want, ok := neutral[op]
	if !ok {
		return nil
	}
	if text, ok := constant(n.Rexpr); ok {
		c.v.literals = true
		if text == want {
			return n.Lexpr
		}
	}
	if text, ok := constant(n.Lexpr); ok && (op == "+" || op == "*" || op == "||" || op == "|" || op == "#") {
		c.v.literals = true
		if text == want {
			return n.Rexpr
		}
	}
	return nil
}

// deparse returns an expression's text, empty when there is none.
func deparse(n ast.Node) (text string) {
	defer func() {
		if recover() != nil { // the printer does not know every node
			text = ""
		}
	}()
	if s, ok := n.(interface{ SqlString() string }); ok && !isNil(n) {
		return s.SqlString()
	}
	return ""
}

// scalar is a number or a text.
type scalar struct {
	number *big.Rat
	text   string
}

// compare says how two constants compare, as far as that does not depend on a
// collation.
func (s *scalar) compare(t *scalar) (order int, ok bool) {
	if s.number != nil && t.number != nil {
		return s.number.Cmp(t.number), true
	}
	if s.text == t.text {
		return 0, true
	}
	return 0, false
}

// value returns what n is in every row, nil when that is not known.
func (c *condition) value(n ast.Node) *scalar {
	n = bare(n)
	switch t := n.(type) {
	case *ast.A_Const:
		switch v := t.Val.(type) {
		case *ast.Integer, *ast.Float:
			return numeric(deparse(v))
		case *ast.String:
			s := numeric(strings.TrimSpace(v.SVal))
			if s == nil {
				s = &scalar{}
			}
			s.text = v.SVal
			return s
		}
	case *ast.A_Expr:
		if t.Kind != ast.AEXPR_OP {
			return nil
		}
		_, op := qualified(t.Name)
		if isNil(t.Lexpr) {
			if v := c.value(t.Rexpr); op == "-" && v != nil && v.number != nil {
				return &scalar{number: new(big.Rat).Neg(v.number)}
			}
			return nil
		}
		return c.vanishes(op, t)
	}
	return nil
}

// vanishes is the value of an operator whose outcome is the same for every column.
func (c *condition) vanishes(op string, n *ast.A_Expr) *scalar {
	text, ok := constant(n.Rexpr)
	c.v.literals = c.v.literals || ok
	left, okl := constant(n.Lexpr)
	c.v.literals = c.v.literals || okl
	switch {
	case op == "-" && c.same(n.Lexpr, n.Rexpr), (op == "*" || op == "&") && (ok && text == "0" || okl && left == "0"), op == "%" && ok && text == "1":
		return &scalar{number: new(big.Rat)}
	case op == "/" && c.same(n.Lexpr, n.Rexpr):
		return &scalar{number: big.NewRat(1, 1)}
	}
	return nil
}

func numeric(text string) *scalar {
	if len(text) > 64 || strings.ContainsAny(text, "eE/_xXoObBpP") {
		return nil
	}
	if r, ok := new(big.Rat).SetString(text); ok {
		return &scalar{number: r}
	}
	return nil
}
