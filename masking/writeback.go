package masking

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"

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

// sent judges the values that a statement sends: masks that it would write into columns
// that the session is shown masked, and what rules about requests are about.
func (x *session) sent(ctx context.Context, st *proxy.Statement) proxy.Verdict {
	writes := st.Kind == proxy.KindStatement && mayWrite(st.Facts)
	if !writes && x.view.requests == nil {
		return proxy.Pass()
	}
	given, targets := x.given(ctx, st)
	var asked *request
	if x.view.requests != nil {
		asked = x.newRequest(st, given)
	}
	if writes {
		x.noteCopy(st, targets)
	}
	for i := range targets {
		t, found := &targets[i], noMask
		x.eachGiven(t, given, func(s proxy.Source, v []byte) {
			if written := x.withoutStored(t, v); writes && t.masks && (written != nil || v == nil && !s.Skipped) {
				found = max(found, x.isMask(t, written, s.Part))
			}
			asked.use(t, s, v)
		})
		if found != noMask {
			if v := x.wroteMask(ctx, st, t, found); v.Refuses() {
				return v
			}
		}
	}
	if writes && (given.Unknown != "" || len(given.Called) > 0 && calls(st.Facts)) {
		if v := x.writesUnseen(ctx, st, given); v.Refuses() {
			return v
		}
	}
	return asked.verdict(ctx)
}

// given is what a statement gives to columns, and these.
func (x *session) given(ctx context.Context, st *proxy.Statement) (*proxy.Given, []target) {
	g := st.Given(ctx)
	if g.Fills == nil {
		g.Fills, g.Params = notAnalysed, st.Args
	}
	return &g, x.targets(g.Fills, st.Text)
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

// writesUnseen refuses a statement of which it cannot be told what it writes, and which
// holds something in the form of a mask.
func (x *session) writesUnseen(ctx context.Context, st *proxy.Statement, given *proxy.Given) proxy.Verdict {
	w := x.view.writeBackElse(writeBackOfRule{})
	if w.WriteBack == WriteBackAllow {
		return proxy.Pass()
	}
	mask := func(v []byte) bool {
		v = bytes.TrimSpace(x.withoutStored(nil, v))
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
	case found == perhaps && slices.ContainsFunc(t.shown, func(c column) bool { return c.showsNeutral() }):
		reason = "column " + name + " is shown to you as " + strconv.Quote(string(t.shown[0].neutral)) + " in the place of its values, and this may write that over them"
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
