package postgres

import (
	"strconv"
	"strings"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/proxy"
)

// JSON that is built of values holds each of them as it is, under a key or in an
// array: who masks the value can mask that member.

// jsonOf are the functions that make JSON of their arguments, or of the arguments of
// all rows. Those of pairs take keys and values in turn.
var (
	jsonOf     = map[string]bool{"row_to_json": true, "to_json": true, "to_jsonb": true, "json_agg": true, "jsonb_agg": true, "json_agg_strict": true, "jsonb_agg_strict": true, "json_build_array": true, "jsonb_build_array": true, "array_to_json": true}
	jsonPairs  = map[string]bool{"json_build_object": true, "jsonb_build_object": true}
	jsonStrips = map[string]bool{"json_strip_nulls": true, "jsonb_strip_nulls": true}
)

// json is what a function that builds JSON returns; ok is false when it does not, or
// may be another.
func (r *resolver) json(s *space, n *ast.FuncCall, schema, name string) (v value, ok bool) {
	if schema != "" && schema != "pg_catalog" || !jsonOf[name] && !jsonPairs[name] && !jsonStrips[name] {
		return value{}, false
	}
	if own, certain := r.catalog.Functions("", name); schema == "" && (len(own) > 0 || !certain) || n.Args == nil || n.AggWithinGroup || n.Over != nil || n.FuncVariadic {
		return value{}, false
	}
	args := n.Args.Items
	if !jsonPairs[name] {
		for _, arg := range args {
			v = r.union(v, r.jsonMember(s, arg, ""))
		}
		return v, true
	}
	for i := 0; i < len(args); i += 2 {
		key, known := constant(args[i])
		if known = known && plainKey(key); known {
			r.literals = true // they say which member is which
		} else {
			v = r.union(v, r.as(r.expression(s, args[i]), proxy.DerivedTransformed))
		}
		if i+1 == len(args) {
			break
		}
		if !known {
			v = r.union(v, r.as(r.expression(s, args[i+1]), proxy.DerivedTransformed))
			continue
		}
		v = r.union(v, r.jsonMember(s, args[i+1], key))
	}
	return v, true
}

// plainKey reports whether a key is written in JSON as it is.
func plainKey(key string) bool {
	return key != "" && !strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r == 0x7f })
}

// jsonMember is what JSON holds of an expression under a key; an empty key is in an array,
// or by itself. A row has its columns as keys of their own.
func (r *resolver) jsonMember(s *space, n ast.Node, key string) value {
	switch e := n.(type) {
	case *ast.ParenExpr:
		return r.jsonMember(s, e.Expr, key)
	case *ast.RowExpr:
		var v value
		if e.Args != nil {
			for i, item := range e.Args.Items {
				v = r.union(v, r.jsonMember(s, item, "f"+strconv.Itoa(i+1)))
			}
		}
		return v
	case *ast.SubLink:
		if q := selectOf(e.Subselect); e.SubLinkType == ast.EXPR_SUBLINK && q != nil {
			return keyed(r.wholeOr(s, q), key)
		}
	}
	if t := r.rowOf(s, n); t != nil {
		return r.fields(t)
	}
	return keyed(r.expression(s, n), key)
}

// wholeOr is what a query in an expression returns: the fields of a row, where its
// only item is a table's.
func (r *resolver) wholeOr(s *space, q *ast.SelectStmt) value {
	if q.FromClause != nil && q.WithClause == nil && q.Larg == nil && q.TargetList != nil && len(q.TargetList.Items) == 1 {
		if target, ok := q.TargetList.Items[0].(*ast.ResTarget); ok && !isNil(target.Val) {
			inside := r.from(q.FromClause, s)
			if t := r.rowOf(inside, target.Val); t != nil {
				v := r.fields(t)
				r.query(q, s) // for what it uses
				return v
			}
		}
	}
	return r.subquery(s, &ast.SubLink{SubLinkType: ast.EXPR_SUBLINK, Subselect: q})
}

// fields are the columns of a table as members of its row.
func (r *resolver) fields(t *table) value {
	var v value
	for i := range t.columns {
		v = r.union(v, keyed(t.columns[i].value, t.columns[i].name))
	}
	if t.open {
		v = r.union(v, r.as(t.rest, proxy.DerivedTransformed))
	}
	return v
}

// keyed is v as the member of a key. What is a member already keeps its own.
func keyed(v value, key string) value {
	out := make([]proxy.Origin, 0, len(v.origins))
	for _, o := range v.origins {
		switch {
		case o.Column == "*":
		case o.How == proxy.DerivedMember && o.Key != "":
		default:
			o.How, o.Key = proxy.DerivedMember, key
		}
		out = append(out, o)
	}
	v.origins, v.given = out, givenAs(v.given, proxy.DerivedTransformed)
	return v
}

// takesMember are the operators that take a member out of JSON.
var takesMember = map[string]bool{"->": true, "->>": true}

// memberOf is the member of v, columns of JSON or what was taken out of one.
func memberOf(v value, key string) value {
	out := make([]proxy.Origin, 0, len(v.origins))
	for _, o := range v.origins {
		if o.Column != "*" && (o.How == proxy.DerivedPlain || o.How == proxy.DerivedTransformed && o.Key != "") {
			o.How, o.Key = proxy.DerivedTransformed, key
		}
		out = append(out, o)
	}
	v.origins = out
	return v
}

// toJSON reports whether a cast is to JSON, which keeps members what they are.
func toJSON(n *ast.TypeName) bool {
	if n == nil {
		return false
	}
	_, name := qualified(n.Names)
	return name == "json" || name == "jsonb"
}

// keeping is v, derived in a way that keeps members of JSON what they are.
func (r *resolver) keeping(v value) value {
	var members, others []proxy.Origin
	for _, o := range v.origins {
		if o.How == proxy.DerivedMember {
			members = append(members, o)
		} else {
			others = append(others, o)
		}
	}
	if len(members) == 0 {
		return r.intact(v)
	}
	rest := r.as(value{origins: others, opaque: v.opaque, unsure: v.unsure}, proxy.DerivedTransformed)
	return r.union(rest, value{origins: members, given: v.given})
}
