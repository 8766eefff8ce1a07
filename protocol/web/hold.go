package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Bounds of requests that wait for an approval.
const (
	// maxHeld is how many of one visit wait, and maxHeldBody how long the body of one may be.
	maxHeld     = 16
	maxHeldBody = 1 << 20
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
	op      *proxy.Request
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
	if k == nil || k.pending == nil && len(hs.list) >= maxHeld {
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

// ask asks the chain. Where the request waits for an approval, it is answered, and the second
// result is true.
func (x *exchange) ask(ctx context.Context) (*proxy.Verdict, bool) {
	s, hs := x.visit.session, &x.visit.holds
	own, cancel := context.WithCancelCause(s.Context())
	k := &held{
		op: x.op, cancel: cancel,
		parked: make(chan struct{}), decided: make(chan struct{}), taken: make(chan struct{}), done: make(chan struct{}),
	}
	hs.mu.Lock()
	if hs.asking == nil {
		hs.asking = make(map[proxy.Op]*held)
	}
	hs.asking[x.op] = k
	hs.mu.Unlock()
	s.Go("web request", func() error { // which the end of the session waits for
		err := s.Protect("web request", func() error {
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
	select {
	case <-k.done:
		return k.verdict, false
	case <-k.decided:
		close(k.taken)
		<-k.done
		return k.verdict, false
	case <-grace.C:
	}
	if err := x.buffer(maxHeldBody); err != nil {
		cancel(errUnheld)
		<-k.done
		if !k.verdict.Refuses() {
			s.Done(k.op, &proxy.Outcome{Err: errUnheld})
		}
		x.refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("This request needs an approval, and its body cannot wait for it: %v.", err), "Send a smaller one.")
		return nil, true
	}
	k.print = x.print()
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
	x.waits(k.pending, "")
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
func (hs *holds) like(op *proxy.Request) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return slices.ContainsFunc(hs.list, func(k *held) bool {
		return k.op.Method == op.Method && k.op.Host == op.Host && k.op.Path == op.Path && k.op.Query == op.Query
	})
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
func (x *exchange) adopt(ctx context.Context) bool {
	hs := &x.visit.holds
	if !hs.any() || !hs.like(x.op) || x.buffer(maxHeldBody) != nil {
		return false
	}
	k := hs.find(x.print())
	if k == nil {
		return false
	}
	select {
	case <-k.done: // it was refused, or has waited for too long
		if hs.drop(k) {
			x.denied(k.verdict)
			return true
		}
		return false
	case <-k.decided:
	default:
		x.waits(k.pending, "")
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
		x.denied(k.verdict)
		return true
	}
	x.op = k.op
	x.run(k.verdict)
	return true
}

// print tells requests apart that do not mean the same.
func (x *exchange) print() (sum [sha256.Size]byte) {
	body := sha256.Sum256(x.read.bytes())
	h := sha256.New()
	for _, part := range []string{
		x.op.Kind.String(), x.op.Method, x.app.host, x.sent, x.r.Header.Get("Content-Type"), x.r.Header.Get("Content-Encoding"), string(body[:]),
	} {
		fmt.Fprintf(h, "%d %s\n", len(part), part)
	}
	h.Sum(sum[:0])
	return sum
}

// body is what was read of a request's body.
type body struct{ text []byte }

func (b *body) bytes() []byte {
	if b == nil {
		return nil
	}
	return b.text
}

var errLong = errors.New("it is longer than what can be looked at")

// buffer reads the request's body, which has at most limit bytes; it is sent on from there.
func (x *exchange) buffer(limit int64) error {
	r := x.r
	if x.read != nil || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if r.ContentLength > limit {
		return errLong
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return errors.New("it did not come whole")
	}
	if int64(len(text)) > limit {
		r.Body = rest{io.MultiReader(bytes.NewReader(text), r.Body), r.Body}
		return errLong
	}
	x.read = &body{text}
	r.Body = rest{bytes.NewReader(text), r.Body}
	return nil
}

type rest struct {
	io.Reader
	io.Closer
}
