package review

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// write is the write of a request's document.
func write(doc store.Document, r *Request) (store.Write, error) {
	var err error
	if doc.Body, err = json.Marshal(r); err != nil {
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

// commit writes a transition with what tells of it, and returns the document's version.
func (d *Desk) commit(ctx context.Context, w store.Write, r *Request, event string) (int64, error) {
	ws := []store.Write{w}
	if d.Told != nil {
		more, err := d.Told(&Notice{ID: r.ID + "-" + strings.ToLower(rand.Text()[:10]), Event: event, At: d.now(), Request: r.clone()})
		if err != nil {
			return 0, err
		}
		ws = append(ws, more...)
	}
	last, err := d.Store.Write(ctx, ws...)
	changing := int64(0)
	for i := range ws {
		if ws[i].Changes() {
			changing++
		}
	}
	return last - changing + 1, err // the first of the call's changes
}

// note records a transition.
func (d *Desk) note(ctx context.Context, r *Request, state, reason string) error {
	n := &proxy.RequestNote{
		ID: r.ID, State: state, Hash: r.Hash, Requester: r.Requester, For: r.For, Rules: r.Rules, Resource: r.Resource, Account: r.Account,
		DecidedBy: r.DecidedBy, Channel: r.Channel, Reason: reason,
	}
	if g := r.Access.Grant; g != nil {
		n.Until = g.Until
	}
	if state == Voted {
		v := &r.Access.Votes[len(r.Access.Votes)-1]
		n.DecidedBy, n.Channel = v.By, v.Channel
	}
	return d.Note(ctx, &proxy.Note{Kind: proxy.NoteReview, By: "review", Request: n})
}

// attempts is how often a transition is made anew when another gateway was faster.
const attempts = 10

// change makes a transition. next changes the request and says which event that is; it is called with what the store has. give
// says that it gives something, which is not done when it cannot be recorded.
func (d *Desk) change(ctx context.Context, id string, next func(r *Request, now time.Time) (event, reason string, give bool, err error)) (*Request, error) {
	if err := store.CheckName(id); err != nil {
		return nil, ErrUnknown
	}
	var err error
	for range attempts {
		if err := d.touch(ctx); err != nil {
			return nil, err
		}
		doc, err2 := d.Store.Get(ctx, KindRequest, id)
		if errors.Is(err2, store.ErrNotFound) {
			return nil, ErrUnknown
		}
		if err2 != nil {
			return nil, err2
		}
		r, err2 := requestOf(doc)
		if err2 != nil {
			return nil, err2
		}
		event, reason, give, err2 := next(r, d.now())
		if err2 != nil {
			d.see(r, doc.Version)
			return nil, err2
		}
		r.describe()
		w, err2 := write(doc, r)
		if err2 != nil {
			return nil, err2
		}
		if err2 := d.note(ctx, r, event, reason); err2 != nil && give {
			return nil, fmt.Errorf("the request is not approved because the approval could not be recorded: %w", err2)
		}
		var version int64
		if version, err = d.commit(ctx, w, r, event); err == nil {
			d.see(r, version)
			return r, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("changing request %s: others were faster %d times: %w", id, attempts, err)
}

// decided is the error of what comes after a request's end.
func (r *Request) decided() error {
	e := &DecidedError{State: r.State, By: r.DecidedBy, At: latest(r.DecidedAt)}
	return e
}

// pending checks that a request can still be decided about.
func (r *Request) pending(now time.Time) error {
	if r.State != Pending {
		return r.decided()
	}
	if !now.Before(r.Deadline) {
		return &DecidedError{State: Expired, At: r.Deadline}
	}
	return nil
}
