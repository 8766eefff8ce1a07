package review

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// Extend asks for more time for what is granted to somebody by a request, on terms of now: a request of its own, which is approved as any
// other, and by people. Sessions that are open by the first go on by it without a gap. It ends with the first one when that is taken back.
func (d *Desk) Extend(ctx context.Context, who *proxy.Identity, id string, t Terms, length time.Duration, reason, remote string) (*Request, error) {
	_, first, err := d.read(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := first.extensible(who, &t, d.now()); err != nil {
		return nil, err
	}
	if _, docs, err := d.extending(ctx, first); err != nil || len(docs) == MaxExtensions {
		return nil, cmp.Or(err, fmt.Errorf("%w: %d requests follow each other, which is the limit: ask anew", ErrAsk, MaxExtensions))
	}
	a := Ask{
		Resource: first.Resource, Account: first.Account, Terms: t, Actions: first.Access.Grant.Actions, For: length, From: first.Access.Grant.Until,
		Reason: reason, Remote: remote, extends: first.ID, rows: first.Access.Rows,
	}
	return d.Ask(ctx, who, a)
}

// extensible reports why somebody may not ask for more time.
func (r *Request) extensible(who *proxy.Identity, t *Terms, now time.Time) error {
	switch {
	case who == nil || who.Subject != r.Requester || who.OnBehalfOf != r.For:
		return ErrUnknown
	case r.Access == nil:
		return fmt.Errorf("%w: it is about an operation", ErrAsk)
	case r.Access.Glass != nil:
		return fmt.Errorf("%w: what is taken without an approval ends on time: ask for access", ErrAsk)
	case r.State != Approved || !r.open(now):
		return fmt.Errorf("%w: more time is asked for while access is granted, and request %s is %s: ask anew", ErrAsk, r.ID, r.stateAt(now))
	case t.Rule != r.Access.Rule || t.Target != r.Access.Target:
		return fmt.Errorf("%w: rule %s does not grant this any more: ask anew", ErrAsk, r.Access.Rule)
	}
	return nil
}

// stateAt says what a request is at a time, for people.
func (r *Request) stateAt(now time.Time) string {
	if r.State == Approved && r.Access != nil && now.Before(r.Access.Grant.From) {
		return "not there yet"
	}
	if due := r.due(now); due != "" {
		return string(due)
	}
	return string(r.State)
}

// MaxExtensions is how many requests follow each other.
const MaxExtensions = 20

// extending is what a request extends, and the documents of that and of what that extends, when all of it is granted, or was until its
// time was over. Otherwise the error says what has become of it.
func (d *Desk) extending(ctx context.Context, r *Request) (first *Request, docs []store.Document, err error) {
	for at := r; at.Access != nil && at.Access.Extends != ""; {
		if len(docs) == MaxExtensions {
			return nil, nil, fmt.Errorf("%w: %d requests follow each other, which is the limit: ask anew", ErrAsk, MaxExtensions)
		}
		doc, next, err := d.read(ctx, at.Access.Extends)
		switch {
		case errors.Is(err, ErrUnknown) && first != nil:
			return first, docs, nil // it ended long ago
		case errors.Is(err, ErrUnknown):
			return nil, nil, fmt.Errorf("%w: request %s, which this one extends, is not there any more", ErrAsk, at.Access.Extends)
		case err != nil:
			return nil, nil, err
		case next.State != Approved && next.State != Ended:
			return nil, nil, fmt.Errorf("%w: request %s, which this one extends, is %s", ErrAsk, next.ID, next.State)
		}
		if first == nil {
			first = next
		}
		at, docs = next, append(docs, doc)
	}
	return first, docs, nil
}

// follow grants an extension: at once where it is for all that was granted, so that nobody is told of an end that does not come, and
// otherwise from the end of that on. What one may open by the first one may by the extension.
func (a *Access) follow(first *Access, now time.Time) {
	a.grant(now)
	a.Grant.OpenUntil = first.Grant.OpenUntil
	if now.Before(first.Grant.Until) && slices.Equal(a.Actions, first.Grant.Actions) {
		a.Grant.From = now
	}
}

// cut reports whether r extends something that was taken back. d.mu is held.
func (d *Desk) cut(r *Request) bool {
	for range len(d.known) {
		if r.Access == nil || r.Access.Extends == "" {
			return false
		}
		first := d.known[r.Access.Extends]
		if first == nil {
			return false // it ended long ago: what was taken back is remembered while something extends it
		}
		if r = &first.request; r.over() && r.State != Ended {
			return true
		}
	}
	return false
}

// extended are those that extend a request, directly or not, and are not over. d.mu is held.
func (d *Desk) extended(id string) (list []string) {
	for of := []string{id}; len(of) > 0; of = of[1:] {
		for _, k := range d.known {
			r := &k.request
			if r.Access != nil && r.Access.Extends == of[0] && !r.over() && r.ID != id && !slices.Contains(list, r.ID) {
				list, of = append(list, r.ID), append(of, r.ID)
			}
		}
	}
	return list
}

// takeBack ends an extension of what was taken back.
func (d *Desk) takeBack(ctx context.Context, r *Request, now time.Time) (step, error) {
	if r.over() {
		return step{}, ErrOver
	}
	if _, _, err := d.extending(ctx, r); !errors.Is(err, ErrAsk) {
		return step{}, cmp.Or(err, ErrOver)
	}
	return r.void("request "+r.Access.Extends+", which it extends, was taken back", now), nil
}
