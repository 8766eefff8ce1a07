package postgres

import (
	"cmp"
	"math/big"
	"slices"

	"github.com/multigres/multigres/go/common/parser/ast"
)

// covers reports whether one of a list of conditions, joined by OR, is true of
// every row, apart from NULLs: a condition and its opposite, or comparisons of one
// column that leave nothing out between them.
func (c *condition) covers(list []term) bool {
	said := make(map[string]uint8) // 1 the condition, 2 its opposite
	ranges := make(map[string][]comparison)
	for _, t := range list {
		key, negate := c.text(t.n), t.negate
		switch n := t.n.(type) {
		case *ast.NullTest:
			key, negate = c.key(n.Arg)+" IS NULL", negate != (n.Nulltesttype != ast.IS_NULL)
		case *ast.BooleanTest:
			if n.Booltesttype == ast.IS_NOT_TRUE || n.Booltesttype == ast.IS_NOT_FALSE || n.Booltesttype == ast.IS_NOT_UNKNOWN {
				opposite := *n
				opposite.Booltesttype--
				key, negate = c.text(&opposite), !negate
			}
		case *ast.A_Expr:
			if k, list := c.comparisons(n, negate); k != "" {
				ranges[k] = append(ranges[k], list...)
			}
		}
		if key == "" {
			continue
		}
		bit := uint8(1)
		if negate {
			bit = 2
		}
		if said[key] |= bit; said[key] == 3 {
			return true
		}
	}
	for _, list := range ranges {
		if c.leavesNothing(list) {
			return true
		}
	}
	return false
}

// comparison is one of a column with a constant.
type comparison struct {
	op string
	n  ast.Node
}

var opposite = map[string]string{"=": "<>", "<>": "=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}

var swapped = map[string]string{"=": "=", "<>": "<>", "!=": "<>", "<": ">", ">": "<", "<=": ">=", ">=": "<="}

// comparisons returns what a condition says of a column, as comparisons of which one is
// enough. The key is empty when it says something else.
func (c *condition) comparisons(n *ast.A_Expr, negate bool) (key string, list []comparison) {
	_, op := qualified(n.Name)
	switch n.Kind {
	case ast.AEXPR_OP:
	case ast.AEXPR_NOT_BETWEEN:
		if between, ok := n.Rexpr.(*ast.NodeList); ok && len(between.Items) == 2 && !negate && c.owns(n.Lexpr) {
			return c.key(n.Lexpr), []comparison{{"<", between.Items[0]}, {">", between.Items[1]}}
		}
		return "", nil
	case ast.AEXPR_BETWEEN:
		if between, ok := n.Rexpr.(*ast.NodeList); ok && len(between.Items) == 2 && c.owns(n.Lexpr) {
			if negate {
				return c.key(n.Lexpr), []comparison{{"<", between.Items[0]}, {">", between.Items[1]}}
			}
			return c.key(n.Lexpr), []comparison{{"between", between}}
		}
		return "", nil
	case ast.AEXPR_IN:
		items, ok := n.Rexpr.(*ast.NodeList)
		if !ok || !c.owns(n.Lexpr) || op == "<>" != negate && len(items.Items) > 1 {
			return "", nil
		}
		as := "="
		if op == "<>" != negate {
			as = "<>"
		}
		for _, item := range items.Items {
			list = append(list, comparison{as, item})
		}
		return c.key(n.Lexpr), list
	default:
		return "", nil
	}
	l, r := n.Lexpr, n.Rexpr
	if isNil(l) || isNil(r) || swapped[op] == "" {
		return "", nil
	}
	if !c.owns(l) {
		l, r, op = r, l, swapped[op]
	}
	if op == "!=" {
		op = "<>"
	}
	if negate {
		op = opposite[op]
	}
	if !c.owns(l) || c.owns(r) {
		return "", nil
	}
	return c.key(l), []comparison{{op, r}}
}

// span is an interval of numbers, each end with or without itself; without an end it is nil.
type span struct {
	from, to     *big.Rat
	with, withTo bool
}

// leavesNothing reports whether one of the comparisons of one column is true of every
// value. Constants are looked at only where that can be.
func (c *condition) leavesNothing(list []comparison) bool {
	low, high := false, false
	var yes, no bool // a boolean column's
	for _, x := range list {
		low = low || x.op == "<" || x.op == "<=" || x.op == "<>"
		high = high || x.op == ">" || x.op == ">=" || x.op == "<>"
		if b, ok := boolean(bare(x.n)); ok && (x.op == "=" || x.op == "<>") {
			yes, no = yes || b == (x.op == "="), no || b != (x.op == "=")
		}
	}
	if yes && no {
		return true
	}
	if !low || !high || len(list) < 2 {
		return false
	}
	c.v.literals = true
	var spans []span
	texts := make(map[string]uint8) // below, equal, above, by text
	excluded := make(map[string]bool)
	for _, x := range list {
		if x.op == "between" {
			between := x.n.(*ast.NodeList)
			if a, b := c.value(between.Items[0]), c.value(between.Items[1]); a != nil && b != nil && a.number != nil && b.number != nil {
				spans = append(spans, span{a.number, b.number, true, true})
			}
			continue
		}
		key := c.text(x.n)
		if key == "" {
			continue
		}
		texts[key] |= map[string]uint8{"<": 1, "<=": 3, "=": 2, ">=": 6, ">": 4, "<>": 5}[x.op]
		if x.op == "<>" {
			excluded[key] = true
		}
		v := c.value(x.n)
		if v == nil || v.number == nil {
			continue
		}
		switch x.op {
		case "<", "<=":
			spans = append(spans, span{nil, v.number, false, x.op == "<="})
		case ">", ">=":
			spans = append(spans, span{v.number, nil, x.op == ">=", false})
		case "=":
			spans = append(spans, span{v.number, v.number, true, true})
		case "<>":
			spans = append(spans, span{nil, v.number, false, false}, span{v.number, nil, false, false})
		}
	}
	if len(excluded) > 1 && allConstant(list) {
		return true // it cannot be both
	}
	for _, has := range texts {
		if has == 7 {
			return true
		}
	}
	return everyNumber(spans)
}

func allConstant(list []comparison) bool {
	return !slices.ContainsFunc(list, func(x comparison) bool {
		_, ok := constant(x.n)
		return !ok && x.op == "<>"
	})
}

// everyNumber reports whether every number lies in one of the spans.
func everyNumber(spans []span) bool {
	slices.SortFunc(spans, func(a, b span) int {
		switch {
		case a.from == nil && b.from == nil:
			return 0
		case a.from == nil:
			return -1
		case b.from == nil:
			return 1
		}
		if order := a.from.Cmp(b.from); order != 0 {
			return order
		}
		return -cmp.Compare(bit(a.with), bit(b.with))
	})
	var end *big.Rat // all up to it is covered
	with, begun := false, false
	for _, s := range spans {
		switch {
		case s.from == nil:
			begun = true
			if end == nil || s.to != nil && (s.to.Cmp(end) > 0 || s.to.Cmp(end) == 0 && s.withTo) {
				end, with = s.to, s.withTo
			}
			if s.to == nil {
				return true
			}
		case !begun:
			return false
		default:
			order := s.from.Cmp(end)
			if order > 0 || order == 0 && !with && !s.with {
				return false
			}
			if s.to == nil {
				return true
			}
			if o := s.to.Cmp(end); o > 0 || o == 0 && s.withTo {
				end, with = s.to, s.withTo || o == 0 && with
			}
		}
	}
	return false
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
