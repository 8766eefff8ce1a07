package guardrail

import (
	"path"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// statement reports whether what a statement does meets the rule's conditions.
// understood is false when the rule meets it because it cannot be told.
func (r *Rule) statement(f *proxy.Facts) (meets, understood bool) {
	if f.Block != nil && !r.estimates() { // a block has no estimate
		f = f.Block
	}
	if f.Effects.Has(proxy.EffectUnknown) {
		// What is known of it may meet the conditions all the same.
		if r.Unknown || r.known(f) {
			return true, true
		}
		return r.Action.blocks() && r.MoreThan == 0, false
	}
	return r.known(f), true
}

func (r *Rule) known(f *proxy.Facts) bool {
	switch {
	case r.Action.blocks() && r.movesInto(f):
		return true
	case r.Unknown && !f.Effects.Has(proxy.EffectUnknown),
		r.Effects != 0 && !f.Effects.Has(r.Effects),
		r.MoreThan > 0 && f.Statements <= r.MoreThan,
		r.Destroys && (f.Lossless && len(f.Losing) == 0 || !f.Effects.Has(proxy.EffectDrop|proxy.EffectTruncate)),
		r.NoWhere && !f.Unfiltered.Has(r.unfiltered()),
		r.NoLimit && (f.Limited || !f.Rows || !f.Effects.Has(proxy.EffectRead)),
		len(r.Functions) > 0 && !r.calls(f),
		len(r.Classes) > 0 && !slices.ContainsFunc(f.Functions, func(fn proxy.Function) bool { return slices.Contains(r.Classes, fn.Class) }),
		len(r.Settings) > 0 && !r.sets(f),
		len(r.Relations) > 0 && !r.touches(f):
		return false
	}
	return true
}

// unfiltered are the effects that must not meet every row.
func (r *Rule) unfiltered() proxy.Effects {
	if r.Effects != 0 {
		return r.Effects
	}
	return proxy.EffectUpdate | proxy.EffectDelete
}

func (r *Rule) calls(f *proxy.Facts) bool {
	for i := range f.Functions {
		fn := &f.Functions[i]
		schema := fn.Schema
		if schema == "" && fn.Class != proxy.FunctionUnknown {
			schema = "pg_catalog" // the server's own
		}
		for _, g := range r.Functions {
			if f.Folded {
				g = strings.ToLower(g)
			}
			if qualifiedMatch(g, schema, fn.Name) {
				return true
			}
		}
	}
	return false
}

// sets reports whether a setting of the rule's may get another value than the one
// at login. The mode of a transaction has no such value: BEGIN says it.
func (r *Rule) sets(f *proxy.Facts) bool {
	for i := range f.Settings {
		s := &f.Settings[i]
		if s.Reset && s.Name != "transaction_read_only" {
			continue // what the session began with is for others to say
		}
		// A name that is not known can be any.
		if s.Name == "" || s.Name == "all" {
			return true
		}
		for _, p := range r.Settings {
			glob, but, found := strings.Cut(p, "!=")
			if ok, err := path.Match(glob, s.Name); ok && err == nil && (!found || s.Value != but) {
				return true
			}
		}
	}
	return false
}

// touches reports whether a relation of the rule's is touched in one of its
// ways. An effect that no relation carries may be on any: DROP SCHEMA drops
// tables.
func (r *Rule) touches(f *proxy.Facts) bool {
	want := r.Effects
	if want == 0 {
		want = ^proxy.Effects(0)
	}
	carried := proxy.Effects(0)
	for i := range f.Relations {
		rel := &f.Relations[i]
		carried |= rel.Effects
		if !rel.Effects.Has(want) {
			continue
		}
		for _, g := range r.Relations {
			if f.Folded {
				g = strings.ToLower(g)
			}
			if qualifiedMatch(g, rel.Schema, rel.Name) {
				return true
			}
		}
	}
	return r.Effects != 0 && f.Effects&r.Effects&^carried != 0
}

// qualifiedMatch matches "name" or "schema.name". A schema that is not known
// matches every pattern that names a relation, and of those that mean a whole
// schema only public's: any other is reached by a search_path, which
// movesInto looks at.
func qualifiedMatch(glob, schema, name string) bool {
	g, n := cutSchema(glob)
	if ok, err := path.Match(n, name); !ok || err != nil {
		return false
	}
	switch {
	case g == "":
		return true
	case schema == "" && n != "*":
		return true
	case schema == "":
		schema = "public"
	}
	ok, err := path.Match(g, schema)
	return ok && err == nil
}

func cutSchema(glob string) (schema, name string) {
	if i := strings.LastIndexByte(glob, '.'); i >= 0 {
		return glob[:i], glob[i+1:]
	}
	return "", glob
}

// movesInto reports whether a statement makes names without a schema mean those
// of a schema that a rule is about as a whole.
func (r *Rule) movesInto(f *proxy.Facts) bool {
	for i := range f.Settings {
		if f.Settings[i].Name != "search_path" {
			continue
		}
		for part := range strings.SplitSeq(f.Settings[i].Value, ",") {
			part = strings.Trim(strings.TrimSpace(part), `"`)
			if part == "" || part == "public" {
				continue
			}
			for _, glob := range r.Relations {
				if g, n := cutSchema(glob); n == "*" && g != "" && matches([]string{g}, part) {
					return true
				}
			}
		}
	}
	return false
}
