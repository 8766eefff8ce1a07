package mysql

import (
	"reflect"
	"strings"

	"github.com/sqlc-dev/marino/ast"

	"github.com/sallyport/sallyport/proxy"
)

// visitor notes what a statement does. It goes through every field of every node,
// so that no clause is left out.
type visitor struct {
	facts    *proxy.Facts
	mode     proxy.Effects // what is done to the relations that are met
	scope    *scope
	depth    int
	literals bool // the facts hang on literals
}

// scope are names that mean queries of a WITH, or for aliases.
type scope struct {
	outer *scope
	names []string
}

func (s *scope) has(name string) bool {
	for ; s != nil; s = s.outer {
		for _, n := range s.names {
			if n == name {
				return true
			}
		}
	}
	return false
}

// maxDepth bounds the recursion, beyond what the scanner lets pass.
const maxDepth = 5000

func (v *visitor) add(e proxy.Effects) { v.facts.Effects |= e }

func (v *visitor) unknown(why string) {
	v.add(proxy.EffectUnknown)
	if v.facts.Unknown == "" {
		v.facts.Unknown = why
	}
}

func (v *visitor) with(mode proxy.Effects, f func()) {
	outer := v.mode
	v.mode = mode
	f()
	v.mode = outer
}

func (v *visitor) relation(schema, name string, e proxy.Effects) {
	schema, name = strings.ToLower(schema), strings.ToLower(name)
	v.add(e)
	for i := range v.facts.Relations {
		if r := &v.facts.Relations[i]; r.Schema == schema && r.Name == name {
			r.Effects |= e
			return
		}
	}
	v.facts.Relations = append(v.facts.Relations, proxy.Relation{Schema: schema, Name: name, Effects: e})
}

func (v *visitor) function(schema, name string) {
	schema, name = strings.ToLower(schema), strings.ToLower(name)
	class, effects := classify(schema, name)
	v.add(effects)
	for _, f := range v.facts.Functions {
		if f.Schema == schema && f.Name == name {
			return
		}
	}
	v.facts.Functions = append(v.facts.Functions, proxy.Function{Schema: schema, Name: name, Class: class})
}

// visit notes what a node below a statement does.
func (v *visitor) visit(n any) {
	if v.depth++; v.depth > maxDepth {
		v.unknown("it is nested too deeply")
	} else {
		v.node(n)
	}
	v.depth--
}

func (v *visitor) node(n any) {
	switch n := n.(type) {
	case *ast.SelectStmt:
		v.query(n.With, func() { v.selects(n) })
	case *ast.SetOprStmt:
		v.query(n.With, func() {
			v.add(proxy.EffectRead)
			v.children(n, "With")
		})
	case *ast.TableName:
		if n.Schema.L != "" || !v.scope.has(n.Name.L) {
			v.relation(n.Schema.O, n.Name.O, v.mode)
		}
	case *ast.FuncCallExpr:
		v.function(n.Schema.O, n.FnName.O)
		v.children(n)
	case *ast.JSONTableExpr:
		v.function("", "json_table")
		v.children(n)
	case *ast.AggregateFuncExpr:
		v.function("", n.F)
		v.children(n)
	case *ast.WindowFuncExpr:
		v.function("", n.Name)
		v.children(n)
	case *ast.VariableExpr:
		v.children(n)
	case ast.StmtNode:
		v.statement(n)
	default:
		v.children(n)
	}
}

// query visits a WITH, then runs f where its queries can be named. A query sees
// those before it; in WITH RECURSIVE all of them.
func (v *visitor) query(with *ast.WithClause, f func()) {
	outer := v.scope
	if with != nil {
		inner := &scope{outer: outer}
		if with.IsRecursive {
			for _, cte := range with.CTEs {
				inner.names = append(inner.names, cte.Name.L)
			}
		}
		v.scope = inner
		for _, cte := range with.CTEs {
			v.with(proxy.EffectRead, func() { v.visit(cte.Query) })
			if !with.IsRecursive {
				inner.names = append(inner.names, cte.Name.L)
			}
		}
	}
	f()
	v.scope = outer
}

func (v *visitor) selects(n *ast.SelectStmt) {
	v.add(proxy.EffectRead)
	for _, l := range append(n.MoreLockInfos[:len(n.MoreLockInfos):len(n.MoreLockInfos)], n.LockInfo) {
		if l != nil && l.LockType != ast.SelectLockNone {
			v.add(proxy.EffectLock)
		}
	}
	if into := n.SelectIntoOpt; into != nil && into.Tp != ast.SelectIntoVars {
		v.add(proxy.EffectCopyProgram | proxy.EffectOutside)
	}
	v.with(v.mode, func() { v.children(n, "With", "LockInfo", "MoreLockInfos") })
}

// children visits everything below a node but the fields named.
func (v *visitor) children(n any, but ...string) {
	r := reflect.ValueOf(n)
	for r.Kind() == reflect.Pointer || r.Kind() == reflect.Interface {
		if r.IsNil() {
			return
		}
		r = r.Elem()
	}
	if r.Kind() != reflect.Struct || r.Type().PkgPath() != astPath {
		return
	}
	t := r.Type()
fields:
	for i := range r.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		for _, name := range but {
			if f.Name == name {
				continue fields
			}
		}
		v.field(r.Field(i))
	}
}

var astPath = reflect.TypeFor[ast.SelectStmt]().PkgPath()

func (v *visitor) field(f reflect.Value) {
	switch f.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !f.IsNil() {
			v.visit(f.Interface())
		}
	case reflect.Slice:
		for i := range f.Len() {
			v.field(f.Index(i))
		}
	case reflect.Struct:
		if f.CanAddr() {
			v.visit(f.Addr().Interface())
		} else {
			v.visit(f.Interface())
		}
	}
}
