// Package policy decides who may do what: rules as plain data, evaluated once per
// session into sets, so that asking about an operation compares bits.
//
// A rule allows or denies actions at resources for groups or users. What no
// rule allows is denied; what any rule denies is denied whatever others allow.
// A statement may run when all of its effects are allowed; one that is not
// understood has the effect "unknown", which only "all" or "unknown" allow.
package policy

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// Rule allows or denies actions. The zero Rule is not valid.
type Rule struct {
	// Name is told to users when the rule denies something; empty is made from the
	// rule's place in the list.
	Name string
	// Groups and Users say which users it is about: a member of any group, or any of the
	// users; "*" is everybody.
	Groups []string
	Users  []string
	// Resources are names or globs (path.Match); Labels must all be there. Both
	// empty is every resource.
	Resources []string
	Labels    map[string]string
	// Databases and Accounts are globs; empty is any.
	Databases []string
	Accounts  []string
	// Allow and Deny are actions; see Actions.
	Allow []string
	Deny  []string
}

// MatchesResource reports whether the rule is about r.
func (r *Rule) MatchesResource(res *proxy.Resource) bool {
	for k, v := range r.Labels {
		if res.Labels[k] != v {
			return false
		}
	}
	return len(r.Resources) == 0 || matches(r.Resources, res.Name)
}

// MatchesIdentity reports whether the rule is about id.
func (r *Rule) MatchesIdentity(id *proxy.Identity) bool {
	return slices.Contains(r.Users, id.Subject) || slices.Contains(r.Users, "*") || slices.Contains(r.Groups, "*") ||
		slices.ContainsFunc(r.Groups, id.In)
}

func (r *Rule) matches(id *proxy.Identity, t proxy.Target) bool {
	return r.MatchesIdentity(id) && r.MatchesResource(t.Resource) &&
		(len(r.Databases) == 0 || matches(r.Databases, t.Database)) &&
		(len(r.Accounts) == 0 || matches(r.Accounts, t.Account.Name))
}

func matches(globs []string, s string) bool {
	return slices.ContainsFunc(globs, func(g string) bool {
		ok, err := path.Match(g, s)
		return ok && err == nil
	})
}

// compiled is a rule with its actions read.
type compiled struct {
	Rule
	allow, deny grant
}

// Policy is a set of rules. It is a [proxy.Interceptor], immutable and safe for
// concurrent use.
type Policy struct {
	rules []compiled
}

// New returns the policy of rules, or an error that names every rule that is
// wrong.
func New(rules []Rule) (*Policy, error) {
	var errs []error
	list := make([]compiled, len(rules))
	for i, r := range rules {
		if r.Name == "" {
			r.Name = fmt.Sprintf("access-%d", i+1)
		}
		c, err := compile(r)
		if err != nil {
			errs = append(errs, fmt.Errorf("rule %s: %w", r.Name, err))
		}
		list[i] = c
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Policy{list}, nil
}

func compile(r Rule) (compiled, error) {
	c := compiled{Rule: r}
	var errs []error
	if len(r.Groups)+len(r.Users) == 0 {
		errs = append(errs, errors.New("it names neither groups nor users, so it never applies"))
	}
	if len(r.Allow)+len(r.Deny) == 0 {
		errs = append(errs, errors.New("it neither allows nor denies anything"))
	}
	for _, list := range [][]string{r.Resources, r.Databases, r.Accounts} {
		for _, g := range list {
			if _, err := path.Match(g, ""); err != nil {
				errs = append(errs, fmt.Errorf("%q is not a pattern", g))
			}
		}
	}
	for _, l := range []struct {
		words []string
		into  *grant
	}{{r.Allow, &c.allow}, {r.Deny, &c.deny}} {
		for _, w := range l.words {
			g, ok := parseAction(w)
			if !ok {
				errs = append(errs, fmt.Errorf("unknown action %q: want one of %s", w, strings.Join(Actions(), ", ")))
			}
			*l.into = l.into.or(g)
		}
	}
	for _, w := range r.Allow {
		if slices.Contains(r.Deny, w) {
			errs = append(errs, fmt.Errorf("it both allows and denies %q", w))
		}
	}
	return c, errors.Join(errs...)
}

// Name returns "policy".
func (p *Policy) Name() string { return "policy" }

// Intercept works out what the session's identity may do at its target.
func (p *Policy) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: p.decide(s.Identity, s.Target).ask}, nil
}

// May reports whether id may connect to a target, for lists of resources.
func (p *Policy) May(id *proxy.Identity, t proxy.Target) bool {
	r := p.decide(id, t)
	return r.allow.kinds&kinds(proxy.KindConnect) != 0 && r.deny.kinds&kinds(proxy.KindConnect) == 0
}

// decision is what one identity may do at a target.
type decision struct {
	rules   []compiled // that apply
	target  proxy.Target
	allow   grant
	deny    grant
	connect string   // the rule that allows it
	words   []string // all that is allowed, for messages
}

// decide works out what id may do at t.
func (p *Policy) decide(id *proxy.Identity, t proxy.Target) *decision {
	d := &decision{target: t}
	for i := range p.rules {
		c := &p.rules[i]
		if !c.matches(id, t) {
			continue
		}
		d.rules = append(d.rules, *c)
		d.allow = d.allow.or(c.allow)
		d.deny = d.deny.or(deniedBy(c.deny))
		if d.connect == "" && c.allow.kinds&kinds(proxy.KindConnect) != 0 {
			d.connect = c.Name
		}
		for _, w := range c.Allow {
			if !slices.Contains(d.words, w) {
				d.words = append(d.words, w)
			}
		}
	}
	return d
}

// deniedBy is what a rule's deny list takes away. Denying what statements do
// must not take away statements as such, nor what every statement needs.
func deniedBy(g grant) grant {
	if g.effects != 0 && g.effects != ^proxy.Effects(0) {
		g.kinds &^= statements | kinds(proxy.KindRequest)
		g.effects &^= proxy.EffectTransaction | proxy.EffectSet | proxy.EffectPrepare
	}
	if g.files != 0 && g.files != ^uint32(1) {
		g.kinds &^= kinds(proxy.KindFile, proxy.KindSubsystem)
	}
	return g
}

func (d *decision) ask(_ context.Context, op proxy.Op) proxy.Verdict {
	kind := op.Info().Kind
	bit := kinds(kind)
	if d.deny.kinds&bit != 0 || d.allow.kinds&bit == 0 {
		if st, ok := op.(*proxy.Statement); ok && st.Facts != nil && d.deny.kinds&bit == 0 && st.Facts.Effects&^d.allow.effects != 0 {
			return d.refuseStatement(st, st.Facts.Effects&^d.allow.effects) // says which rights it needs
		}
		return d.refuse(kindWords(kind), kindWord(kind), grant{kinds: bit})
	}
	switch op := op.(type) {
	case *proxy.Connect:
		return proxy.Allow(d.connect)
	case *proxy.Statement:
		e := op.Facts.Effects
		if e == 0 && !isEmpty(op.Facts) {
			e = proxy.EffectUnknown // nothing is known of it
		}
		if bad := e&^d.allow.effects | e&d.deny.effects; bad != 0 {
			return d.refuseStatement(op, bad)
		}
	case *proxy.File:
		if b := files(op.Action); d.allow.files&b == 0 || d.deny.files&b != 0 {
			return d.refuse(fileWords(op.Action), "", grant{files: b})
		}
	case *proxy.Request:
		b := uint8(unsafeMethods)
		if op.Method == "GET" || op.Method == "HEAD" || op.Method == "OPTIONS" {
			b = safeMethods
		}
		if d.allow.methods&b == 0 || d.deny.methods&b != 0 {
			return d.refuse("send a "+op.Method+" request", "", grant{methods: b})
		}
	}
	return proxy.Pass()
}

// isEmpty reports whether a text holds no statement, as somebody found who
// looked: drivers send one to learn whether the connection lives.
func isEmpty(f *proxy.Facts) bool { return f.Dialect != "" && f.Statements == 0 && f.Unknown == "" }

func (d *decision) refuseStatement(op *proxy.Statement, bad proxy.Effects) proxy.Verdict {
	v := d.refuse(effectWords(op.Facts, bad), word(bad), grant{effects: bad})
	if names := outside(op.Facts, bad); names != "" && v.Rule == "" {
		v.Reason = "you may not call " + names + " here: it acts outside the database, which needs " + rights(word(bad))
	}
	return v
}

// refuse says what is not allowed, by which rule, and what would be. right names
// what would allow it; it is empty when that is not one word.
func (d *decision) refuse(what, right string, lacking grant) proxy.Verdict {
	rule := ""
	for i := range d.rules {
		c := &d.rules[i]
		g := deniedBy(c.deny)
		if g.kinds&lacking.kinds|g.files&lacking.files != 0 || g.effects&lacking.effects != 0 || g.methods&lacking.methods != 0 {
			rule = c.Name
			break
		}
	}
	remedy := "You have no rights here."
	if len(d.words) > 0 {
		remedy = "Your rights here: " + strings.Join(d.words, ", ") + "."
	}
	reason := "you may not " + what + " at " + d.target.String()
	if right != "" && rule == "" {
		reason += ": this needs " + rights(right)
	}
	return proxy.Deny(proxy.CausePolicy, rule, reason, remedy)
}
