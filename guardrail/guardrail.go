package guardrail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

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

// Config says which rules there are.
type Config struct {
	Rules []Rule
	// Commands understands command lines. Nil: no command is understood, and every
	// rule with Commands that denies does.
	Commands Commands
	// Observed is told what rules with Observe would have done. Nil is nobody. It
	// may be called concurrently.
	Observed func(s *proxy.Session, op proxy.Op, rule string)
}

// Guardrail judges operations. It is a proxy.Interceptor, safe for concurrent
// use.
type Guardrail struct {
	rules    atomic.Pointer[[]Rule]
	commands Commands
	observed func(s *proxy.Session, op proxy.Op, rule string)
}

// New returns a guardrail, or everything that is wrong with its rules.
func New(c Config) (*Guardrail, error) {
	g := &Guardrail{commands: c.Commands, observed: c.Observed}
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
		if r := &(*from)[i]; r.appliesTo(s.session.Identity, s.session.Target.Resource) {
			a.rules = append(a.rules, r)
		}
	}
	s.applying.Store(a)
	return a.rules
}

func (s *session) ask(_ context.Context, op proxy.Op) proxy.Verdict {
	v, observed := s.guardrail.decide(s.rules(), op)
	if s.guardrail.observed != nil {
		for _, r := range observed {
			s.guardrail.observed(s.session, op, r.Name)
		}
	}
	return v
}

// decide asks every rule. The first that denies names the refusal; the words of
// those that warn are joined.
func (g *Guardrail) decide(rules []*Rule, op proxy.Op) (proxy.Verdict, []*Rule) {
	verdict := proxy.Pass()
	blind := false // the verdict is of a rule that could not tell
	var observed []*Rule
	c := call{op: op, guardrail: g}
	for _, r := range rules {
		meets, understood := c.meets(r)
		if !meets {
			continue
		}
		switch {
		case r.Observe:
			observed = append(observed, r)
		case r.Action == Warn:
			if verdict.Warn != "" {
				verdict.Warn += "\n"
			}
			verdict.Warn += r.message() + " (rule " + r.Name + ")"
		case !verdict.Refuses() || blind && understood:
			// A rule that knows what it forbids says more than one that cannot tell.
			warn := verdict.Warn
			verdict = proxy.Deny(proxy.CauseGuardrail, r.Name, c.reason(r, understood), r.Remedy)
			verdict.Warn, blind = warn, !understood
		}
	}
	return verdict, observed
}

// call is one operation while rules look at it.
type call struct {
	op        proxy.Op
	guardrail *Guardrail
	parsed    bool
	programs  [][]string
	err       error
}

func (c *call) meets(r *Rule) (meets, understood bool) {
	switch op := c.op.(type) {
	case *proxy.Statement:
		if !r.sql() {
			return false, true
		}
		return r.statement(op.Facts)
	case *proxy.Exec:
		if len(r.Commands) == 0 || op.Kind != proxy.KindExec {
			return false, true
		}
		return c.command(r, op.Command)
	case *proxy.File:
		return len(r.Paths) > 0 && (file(r.Paths, op.Path) || op.Target != "" && file(r.Paths, op.Target)), true
	case *proxy.Request:
		return len(r.Requests) > 0 && request(r.Requests, op.Method, op.Path), true
	}
	return false, true
}

// reason is what the user is told of a refusal.
func (c *call) reason(r *Rule, understood bool) string {
	if understood {
		return r.message()
	}
	return "it cannot be told whether this is what the rule forbids: " + c.why()
}

// why says what is not understood.
func (c *call) why() string {
	if s, ok := c.op.(*proxy.Statement); ok {
		return s.Facts.Unknown
	}
	if c.err != nil {
		return c.err.Error()
	}
	return "it is not understood"
}
