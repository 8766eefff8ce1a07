package review

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// Settle notes of each transition that was on record when the gateway was killed, and that the store does not have, that it was not
// made. It is given what the record has of transitions within [KeepRequests], and started says whether an operation has begun. A
// request by which one has begun stays over, although the store does not know that: it was set back. So does one that was recorded as
// over, or by which a session was recorded as opened: it is ended anew, since nobody knows whether the store was set back or the gateway
// was killed before it wrote.
func (d *Desk) Settle(ctx context.Context, recorded []proxy.RequestNote, started func(session string, op uint64) bool) error {
	marks := make(map[string][]string) // by request
	gone := make(map[string]bool)
	for i := range recorded {
		n := &recorded[i]
		if d.notKept(n.ID) != nil {
			continue // it is handed in
		}
		if _, ok := marks[n.ID]; !ok {
			doc, err := d.Store.Get(ctx, KindRequest, n.ID)
			kept := &document{}
			switch {
			case errors.Is(err, store.ErrNotFound):
				gone[n.ID] = true
			case err != nil:
				return err
			default:
				if kept, err = documentOf(doc); err != nil {
					return err
				}
			}
			marks[n.ID] = kept.Marks
		}
		switch {
		case slices.Contains(marks[n.ID], n.Mark):
			continue
		case n.State == string(Used) && started(n.Session, n.Operation):
			d.stays(n, Used)
			continue
		case over[n.State]:
			d.endAnew(n, gone[n.ID])
		}
		if gone[n.ID] && n.State != string(Pending) && n.State != BreakGlass { // it was there, and is not kept any more
			continue
		}
		d.log().Warn("what was recorded of a request was not done, because the gateway stopped before", "request", n.ID, "state", n.State)
		undone := *n
		undone.State, undone.Reason, undone.Signed = Undone, "the gateway stopped before the store had it", ""
		if err := d.Note(ctx, &proxy.Note{Kind: proxy.NoteReview, By: "review", Request: &undone}); err != nil {
			return err
		}
	}
	return nil
}

// over are the states of notes after which a request counts no longer, or less than before.
var over = map[string]bool{
	string(Denied): true, string(Cancelled): true, string(Expired): true, string(Revoked): true, string(Ended): true, string(Lapsed): true, Opened: true,
}

// endAnew ends a request of which it is recorded that it counts no longer, and which the store has as it was before, or has no more.
func (d *Desk) endAnew(n *proxy.RequestNote, gone bool) {
	if gone {
		d.stays(n, Ended)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.known[n.ID]
	if k == nil || k.request.State != Pending && k.request.State != Approved {
		return
	}
	k.void, k.open = true, false
	d.log().Error("a request is recorded as "+n.State+", and the store has it as it was before: was the store set back? The request ends", "request", n.ID)
	d.doubt(n.ID, "it was recorded as "+n.State+" before the gateway stopped, and the store had it as it was before")
}

// stays has a request stay over of which the record says that it is, whatever the store has.
func (d *Desk) stays(n *proxy.RequestNote, as State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.known[n.ID]
	if k != nil && k.request.over() {
		return
	}
	stays := Request{ID: n.ID, State: as, Requester: n.Requester, UseBy: time.Now().Add(KeepRequests)}
	version := int64(0)
	if k != nil {
		version = k.version
		d.log().Error("an operation has run by a request, and the store has it as not used: was the store set back? The request stays over", "request", n.ID, "session", n.Session)
	}
	if d.known == nil {
		d.known = make(map[string]*known)
	}
	d.known[n.ID] = &known{request: stays, version: version, seen: time.Now()}
}
