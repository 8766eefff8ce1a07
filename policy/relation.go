package policy

import (
	"fmt"
	"path"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// relation is a pattern of relations.
type relation struct{ schema, name string }

func parseRelation(glob string) (relation, error) {
	schema, name, qualified := strings.Cut(glob, ".")
	if !qualified {
		schema, name = "*", glob
	}
	for _, g := range []string{schema, name} {
		if _, err := path.Match(g, ""); err != nil || strings.TrimSpace(g) == "" || strings.Contains(g, ".") {
			return relation{}, fmt.Errorf("relation %q is not a pattern: want TABLE or SCHEMA.TABLE", glob)
		}
	}
	return relation{schema, name}, nil
}

// about reports whether the rule's patterns meet r, of f. A schema that is not known meets only
// a pattern of every schema, or any if lax.
func (c *compiled) about(f *proxy.Facts, r *proxy.Relation, lax bool) bool {
	for _, g := range c.relations {
		if f.Folded {
			g = relation{strings.ToLower(g.schema), strings.ToLower(g.name)}
		}
		if globs(g.name, r.Name) && (globs(g.schema, r.Schema) || lax && r.Schema == "") {
			return true
		}
	}
	return false
}

func globs(pattern, s string) bool {
	ok, err := path.Match(pattern, s)
	return ok && err == nil
}

// manner are effects that say how relations are touched, or that touch none when no
// relation has them: SELECT 1 reads, COPY … TO STDOUT reads in bulk, FOR UPDATE locks.
const manner = proxy.EffectRead | proxy.EffectCopyIn | proxy.EffectCopyOut | proxy.EffectShow | proxy.EffectTransaction | proxy.EffectSet |
	proxy.EffectPrepare | proxy.EffectLock | proxy.EffectNotify

// blind are effects of what may touch any relation.
const blind = proxy.EffectUnknown | proxy.EffectCall | proxy.EffectDo | proxy.EffectExecute

// unseen says why it cannot be told which relations a statement touches; empty when it can.
func unseen(f *proxy.Facts, e proxy.Effects) string {
	switch {
	case e.Has(blind):
		return "it cannot be told which relations it touches"
	case f.Unsure:
		return "a name in it may mean another relation than it seems to"
	case !f.Resolved && len(f.Relations) > 0:
		return "the gateway has no catalog here, in which it would find what its names mean"
	}
	return ""
}

// limits returns those of the missing effects of a statement that no rule with relations
// allows it, and why: on what, or what is not known.
func (d *decision) limits(f *proxy.Facts, e, missing proxy.Effects) (proxy.Effects, string) {
	allowed := proxy.Effects(0) // somewhere
	for _, c := range d.scoped {
		allowed |= c.allow.effects
	}
	if missing&allowed == 0 {
		return missing, ""
	}
	if why := unseen(f, e); why != "" {
		return missing, why
	}
	left, carried := proxy.Effects(0), proxy.Effects(0)
	var on []string
	for i := range f.Relations {
		r := &f.Relations[i]
		carried |= r.Effects
		need := r.Effects & missing
		for _, c := range d.scoped {
			if need&c.allow.effects != 0 && c.about(f, r, false) {
				need &^= c.allow.effects
			}
		}
		if need != 0 {
			left |= need
			on = append(on, nameOf(r))
		}
	}
	left |= missing &^ carried &^ (manner & allowed)
	return left, alternatives(on, "or")
}

// reaches returns which of some effects a statement has on a relation of the rule's, or may
// have, and on what or why.
func (c *compiled) reaches(f *proxy.Facts, e, set proxy.Effects) (hit proxy.Effects, what string) {
	may := e & (blind | set)
	if may == 0 {
		return 0, ""
	}
	carried := proxy.Effects(0)
	for i := range f.Relations {
		r := &f.Relations[i]
		carried |= r.Effects
		if hit := r.Effects & set; hit != 0 && c.about(f, r, true) {
			return hit, nameOf(r)
		}
	}
	if why := unseen(f, e); why != "" {
		return may, why
	}
	if loose := may &^ carried &^ manner; loose != 0 {
		return loose, "it cannot be told which relations it touches"
	}
	return 0, ""
}

func nameOf(r *proxy.Relation) string {
	if r.Schema == "" {
		return r.Name
	}
	return r.Schema + "." + r.Name
}
