package masking

import (
	"context"
	"slices"

	"github.com/sallyport/sallyport/proxy"
)

// noteCopy remembers which fields of a COPY from the client go into which targets, until
// the data comes.
func (x *session) noteCopy(st *proxy.Statement, targets []target) {
	fields := func(t *target) bool {
		return t.fill.Opaque || slices.ContainsFunc(t.fill.Values, func(s proxy.Source) bool { return s.Kind == proxy.SourceField })
	}
	if st.Facts == nil || !st.Facts.Effects.Has(proxy.EffectCopyIn) || x.session.Dry {
		return
	}
	var copies []target
	for i := range targets {
		if fields(&targets[i]) {
			copies = append(copies, targets[i])
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.copies == nil {
		x.copies = make(map[uint64][]target)
	}
	if copies != nil {
		x.copies[st.ID] = copies
	}
}

// copiedIn judges what a client copies: masks that would go into masked columns, and what
// rules about requests are about.
func (x *session) copiedIn(st *proxy.Statement, shape *proxy.Shape) proxy.Filter {
	x.mu.Lock()
	targets := x.copies[st.ID]
	x.mu.Unlock()
	if shape.Kind != proxy.ShapeStream {
		return proxy.Filter{}
	}
	asked := x.newCopyRequest(st, shape, targets)
	masks := slices.ContainsFunc(targets, func(t target) bool { return t.masks })
	switch {
	case !masks && asked == nil:
		return proxy.Filter{}
	case shape.Columns == nil && masks:
		return proxy.Filter{Bytes: func(dst, _ []byte) ([]byte, error) { return dst, refusedError(severalCopies) }}
	case shape.Columns == nil:
		if v := asked.unseen(); v != nil {
			return proxy.Filter{Bytes: func(dst, _ []byte) ([]byte, error) { return dst, refusedError(*v) }}
		}
		return proxy.Filter{}
	}
	noted := make([]bool, len(targets)) // one note for a column says enough
	return proxy.Filter{Row: func(r *proxy.Row) error {
		for i := range targets {
			t := &targets[i]
			if noted[i] || !t.masks {
				continue
			}
			if found := x.copiedMask(t, shape, r); found != noMask {
				noted[i] = true
				if v := x.wroteMask(context.Background(), st, t, found); v.Refuses() {
					return refusedError(v)
				}
			}
		}
		if asked == nil {
			return nil
		}
		return asked.see(r)
	}}
}

var severalCopies = proxy.Deny(proxy.CauseMasking, "", "the gateway cannot tell apart the rows of several COPYs in one text, and masked columns are among those they fill", "Send each COPY by itself.")

func refusedError(v proxy.Verdict) error { return &proxy.RefusedError{Verdict: v, By: "masking"} }

// copiedMask says whether a mask is among the fields of r that go into t.
func (x *session) copiedMask(t *target, shape *proxy.Shape, r *proxy.Row) likeness {
	worst := noMask
	look := func(i int) {
		if v := x.withoutStored(t, r.Value(i)); v != nil {
			worst = max(worst, x.isMask(t, textOf(v, t.oid, shape.Columns[i].Binary), false))
		}
	}
	if t.fill.Opaque {
		for i := range min(r.Len(), len(shape.Columns)) {
			look(i)
		}
	}
	for _, s := range t.fill.Values {
		if s.Kind == proxy.SourceField && s.N < min(r.Len(), len(shape.Columns)) {
			look(s.N)
		}
	}
	return worst
}
