package masking

import (
	"context"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// Approvers read what somebody asks for without the values that are masked for a user of the resource without any exemption: in its place
// is [TYPE], as in records of what may not be sent.

// concealing returns the session's [proxy.Hooks.Conceal]. What it needs is made when an operation is held, which few sessions come to.
func (m *Masker) concealing(s *proxy.Session) func(ctx context.Context, op proxy.Op) *proxy.Concealed {
	reader := sync.OnceValue(func() *session {
		v := m.view(&proxy.Identity{}, s.Target.Resource)
		v.target, v.spread = &s.Target, &m.memory.at(&s.Target).spread
		v.concealAll()
		return &session{session: s, view: v, past: &past{}, counts: map[uint64]*counts{}, read: map[string]*mentions{}}
	})
	return func(ctx context.Context, op proxy.Op) *proxy.Concealed { return reader().conceal(ctx, op) }
}

// concealAll makes everything that v masks something that a request holds.
func (v *view) concealAll() {
	says, sent := requestsOfRule{Requests: RequestsObserve}, v.requests
	v.requests = &requestRules{types: make(map[detect.Type]requestsOfRule), columns: says, all: says}
	if v.found {
		v.requests.found = says
	}
	for t, with := range v.types {
		if with.Transform != Visible {
			v.requests.types[t] = says
		}
	}
	if sent != nil { // what may not be sent is not for approvers either
		for t := range sent.types {
			v.requests.types[t] = says
		}
	}
	v.columns = slices.Clone(v.columns)
	for i := range v.columns {
		if v.columns[i].with.Transform != Visible || v.columns[i].requests.Requests != RequestsUnset {
			v.columns[i].requests = says
		}
	}
}

// conceal says what approvers read of op.
func (x *session) conceal(ctx context.Context, op proxy.Op) *proxy.Concealed {
	r := x.redact(ctx, op)
	if r == nil {
		return nil
	}
	return &proxy.Concealed{Redacted: *r, Types: x.concealed(ctx, op)}
}

// concealed are the types of what is hidden of op.
func (x *session) concealed(ctx context.Context, op proxy.Op) (types []string) {
	add := func(t detect.Type) {
		if !slices.Contains(types, string(t)) {
			types = append(types, string(t))
		}
	}
	switch o := op.(type) {
	case *proxy.Statement:
		r := x.requestOf(ctx, o)
		for i := range r.values {
			for _, f := range r.values[i].found {
				add(f.typ)
			}
		}
		for _, f := range r.rest {
			add(f.Type)
		}
	case *proxy.Exec:
		p := newInspector(x.view, nil)
		for _, f := range x.judgedIn(&p, []byte(o.Command), nil) {
			add(f.Type)
		}
	case *proxy.Call:
		p := newInspector(x.view, nil)
		for _, a := range o.Args {
			for _, f := range x.judgedIn(&p, a, nil) {
				add(f.Type)
			}
		}
	}
	slices.Sort(types)
	return types
}
