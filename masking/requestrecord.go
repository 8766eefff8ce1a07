package masking

import (
	"context"
	"slices"

	"github.com/sallyport/sallyport/proxy"
)

// Records hold what was found in requests as [TYPE], whatever is done about it.

// redact says what records hold of op; see [proxy.Hooks].
func (x *session) redact(ctx context.Context, op proxy.Op) *proxy.Redacted {
	switch o := op.(type) {
	case *proxy.Statement:
		return x.requestOf(ctx, o).redacted()
	case *proxy.Exec:
		text, found := x.redactedText([]byte(o.Command))
		if found {
			return &proxy.Redacted{Text: text}
		}
	case *proxy.Call:
		args := make([]proxy.Arg, len(o.Args))
		found := false
		for i, a := range o.Args {
			text, here := x.redactedText(a)
			args[i].Value, found = text, found || here
		}
		if found {
			return &proxy.Redacted{Args: args}
		}
	}
	return nil
}

// requestOf is what was found in a statement when it was judged; of one that was refused
// before, what is found now.
func (x *session) requestOf(ctx context.Context, st *proxy.Statement) *request {
	x.mu.Lock()
	r := x.asked[st.ID]
	x.mu.Unlock()
	if r != nil && r.st == st {
		return r
	}
	return x.look(ctx, st)
}

// look finds what rules about requests are about in a statement.
func (x *session) look(ctx context.Context, st *proxy.Statement) *request {
	given, targets := x.given(ctx, st)
	r := x.newRequest(st, given)
	for i := range targets {
		x.eachGiven(&targets[i], given, func(s proxy.Source, v []byte) { r.use(&targets[i], s, v) })
	}
	r.find()
	return r
}

// redactedText is v with what is found in it hidden.
func (x *session) redactedText(v []byte) (_ []byte, found bool) {
	p := newInspector(x.view, nil)
	list := x.judgedIn(&p, v, nil)
	if len(list) == 0 {
		return v, false
	}
	var all []sentFinding
	for _, f := range list {
		all = append(all, sentFinding{start: f.Start, end: f.End, typ: f.Type})
	}
	return hideFound(v, all), true
}

// hideFound is v with each finding hidden. What covers others hides these.
func hideFound(v []byte, found []sentFinding) []byte {
	found = slices.Clone(found)
	slices.SortStableFunc(found, func(a, b sentFinding) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.end - a.end
	})
	var out []byte
	at := 0
	for _, f := range found {
		if f.start < at {
			continue
		}
		out = append(append(append(append(out, v[at:f.start]...), '['), f.typ...), ']')
		at = f.end
	}
	return append(out, v[at:]...)
}

// redacted is what records hold of the statement; nil is as it is.
func (r *request) redacted() *proxy.Redacted {
	found := len(r.rest) > 0
	for i := range r.values {
		found = found || len(r.values[i].found) > 0
	}
	if !found {
		return nil
	}
	out := &proxy.Redacted{Args: slices.Clone(r.st.Args)}
	if r.given.Passed == nil {
		for i := range out.Args {
			if v := r.param(i); len(v.found) > 0 {
				out.Args[i] = proxy.Arg{Value: hideFound(v.text, v.found)}
			}
		}
	}
	if len(r.rest) > 0 {
		return r.withheld(out)
	}
	text, err := r.replaced(func(v *sentValue) ([]byte, bool) { return hideFound(v.text, v.found), len(v.found) > 0 })
	if err != nil {
		return r.withheld(out)
	}
	out.Text = text
	return out
}

// withheld is out with the text without any literal.
func (r *request) withheld(out *proxy.Redacted) *proxy.Redacted {
	if f := r.st.Facts; f != nil && len(r.rest) == 0 {
		out.Text = []byte(f.Normalised)
	}
	return out
}

// replaced is the statement's own text with literals replaced that hold the values for which
// with returns ok.
func (r *request) replaced(with func(v *sentValue) ([]byte, bool)) ([]byte, error) {
	if r.given.Passed == nil {
		return r.given.Replace(func(i int) ([]byte, bool) {
			if i >= len(r.literals) {
				return nil, false
			}
			return with(&r.values[i])
		})
	}
	return r.given.Replace(func(i int) ([]byte, bool) {
		for k, s := range r.given.Passed {
			if s.Kind == proxy.SourceLiteral && s.N == i {
				return with(r.param(k))
			}
		}
		return nil, false
	})
}
