package jira

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// Times of reading issues.
const (
	readEvery       = 30 * time.Second
	readEverySigned = 5 * time.Minute // webhooks may be lost
	maxRound        = 200             // issues that are read in one round
	leaseLonger     = time.Minute     // than the time between two rounds, for the gateway that reads
	releaseWithin   = 5 * time.Second
	restAtMost      = 10 * time.Minute
)

func (d *Decisions) every() time.Duration {
	switch {
	case d.Every > 0:
		return d.Every
	case d.Signing.Empty():
		return readEvery
	}
	return readEverySigned
}

// Run reads the issues of requests that wait, time and again until ctx ends: one gateway of those on a store does.
func (d *Decisions) Run(ctx context.Context) {
	s, holder, said := d.Notifier.config.Store, rand.Text(), false
	var lease store.Lease
	defer func() {
		if lease.Fence == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWithin)
		defer cancel()
		_ = s.Release(ctx, lease) // it ends by itself
	}()
	for from := 0; ctx.Err() == nil; {
		rest := d.every()
		held, err := s.Acquire(ctx, "jira "+d.Notifier.config.Name, holder, rest+leaseLonger)
		if err == nil {
			lease = held
			from, err = d.round(ctx, from)
		} else if errors.Is(err, store.ErrHeld) {
			err = nil
		}
		var busy *review.BusyError
		switch {
		case errors.As(err, &busy):
			rest = max(rest, min(busy.After, restAtMost))
		case err != nil && ctx.Err() == nil && !said:
			d.log().Error("jira: what is decided in Jira cannot be read or taken: it is tried again", "channel", d.Notifier.config.Name, "err", err)
		}
		said = err != nil
		t := time.NewTimer(rest)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// round reads the issues of requests that wait, from a place in their list on, and returns where the next round goes on. One that fails
// keeps no other from being read.
func (d *Decisions) round(ctx context.Context, from int) (next int, failed error) {
	var pending []review.Request
	for _, r := range d.Pending() {
		if r.Access != nil && r.State == review.Pending {
			pending = append(pending, r)
		}
	}
	within := time.Now().Add(leaseLonger)
	for k := range min(len(pending), maxRound) {
		at := (from + k) % len(pending)
		if time.Now().After(within) {
			return at, failed // others are read in the next round, by who has the lease then
		}
		err := d.look(ctx, &pending[at], "")
		if busy := (*review.BusyError)(nil); errors.As(err, &busy) || ctx.Err() != nil {
			return at, err
		}
		if failed == nil {
			failed = err
		}
	}
	if len(pending) <= maxRound {
		return 0, failed
	}
	return (from + maxRound) % len(pending), failed
}
