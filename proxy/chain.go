package proxy

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

// chain is the hooks that a session has under one revision, in the order of its
// interceptors. Hooks that are nil are left out, so that they cost nothing.
type chain struct {
	revision *Revision
	view     *Session // the session as the revision describes it
	list     []*hooks
	records  bool // an interceptor of it keeps notes
	// left are the states of interceptors of earlier revisions that this one does not
	// have, by name. It is never changed.
	left map[string]any

	asks   []*hooks
	starts []*hooks
	flows  []*hooks
	shows  []*hooks
	tells  []*hooks
	dones  []*hooks
	noted  []*hooks

	binds, redacts, conceals []*hooks

	running  atomic.Int64 // operations that it was asked about and that have not ended
	retired  atomic.Bool  // a later revision's chain has taken its place
	released atomic.Bool
}

func newChain(view *Session, r *Revision, list []*hooks) *chain {
	c := &chain{revision: r, view: view, list: list}
	for _, h := range list {
		if h.Ask != nil {
			c.asks = append(c.asks, h)
		}
		if h.Start != nil {
			c.starts = append(c.starts, h)
		}
		if h.Flow != nil {
			c.flows = append(c.flows, h)
		}
		if h.Show != nil {
			c.shows = append(c.shows, h)
		}
		if h.Tell != nil {
			c.tells = append(c.tells, h)
		}
		if h.Done != nil {
			c.dones = append(c.dones, h)
		}
		if h.Bind != nil {
			c.binds = append(c.binds, h)
		}
		if h.Redact != nil {
			c.redacts = append(c.redacts, h)
		}
		if h.Conceal != nil {
			c.conceals = append(c.conceals, h)
		}
		if h.Noted != nil {
			_, records := h.from.(Recorder)
			c.records = c.records || records
			c.noted = append(c.noted, h)
		}
	}
	view.wantsFlow.Store(view.wantsFlow.Load() || len(c.flows) > 0)
	view.wantsTell.Store(view.wantsTell.Load() || len(c.tells) > 0)
	return c
}

// of returns the hooks of interceptor i, nil when the chain has none.
func (c *chain) of(i Interceptor) *hooks {
	if c == nil {
		return nil
	}
	for _, h := range c.list {
		if same(h.from, i) {
			return h
		}
	}
	return nil
}

// state returns the State of the interceptor of that name: of the chain's own, else
// of the last revision that had one.
func (c *chain) state(name string) any {
	for _, h := range c.list {
		if h.name == name {
			return h.State
		}
	}
	return c.left[name]
}

// inherit keeps what before's interceptors remember that c has not.
func (c *chain) inherit(before *chain) {
	left := make(map[string]any)
	maps.Copy(left, before.left)
	for _, h := range before.list {
		if h.State != nil {
			left[h.name] = h.State
		}
	}
	for _, h := range c.list {
		delete(left, h.name)
	}
	c.left = left
}

// release closes the hooks that no later chain uses, once. It returns the first
// panic among them.
func (c *chain) release(s *Session, err error) (panicked error) {
	if c.released.Swap(true) {
		return nil
	}
	for _, h := range c.list {
		if p := h.release(s, err); p != nil && panicked == nil {
			panicked = p
		}
	}
	return panicked
}

// ended notes that one of the chain's operations has ended.
func (c *chain) ended(s *Session) {
	if c.running.Add(-1) == 0 && c.retired.Load() {
		c.release(s, nil)
	}
}

// chainOf returns the chain that op was asked of, the current one when it was
// asked of none.
func (s *Session) chainOf(op Op) *chain {
	if op != nil {
		if c := op.Info().chain; c != nil {
			return c
		}
	}
	return s.chain.Load()
}

// Bounds on how often one operation is asked again from the start of the chain.
const (
	maxRewrites  = 4 // its text is replaced
	maxApprovals = 4 // it waits for an approval
)

// Ask asks the interceptors, in order, whether op may run. Every one answers
// before anything waits: the first refusal is the answer; Allow and Pass go on to
// the next; a Rewrite replaces the text and starts again. Holds become one request
// for an approval, and when that is given the chain is asked again, under the
// newest revision. Then the Start hooks are called.
//
// The returned verdict either refuses, and then Done has been told already, or
// lets op run as it now is, and then the caller owes a call of [Session.Done]. In a
// dry session nothing waits and nothing starts: the verdict may be a Hold.
//
// ctx is what hooks wait on: the session's [Session.Context] or one derived from
// it, so that they are told when the session ends.
//
// op must not be in use by an earlier Ask whose Done has not returned. Ask
// allocates nothing for verdicts without a Hold, Rewrite or Warn.
func (s *Session) Ask(ctx context.Context, op Op) *Verdict {
	s.Await(ctx)
	m := op.Info()
	kind, parent := m.Kind, m.Parent
	*m = Meta{Kind: kind, Parent: parent, ID: s.lastID.Add(1), At: time.Now(), op: op}
	alive := s.enter(m) && s.follow(ctx, m)
	switch {
	case !alive: // the session's cause says why
	case kind.Valid():
		s.ask(ctx, op, m)
	default:
		m.verdict = Deny(CauseInternal, "", "the gateway does not know this kind of operation", "")
	}
	s.leave(m)
	s.Await(ctx) // it was frozen while others decided
	s.hear(&m.verdict)
	if cause := context.Cause(s.ctx); cause != nil {
		m.verdict = Deny(CauseInternal, "", cause.Error(), "")
		m.by = ""
	}
	if m.verdict.Refuses() && !s.Dry {
		s.tellRefused(op, m)
		s.Done(op, &Outcome{})
	}
	return &m.verdict
}

// tellRefused tells the session's client that op does not run.
func (s *Session) tellRefused(op Op, m *Meta) {
	if s.client != nil && s.client.Refused != nil {
		s.client.Refused(op, &m.verdict)
	}
}

// Refuse records that the handler itself refused op, by v, without asking the
// chain: what the resource's settings exclude, or what the protocol does not
// know. Done is told, as of every refusal.
func (s *Session) Refuse(op Op, v Verdict) {
	s.refuse(op, Meta{Kind: op.Info().Kind, Parent: op.Info().Parent, verdict: v})
}

func (s *Session) refuse(op Op, as Meta) {
	m := op.Info()
	*m = as
	m.ID, m.At, m.op = s.lastID.Add(1), time.Now(), op
	s.enter(m)
	s.leave(m)
	s.tellRefused(op, m)
	s.Done(op, &Outcome{})
}

// Admit lets op run by the verdict that a dry session of the same identity and target
// has just given about it, after its Done there, without asking again: the Start hooks
// are told, as by Ask. The verdict refuses when one of them fails, and Done has been told
// then; otherwise the caller owes a call of [Session.Done].
func (s *Session) Admit(ctx context.Context, op Op) *Verdict {
	m := op.Info()
	*m = Meta{Kind: m.Kind, Parent: m.Parent, ID: s.lastID.Add(1), At: time.Now(), op: op, verdict: m.verdict, by: m.by, grants: m.grants}
	switch alive := s.enter(m); {
	case !alive:
		m.verdict, m.by = Deny(CauseInternal, "", context.Cause(s.ctx).Error(), ""), ""
	default:
		s.keep(ctx, op, m, approvals{})
		s.start(ctx, op, m)
	}
	s.leave(m)
	if m.verdict.Refuses() {
		s.Done(op, &Outcome{})
	}
	return &m.verdict
}

// By returns the interceptor that gave the verdict about op; empty is the core.
func (m *Meta) By() string { return m.by }

// ask decides about op, in m.verdict: it asks the chain, waits for approvals and
// starts.
func (s *Session) ask(ctx context.Context, op Op, m *Meta) {
	var given approvals
	s.pass(ctx, op, m, &given)
	for range maxApprovals {
		if m.verdict.Action != ActionHold || s.Dry {
			break
		}
		got := s.park(ctx, op, m, &m.verdict)
		if got.Refuses() {
			m.verdict = got
			return
		}
		given.add(m.holds, got)
		if !s.follow(ctx, m) {
			m.verdict = Verdict{}
			return
		}
		s.pass(ctx, op, m, &given)
	}
	switch v := &m.verdict; {
	case v.Action == ActionHold && !s.Dry:
		*v = Deny(CauseInternal, v.Rule, "the rules ask for another approval after every approval of this operation", "")
	case v.Refuses():
	case m.Kind == KindConnect && v.Action != ActionAllow:
		m.by = ""
		*v = noRule(s)
	case given.impact != nil && !measures(op):
		*v = Deny(CauseApproval, v.Rule, "what was approved cannot be compared with what this operation would change", "")
	case given.differ:
		*v = Deny(CauseApproval, v.Rule, "the rows of one approval differ from those of another", "Send it again.")
	default:
		v.Grant, v.Impact = joined(v.Grant, given.grant, ", "), given.impact
		for _, r := range given.requests {
			m.grants = granted(m.grants, r)
		}
		if m.Kind == KindConnect {
			s.mu.Lock()
			s.admitted = given
			s.mu.Unlock()
		}
		s.keep(ctx, op, m, given)
		s.start(ctx, op, m)
		if m.Kind == KindConnect {
			s.connected.Store(!m.verdict.Refuses())
		}
	}
}

func noRule(s *Session) Verdict {
	return Deny(CausePolicy, "", "no rule allows you to connect to "+s.Target.String(), "")
}

// start tells the interceptors that op is about to run, where it may. The one that fails
// refuses it.
func (s *Session) start(ctx context.Context, op Op, m *Meta) {
	if s.Dry || m.verdict.Refuses() || len(m.chain.starts) == 0 {
		return
	}
	begun := ""
	defer func() {
		if r := recover(); r != nil {
			m.verdict = s.failed(begun, op, s.gateway.recovered(begun, r, s))
			m.by = begun
		}
	}()
	for _, h := range m.chain.starts {
		begun = h.name
		if err := h.Start(ctx, op); err != nil {
			m.by = begun
			m.verdict = s.failed(begun, op, err)
			return
		}
	}
}

// failed is the refusal of an operation that an interceptor could not start. A
// panic ends the session.
func (s *Session) failed(by string, op Op, err error) Verdict {
	var refused *RefusedError
	var p *PanicError
	switch {
	case errors.As(err, &refused) && refused.Verdict.Refuses():
		return refused.Verdict
	case errors.As(err, &p):
		s.Kill(err)
	default:
		s.gateway.log().Warn("operation refused", "by", by, "session", s.ID, "op", op.Info().ID, "err", err)
	}
	return Deny(CauseInternal, "", "this operation is refused, because "+by+" cannot begin it; the gateway's log says why", "")
}

// approval is what an approver has allowed: that one rule of one interceptor does
// not hold the operation.
type approval struct {
	by, rule  string
	approvers []string
}

// approvals are those that one operation has.
type approvals struct {
	list     []approval
	grant    string
	requests []string // whose approvals they are
	impact   *Impact  // that has to be so; nil when nothing has
	differ   bool     // two of them cannot both be so
}

// add notes that what holds ask for was approved by verdict v.
func (a *approvals) add(holds []holdBy, v Verdict) {
	for _, h := range holds {
		for i, rule := range h.Rules {
			a.list = append(a.list, approval{h.by, rule, h.Approvers[i]})
		}
	}
	a.grant, a.requests = joined(a.grant, v.Grant, ", "), granted(a.requests, v.Grant)
	if i := v.Impact; i != nil && i.Holds != HoldsNothing {
		a.differ = a.differ || a.impact != nil && !a.impact.same(i)
		a.impact = i
	}
}

// measures reports whether the handler of op knows what it would change.
func measures(op Op) bool {
	st, ok := op.(*Statement)
	return ok && st.Measurer != nil
}

// cover reports whether every rule of h, asked by an interceptor, is approved by
// those that it names now. What is granted for a time is not: who asks for it knows
// whether it still is, and allows the operation then.
func (a *approvals) cover(by string, h *Hold) bool {
	if h.Access != "" {
		return false
	}
	for i, rule := range h.Rules {
		if !slices.ContainsFunc(a.list, func(x approval) bool {
			return x.by == by && x.rule == rule && slices.Equal(x.approvers, h.Approvers[i])
		}) {
			return false
		}
	}
	return true
}

// holdBy is a hold and who asks for it.
type holdBy struct {
	*Hold
	by string
}

// together are those of several holds that one request is made for. Access is asked for by itself: who grants that has not
// approved what else is held, and the approvers of what else is held have not granted it.
func together(holds []holdBy) []holdBy {
	if i := slices.IndexFunc(holds, func(h holdBy) bool { return h.Access != "" }); i >= 0 {
		return holds[i : i+1]
	}
	return holds
}

// merge makes one hold of several: everybody's approvers, and the shortest time.
func merge(holds []holdBy) *Hold {
	all := *holds[0].Hold
	all.Rules, all.Approvers = slices.Clone(all.Rules), slices.Clone(all.Approvers)
	for _, h := range holds[1:] {
		all.Rules, all.Approvers = append(all.Rules, h.Rules...), append(all.Approvers, h.Approvers...)
		all.For = min(all.For, h.For)
		all.InTransaction = ShorterInTransaction(all.InTransaction, h.InTransaction)
		all.Undo, all.Try, all.Reveal = Shorter(all.Undo, h.Undo), all.Try && h.Try, all.Reveal && h.Reveal
		all.Message = joined(all.Message, h.Message, "; ")
		all.Blind = joined(all.Blind, h.Blind, "; ")
		all.Not = append(slices.Clip(all.Not), h.Not...)
		all.Standing, all.Under = nil, "" // which the other's approvers have not seen
	}
	return &all
}

// undoing is who holds what undoes something.
const undoing = "undo"

// Shorter is the shorter of two times for which something is kept; of 0, which is that nothing is, the
// other one.
func Shorter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// ShorterInTransaction is the shorter of two of [Hold.InTransaction].
func ShorterInTransaction(a, b time.Duration) time.Duration {
	if a == b {
		return a
	}
	return min(cmp.Or(a, DefaultInTransaction), cmp.Or(b, DefaultInTransaction))
}

func joined(a, b, by string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + by + b
}

// pass asks every interceptor once, and again after a rewrite. The answer, in
// m.verdict, is a refusal, a permission, or what is still to be approved in one Hold,
// of which m.holds are the parts. A hold that given covers allows. In a dry session
// everybody is asked, also after a refusal, so that an explanation is whole.
func (s *Session) pass(ctx context.Context, op Op, m *Meta, given *approvals) {
	asked := "chain"
	defer func() {
		if r := recover(); r != nil {
			err := s.gateway.recovered(asked, r, s)
			s.Kill(err)
			m.verdict, m.by = Deny(CauseInternal, "", err.Error(), ""), asked
		}
	}()
	answer := &m.verdict
	*answer = Pass()
	warn, grant := "", ""
	var refused *Verdict // the first refusal, in a dry session
	refusedBy := ""
	m.holds, m.grants = nil, nil
	asks := m.chain.asks
	for i := 0; i < len(asks); i++ {
		h := asks[i]
		asked = h.name
		v := h.Ask(ctx, op)
		if v.Warn != "" {
			warn = joined(warn, v.Warn, "\n")
		}
		switch v.Action {
		case ActionPass:
			grant, m.grants = joined(grant, v.Grant, ", "), granted(m.grants, v.Grant)
		case ActionAllow:
			grant, m.grants = joined(grant, v.Grant, ", "), granted(m.grants, v.Grant)
			*answer, m.by = v, h.name
		case ActionRewrite:
			if refused != nil {
				continue
			}
			if err := s.rewrite(op, m, v.Text); err != nil {
				*answer, m.by = Deny(CauseInternal, v.Rule, err.Error(), ""), h.name
				return
			}
			// Everything that was said was about another text.
			*given, m.holds, m.grants, warn, grant = approvals{}, nil, nil, v.Warn, ""
			*answer, m.by = Pass(), ""
			i = -1
		case ActionHold:
			switch {
			case !v.Hold.valid():
				*answer, m.by = undecided(v.Rule, warn), h.name
				return
			case !given.cover(h.name, v.Hold):
				m.holds = append(m.holds, holdBy{v.Hold, h.name})
			case answer.Action != ActionAllow:
				*answer, m.by = Allow(v.Hold.Rules[0]), h.name
			}
		default:
			if v.Action != ActionDeny {
				*answer, m.by = undecided(v.Rule, warn), h.name
				return
			}
			if s.Dry && refused == nil {
				first := v
				refused, refusedBy = &first, h.name
			}
			if !s.Dry {
				*answer, m.by = v, h.name
				answer.Warn = warn
				return
			}
		}
	}
	if h := s.undoes(op); h != nil && !given.cover(undoing, h) {
		m.holds = append(m.holds, holdBy{h, undoing})
	}
	switch {
	case refused != nil:
		*answer, m.by = *refused, refusedBy
	case len(m.holds) > 0:
		m.holds = together(m.holds)
		all := merge(m.holds)
		m.by = m.holds[0].by
		*answer = Verdict{Action: ActionHold, Cause: CauseApproval, Rule: all.Rules[0], Reason: all.Message, Hold: all}
	}
	answer.Warn = warn
	if !answer.Refuses() {
		answer.Grant = grant
	}
}

func undecided(rule, warn string) Verdict {
	v := Deny(CauseInternal, rule, "no decision was made", "")
	v.Warn = warn
	return v
}

func (s *Session) rewrite(op Op, m *Meta, text []byte) error {
	if len(text) == 0 || s.onRewrite == nil || !m.listed { // it runs already
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

// park makes the request that v asks for and waits until it is decided. The time
// spent waiting is not the chain's.
func (s *Session) park(ctx context.Context, op Op, m *Meta, v *Verdict) (got Verdict) {
	if s.gateway.Reviewer == nil {
		return Deny(CauseApproval, v.Rule, "this needs an approval, but approvals are not set up on this gateway", "")
	}
	defer func() {
		if r := recover(); r != nil {
			err := s.gateway.recovered("the reviewer", r, s)
			s.Kill(err)
			got = Deny(CauseInternal, "", err.Error(), "")
		}
	}()
	if op.Info().Kind == KindConnect && !s.Dry {
		if err := s.gateway.stepAside(s); err != nil {
			return Deny(CauseApproval, v.Rule, err.Error(), "")
		}
		asked := ctx
		defer func() {
			if err := s.gateway.stepBack(asked, s, !got.Refuses()); err != nil {
				got = Deny(CauseApproval, v.Rule, "this is approved, and there is no room for the session: "+err.Error(), "Connect again.")
			}
		}()
	}
	p, err := s.gateway.Reviewer.Request(ctx, s, op, v.Hold)
	switch {
	case err != nil:
		return Deny(CauseApproval, v.Rule, err.Error(), "")
	case p == nil || p.Wait == nil:
		return undecided(v.Rule, "")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	defer stop()
	if !p.Deadline.IsZero() {
		t := time.AfterFunc(time.Until(p.Deadline), func() { cancel(ErrDeadline) })
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
		m.asked = time.Now()
		s.mu.Unlock()
	}()
	if s.client != nil && s.client.Held != nil {
		s.client.Held(op, p)
	}
	if s.onHold != nil {
		s.onHold(op, p)
	}
	got = p.Wait(ctx)
	if cause := context.Cause(ctx); cause != nil && !got.Refuses() {
		return Deny(CauseApproval, v.Rule, "the request was not decided: "+cause.Error(), "")
	}
	if got.Action == ActionHold || got.Action == ActionRewrite {
		return undecided(v.Rule, "")
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

// enter notes that op m is in the session's chain, and arms the watch over it. It
// reports whether the session still lives.
func (s *Session) enter(m *Meta) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.asked = m.At
	m.chain = s.chain.Load()
	m.chain.running.Add(1)
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

// follow moves an operation to the chain of the newest revision. It returns false
// when the session ends because of that revision.
func (s *Session) follow(ctx context.Context, m *Meta) bool {
	if m.chain.revision == s.gateway.Revision() {
		return true
	}
	if err := s.renew(ctx); err != nil {
		s.Kill(err)
		return false
	}
	s.mu.Lock()
	was := m.chain
	m.chain = s.chain.Load()
	m.chain.running.Add(1)
	s.mu.Unlock()
	was.ended(s)
	return true
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
	c := s.chainOf(op)
	if m.chain != nil {
		defer c.ended(s)
	}
	if len(c.dones) == 0 || s.Dry {
		return
	}
	out.Duration = time.Since(m.At)
	for i := 0; i < len(c.dones); {
		i = s.tellDone(c.dones, i, op, out)
	}
}

// tellDone tells the interceptors from the i-th on how op ended. A panic ends the
// session, and tellDone returns who is next.
func (s *Session) tellDone(dones []*hooks, i int, op Op, out *Outcome) (next int) {
	defer func() {
		if r := recover(); r != nil {
			s.Kill(s.gateway.recovered(dones[i].name, r, s))
			next = i + 1
		}
	}()
	for ; i < len(dones); i++ {
		dones[i].Done(s.ctx, op, out)
	}
	return i
}

// Tell shows m to every interceptor that wants it, in order. On an error
// nothing of m may be passed on, and the session has ended.
func (s *Session) Tell(op Op, m *Message) error {
	for _, h := range s.chainOf(op).tells {
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
	return s.filters(s.chainOf(op).flows, func(h *hooks) (Filter, error) { return h.Flow(s.ctx, op, shape) })
}

// filters are those that every one of list answers.
func (s *Session) filters(list []*hooks, ask func(h *hooks) (Filter, error)) (*Flow, error) {
	var fl *Flow
	for _, h := range list {
		var f Filter
		err := s.Protect(h.name, func() (err error) {
			f, err = ask(h)
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
