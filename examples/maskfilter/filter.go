package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/proxy"
)

// filter hides base columns: their values are NULL in every result, whatever the
// result calls them. It is a [proxy.Interceptor] and safe for concurrent use.
type filter []proxy.Origin

// newFilter returns a filter of columns, each "schema.table.column".
func newFilter(columns ...string) (filter, error) {
	var f filter
	for _, c := range columns {
		parts := strings.Split(c, ".")
		if len(parts) != 3 {
			return nil, fmt.Errorf("hiding column %q: want SCHEMA.TABLE.COLUMN", c)
		}
		f = append(f, proxy.Origin{Schema: parts[0], Relation: parts[1], Column: parts[2]})
	}
	return f, nil
}

// Name is "hide".
func (filter) Name() string { return "hide" }

// Notes says that the filter leaves evidence of what it hid.
func (filter) Notes() []proxy.NoteKind { return []proxy.NoteKind{proxy.NoteMasked} }

// Intercept returns the hooks of one session.
func (f filter) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	if s.Protocol == "ssh" { // it has no columns; every other protocol may
		return proxy.Hooks{}, nil
	}
	x := &session{filter: f, session: s, hidden: make(map[uint64]uint64)}
	return proxy.Hooks{Ask: x.ask, Flow: x.flow, Tell: x.tell, Done: x.done}, nil
}

type session struct {
	filter
	session *proxy.Session

	mu     sync.Mutex
	hidden map[uint64]uint64 // values, by operation
}

// beyond are effects that take data where no filter sees it, or that nobody has
// understood.
const beyond = proxy.EffectCopyProgram | proxy.EffectOutside | proxy.EffectCall | proxy.EffectDo | proxy.EffectUnknown

// ask refuses what could not be filtered: hidden columns in conditions, where the
// number of rows tells the value, and copies of them.
func (x *session) ask(_ context.Context, op proxy.Op) proxy.Verdict {
	switch op.Info().Kind {
	case proxy.KindConnect:
		return proxy.Pass()
	case proxy.KindStatement, proxy.KindPrepare:
	default:
		return refuse("it returns data that cannot be filtered", "Use a statement.")
	}
	st, ok := op.(*proxy.Statement)
	if !ok || st.Facts.Effects.Has(beyond) {
		return refuse("it is not known which columns this uses", "Read tables and views directly.")
	}
	for _, u := range st.Facts.Uses {
		if x.is(&u.Origin) {
			return refuse("column "+u.Column+" is hidden and may not be used in a condition, a join, a group or an order", "Leave it out.")
		}
	}
	for _, w := range st.Facts.Writes {
		if x.holds(&w.Column) {
			return refuse("hidden columns may not be copied to "+w.Relation, "Leave them out.")
		}
	}
	return proxy.Pass()
}

func refuse(reason, remedy string) proxy.Verdict {
	return proxy.Deny(proxy.CauseMasking, "hide", reason, remedy)
}

// is reports whether an origin is a hidden column, a row that has one, or what the
// server keeps of columns' values for its planner.
func (f filter) is(o *proxy.Origin) bool {
	if strings.HasPrefix(o.Relation, "pg_stat") && (o.Schema == "pg_catalog" || o.Schema == "") {
		return true
	}
	for i := range f {
		if h := &f[i]; o.Relation == h.Relation && (o.Schema == h.Schema || o.Schema == "") && (o.Column == h.Column || o.Column == "*") {
			return true
		}
	}
	return false
}

// holds reports whether an output column may hold hidden values. What is not known
// may.
func (f filter) holds(c *proxy.Column) bool {
	if c == nil || c.Opaque {
		return true
	}
	for i := range c.Origins {
		if f.is(&c.Origins[i]) {
			return true
		}
	}
	return false
}

// flow hides values in what op returns.
func (x *session) flow(_ context.Context, op proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
	if shape.Inbound {
		return proxy.Filter{}, nil
	}
	st, ok := op.(*proxy.Statement)
	if !ok || len(shape.Columns) == 0 && shape.Kind != proxy.ShapeRows {
		return proxy.Filter{}, errors.New("this data has no columns that are known, so it cannot be shown")
	}
	var hide []int
	for i := range shape.Columns {
		if x.hides(st.Facts, shape, i) {
			hide = append(hide, i)
		}
	}
	if hide == nil {
		return proxy.Filter{}, nil
	}
	return proxy.Filter{Row: func(r *proxy.Row) error {
		var n uint64
		for _, i := range hide {
			if r.Value(i) != nil {
				r.Set(i, nil) // NULL is a value of every type in every format
				n++
			}
		}
		x.mu.Lock()
		x.hidden[st.ID] += n
		x.mu.Unlock()
		return nil
	}}, nil
}

// hides reports whether column i of a result is hidden. There are three witnesses:
// the statement, the catalog and the protocol; the name in the result is not one. A
// single witness that says "hidden" is enough. Without a witness the column is
// hidden.
func (x *session) hides(facts *proxy.Facts, shape *proxy.Shape, i int) bool {
	sc := &shape.Columns[i]
	var witnesses []*proxy.Column
	switch n := len(shape.Columns); {
	case facts.Effects == proxy.EffectShow: // settings and plans
		return false
	case shape.Kind == proxy.ShapeCopy && facts.Copy != nil && len(facts.Copy.Columns) == n:
		witnesses = append(witnesses, &facts.Copy.Columns[i])
	case shape.Kind == proxy.ShapeRows && facts.ColumnsKnown && len(facts.Columns) == n:
		witnesses = append(witnesses, &facts.Columns[i])
	}
	if sc.Source != nil {
		witnesses = append(witnesses, sc.Source)
	} else if sc.Column != "" {
		witnesses = append(witnesses, &proxy.Column{Origins: []proxy.Origin{{Schema: sc.Schema, Relation: sc.Relation, Column: sc.Column}}})
	}
	for _, w := range witnesses {
		if x.holds(w) {
			return true
		}
	}
	return len(witnesses) == 0
}

// tell removes what errors and notices may quote of rows: everything but their
// codes, and the names of constraints and the like.
func (x *session) tell(_ context.Context, op proxy.Op, m *proxy.Message) error {
	if m.Kind == proxy.MessageStatus || !x.touches(op) {
		return nil
	}
	for i := range m.Fields {
		switch m.Fields[i].Name {
		case "message":
			m.Set(i, []byte("the text is not shown, because it may hold values of hidden columns"))
		case "detail", "hint", "context", "query", "payload", "name":
			m.Set(i, nil)
		}
	}
	return nil
}

// touches reports whether op may have come across a hidden column.
func (x *session) touches(op proxy.Op) bool {
	st, ok := op.(*proxy.Statement)
	if !ok || st.Facts.Unknown != "" || st.Facts.Effects.Has(beyond) {
		return true
	}
	for _, r := range st.Facts.Relations {
		if x.is(&proxy.Origin{Schema: r.Schema, Relation: r.Name, Column: "*"}) {
			return true
		}
	}
	return false
}

// done leaves evidence of how much was hidden.
func (x *session) done(ctx context.Context, op proxy.Op, _ *proxy.Outcome) {
	id := op.Info().ID
	x.mu.Lock()
	n := x.hidden[id]
	delete(x.hidden, id)
	x.mu.Unlock()
	if n > 0 {
		// A note that cannot be kept has ended the session.
		_ = x.session.Note(ctx, op, &proxy.Note{Kind: proxy.NoteMasked, By: x.Name(), Type: "hidden", Count: n})
	}
}
