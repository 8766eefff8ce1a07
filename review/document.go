package review

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/store"
)

// document is a request as the store has it.
type document struct {
	*Request
	Sealed string `json:"sealed,omitempty"` // a private
}

// private is what a stolen copy of the store does not show.
type private struct {
	Text      string   `json:"text"`
	Arguments []string `json:"arguments,omitempty"`
}

// place is where what is private of a request belongs.
func place(id string) store.Place {
	return store.Place{Kind: KindRequest, Name: id, Field: "operation"}
}

// write is the write of a request's document.
func (d *Desk) write(doc store.Document, r *Request) (store.Write, error) {
	kept := document{Request: r}
	if r.Access == nil && d.Sealer != nil {
		secret, err := json.Marshal(private{r.Text, r.Arguments})
		if err != nil {
			return store.Write{}, err
		}
		if kept.Sealed, err = d.Sealer.Seal(place(r.ID), secret); err != nil {
			return store.Write{}, err
		}
		public := *r
		public.Text, public.Arguments = "", nil
		kept.Request = &public
	}
	var err error
	if doc.Body, err = json.Marshal(kept); err != nil {
		return store.Write{}, err
	}
	doc.Expires = time.Time{}
	if r.over() {
		doc.Expires = cmp.Or(latest(r.DecidedAt), r.Created).Add(KeepRequests)
	}
	if doc.Version == 0 {
		return store.Create(doc), nil
	}
	return store.Replace(doc), nil
}

func latest(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// requestOf is the request of a document.
func (d *Desk) requestOf(doc store.Document) (*Request, error) {
	r := &Request{}
	kept := document{Request: r}
	damaged := func() error { return fmt.Errorf("reading request %q: it is damaged", doc.Name) }
	if json.Unmarshal(doc.Body, &kept) != nil || kept.Request != r || r.ID != doc.Name {
		return nil, damaged()
	}
	if kept.Sealed != "" {
		if d.Sealer == nil {
			return nil, fmt.Errorf("reading request %q: it is sealed, and there is no key", doc.Name)
		}
		secret, err := d.Sealer.Open(place(r.ID), kept.Sealed)
		if err != nil {
			return nil, fmt.Errorf("reading request %q: %w", doc.Name, err)
		}
		var p private
		if json.Unmarshal(secret, &p) != nil {
			return nil, damaged()
		}
		r.Text, r.Arguments = p.Text, p.Arguments
	}
	if !r.whole() {
		return nil, damaged()
	}
	return r, nil
}

// whole reports whether nothing is missing of a request that the store has.
func (r *Request) whole() bool {
	if r.Access == nil {
		return len(r.Rules) > 0 && r.Content != ""
	}
	switch {
	case r.Access.Glass == nil && (r.State == ReviewDue || r.State == Fine || r.State == Violation):
		return false
	case r.Access.Glass != nil || r.State == Approved:
		return r.Access.Grant != nil
	}
	return true
}
