package mysql

import (
	"slices"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// expansion adds to the relations that a statement touches what touching them sets off: what
// views show, triggers do and foreign keys pass on.
type expansion struct {
	names   *looked
	facts   *proxy.Facts
	missing bool // something is touched that the catalog does not have
	blind   bool // there may be triggers or queries of views that the account does not see
}

const (
	// maxReached bounds how many relations one statement reaches.
	maxReached = 4096

	changes = proxy.EffectInsert | proxy.EffectUpdate | proxy.EffectDelete
)

func (x *expansion) expand() {
	done := make(map[*sql.Relation]proxy.Effects)
	moved := x.names.names.Unsure&proxy.UnsureObjects != 0
	// It grows while it is walked; a relation that is touched in a further way is walked again.
	for again := true; again; {
		again = false
		for i := 0; i < len(x.facts.Relations); i++ {
			if len(x.facts.Relations) > maxReached {
				x.facts.Unknown = or(x.facts.Unknown, "it reaches more relations than the limit")
				x.facts.Effects |= proxy.EffectUnknown
				return
			}
			r := x.facts.Relations[i]
			if own := x.names.own(r.Schema, r.Name); own != nil {
				x.missing = x.missing || !own.Known
				continue
			}
			rel := x.names.catalog.Relation(r.Schema, r.Name)
			if rel == nil || r.Schema == "" || moved {
				x.missing = x.missing || r.Schema == "" || moved || !r.Effects.Has(proxy.EffectCreate|proxy.EffectDrop|proxy.EffectAlter)
			}
			if rel == nil {
				continue
			}
			if e := r.Effects &^ done[rel]; e != 0 {
				done[rel] |= e
				again = true
				x.touches(rel, e)
			}
		}
	}
}

// own returns the session's own table that a name means, nil when there is none.
func (s *looked) own(schema, name string) *proxy.OwnRelation {
	for _, r := range s.names.Temporary {
		if lower(r.Name) == name && (r.Schema == "" || lower(r.Schema) == schema) {
			return r
		}
	}
	return nil
}

// touches adds what touching a relation in the ways e sets off. What is not known of it may be
// anything.
func (x *expansion) touches(rel *sql.Relation, e proxy.Effects) {
	for i := range rel.Triggers {
		t := &rel.Triggers[i]
		if !t.On.Has(e) {
			continue
		}
		if t.Function == sql.UnseenTriggers {
			x.blind = true
			continue
		}
		at := slices.IndexFunc(x.names.catalog.Functions, func(f *sql.Function) bool { return f.OID == t.Function })
		if at < 0 || x.names.catalog.Functions[at].Does == nil {
			x.facts.Effects |= proxy.EffectCall
			continue
		}
		absorb(x.facts, x.names.catalog.Functions[at].Does)
	}
	for _, ref := range rel.References {
		on := proxy.Effects(0)
		if e.Has(proxy.EffectDelete) {
			on |= ref.OnDelete
		}
		if e.Has(proxy.EffectUpdate) {
			on |= ref.OnMove
		}
		if from := x.names.catalog.ByOID(ref.From); from != nil && on != 0 {
			relates(x.facts, proxy.Relation{Schema: from.Schema, Name: from.Name, Effects: on})
		}
	}
	if !rel.IsView() || !e.Has(proxy.EffectRead|changes) {
		return
	}
	if rel.Does == nil {
		if x.blind = true; rel.Definition != "" {
			x.facts.Effects |= proxy.EffectCall // it may call anything
		}
		return
	}
	absorb(x.facts, rel.Does)
	for _, base := range rel.Does.Relations {
		if on := e & changes; base.Effects.Has(proxy.EffectRead) && on != 0 {
			relates(x.facts, proxy.Relation{Schema: base.Schema, Name: base.Name, Effects: on})
		}
	}
}

// absorb takes in what something does that a statement sets off.
func absorb(f, d *proxy.Facts) {
	f.Effects |= d.Effects
	for _, r := range d.Relations {
		relates(f, r)
	}
	for _, called := range d.Functions {
		if !slices.Contains(f.Functions, called) {
			f.Functions = append(f.Functions, called)
		}
	}
	f.Writes = append(f.Writes, d.Writes...)
	f.Unfiltered |= d.Unfiltered &^ proxy.EffectRead
}

// relates notes that a relation is touched.
func relates(f *proxy.Facts, r proxy.Relation) {
	f.Effects |= r.Effects
	if i := slices.IndexFunc(f.Relations, func(o proxy.Relation) bool { return o.Schema == r.Schema && o.Name == r.Name }); i >= 0 {
		f.Relations[i].Effects |= r.Effects
		return
	}
	f.Relations = append(f.Relations, r)
}
