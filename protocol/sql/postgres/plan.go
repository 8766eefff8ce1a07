package postgres

import (
	"slices"
	"strings"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// explain notes EXPLAIN, which runs its statement only with ANALYZE. An ANALYZE
// with an argument counts as one, whatever the argument. Without one, functions that are
// not VOLATILE may run all the same, while the server plans.
func (v *visitor) explain(n *ast.ExplainStmt) {
	v.add(proxy.EffectShow)
	v.facts.Plan = &proxy.Plan{Unknown: isExecute(n.Query)}
	if n.Options != nil {
		for _, item := range n.Options.Items {
			if d, ok := item.(*ast.DefElem); ok && strings.EqualFold(d.Defname, "analyze") {
				v.visit(n.Query)
				return
			}
		}
	}
	inner := newVisitor(v.catalog)
	inner.pending = v.pending
	inner.scope, inner.depth = v.scope, v.depth
	inner.visit(n.Query)
	v.literals = v.literals || inner.literals
	for _, r := range inner.facts.Relations {
		v.relation(r.Schema, r.Name, proxy.EffectShow)
	}
	for _, f := range inner.facts.Functions {
		v.plans(f)
		if f.Class == proxy.FunctionUnknown && v.runsInPlan(f) {
			v.function(f.Schema, f.Name, f.Class)
			v.add(proxy.EffectCall)
		}
	}
	if inner.facts.Unknown != "" && !isExecute(n.Query) {
		v.unknown(inner.facts.Unknown)
	}
}

func isExecute(n ast.Node) bool {
	_, ok := n.(*ast.ExecuteStmt)
	return ok
}

// runsInPlan reports whether a function may run while a statement that calls it is
// planned: one that is not VOLATILE does where its arguments are constants, and one in SQL
// may be replaced by its text.
func (v *visitor) runsInPlan(f proxy.Function) bool {
	found, sure := v.catalog.Functions(f.Schema, f.Name)
	return !sure || len(found) == 0 || slices.ContainsFunc(found, func(f *sql.Function) bool {
		return f.Volatility != sql.Volatile || f.Language == "sql"
	})
}

// plans notes that the plan of an EXPLAIN may quote what f returns, unless it is one of
// the server's.
func (v *visitor) plans(f proxy.Function) {
	if own := f.Schema != "" && f.Schema != "pg_catalog" || f.Class == proxy.FunctionUnknown; own && !slices.Contains(v.facts.Plan.Functions, f) {
		v.facts.Plan.Functions = append(v.facts.Plan.Functions, f)
	}
}

// planned completes what the plan of an EXPLAIN may quote, once its names are known.
func (v *visitor) planned() {
	p := v.facts.Plan
	if p == nil {
		return
	}
	for _, f := range v.facts.Functions {
		v.plans(f)
	}
	for _, r := range v.facts.Relations {
		rel := v.catalog.Snapshot().Relation(r.Schema, r.Name)
		switch {
		case rel == nil || !rel.IsView():
		case rel.Does == nil:
			p.Unknown = true
		default:
			for _, f := range rel.Does.Functions {
				v.plans(f)
			}
		}
	}
	p.Unknown = p.Unknown || v.facts.Unknown != ""
	p.Others = v.folds()
}

// folds reports whether the database has functions whose result the server may put in
// the place of a call, and which may return data: defaults, policies, casts and domains
// call them unseen.
func (v *visitor) folds() bool {
	if !v.catalog.Settled() {
		return true
	}
	for _, f := range v.catalog.Snapshot().Functions {
		if f.Server || f.Volatility != sql.Immutable || f.Language == "c" || f.Language == "internal" {
			continue
		}
		const unseen = proxy.EffectCall | proxy.EffectUnknown | proxy.EffectOutside
		if d := f.Does; d == nil || d.Effects.Has(unseen) || len(d.Relations) > 0 || slices.ContainsFunc(d.Functions, func(called proxy.Function) bool { return reveals[called.Name] }) {
			return true
		}
	}
	return false
}
