package postgres

import (
	"reflect"
	"strconv"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/proxy"
)

// expression is what an expression's value derives from. Kinds of nodes that no
// case names derive from everything below them.
func (r *resolver) expression(s *space, n ast.Node) value {
	if isNil(n) {
		return value{}
	}
	if r.depth++; r.depth > maxDepth || !r.spend(1) {
		r.depth--
		return r.incompletely()
	}
	defer func() { r.depth-- }()
	switch n := n.(type) {
	case *ast.ColumnRef:
		if t, ok := r.stars(s, n); ok { // as in count(p.*)
			return r.as(r.all(t), proxy.DerivedTransformed)
		}
		return r.reference(s, n)
	case *ast.ParenExpr:
		return r.expression(s, n.Expr)
	case *ast.A_Const, *ast.ParamRef:
		return r.given(n)
	case *ast.SQLValueFunction, *ast.SetToDefault, *ast.CurrentOfExpr, *ast.String:
		return value{}
	case *ast.TypeCast:
		if toJSON(n.TypeName) {
			return r.keeping(r.expression(s, n.Arg))
		}
		return cast(r.intact(r.expression(s, n.Arg)), n.TypeName)
	case *ast.CoalesceExpr:
		var v value
		if n.Args != nil {
			for i, a := range n.Args.Items {
				x := r.keeping(r.expression(s, a))
				if i < len(n.Args.Items)-1 {
					x = skipped(x)
				}
				v = r.union(v, x)
			}
		}
		return v
	case *ast.NamedArgExpr:
		return r.expression(s, n.Arg)
	case *ast.FuncCall:
		return r.call(s, n)
	case *ast.A_Expr:
		return r.operation(s, n)
	case *ast.BoolExpr, *ast.NullTest, *ast.BooleanTest:
		return r.as(r.generic(s, n), proxy.DerivedPredicate)
	case *ast.CaseExpr:
		arg := r.expression(s, n.Arg)
		v := r.as(arg, proxy.DerivedPredicate)
		if n.Args != nil {
			for _, item := range n.Args.Items {
				when, ok := item.(*ast.CaseWhen)
				if !ok {
					return r.incompletely()
				}
				tested := r.expression(s, when.Expr)
				if !isNil(n.Arg) {
					r.compared(arg, tested, true)
				}
				v = r.union(v, r.as(tested, proxy.DerivedPredicate))
				v = r.union(v, r.intact(r.expression(s, when.Result)))
			}
		}
		return r.union(v, r.intact(r.expression(s, n.Defresult)))
	case *ast.SubLink:
		return r.subquery(s, n)
	case *ast.SelectStmt:
		return r.as(r.all(r.query(n, s)), proxy.DerivedTransformed)
	case *ast.A_Indirection:
		return r.indirection(s, n)
	case *ast.WindowDef:
		return r.window(n, s)
	case *ast.GroupingFunc:
		return value{}
	}
	return r.as(r.generic(s, n), proxy.DerivedTransformed)
}

// generic is everything below n.
func (r *resolver) generic(s *space, n ast.Node) value {
	if isNil(n) {
		return value{}
	}
	v := reflect.ValueOf(n)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return r.below(s, v)
}

func (r *resolver) below(s *space, of reflect.Value) value {
	var v value
	each := func(f reflect.Value) {
		switch f.Kind() {
		case reflect.Interface, reflect.Pointer:
			if f.IsNil() {
				return
			}
			if n, ok := f.Interface().(ast.Node); ok {
				if list, ok := n.(*ast.NodeList); ok {
					v = r.union(v, r.generic(s, list))
				} else {
					v = r.union(v, r.expression(s, n))
				}
				return
			}
			v = r.union(v, r.below(s, f.Elem()))
		case reflect.Struct, reflect.Slice, reflect.Array:
			v = r.union(v, r.below(s, f))
		}
	}
	switch of.Kind() {
	case reflect.Struct:
		for i := range of.NumField() {
			if of.Type().Field(i).IsExported() {
				each(of.Field(i))
			}
		}
	case reflect.Slice, reflect.Array:
		if of.Type().Elem().Kind() == reflect.Uint8 {
			return v
		}
		for i := range of.Len() {
			each(of.Index(i))
		}
	}
	return v
}

// compares are the operators whose result tells of their operands only how they
// compare.
var compares = map[string]bool{
	"=": true, "<>": true, "!=": true, "<": true, ">": true, "<=": true, ">=": true, "~": true, "~*": true, "!~": true, "!~*": true,
	"~~": true, "!~~": true, "~~*": true, "!~~*": true, "^@": true, "@>": true, "<@": true, "&&": true, "?": true, "?|": true, "?&": true,
	"@@": true, "@?": true,
}

func (r *resolver) operation(s *space, n *ast.A_Expr) value {
	schema, name := qualified(n.Name)
	left, right := r.expression(s, n.Lexpr), r.operand(s, n.Rexpr)
	if ofArray := n.Kind == ast.AEXPR_OP_ANY || n.Kind == ast.AEXPR_OP_ALL; ofArray && elementsOf(n.Rexpr) == nil {
		right = elements(right)
	}
	switch n.Kind {
	case ast.AEXPR_NULLIF:
		r.compared(left, right, true)
		return r.union(r.intact(left), r.as(right, proxy.DerivedPredicate))
	case ast.AEXPR_OP:
		if compares[name] {
			r.compared(left, right, equals[name])
		}
	default:
		r.compared(left, right, equals[name] || n.Kind == ast.AEXPR_DISTINCT || n.Kind == ast.AEXPR_NOT_DISTINCT)
		return r.as(r.union(left, right), proxy.DerivedPredicate)
	}
	if takesMember[name] {
		key, ok := constant(n.Rexpr)
		_, number := strconv.Atoi(key)
		if ok && plainKey(key) && number != nil { // else an element of an array
			left = memberOf(left, key)
		}
		r.literals = r.literals || ok
	}
	v := r.union(left, right)
	if behind, certain := r.catalog.RunBy(name); schema != "" && schema != "pg_catalog" || len(behind) > 0 {
		v.opaque = true
	} else if !certain {
		v = r.unsurely(v)
	}
	if compares[name] {
		return r.as(v, proxy.DerivedPredicate)
	}
	return r.as(v, proxy.DerivedTransformed)
}

// subquery is a query in an expression.
func (r *resolver) subquery(s *space, n *ast.SubLink) value {
	q := selectOf(n.Subselect)
	if q == nil {
		return r.incompletely()
	}
	outside := r.decide
	r.decide = value{}
	t := r.query(q, s)
	decide := r.decide
	r.decide = r.union(outside, decide)
	switch n.SubLinkType {
	case ast.EXISTS_SUBLINK: // whether there is a row is all that it tells
		return r.as(decide, proxy.DerivedPredicate)
	case ast.EXPR_SUBLINK, ast.MULTIEXPR_SUBLINK:
		return r.all(t)
	case ast.ARRAY_SUBLINK:
		return r.as(r.all(t), proxy.DerivedTransformed)
	default:
		tested, found := r.expression(s, n.Testexpr), r.all(t)
		_, name := qualified(n.OperName)
		r.compared(tested, found, name == "" || equals[name])
		return r.as(r.union(found, tested), proxy.DerivedPredicate)
	}
}

// indirection is a field or an element of something.
func (r *resolver) indirection(s *space, n *ast.A_Indirection) value {
	if n.Indirection == nil {
		return r.expression(s, n.Arg)
	}
	items := n.Indirection.Items
	if t := r.rowOf(s, n.Arg); t != nil && len(items) > 0 {
		if name, ok := items[0].(*ast.String); ok {
			v := r.member(t, name.SVal)
			if len(items) == 1 {
				return v
			}
			return r.union(r.as(v, proxy.DerivedTransformed), r.as(r.generic(s, n.Indirection), proxy.DerivedPredicate))
		}
	}
	v := r.as(r.expression(s, n.Arg), proxy.DerivedTransformed)
	for _, item := range items {
		// A field that does not exist may be a function of the whole.
		if name, ok := item.(*ast.String); ok && r.owned("", name.SVal) {
			v = r.called(name.SVal, v)
		}
	}
	return r.union(v, r.as(r.generic(s, n.Indirection), proxy.DerivedPredicate))
}

// call is what a function returns.
func (r *resolver) call(s *space, n *ast.FuncCall) value {
	schema, name := qualified(n.Funcname)
	if v, ok := r.json(s, n, schema, name); ok {
		v = r.union(v, r.as(r.generic(s, n.AggOrder), proxy.DerivedPredicate))
		return r.union(v, r.as(r.expression(s, n.AggFilter), proxy.DerivedPredicate))
	}
	var args value
	if name == "unnest" && n.Args != nil {
		args = r.unnested(s, n.Args)
	} else {
		args = r.generic(s, n.Args)
	}
	r.fillCalled(schema, name, args)
	if r.fills != nil && matches[name] {
		r.comparedWith(args, args.given, false)
	}
	if nullary[name] && schema == "" && (n.Args == nil || len(n.Args.Items) == 0) && r.catalog.ServerFirst() {
		schema = "pg_catalog"
	}
	v := args
	if !n.AggStar { // only the server's own count takes none
		v = r.function(schema, name, args)
	}
	if typesOf[name] && (schema == "" || schema == "pg_catalog") && !r.owned("", name) {
		return value{unsure: v.unsure}
	}
	how := proxy.DerivedTransformed
	if (schema == "" || schema == "pg_catalog") && (counts[name] || measures[name]) && !r.owned("", name) {
		how = proxy.DerivedPredicate
	} else if n.AggStar || n.AggDistinct || n.AggWithinGroup || n.AggFilter != nil || n.Over != nil || (schema == "" || schema == "pg_catalog") && aggregates[name] {
		how = proxy.DerivedAggregated
	}
	v = r.as(v, how)
	order := r.generic(s, n.AggOrder)
	if n.AggWithinGroup { // percentile_disc(0.5) WITHIN GROUP (ORDER BY x) returns an x
		v = r.union(v, r.as(order, how))
	} else {
		v = r.union(v, r.as(order, proxy.DerivedPredicate))
	}
	v = r.union(v, r.as(r.expression(s, n.AggFilter), proxy.DerivedPredicate))
	if n.Over != nil {
		v = r.union(v, r.window(n.Over, s))
	}
	if name == "unnest" { // each element as it is
		v.given = args.given
	}
	return v
}

// function is what a function of a name returns for arguments.
func (r *resolver) function(schema, name string, args value) value {
	v := r.as(args, proxy.DerivedTransformed)
	if schema == "" || schema == "pg_catalog" {
		switch class := classes[name]; {
		case reveals[name]:
			v.opaque = true
		case class == proxy.FunctionHarmless, class == proxy.FunctionReads, name == "set_config", name == "nextval", name == "setval":
			if schema == "pg_catalog" {
				return v
			}
		default:
			v.opaque = v.opaque || schema == "pg_catalog" || !r.owned("", name)
		}
	}
	found, certain := r.catalog.Functions(schema, name)
	for _, f := range found {
		v = r.union(v, r.returnedBy(f))
	}
	if schema != "" && schema != "pg_catalog" && len(found) == 0 {
		r.doubt, v.opaque = true, true
	}
	if !certain && schema != "pg_catalog" {
		return r.unsurely(v)
	}
	return v
}

// nullary are functions of the server's that take no argument. No other that takes none is
// meant by their names where the server's own come first, whatever has been made.
var nullary = map[string]bool{
	"clock_timestamp": true, "current_database": true, "current_schema": true, "gen_random_uuid": true, "now": true, "pg_backend_pid": true,
	"pi": true, "random": true, "statement_timestamp": true, "timeofday": true, "transaction_timestamp": true, "txid_current": true, "version": true,
}

// owned reports whether a function that is not the server's own may have that name.
func (r *resolver) owned(schema, name string) bool {
	found, _ := r.catalog.Functions(schema, name)
	return len(found) > 0
}

// unsurely is v, or anything.
func (r *resolver) unsurely(v value) value {
	r.unsure = true
	v.unsure = anything
	return v
}

// reveals are the server's functions that return data which no argument holds:
// settings, large objects, texts of other sessions.
var reveals = map[string]bool{
	"current_setting": true, "lo_get": true, "loread": true, "pg_show_all_settings": true, "pg_cursor": true, "pg_prepared_statement": true,
	"pg_stat_get_activity": true, "pg_stat_get_backend_activity": true, "pg_prepared_xact": true, "currval": true, "lastval": true,
	"pg_get_expr": true, "pg_get_viewdef": true, "pg_get_ruledef": true, "pg_get_functiondef": true, "pg_get_constraintdef": true,
	"pg_get_indexdef": true, "pg_mcv_list_items": true, "pg_stat_get_wal_receiver": true, "current_query": true, "pg_logical_slot_get_changes": true,
	"pg_logical_slot_peek_changes": true, "obj_description": true, "col_description": true, "shobj_description": true,
}

// counts are the aggregates that tell of their arguments only how many there are.
var counts = map[string]bool{"count": true, "regr_count": true}

// measures are the functions that tell of their argument only how long it is.
var measures = map[string]bool{
	"length": true, "char_length": true, "character_length": true, "octet_length": true, "bit_length": true, "array_length": true, "cardinality": true,
	"array_ndims": true, "jsonb_array_length": true, "json_array_length": true, "pg_column_size": true,
}

// typesOf are the functions that tell of their argument only what type it is of.
var typesOf = map[string]bool{"jsonb_typeof": true, "json_typeof": true, "pg_typeof": true}

var aggregates = func() map[string]bool {
	m := make(map[string]bool)
	for _, name := range []string{
		"count", "sum", "avg", "min", "max", "array_agg", "string_agg", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg",
		"json_agg_strict", "jsonb_agg_strict", "json_object_agg_strict", "json_object_agg_unique", "jsonb_object_agg_strict", "jsonb_object_agg_unique",
		"bool_and", "bool_or", "every", "bit_and", "bit_or", "bit_xor", "stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp",
		"corr", "covar_pop", "covar_samp", "regr_avgx", "regr_avgy", "regr_count", "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy",
		"regr_syy", "mode", "percentile_cont", "percentile_disc", "rank", "dense_rank", "percent_rank", "cume_dist", "row_number", "ntile",
		"lag", "lead", "first_value", "last_value", "nth_value", "xmlagg", "range_agg", "range_intersect_agg", "any_value",
	} {
		m[name] = true
	}
	return m
}()
