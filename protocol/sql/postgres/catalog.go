package postgres

import (
	"slices"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// whole returns what a statement does, with what the catalog says of it.
func (v *visitor) whole(n ast.Stmt) *proxy.Facts {
	f := v.statement(n)
	if v.catalog.Looked() {
		r := &resolver{catalog: v.catalog}
		r.statement(n, f)
		for _, name := range r.calls {
			v.calls("", name)
		}
		v.expand()
		v.into = r.into
		v.literals, v.doubt = v.literals || r.literals, v.doubt || r.doubt
	}
	v.planned()
	f.Renames = v.changed(n)
	if !v.losing && f.Unknown == "" {
		f.Losing = v.losses(n)
	}
	if !v.wide && f.Unknown == "" {
		f.Whole = wholeOf(n, f)
	}
	return f
}

// calls notes that a function of that name is called, and returns its class.
func (v *visitor) calls(schema, name string) proxy.FunctionClass {
	class, effects := classify(schema, name)
	own, _ := v.catalog.Functions(schema, name)
	if len(own) == 0 {
		v.function(schema, name, class)
		v.add(effects)
		v.doubt = v.doubt || class == proxy.FunctionUnknown && v.catalog.Snapshot() != nil
		v.loud = v.loud || class == proxy.FunctionUnknown
		return class
	}
	if class == proxy.FunctionUnknown || v.declaredHere(schema, name) && extensions[name] != 0 { // it is not one of the server's
		class, effects = proxy.FunctionHarmless, 0
	} else {
		v.function(schema, name, class)
		v.add(effects)
	}
	for _, f := range own {
		c, e := v.does(f)
		v.function(f.Schema, f.Name, c)
		v.add(e)
		v.loud = v.loud || c == proxy.FunctionUnknown && f.Does == nil && !f.Quiet
		if class = max(class, c); c == proxy.FunctionUnknown {
			class = c
			break
		}
	}
	return class
}

// does is what a function that is not the server's own can do. What its author
// declares counts where the server holds her to it, and where only who administers
// the server can declare it:
//
//   - An IMMUTABLE one in C depends on its arguments only.
//   - A STABLE or IMMUTABLE one in SQL, of which everything that it does is known
//     to be reading, reads.
//   - Any other may do anything; if its text is known, at least what its text says.
func (v *visitor) does(f *sql.Function) (proxy.FunctionClass, proxy.Effects) {
	if f.Volatility == sql.Immutable && (f.Language == "c" || f.Language == "internal") {
		return proxy.FunctionHarmless, 0
	}
	if v.pending != nil {
		v.pending.function(f)
	}
	d := f.Does
	if d == nil {
		return proxy.FunctionUnknown, proxy.EffectCall
	}
	v.absorb(d)
	if f.Volatility != sql.Volatile && d.Effects&^proxy.EffectRead == 0 {
		return proxy.FunctionReads, proxy.EffectRead
	}
	return proxy.FunctionUnknown, proxy.EffectCall | d.Effects
}

// absorb takes in what something does that a statement sets off. Its effects are
// the caller's to add.
func (v *visitor) absorb(d *proxy.Facts) {
	for _, r := range d.Relations {
		v.relation(r.Schema, r.Name, r.Effects)
	}
	for _, f := range d.Functions {
		v.function(f.Schema, f.Name, f.Class)
	}
	for _, s := range d.Settings {
		if !slices.Contains(v.facts.Settings, s) {
			v.facts.Settings = append(v.facts.Settings, s)
		}
	}
	v.facts.Unfiltered |= d.Unfiltered &^ proxy.EffectRead
	v.wide = v.wide || d.Unfiltered&^proxy.EffectRead != 0
	v.loud = v.loud || len(sql.Renames(d)) > 0
	v.facts.Lossless, v.losing = v.facts.Lossless && d.Lossless, v.losing || !d.Lossless
	if d.Unknown != "" {
		v.unknown(d.Unknown)
	}
}

// maxReached bounds how many relations one statement reaches through views,
// partitions and foreign keys.
const maxReached = 4096

// expand names the schemas of the relations that are touched, and adds what
// touching them sets off: what views show, triggers and rules run, foreign keys
// pass on, and the partitions of a table.
func (v *visitor) expand() {
	if v.catalog.Snapshot() == nil {
		return
	}
	for i := range v.facts.Relations {
		r := &v.facts.Relations[i]
		if r.Schema != "" {
			continue
		}
		found, certain := v.catalog.Relations("", r.Name)
		if len(found) > maxMeanings {
			continue
		}
		for k, rel := range found {
			if meant := (proxy.Relation{Schema: rel.Schema, Name: rel.Name, Effects: r.Effects}); k == 0 && certain {
				*r = meant
			} else {
				v.facts.Relations = append(v.facts.Relations, meant)
				r = &v.facts.Relations[i]
			}
		}
	}
	v.facts.Relations = distinct(v.facts.Relations)
	done := make(map[*sql.Relation]proxy.Effects)
	// It grows while it is walked; a relation that is touched in a further way is
	// walked again.
	for again := true; again; {
		again = false
		for i := 0; i < len(v.facts.Relations); i++ {
			if len(v.facts.Relations) > maxReached {
				v.unknown("it reaches more relations than the limit")
				return
			}
			r := v.facts.Relations[i]
			rel := v.catalog.Snapshot().Relation(r.Schema, r.Name)
			if rel == nil || r.Schema == "" {
				v.doubt = v.doubt || rel == nil && r.Schema != temporarySchema && !r.Effects.Has(proxy.EffectCreate|proxy.EffectDrop) && v.catalog.Missing(r.Name)
				continue
			}
			if e := r.Effects &^ done[rel]; e != 0 {
				done[rel] |= e
				again = true
				v.touches(rel, e)
			}
		}
	}
}

func distinct(list []proxy.Relation) []proxy.Relation {
	var out []proxy.Relation
	for _, r := range list {
		if i := slices.IndexFunc(out, func(o proxy.Relation) bool { return o.Schema == r.Schema && o.Name == r.Name }); i >= 0 {
			out[i].Effects |= r.Effects
		} else {
			out = append(out, r)
		}
	}
	return out
}

const changes = proxy.EffectInsert | proxy.EffectUpdate | proxy.EffectDelete

// touches adds what touching a relation in the ways e sets off.
func (v *visitor) touches(rel *sql.Relation, e proxy.Effects) {
	if v.pending != nil {
		v.pending.view(rel)
		v.pending.rules(rel)
	}
	instead := proxy.Effects(0) // what is done in the place of these changes
	for i := range rel.Triggers {
		t := &rel.Triggers[i]
		if t.On.Has(e) {
			v.add(proxy.EffectCall)
			v.loud = v.loud || !t.Quiet
			if t.Instead {
				instead |= t.On
			}
		}
	}
	for i := range rel.Rules {
		u := &rel.Rules[i]
		if !u.On.Has(e) {
			continue
		}
		if u.Does == nil {
			v.loud = true
			v.unknown("a rule of " + rel.Name + " whose actions are not known")
			continue
		}
		v.absorb(u.Does)
		v.add(u.Does.Effects)
	}
	if rel.IsView() && e.Has(proxy.EffectRead|changes) {
		v.seesThrough(rel, e&^instead)
	}
	for _, oid := range rel.Children {
		if child := v.catalog.Snapshot().ByOID(oid); child != nil {
			v.relation(child.Schema, child.Name, e&(proxy.EffectRead|changes|proxy.EffectTruncate|proxy.EffectLock|proxy.EffectMaintain|proxy.EffectShow))
		}
	}
	for _, ref := range rel.References {
		on := proxy.Effects(0)
		if e.Has(proxy.EffectDelete) {
			on |= ref.OnDelete
		}
		if e.Has(proxy.EffectUpdate) {
			on |= ref.OnMove
		}
		if from := v.catalog.Snapshot().ByOID(ref.From); from != nil && on != 0 {
			v.relation(from.Schema, from.Name, on)
			v.add(on)
		}
	}
}

// seesThrough adds what a view shows when it is read, and changes when it is
// changed. Of a materialized one the rows are kept: reading it reads nothing
// else.
func (v *visitor) seesThrough(rel *sql.Relation, e proxy.Effects) {
	if rel.Kind == sql.RelationMaterialized {
		return
	}
	d := rel.Does
	if d == nil {
		v.add(proxy.EffectCall) // it may call anything
		v.loud = true
		return
	}
	v.absorb(d)
	v.add(d.Effects)
	for _, base := range d.Relations {
		if base.Effects.Has(proxy.EffectRead) && e&changes != 0 {
			v.relation(base.Schema, base.Name, e&changes)
		}
	}
}

// returnedBy is what a function that is not the server's own returns, in addition to what
// derives from its arguments.
func (r *resolver) returnedBy(f *sql.Function) value {
	if f.Volatility == sql.Immutable && (f.Language == "c" || f.Language == "internal") {
		return value{}
	}
	if r.pending != nil {
		r.pending.function(f)
	}
	d := f.Does
	if d == nil || d.Effects.Has(proxy.EffectCall|proxy.EffectUnknown|proxy.EffectOutside) {
		return opaque
	}
	for _, called := range d.Functions {
		if reveals[called.Name] {
			return opaque
		}
	}
	if d.Rest != nil {
		return r.as(heldBy(d.Rest), proxy.DerivedTransformed)
	}
	var v value
	for _, rel := range d.Relations {
		v = r.union(v, r.as(r.whole(r.relation(rel.Schema, rel.Name)), proxy.DerivedTransformed))
	}
	return v
}
