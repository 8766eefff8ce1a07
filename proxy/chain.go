package proxy

import (
	"context"
	"errors"
	"time"
)

// chain holds the hooks that are set, in interceptor order, so that an absent
// hook costs nothing.
type chain struct {
	asks  []*namedHooks
	flows []*namedHooks
	tells []*namedHooks
	dones []*namedHooks
}

func newChain(hooks []namedHooks) chain {
	var c chain
	for i := range hooks {
		h := &hooks[i]
		if h.Ask != nil {
			c.asks = append(c.asks, h)
		}
		if h.Flow != nil {
			c.flows = append(c.flows, h)
		}
		if h.Tell != nil {
			c.tells = append(c.tells, h)
		}
		if h.Done != nil {
			c.dones = append(c.dones, h)
		}
	}
	return c
}

// maxRewrites bounds how often one operation's text is replaced; each
// replacement is asked from the start of the chain.
const maxRewrites = 4

// Ask asks the interceptors, in order, whether op may run. The first refusal is
// the answer; Allow and Pass go on to the next; a Rewrite replaces the text and
// starts again; a Hold waits. The returned verdict either refuses, and then
// Done has been told already, or lets op run as it now is, and then the caller
// owes a call of [Session.Done].
//
// ctx is what hooks wait on: the session's [Session.Context] or one derived from
// it, so that they are told when the session ends.
//
// op must not be in use by an earlier Ask whose Done has not returned. Ask
// allocates nothing for verdicts without a Hold, Rewrite or Warn.
func (s *Session) Ask(ctx context.Context, op Op) *Verdict {
	m := op.Info()
	kind, parent := m.Kind, m.Parent
	*m = Meta{Kind: kind, Parent: parent, ID: s.lastID.Add(1), At: time.Now(), op: op}
	if !kind.Valid() {
		m.verdict = Deny(CauseInternal, "", "this kind of operation is not known to the gateway", "")
	} else if s.enter(m) {
		m.verdict = s.ask(ctx, op, m)
		s.leave(m)
	}
	if cause := context.Cause(s.ctx); cause != nil {
		m.verdict = Deny(CauseInternal, "", cause.Error(), "")
		m.by = ""
	}
	if kind == KindConnect && m.verdict.Action != ActionAllow && !m.verdict.Refuses() {
		m.verdict = Deny(CausePolicy, "", "no rule allows you to connect to "+s.Target.String(), "")
		m.by = ""
	}
	if m.verdict.Refuses() {
		s.Done(op, &Outcome{})
	}
	return &m.verdict
}

// Refuse records that the handler itself refused op, by v, without asking the
// chain: what the resource's settings exclude, or what the protocol does not
// know. Done is told, as of every refusal.
func (s *Session) Refuse(op Op, v Verdict) {
	m := op.Info()
	*m = Meta{Kind: m.Kind, Parent: m.Parent, ID: s.lastID.Add(1), At: time.Now(), op: op, verdict: v}
	s.Done(op, &Outcome{})
}

func (s *Session) ask(ctx context.Context, op Op, m *Meta) (v Verdict) {
	asked := "chain"
	defer func() {
		if r := recover(); r != nil {
			err := s.gateway.recovered(asked, r, s)
			s.Kill(err)
			v = Deny(CauseInternal, "", err.Error(), "")
			m.by = asked
		}
	}()
	allowed := Pass()
	warn := ""
	for i := 0; i < len(s.chain.asks); i++ {
		h := s.chain.asks[i]
		asked = h.name
		v := h.Ask(ctx, op)
		if v.Action == ActionHold {
			v = s.park(ctx, op, m, v)
		}
		if v.Warn != "" {
			if warn != "" {
				warn += "\n"
			}
			warn += v.Warn
		}
		switch v.Action {
		case ActionPass:
		case ActionAllow:
			allowed = v
			m.by = h.name
		case ActionRewrite:
			if err := s.rewrite(op, m, v.Text); err != nil {
				m.by = h.name
				return Deny(CauseInternal, v.Rule, err.Error(), "")
			}
			i = -1
		default:
			m.by = h.name
			if v.Action != ActionDeny {
				v = Deny(CauseInternal, v.Rule, "no decision was made", "")
			}
			v.Warn = warn
			return v
		}
	}
	allowed.Warn = warn
	return allowed
}

func (s *Session) rewrite(op Op, m *Meta, text []byte) error {
	if len(text) == 0 || s.onRewrite == nil {
		return errors.New("this operation cannot be rewritten")
	}
	if m.rewrites++; m.rewrites > maxRewrites {
		return errors.New("rules keep rewriting this operation")
	}
	if err := s.onRewrite(op, text); err != nil {
		return err
	}
	m.Rewritten = true
	return nil
}

// park waits for a held operation. The time spent waiting is not the chain's.
func (s *Session) park(ctx context.Context, op Op, m *Meta, v Verdict) Verdict {
	h := v.Hold
	if h == nil || h.Wait == nil {
		return Deny(CauseInternal, v.Rule, "no decision was made", "")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	defer stop()
	if !h.Deadline.IsZero() {
		t := time.AfterFunc(time.Until(h.Deadline), func() { cancel(ErrDeadline) })
		defer t.Stop()
	}
	s.mu.Lock()
	s.asking--
	if s.holds == nil {
		s.holds = make(map[*Meta]context.CancelCauseFunc)
	}
	s.holds[m] = cancel
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.holds, m)
		s.asking++
		s.mu.Unlock()
		m.asked = time.Now()
	}()
	if s.onHold != nil {
		s.onHold(op, h)
	}
	got := h.Wait(ctx)
	if cause := context.Cause(ctx); cause != nil && !got.Refuses() {
		got = Deny(CauseApproval, v.Rule, "the request was not decided: "+cause.Error(), "")
	}
	if got.Action == ActionHold {
		got = Deny(CauseInternal, v.Rule, "no decision was made", "")
	}
	return got
}

// CancelHolds refuses every operation that is parked, as when the client
// cancels. It reports whether there was one.
func (s *Session) CancelHolds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cancel := range s.holds {
		cancel(ErrCanceled)
	}
	return len(s.holds) > 0
}

// enter notes that op m is in the chain, and arms the watch over it. It reports
// whether the session still lives.
func (s *Session) enter(m *Meta) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.asked = m.At
	s.active.push(m)
	s.asking++
	if !s.armed && !s.closed {
		s.armed = true
		d := or(s.gateway.AskTimeout, defaultAskTimeout)
		if s.watch == nil {
			s.watch = time.AfterFunc(d, s.watchAsks)
		} else {
			s.watch.Reset(d)
		}
	}
	return s.ctx.Err() == nil
}

func (s *Session) leave(m *Meta) {
	s.mu.Lock()
	s.asking--
	m.asked = time.Time{}
	s.mu.Unlock()
}

// watchAsks ends the session when an operation has been in the chain for too
// long; a hook that ignores its context cannot be stopped otherwise.
func (s *Session) watchAsks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = false
	if s.asking == 0 || s.closed {
		return
	}
	limit := or(s.gateway.AskTimeout, defaultAskTimeout)
	next := limit
	for m := s.active.head; m != nil; m = m.next {
		if m.asked.IsZero() || s.holds[m] != nil {
			continue
		}
		left := limit - time.Since(m.asked)
		if left <= 0 {
			s.cancel(ErrStuck)
			return
		}
		next = min(next, left)
	}
	s.armed = true
	s.watch.Reset(next)
}

// Done tells every interceptor how op ended. It sets the outcome's Verdict, By
// and Duration. A second call for the same Ask does nothing.
func (s *Session) Done(op Op, out *Outcome) {
	m := op.Info()
	s.mu.Lock()
	if m.done {
		s.mu.Unlock()
		return
	}
	m.done = true
	s.active.remove(m)
	s.mu.Unlock()
	out.Verdict, out.By = &m.verdict, m.by
	if len(s.chain.dones) == 0 {
		return
	}
	out.Duration = time.Since(m.At)
	told := "chain"
	defer func() {
		if r := recover(); r != nil {
			s.Kill(s.gateway.recovered(told, r, s))
		}
	}()
	for _, h := range s.chain.dones {
		told = h.name
		h.Done(s.ctx, op, out)
	}
}

// Tell shows m to every interceptor that wants it, in order. On an error
// nothing of m may be passed on, and the session has ended.
func (s *Session) Tell(op Op, m *Message) error {
	for _, h := range s.chain.tells {
		if err := s.Protect(h.name, func() error { return h.Tell(s.ctx, op, m) }); err != nil {
			s.Kill(err)
			return err
		}
	}
	return nil
}

// Flow asks the interceptors for filters over op's data. It returns nil when
// nobody is interested. On an error none of the data may be passed on.
func (s *Session) Flow(op Op, shape *Shape) (*Flow, error) {
	if len(s.chain.flows) == 0 {
		return nil, nil
	}
	var fl *Flow
	for _, h := range s.chain.flows {
		var f Filter
		err := s.Protect(h.name, func() (err error) {
			f, err = h.Flow(s.ctx, op, shape)
			return err
		})
		if err != nil {
			var p *PanicError
			if errors.As(err, &p) {
				s.Kill(err)
			}
			return nil, err
		}
		if f.Row == nil && f.Bytes == nil && f.End == nil && f.Resize == nil {
			continue
		}
		if fl == nil {
			fl = &Flow{}
		}
		fl.add(f)
	}
	return fl, nil
}

// metaList is a list of operations through their Meta, in the order of Ask.
type metaList struct{ head, tail *Meta }

func (l *metaList) push(m *Meta) {
	m.prev, m.next, m.listed = l.tail, nil, true
	if l.tail != nil {
		l.tail.next = m
	} else {
		l.head = m
	}
	l.tail = m
}

func (l *metaList) remove(m *Meta) {
	if !m.listed {
		return
	}
	if m.prev != nil {
		m.prev.next = m.next
	} else {
		l.head = m.next
	}
	if m.next != nil {
		m.next.prev = m.prev
	} else {
		l.tail = m.prev
	}
	m.prev, m.next, m.listed = nil, nil, false
}

func (l *metaList) first() Op {
	if l.head == nil {
		return nil
	}
	return l.head.op
}
