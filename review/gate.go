package review

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Gate holds what needs an approval, for a program that decides that itself: it is an interceptor of the chain, and the reviewer of the
// same gateway. It lets somebody in at a target for as long as a request for access has granted, ends her sessions then, and has
// operations approved one by one. What it does not hold it passes: another interceptor has to allow it. The fields are set before the
// first use. It is safe for concurrent use.
type Gate struct {
	// Desk has been loaded, and runs (see Desk.Run).
	Desk *Desk
	// Access returns the terms on which somebody is let in at a target, by those who approve. Their Actions are ["connect"] where
	// the program knows no others. Nil, or not ok: she needs no grant.
	Access func(who *proxy.Identity, at proxy.Target) (_ Terms, ok bool)
	// Operation returns how an operation is held; nil: it is not. It has the contract of [proxy.Hooks.Ask], and is not asked of
	// Connect. A nil Operation holds nothing.
	Operation func(s *proxy.Session, op proxy.Op) *proxy.Hold
	// Wait is how long a client that connects without a grant waits for one; 0: she is refused, and connects again later.
	Wait time.Duration
}

// Name implements [proxy.Interceptor].
func (g *Gate) Name() string { return "review" }

// Notes implements [proxy.Noter].
func (g *Gate) Notes() []proxy.NoteKind { return g.Desk.Notes() }

// Intercept implements [proxy.Interceptor].
func (g *Gate) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	p := &pass{gate: g, session: s}
	h := proxy.Hooks{Ask: p.ask}
	if g.Access == nil || s.Dry {
		return h, nil
	}
	p.timer = time.AfterFunc(1<<62, p.look)
	p.stop = g.Desk.Watch(s.Identity.Subject, p.changed)
	h.Close = func(error) { p.close() }
	p.look() // a session that a revision has found connected
	return h, nil
}

// Request implements [proxy.Reviewer].
func (g *Gate) Request(ctx context.Context, s *proxy.Session, op proxy.Op, h *proxy.Hold) (*proxy.Pending, error) {
	if h.Access == "" {
		return g.Desk.Request(ctx, s, op, h)
	}
	terms, ok := g.Access(s.Identity, s.Target)
	if !ok || terms.Rule != h.Access {
		return nil, errors.New("what this needed is not needed any more: connect again")
	}
	return g.Desk.Connect(ctx, s, h, Connecting{Terms: terms, Wait: g.Wait > 0})
}

// pass is what a gate knows of one session.
type pass struct {
	gate    *Gate
	session *proxy.Session
	stop    func() // ends the watch
	timer   *time.Timer

	mu      sync.Mutex
	request string    // by which the session is connected; empty: by none
	until   time.Time // until which that has granted it
	why     string    // what was told of the request when it changed last
	closed  bool
}

func (p *pass) ask(ctx context.Context, op proxy.Op) proxy.Verdict {
	g, s := p.gate, p.session
	if op.Info().Kind != proxy.KindConnect {
		if g.Operation != nil {
			if h := g.Operation(s, op); h != nil {
				return proxy.Verdict{Action: proxy.ActionHold, Cause: proxy.CauseApproval, Rule: h.Rules[0], Reason: h.Message, Hold: h}
			}
		}
		return proxy.Pass()
	}
	if g.Access == nil {
		return proxy.Pass()
	}
	terms, ok := g.Access(s.Identity, s.Target)
	if !ok {
		return proxy.Pass()
	}
	request, grant, _, ok := g.Desk.GrantedIn(s, terms.Rule)
	if ok && grant.Rows > 0 { // of another program on the store
		return proxy.Deny(proxy.CauseInternal, terms.Rule, "request "+request+" grants "+rowsText(grant.Rows)+", and nobody counts them here", "Connect where they are counted, or ask again.")
	}
	if ok && grant.Opens && !s.Dry {
		switch err := g.Desk.Open(ctx, request, s.ID); {
		case errors.Is(err, ErrSpent):
			ok = false
		case err != nil:
			g.Desk.log().Error("that a session is opened by a request could not be recorded or kept", "request", request, "err", err)
			return proxy.Deny(proxy.CauseInternal, terms.Rule, "it could not be recorded or kept that request "+request+" opens this session", "Connect again.")
		}
	}
	if ok {
		p.enter(request)
		return proxy.Verdict{Action: proxy.ActionPass, Rule: terms.Rule, Grant: request}
	}
	var approvers []string
	if len(terms.Stages) > 0 {
		approvers = terms.Stages[0].Approvers
	}
	h := &proxy.Hold{Rules: []string{terms.Rule}, Approvers: [][]string{approvers}, For: terms.Decide, Access: terms.Rule, Message: terms.Message}
	if g.Wait > 0 {
		h.For = g.Wait
	}
	if h.Message == "" {
		h.Message = "access to " + s.Target.String() + " is granted to those who have asked for it"
	}
	return proxy.Verdict{Action: proxy.ActionHold, Cause: proxy.CauseApproval, Rule: terms.Rule, Reason: h.Message, Hold: h}
}

// enter notes by which request the session is connected.
func (p *pass) enter(request string) {
	if p.session.Dry {
		return
	}
	p.mu.Lock()
	p.request = request
	p.mu.Unlock()
	p.look()
}

// changed is told of a grant of the user's.
func (p *pass) changed(request, why string) {
	p.mu.Lock()
	if request == p.request {
		p.why = why
	}
	p.mu.Unlock()
	p.look()
}

// look ends the session when nothing grants it any more, and looks again when that may be.
func (p *pass) look() {
	s := p.session
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || s.Err() != nil || p.request == "" && !s.TakenOver() {
		return
	}
	terms, needed := p.gate.Access(s.Identity, s.Target)
	if !needed {
		return
	}
	request, grant, check, ok := p.gate.Desk.GrantedIn(s, terms.Rule)
	if !ok || grant.Opens {
		why := p.why
		switch over := "the time is over that request " + p.request + " has granted"; {
		case why != "":
		case p.request == "":
			why = "access to " + s.Target.String() + " is granted now to those who have asked for it"
		case time.Now().Before(p.until):
			why = over + ", or it cannot be asked whether it is"
		default:
			why = over
		}
		s.Kill(&proxy.RefusedError{Verdict: proxy.Deny(proxy.CauseApproval, terms.Rule, why, "Connect again to ask again.")})
		return
	}
	if request != p.request {
		p.request, p.why = request, ""
	}
	p.until = grant.Until
	next := grant.Until
	if check.Before(next) {
		next = check
	}
	p.timer.Reset(max(time.Until(next), time.Millisecond))
}

func (p *pass) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.timer.Stop()
	p.stop()
}

// KeepImage implements [proxy.ImageKeeper].
func (g *Gate) KeepImage(ctx context.Context, s *proxy.Session, op uint64, requests []string, i *proxy.Image) error {
	return g.Desk.KeepImage(ctx, s, op, requests, i)
}
