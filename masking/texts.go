package masking

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// withheld stands for a text that may quote masked values.
const withheld = "(withheld: it may quote masked values)"

// tell masks errors, notices, notifications and reported settings. What a server
// quotes is found by its content; of statements that have to do with masked
// columns, what the server quotes is withheld.
func (x *session) tell(_ context.Context, op proxy.Op, msg *proxy.Message) error {
	doubt := false
	var own []byte // the statement's text
	if st, ok := op.(*proxy.Statement); ok {
		own = st.Text
		m := x.mentions(st.Text)
		x.mu.Lock()
		doubt = m.any || m.rows && !seenThrough(st.Facts) || x.kept.reads(st.Facts, m) || x.view.says(st.Facts) || x.view.reaches(st.Facts)
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
	raised := code == "P0001" || class == "45" || msg.Kind == proxy.MessageNotice && code == "00000"
	doubt = doubt || raised && printed(msg)
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
			switch out, changed = x.detail(f.Value, class); {
			case changed || !doubt || class == "23":
			case strings.HasPrefix(code, "2200"): // of documents, with a part of them
				out, changed = []byte(withheld), true
			default:
				out, changed = hideForeign(f.Value, own, code)
			}
		case "message", "hint":
			switch {
			case doubt && raised:
				out, changed = []byte(withheld), true
			case doubt:
				out, changed = hideForeign(f.Value, own, code)
			}
		case "context":
			if doubt {
				out, changed = hideLines(f.Value, own, code)
			}
		case "query": // that a function has run
			if doubt && class != "23" && !bytes.Contains(own, f.Value) {
				out, changed = []byte(withheld), true
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

// printed reports whether a server that is told to shows in a message how it plans, in which
// what functions return may be: as trees, bytes by their numbers.
func printed(msg *proxy.Message) bool {
	return slices.ContainsFunc(msg.Fields, func(f proxy.MessageField) bool {
		return f.Name == "message" && (bytes.Contains(f.Value, []byte("plan:")) || bytes.HasSuffix(f.Value, []byte("tree:")))
	})
}

// seenThrough reports whether all that a statement returns is known by its facts, so that
// a name in its text that may mean a whole row is known to mean one or not.
func seenThrough(f *proxy.Facts) bool {
	return followed(f) && len(f.Parts) == 0 && !slices.ContainsFunc(f.Columns, func(c proxy.Column) bool { return c.Opaque || c.Unsure })
}

// says reports whether a statement runs functions, or triggers, that may quote what
// columns hold that rules name.
func (v *view) says(facts *proxy.Facts) bool {
	const runs = proxy.EffectCall | proxy.EffectDo | proxy.EffectUnknown
	return len(v.columns) > 0 && facts != nil && facts.Effects.Has(runs) && !v.trusted(facts)
}

// reaches reports whether something that a statement returns, uses or keeps derives
// from what is masked, or may.
func (v *view) reaches(facts *proxy.Facts) bool {
	if facts == nil {
		return false
	}
	masked := func(o *proxy.Origin) bool {
		var base column
		return o.Column == "*" || v.named(&base, nil, &proxy.ShapeColumn{Schema: o.Schema, Relation: o.Relation}, o.Column) || v.sampled(&base, o) && !base.blind
	}
	column := func(c *proxy.Column) bool {
		for k := range c.Origins {
			if masked(&c.Origins[k]) {
				return true
			}
		}
		return c.Unsure
	}
	for i := range facts.Columns {
		if column(&facts.Columns[i]) {
			return true
		}
	}
	for i := range facts.Uses {
		if masked(&facts.Uses[i].Origin) {
			return true
		}
	}
	for i := range facts.Writes {
		if column(&facts.Writes[i].Column) {
			return true
		}
	}
	return facts.Rest != nil && column(facts.Rest)
}

// detail masks the detail of an error about a violated constraint, which quotes values,
// and whole rows.
func (x *session) detail(v []byte, class string) ([]byte, bool) {
	if class != "23" {
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

// namesOfServer are the beginnings of the codes of errors that quote nothing but what the
// server itself calls something: constraints, transactions, rights, limits, shutdowns.
var namesOfServer = [...]string{"23", "25", "40", "42501", "53", "55", "57", "08", "XX"}

// hideForeign hides what an error with this code quotes, unless the statement has all
// of it, and the numbers of errors about values.
func hideForeign(v, own []byte, code string) ([]byte, bool) {
	const constraint = "23000" // of servers that say no more of it, and quote the value
	value := strings.HasPrefix(code, "22") || strings.HasPrefix(code, "54") || code == constraint
	for _, c := range namesOfServer {
		if strings.HasPrefix(code, c) && code != constraint {
			return nil, false
		}
	}
	out, changed := v, false
	if value || quotesForeign(v, own) {
		if hidden, some := hideQuoted(v); some {
			out, changed = hidden, true
		}
	}
	if value {
		if hidden, some := hideNumbers(out, own); some {
			out, changed = hidden, true
		}
	}
	return out, changed
}

// hideLines is hideForeign for the context of an error, which also says at which line
// of a value it was found, with that line.
func hideLines(v, own []byte, code string) ([]byte, bool) {
	out, changed := hideForeign(v, own, code)
	if out == nil {
		out = v
	}
	if _, line, ok := bytes.Cut(out, []byte("data, line ")); ok {
		if at := bytes.Index(line, []byte(": ")); at >= 0 {
			head := out[:len(out)-len(line)+at+2]
			return append(bytes.Clone(head), "..."...), true
		}
	}
	return out, changed
}

// quotesForeign reports whether something is between quotes in v that is not a
// whole word or literal of the statement.
func quotesForeign(v, own []byte) bool {
	for len(v) > 0 {
		i := bytes.IndexAny(v, `"'`)
		if i < 0 {
			return false
		}
		quote := v[i]
		v = v[i+1:]
		end := bytes.IndexByte(v, quote)
		if end < 0 {
			return true
		}
		if !hasWord(own, v[:end]) {
			return true
		}
		v = v[end+1:]
	}
	return false
}

// hasWord reports whether text holds word with nothing of a word around it, in any case.
func hasWord(text, word []byte) bool {
	part := func(i int) bool {
		return i >= 0 && i < len(text) && (isAlnum(text[i]) || text[i] == '_' || text[i] >= 0x80)
	}
	for i := 0; i+len(word) <= len(text); i++ {
		if bytes.EqualFold(text[i:i+len(word)], word) && !part(i-1) && !part(i+len(word)) {
			return true
		}
	}
	return len(word) == 0
}

// hideNumbers hides the numbers in v of three digits and more that the statement does
// not have.
func hideNumbers(v, own []byte) ([]byte, bool) {
	const least = 3
	var out []byte
	changed := false
	for i := 0; i < len(v); {
		end := i
		for end < len(v) && isDigit(v[end]) {
			end++
		}
		switch {
		case end-i >= least && !hasWord(own, v[i:end]):
			out, changed = append(out, "..."...), true
		case end > i:
			out = append(out, v[i:end]...)
		default:
			out = append(out, v[i])
			end++
		}
		i = end
	}
	return out, changed
}
