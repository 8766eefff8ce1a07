package revision

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/store"
)

// Kinds of the documents in the store. KindHead is the one to follow: it changes with the
// objects, once for each revision.
const (
	KindHead     = "configuration"
	kindObject   = "configuration-object"
	kindRevision = "configuration-revision"
)

// headName is the name of the one document of KindHead.
const headName = "head"

// Keeper keeps objects in a store. Its fields are set before its first use. It is safe for
// concurrent use, by several gateways too.
type Keeper struct {
	Store store.Store
	// Check returns why the objects cannot be used as changes make them. It is called for every
	// change before anything is kept.
	Check func(ctx context.Context, objects []Object, changes []Change) error
	// Needs says why a change needs a second person; empty: it does not.
	Needs func(c Change) string
}

// head is the state of all objects.
type head struct {
	Last    int64 `json:"last"`    // revision that was made
	Current int64 `json:"current"` // revision that was applied
	// Waiting are revisions that wait, and perhaps some that are gone.
	Waiting []int64 `json:"waiting,omitempty"`
}

// Set is what a store has at one moment.
type Set struct {
	Current int64    // revision that was applied last; 0: none
	Objects []Object // by kind, and name

	head  store.Document
	state head
}

// Get returns an object, and whether it is there.
func (s *Set) Get(k Key) (o Object, ok bool) {
	i, ok := slices.BinarySearchFunc(s.Objects, k, func(o Object, k Key) int { return strings.Compare(o.String(), k.String()) })
	if ok {
		o = s.Objects[i]
	}
	return o, ok
}

// text is that of an object; empty: it is not there.
func (s *Set) text(k Key) string {
	o, _ := s.Get(k)
	return o.Text
}

// with is the objects with changes.
func (s *Set) with(changes []Change) []Object {
	after := make(map[Key]string, len(changes))
	for _, c := range changes {
		after[c.Key] = c.After
	}
	list := slices.DeleteFunc(slices.Clone(s.Objects), func(o Object) bool { _, ok := after[o.Key]; return ok })
	for _, c := range changes {
		if c.After != "" {
			list = append(list, Object{Key: c.Key, Text: c.After})
		}
	}
	slices.SortFunc(list, func(a, b Object) int { return strings.Compare(a.String(), b.String()) })
	return list
}

// loads is how often the objects are read again that have changed while they were read.
const loads = 10

// Load reads all objects.
func (k *Keeper) Load(ctx context.Context) (*Set, error) {
	for range loads {
		before, err := k.head(ctx)
		if err != nil {
			return nil, err
		}
		set := &Set{head: before}
		for d, err := range store.All(ctx, k.Store, kindObject, "") {
			if err != nil {
				return nil, err
			}
			var o Object
			if err := json.Unmarshal(d.Body, &o); err != nil || o.String() != d.Name {
				return nil, fmt.Errorf("reading configuration object %q: it is damaged: restore the store, or delete the object there", d.Name)
			}
			o.Version, o.Made = d.Version, time.UnixMicro(d.Created.UnixMicro()).UTC()
			set.Objects = append(set.Objects, o)
		}
		after, err := k.head(ctx)
		if err != nil {
			return nil, err
		}
		if after.Version == before.Version {
			set.state, err = headOf(before)
			set.Current = set.state.Current
			return set, err
		}
	}
	return nil, fmt.Errorf("reading the configuration objects: they have changed %d times meanwhile: try again", loads)
}

// head reads the document of the head, which has no version before the first revision.
func (k *Keeper) head(ctx context.Context) (store.Document, error) {
	d, err := k.Store.Get(ctx, KindHead, headName)
	if errors.Is(err, store.ErrNotFound) {
		return store.Document{Kind: KindHead, Name: headName}, nil
	}
	return d, err
}

func headOf(d store.Document) (h head, err error) {
	if d.Version == 0 {
		return h, nil
	}
	if err := json.Unmarshal(d.Body, &h); err != nil {
		return h, errors.New("reading the head of the configuration: it is damaged: restore the store")
	}
	return h, nil
}

// writeHead is the write that makes h the head in the place of that of s.
func (s *Set) writeHead(h head) (store.Write, error) { return put(s.head, h) }

// put is the write of a document with a value, in the place of the one that was read.
func put(d store.Document, v any) (store.Write, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // which would make texts six times as long
	if err := enc.Encode(v); err != nil {
		return store.Write{}, err
	}
	d.Body = b.Bytes()
	if d.Version == 0 {
		return store.Create(d), nil
	}
	return store.Replace(d), nil
}

// changes are what p would change; objects that are as p wants them are left out.
func (s *Set) changes(p *Proposal) ([]Change, error) {
	var list []Change
	for _, o := range p.Put {
		now, _ := s.Get(o.Key)
		if now.Text == o.Text {
			continue
		}
		if o.Version != 0 && now.Version > o.Version {
			return nil, fmt.Errorf("%w: %s has changed since you read it: read it again, and make your change there", ErrConflict, o.Key)
		}
		list = append(list, Change{o.Key, now.Text, o.Text})
	}
	for _, key := range p.Delete {
		before := s.text(key)
		if before == "" {
			return nil, fmt.Errorf("%w: %s is not in the store", ErrNotFound, key)
		}
		list = append(list, Change{key, before, ""})
	}
	for key, text := range p.Seen {
		if s.text(key) != text {
			return nil, fmt.Errorf("%w: %s is not what it was: look at it again", ErrConflict, key)
		}
	}
	size := 0
	for _, c := range list {
		size += len(c.Before) + len(c.After)
	}
	if size > MaxSize {
		return nil, fmt.Errorf("%w: the objects have %d bytes, before and after, want at most %d: change them in parts", ErrInvalid, size, MaxSize)
	}
	slices.SortFunc(list, func(a, b Change) int { return strings.Compare(a.String(), b.String()) })
	return list, nil
}

// writes are those that make the objects what changes say.
func (s *Set) writes(changes []Change) ([]store.Write, error) {
	var ws []store.Write
	for _, c := range changes {
		now, _ := s.Get(c.Key)
		d := store.Document{Kind: kindObject, Name: c.String(), Version: now.Version}
		if c.After == "" {
			ws = append(ws, store.Delete(d))
			continue
		}
		w, err := put(d, Object{Key: c.Key, Text: c.After})
		if err != nil {
			return nil, err
		}
		ws = append(ws, w)
	}
	return ws, nil
}

// Plan returns the revision that p would make, and does nothing. Its number is 0, and it has no changes
// when the objects are what p wants.
func (k *Keeper) Plan(ctx context.Context, p Proposal) (*Revision, error) {
	set, err := k.Load(ctx)
	if err != nil {
		return nil, err
	}
	return k.plan(ctx, set, &p)
}

func (k *Keeper) plan(ctx context.Context, set *Set, p *Proposal) (*Revision, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	changes, err := set.changes(p)
	if err != nil {
		return nil, err
	}
	r := &Revision{State: Applied, Author: p.Author, Reason: p.Reason, Reverts: p.Reverts, Changes: changes}
	if len(changes) == 0 {
		return r, nil
	}
	if err := k.check(ctx, set, changes); err != nil {
		return nil, err
	}
	for _, c := range changes {
		if why := k.Needs(c); why != "" {
			r.State, r.Needs = Waiting, append(r.Needs, c.String()+": "+why)
		}
	}
	return r, nil
}

func (k *Keeper) check(ctx context.Context, set *Set, changes []Change) error {
	after := set.with(changes)
	if len(after) > MaxObjects {
		return fmt.Errorf("%w: there would be %d objects, want at most %d", ErrInvalid, len(after), MaxObjects)
	}
	total := 0
	for _, o := range after {
		total += len(o.Text)
	}
	if total > MaxTotal && slices.ContainsFunc(changes, func(c Change) bool { return len(c.After) > len(c.Before) }) {
		return fmt.Errorf("%w: the objects would have %d bytes altogether, want at most %d", ErrInvalid, total, MaxTotal)
	}
	return k.Check(ctx, after, changes)
}

// attempts is how often a change is made again when others are faster.
const attempts = 5

// Propose makes a revision, which is applied, or waits when a second person has to decide. record is
// called with it before it is kept; nothing is done on an error. A revision without changes is not
// made: its number is 0.
func (k *Keeper) Propose(ctx context.Context, p Proposal, record func(*Revision) error) (*Revision, error) {
	return k.again(ctx, func(set *Set) (*Revision, []store.Write, error) {
		r, err := k.plan(ctx, set, &p)
		if err != nil || len(r.Changes) == 0 {
			return r, nil, err
		}
		r.Number = set.state.Last + 1
		h := head{r.Number, set.Current, set.state.Waiting}
		d := store.Document{Kind: kindRevision, Name: revisionName(r.Number)}
		_, now, err := k.Store.Head(ctx)
		if err != nil {
			return nil, nil, err
		}
		r.Created = now.UTC()
		var ws []store.Write
		if r.State == Applied {
			h.Current = r.Number
			ws, err = set.writes(r.Changes)
		} else {
			d.Expires = now.Add(WaitingLife)
			h.Waiting, err = k.room(ctx, h.Waiting)
			h.Waiting = append(h.Waiting, r.Number)
		}
		if err != nil {
			return nil, nil, err
		}
		if old, err := k.Store.Get(ctx, kindRevision, revisionName(r.Number-MaxKept)); err == nil {
			ws = append(ws, store.Delete(old))
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, nil, err
		}
		return k.kept(set, h, d, r, ws, record)
	})
}

// kept are the writes of a revision, which is recorded.
func (k *Keeper) kept(set *Set, h head, d store.Document, r *Revision, ws []store.Write, record func(*Revision) error) (*Revision, []store.Write, error) {
	headWrite, err := set.writeHead(h)
	if err != nil {
		return nil, nil, err
	}
	w, err := put(d, r)
	if err != nil {
		return nil, nil, err
	}
	if err := record(r); err != nil {
		return nil, nil, err
	}
	return r, append(ws, headWrite, w), nil
}

// again makes a change of what is there, and makes it anew when others were faster.
func (k *Keeper) again(ctx context.Context, change func(*Set) (*Revision, []store.Write, error)) (*Revision, error) {
	var err error
	for range attempts {
		var set *Set
		if set, err = k.Load(ctx); err != nil {
			return nil, err
		}
		r, ws, bad := change(set)
		if bad != nil || len(ws) == 0 {
			return r, bad
		}
		switch _, err = k.Store.Write(ctx, ws...); {
		case err == nil:
			return r, nil
		case errors.Is(err, store.ErrUncertain):
			return nil, fmt.Errorf("%w: %w", ErrUncertain, err)
		case !errors.Is(err, store.ErrConflict):
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w %d times: look at it again: %w", ErrConflict, attempts, err)
}

// room returns those of some revisions that still wait, once there are too many, and fails when these are.
func (k *Keeper) room(ctx context.Context, waiting []int64) ([]int64, error) {
	if len(waiting) < MaxWaiting {
		return slices.Clip(waiting), nil
	}
	var still []int64
	for _, n := range waiting {
		switch r, err := k.Get(ctx, n); {
		case errors.Is(err, ErrNotFound): // it was not decided about in time
		case err != nil:
			return nil, err
		case r.State == Waiting:
			still = append(still, n)
		}
	}
	if len(still) >= MaxWaiting {
		return nil, fmt.Errorf("%w: %d revisions wait for a decision already: have them decided first", ErrInvalid, len(still))
	}
	return still, nil
}

// revisionName has the newest come first.
func revisionName(n int64) string { return fmt.Sprintf("%016d", int64(1e15)-n) }

// MaxPage is how many revisions one answer of List has at most.
const MaxPage = 200

// maxPageSize bounds the memory of an answer of List, in bytes: those of the page of the store by which they are
// exceeded come on top.
const maxPageSize = 2 << 20

// List returns revisions, the newest first: those before the given number, or the newest when that is
// 0. limit is at most MaxPage; 0 is MaxPage. There may be fewer, since they are large: one without revisions is the
// end.
func (k *Keeper) List(ctx context.Context, before int64, limit int) ([]Revision, error) {
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	q := store.Query{Kind: kindRevision}
	if before > 0 {
		q.After = revisionName(before)
	}
	var list []Revision
	size := 0
	for len(list) < limit && size < maxPageSize {
		q.Limit = limit - len(list)
		page, err := k.Store.List(ctx, q)
		if err != nil || len(page) == 0 {
			return list, err
		}
		for _, d := range page {
			r, err := revisionOf(d)
			if err != nil {
				return nil, err
			}
			list = append(list, *r)
			size += len(d.Body)
		}
		q.After = page[len(page)-1].Name
	}
	return list, nil
}

func revisionOf(d store.Document) (*Revision, error) {
	r := &Revision{}
	if err := json.Unmarshal(d.Body, r); err != nil || revisionName(r.Number) != d.Name {
		return nil, fmt.Errorf("reading revision %q of the configuration: it is damaged", d.Name)
	}
	return r, nil
}

// Get returns a revision.
func (k *Keeper) Get(ctx context.Context, number int64) (*Revision, error) {
	r, _, err := k.get(ctx, number)
	return r, err
}

func (k *Keeper) get(ctx context.Context, number int64) (*Revision, store.Document, error) {
	if number < 1 || number >= 1e15 {
		return nil, store.Document{}, fmt.Errorf("%w: there is no revision %d", ErrNotFound, number)
	}
	d, err := k.Store.Get(ctx, kindRevision, revisionName(number))
	if errors.Is(err, store.ErrNotFound) {
		return nil, d, fmt.Errorf("%w: there is no revision %d", ErrNotFound, number)
	}
	if err != nil {
		return nil, d, err
	}
	r, err := revisionOf(d)
	return r, d, err
}

// Decide has somebody approve or reject a revision that waits. One that is approved is checked
// again and applied, when its objects are what they were. record is called before anything is kept.
func (k *Keeper) Decide(ctx context.Context, number int64, approve bool, by Person, reason string, record func(*Revision) error) (*Revision, error) {
	if len(reason) > MaxReason {
		return nil, fmt.Errorf("%w: reason: got %d bytes, want at most %d", ErrInvalid, len(reason), MaxReason)
	}
	return k.again(ctx, func(set *Set) (*Revision, []store.Write, error) {
		r, d, err := k.get(ctx, number)
		switch {
		case err != nil:
			return nil, nil, err
		case r.State != Waiting:
			return nil, nil, fmt.Errorf("%w: revision %d is %s", ErrDecided, number, r.State)
		case approve && by.Subject == r.Author.Subject:
			return nil, nil, ErrOwn
		}
		_, now, err := k.Store.Head(ctx)
		if err != nil {
			return nil, nil, err
		}
		r.Decided = &Decision{by, now.UTC(), reason}
		d.Expires = time.Time{}
		h := head{set.state.Last, set.Current, slices.DeleteFunc(slices.Clone(set.state.Waiting), func(n int64) bool { return n == number })}
		var ws []store.Write
		if r.State = Rejected; approve {
			r.State, h.Current = Applied, number
			for _, c := range r.Changes {
				if set.text(c.Key) != c.Before {
					return nil, nil, fmt.Errorf("%w: %s is not what it was when revision %d was made: make it again", ErrConflict, c.Key, number)
				}
			}
			if err := k.check(ctx, set, r.Changes); err != nil {
				return nil, nil, err
			}
			if ws, err = set.writes(r.Changes); err != nil {
				return nil, nil, err
			}
		}
		return k.kept(set, h, d, r, ws, record)
	})
}

// Reversal returns the proposal that takes a revision back, for [Keeper.Propose]. The objects must be
// as the revision has left them.
func (k *Keeper) Reversal(ctx context.Context, number int64) (Proposal, error) {
	r, err := k.Get(ctx, number)
	if err != nil {
		return Proposal{}, err
	}
	if r.State != Applied {
		return Proposal{}, fmt.Errorf("%w: revision %d is %s, so that there is nothing to take back", ErrInvalid, number, r.State)
	}
	p := Proposal{Reverts: number, Seen: make(map[Key]string)}
	for _, c := range r.Changes {
		p.Seen[c.Key] = c.After
		if c.Before == "" {
			p.Delete = append(p.Delete, c.Key)
		} else {
			p.Put = append(p.Put, Object{Key: c.Key, Text: c.Before})
		}
	}
	return p, nil
}
