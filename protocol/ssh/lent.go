package ssh

import (
	"sync"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
)

// lent is what the client lends to the resource: its key agent and its display.
type lent struct {
	mu       sync.Mutex
	agent    uint64 // the operation that lent it, 0 when it is not lent
	display  uint64
	single   bool // the display is lent for one connection
	displays int
}

func (l *lent) agentConnection() *proxy.Forward {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.agent == 0 {
		return nil
	}
	return &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindAgent, Parent: l.agent}, Listen: true, Network: "unix"}
}

func (l *lent) displayConnection() *proxy.Forward {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.display == 0 || l.single && l.displays > 0 {
		return nil
	}
	l.displays++
	return &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindX11, Parent: l.display}, Listen: true, Network: "tcp"}
}

// requestAgent lends the client's agent.
func (ch *channel) requestAgent(r *gossh.Request) (bool, error) {
	if len(r.Payload) > 0 {
		return false, errPayload
	}
	set, limits := ch.session.settings, &ch.session.who.limits
	op := &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindAgent}, Network: "unix"}
	ok, err := ch.lend(r, op, set.Agent && !set.ExecOnly && limits.permits("permit-agent-forwarding"), "a key agent is not forwarded to this resource")
	if ok {
		l := &ch.session.lent
		l.mu.Lock()
		l.agent = op.ID
		l.mu.Unlock()
	}
	return ok, err
}

// requestX11 lends the client's display.
func (ch *channel) requestX11(r *gossh.Request) (bool, error) {
	x, err := parseX11(r.Payload)
	if err != nil {
		return false, err
	}
	set, limits := ch.session.settings, &ch.session.who.limits
	op := &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindX11}, Network: "tcp"}
	ok, err := ch.lend(r, op, set.X11 && !set.ExecOnly && limits.permits("permit-X11-forwarding"), "a display is not forwarded to this resource")
	if ok {
		l := &ch.session.lent
		l.mu.Lock()
		l.display, l.single = op.ID, x.Single
		l.mu.Unlock()
	}
	return ok, err
}

// lend asks whether something may be lent, and passes the client's offer on.
func (ch *channel) lend(r *gossh.Request, op *proxy.Forward, allowed bool, reason string) (bool, error) {
	s := ch.session
	if ch.started {
		return false, errPayload
	}
	if !allowed {
		s.countRefusal()
		s.refuse(op, reason, "")
		return false, nil
	}
	if s.ask(ch.ctx, ch, op).Refuses() {
		s.countRefusal()
		return false, nil
	}
	ok, err := ch.up.SendRequest(r.Type, true, r.Payload)
	out := &proxy.Outcome{Err: err}
	if !ok {
		out.Code = "refused"
	}
	s.proxied.Done(op, out)
	return ok, err
}
