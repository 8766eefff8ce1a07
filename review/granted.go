package review

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// ending says what the user of a session is told that was open by the request.
func (r *Request) ending() string {
	state, by, reason := r.State, r.DecidedBy, r.Reason
	if g := r.broken(); g != nil && g.Ended != nil {
		state, by, reason = g.Ended.State, g.Ended.By, g.Ended.Reason
	}
	if state == Revoked {
		text := "request " + r.ID + ", by which you were connected, was revoked"
		if by != "" {
			text += " by " + by
		}
		if reason != "" {
			text += ": " + reason
		}
		return text
	}
	return "the time is over that request " + r.ID + " has granted"
}

// look finds what time has opened or closed since it was looked at last.
func (d *Desk) look() {
	now, here := d.now(), time.Now()
	type call struct {
		*watch
		request, why string
	}
	var calls []call
	d.mu.Lock()
	for _, k := range d.known {
		open := k.counts(now, here)
		if open == k.open {
			continue
		}
		if k.open = open; !open && !k.void {
			k.ends = here // whatever the store's clock says later
		}
		d.version.Add(1)
		why := ""
		if !open {
			why = k.request.ending()
		}
		for f := range d.watches[k.request.Requester] {
			calls = append(calls, call{f, k.request.ID, why})
		}
	}
	d.mu.Unlock()
	for _, c := range calls {
		c.changed(c.request, c.why)
	}
}

// Wait waits until a request is decided, or ctx ends, and returns what it is then. It waits on while the store does not answer.
func (d *Desk) Wait(ctx context.Context, id string) (*Request, error) {
	c := make(chan struct{}, 1)
	d.mu.Lock()
	if d.waiters == nil {
		d.waiters = make(map[string]map[chan struct{}]bool)
	}
	if d.waiters[id] == nil {
		d.waiters[id] = make(map[chan struct{}]bool)
	}
	d.waiters[id][c] = true
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if delete(d.waiters[id], c); len(d.waiters[id]) == 0 {
			delete(d.waiters, id)
		}
	}()
	for {
		doc, r, err := d.read(ctx, id)
		var again <-chan time.Time
		switch {
		case errors.Is(err, ErrUnknown):
			return nil, err
		case err != nil:
			again = time.After(every)
		case r.State != Pending:
			d.see(r, doc.Version) // also when it has not been heard of here: what was granted counts now
			return r, nil
		}
		select {
		case <-c:
		case <-again:
		case <-ctx.Done():
			return r, context.Cause(ctx)
		}
	}
}

// Version changes when Granted may answer otherwise than before, apart from what time brings.
func (d *Desk) Version() uint64 { return d.version.Load() }

// Granted is what somebody who connects now was granted of a rule at a target, and when that has to be asked about again. Of several
// grants it is the one that lasts longest, and one that bounds no rows before all that do.
func (d *Desk) Granted(id *proxy.Identity, t proxy.Target, rule string) (request string, g Grant, check time.Time, ok bool) {
	return d.has(nil, id, t, rule, false)
}

// GrantedIn is Granted in a session, which may be open: what has opened it counts, also when it would not open another.
func (d *Desk) GrantedIn(s *proxy.Session, rule string) (request string, g Grant, check time.Time, ok bool) {
	return d.has(s, s.Identity, s.Target, rule, false)
}

// Glass is Granted of what somebody has without an approval.
func (d *Desk) Glass(id *proxy.Identity, t proxy.Target, rule string) (request string, g Grant, check time.Time, ok bool) {
	return d.has(nil, id, t, rule, true)
}

func (d *Desk) has(s *proxy.Session, id *proxy.Identity, t proxy.Target, rule string, glass bool) (request string, g Grant, check time.Time, ok bool) {
	here := time.Now()
	if check = d.stale(); !here.Before(check) {
		d.freshen() // it may have been followed since
		check = d.stale()
	}
	stale := !here.Before(check) // it may have been revoked
	if stale && !glass {
		return "", Grant{}, check, false
	}
	now := d.now()
	started := now
	if s != nil {
		started = now.Add(-here.Sub(s.Started))
	}
	var ends time.Time
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.known {
		r := &k.request
		if r.Access == nil || (r.Access.Glass != nil) != glass || r.Requester != id.Subject || r.For != id.OnBehalfOf || r.Resource != t.Resource.Name || r.Account != "" && r.Account != t.Account.Name || r.Access.Rule != rule || !k.counts(now, here) || !r.Access.at(t.Resource) || d.cut(r) {
			continue
		}
		offline, elsewhere := d.offlineHere(r)
		if elsewhere || stale && !offline {
			continue
		}
		how := d.opening(r, s, started)
		if how == shut {
			continue
		}
		// What counts already comes before what would have to be used.
		if better := r.Access.better(&g); !ok || g.Opens && how == in || better && (g.Opens || how == in) {
			if offline {
				check = time.Time{}
			}
			request, g, ok = r.ID, *r.Access.Grant, true
			g.Rows, g.Ends = r.Access.Rows, r.Access.Grant.Until
			g.Opens, ends = how == opens, k.ends
		}
	}
	g.From, g.Until = here.Add(g.From.Sub(now)), here.Add(g.Until.Sub(now)) // by this machine's clock
	if ok && ends.Before(g.Until) {
		g.Until = ends
	}
	return request, g, check, ok
}

// better reports whether a grants more than g: any number of rows, or else for longer.
func (a *Access) better(g *Grant) bool {
	if (a.Rows == 0) != (g.Rows == 0) {
		return a.Rows == 0
	}
	return a.Grant.Until.After(g.Ends)
}

// watch is somebody who is told when a person's grants change.
type watch struct{ changed func(request, why string) }

// Watch has changed called when what a request of somebody's has granted begins or ends, with what her sessions by it are told.
func (d *Desk) Watch(subject string, changed func(request, why string)) (stop func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watches == nil {
		d.watches = make(map[string]map[*watch]bool)
	}
	if d.watches[subject] == nil {
		d.watches[subject] = make(map[*watch]bool)
	}
	f := &watch{changed}
	d.watches[subject][f] = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if delete(d.watches[subject], f); len(d.watches[subject]) == 0 {
			delete(d.watches, subject)
		}
	}
}

// every is how often a desk looks at what time has brought, and touchEvery how often it asks the store for the time.
const (
	every      = time.Second
	touchEvery = 5 * time.Second
)

// rememberOver is how long a request that is over is remembered at least: longer than any answer of the store takes. It is for as
// long as it could have counted.
const rememberOver = 10 * time.Minute

// Run ends requests when it is time, and has further people approve them, until ctx ends.
func (d *Desk) Run(ctx context.Context) {
	t := time.NewTicker(every)
	defer t.Stop()
	failed, asked := false, time.Now()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		d.look()
		if time.Since(asked) >= touchEvery {
			asked = time.Now()
			if err := d.catchUp(ctx); err != nil && ctx.Err() == nil && !failed {
				failed = true
				d.log().Error("it cannot be asked whether access that was granted still is: sessions by it end soon unless it can be", "err", err)
			} else if err == nil {
				failed = false
			}
		}
		d.freshen()
		d.resolve(ctx)
		d.settle(ctx)
	}
}

// catchUp asks the store for the time, and reads what could not be read before.
func (d *Desk) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, touchEvery)
	defer cancel()
	d.mu.Lock()
	unread := slices.Collect(maps.Keys(d.unread))
	d.mu.Unlock()
	for _, id := range unread {
		if err := d.Follow(ctx, id); err != nil {
			return err
		}
	}
	if _, err := d.touch(ctx); err != nil {
		return err
	}
	d.handIn(ctx)
	return nil
}

// settle has time take effect: it ends requests, and has further people approve them.
func (d *Desk) settle(ctx context.Context) {
	now := d.now()
	var due []string
	d.mu.Lock()
	for id, k := range d.known {
		switch {
		case k.unkept(): // it is handed in first
		case k.request.due(now) != "" || k.request.escalates(now) || !k.request.over() && d.cut(&k.request):
			due = append(due, id)
		case k.request.State == Unknown && now.Before(k.request.Created.Add(KeepRequests)): // who sends the same again is told
		case k.request.over() && time.Since(k.seen) > rememberOver && now.After(k.request.lasts()) && !k.request.refused(now) && len(d.extended(id)) == 0:
			delete(d.known, id)
		}
	}
	d.mu.Unlock()
	for _, id := range due {
		_, err := d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
			state := r.due(now)
			switch {
			case state == "" && r.escalates(now):
				return r.escalate(now), nil
			case state == "" && r.Access != nil && r.Access.Extends != "":
				return d.takeBack(ctx, r, now)
			case state == "":
				return step{}, ErrOver // another gateway was faster
			}
			if state == ReviewDue {
				r.Access.Glass.due(r, now)
			} else if r.State = state; state == Expired {
				r.DecidedAt = &now
			}
			return step{string(state), "", false}, nil
		})
		if err != nil && !errors.Is(err, ErrOver) && !errors.Is(err, ErrUnknown) && ctx.Err() == nil {
			d.log().Warn("what time brings to a request could not be kept: it is tried again", "request", id, "err", err)
		}
	}
}
