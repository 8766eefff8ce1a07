package sql

import (
	"slices"

	"github.com/sallyport/sallyport/proxy"
)

// Snapshots that follow one another share what they have in common: a relation of which
// all that a snapshot says is its own is in each of them. One that derives from others,
// such as a view, is copied as it was read, since it may say something else in each.

// settle returns relations for one snapshot.
func settle(list []*Relation) []*Relation {
	inherits := make(map[uint32]bool)
	for _, r := range list {
		for _, oid := range r.Children {
			inherits[oid] = true
		}
	}
	out := make([]*Relation, len(list))
	for i, r := range list {
		derives := inherits[r.OID] || r.hangsOnOthers()
		if r.settled && (derives || r.derives) {
			r = r.unresolved()
		}
		if !r.settled {
			r.settle(derives)
		}
		out[i] = r
	}
	return out
}

// hangsOnOthers reports whether more is said of r than what is read of it, other than
// by what it inherits from.
func (r *Relation) hangsOnOthers() bool {
	return r.IsView() || len(r.Rules)+len(r.Triggers) > 0 || slices.ContainsFunc(r.Columns, func(c Column) bool { return c.Generated != "" })
}

// settle says of r what it says by itself.
func (r *Relation) settle(derives bool) {
	r.settled, r.derives = true, derives
	r.size = 320 + len(r.Name) + len(r.Definition) + 8*len(r.Children) + 16*len(r.References) + 8*len(r.Triggers)
	for i := range r.Columns {
		c := &r.Columns[i]
		c.Source.Name = c.Name
		if r.IsView() {
			c.Source.Opaque = true
		} else {
			c.Source.Origins = []proxy.Origin{{Schema: r.Schema, Relation: r.Name, Column: c.Name, Type: c.Type, NotNull: c.NotNull}}
		}
		r.size += 160 + len(c.Name)
	}
	for i := range r.Rules {
		r.size += 64 + len(r.Rules[i].Definition)
	}
}

// unresolved returns a copy of r as it was read.
func (r *Relation) unresolved() *Relation {
	c := *r
	c.Does, c.settled = nil, false
	c.Columns = slices.Clone(r.Columns)
	for i := range c.Columns {
		c.Columns[i].Source = proxy.Column{}
	}
	c.Triggers = slices.Clone(r.Triggers)
	for i := range c.Triggers {
		c.Triggers[i].Quiet = false
	}
	c.Rules = slices.Clone(r.Rules)
	for i := range c.Rules {
		c.Rules[i].Does = nil
	}
	return &c
}

// settleFunctions returns functions for one snapshot: what each does hangs on the others.
func settleFunctions(list []*Function) []*Function {
	out := make([]*Function, len(list))
	for i, f := range list {
		if f.settled {
			unresolved := *f
			unresolved.Does, unresolved.Quiet = nil, false
			f = &unresolved
		}
		f.settled = true
		out[i] = f
	}
	return out
}

// same reports whether s says what o says.
func (s *Snapshot) same(o *Snapshot) bool {
	return s.Account == o.Account && s.Setting == o.Setting && s.Role == o.Role && s.Partial == o.Partial &&
		slices.Equal(s.Path, o.Path) && slices.Equal(s.Schemas, o.Schemas) && slices.Equal(s.Operators, o.Operators) && slices.Equal(s.Extensions, o.Extensions) &&
		slices.EqualFunc(s.Relations, o.Relations, (*Relation).same) && slices.EqualFunc(s.Functions, o.Functions, (*Function).same)
}

// same reports whether r is read as o is.
func (r *Relation) same(o *Relation) bool {
	return r == o || r.OID == o.OID && r.Schema == o.Schema && r.Name == o.Name && r.Kind == o.Kind && r.Server == o.Server && r.Definition == o.Definition &&
		slices.Equal(r.Children, o.Children) && slices.Equal(r.References, o.References) &&
		slices.EqualFunc(r.Columns, o.Columns, func(a, b Column) bool {
			return a.Attr == b.Attr && a.Name == b.Name && a.Type == b.Type && a.NotNull == b.NotNull && a.Generated == b.Generated
		}) &&
		slices.EqualFunc(r.Triggers, o.Triggers, func(a, b Trigger) bool { return a.On == b.On && a.Function == b.Function && a.Instead == b.Instead }) &&
		slices.EqualFunc(r.Rules, o.Rules, func(a, b Rule) bool { return a.On == b.On && a.Instead == b.Instead && a.Definition == b.Definition })
}

// same reports whether f is read as o is.
func (f *Function) same(o *Function) bool {
	return f == o || f.OID == o.OID && f.Schema == o.Schema && f.Name == o.Name && f.Volatility == o.Volatility && f.Language == o.Language &&
		f.Body == o.Body && f.Pinned == o.Pinned && f.Server == o.Server
}
