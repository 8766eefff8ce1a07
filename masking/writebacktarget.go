package masking

import (
	"bytes"

	"github.com/sallyport/sallyport/detect"
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
	masks   bool // masks may be written into it
	// compared says that values are compared with it, and not written.
	compared bool

	// requests is what is done about whatever is sent for the column, as a value of
	// requestType; topics are what its name is about.
	requests    requestsOfRule
	requestType detect.Type
	topics      detect.Topics
}

func (t *target) masked() bool { return len(t.shown) > 0 }

// maxTargets bounds for how many statements a session remembers their targets.
const maxTargets = 256

// targets are the columns of f that masks may be written into, or that rules about
// requests look at.
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
		if t, ok := x.view.targetOf(&f.Columns[i]); ok {
			list = append(list, t)
		}
	}
	if x.view.requests != nil {
		for i := range f.Compared {
			t, _ := x.view.targetOf(&f.Compared[i])
			t.masks, t.compared = false, true
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

// targetOf is the target that f is; ok is false when nothing that is sent for its column
// needs to be looked at.
func (v *view) targetOf(f *proxy.Fill) (t target, ok bool) {
	t.fill = f
	t.kind, t.oid = kindOf(&proxy.ShapeColumn{Type: f.Type}), f.Type
	t.null = t.noText()
	at := proxy.Origin{Schema: f.Schema, Relation: f.Relation, Column: f.Column, NotNull: f.NotNull}
	columns := append([]proxy.Origin{at}, f.Bases...)
	for _, o := range columns {
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
	t.masks = t.answers.WriteBack != WriteBackAllow && (ok || t.masked())
	if v.requests != nil {
		v.requestsIn(&t, columns)
	}
	return t, t.masks || v.requests != nil
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
	if h == nil {
		return false
	}
	c.typ, c.with = v.strictest(h.some, nil) // of a value with parts, these are shown masked
	return c.with.Transform != Visible
}

// eachGiven calls see with the values that are given to t, as text, each with where it is
// written; nil is NULL.
func (x *session) eachGiven(t *target, given *proxy.Given, see func(s proxy.Source, v []byte)) {
	if t.fill.Opaque {
		for i, v := range given.Literals() {
			see(proxy.Source{Kind: proxy.SourceLiteral, N: i, Part: true, Changed: true}, v)
		}
		for i := range given.Params {
			see(proxy.Source{Kind: proxy.SourceParam, N: i, Part: true, Changed: true}, x.plainParam(t, &given.Params[i]))
		}
	}
	for _, s := range t.fill.Values {
		switch {
		case s.Kind == proxy.SourceLiteral && s.N < len(given.Literals()):
			v := given.Literals()[s.N]
			if v == nil {
				v = []byte{}
			}
			see(s, v)
		case s.Kind == proxy.SourceParam && s.N >= 0 && s.N < len(given.Params):
			see(s, x.plainParam(t, &given.Params[s.N]))
		case s.Kind == proxy.SourceNull:
			see(s, nil)
		}
	}
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
