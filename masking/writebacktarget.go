package masking

import (
	"bytes"

	"github.com/sallyport/sallyport/proxy"
)

// target is a column that a statement fills.
type target struct {
	column
	fill *proxy.Fill
	// shown is how the column, and each of its base columns, is shown masked to the
	// session; empty when it is not.
	shown   []column
	answers writeBackOfRule
}

func (t *target) masked() bool { return len(t.shown) > 0 }

// maxTargets bounds for how many statements a session remembers their targets.
const maxTargets = 256

// targets are the columns of f that masks may be written into.
func (x *session) targets(f *proxy.Fills, text []byte) []target {
	x.mu.Lock()
	defer x.mu.Unlock()
	if now := x.view.spread.now() + x.view.masker.samples.taken.Load(); now != x.filled.known || len(x.filled.by) >= maxTargets {
		x.filled.known, x.filled.by = now, nil
	}
	if list, ok := x.filled.by[f]; ok {
		return list
	}
	var list []target
	for i := range f.Columns {
		if t, ok := x.view.targetOf(x.session.Protocol, &f.Columns[i]); ok {
			list = append(list, t)
		}
	}
	if len(text) > maxText {
		return list
	}
	if x.filled.by == nil {
		x.filled.by = make(map[*proxy.Fills][]target)
	}
	x.filled.by[f] = list
	return list
}

// filled is what a session remembers of targets, while no more is known of columns.
type filled struct {
	by    map[*proxy.Fills][]target
	known uint64
}

// targetOf is the target that f is; ok is false when no mask can come of its column.
func (v *view) targetOf(protocol string, f *proxy.Fill) (t target, ok bool) {
	t.fill = f
	t.kind, t.oid = kindOf(protocol, &proxy.ShapeColumn{Type: f.Type}), f.Type
	t.null = t.noText()
	at := proxy.Origin{Schema: f.Schema, Relation: f.Relation, Column: f.Column, NotNull: f.NotNull}
	for _, o := range append([]proxy.Origin{at}, f.Bases...) {
		c := t.column
		if o.NotNull {
			c.neutral = neutralOf(f.Type, false)
		}
		if v.showsMasked(&c, &o) {
			t.shown = append(t.shown, c)
			t.answers = t.answers.or(v.writeBack(&o, &c))
		}
	}
	if !t.masked() {
		t.answers = v.writeBack(&at, &t.column)
	}
	switch t.kind {
	case kindText, kindJSON, kindBytes, kindNested, kindUnknown, kindOther:
		ok = v.scans
	}
	return t, t.answers.WriteBack != WriteBackAllow && (ok || t.masked())
}

// showsMasked reports whether the base column o is shown masked, and how, in c.
func (v *view) showsMasked(c *column, o *proxy.Origin) bool {
	sc := proxy.ShapeColumn{Schema: o.Schema, Relation: o.Relation}
	if o.Column == "*" {
		return false
	}
	if v.named(c, nil, &sc, o.Column) {
		return true
	}
	if v.target == nil || !v.scans {
		return false
	}
	h := v.masker.samples.heldIn(v.target, o)
	if h == nil || h.Some == "" || h.Parts { // of a value with parts, these are shown masked
		return false
	}
	how := v.treatment(h.Some)
	c.typ, c.with = h.Some, how
	return how.Transform != Visible
}

// givenMask says whether a mask is among the values that are given to t.
func (x *session) givenMask(t *target, given *proxy.Given) likeness {
	worst := noMask
	if t.fill.Opaque {
		for _, v := range given.Literals() {
			worst = max(worst, x.isMask(t, v, true))
		}
		for i := range given.Params {
			worst = max(worst, x.isMask(t, x.plainParam(t, &given.Params[i]), true))
		}
	}
	for _, s := range t.fill.Values {
		var v []byte
		switch {
		case s.Kind == proxy.SourceLiteral && s.N < len(given.Literals()):
			if v = given.Literals()[s.N]; v == nil {
				v = []byte{}
			}
		case s.Kind == proxy.SourceParam && s.N >= 0 && s.N < len(given.Params):
			v = x.plainParam(t, &given.Params[s.N])
		case s.Kind != proxy.SourceNull:
			continue
		}
		if v == nil && s.Skipped {
			continue
		}
		if worst = max(worst, x.isMask(t, v, s.Part)); worst == maskOnly {
			break
		}
	}
	return worst
}

// isMask says whether v, text, may be a mask that is written into t. What real values
// look like too counts only where it takes the place of a value.
func (x *session) isMask(t *target, v []byte, part bool) likeness {
	m, worst := x.view.masker, noMask
	for i := range t.shown {
		c := &t.shown[i]
		found := m.shows(c, v, part)
		if found == maskOnly || t.fill.Over && !part {
			worst = max(worst, found)
		}
		eachElement(v, func(e []byte) {
			if m.shows(c, e, true) == maskOnly || t.kind == kindText && m.shows(c, e, false) == maskOnly {
				worst = maskOnly
			}
		})
	}
	if worst != noMask {
		return worst
	}
	elsewhere := !t.fill.Over && !t.masked() && t.kind != kindJSON && t.fill.Column != "*"
	if len(v) == 0 || elsewhere || !x.view.scans {
		return noMask
	}
	if t.kind == kindBytes {
		v = unhex(nil, v)
	}
	return when(x.view.holdsMask(v) || !part && t.kind != kindBytes && string(bytes.TrimSpace(v)) == hidden, maskOnly)
}
