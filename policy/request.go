package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/hours"
	"github.com/sallyport/sallyport/proxy"
)

// Request has a rule allow what it says only to those who have asked for it, and for the time that
// was granted to them.
type Request struct {
	// Stages are the approvals that are needed, one after the other; at least one.
	Stages []Stage
	// For is how long access is granted when nobody says otherwise, and Max the longest that may
	// be asked for. 0 is an hour, and For or an hour, whichever is longer.
	For, Max time.Duration
	// Decide is how long a request may wait for its approvals; 0 is eight hours.
	Decide time.Duration
	// Reason is a pattern that must be found in the reason, such as that of a ticket's number. Empty: there has to be a
	// reason.
	Reason string
	// Connect says what becomes of somebody who connects and has not asked.
	Connect Connecting
	// Wait is how long a client that connects waits for the approvals; see ConnectWait.
	Wait time.Duration
	// Message says what for; may be empty.
	Message string
	// Escalate are further approvers of what nobody has decided about in time.
	Escalate []Escalation
	// Auto is what the rule grants by itself; nil: people decide.
	Auto *Auto
	// Proof is how those who approve must have proven who they are.
	Proof Proof
	// Uses is how many sessions may be opened by what is granted, and Reuse within which time of its beginning; 0 is any.
	Uses  int
	Reuse time.Duration
	// BreakGlass lets people take it without an approval, in an emergency. Nil: nobody may.
	BreakGlass *BreakGlass
}

// BreakGlass has people take what a rule allows at once, without an approval. What they do then is recorded in full, and their sessions
// that are not recorded so do not have it.
type BreakGlass struct {
	// Groups are those who may, of the users of the rule; at least one. "*" is all of them.
	Groups []string
	// Max is the longest that it may be taken for; 0 is an hour.
	Max time.Duration
	// Offline says that an assembly may have it taken in other ways while its store does not answer. The policy does not look at it.
	Offline bool
}

// May reports whether somebody may break the glass: a person herself, and nobody for her.
func (b *BreakGlass) May(id *proxy.Identity) bool {
	return b != nil && id.Kind == proxy.Human && id.OnBehalfOf == "" && (slices.Contains(b.Groups, "*") || slices.ContainsFunc(b.Groups, id.In))
}

func (b *BreakGlass) validate(c Carries) error {
	var errs []error
	if len(b.Groups) == 0 {
		errs = append(errs, errors.New("access without an approval is for no groups: say who may; \"*\" is all users of the rule"))
	}
	if b.Max < 0 || b.Max > MaxBreakGlass || b.Max > 0 && b.Max < time.Minute {
		errs = append(errs, fmt.Errorf("access without an approval lasts %s: want a minute to %s", hours.Length(b.Max), hours.Length(MaxBreakGlass)))
	}
	if c&CarriesRecording == 0 {
		errs = append(errs, errors.New("access without an approval is recorded in full, and this gateway does not record by access rules"))
	}
	return errors.Join(errs...)
}

// MaxUses is the most that Uses of a Request may be.
const MaxUses = 100

// Stage is one of the approvals that a request needs.
type Stage struct {
	// Approvers are groups; a member of one of them approves. "*" is everybody, "user:NAME" one person, and "{label.NAME}" the group or
	// person that a label of the resource says.
	Approvers []string
	// Need is how many people have to; 0 is one.
	Need int
}

// Escalation has further people approve what nobody has decided about for a share of Decide.
type Escalation struct {
	After     int      // percent of Decide, 1 to 99
	Approvers []string // as those of a Stage
}

// Connecting is what becomes of somebody who connects where a rule wants a request that she has not
// made.
type Connecting uint8

// What a gateway does then.
const (
	ConnectRefuse Connecting = iota // say how to ask
	ConnectAsk                      // make the request, say so, and end the connection
	ConnectWait                     // make the request, and wait
)

// Defaults of a Request.
const (
	DefaultRequest = time.Hour
	DefaultDecide  = 8 * time.Hour
	MaxRequest     = 7 * 24 * time.Hour // that a Request may allow
	MaxBreakGlass  = 24 * time.Hour     // that a BreakGlass may
)

// Terms are those of a Request, with what is not said filled in.
func (r Request) Terms() Request {
	if r.For == 0 {
		r.For = DefaultRequest
		if r.Max > 0 {
			r.For = min(r.For, r.Max)
		}
	}
	if r.Max == 0 {
		r.Max = max(r.For, DefaultRequest)
	}
	if r.Decide == 0 {
		r.Decide = DefaultDecide
	}
	if r.BreakGlass != nil && r.BreakGlass.Max == 0 {
		glass := *r.BreakGlass
		glass.Max = DefaultRequest
		r.BreakGlass = &glass
	}
	r.Stages = slices.Clone(r.Stages)
	for i := range r.Stages {
		r.Stages[i].Need = max(r.Stages[i].Need, 1)
	}
	return r
}

func (r *Request) validate(carries Carries) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("request: "+format, args...)) }
	if len(r.Stages) == 0 {
		bad("it has no approvers: without them nobody can approve it")
	}
	if len(r.Stages) > 10 {
		bad("got %d stages, want at most 10", len(r.Stages))
	}
	for _, s := range r.Stages {
		if len(s.Approvers) == 0 {
			bad("a stage has no approvers: without them nobody can approve it")
		}
		if err := validateApprovers(s.Approvers); err != nil {
			errs = append(errs, err)
		}
		if s.Need < 0 || s.Need > 20 {
			bad("a stage needs %d people: want 1 to 20", s.Need)
		}
	}
	if len(r.Escalate) > 5 {
		bad("it is escalated %d times, want at most 5", len(r.Escalate))
	}
	for _, e := range r.Escalate {
		if e.After < 1 || e.After > 99 {
			bad("it is escalated after %d%% of the time to decide, want 1%% to 99%%", e.After)
		}
		if len(e.Approvers) == 0 {
			bad("it is escalated to nobody")
		}
		if err := validateApprovers(e.Approvers); err != nil {
			errs = append(errs, err)
		}
	}
	if r.Uses < 0 || r.Uses > MaxUses {
		bad("it opens %d sessions, want at most %d", r.Uses, MaxUses)
	}
	for _, t := range []time.Duration{r.For, r.Max, r.Decide, r.Wait, r.Reuse} {
		if t < 0 || t > MaxRequest {
			bad("got a time of %s, want at most %s", t, hours.Length(MaxRequest))
		}
	}
	if r.For > 0 && r.Max > 0 && r.For > r.Max {
		bad("it grants %s unless somebody says otherwise, which is longer than its most of %s", hours.Length(r.For), hours.Length(r.Max))
	}
	if _, err := regexp.Compile(r.Reason); err != nil {
		bad("the pattern of the reason: %v", err)
	}
	if r.Wait > 0 && r.Connect != ConnectWait || r.Wait == 0 && r.Connect == ConnectWait {
		bad("a client waits when the rule has it wait, and for a time of more than 0")
	}
	errs = append(errs, r.Auto.validate(r), r.Proof.validate())
	if r.BreakGlass != nil {
		if err := r.BreakGlass.validate(carries); err != nil {
			bad("%w", err)
		}
	}
	return errors.Join(errs...)
}

// named reports rules that are asked for by a name that may come to be another rule's: what was granted is known by it.
func named(rules []Rule) error {
	many := make(map[string]int)
	for _, r := range rules {
		many[r.Name]++
	}
	var errs []error
	for i, r := range rules {
		switch {
		case r.Request == nil:
		case r.Name == "":
			errs = append(errs, fmt.Errorf("rule %d: it is asked for, and what is granted is known by the rule's name: give it one", i+1))
		case many[r.Name] > 1:
			errs = append(errs, fmt.Errorf("rule %s: it is asked for, and what is granted is known by the rule's name, which another rule has, too: give it one of its own", r.Name))
		}
	}
	return errors.Join(errs...)
}

// Grant is what somebody was granted of a rule.
type Grant struct {
	ID      string    // of the request
	Until   time.Time // when it is over
	Check   time.Time // when it has to be asked about again; zero is at its end
	Actions []string  // of the rule that are granted
	// Opens says that it counts for a session that is opened by it, which Open notes.
	Opens bool
	// Rows is how many rows may be returned or changed by it, in all sessions and at all gateways; 0 is any. Ends is Until by the clock of
	// the ledger of [Policy.WithBudgets], which counts them: the same whenever it is asked for.
	Rows uint64
	Ends time.Time
}

// ErrSpent says that nothing more may be opened by what was granted.
var ErrSpent = errors.New("what was granted opens no further session")

// Grants knows what was granted. It is safe for concurrent use, and never waits.
type Grants interface {
	// Version changes when Granted may answer otherwise than before, apart from what time brings.
	Version() uint64
	// Granted returns what somebody has been granted of a rule at a target now, in a session, or to connect when s is nil.
	Granted(s *proxy.Session, id *proxy.Identity, t proxy.Target, rule string) (Grant, bool)
	// Open notes that a session is opened by what a request has granted, when Granted says that it Opens one. The error matches ErrSpent
	// when no further session may be.
	Open(ctx context.Context, request string, s *proxy.Session) error
	// Glass returns what somebody has of a rule at a target now by breaking the glass.
	Glass(id *proxy.Identity, t proxy.Target, rule string) (Grant, bool)
	// Watch has changed called when what a request of somebody's has granted begins or ends, from any goroutine, with what the user
	// is to be told. It is not called any more after stop.
	Watch(subject string, changed func(request, why string)) (stop func())
}

// With returns the same rules with what is granted of those that have a Request.
func (p *Policy) With(grants Grants) *Policy {
	with := *p
	with.grants = grants
	return &with
}

// Requestable returns the rules of which somebody may ask for access to a target, whatever she was granted already: those that
// would let her connect, or do more there. They are in the order of the rules. A target without a database is all of the
// resource's.
func (p *Policy) Requestable(id *proxy.Identity, t proxy.Target) (rules []*Rule) {
	for _, c := range p.rules {
		r := c.Rule
		if t.Database == "" {
			r.Databases = nil
		}
		if c.Request != nil && r.matches(id, t) {
			r := c.Rule
			rules = append(rules, &r)
		}
	}
	return rules
}

// Rule returns the rule of a name; nil when no rule has it.
func (p *Policy) Rule(name string) *Rule {
	for _, c := range p.rules {
		if c.Name == name {
			r := c.Rule
			return &r
		}
	}
	return nil
}

// granted is the part of c that was granted to a session's user, and until when; nil: nothing is.
func (c *compiled) granted(g Grants, s *proxy.Session, id *proxy.Identity, t proxy.Target) (*compiled, Grant) {
	if g == nil {
		return nil, Grant{}
	}
	has, ok := g.Granted(s, id, t, c.Name)
	if !ok {
		return nil, has
	}
	return c.part(has.Actions), has
}

// glass is the part of c that a session's user has by breaking the glass, and until when; nil: nothing is. Who may not any more has it
// no more.
func (c *compiled) glass(g Grants, id *proxy.Identity, t proxy.Target) (*compiled, Grant) {
	if g == nil || !c.Request.BreakGlass.May(id) {
		return nil, Grant{}
	}
	has, ok := g.Glass(id, t, c.Name)
	if !ok {
		return nil, has
	}
	return c.part(has.Actions), has
}

// part is c with these of its actions alone.
func (c *compiled) part(actions []string) *compiled {
	words := grant{}
	for _, w := range actions {
		g, _ := parseAction(w) // one that is not known any more allows nothing
		words = words.or(g)
	}
	part := *c
	part.allow, part.words = numbered(words).and(c.allow), actions
	return &part
}

// ask is the hold of somebody who connects and has not asked; nil: she is told how to.
func (c *compiled) ask(t proxy.Target) *proxy.Hold {
	r := c.Request.Terms()
	if r.Connect == ConnectRefuse {
		return nil
	}
	h := &proxy.Hold{Rules: []string{c.Name}, Approvers: [][]string{ApproversAt(r.Stages[0].Approvers, t.Resource)}, For: r.Decide, Access: c.Name}
	h.Message = r.Message
	if h.Message == "" {
		h.Message = "access to " + t.String() + " is granted to those who have asked for it"
	}
	if r.Connect == ConnectWait {
		h.For = r.Wait
	}
	return h
}

// asked says how rules that allow something to those who ask are asked for.
func asked(c *compiled, t proxy.Target) string {
	var who []string
	for _, s := range c.Request.Stages {
		who = append(who, cmp.Or(strings.Join(ApproversAt(s.Approvers, t.Resource), " or "), "nobody"))
	}
	return " Rule " + c.Name + " allows it for a time to those who have asked, with an approval of " + strings.Join(who, ", then ") + "."
}

// askFor holds Connect for the first rule that would allow it to those who ask, or says how to ask; it passes when no rule
// does. Who may ask is told of the resource, which is not there for others.
func (d *decision) askFor() proxy.Verdict {
	var told *compiled
	for _, c := range d.asking {
		if c.allow.kinds&kinds(proxy.KindConnect) == 0 {
			continue
		}
		if h := c.ask(d.target); h != nil {
			return proxy.Verdict{Action: proxy.ActionHold, Cause: proxy.CauseApproval, Rule: c.Name, Reason: h.Message, Hold: h}
		}
		if told == nil {
			told = c
		}
	}
	if told == nil {
		return proxy.Pass()
	}
	return proxy.Deny(proxy.CauseApproval, told.Name, "you have no access to "+d.target.String()+" now", strings.TrimSpace(asked(told, d.target)))
}

// connected notes by which request the session is connected.
func (j *judge) connected(d *decision) {
	if j.usage == nil {
		return // it is asked for an explanation
	}
	j.watching.Lock()
	j.by(d)
	j.watching.Unlock()
	j.wake() // there is an end to wait for
}

// by notes the request by which the session is connected now. j.watching is held, once anybody else knows of j.
func (j *judge) by(d *decision) {
	if j.granted != d.request {
		j.granted, j.why = d.request, ""
	}
	j.until = d.end
}

// regranted looks at the session again, because its user's grants have changed.
func (j *judge) regranted(request, why string) {
	j.watching.Lock()
	if request == j.granted {
		j.why = why
	}
	j.watching.Unlock()
	j.wake()
}

// ungranted refuses an operation that goes on when what was granted as it began is over, and it is not allowed without.
func (r *running) ungranted(d *decision) proxy.Verdict {
	for _, id := range r.granted {
		if slices.Contains(d.granted, id) {
			continue
		}
		if v := d.ask(r.op); v.Refuses() {
			v.Reason = "the access that was granted by request " + id + " is over, and without it " + v.Reason
			return v
		}
	}
	return proxy.Pass()
}

// ungranted says why the session must end that was connected by what was granted; nil: it goes on. j.watching is held.
func (j *judge) ungranted(d *decision) error {
	switch {
	case d.request != "" || j.granted == "" && d.connect != "":
		j.by(d)
		return nil
	case d.connect != "" || j.granted == "" || !j.joined.Load():
		return nil // other rules let her be connected, or she is only about to be
	}
	why := j.why
	switch over := "the access that was granted by request " + j.granted + " is over"; {
	case why != "":
	case time.Now().Before(j.until):
		why = over + ", or it cannot be asked whether it is"
	default:
		why = over
	}
	return &proxy.RefusedError{Verdict: proxy.Deny(proxy.CauseApproval, "", why, "Ask for access again.")}
}
