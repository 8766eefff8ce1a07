package review

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Void ends a request, soon, because its resource, its rule or its requester is gone: what waits is cancelled, and what was approved is
// revoked. What takes its name later gets nothing by it. why is for people.
func (d *Desk) Void(id, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.doubt(id, why)
}

// Doubt has Gone asked, soon, about the requests that which wants and that are not over.
func (d *Desk) Doubt(which func(*Request) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, k := range d.known {
		if !k.request.over() && which(&k.request) {
			d.doubt(id, "")
		}
	}
}

// doubt notes that a request is looked at. d.mu is held.
func (d *Desk) doubt(id, why string) {
	if d.doubts == nil {
		d.doubts = make(map[string]string)
	}
	if why != "" || d.doubts[id] == "" {
		d.doubts[id] = why
	}
}

// resolve ends what is to be ended, and asks Gone about the others. What cannot be answered or kept is tried again.
func (d *Desk) resolve(ctx context.Context) {
	d.mu.Lock()
	doubts := d.doubts
	d.doubts = nil
	d.mu.Unlock()
	asked := make(map[string]string) // by requester
	var failed error
	for id, why := range doubts {
		if err := d.resolveOne(ctx, id, why, asked); err != nil {
			failed = err
			d.mu.Lock()
			d.doubt(id, why)
			d.mu.Unlock()
		}
	}
	if failed != nil && ctx.Err() == nil {
		d.log().Warn("requests of those who are gone could not be ended: it is tried again", "err", failed)
	}
}

func (d *Desk) resolveOne(ctx context.Context, id, why string, asked map[string]string) error {
	d.mu.Lock()
	k := d.known[id]
	d.mu.Unlock()
	if k == nil || k.request.over() {
		return nil
	}
	if why == "" && d.Gone != nil {
		key := k.request.Requester + "\x00" + k.request.For
		said, known := asked[key]
		if !known {
			var err error
			if said, err = d.Gone(ctx, &k.request); err != nil {
				return err
			}
			asked[key] = said
		}
		why = said
	}
	if why == "" {
		return nil
	}
	_, err := d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
		if r.over() {
			return step{}, ErrOver
		}
		return r.void(why, now), nil
	})
	if errors.Is(err, ErrOver) || errors.Is(err, ErrUnknown) {
		return nil
	}
	return err
}

// void makes a request one that nobody has decided about and that is over.
func (r *Request) void(why string, now time.Time) step {
	as := Cancelled
	if r.State == Approved {
		as = Revoked
	}
	r.State, r.DecidedBy, r.DecidedAt, r.Channel, r.Reason = as, "", &now, "", why
	return step{string(as), why, false}
}

// there reports why what a request for access asks for cannot be granted now.
func (d *Desk) there(ctx context.Context, r *Request) error {
	if d.Gone == nil {
		return nil
	}
	why, err := d.Gone(ctx, r)
	if err == nil && why != "" {
		err = fmt.Errorf("%w: nobody can be granted this any more: %s", ErrAsk, why)
	}
	return err
}
