package postgres

import (
	"strings"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/proxy"
)

// copy notes COPY: to and from the client, a file of the server's, or a program.
func (v *visitor) copy(n *ast.CopyStmt) {
	v.literals = true // they name files and say how rows are written
	server := n.IsProgram || n.Filename != ""
	switch {
	case n.IsFrom:
		e := proxy.EffectCopyIn
		if server {
			e = proxy.EffectCopyProgram
		}
		v.add(e)
		v.target(n.Relation, proxy.EffectInsert)
	case server:
		v.add(proxy.EffectCopyProgram | proxy.EffectRead)
	default:
		v.add(proxy.EffectCopyOut | proxy.EffectRead)
	}
	if !n.IsFrom && n.Relation != nil {
		v.relation(n.Relation.SchemaName, n.Relation.RelName, proxy.EffectRead)
	}
	v.visit(n.Query)
	v.visit(n.WhereClause)
	if !server {
		v.facts.Copy = v.copyFacts(n)
	}
}

func (v *visitor) copyFacts(n *ast.CopyStmt) *proxy.CopyFacts {
	c := &proxy.CopyFacts{Out: !n.IsFrom, Format: "text"}
	if n.Options == nil {
		return c
	}
	one := func(text string) byte {
		if len(text) != 1 {
			v.unknown("a COPY option that is not understood")
			return 0
		}
		return text[0]
	}
	for _, item := range n.Options.Items {
		if isNil(item) { // the parser leaves such items
			continue
		}
		d, ok := item.(*ast.DefElem)
		if _, condition := item.(ast.Expr); condition && n.Query != nil {
			continue // the parser leaves a query's condition among the options
		}
		if !ok {
			v.unknown("a COPY option that is not understood")
			continue
		}
		var text string
		if !isNil(d.Arg) {
			text, _ = constant(d.Arg)
		}
		switch name := strings.ToLower(d.Defname); name {
		case "format":
			switch text {
			case "text", "csv", "binary":
				c.Format = text
			default:
				v.unknown("a COPY format that is not understood")
			}
		case "delimiter":
			c.Delimiter = one(text)
		case "null":
			c.Null, c.NullSet = text, true
		case "quote":
			c.Quote = one(text)
		case "escape":
			c.Escape = one(text)
		case "encoding":
			if c.Encoding = text; text == "" {
				v.unknown("a COPY encoding that is not understood")
			}
		case "header":
			switch strings.ToLower(text) {
			case "", "true", "on", "1", "t", "match":
				c.Header = true
			}
		}
	}
	return c
}
