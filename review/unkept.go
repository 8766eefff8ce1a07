package review

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// Access that was taken while the store did not answer is known to one gateway, until the store has it. Its version is one that no
// document has.

// firstUnkept is the version of a request that the store has not; it grows with what becomes of it, and stays below 0.
const firstUnkept = -1 << 62

func (k *known) unkept() bool { return k.version < 0 }

// BreakOffline is the request by which somebody takes access without the store: the terms have to let her, and nothing that is known here
// must have to be reviewed. It counts with Admit, once it is on record.
func (d *Desk) BreakOffline(who *proxy.Identity, a Ask, proof string, by Offline) (*Request, error) {
	by.Gateway = d.Gateway
	r, err := d.breaks(who, a, &Glass{Proof: proof, Offline: &by})
	if err != nil {
		return nil, err
	}
	if before := d.unreviewed(r.Requester); len(before) > 0 {
		return nil, &UnreviewedError{before[0]}
	}
	return r, d.sign(r)
}

// Admit has a request count that the store does not have. The desk hands it in when the store answers, and tells Unkept of what becomes
// of it until then.
func (d *Desk) Admit(r *Request) {
	d.mu.Lock()
	version := int64(firstUnkept)
	if was := d.known[r.ID]; was != nil {
		if !was.unkept() {
			d.mu.Unlock()
			return // the store has it
		}
		version = was.version + 1
	}
	d.mu.Unlock()
	d.see(r, version)
}

// notKept returns a request that the store does not have; nil: it has it, or there is none.
func (d *Desk) notKept(id string) *Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.known[id]
	if k == nil || !k.unkept() {
		return nil
	}
	r := k.request.clone()
	return &r
}

// OfflineUses is the highest number of a use at this gateway that is known here.
func (d *Desk) OfflineUses() (number uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.known {
		if g := k.request.broken(); g != nil && g.Offline != nil && g.Offline.Gateway == d.Gateway {
			number = max(number, g.Offline.Number)
		}
	}
	return number
}

// Opens reports whether what a request has granted is so now, as far as is known here.
func (d *Desk) Opens(id string) bool {
	now, here := d.now(), time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.known[id]
	return k != nil && k.counts(now, here)
}

// endUnkept takes back what the store does not have.
func (d *Desk) endUnkept(ctx context.Context, r *Request, s step) (*Request, error) {
	n := &proxy.RequestNote{
		ID: r.ID, State: s.event, Hash: r.Hash, Requester: r.Requester, Rules: r.Rules, DecidedBy: r.DecidedBy, Channel: r.Channel, Reason: s.reason,
		Resource: r.Resource, Account: r.Account, Until: r.Access.Grant.Until,
	}
	// Who records says that it could not be; what takes something away is done all the same.
	_ = d.Note(ctx, &proxy.Note{Kind: proxy.NoteReview, By: "review", Request: n})
	d.Admit(r)
	if err := d.tellUnkept(r, false); err != nil {
		return r, fmt.Errorf("it is taken back, and counts again after a restart of the gateway, since that could not be kept: %w", err)
	}
	return r, nil
}

func (d *Desk) tellUnkept(r *Request, kept bool) error {
	if d.Unkept == nil {
		return nil
	}
	return d.Unkept(r, kept)
}

// handIn gives the store what it does not have.
func (d *Desk) handIn(ctx context.Context) {
	var list []Request
	d.mu.Lock()
	for _, k := range d.known {
		if k.unkept() {
			list = append(list, k.request.clone())
		}
	}
	d.mu.Unlock()
	for i := range list {
		r := &list[i]
		version, err := d.keep(ctx, store.Document{Kind: KindRequest, Name: r.ID}, r, step{BreakGlass, r.Access.Reason, true})
		if errors.Is(err, store.ErrConflict) { // it was given it before
			err = d.Follow(ctx, r.ID)
		} else if err == nil {
			d.see(r, version)
		}
		if err == nil {
			err = d.tellUnkept(r, true)
		}
		if err != nil && ctx.Err() == nil {
			d.log().Warn("access that was taken while the store did not answer could not be kept there: it is tried again", "request", r.ID, "err", err)
		}
	}
}

// offlineHere reports whether what a request has granted counts whether the store answers or not: it does at its gateway. elsewhere says
// that it does not count here at all.
func (d *Desk) offlineHere(r *Request) (here, elsewhere bool) {
	g := r.broken()
	if g == nil || g.Offline == nil {
		return false, false
	}
	here = g.Offline.Gateway == d.Gateway
	return here, !here
}

// revoke is the step by which what was approved is taken back, by somebody who may.
func (r *Request) revoke(v *Vote, may bool, now time.Time) (step, error) {
	switch {
	case v.By == nil || !may:
		return step{}, ErrIneligible
	case r.State != Approved:
		return step{}, r.decided()
	case strings.TrimSpace(v.Reason) == "", len(v.Reason) > maxReason:
		return step{}, ErrReason
	}
	return r.decide(Revoked, v, now), nil
}
