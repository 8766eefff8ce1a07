package guardrail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Dynamic stands in a program's arguments for what is computed while a command
// runs; what is before it is certain.
const Dynamic = "\x00"

// Commands says what a command line runs. It is safe for concurrent use.
type Commands interface {
	// Programs returns the programs that command would run, each with its
	// arguments, also those behind sudo, sh -c, pipes and substitutions, with
	// Dynamic for what is not known. The error says why it cannot be told.
	Programs(command string) ([][]string, error)
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
	// Holder has held operations decided. Nil: holding rules deny.
	Holder Holder
	// Observed is told what rules with Observe would have done. Nil is nobody. It
	// may be called concurrently.
	Observed func(s *proxy.Session, op proxy.Op, rule string)
	// Now is the clock of During and Outside; nil is time.Now.
	Now func() time.Time
}

// Guardrail judges operations. It is a proxy.Interceptor, safe for concurrent
// use.
type Guardrail struct {
	rules atomic.Pointer[[]Rule]
	Config
}

// New returns a guardrail, or everything that is wrong with its rules.
func New(c Config) (*Guardrail, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	g := &Guardrail{Config: c}
	return g, g.Set(c.Rules)
}

// Set replaces the rules, from the next operation on. On an error the old ones
// stay.
func (g *Guardrail) Set(rules []Rule) error {
	var errs []error
	names := make(map[string]bool)
	for i := range rules {
		if err := rules[i].validate(); err != nil {
			errs = append(errs, err)
		}
		if names[rules[i].Name] {
			errs = append(errs, fmt.Errorf("guardrail %q is there twice", rules[i].Name))
		}
		names[rules[i].Name] = true
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	kept := slices.Clone(rules)
	g.rules.Store(&kept)
	return nil
}

// Name is "guardrail".
func (g *Guardrail) Name() string { return "guardrail" }

// Intercept returns the session's hooks.
func (g *Guardrail) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	h := &session{guardrail: g, session: s}
	return proxy.Hooks{Ask: h.ask}, nil
}

// session holds the rules that apply to one session.
type session struct {
	guardrail *Guardrail
	session   *proxy.Session
	applying  atomic.Pointer[applying]
	// moved says that a name without a schema may mean something else than it did
	// at login.
	moved atomic.Bool
}

type applying struct {
	from  *[]Rule
	rules []*Rule
}

// rules returns those that apply, chosen anew when the rules were replaced.
func (s *session) rules() []*Rule {
	from := s.guardrail.rules.Load()
	if a := s.applying.Load(); a != nil && a.from == from {
		return a.rules
	}
	a := &applying{from: from}
	for i := range *from {
		if r := &(*from)[i]; r.appliesTo(s.session.Identity, s.session.Target) {
			a.rules = append(a.rules, r)
		}
	}
	s.applying.Store(a)
	return a.rules
}

func (s *session) ask(ctx context.Context, op proxy.Op) proxy.Verdict {
	c := call{op: op, guardrail: s.guardrail, ctx: ctx, session: s.session, moved: s.moved.Load()}
	rules := s.rules()
	d := c.decide(rules)
	if s.guardrail.Observed != nil {
		for _, r := range d.observed {
			s.guardrail.Observed(s.session, op, r.Name)
		}
	}
	if len(d.holds) > 0 && !d.Refuses() {
		return c.hold(d)
	}
	if !d.Refuses() && movesNames(op) {
		s.moved.Store(true)
	}
	return d.Verdict
}
