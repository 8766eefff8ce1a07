package masking

import (
	"bytes"
	"context"

	"github.com/sallyport/sallyport/proxy"
)

// withheld stands for a text that may quote masked values.
const withheld = "(withheld: it may quote masked values)"

// tell masks errors, notices, notifications and reported settings. What a server
// quotes is found by its content; of statements that have to do with masked
// columns, what the server quotes is withheld.
func (x *session) tell(_ context.Context, op proxy.Op, msg *proxy.Message) error {
	doubt := false
	if st, ok := op.(*proxy.Statement); ok {
		m := x.mentions(st.Text)
		x.mu.Lock()
		doubt = m.any || m.rows || x.kept.reads(st.Facts, m) || x.view.says(st.Facts)
		x.mu.Unlock()
	}
	if msg.Kind == proxy.MessageNotification || msg.Kind == proxy.MessageStatus {
		x.mu.Lock()
		aside := x.kept.aside
		x.mu.Unlock()
		if aside && len(msg.Fields) == 2 && (msg.Kind == proxy.MessageNotification || string(msg.Fields[0].Value) == "application_name") {
			msg.Set(1, []byte(withheld))
			return nil
		}
	}
	code := msg.Code
	class := code[:min(2, len(code))]
	// Text that a statement or a function raised, rather than the server.
	raised := code == "P0001" || msg.Kind == proxy.MessageNotice && code == "00000"
	n := &counts{}
	p := newInspector(x.view, &x.seen)
	for i := range msg.Fields {
		f := &msg.Fields[i]
		if len(f.Value) == 0 {
			continue
		}
		var out []byte
		changed := false
		switch f.Name {
		case "code", "severity", "position", "internal position", "file", "line", "routine":
			continue
		case "detail":
			out, changed = x.detail(f.Value, class, doubt)
		case "message", "hint":
			switch {
			case doubt && raised:
				out, changed = []byte(withheld), true
			case doubt && class == "22":
				out, changed = hideQuoted(f.Value)
			}
		case "context", "query":
			if doubt && class == "22" {
				out, changed = hideQuoted(f.Value)
			}
		}
		if doubt && raised && f.Name == "detail" {
			out, changed = []byte(withheld), true
		}
		if !changed {
			out = f.Value
		}
		isJSON := likeJSON(out)
		p.find(out, 0, isJSON)
		masked, some, _ := p.appendMasked(nil, out, isJSON, false, n)
		if changed && !some {
			n.add(taintedValue)
		}
		if changed || some {
			msg.Set(i, masked)
		}
	}
	if len(n.list) > 0 && op != nil {
		x.count(op).addAll(n)
	}
	return nil
}

// says reports whether a statement runs functions, or triggers, that may quote what
// columns hold that rules name.
func (v *view) says(facts *proxy.Facts) bool {
	const runs = proxy.EffectCall | proxy.EffectDo | proxy.EffectUnknown
	return len(v.columns) > 0 && facts != nil && facts.Effects.Has(runs) && !v.trusted(facts)
}

// detail masks the detail of an error. Those of violated constraints quote
// values, and whole rows.
func (x *session) detail(v []byte, class string, doubt bool) ([]byte, bool) {
	if class != "23" {
		if doubt && class == "22" {
			return hideQuoted(v)
		}
		return nil, false
	}
	names, ok := bytes.CutPrefix(v, []byte("Key ("))
	if !ok {
		if open := bytes.IndexByte(v, '('); open >= 0 { // Failing row contains (…)
			return append(bytes.Clone(v[:open]), "(...)."...), true
		}
		return nil, false
	}
	end := bytes.Index(names, []byte(")=("))
	if end < 0 {
		return []byte(withheld), true
	}
	for name := range bytes.FieldsFuncSeq(names[:end], func(r rune) bool { return r == ',' || r == ' ' || r == '(' || r == ')' || r == ':' || r == '"' }) {
		if _, ok := x.view.sensitive(string(name)); ok {
			rest := names[end:]
			tail := rest[bytes.LastIndexByte(rest, ')'):]
			return append(append(bytes.Clone(v[:len("Key (")+end]), ")=(..."...), tail...), true
		}
	}
	return nil, false
}

// hideQuoted hides what stands between quotes.
func hideQuoted(v []byte) ([]byte, bool) {
	first := bytes.IndexAny(v, `"'`)
	last := bytes.LastIndexAny(v, `"'`)
	if first < 0 || first == last {
		return nil, false
	}
	return append(append(bytes.Clone(v[:first+1]), "..."...), v[last:]...), true
}
