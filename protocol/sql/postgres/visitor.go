package postgres

import (
	"reflect"
	"slices"
	"strings"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// visitor gathers what one statement does. It visits every node that the tree
// holds: fields that no case names are visited by reflection, so that a clause
// cannot be forgotten.
type visitor struct {
	facts *proxy.Facts
	// touch is what is done to a relation that is named where no case says more.
	touch    proxy.Effects
	scope    *scope
	depth    int
	literals bool // literals have a say in the facts
	// variables are the names that a block has declared, which are not columns.
	variables []string
	texts     int             // how many texts that run others are around
	selects   *ast.SelectStmt // the query that is visited; nil when there is none

	catalog sql.Scope    // what names mean
	pending *definitions // while the catalog's views are resolved
	doubt   bool         // the catalog does not know a name
	loud    bool         // something is called that may change what names mean
	losing  bool         // something loses data that is not the statement itself
	wide    bool         // what it sets off changes every row of something
	into    *rows        // what a new relation is filled with; nil of nothing

	params  *params // the values of parameters, where they are known
	hangs   bool    // the value of a parameter that is not has a say in the facts
	unbound bool    // what hangs on such values is left out
}

// scope holds the names of the queries in WITH that are seen at a place.
type scope struct {
	outer *scope
	names []string
}

func (s *scope) has(name string) bool {
	for ; s != nil; s = s.outer {
		if slices.Contains(s.names, name) {
			return true
		}
	}
	return false
}

// maxDepth bounds recursion: the text's nesting is bounded before it is parsed,
// its chains of operators are not.
const maxDepth = 5000

func newVisitor(catalog sql.Scope) *visitor {
	return &visitor{facts: &proxy.Facts{Statements: 1, Lossless: true}, touch: proxy.EffectRead, catalog: catalog}
}

func (v *visitor) add(e proxy.Effects) { v.facts.Effects |= e }

func (v *visitor) unknown(why string) {
	v.facts.Effects |= proxy.EffectUnknown
	if v.facts.Unknown == "" {
		v.facts.Unknown = why
	}
}

// with runs f while relations are touched in another way.
func (v *visitor) with(touch proxy.Effects, f func()) {
	old := v.touch
	v.touch = touch
	f()
	v.touch = old
}

// relation notes that a relation is touched.
func (v *visitor) relation(schema, name string, e proxy.Effects) {
	for i := range v.facts.Relations {
		if r := &v.facts.Relations[i]; r.Schema == schema && r.Name == name {
			r.Effects |= e
			return
		}
	}
	v.facts.Relations = append(v.facts.Relations, proxy.Relation{Schema: schema, Name: name, Effects: e})
}

// target notes the relation that a statement changes, which no WITH hides.
func (v *visitor) target(r *ast.RangeVar, e proxy.Effects) {
	v.add(e)
	if r != nil {
		v.named(r, e)
		if r.RelName == "pg_settings" && e.Has(proxy.EffectUpdate) {
			// A rule of the server's makes it set_config, of any setting.
			v.add(proxy.EffectSet | proxy.EffectRole)
			v.facts.Settings = append(v.facts.Settings, proxy.Setting{})
		}
	}
}

// temporarySchema is the alias of the schema of a session's temporary objects.
const temporarySchema = "pg_temp"

// named notes that the relation that r names is touched.
func (v *visitor) named(r *ast.RangeVar, e proxy.Effects) {
	schema := r.SchemaName
	if schema == "" && r.RelPersistence == ast.RELPERSISTENCE_TEMP {
		schema = temporarySchema
	}
	v.relation(schema, r.RelName, e)
}

// visit visits a node and all below it.
func (v *visitor) visit(n ast.Node) {
	if isNil(n) {
		return
	}
	if v.depth++; v.depth > maxDepth {
		v.unknown("expressions are nested more deeply than the limit")
		v.depth--
		return
	}
	switch n := n.(type) {
	case *ast.NodeList:
		for _, item := range n.Items {
			v.visit(item)
		}
	case *ast.RangeVar:
		if n.SchemaName != "" || n.CatalogName != "" || !v.scope.has(n.RelName) {
			v.named(n, v.touch)
		}
	case *ast.SelectStmt:
		outer := v.selects
		v.selects = n
		v.with(proxy.EffectRead, func() { v.query(n) })
		v.selects = outer
	case *ast.InsertStmt:
		v.insert(n)
	case *ast.UpdateStmt:
		v.update(n)
	case *ast.DeleteStmt:
		v.delete(n)
	case *ast.MergeStmt:
		v.merge(n)
	case *ast.FuncCall:
		v.call(n)
		v.children(n)
	case *ast.A_Expr:
		v.operator(n)
		v.children(n)
	case *ast.Constraint:
		v.stored(n, n.Contype == ast.CONSTR_DEFAULT)
	case *ast.AlterTableCmd:
		v.stored(n, n.Subtype == ast.AT_ColumnDefault)
	case *ast.LockingClause:
		v.add(proxy.EffectLock) // the relations are named in FROM
	default:
		if !v.utility(n) {
			v.children(n)
		}
	}
	v.depth--
}

// stored visits what n, a part of a definition, holds. A default that is stored advances
// its sequence later, for rows that are inserted.
func (v *visitor) stored(n ast.Node, isDefault bool) {
	before := v.facts.Effects
	v.children(n)
	if isDefault {
		v.facts.Effects &^= proxy.EffectSequence &^ before
	}
}

var nodeType = reflect.TypeFor[ast.Node]()

// children visits everything that the fields of n hold.
func (v *visitor) children(n ast.Node) {
	value := reflect.ValueOf(n)
	if value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	v.fields(value)
}

func (v *visitor) fields(value reflect.Value) {
	switch value.Kind() {
	case reflect.Struct:
		for i := range value.NumField() {
			if f := value.Field(i); value.Type().Field(i).IsExported() {
				v.field(f)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range value.Len() {
			v.field(value.Index(i))
		}
	}
}

func (v *visitor) field(f reflect.Value) {
	switch f.Kind() {
	case reflect.Interface, reflect.Pointer:
		if f.IsNil() {
			return
		}
		if f.Type().Implements(nodeType) {
			v.visit(f.Interface().(ast.Node))
			return
		}
		if n, ok := f.Interface().(ast.Node); ok {
			v.visit(n)
			return
		}
		v.fields(f.Elem())
	case reflect.Struct, reflect.Slice, reflect.Array:
		v.fields(f)
	}
}

// isNil also finds a nil pointer in an interface.
func isNil(n ast.Node) bool {
	if n == nil {
		return true
	}
	v := reflect.ValueOf(n)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// call notes a function.
func (v *visitor) call(n *ast.FuncCall) {
	schema, name := qualified(n.Funcname)
	if v.calls(schema, name) == proxy.FunctionSettings {
		v.setConfig(n)
	}
	v.runs(n, schema, name)
	if name == "lo_unlink" && (schema == "" || schema == "pg_catalog") {
		v.unlinks(n)
	}
}

// unlinks notes that large objects are deleted: one, or as many as a query has rows.
func (v *visitor) unlinks(n *ast.FuncCall) {
	v.add(proxy.EffectDelete)
	if v.selects != nil && v.selects.FromClause != nil && !restricts(v.selects.WhereClause) && mentionsColumn(n.Args, 0) {
		v.facts.Unfiltered |= proxy.EffectDelete
	}
}

func (v *visitor) function(schema, name string, class proxy.FunctionClass) {
	f := proxy.Function{Schema: schema, Name: name, Class: class}
	if !slices.Contains(v.facts.Functions, f) {
		v.facts.Functions = append(v.facts.Functions, f)
	}
}

// operator notes an operator that is not the server's own: it is known by the
// catalog, or called by its schema.
func (v *visitor) operator(n *ast.A_Expr) {
	schema, name := qualified(n.Name)
	behind, _ := v.catalog.RunBy(name)
	if schema != "" && schema != "pg_catalog" && len(behind) == 0 {
		v.function(schema, name, proxy.FunctionUnknown)
		v.add(proxy.EffectCall)
		v.loud = true
	}
	for _, f := range behind {
		class, effects := v.does(f)
		v.loud = v.loud || class == proxy.FunctionUnknown && f.Does == nil && !f.Quiet
		v.function(f.Schema, f.Name, class)
		v.add(effects)
	}
}

// qualified takes a name apart. Of a name with a database in front, the
// database is left out, since it can be only the session's own.
func qualified(list *ast.NodeList) (schema, name string) {
	if list == nil {
		return "", ""
	}
	parts := make([]string, 0, 3)
	for _, item := range list.Items {
		if s, ok := item.(*ast.String); ok {
			parts = append(parts, s.SVal)
		}
	}
	switch n := len(parts); n {
	case 0:
		return "", ""
	case 1:
		return "", parts[0]
	default:
		return parts[n-2], parts[n-1]
	}
}

// constant returns a literal's value as text.
func constant(n ast.Node) (string, bool) {
	for {
		switch t := n.(type) {
		case *ast.TypeCast:
			n = t.Arg
			continue
		case *ast.ParenExpr:
			n = t.Expr
			continue
		case *ast.A_Const:
			if t.Isnull || t.Val == nil {
				return "", false
			}
			return literal(t.Val)
		default:
			return literal(n)
		}
	}
}

func literal(n ast.Node) (string, bool) {
	switch t := n.(type) {
	case *ast.String:
		return t.SVal, true
	case *ast.Integer, *ast.Float, *ast.Boolean:
		return strings.ToLower(n.(interface{ SqlString() string }).SqlString()), true
	}
	return "", false
}
