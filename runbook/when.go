package runbook

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

// condition is what a step's when says, such as
//
//	params.mode == 'full' && steps.look.rows > 0
type condition struct {
	op          string // ||, &&, !, a comparison, or empty: a value
	left, right *condition
	value       operand
}

// operand is a name or a literal.
type operand struct {
	scope, name, field string // params.NAME, steps.NAME.FIELD
	text               string
	kind               byte // 's' text, 'n' number, 'b' true or false, 0 a name
}

// stepFields are what is known of a step that has ended.
var stepFields = []string{"rows", "affected", "status", "state"}

var whenToken = regexp.MustCompile(`\A(?:\s+|(\|\||&&|==|!=|<=|>=|<|>|!|\(|\))|('[^'\\]*')|(-?[0-9]+(?:\.[0-9]+)?)|([a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*))`)

// maxWhen bounds a condition, in bytes.
const maxWhen = 1000

type whenParser struct {
	tokens []string
	at     int
	depth  int
}

func parseWhen(text string) (*condition, error) {
	if len(text) > maxWhen {
		return nil, fmt.Errorf("the condition has %d bytes, and may have %d", len(text), maxWhen)
	}
	p := &whenParser{}
	for rest := text; rest != ""; {
		m := whenToken.FindString(rest)
		if m == "" {
			return nil, fmt.Errorf("%q is not understood: want names, 'texts', numbers, == != < <= > >= && || ! and parentheses", clip(rest))
		}
		if strings.TrimSpace(m) != "" {
			p.tokens = append(p.tokens, m)
		}
		rest = rest[len(m):]
	}
	c, err := p.binary(0)
	if err == nil && p.at < len(p.tokens) {
		err = fmt.Errorf("%q is too much", p.tokens[p.at])
	}
	return c, err
}

func (p *whenParser) peek() string {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return ""
}

// levels are the operators by how they bind, the loosest first.
var levels = [][]string{{"||"}, {"&&"}, {"==", "!=", "<", "<=", ">", ">="}}

func (p *whenParser) binary(level int) (*condition, error) {
	if level == len(levels) {
		return p.unary()
	}
	left, err := p.binary(level + 1)
	for err == nil {
		op := p.peek()
		if !strings.Contains(" "+strings.Join(levels[level], " ")+" ", " "+op+" ") || op == "" {
			break
		}
		p.at++
		var right *condition
		if right, err = p.binary(level + 1); err == nil {
			left = &condition{op: op, left: left, right: right}
		}
	}
	return left, err
}

func (p *whenParser) unary() (*condition, error) {
	if p.depth++; p.depth > 50 {
		return nil, fmt.Errorf("the condition is nested too deeply")
	}
	defer func() { p.depth-- }()
	t := p.peek()
	p.at++
	switch {
	case t == "":
		return nil, fmt.Errorf("the condition ends where a value is wanted")
	case t == "!":
		c, err := p.unary()
		return &condition{op: "!", left: c}, err
	case t == "(":
		c, err := p.binary(0)
		if err == nil && p.peek() != ")" {
			err = fmt.Errorf("a ) is missing")
		}
		p.at++
		return c, err
	case t[0] == '\'':
		return &condition{value: operand{text: t[1 : len(t)-1], kind: 's'}}, nil
	case t[0] == '-' || t[0] >= '0' && t[0] <= '9':
		return &condition{value: operand{text: t, kind: 'n'}}, nil
	case t == "true" || t == "false":
		return &condition{value: operand{text: t, kind: 'b'}}, nil
	}
	parts := strings.Split(t, ".")
	switch {
	case parts[0] == "params" && len(parts) == 2:
		return &condition{value: operand{scope: "params", name: parts[1]}}, nil
	case parts[0] == "steps" && len(parts) == 3:
		return &condition{value: operand{scope: "steps", name: parts[1], field: parts[2]}}, nil
	}
	return nil, fmt.Errorf("%q is not known: want params.NAME or steps.ID.%s", t, strings.Join(stepFields, "|"))
}

// each calls f with the names of a condition.
func (c *condition) each(f func(o operand)) {
	if c == nil {
		return
	}
	if c.op == "" && c.value.kind == 0 {
		f(c.value)
	}
	c.left.each(f)
	c.right.each(f)
}

// holds reports whether a condition is met. value returns what a name has.
func (c *condition) holds(value func(o operand) (string, error)) (bool, error) {
	switch c.op {
	case "":
		text, err := c.text(value)
		return text == "true", err
	case "!":
		ok, err := c.left.holds(value)
		return !ok, err
	case "&&", "||":
		ok, err := c.left.holds(value)
		if err != nil || ok == (c.op == "||") {
			return ok, err
		}
		return c.right.holds(value)
	}
	a, err := c.left.text(value)
	if err != nil {
		return false, err
	}
	b, err := c.right.text(value)
	if err != nil {
		return false, err
	}
	order := strings.Compare(a, b)
	x, xok := number(a)
	y, yok := number(b)
	switch {
	case xok && yok:
		order = x.Cmp(y)
	case c.op != "==" && c.op != "!=":
		return false, fmt.Errorf("%s: got %q and %q, want numbers", c.op, clip(a), clip(b))
	}
	switch c.op {
	case "==":
		return order == 0, nil
	case "!=":
		return order != 0, nil
	case "<":
		return order < 0, nil
	case "<=":
		return order <= 0, nil
	case ">":
		return order > 0, nil
	}
	return order >= 0, nil
}

func number(s string) (*big.Rat, bool) {
	if !decimal.MatchString(s) {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

func (c *condition) text(value func(o operand) (string, error)) (string, error) {
	switch {
	case c.op != "":
		ok, err := c.holds(value)
		return fmt.Sprint(ok), err
	case c.value.kind != 0:
		return c.value.text, nil
	}
	return value(c.value)
}
