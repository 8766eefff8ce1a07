package masking

import (
	"bytes"
	"context"
	"encoding/hex"
	"strconv"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// request is what rules about requests find in one statement.
type request struct {
	session  *session
	st       *proxy.Statement
	given    *proxy.Given
	literals [][]byte
	values   []sentValue      // literals, then parameters
	rest     []detect.Finding // in the text around its literals
	judged   bool
}

// sentValue is one literal or parameter.
type sentValue struct {
	text  []byte // as text; nil is NULL
	uses  []sentUse
	found []sentFinding
	// opaque says that it cannot be read as text.
	opaque bool
	// tokenised is what is sent in its place; nil is the value itself. why says why that
	// cannot be.
	tokenised []byte
	why       string
}

// sentUse is what a value is sent for.
type sentUse struct {
	*target
	proxy.Source
}

// sentFinding is a part of a value that a rule is about, or the whole.
type sentFinding struct {
	start, end int
	typ        detect.Type
	says       requestsOfRule
}

func (x *session) newRequest(st *proxy.Statement, given *proxy.Given) *request {
	r := &request{session: x, st: st, given: given}
	if given.Passed == nil { // those of what an EXECUTE runs were sent with its PREPARE
		if r.literals = given.Literals(); len(r.literals) == 0 {
			r.literals = literalsIn(st.Text)
		}
	}
	r.values = make([]sentValue, len(r.literals)+len(given.Params))
	for i, v := range r.literals {
		r.values[i].text = v
	}
	for i := range given.Params {
		a, v := &given.Params[i], r.param(i)
		v.text, v.opaque = sentText(a, a.Type)
	}
	return r
}

// param is the i-th parameter's value.
func (r *request) param(i int) *sentValue { return &r.values[len(r.literals)+i] }

// sentText is a parameter as text, and whether it cannot be read as one.
func sentText(a *proxy.Arg, oid uint32) (text []byte, opaque bool) {
	if a.Value == nil || !a.Binary {
		return a.Value, false
	}
	text, ok := appendTextOf([]byte{}, oid, a.Value, 0)
	if !ok {
		return a.Value, true
	}
	return text, false
}

// use notes that a value is sent for t.
func (r *request) use(t *target, s proxy.Source, v []byte) {
	if r == nil || v == nil {
		return
	}
	switch {
	case s.Kind == proxy.SourceLiteral && s.N < len(r.literals):
		r.values[s.N].uses = append(r.values[s.N].uses, sentUse{t, s})
	case s.Kind == proxy.SourceParam && s.N >= 0 && s.N < len(r.given.Params):
		p := r.param(s.N)
		p.uses = append(p.uses, sentUse{t, s})
		if a := &r.given.Params[s.N]; a.Type == 0 && a.Binary {
			if text, opaque := sentText(a, t.oid); !opaque {
				p.text, p.opaque = text, false
			}
		}
	}
}

// find looks into all values, once.
func (r *request) find() {
	if r.judged {
		return
	}
	r.judged = true
	p := newInspector(r.session.view, nil)
	for i := range r.values {
		r.values[i].find(r.session, &p)
	}
	r.rest = r.session.judgedIn(&p, r.outside(), nil)
}

// find looks into a value.
func (s *sentValue) find(x *session, p *inspector) {
	if len(s.text) == 0 {
		return
	}
	var topics detect.Topics
	whole := sentFinding{end: len(s.text)}
	for _, u := range s.uses {
		topics |= u.topics
		if u.requests.Requests > whole.says.Requests {
			whole.typ, whole.says = u.requestType, u.requests
		}
	}
	if whole.says.Requests != RequestsUnset && !x.isTokenOf(s.text, whole.typ) {
		s.found = append(s.found, whole)
	}
	for _, f := range x.judgedIn(p, s.text, &topics) {
		s.found = append(s.found, sentFinding{f.Start, f.End, f.Type, x.view.requestsOf(f.Type)})
	}
	for _, v := range [][]byte{decodedHex(s.text), patternText(s.text)} {
		for _, f := range x.judgedIn(p, v, &topics) {
			s.found = append(s.found, sentFinding{0, len(s.text), f.Type, x.view.requestsOf(f.Type)})
		}
	}
}

// decodedHex is what the text of a bytea holds; nil of other texts.
func decodedHex(v []byte) []byte {
	plain, ok := bytes.CutPrefix(v, []byte(`\x`))
	decoded := make([]byte, hex.DecodedLen(len(plain)))
	if !ok {
		return nil
	}
	if _, err := hex.Decode(decoded, plain); err != nil {
		return nil
	}
	return decoded
}

// patternText is a pattern of LIKE without what matches anything at its ends; nil of a
// text without it.
func patternText(v []byte) []byte {
	if bytes.IndexByte(v, '%') < 0 {
		return nil
	}
	return bytes.Trim(v, "%_")
}

// judgedIn returns what in v rules about requests are about, by its content. It is valid
// until p is used again.
func (x *session) judgedIn(p *inspector, v []byte, topics *detect.Topics) []detect.Finding {
	about := detect.Topics(0)
	if topics != nil {
		about = *topics
	}
	if len(v) == 0 {
		return nil
	}
	p.find(v, about, likeJSON(v))
	kept := p.found[:0]
	for _, f := range p.found {
		if x.view.requestsOf(f.Type).Requests != RequestsUnset {
			kept = append(kept, f)
		}
	}
	return kept
}

// outside is the text without its literals, names and comments, or the whole where these
// cannot be told apart.
func (r *request) outside() []byte {
	text, err := r.given.Replace(func(int) ([]byte, bool) { return nil, true })
	if err != nil {
		return r.st.Text
	}
	return text
}

// verdict answers what was found.
func (r *request) verdict(ctx context.Context) proxy.Verdict {
	if r == nil {
		return proxy.Pass()
	}
	x := r.session
	x.mu.Lock()
	if x.asked == nil {
		x.asked = make(map[uint64]*request)
	}
	x.asked[r.st.ID] = r
	x.mu.Unlock()
	v, notes := r.answer()
	switch {
	case v.Refuses():
		return v
	case r.tokenises(0, len(r.literals)) || r.given.Passed != nil && r.tokenises(0, len(r.values)):
		return r.rewritten()
	case r.tokenises(len(r.literals), len(r.values)):
		return proxy.Deny(proxy.CauseMasking, x.view.requests.all.rule, "the parameters of this were bound before the rule asked for tokens in the place of values", "Bind them again.")
	case r.st.Kind != proxy.KindStatement:
		return proxy.Pass()
	}
	r.countTokens()
	return notes.leave(ctx, x, r.st)
}

// answer says whether what was found is refused, and what is only observed of it.
func (r *request) answer() (v proxy.Verdict, notes sentNotes) {
	r.find()
	x := r.session
	for i := range r.values {
		v := &r.values[i]
		if v.opaque {
			says := x.view.requests.all
			if says.Requests >= RequestsTokenise {
				return refusedRequest(says, "a value that the gateway cannot read in "+r.place(i)), nil
			}
			notes.add(says.rule, "", r.place(i)+" was not looked at: its format is not known")
		}
		for k := range v.found {
			f := &v.found[k]
			switch f.says.Requests {
			case RequestsRefuse:
				return refusedRequest(f.says, sentWhat(f.typ)+" in "+r.place(i)), nil
			case RequestsTokenise:
				if v.tokenised, v.why = r.tokenised(i); v.why != "" {
					return notTokenised(f, r.place(i), v.why), nil
				}
				if r.unchanged(i) {
					v.tokenised = nil
				}
			default:
				notes.add(f.says.rule, f.typ, "in "+r.place(i))
			}
		}
	}
	for i := range r.rest {
		switch says := x.view.requestsOf(r.rest[i].Type); says.Requests {
		case RequestsRefuse, RequestsTokenise:
			return refusedRequest(says, sentWhat(r.rest[i].Type)+" "+outsidePlace), nil
		default:
			notes.add(says.rule, r.rest[i].Type, outsidePlace)
		}
	}
	return r.unseen(&notes), notes
}

// unseen answers values of which the gateway cannot tell for which columns they are, where a
// rule is about columns.
func (r *request) unseen(notes *sentNotes) proxy.Verdict {
	says := r.session.view.requests.columns
	if says.Requests == RequestsUnset || len(r.values) == 0 || r.session.view.trusted(r.st.Facts) {
		return proxy.Pass()
	}
	called := len(r.given.Called) > 0 && calls(r.st.Facts)
	if r.given.Unknown == "" && !called {
		return proxy.Pass()
	}
	if says.Requests == RequestsObserve {
		notes.add(says.rule, "", "it cannot be told which columns its values are for")
		return proxy.Pass()
	}
	return proxy.Deny(proxy.CauseMasking, says.rule, "the gateway cannot tell for which columns this sends its values, and a rule is about what is sent for some",
		"Send them in a plain INSERT or UPDATE, or have the function listed as trusted.")
}

// place says where the i-th value is.
func (r *request) place(i int) string {
	var at string
	switch n := i - len(r.literals); {
	case n < 0:
		at = "literal " + strconv.Itoa(i+1)
	case r.given.Passed != nil:
		at = "argument " + strconv.Itoa(n+1)
	default:
		at = "parameter $" + strconv.Itoa(n+1)
	}
	for _, u := range r.values[i].uses {
		if u.fill.Column != "*" {
			return at + ", for column " + strconv.Quote(u.fill.Column)
		}
	}
	return at
}

func sentWhat(t detect.Type) string {
	if t == Column {
		return "a value of a column"
	}
	return "a value of type " + string(t)
}

const tokenRemedy = "Send it as a whole text for a column of type text, by INSERT, UPDATE, COPY, = or IN."

const outsidePlace = "in the text, outside of its literals"

const requestRemedy = "Leave the value out, or ask for an exemption from the rule."

func refusedRequest(says requestsOfRule, what string) proxy.Verdict {
	return proxy.Deny(proxy.CauseMasking, says.rule, "this sends "+what+", which may not be sent", requestRemedy)
}
