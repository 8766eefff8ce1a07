package secrets

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// How often what failed is tried again.
const (
	retryFirst = time.Second
	retryMost  = time.Minute
	// afterEnd is how long after its end a lease is still revoked, since clocks differ.
	afterEnd = time.Minute
)

var errNoEnd = errors.New("the source gave a lease that does not say when it ends")

// held is a lease that the broker keeps alive until it is released, and revokes then.
type held struct {
	*core
	origin  *origin
	entry   entry
	event   Event // what its events have in common
	expires time.Time
	renews  bool

	lost     chan struct{} // closed when it ended in use
	once     sync.Once
	released chan struct{}
}

// release gives the lease back. It does not wait for the service.
func (h *held) release() { h.once.Do(func() { close(h.released) }) }

// lease asks for a credential of the caller's own. When she has left before it comes, it is revoked.
func (b *core) lease(ctx context.Context, o *origin, named, ref Ref, u Use) (*Value, *held, error) {
	b.mu.Lock()
	if b.drained {
		b.mu.Unlock()
		return nil, nil, errors.New("the broker of secrets is closed")
	}
	b.leases.Add(1) // kept until the lease is revoked, and so is the provider
	o.uses++
	b.mu.Unlock()
	done := func() {
		b.leave(o)
		b.leases.Done()
	}
	type answer struct {
		value *Value
		held  *held
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		if a.value, a.err = b.ask(b.final, o, named, u); a.err != nil {
			done()
			answers <- a
			return
		}
		if a.value.Lease == "" {
			done() // it ends by itself
		} else if a.held, a.err = b.hold(o, ref, u, a.value); a.err != nil {
			a.value = nil
		}
		answers <- a
	}()
	select {
	case a := <-answers:
		return a.value, a.held, a.err
	case <-ctx.Done():
		go func() {
			if a := <-answers; a.held != nil {
				a.held.release()
			}
		}()
		return nil, nil, fmt.Errorf("secret from %s: %w", ref.Scheme, context.Cause(ctx))
	}
}

// hold takes care of the lease of v: it is in the journal before anybody uses it.
func (b *core) hold(o *origin, ref Ref, u Use, v *Value) (*held, error) {
	h := &held{
		core: b, origin: o, expires: v.Expires, renews: v.Renewable,
		entry: entry{Scheme: ref.Scheme, Lease: v.Lease, Expires: v.Expires},
		event: Event{Ref: ref.String(), Session: u.Session, Lease: v.Lease},
		lost:  make(chan struct{}), released: make(chan struct{}),
	}
	if u.Identity != nil {
		h.event.Actor = u.Identity.Subject
	}
	err := b.journal.add(h.entry)
	if err == nil && v.Expires.IsZero() {
		err = errNoEnd
	}
	if err != nil {
		h.release()
		h.entry.Expires = time.Now()
		go h.revoke()
		return nil, fmt.Errorf("secret from %s: %w", ref.Scheme, err)
	}
	go h.keep()
	return h, nil
}

// keep renews the lease when two thirds of its time are over, until it is released or ends.
func (h *held) keep() {
	term := time.Until(h.expires)
	wait := h.next()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-h.released:
			h.revoke()
			return
		case <-h.ctx.Done():
			h.revoke()
			return
		case <-timer.C:
		}
		if time.Until(h.expires) <= 0 {
			h.end(ErrExpired)
			return
		}
		begun := time.Now()
		expires, err := h.renew(term)
		e := h.event
		e.Kind, e.Took, e.Expires, e.Err = Renewed, time.Since(begun), expires, err
		h.report(e)
		switch {
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrDenied):
			h.end(err)
			return
		case err != nil:
			timer.Reset(min(max(time.Until(h.expires)/4, retryFirst), max(time.Until(h.expires), 0)))
			continue
		case expires.Sub(h.expires) < time.Second:
			h.renews = false // its longest time is reached
		}
		h.expires = expires
		timer.Reset(h.next())
	}
}

// next is when the lease is looked at again: at two thirds of what is left of it, a
// tenth of that sooner or later, or at its end.
func (h *held) next() time.Duration {
	left := max(time.Until(h.expires), 0)
	if !h.renews || left < time.Second {
		return left
	}
	return time.Duration(float64(left) * 2 / 3 * (0.9 + 0.2*rand.Float64()))
}

func (h *held) renew(term time.Duration) (expires time.Time, err error) {
	ctx, cancel := context.WithTimeout(h.ctx, h.timeout)
	defer cancel()
	err = protect(func() error {
		expires, err = h.origin.leaser.Renew(ctx, h.entry.Lease, term)
		return err
	})
	return expires, err
}

// end tells who uses the lease that it is over, waits until they have left, and revokes what
// may be left of it.
func (h *held) end(err error) {
	e := h.event
	e.Kind, e.Expires, e.Err = Lost, h.expires, err
	h.report(e)
	close(h.lost)
	select {
	case <-h.released:
	case <-h.ctx.Done():
	}
	h.revoke()
}

// revoke revokes the lease, again and again until the service has done so, or the lease has ended by itself. It
// goes on after the broker was closed, whose Close waits for it; a process that ends before leaves it to
// the next one, by the journal.
func (h *held) revoke() {
	defer h.leases.Done()
	defer h.leave(h.origin)
	e := h.event
	e.Kind, e.Lease = Revoked, h.entry.Lease
	end := h.expires
	if end.IsZero() {
		end = h.entry.Expires
	}
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		begun := time.Now()
		err := h.revokeOnce()
		e.Took, e.Err = time.Since(begun), err
		h.report(e)
		if err == nil || time.Now().After(end.Add(afterEnd)) {
			if err := h.journal.remove(h.entry); err != nil {
				e.Err = err
				h.report(e)
			}
			return
		}
		select {
		case <-h.final.Done():
			return // the journal has it
		case <-time.After(wait):
		}
	}
}

func (h *held) revokeOnce() error {
	ctx, cancel := context.WithTimeout(h.final, h.timeout)
	defer cancel()
	return protect(func() error { return h.origin.leaser.Revoke(ctx, h.entry.Lease) })
}
