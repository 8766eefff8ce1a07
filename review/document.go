package review

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/store"
)

// document is a request as the store has it.
type document struct {
	*Request
	Sums   *sums    `json:"sums,omitempty"`
	Marks  []string `json:"marks,omitempty"`  // of its transitions, in order
	Sealed []byte   `json:"sealed,omitempty"` // what is private of it
	Said   *said    `json:"said,omitempty"`   // what approvers do not read, where nothing is sealed
	Scope  string   `json:"scope,omitempty"`  // of a standing approval, where nothing is sealed
}

// write is the write of a request's document.
func (d *Desk) write(doc store.Document, r *Request) (store.Write, error) {
	public, sealed, err := seal(d.Sealer, requestPurpose+r.ID, r)
	if err != nil {
		return store.Write{}, err
	}
	kept := document{Request: public, Sums: public.sums, Marks: r.marks, Sealed: sealed}
	if sealed == nil {
		kept.Said, kept.Scope = r.said, r.scope()
	}
	if doc.Body, err = compact(kept); err != nil {
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

func errDamaged(doc store.Document) error {
	return fmt.Errorf("reading request %q: it is damaged", doc.Name)
}

// documentOf is a document as it is kept: sealed, and perhaps not genuine.
func documentOf(doc store.Document) (*document, error) {
	r := &Request{}
	kept := &document{Request: r}
	if json.Unmarshal(doc.Body, kept) != nil || kept.Request != r || r.ID != doc.Name {
		return nil, errDamaged(doc)
	}
	return kept, nil
}

// requestOf is the request of a document.
func (d *Desk) requestOf(ctx context.Context, doc store.Document) (*Request, error) {
	kept, err := documentOf(doc)
	if err != nil {
		return nil, err
	}
	r := kept.Request
	r.said, r.sums, r.marks = kept.Said, kept.Sums, kept.Marks
	if r.Standing != nil {
		r.Standing.Scope = kept.Scope
	}
	if err := open(d.Sealer, requestPurpose+r.ID, r, kept.Sealed); err != nil {
		return nil, fmt.Errorf("reading request %q: %w", doc.Name, err)
	}
	if !r.whole() {
		return nil, errDamaged(doc)
	}
	if err := d.genuine(ctx, r); err != nil {
		return nil, fmt.Errorf("reading request %q: %w", doc.Name, err)
	}
	return r, nil
}

// whole reports whether nothing is missing of a request that the store has.
func (r *Request) whole() bool {
	if r.Access == nil {
		return len(r.Rules) > 0 && r.Content != "" && r.sums != nil
	}
	switch {
	case r.Access.Glass == nil && (r.State == ReviewDue || r.State == Fine || r.State == Violation):
		return false
	case r.Access.Glass != nil || r.State == Approved:
		return r.Access.Grant != nil
	}
	return true
}
