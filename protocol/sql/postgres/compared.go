package postgres

import (
	"slices"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/proxy"
)

// matches are the server's functions that compare their arguments.
var matches = map[string]bool{
	"starts_with": true, "position": true, "strpos": true, "regexp_like": true, "regexp_match": true, "regexp_matches": true, "regexp_count": true, "regexp_instr": true,
	"regexp_substr": true, "texteq": true, "textne": true, "textlike": true, "textnlike": true, "texticlike": true, "texticnlike": true, "like": true, "notlike": true,
	"like_escape": true, "similar_escape": true, "similar_to_escape": true,
}

// equals are the operators that tell only whether their operands are the same.
var equals = map[string]bool{"=": true, "<>": true, "!=": true}

// compared notes which columns are compared with which literals and parameters.
func (r *resolver) compared(a, b value, equal bool) {
	if r.fills == nil {
		return
	}
	r.comparedWith(a, b.given, equal)
	r.comparedWith(b, a.given, equal)
}

func (r *resolver) comparedWith(v value, given []proxy.Source, equal bool) {
	if len(given) == 0 || !r.spend(len(v.origins)*len(given)) {
		return
	}
	for _, o := range v.origins {
		if o.How == proxy.DerivedPredicate { // how many there are, or how long
			continue
		}
		f := proxy.Fill{Schema: o.Schema, Relation: o.Relation, Column: o.Column, Values: given}
		f.Equal = equal && o.How == proxy.DerivedPlain && len(v.origins) == 1 && !v.opaque
		if f.Column != "*" {
			f.Type = r.typeOf(o)
		}
		r.fills.compared = append(r.fills.compared, f)
	}
}

// typeOf is the number of the type of a base column, 0 when it is not known.
func (r *resolver) typeOf(o proxy.Origin) uint32 {
	found, certain := r.catalog.Relations(o.Schema, o.Relation)
	if len(found) != 1 || !certain {
		return 0
	}
	for i := range found[0].Columns {
		if c := &found[0].Columns[i]; c.Name == o.Column {
			return c.Type
		}
	}
	return 0
}

// operand is what the right side of an operator derives from: of a list or an ARRAY, its
// elements as they are.
func (r *resolver) operand(s *space, n ast.Node) value {
	list, ok := n.(*ast.NodeList)
	if !ok || list == nil {
		if list = elementsOf(n); list == nil {
			return r.expression(s, n)
		}
	}
	var v value
	for _, item := range list.Items {
		v = r.union(v, r.expression(s, item))
	}
	return v
}

// elementsOf are the elements of an array that n lists, nil when it lists none.
func elementsOf(n ast.Node) *ast.NodeList {
	switch n := n.(type) {
	case *ast.A_ArrayExpr:
		return n.Elements
	case *ast.ArrayExpr:
		return n.Elements
	case *ast.ParenExpr:
		return elementsOf(n.Expr)
	}
	return nil
}

// elements is v, an array whose elements are meant.
func elements(v value) value {
	v.given = slices.Clone(v.given)
	for i := range v.given {
		v.given[i].Elements = true
	}
	return v
}

// unnested is what the elements of arrays derive from.
func (r *resolver) unnested(s *space, arrays *ast.NodeList) value {
	var v value
	for _, a := range arrays.Items {
		x := r.operand(s, a)
		if elementsOf(a) == nil {
			x = elements(x)
		}
		v = r.union(v, x)
	}
	return v
}

// cast is v in another type. What only says that a text is a text changes nothing.
func cast(v value, to *ast.TypeName) value {
	if len(v.given) == 0 || keepsText(to) {
		return v
	}
	v.given = slices.Clone(v.given)
	for i := range v.given {
		v.given[i].Changed = true
	}
	return v
}

// keepsText reports whether a cast to a type leaves every text as it is.
func keepsText(n *ast.TypeName) bool {
	if n == nil || n.Typmods != nil && len(n.Typmods.Items) > 0 || n.Names == nil || len(n.Names.Items) == 0 {
		return false
	}
	name, ok := n.Names.Items[len(n.Names.Items)-1].(*ast.String)
	return ok && (name.SVal == "text" || name.SVal == "varchar")
}
