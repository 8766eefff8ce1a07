package masking

import (
	"bytes"
	"context"
	"slices"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// A value that a rule tokenises in requests is stored as its token, and looked for as it.

// isTokenOf reports whether v is a token of this masker's of a value of type t.
func (x *session) isTokenOf(v []byte, t detect.Type) bool {
	_, typ, err := x.view.masker.keys.open(v)
	return err == nil && typ == t
}

// isStored reports whether v is a token that is stored in the place of a value, so that who
// writes it writes what is there, and not a mask.
func (x *session) isStored(t *target, v []byte) bool {
	_, typ, err := x.view.masker.keys.open(v)
	if err != nil {
		return false
	}
	return x.view.requestsOf(typ).Requests == RequestsTokenise || t != nil && t.requests.Requests == RequestsTokenise && t.requestType == typ
}

// withoutStored is v without the tokens in it that are stored in the place of values. A v
// that is one is nil.
func (x *session) withoutStored(t *target, v []byte) []byte {
	if x.view.requests == nil || !bytes.Contains(v, []byte(tokenPrefix)) {
		return v
	}
	var out []byte
	at := 0
	for {
		i := bytes.Index(v[at:], []byte(tokenPrefix))
		if i < 0 {
			return append(out, v[at:]...)
		}
		start := at + i
		end := start
		for end < len(v) && isTokenByte(v[end]) {
			end++
		}
		out = append(out, v[at:start]...)
		if !x.isStored(t, v[start:end]) {
			out = append(out, v[start:end]...)
		}
		at = end
	}
}

// exceptStored is found, in v, without what is found in tokens of this masker's, where a rule
// puts them in the place of values.
func (v *view) exceptStored(found []detect.Finding, text []byte) []detect.Finding {
	if v.requests == nil || !v.requests.tokens || len(found) == 0 || !bytes.Contains(text, []byte(tokenPrefix)) {
		return found
	}
	return slices.DeleteFunc(found, func(f detect.Finding) bool {
		start, end := f.Start, f.End
		for start > 0 && isTokenByte(text[start-1]) {
			start--
		}
		for end < len(text) && isTokenByte(text[end]) {
			end++
		}
		_, _, err := v.masker.keys.open(text[start:end])
		return err == nil
	})
}

func isTokenByte(c byte) bool { return isAlnum(c) || c == '_' || c == '-' }

// bind judges parameters before they are bound, and replaces those that are tokenised; see
// [proxy.Hooks].
func (x *session) bind(ctx context.Context, st *proxy.Statement) error {
	r := x.look(ctx, st)
	if v, _ := r.answer(); v.Refuses() {
		return refusedError(v)
	}
	for i := range r.given.Params {
		if v := r.param(i); v.tokenised != nil {
			st.Args[i].Value, st.Args[i].Text = v.tokenised, nil // which was the value before
		}
	}
	return nil
}

// tokenises reports whether one of the values from on, before to, is to be replaced.
func (r *request) tokenises(from, to int) bool {
	return slices.ContainsFunc(r.values[from:to], func(v sentValue) bool { return v.tokenised != nil })
}

// rewritten answers with the text in which literals are replaced by tokens.
func (r *request) rewritten() proxy.Verdict {
	text, err := r.replaced(func(v *sentValue) ([]byte, bool) { return v.tokenised, v.tokenised != nil })
	says := r.session.view.requests.all
	if err != nil {
		return proxy.Deny(proxy.CauseMasking, says.rule, "a literal of this cannot be replaced by a token, because of how it is written", "Write it in plain quotes, or send it as a parameter.")
	}
	c := r.session.count(r.st)
	for i := range r.values {
		if v := &r.values[i]; v.tokenised != nil {
			c.add(v.found[0].typ)
		}
	}
	return proxy.Verdict{Action: proxy.ActionRewrite, Rule: says.rule, Text: text}
}

// countTokens counts the parameters that are sent as tokens.
func (r *request) countTokens() {
	for i := range r.st.Args {
		v := r.st.Args[i].Value
		if _, typ, err := r.session.view.masker.keys.open(v); err == nil {
			r.session.count(r.st).add(typ)
		}
	}
}

// Why a value is not replaced.
const (
	whyContext  = "the gateway does not know what becomes of it here"
	whyChanged  = "it is changed, cast to another type or compared in another way than for equality"
	whyType     = "the column's type cannot hold a token"
	whyFormat   = "it is in a format that cannot hold a token"
	whyTooLong  = "it is too long"
	whyMixed    = "it is sent both as an array and as a value"
	whyInNumber = "it is a number or a part of a string with escapes in JSON"
)

// tokenised is the i-th value with tokens in the place of what is found in it, or why not.
func (r *request) tokenised(i int) (_ []byte, why string) {
	a := proxy.Arg{Value: r.values[i].text}
	if n := i - len(r.literals); n >= 0 && r.given.Passed == nil {
		a = r.given.Params[n]
	}
	return r.values[i].tokens(r.session, a)
}

// tokens is a, which s is, with tokens in the place of what is found in it, or why not.
func (s *sentValue) tokens(x *session, a proxy.Arg) (_ []byte, why string) {
	if len(s.uses) == 0 {
		return nil, whyContext
	}
	array := s.uses[0].isArray()
	for _, u := range s.uses {
		switch {
		case u.Changed || u.compared && !u.fill.Equal:
			return nil, whyChanged
		case !isTextType(u.oid) && !isTextArray(u.oid):
			return nil, whyType
		case u.isArray() != array:
			return nil, whyMixed
		}
	}
	if a.Type != 0 && a.Type != oidUnknown && (!array && !isTextType(a.Type) || array && !isTextArray(a.Type)) {
		return nil, whyFormat
	}
	t := tokeniser{session: x}
	for _, f := range s.found {
		if f.says.Requests == RequestsTokenise && f.start == 0 && f.end == len(s.text) && t.whole == "" {
			t.whole = f.typ
		}
	}
	for _, u := range s.uses {
		t.topics |= u.topics
	}
	if !array {
		return t.replace(a.Value)
	}
	return t.elements(a.Value, a.Binary)
}

// notTokenised refuses a value in the place of which no token can be sent.
func notTokenised(f *sentFinding, place, why string) proxy.Verdict {
	return proxy.Deny(proxy.CauseMasking, f.says.rule, "this sends "+sentWhat(f.typ)+" in "+place+", which cannot be replaced by a token: "+why, tokenRemedy)
}

// unchanged reports whether tokens are in the place of what was found already.
func (r *request) unchanged(i int) bool {
	v := &r.values[i]
	was := v.text
	if n := i - len(r.literals); n >= 0 && r.given.Passed == nil {
		was = r.given.Params[n].Value
	}
	return bytes.Equal(v.tokenised, was)
}

// isArray reports whether what is sent is an array of texts.
func (u *sentUse) isArray() bool { return u.Elements || isTextArray(u.oid) && !u.compared }

// tokeniser replaces values by tokens.
type tokeniser struct {
	session *session
	whole   detect.Type // the whole value is of it; "" says to look into it
	topics  detect.Topics
}

// replace is v with tokens in the place of values.
func (t *tokeniser) replace(v []byte) (_ []byte, why string) {
	m := t.session.view.masker
	switch {
	case len(v) > maxTokenised:
		return nil, whyTooLong
	case len(v) == 0 || t.whole != "" && t.session.isTokenOf(v, t.whole):
		return v, ""
	case t.whole != "":
		return m.keys.appendToken(nil, v, t.whole), ""
	}
	p := newInspector(t.session.view, nil)
	cursor := jsonCursor{src: v}
	var out []byte
	at := 0
	for _, f := range t.session.judgedIn(&p, v, &t.topics) {
		if t.session.view.requestsOf(f.Type).Requests != RequestsTokenise || f.Start < at {
			continue
		}
		if likeJSON(v) && (!cursor.inside(f.Start) || hasEscape(v[f.Start:f.End])) {
			return nil, whyInNumber
		}
		out = m.keys.appendToken(append(out, v[at:f.Start]...), v[f.Start:f.End], f.Type)
		at = f.End
	}
	return append(out, v[at:]...), ""
}
