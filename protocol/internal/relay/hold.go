package relay

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Bounds of requests that wait for an approval.
const (
	// MaxHeld is how many of one visit wait, and MaxHeldBody how long the body of one may be.
	MaxHeld     = 16
	MaxHeldBody = 1 << 20
	// heldGrace is how long an answer waits for a decision that comes at once.
	heldGrace = 250 * time.Millisecond
)

// holds are the requests of a visit that wait for an approval, or for being sent again.
type holds struct {
	count  atomic.Int32 // of list
	mu     sync.Mutex
	asking map[proxy.Op]*held // in the chain
	list   []*held            // from when an approval is waited for
}

// held is a request that is asked about. When it waits for an approval, the client is told so and sends it
// again: the operation runs then, once, after the chain was asked again.
type held struct {
	op      proxy.Op
	key     string
	parked  chan struct{} // closed when it waits for an approval
	decided chan struct{} // closed when that was given, or refused
	taken   chan struct{} // closed when the client has sent it again
	done    chan struct{} // closed when the chain has answered
	cancel  context.CancelCauseFunc

	pending *proxy.Pending    // once parked
	verdict *proxy.Verdict    // once done
	print   [sha256.Size]byte // of holds.mu; zero until the body is read
}

var (
	errTooManyHeld = proxy.Deny(proxy.CauseApproval, "", "too many of your requests wait for an approval here", "Wait until one is decided.")
	errPartWaits   = proxy.Deny(proxy.CauseApproval, "", "a part of a request that runs cannot wait for an approval here", "Ask for that part by itself.")
	errUnrepeated  = proxy.Deny(proxy.CauseApproval, "", "the approved request was not sent again in time", "Send it again to ask for another approval.")
	errUnheld      = errors.New("the request cannot wait for an approval")
	errPart        = errors.New("something else that the request does may not run")
)

// take has an approved request go on, and waits until the chain has answered. Another approval that it needs is waited for until ctx ends.
func (k *held) take(ctx context.Context) {
	close(k.taken)
	select {
	case <-k.done:
	case <-ctx.Done():
		k.cancel(context.Cause(ctx))
		<-k.done
	}
}

func (hs *holds) any() bool { return hs.count.Load() > 0 }

// hold is told of an operation that waits, by the goroutine that asks about it.
func (hs *holds) hold(op proxy.Op, p *proxy.Pending) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	k := hs.asking[op]
	wait := p.Wait
	refuse := func(v proxy.Verdict) {
		p.Wait = func(ctx context.Context) proxy.Verdict {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			wait(ctx) // so that the request is withdrawn
			return v
		}
	}
	switch {
	case k == nil: // it is a part of a request that runs
		refuse(errPartWaits)
		return
	case k.pending == nil && !hs.room():
		refuse(errTooManyHeld)
		return
	}
	again := k.pending != nil // another approval is needed: the client has sent it again already
	if !again {
		k.pending = p // which others read from when it is parked
	}
	p.Wait = func(ctx context.Context) proxy.Verdict {
		v := wait(ctx)
		if v.Refuses() || again {
			return v
		}
		close(k.decided)
		select {
		case <-k.taken:
			return v
		case <-ctx.Done():
			return errUnrepeated
		}
	}
	if !again {
		hs.list = append(hs.list, k)
		hs.count.Store(int32(len(hs.list)))
		close(k.parked)
	}
}

// room reports whether one more may wait. Where there are too many, the first one that was refused, and whose client was not told so yet, gives
// way. hs.mu is held.
func (hs *holds) room() bool {
	if len(hs.list) < MaxHeld {
		return true
	}
	i := slices.IndexFunc(hs.list, func(k *held) bool {
		select {
		case <-k.done:
			return true
		default:
			return false
		}
	})
	if i >= 0 {
		hs.list = slices.Delete(hs.list, i, i+1)
	}
	return i >= 0
}

// ask asks the chain. Where the request waits for an approval, it is answered, and the second
// result is true.
func (v *Visit) ask(ctx context.Context, x Exchange) (*proxy.Verdict, bool) {
	s, hs := v.session, &v.holds
	own, cancel := context.WithCancelCause(s.Context())
	k := &held{
		op: x.Op(), key: x.Key(), cancel: cancel,
		parked: make(chan struct{}), decided: make(chan struct{}), taken: make(chan struct{}), done: make(chan struct{}),
	}
	hs.mu.Lock()
	if hs.asking == nil {
		hs.asking = make(map[proxy.Op]*held)
	}
	hs.asking[k.op] = k
	hs.mu.Unlock()
	s.Go("request", func() error { // which the end of the session waits for
		err := s.Protect("request", func() error {
			k.verdict = s.Ask(own, k.op)
			return nil
		})
		if err != nil {
			v := proxy.Deny(proxy.CauseInternal, "", err.Error(), "")
			k.verdict = &v
		}
		hs.mu.Lock()
		delete(hs.asking, k.op)
		hs.mu.Unlock()
		close(k.done)
		cancel(nil)
		return nil
	})
	decided := func() (*proxy.Verdict, bool) {
		<-k.done
		if k.pending != nil {
			hs.drop(k) // the answer tells the client
		}
		return k.verdict, false
	}
	select {
	case <-k.done:
		return decided()
	case <-k.parked:
	case <-ctx.Done():
		cancel(context.Cause(ctx))
		return decided()
	}
	grace := time.NewTimer(heldGrace)
	defer grace.Stop()
	answer, gone := grace.C, (<-chan struct{})(nil)
	if v.patient { // it is decided while the client waits
		answer, gone = nil, ctx.Done()
	}
	select {
	case <-k.done:
		return decided()
	case <-k.decided:
		k.take(ctx)
		return decided()
	case <-gone:
		cancel(context.Cause(ctx))
		return decided()
	case <-answer:
	}
	if err := x.Buffer(MaxHeldBody); err != nil {
		cancel(errUnheld)
		if v, _ := decided(); !v.Refuses() {
			s.Done(k.op, &proxy.Outcome{Err: errUnheld})
		}
		x.TooLong(err)
		return nil, true
	}
	hs.keep(k, x.Print())
	s.Go("held request", func() error { // ends with the session at the latest
		<-k.done
		select {
		case <-k.taken:
		default:
			if !k.verdict.Refuses() { // nobody runs it
				s.Done(k.op, &proxy.Outcome{Err: errUnheld})
			}
			time.AfterFunc(toldFor, func() { hs.drop(k) })
		}
		return nil
	})
	x.Waits(k.pending)
	return nil, true
}

// toldFor is how long the refusal of a request that waited is told to who sends it again.
const toldFor = 10 * time.Minute

// keep has a request found by those that repeat it.
func (hs *holds) keep(k *held, print [sha256.Size]byte) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	k.print = print
}

// drop forgets requests, and reports whether all were there: of several that would drop one, only one does, and one that cannot drop all drops
// none.
func (hs *holds) drop(list ...*held) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for _, k := range list {
		if k != nil && !slices.Contains(hs.list, k) {
			return false
		}
	}
	hs.list = slices.DeleteFunc(hs.list, func(k *held) bool { return slices.Contains(list, k) })
	hs.count.Store(int32(len(hs.list)))
	return true
}

// like returns whether a request for the same waits, but for the body.
func (hs *holds) like(key string) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return slices.ContainsFunc(hs.list, func(k *held) bool { return k.key == key })
}

func (hs *holds) find(print [sha256.Size]byte) *held {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	i := slices.IndexFunc(hs.list, func(k *held) bool { return k.print == print })
	if i < 0 {
		return nil
	}
	return hs.list[i]
}
