package masking

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// A rule may be about what clients send, too. What it is about is found in the same way as
// in what they get: by the column that a value fills or is compared with, and by content.

// Requests says what is done about a rule's values when a client sends them.
type Requests uint8

// Answers to it, each stricter than the one before it.
const (
	RequestsUnset   Requests = iota // nothing
	RequestsObserve                 // they are sent, and noted
	// RequestsTokenise: tokens are sent in their place, as [Tokenise] makes them. What
	// cannot be replaced is refused.
	RequestsTokenise
	RequestsRefuse
)

var requestsNames = [...]string{"", "observe", "tokenise", "refuse"}

// String returns the answer's name in configuration.
func (r Requests) String() string {
	if int(r) < len(requestsNames) {
		return requestsNames[r]
	}
	return "refuse"
}

// ParseRequests returns the answer of that name; "" is RequestsUnset.
func ParseRequests(name string) (Requests, error) {
	if i := slices.Index(requestsNames[:], name); i >= 0 {
		return Requests(i), nil
	}
	return RequestsRefuse, fmt.Errorf("unknown answer to values in requests %q: want observe, refuse or tokenise", name)
}

// requestsOfRule is an answer and the rule that it is from.
type requestsOfRule struct {
	Requests
	rule string
}

func (r requestsOfRule) or(other requestsOfRule) requestsOfRule {
	if other.Requests > r.Requests {
		return other
	}
	return r
}

// requestRules are what the rules for one session say about what it sends. It is
// immutable.
type requestRules struct {
	found   requestsOfRule // what the default set is about
	types   map[detect.Type]requestsOfRule
	columns requestsOfRule // the strictest of those about columns
	all     requestsOfRule // the strictest of all
	tokens  bool           // some tokenise
}

// add takes in a rule that applies to the session.
func (v *view) request(r *Rule, title string) {
	if r.Requests == RequestsUnset {
		return
	}
	if v.requests == nil {
		v.requests = &requestRules{types: make(map[detect.Type]requestsOfRule)}
	}
	q, says := v.requests, requestsOfRule{r.Requests, title}
	q.all = q.all.or(says)
	q.tokens = q.tokens || r.Requests == RequestsTokenise
	if !r.selects() {
		q.found = q.found.or(says)
	}
	if r.about() {
		q.columns = q.columns.or(says)
	}
	for _, t := range r.Types {
		q.types[t] = q.types[t].or(says)
	}
}

// requestsOf returns what is done about values of type t that are sent.
func (v *view) requestsOf(t detect.Type) requestsOfRule {
	q := v.requests
	says := q.types[t]
	if w := t.Wider(); w != "" && says.Requests == RequestsUnset {
		says = q.types[w]
	}
	if says.Requests == RequestsUnset && v.found && personal(t) {
		says = q.found
	}
	return says
}

// requestsIn sets what is done about values that are sent for the target t, whatever they
// look like: its columns are of a rule, or their names say that they hold a type that one is
// about. What was seen in a column does not count: the same value must become the same token
// on every day.
func (v *view) requestsIn(t *target, columns []proxy.Origin) {
	take := func(typ detect.Type, says requestsOfRule) {
		if says.Requests > t.requests.Requests {
			t.requests, t.requestType = says, typ
		}
	}
	for i := range columns {
		o := &columns[i]
		if o.Column == "*" {
			continue
		}
		for k := range v.columns {
			if r := &v.columns[k]; r.typed(t.oid) && r.matches(o.Schema, o.Relation, o.Column) {
				take(Column, r.requests)
			}
		}
		if typ, ok := v.masker.detector.TypeOfName(o.Column); ok {
			take(typ, v.requestsOf(typ))
		}
		t.topics |= v.masker.detector.Topics(o.Column)
	}
}
