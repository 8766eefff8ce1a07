// Package policy decides who may do what: rules as plain data, evaluated once per
// session into sets, so that asking about an operation compares bits.
//
// A rule allows or denies actions at resources for groups or users. What no
// rule allows is denied; what any rule denies is denied whatever others allow.
// A statement may run when all of its effects are allowed; one that is not
// understood has the effect "unknown", which only "all" or "unknown" allow.
//
// A rule may be limited to relations and to conditions, such as hours and networks, and may
// ask for something in return, such as a review or a budget. Where a condition or a relation
// is not known, a rule does not allow, and it denies.
package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Policy is a set of rules. It is a [proxy.Interceptor], immutable and safe for
// concurrent use.
type Policy struct {
	name    string
	rules   []*compiled
	budgets *Budgets // those per person; may be nil
	grants  Grants   // nil: nothing is granted to anybody
}

// New returns the policy of rules, or an error that names every rule that is wrong. carries
// are the obligations that the assembly carries out.
func New(rules []Rule, carries ...Carries) (*Policy, error) {
	var errs []error
	var all Carries
	for _, c := range carries {
		all |= c
	}
	list := make([]*compiled, len(rules))
	errs = append(errs, named(rules))
	for i, r := range rules {
		if r.Name == "" {
			r.Name = fmt.Sprintf("access-%d", i+1)
		}
		c, err := compile(r, all)
		if err != nil {
			errs = append(errs, fmt.Errorf("rule %s: %w", r.Name, err))
		}
		list[i] = c
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Policy{name: defaultName, rules: list}, nil
}

const defaultName = "policy"

// Name returns "policy", unless As gave another name.
func (p *Policy) Name() string { return p.name }

// As returns the same rules under another name, for an interceptor of that name which has them
// carry out obligations. What sessions have used of their budgets belongs to the name.
func (p *Policy) As(name string) *Policy {
	as := *p
	as.name = name
	return &as
}

// Intercept works out what the session's identity may do at its target.
func (p *Policy) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	return newJudge(s, p.sides(s.Identity, s.Target), p.grants).hooks(p.name, p.budgets)
}

// May reports whether id may connect to a target under some conditions, for lists of
// resources.
func (p *Policy) May(id *proxy.Identity, t proxy.Target) bool {
	rules := p.sides(id, t)
	return may(rules.own, p.grants, id, t) && (rules.human == nil || may(rules.human, both(p.grants, id), id.Human(), t))
}

// may reports whether rules let id connect to a target under some conditions.
func may(rules []*compiled, grants Grants, id *proxy.Identity, t proxy.Target) bool {
	may := false
	for _, c := range rules {
		if c.deny.kinds&kinds(proxy.KindConnect) != 0 && !c.When.given() && !c.Unless.given() {
			return false
		}
		parts := []*compiled{c}
		if c.Request != nil {
			granted, _ := c.granted(grants, nil, id, t)
			broken, _ := c.glass(grants, id, t)
			parts = []*compiled{granted, broken}
		}
		may = may || slices.ContainsFunc(parts, func(c *compiled) bool { return c != nil && c.allow.kinds&kinds(proxy.KindConnect) != 0 })
	}
	return may
}

// Decision is what the rules ask of a session.
type Decision struct {
	Rules []string // that apply, in order
	// Obligations are the strictest of these rules. Review is always nil: it is about single
	// operations.
	Obligations
	// Until is when the decision may change. Zero is never.
	Until time.Time
}

// Decide returns what the rules that apply to the session now ask for.
func (p *Policy) Decide(s *proxy.Session) Decision {
	d := p.sides(s.Identity, s.Target).decide(p.grants, s, s.Now(), RecordingFull, false)
	out := Decision{Obligations: d.duties, Until: d.until}
	for _, c := range d.rules {
		out.Rules = append(out.Rules, c.Name)
	}
	return out
}

// about returns the rules about id at t, whatever their conditions.
func (p *Policy) about(id *proxy.Identity, t proxy.Target) []*compiled {
	var list []*compiled
	for _, c := range p.rules {
		if c.matches(id, t) {
			list = append(list, c)
		}
	}
	return list
}

// decision is what one identity may do at a target, until a time.
type decision struct {
	target  proxy.Target
	rules   []*compiled // that apply
	waiting []*compiled // that would allow something under other conditions
	asking  []*compiled // that would allow something to those who have asked for it
	anew    []*compiled // that allow something in a session that is recorded in full from its beginning
	allow   grant
	deny    grant
	scoped  []*compiled // that allow what is done to their relations
	barred  []*compiled // that deny what is done to their relations
	reviews []*compiled // that have operations approved
	connect string      // the rule that allows it
	words   []string    // all that is allowed, for messages
	duties  Obligations
	until   time.Time      // zero is for ever
	version uint64         // of the grants
	end     time.Time      // of what lets the session be connected, and was granted; zero: it does not end
	request string         // by which it was
	granted []string       // the requests by which anything is allowed
	opens   []string       // those of them that count once the session is opened by them
	purses  []*purse       // of the budgets per person of rules, and of what was granted with a bound of rows
	bounds  []bound        // of rows, of what was granted
	human   *decision      // what the human of an agent may do, where that may be less; nil otherwise
	unmet   *proxy.Verdict // why the session cannot go on with what it began with; nil when it can
}

// decide works out what rules, which are about id in a session, let it do at a time. recorded is the level at which it has been from its beginning;
// one that begins can have any. One that is connected opens nothing more.
func decide(rules []*compiled, grants Grants, s *proxy.Session, id *proxy.Identity, now time.Time, recorded Recording, connected bool) *decision {
	d := &decision{target: s.Target}
	if grants != nil {
		d.version = grants.Version()
	}
	at := sceneOf(s, now)
	for _, c := range rules {
		allows, denies, until := c.applies(&at)
		d.until = earlier(d.until, until)
		var has Grant
		if c.Request != nil {
			if !allows {
				d.waiting = append(d.waiting, c)
				continue
			}
			broken := d.breaks(c, grants, s, id, recorded)
			var part *compiled
			if part, has = c.granted(grants, s, id, s.Target); part == nil || has.Opens && connected {
				switch {
				case broken:
					d.oblige(c)
				case !slices.Contains(d.anew, c):
					d.asking = append(d.asking, c)
				}
				continue
			}
			c = part
			if has.Opens {
				d.opens = append(d.opens, has.ID)
			}
			d.grant(has)
			if has.Rows > 0 {
				c.allow.kinds &^= uncounted
				d.bounds = append(d.bounds, bound{c.Name, has.ID, has.Rows, has.Ends})
			}
		}
		if !allows && len(c.Allow) > 0 {
			d.waiting = append(d.waiting, c)
		}
		if denies {
			d.oblige(c)
		}
		if allows {
			d.permit(c, has)
		}
	}
	return d
}

// grant notes by which request something is allowed, and when that may change.
func (d *decision) grant(has Grant) {
	d.granted = append(d.granted, has.ID)
	d.until = earlier(earlier(d.until, has.Until), has.Check)
}

// breaks takes in what a rule allows to a session whose user has broken the glass, and reports whether that counts. The session has
// to be recorded in full from its beginning.
func (d *decision) breaks(c *compiled, grants Grants, s *proxy.Session, id *proxy.Identity, recorded Recording) bool {
	part, has := c.glass(grants, id, s.Target)
	switch {
	case part == nil:
		return false
	case recorded < RecordingFull:
		d.anew = append(d.anew, c)
		d.until = earlier(d.until, has.Until)
		return false
	}
	d.grant(has)
	d.duties.Recording = RecordingFull
	d.permit(part, has)
	return true
}

// oblige takes in what a rule asks for in return, and has approved.
func (d *decision) oblige(c *compiled) {
	d.rules = append(d.rules, c)
	d.duties.add(&c.Obligations)
	d.bar(c)
}

// bar takes in what a rule denies and holds.
func (d *decision) bar(c *compiled) {
	deny := c.deny
	if len(c.relations) > 0 && deny.effects != 0 {
		d.barred = append(d.barred, c)
		deny.effects = 0
	}
	d.deny = d.deny.or(deny)
	if c.hold != nil {
		d.reviews = append(d.reviews, c)
	}
}

// permit takes in what a rule allows, for as long as it is granted.
func (d *decision) permit(c *compiled, has Grant) {
	allow := c.allow
	if len(c.relations) > 0 && allow.effects != 0 {
		d.scoped = append(d.scoped, c)
		allow.effects = 0
	}
	d.allow = d.allow.or(allow)
	if allow.kinds&kinds(proxy.KindConnect) != 0 {
		switch {
		case d.connect == "":
			d.connect, d.end, d.request = c.Name, has.Until, has.ID
		case has.Until.IsZero() || !d.end.IsZero() && has.Until.After(d.end): // it lasts longer
			d.end, d.request = has.Until, has.ID
		}
	}
	for _, w := range c.words {
		if !slices.Contains(d.words, w) {
			d.words = append(d.words, w)
		}
	}
}

// deniedBy is what a rule's deny list takes away. Denying what statements do
// must not take away statements as such, nor what every statement needs.
func deniedBy(g grant) grant {
	if g.effects != 0 && g.effects != ^proxy.Effects(0) {
		g.kinds &^= statements | kinds(proxy.KindRequest)
		g.effects &^= proxy.EffectTransaction | proxy.EffectSet | proxy.EffectPrepare
	}
	if g.methods != 0 && g.methods != ^uint8(0) {
		g.kinds &^= kinds(proxy.KindRequest)
	}
	if g.files != 0 && g.files != ^uint32(1) {
		g.kinds &^= kinds(proxy.KindFile, proxy.KindSubsystem)
	}
	return g
}

func (d *decision) ask(op proxy.Op) proxy.Verdict {
	kind := op.Info().Kind
	bit := kinds(kind)
	if kind == proxy.KindConnect && d.deny.kinds&bit == 0 && d.allow.kinds&bit == 0 {
		if v := d.askFor(); v.Refuses() {
			return v
		}
	}
	if d.deny.kinds&bit != 0 || d.allow.kinds&bit == 0 {
		if st, ok := op.(*proxy.Statement); ok && st.Facts != nil && d.deny.kinds&bit == 0 && st.Facts.Effects&^d.allow.effects != 0 {
			return d.refuseStatement(st, st.Facts.Effects&^d.allow.effects) // says which rights it needs
		}
		return d.refuse(kindWords(kind), kindWord(kind), grant{kinds: bit})
	}
	switch op := op.(type) {
	case *proxy.Connect:
		v := proxy.Allow(d.connect)
		v.Grant = d.request
		return v
	case *proxy.Statement:
		return d.statement(op)
	case *proxy.File:
		if b := files(op.Action); d.allow.files&b == 0 || d.deny.files&b != 0 {
			return d.refuse(fileWords(op.Action), "", grant{files: b})
		}
	case *proxy.Forward:
		if op.Opaque {
			return d.opaque()
		}
	case *proxy.Request:
		if b := methods(op); d.allow.methods&b == 0 || d.deny.methods&b != 0 {
			return d.refuse(requestWords(op), accessWord(op), grant{methods: b})
		}
	}
	return proxy.Pass()
}

// methods is what a request needs.
func methods(r *proxy.Request) uint8 {
	switch r.Access {
	case proxy.AccessRead:
		return safeMethods
	case proxy.AccessWrite:
		return unsafeMethods
	case proxy.AccessAdmin:
		return adminRequests
	case proxy.AccessExec:
		return execRequests
	case proxy.AccessUnknown:
		return unknownRequests
	}
	if r.Method == "GET" || r.Method == "HEAD" || r.Method == "OPTIONS" {
		return safeMethods
	}
	return unsafeMethods
}

func (d *decision) statement(op *proxy.Statement) proxy.Verdict {
	e := effects(op.Facts)
	missing, where := e&^d.allow.effects, ""
	if missing != 0 && len(d.scoped) > 0 {
		missing, where = d.limits(op.Facts, e, missing)
	}
	switch bad := missing | e&d.deny.effects; {
	case bad != 0 && where != "" && bad&d.deny.effects == 0:
		return d.refuseOn(op.Facts, bad, where, "")
	case bad != 0:
		return d.refuseStatement(op, bad)
	}
	for _, c := range d.barred {
		if bad, what := c.reaches(op.Facts, e, c.deny.effects); bad != 0 {
			return d.refuseOn(op.Facts, bad, what, c.Name)
		}
	}
	if d.human != nil {
		return d.human.statement(op)
	}
	return proxy.Pass()
}

// effects are those of a statement. One about which nothing is known may do anything.
func effects(f *proxy.Facts) proxy.Effects {
	if f.Effects == 0 && !isEmpty(f) {
		return proxy.EffectUnknown
	}
	return f.Effects
}

// isEmpty reports whether a text holds no statement, as somebody found who
// looked: drivers send one to learn whether the connection lives.
func isEmpty(f *proxy.Facts) bool { return f.Dialect != "" && f.Statements == 0 && f.Unknown == "" }

// held is what must be approved of an operation that is allowed. Preparing a statement is
// not running it.
func (d *decision) held(op proxy.Op) proxy.Verdict {
	if op.Info().Kind == proxy.KindPrepare {
		return proxy.Pass()
	}
	hold := proxy.Hold{Reveal: true, Try: true}
	for _, c := range d.reviews {
		if !c.reviewed(op) {
			continue
		}
		if len(hold.Rules) == 0 {
			hold.InTransaction = c.hold.InTransaction
		}
		hold.InTransaction = proxy.ShorterInTransaction(hold.InTransaction, c.hold.InTransaction)
		hold.Rules, hold.Approvers = append(hold.Rules, c.hold.Rules...), append(hold.Approvers, c.hold.Approvers...)
		hold.For, hold.Reveal = least(hold.For, c.hold.For), hold.Reveal && c.hold.Reveal
		hold.Undo, hold.Try = proxy.Shorter(hold.Undo, c.hold.Undo), hold.Try && c.hold.Try
		if hold.Message != "" {
			hold.Message += "; "
		}
		hold.Message += c.hold.Message
	}
	if len(hold.Rules) == 0 {
		return proxy.Pass()
	}
	return proxy.Verdict{Action: proxy.ActionHold, Cause: proxy.CauseApproval, Rule: hold.Rules[0], Reason: hold.Message, Hold: &hold}
}

// reviewed reports whether the rule has an operation approved.
func (c *compiled) reviewed(op proxy.Op) bool {
	g := c.reviews
	if g.kinds&kinds(op.Info().Kind) != 0 {
		return true
	}
	switch op := op.(type) {
	case *proxy.Statement:
		e := effects(op.Facts)
		if len(c.relations) == 0 {
			return e&g.effects != 0
		}
		hit, _ := c.reaches(op.Facts, e, g.effects)
		return hit != 0
	case *proxy.File:
		return g.files&files(op.Action) != 0
	case *proxy.Request:
		return g.methods&methods(op) != 0
	}
	return false
}

func (d *decision) refuseStatement(op *proxy.Statement, bad proxy.Effects) proxy.Verdict {
	v := d.refuse(effectWords(op.Facts, bad), word(bad), grant{effects: bad})
	if names := outside(op.Facts, bad); names != "" && v.Rule == "" {
		v.Reason = "you may not call " + names + " here: it acts outside the database, which needs " + rights(word(bad))
	}
	return v
}

// refuseOn refuses what a statement does to relations: to which, or why that is not known.
func (d *decision) refuseOn(f *proxy.Facts, bad proxy.Effects, what, rule string) proxy.Verdict {
	v := d.refuse(effectWords(f, bad), "", grant{effects: bad})
	if v.Reason += ": " + what; rule != "" {
		v.Rule = rule
	}
	return v
}

// refuse says what is not allowed, by which rule, and what would be. right names
// what would allow it; it is empty when that is not one word.
func (d *decision) refuse(what, right string, lacking grant) proxy.Verdict {
	remedy := "You have no rights here."
	if len(d.words) > 0 {
		remedy = "Your rights here: " + strings.Join(d.words, ", ") + "."
	}
	rule := ""
	for _, c := range d.rules {
		g := c.deny
		if len(c.relations) > 0 {
			g.effects = 0
		}
		if g.meets(lacking) {
			rule = c.Name
			if c.Unless.given() {
				remedy += " Rule " + rule + " does not deny it " + c.Unless.words() + "."
			}
			break
		}
	}
	for _, c := range d.waiting {
		if rule == "" && c.allow.meets(lacking) {
			remedy += " Rule " + c.Name + " allows it" + c.conditions() + "."
			break
		}
	}
	for _, c := range d.asking {
		if rule == "" && c.allow.meets(lacking) {
			remedy += asked(c, d.target)
			break
		}
	}
	for _, c := range d.anew {
		if rule == "" && c.allow.meets(lacking) {
			remedy += " Rule " + c.Name + " allows it in a session that is recorded in full from its beginning: connect again."
			break
		}
	}
	reason := "you may not " + what + " at " + d.target.String()
	if right != "" && rule == "" {
		reason += ": this needs " + rights(right)
	}
	return proxy.Deny(proxy.CausePolicy, rule, reason, remedy)
}
