package relay

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/sallyport/sallyport/proxy"
)

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
//
// A request that does several things has an exchange for each of them; the last one is the request itself, and runs when all of them may. An
// approval is kept until all that need one have theirs: the client sends the request again after each. No two of the exchanges have the same
// Print.
func (v *Visit) Decide(gone context.Context, list ...Exchange) {
	ctx, end := context.WithCancelCause(v.session.Context())
	defer end(nil)
	stop := context.AfterFunc(gone, func() { end(proxy.ErrClientLeft) })
	defer stop()
	for !v.decide(ctx, list) {
	}
}

// decide is Decide. It reports false, and has answered nothing, when another request has taken an approval meanwhile.
func (v *Visit) decide(ctx context.Context, list []Exchange) bool {
	hs, last := &v.holds, len(list)-1
	approved := make([]*held, len(list)) // nil where no approval was needed
	var verdict *proxy.Verdict           // of the last one, where it needed none
	for i, x := range list {
		k, err := hs.waiting(x)
		if err != nil {
			x.TooLong(err)
			return true
		}
		if k == nil {
			got, answered := v.ask(ctx, x)
			switch {
			case answered:
				return true
			case got.Refuses():
				x.Denied(got)
				return true
			case i < last:
				v.session.Done(x.Op(), &proxy.Outcome{})
			default:
				verdict = got
			}
			continue
		}
		select {
		case <-k.done: // it was refused, or has waited for too long
			if !hs.drop(k) {
				return false
			}
			x.Denied(k.verdict)
			return true
		case <-k.decided:
			approved[i] = k
		default:
			x.Waits(k.pending)
			return true
		}
	}
	if !hs.drop(approved...) {
		if verdict != nil {
			v.session.Done(list[last].Op(), &proxy.Outcome{Err: errUnheld})
		}
		return false
	}
	op := list[last].Op()
	for i, refusal := range v.take(ctx, approved) {
		if refusal == nil {
			continue
		}
		if verdict != nil {
			v.session.Done(op, &proxy.Outcome{Err: errPart})
		}
		list[i].Denied(refusal)
		return true
	}
	if k := approved[last]; k != nil { // it repeats the one that was approved
		op, verdict = k.op, k.verdict
	}
	list[last].Run(op, verdict)
	return true
}

// take has what was approved go on, and returns the refusals of those that may not run any more. What may is over, but for the last one, which
// runs unless another one is refused.
func (v *Visit) take(ctx context.Context, approved []*held) []*proxy.Verdict {
	refusals := make([]*proxy.Verdict, len(approved))
	refused := false
	for i, k := range approved {
		if k == nil {
			continue
		}
		if k.take(ctx); k.verdict.Refuses() {
			refusals[i], refused = k.verdict, true
		}
	}
	for i, k := range approved {
		switch {
		case k == nil || refusals[i] != nil:
		case refused:
			v.session.Done(k.op, &proxy.Outcome{Err: errPart})
		case i < len(approved)-1:
			v.session.Done(k.op, &proxy.Outcome{})
		}
	}
	return refusals
}

// waiting returns the request that an exchange repeats, and which waits, or has been decided about; nil where it repeats none. After an error
// nothing is left of the body that could be sent on.
func (hs *holds) waiting(x Exchange) (*held, error) {
	if !hs.any() || !hs.like(x.Key()) {
		return nil, nil
	}
	switch err := x.Buffer(MaxHeldBody); {
	case errors.Is(err, errLong):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return hs.find(x.Print()), nil
}
