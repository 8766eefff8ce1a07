package review

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/sallyport/sallyport/proxy"
)

// Sealer seals what a stolen copy of a store must not show. What was sealed for one purpose is worth nothing for another. It is safe
// for concurrent use. That of [github.com/sallyport/sallyport/identity] is one.
type Sealer interface {
	Seal(plain []byte, purpose string) ([]byte, error)
	Open(sealed []byte, purpose string) ([]byte, error)
}

// Purposes of what is sealed; the identifier of the request or the notice follows.
const (
	requestPurpose = "request "
	noticePurpose  = "notice "
)

// said is what an operation says.
type said struct {
	Text      string   `json:"text"`
	Arguments []string `json:"arguments,omitempty"`
}

// private is what is sealed of a request: what an operation would do may hold data of others.
type private struct {
	said
	Hidden *said         `json:"hidden,omitempty"` // with what approvers do not read; nil: they read all
	Impact *proxy.Impact `json:"impact,omitempty"` // which has rows
	// These could be tried on what is guessed.
	Content string `json:"content,omitempty"`
	Sums    *sums  `json:"sums,omitempty"`
	Scope   string `json:"scope,omitempty"` // of a standing approval, which has values
}

// seal parts a request into what may be read by all who read the store and what may not. Without a sealer all of it may.
func seal(s Sealer, purpose string, r *Request) (public *Request, sealed []byte, err error) {
	if r.Access != nil || s == nil {
		return r, nil, nil
	}
	plain, err := compact(private{said{r.Text, r.Arguments}, r.said, r.Impact, r.Content, r.sums, r.scope()})
	if err != nil {
		return nil, nil, err
	}
	if sealed, err = s.Seal(plain, purpose); err != nil {
		return nil, nil, err
	}
	out := *r
	out.Text, out.Arguments, out.Impact, out.Content, out.sums = "", nil, nil, "", nil
	return &out, sealed, nil
}

// compact is v in JSON, in which texts are not made six times as long.
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// open puts what was sealed of a request back into it.
func open(s Sealer, purpose string, r *Request, sealed []byte) error {
	switch {
	case sealed == nil:
		return nil
	case s == nil:
		return errors.New("it is sealed, and there is no key")
	}
	plain, err := s.Open(sealed, purpose)
	if err != nil {
		return err
	}
	var p private
	if err := json.Unmarshal(plain, &p); err != nil {
		return errors.New("what is sealed of it is damaged")
	}
	r.Text, r.Arguments, r.said, r.Impact, r.Content, r.sums = p.Text, p.Arguments, p.Hidden, p.Impact, p.Content, p.Sums
	if r.Standing != nil {
		r.Standing.Scope = p.Scope
	}
	return nil
}
