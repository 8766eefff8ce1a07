package scim

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// filter is a condition on a resource, or on a value of a list.
type filter func(m map[string]any) bool

// Bounds on filters.
const (
	maxFilter = 2048
	maxNested = 16
)

// parseFilter reads a filter (RFC 7644, section 3.4.2.2).
func parseFilter(text string) (filter, error) {
	if len(text) > maxFilter {
		return nil, badFilter(fmt.Sprintf("it has more than %d bytes", maxFilter))
	}
	p := &parser{rest: text}
	f, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.space(); p.rest != "" {
		return nil, badFilter(fmt.Sprintf("at %.20q", p.rest))
	}
	return f, nil
}

func badFilter(why string) error {
	return &problem{400, "invalidFilter", "the filter is not understood: " + why}
}

type parser struct {
	rest   string
	nested int
}

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " ") }

// word takes a keyword that is followed by the end, a space or a parenthesis.
func (p *parser) word(w string) bool {
	p.space()
	if len(p.rest) < len(w) || !strings.EqualFold(p.rest[:len(w)], w) {
		return false
	}
	if after := p.rest[len(w):]; after != "" && !strings.ContainsRune(" ()]", rune(after[0])) {
		return false
	}
	p.rest = p.rest[len(w):]
	return true
}

func (p *parser) sign(c byte) bool {
	p.space()
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *parser) or() (filter, error) {
	if p.nested++; p.nested > maxNested {
		return nil, badFilter("it is nested too deeply")
	}
	defer func() { p.nested-- }()
	f, err := p.and()
	for err == nil && p.word("or") {
		var g filter
		if g, err = p.and(); err == nil {
			a := f
			f = func(m map[string]any) bool { return a(m) || g(m) }
		}
	}
	return f, err
}

func (p *parser) and() (filter, error) {
	f, err := p.term()
	for err == nil && p.word("and") {
		var g filter
		if g, err = p.term(); err == nil {
			a := f
			f = func(m map[string]any) bool { return a(m) && g(m) }
		}
	}
	return f, err
}

func (p *parser) term() (filter, error) {
	not := p.word("not")
	if p.sign('(') {
		f, err := p.or()
		if err != nil {
			return nil, err
		}
		if !p.sign(')') {
			return nil, badFilter("a parenthesis is open")
		}
		if not {
			return func(m map[string]any) bool { return !f(m) }, nil
		}
		return f, nil
	}
	if not {
		return nil, badFilter("not needs parentheses")
	}
	return p.compare()
}

// compare reads ATTRIBUTE OPERATOR VALUE, ATTRIBUTE pr, or ATTRIBUTE[FILTER].
func (p *parser) compare() (filter, error) {
	p.space()
	n := strings.IndexAny(p.rest, " [()]\"")
	if n < 0 {
		n = len(p.rest)
	}
	attr := p.rest[:n]
	if attr == "" {
		return nil, badFilter("an attribute is missing")
	}
	path, err := parsePath(attr)
	if err != nil {
		return nil, err
	}
	p.rest = p.rest[n:]
	if strings.HasPrefix(p.rest, "[") {
		p.rest = p.rest[1:]
		inner, err := p.or()
		if err != nil {
			return nil, err
		}
		if !p.sign(']') {
			return nil, badFilter("a bracket is open")
		}
		return func(m map[string]any) bool {
			for _, v := range path.values(m) {
				if e, ok := v.(map[string]any); ok && inner(e) {
					return true
				}
			}
			return false
		}, nil
	}
	if p.word("pr") {
		return func(m map[string]any) bool {
			for _, v := range path.values(m) {
				if v != nil && v != "" {
					return true
				}
			}
			return false
		}, nil
	}
	for _, op := range []string{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"} {
		if !p.word(op) {
			continue
		}
		want, err := p.value()
		if err != nil {
			return nil, err
		}
		exact := path.exact()
		if op == "ne" {
			return func(m map[string]any) bool { return !some(path.values(m), "eq", want, exact) }, nil
		}
		return func(m map[string]any) bool { return some(path.values(m), op, want, exact) }, nil
	}
	return nil, badFilter(fmt.Sprintf("at %.20q: want eq, ne, co, sw, ew, gt, ge, lt, le or pr", p.rest))
}

// value reads a JSON text, number, true, false or null.
func (p *parser) value() (any, error) {
	p.space()
	end := strings.IndexAny(p.rest, " )]")
	if strings.HasPrefix(p.rest, `"`) {
		end = 1
		for end < len(p.rest) && p.rest[end] != '"' {
			if p.rest[end] == '\\' {
				end++
			}
			end++
		}
		if end++; end > len(p.rest) {
			return nil, badFilter("a text is open")
		}
	} else if end < 0 {
		end = len(p.rest)
	}
	raw := p.rest[:end]
	p.rest = p.rest[end:]
	if !strings.HasPrefix(raw, `"`) {
		raw = strings.ToLower(raw) // True, as Entra ID writes it
	}
	var v any
	dec := json.NewDecoder(strings.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil || !utf8.ValidString(raw) {
		return nil, badFilter(fmt.Sprintf("%.20q is not a value", raw))
	}
	switch v.(type) {
	case map[string]any, []any:
		return nil, badFilter("a value is a text, a number, true, false or null")
	}
	return v, nil
}

// some reports whether one of the values compares so.
func some(values []any, op string, want any, exact bool) bool {
	if want == nil {
		for _, v := range values {
			if v != nil {
				return false
			}
		}
		return op == "eq"
	}
	for _, v := range values {
		if e, ok := v.(map[string]any); ok { // a complex value is compared by its value
			v = e[key(e, "value")]
		}
		if holds(v, op, want, exact) {
			return true
		}
	}
	return false
}

func holds(got any, op string, want any, exact bool) bool {
	switch w := want.(type) {
	case bool:
		b, err := boolean(got)
		return err == nil && op == "eq" && b == w
	case json.Number:
		g, ok := got.(json.Number)
		if !ok {
			return false
		}
		a, err1 := g.Float64()
		b, err2 := w.Float64()
		return err1 == nil && err2 == nil && ordered(op, a, b)
	case string:
		if b, ok := got.(bool); ok { // active eq "True"
			v, err := boolean(w)
			return err == nil && op == "eq" && b == v
		}
		g, ok := got.(string)
		if !ok {
			return false
		}
		if !exact {
			g, w = strings.ToLower(g), strings.ToLower(w)
		}
		switch op {
		case "co":
			return strings.Contains(g, w)
		case "sw":
			return strings.HasPrefix(g, w)
		case "ew":
			return strings.HasSuffix(g, w)
		}
		return ordered(op, g, w)
	}
	return false
}

func ordered[T float64 | string](op string, a, b T) bool {
	switch op {
	case "eq":
		return a == b
	case "gt":
		return a > b
	case "ge":
		return a >= b
	case "lt":
		return a < b
	case "le":
		return a <= b
	}
	return false
}
