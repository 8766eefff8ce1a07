package masking

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Clients write back what they have read: an ORM saves all fields of a row, a script puts
// a value into a variable. What they have read of a masked column is a mask, and it would
// take the place of the value. So a session to which a column is shown masked may write
// real values into it, but nothing that looks like what it is shown. That needs no memory of
// what was shown, so it holds in another session and on another day.

// WriteBack says what is done about a mask that is written into a masked column.
type WriteBack uint8

// Answers to it. A rule that says nothing leaves it to the default set's, which refuses
// unless it says otherwise.
const (
	WriteBackUnset WriteBack = iota
	WriteBackAllow
	WriteBackObserve // it is written, and noted
	WriteBackRefuse
)

var writeBackNames = [...]string{"", "allow", "observe", "refuse"}

// String returns the answer's name in configuration.
func (w WriteBack) String() string {
	if int(w) < len(writeBackNames) {
		return writeBackNames[w]
	}
	return "refuse"
}

// ParseWriteBack returns the answer of that name; "" is WriteBackUnset.
func ParseWriteBack(name string) (WriteBack, error) {
	if i := slices.Index(writeBackNames[:], name); i >= 0 {
		return WriteBack(i), nil
	}
	return WriteBackRefuse, fmt.Errorf("unknown answer to masks that are written back %q: want refuse, observe or allow", name)
}

// writeBackOfRule is an answer and the rule that it is from.
type writeBackOfRule struct {
	WriteBack
	rule string
}

func (w writeBackOfRule) or(other writeBackOfRule) writeBackOfRule {
	if other.WriteBack > w.WriteBack {
		return other
	}
	return w
}

// writeBack returns what is done about masks in the base column o, which is shown as c. What
// rules about the column say goes before what rules about the type say, and that before
// what the default set does.
func (v *view) writeBack(o *proxy.Origin, c *column) writeBackOfRule {
	var w writeBackOfRule
	for i := range v.columns {
		if r := &v.columns[i]; r.typed(c.oid) && r.matches(o.Schema, o.Relation, o.Column) {
			w = w.or(r.writeBack)
		}
	}
	if w.WriteBack == WriteBackUnset {
		w = v.writeBacks[c.typ]
	}
	return v.writeBackElse(w)
}

func (v *view) writeBackElse(w writeBackOfRule) writeBackOfRule {
	if w.WriteBack == WriteBackUnset {
		w = v.writeBackFound
	}
	if w.WriteBack == WriteBackUnset {
		w.WriteBack = WriteBackRefuse
	}
	return w
}

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
	at := proxy.Origin{Schema: f.Schema, Relation: f.Relation, Column: f.Column}
	for _, o := range append([]proxy.Origin{at}, f.Bases...) {
		if c := t.column; v.showsMasked(&c, &o) {
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
	if h == nil || h.some == "" || h.parts { // of a value with parts, these are shown masked
		return false
	}
	how := v.treatment(h.some)
	c.typ, c.with = h.some, how
	return how.Transform != Visible
}

// writesBack refuses a statement that writes a mask into a column that the session is
// shown masked.
func (x *session) writesBack(ctx context.Context, st *proxy.Statement) proxy.Verdict {
	if !mayWrite(st.Facts) {
		return proxy.Pass()
	}
	g := st.Given(ctx)
	given := &g
	if g.Fills == nil {
		g.Fills, g.Params = notAnalysed, st.Args
	}
	targets := x.targets(given.Fills, st.Text)
	x.noteCopy(st, targets)
	for i := range targets {
		t := &targets[i]
		if found := x.givenMask(t, given); found != noMask {
			if v := x.wroteMask(ctx, st, t, found); v.Refuses() {
				return v
			}
		}
	}
	if given.Unknown == "" && (len(given.Called) == 0 || !calls(st.Facts)) {
		return proxy.Pass()
	}
	return x.writesUnseen(ctx, st, given)
}

var notAnalysed = &proxy.Fills{Unknown: "the text was not analysed"}

// mayWrite reports whether a statement may write values that its text or parameters hold.
func mayWrite(f *proxy.Facts) bool {
	const may = proxy.EffectInsert | proxy.EffectUpdate | proxy.EffectCopyIn | proxy.EffectCall | proxy.EffectDo | proxy.EffectPrepare | proxy.EffectExecute | proxy.EffectUnknown
	return f == nil || f.Effects.Has(may) || slices.ContainsFunc(f.Functions, func(f proxy.Function) bool { return f.Class == proxy.FunctionWrites })
}

// calls reports whether a statement may write in a way that its text does not show.
func calls(f *proxy.Facts) bool {
	return f == nil || f.Effects.Has(proxy.EffectCall|proxy.EffectDo|proxy.EffectUnknown)
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

// plainParam is a parameter as text.
func (x *session) plainParam(t *target, a *proxy.Arg) []byte {
	oid := a.Type
	if oid == 0 {
		oid = t.oid
	}
	return textOf(a.Value, oid, a.Binary)
}

// textOf is a value of type oid as text; of a type whose binary form is not read,
// the value as it is. nil stays nil.
func textOf(v []byte, oid uint32, binary bool) []byte {
	if v == nil || !binary {
		return v
	}
	switch oid {
	case oidDate, oidTimestamp, oidTimestampTZ:
		if t, ok := binaryTime(v, oid); ok {
			layout := time.DateTime
			if oid == oidDate {
				layout = time.DateOnly
			}
			return t.AppendFormat(nil, layout)
		}
	}
	if text, ok := appendTextOf([]byte{}, oid, v, 0); ok {
		return text
	}
	return v
}

// wroteMask answers a mask that is written into t.
func (x *session) wroteMask(ctx context.Context, op proxy.Op, t *target, found likeness) proxy.Verdict {
	name := strconv.Quote(t.fill.Column)
	reason := "column " + name + " is shown to you masked, and this would write such a mask into it"
	switch {
	case t.fill.Column == "*":
		return x.answer(ctx, op, t.answers, "this holds a value in the form in which masked columns are shown to you, and the gateway cannot tell which columns of "+
			strconv.Quote(t.fill.Relation)+" it fills; name only the columns you change, or ask for an exemption")
	case !t.masked():
		reason = "values in column " + name + " are shown to you masked, and this would write such masks into it"
	case found == perhaps && slices.ContainsFunc(t.shown, func(c column) bool { return c.showsNull() }):
		reason = "column " + name + " is shown to you as NULL, and this would write NULL over its values"
	case found == perhaps:
		reason = "column " + name + " is shown to you masked in the form of real values, and this may write such a mask over them"
	}
	return x.answer(ctx, op, t.answers, reason+"; name only the columns you change, or ask for an exemption")
}

const writeBackRemedy = "Leave the column out of the statement, or write its real value."

func (x *session) answer(ctx context.Context, op proxy.Op, w writeBackOfRule, reason string) proxy.Verdict {
	if w.WriteBack == WriteBackObserve {
		rule := w.rule
		if rule == "" {
			rule = "write-back"
		}
		if err := x.session.Note(ctx, op, &proxy.Note{Kind: proxy.NoteObserved, By: x.view.masker.Name(), Rule: rule, Text: "would refuse: " + reason}); err != nil {
			return proxy.Deny(proxy.CauseInternal, rule, "this statement is refused because the gateway could not record that it writes a mask", "")
		}
		return proxy.Pass()
	}
	return proxy.Deny(proxy.CauseMasking, w.rule, reason, writeBackRemedy)
}

// writesUnseen refuses a statement of which it cannot be told what it writes, and which
// holds something in the form of a mask.
func (x *session) writesUnseen(ctx context.Context, st *proxy.Statement, given *proxy.Given) proxy.Verdict {
	w := x.view.writeBackElse(writeBackOfRule{})
	if w.WriteBack == WriteBackAllow {
		return proxy.Pass()
	}
	mask := func(v []byte) bool {
		v = bytes.TrimSpace(v)
		return string(v) == hidden || bytes.IndexByte(v, '\'') >= 0 && slices.ContainsFunc(literalsIn(v), func(v []byte) bool { return string(v) == hidden }) ||
			x.view.holdsMask(v)
	}
	literals := given.Literals()
	if len(literals) == 0 { // the text is too long for the analysis, or split otherwise
		literals = literalsIn(st.Text)
	}
	among := func(kind proxy.SourceKind, n int) bool {
		return given.Unknown != "" || slices.ContainsFunc(given.Called, func(s proxy.Source) bool { return s.Kind == kind && s.N == n })
	}
	for i, v := range literals {
		if among(proxy.SourceLiteral, i) && mask(v) {
			return x.answer(ctx, st, w, unseen)
		}
	}
	for i := range given.Params {
		a := &given.Params[i]
		if among(proxy.SourceParam, i) && mask(textOf(a.Value, a.Type, a.Binary)) {
			return x.answer(ctx, st, w, unseen)
		}
	}
	return proxy.Pass()
}

const unseen = "this holds a value in the form in which masked columns are shown to you, and the gateway cannot tell which columns it is written into; write it in a plain INSERT or UPDATE, or ask for an exemption"

// literalsIn returns the literals of a text that was not analysed.
func literalsIn(text []byte) (list [][]byte) {
	l := mentionLexer{text: text}
	for {
		k, ok := l.next()
		if !ok {
			return list
		}
		if k == tokenText {
			list = append(list, bytes.Clone(l.value))
		}
	}
}

// eachElement calls each with the elements of a value that is an array in text or binary
// form, or JSON.
func eachElement(v []byte, each func(e []byte)) {
	switch {
	case len(v) < 2:
	case v[0] == '{' || v[0] == '[':
		for i := 1; i < len(v); {
			switch c := v[i]; {
			case c == '"':
				end := stringEnd(v, i)
				each(appendUnescaped(nil, v[i+1:max(end-1, i+1)]))
				i = end
			case c <= ' ' || bytes.IndexByte([]byte("{}[],:"), c) >= 0:
				i++
			default:
				from := i
				for i < len(v) && bytes.IndexByte([]byte("{}[],\""), v[i]) < 0 {
					i++
				}
				each(v[from:i])
			}
		}
	case v[0] == 0: // the number of dimensions begins with it
		if text, ok := appendArray(nil, v, 0, nil); ok {
			eachElement(text, each)
		}
	}
}
