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
	asking map[proxy.Op]*held // in the chain, not held yet
	list   []*held
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

	pending *proxy.Pending // once parked
	verdict *proxy.Verdict // once done
	print   [sha256.Size]byte
}

var (
	errTooManyHeld = proxy.Deny(proxy.CauseApproval, "", "too many of your requests wait for an approval here", "Wait until one is decided.")
	errUnrepeated  = proxy.Deny(proxy.CauseApproval, "", "the approved request was not sent again in time", "Send it again to ask for another approval.")
	errUnheld      = errors.New("the request cannot wait for an approval")
)

func (hs *holds) any() bool { return hs.count.Load() > 0 }

// hold is told of an operation that waits, by the goroutine that asks about it.
func (hs *holds) hold(op proxy.Op, p *proxy.Pending) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	k := hs.asking[op]
	wait := p.Wait
	if k == nil || k.pending == nil && len(hs.list) >= MaxHeld {
		p.Wait = func(ctx context.Context) proxy.Verdict {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			wait(ctx) // so that the request is withdrawn
			return errTooManyHeld
		}
		return
	}
	again := k.pending != nil // another approval is needed: the client has sent it again already
	k.pending = p
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
		close(k.parked)
	}
}

// Exchange is one request of a visit, as the protocol answers it.
type Exchange interface {
	// Op is what it asks for.
	Op() proxy.Op
	// Key names what it asks for, but for the body: requests with another one do not mean the same.
	Key() string
	// Buffer reads the whole body, which has at most limit bytes: it is sent on from there.
	Buffer(limit int64) error
	// Print tells requests apart that do not mean the same, once the body is buffered.
	Print() [sha256.Size]byte
	// Run sends it on, as an operation that may run.
	Run(op proxy.Op, v *proxy.Verdict)
	// Denied, Waits and TooLong answer one that may not run, that waits for an approval, and that cannot wait
	// because of its body.
	Denied(v *proxy.Verdict)
	Waits(p *proxy.Pending)
	TooLong(err error)
}

// Decide asks about a request, and answers it. gone ends when the client has left.
func (v *Visit) Decide(gone context.Context, x Exchange) {
	ctx, end := context.WithCancelCause(v.session.Context())
	defer end(nil)
	stop := context.AfterFunc(gone, func() { end(proxy.ErrClientLeft) })
	defer stop()
	if v.adopt(ctx, x) { // it repeats one that was approved, or that waits still
		return
	}
	verdict, held := v.ask(ctx, x)
	if held {
		return // it is answered
	}
	if verdict.Refuses() {
		x.Denied(verdict)
		return
	}
	x.Run(x.Op(), verdict)
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
	select {
	case <-k.done:
		return k.verdict, false
	case <-k.parked:
	case <-ctx.Done():
		cancel(context.Cause(ctx))
		<-k.done
		return k.verdict, false
	}
	grace := time.NewTimer(heldGrace)
	defer grace.Stop()
	answer, gone := grace.C, (<-chan struct{})(nil)
	if v.patient { // it is decided while the client waits
		answer, gone = nil, ctx.Done()
	}
	select {
	case <-k.done:
		return k.verdict, false
	case <-k.decided:
		close(k.taken)
		<-k.done
		return k.verdict, false
	case <-gone:
		cancel(context.Cause(ctx))
		<-k.done
		return k.verdict, false
	case <-answer:
	}
	if err := x.Buffer(MaxHeldBody); err != nil {
		cancel(errUnheld)
		<-k.done
		if !k.verdict.Refuses() {
			s.Done(k.op, &proxy.Outcome{Err: errUnheld})
		}
		x.TooLong(err)
		return nil, true
	}
	k.print = x.Print()
	hs.keep(k)
	go func() { // ends with the session at the latest
		<-k.done
		select {
		case <-k.taken:
		default:
			if !k.verdict.Refuses() { // nobody runs it
				s.Done(k.op, &proxy.Outcome{Err: errUnheld})
			}
			time.AfterFunc(toldFor, func() { hs.drop(k) })
		}
	}()
	x.Waits(k.pending)
	return nil, true
}

// toldFor is how long the refusal of a request that waited is told to who sends it again.
const toldFor = 10 * time.Minute

func (hs *holds) keep(k *held) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.list = append(hs.list, k)
	hs.count.Store(int32(len(hs.list)))
}

// drop forgets a request, and reports whether it was there: of several only one drops it.
func (hs *holds) drop(k *held) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	i := slices.Index(hs.list, k)
	if i < 0 {
		return false
	}
	hs.list = slices.Delete(hs.list, i, i+1)
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

// adopt answers a request that waits for an approval already, or runs it when it has one. It reports
// whether there was such a one.
func (v *Visit) adopt(ctx context.Context, x Exchange) bool {
	hs := &v.holds
	if !hs.any() || !hs.like(x.Key()) || x.Buffer(MaxHeldBody) != nil {
		return false
	}
	k := hs.find(x.Print())
	if k == nil {
		return false
	}
	select {
	case <-k.done: // it was refused, or has waited for too long
		if hs.drop(k) {
			x.Denied(k.verdict)
			return true
		}
		return false
	case <-k.decided:
	default:
		x.Waits(k.pending)
		return true
	}
	if !hs.drop(k) {
		return false // another one runs it
	}
	close(k.taken)
	select {
	case <-k.done:
	case <-ctx.Done():
		k.cancel(context.Cause(ctx))
		<-k.done
	}
	if k.verdict.Refuses() {
		x.Denied(k.verdict)
		return true
	}
	x.Run(k.op, k.verdict)
	return true
}
