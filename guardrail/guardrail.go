package guardrail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/sallyport/sallyport/proxy"
)

// Dynamic marks in a program's arguments what is computed while a command
// runs; what is before it is certain.
const Dynamic = "\x00"

// Commands says what a command line runs. It is safe for concurrent use.
type Commands interface {
	// Facts returns what an operation's command line does, with Dynamic in the
	// arguments of its programs for what is not known.
	Facts(op *proxy.Exec) *proxy.CommandFacts
}

// Config says which rules there are, and who does what rules ask for.
type Config struct {
	Rules []Rule
	// Commands understands command lines. Nil: no command is understood, and every
	// rule with Commands that denies does.
	Commands Commands
	// Estimators ask resources what statements would cost, by dialect. Where one is
	// missing nothing can be estimated, and rules that depend on it refuse.
	Estimators map[string]Estimator
	// Limiters add LIMIT to queries, by dialect. Where one is missing, rewriting
	// rules deny.
	Limiters map[string]Limiter
}

// Guardrail judges operations. It is a proxy.Interceptor, immutable and safe for
// concurrent use. What rules with Observe would have answered is left as notes of
// kind [proxy.NoteObserved].
type Guardrail struct {
	config   Config
	observes bool // a rule does
}

// New returns a guardrail, or everything that is wrong with its rules.
func New(c Config) (*Guardrail, error) {
	g := &Guardrail{config: c}
	g.config.Rules = slices.Clone(c.Rules)
	var errs []error
	names := make(map[string]bool)
	for i := range g.config.Rules {
		r := &g.config.Rules[i]
		if err := r.validate(); err != nil {
			errs = append(errs, err)
		}
		if names[r.Name] {
			errs = append(errs, fmt.Errorf("guardrail %q is defined twice", r.Name))
		}
		names[r.Name] = true
		g.observes = g.observes || r.Observe
	}
	return g, errors.Join(errs...)
}

// Name is "guardrail".
func (g *Guardrail) Name() string { return "guardrail" }

// Notes says that rules which only observe leave notes.
func (g *Guardrail) Notes() []proxy.NoteKind {
	if !g.observes {
		return nil
	}
	return []proxy.NoteKind{proxy.NoteObserved}
}

// Intercept chooses the rules that apply to the session.
func (g *Guardrail) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	h := &session{guardrail: g, session: s, moved: &atomic.Int64{}}
	if earlier, ok := s.Earlier(g.Name()).(*session); ok {
		h.moved = earlier.moved
	}
	if s.Missed(g.Name()) {
		h.moved.Add(1)
	}
	for i := range g.config.Rules {
		if r := &g.config.Rules[i]; r.appliesTo(s.Identity, s.Target) {
			h.rules = append(h.rules, r)
		}
	}
	return proxy.Hooks{Ask: h.ask, Start: h.start, Done: h.done, State: h}, nil
}

// session judges one session's operations.
type session struct {
	guardrail *Guardrail
	session   *proxy.Session
	rules     []*Rule // that apply to it
	// moved counts the operations after which a name without a schema may mean something
	// else than it did at login. Revisions share it.
	moved *atomic.Int64
}

func (s *session) ask(ctx context.Context, op proxy.Op) proxy.Verdict {
	c := call{op: op, guardrail: s.guardrail, ctx: ctx, session: s.session, moved: s.moved.Load() > 0}
	d := c.decide(s.rules)
	if d.err != nil {
		return proxy.Deny(proxy.CauseInternal, "", "this operation is refused because the gateway could not record what its rules found", "")
	}
	if len(d.holds) > 0 && !d.Refuses() {
		return c.hold(d)
	}
	return d.Verdict
}

// start notes what runs.
func (s *session) start(_ context.Context, op proxy.Op) error {
	if movesNames(op) {
		s.moved.Add(1)
	}
	return nil
}

// done takes back what a text would have done that was not read.
func (s *session) done(_ context.Context, op proxy.Op, out *proxy.Outcome) {
	if out.Unread && movesNames(op) {
		s.moved.Add(-1)
	}
}
