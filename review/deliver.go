package review

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/store"
)

// Times of sending.
const (
	leaseName   = "notices"
	leaseLife   = 30 * time.Second
	leaseRenew  = leaseLife / 3
	sendWithin  = 30 * time.Second // one attempt
	lookEvery   = time.Minute      // when nothing is due
	letGoWithin = 5 * time.Second
)

// errLost says that another gateway may send by now.
var errLost = errors.New("the lease was lost")

// Run sends what waits, while no other gateway does, until ctx ends. It asks nothing of the store while there are no
// channels.
func (o *Outbox) Run(ctx context.Context) {
	holder, told := rand.Text(), false
	for ctx.Err() == nil {
		channels, changed := o.used()
		if len(channels) == 0 {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		before := time.Now()
		lease, err := o.Store.Acquire(ctx, leaseName, holder, leaseLife)
		if err == nil {
			told = false
			err = o.deliver(ctx, lease, before)
		}
		quiet := errors.Is(err, store.ErrHeld) || errors.Is(err, errLost) || errors.Is(err, store.ErrTrimmed)
		if err != nil && ctx.Err() == nil && !quiet && !told {
			told = true
			o.log().Error("the store cannot be asked for notices about requests: it is tried again", "err", err)
		}
		wait(ctx, leaseRenew/2)
	}
}

// wait waits, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// delivery is the work of the gateway that has the lease.
type delivery struct {
	*Outbox
	stop  context.CancelCauseFunc
	woken chan struct{}

	mu    sync.Mutex
	lease store.Lease
	skew  time.Duration // by which the store's clock is ahead
	lanes map[string]*lane
	wg    sync.WaitGroup
}

// deliver sends until ctx ends, the lease is lost or the store cannot be read.
func (o *Outbox) deliver(outer context.Context, lease store.Lease, asked time.Time) error {
	ctx, stop := context.WithCancelCause(outer)
	d := &delivery{Outbox: o, stop: stop, woken: make(chan struct{}, 1), lanes: make(map[string]*lane)}
	d.renewed(lease, asked)
	defer func() {
		stop(nil)
		d.wg.Wait()
		o.lead(nil)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(outer), letGoWithin)
		defer cancel()
		_ = o.Store.Release(ctx, d.lease) // it ends by itself
	}()
	since, err := d.read(ctx)
	if err != nil {
		return err
	}
	o.lead(d)
	d.wg.Go(func() { d.keepLease(ctx, asked) })
	d.wg.Go(func() { d.follow(ctx, since) })
	d.dispatch(ctx)
	if outer.Err() != nil {
		return outer.Err()
	}
	return context.Cause(ctx)
}

func (o *Outbox) lead(d *delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leading = d
}

// renewed keeps the lease, and learns what time it is in the store.
func (d *delivery) renewed(l store.Lease, asked time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lease, d.skew = l, l.Until.Add(-leaseLife).Sub(asked)
}

// now is the store's time. d.mu is held.
func (d *delivery) now() time.Time { return time.Now().Add(d.skew) }

// fence is a write that fails when another gateway sends.
func (d *delivery) fence() store.Write {
	d.mu.Lock()
	defer d.mu.Unlock()
	return store.Fence(d.lease)
}

// keepLease renews the lease. One that could not be renewed in time is lost.
func (d *delivery) keepLease(ctx context.Context, last time.Time) {
	for ctx.Err() == nil {
		wait(ctx, leaseRenew)
		asked := time.Now()
		short, cancel := context.WithTimeout(ctx, leaseRenew)
		l, err := d.Store.Acquire(short, leaseName, d.lease.Holder, leaseLife)
		cancel()
		switch {
		case err == nil && l.Fence == d.lease.Fence:
			d.renewed(l, asked)
			last = asked
		case err == nil || errors.Is(err, store.ErrHeld) || time.Since(last) > leaseLife-leaseRenew:
			d.stop(errLost)
			return
		}
	}
}

// poke has it looked what is to be done.
func (d *delivery) poke() {
	select {
	case d.woken <- struct{}{}:
	default:
	}
}

// lane returns that of a document. d.mu is held.
func (d *delivery) lane(document string) *lane {
	name, _, _ := strings.Cut(document, "/")
	if d.lanes[name] == nil {
		d.lanes[name] = newLane(name)
	}
	return d.lanes[name]
}

// read reads everything that is kept, and returns from where changes are followed.
func (d *delivery) read(ctx context.Context) (since int64, err error) {
	if since, _, err = d.Store.Head(ctx); err != nil {
		return 0, err
	}
	for doc, err := range store.All(ctx, d.Store, KindNotice, "") {
		if err != nil {
			return 0, err
		}
		d.waits(doc)
	}
	for doc, err := range store.All(ctx, d.Store, KindDeadLetter, "") {
		if err != nil {
			return 0, err
		}
		d.died(doc)
	}
	for doc, err := range store.All(ctx, d.Store, KindNoticeClosed, "") {
		if err != nil {
			return 0, err
		}
		c := &closed{}
		if json.Unmarshal(doc.Body, c) == nil {
			d.mu.Lock()
			d.lane(doc.Name).closed = c
			d.mu.Unlock()
		}
	}
	return since, nil
}

// waits takes a letter in.
func (d *delivery) waits(doc store.Document) {
	e := &entry{name: doc.Name, order: doc.Version, created: doc.Created}
	if l, ok := letterOf(doc); ok {
		e.request, e.person = l.Notice.Subject(), l.Notice.person()
		if l.Attempts > 0 {
			// It was the first of its request.
			e.order, e.attempts, e.due = 0, l.Attempts, l.Tried.Add(backoff(l.Attempts))
		}
	} else {
		e.request, e.drop = doc.Name, damaged
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lane(doc.Name).add(e)
}

// died takes a dead letter in.
func (d *delivery) died(doc store.Document) {
	person := ""
	if l, ok := letterOf(doc); ok {
		person = l.Notice.person()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lane(doc.Name).dead[doc.Name] = person
}

// follow takes in what is written from now on.
func (d *delivery) follow(ctx context.Context, since int64) {
	for changes, err := range store.Follow(ctx, d.Store, since) {
		for _, c := range changes {
			if err = d.followed(ctx, c); err != nil {
				break
			}
		}
		if err != nil { // everything is read again
			d.stop(err)
			return
		}
		d.poke()
	}
}

func (d *delivery) followed(ctx context.Context, c store.Change) error {
	switch c.Kind {
	case KindDeadLetter:
		if !c.Deleted {
			doc, err := d.Store.Get(ctx, KindDeadLetter, c.Name)
			if err == nil {
				d.died(doc)
			}
			if !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.lane(c.Name).dead, c.Name)
	case KindNotice:
		d.mu.Lock()
		l := d.lane(c.Name)
		known := l.waiting[c.Name]
		if c.Deleted && known != nil && !known.running {
			l.remove(c.Name)
		}
		d.mu.Unlock()
		if c.Deleted || known != nil {
			return nil
		}
		doc, err := d.Store.Get(ctx, KindNotice, c.Name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		d.waits(doc)
	}
	return nil
}

// dispatch starts what is due, until ctx ends.
func (d *delivery) dispatch(ctx context.Context) {
	for ctx.Err() == nil {
		t := time.NewTimer(d.start(ctx))
		select {
		case <-t.C:
		case <-d.woken:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// start starts what is due, and returns how long there is nothing else.
func (d *delivery) start(ctx context.Context) time.Duration {
	channels, _ := d.used()
	by := make(map[string]*Channel, len(channels))
	for i := range channels {
		by[channels[i].Name] = &channels[i]
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	at := now.Add(lookEvery)
	for _, l := range d.lanes {
		c := by[l.name]
		if l.closed != nil && c != nil && c.Version != l.closed.Version {
			l.closed, l.failures, l.rest, l.said = nil, 0, time.Time{}, false
			d.wg.Go(func() { d.reopen(ctx, l.name) })
		}
		for {
			e, when := l.next(now, c)
			if e == nil {
				at = earlier(at, when)
				break
			}
			e.running = true
			l.running++
			drop := e.drop
			d.wg.Go(func() { d.work(ctx, l, c, e, drop) })
		}
		if extra := len(l.dead) - MaxDead; extra > 0 {
			d.forget(ctx, l, extra)
		}
	}
	return at.Sub(now)
}

// work sends a letter, or gives it up.
func (d *delivery) work(ctx context.Context, l *lane, c *Channel, e *entry, drop string) {
	r := d.send(ctx, c, e, drop)
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.poke()
	e.running = false
	l.running--
	if r.done {
		l.remove(e.name)
	}
	switch {
	case !r.asked: // the channel was not
	case r.err == nil || errors.Is(r.err, ErrRefused): // it answers
		if r.err == nil {
			l.delivered++
		} else {
			l.failed++
		}
		if l.said {
			d.log().Info("a channel is told of requests again", "channel", l.name)
		}
		l.failures, l.rest, l.said = 0, time.Time{}, false
	default:
		l.failed++
		l.failures++
		pause := backoff(l.failures)
		if busy := (*BusyError)(nil); errors.As(r.err, &busy) {
			pause = max(pause, min(busy.After, maxBusy))
		}
		l.rest = d.now().Add(pause)
		e.attempts++
		e.due = d.now().Add(backoff(e.attempts))
		if gone := errors.Is(r.err, ErrGone); gone || l.failures >= saidAfter && !l.said {
			l.said = true
			advice := "it is tried again"
			if gone {
				l.closed = &closed{c.Version, d.now(), brief(r.err)}
				advice = "it is tried again once the channel's configuration changes"
			}
			d.log().Warn("a channel cannot be told of requests: "+advice, "channel", l.name, "waiting", len(l.waiting), "err", brief(r.err))
		}
	}
	if !r.asked && !r.done { // the store did not answer
		e.due = d.now().Add(store.PollEvery)
	}
}

// result is what has come of an attempt.
type result struct {
	asked bool  // the channel was
	err   error // what it said
	done  bool  // the letter does not wait any more
}

func (d *delivery) send(ctx context.Context, c *Channel, e *entry, drop string) (r result) {
	doc, err := d.Store.Get(ctx, KindNotice, e.name)
	if err != nil {
		return result{done: errors.Is(err, store.ErrNotFound)}
	}
	l, ok := letterOf(doc)
	var n *Notice
	if !ok {
		drop = damaged
	} else if n, err = d.notice(&l); err != nil && drop == "" {
		drop = brief(err)
	}
	if drop != "" {
		return result{done: d.giveUp(ctx, doc, &l, drop)}
	}
	short, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	r.asked, r.err = true, d.tell(short, c, n)
	if r.err == nil {
		r.done = d.keep(ctx, store.Delete(doc))
		return r
	}
	if ctx.Err() != nil {
		return result{}
	}
	d.mu.Lock()
	now := d.now()
	d.mu.Unlock()
	l.Attempts, l.Tried = l.Attempts+1, now
	if errors.Is(r.err, ErrRefused) || now.Sub(doc.Created) >= GiveUpAfter {
		r.done = d.giveUp(ctx, doc, &l, brief(r.err))
		return r
	}
	l.Error = brief(r.err)
	if doc.Body, err = compact(&l); err != nil {
		r.done = d.giveUp(ctx, doc, &l, damaged)
		return r
	}
	ws := []store.Write{store.Replace(doc)}
	if errors.Is(r.err, ErrGone) {
		if w, err := d.closing(ctx, c, now, r.err); err == nil {
			ws = append(ws, w)
		}
	}
	d.keep(ctx, ws...)
	return r
}

// tell tells a channel of a notice. One on which the channel panics is given up: it would end the gateway, and each that comes after it.
func (d *delivery) tell(ctx context.Context, c *Channel, n *Notice) (err error) {
	defer func() {
		if v := recover(); v != nil {
			d.log().Error("telling a channel of a request panicked", "channel", c.Name, "notice", n.ID, "subject", n.Subject(), "type", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: telling the channel of it panicked", ErrRefused)
		}
	}()
	return c.Notifier.Notify(ctx, n)
}

// keep writes until that is kept, and reports whether it is. When a document is another by now, it is not. When ctx has ended it is
// tried once, so that what was taken does not come again because the gateway stops.
func (d *delivery) keep(ctx context.Context, ws ...store.Write) bool {
	for told := false; ; {
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), letGoWithin)
		_, err := d.Store.Write(short, append([]store.Write{d.fence()}, ws...)...)
		cancel()
		var conflict *store.ConflictError
		switch {
		case err == nil:
			return true
		case errors.As(err, &conflict) && conflict.Op == store.OpFence:
			d.stop(errLost)
			return false
		case errors.Is(err, store.ErrConflict): // of an earlier attempt that was kept, or others'
			return ws[0].Op == store.OpDelete && conflict != nil && conflict.Got == 0
		case errors.Is(err, store.ErrInvalid):
			d.log().Error("what has become of a notice cannot be kept", "err", err)
			return false
		case ctx.Err() != nil:
			return false
		case !told:
			told = true
			d.log().Error("what has become of a notice cannot be kept: it is tried again", "err", err)
		}
		wait(ctx, store.PollEvery)
	}
}

// giveUp makes a dead letter of a letter.
func (d *delivery) giveUp(ctx context.Context, doc store.Document, l *letter, why string) bool {
	d.mu.Lock()
	now := d.now()
	d.mu.Unlock()
	channel, _, _ := strings.Cut(doc.Name, "/")
	l.Error = why
	if l.Tried.IsZero() {
		l.Tried = now
	}
	dead := store.Document{Kind: KindDeadLetter, Name: doc.Name, Body: doc.Body, Expires: now.Add(KeepDead)}
	if l.Notice != nil {
		body, err := compact(l)
		if err != nil {
			return false
		}
		dead.Body = body
		d.log().Error("a notice was given up: it can be sent again for 30 days", "channel", channel, "notice", l.Notice.ID, "subject", l.Notice.Subject(), "err", why)
	} else {
		d.log().Error("a notice was given up", "channel", channel, "name", doc.Name, "err", why)
	}
	return d.keep(ctx, store.Delete(doc), store.Create(dead))
}

// closing is the write that keeps that a channel wants no notices.
func (d *delivery) closing(ctx context.Context, c *Channel, now time.Time, why error) (store.Write, error) {
	doc, err := d.Store.Get(ctx, KindNoticeClosed, c.Name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.Write{}, err
	}
	doc.Kind, doc.Name = KindNoticeClosed, c.Name
	if doc.Body, err = json.Marshal(closed{c.Version, now, brief(why)}); err != nil {
		return store.Write{}, err
	}
	if doc.Version == 0 {
		return store.Create(doc), nil
	}
	return store.Replace(doc), nil
}

// reopen forgets that a channel wanted no notices.
func (d *delivery) reopen(ctx context.Context, name string) {
	doc, err := d.Store.Get(ctx, KindNoticeClosed, name)
	if err == nil {
		_, err = d.Store.Write(ctx, d.fence(), store.Delete(doc))
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
		d.log().Warn("that a channel is open again could not be kept", "channel", name, "err", err)
	}
}

// forget deletes the oldest dead letters of those who have most. d.mu is held.
func (d *delivery) forget(ctx context.Context, l *lane, n int) {
	for range n {
		oldest := surplus(maps.All(l.dead))
		delete(l.dead, oldest)
		d.wg.Go(func() {
			doc, err := d.Store.Get(ctx, KindDeadLetter, oldest)
			if err == nil {
				d.keep(ctx, store.Delete(doc))
			}
		})
	}
}

// stats returns the numbers of all lanes.
func (d *delivery) stats() []ChannelStats {
	channels, _ := d.used()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range channels {
		d.lane(c.Name) // also those that nothing has waited for
	}
	var list []ChannelStats
	for _, l := range d.lanes {
		list = append(list, ChannelStats{
			Channel: l.name, Waiting: len(l.waiting), Dead: len(l.dead), Delivered: l.delivered, Failures: l.failed, Oldest: l.oldest(),
			Failing: l.failures > 0 || l.closed != nil,
		})
	}
	return list
}
