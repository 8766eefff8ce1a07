package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// Access is a rule about who may do what, and what it asks for in return.
type Access struct {
	Position
	Name      string              `yaml:"name"`
	Groups    []string            `yaml:"groups,chooses"`
	Users     []string            `yaml:"users,chooses"`
	Claims    map[string][]string `yaml:"claims,chooses"`
	Kinds     []string            `yaml:"kinds,chooses"`
	Resources Selector            `yaml:"resources"`
	Protocols []string            `yaml:"protocols,chooses"`
	Databases []string            `yaml:"databases,chooses"`
	Accounts  []string            `yaml:"accounts,chooses"`
	Allow     []string            `yaml:"allow"`
	Deny      []string            `yaml:"deny"`
	Relations []string            `yaml:"relations,chooses"`
	When      *Condition          `yaml:"when,chooses"`
	Unless    *Condition          `yaml:"unless,chooses"`
	// What the rule asks for in return; see policy.Obligations.
	Review    *Review        `yaml:"review,chooses"`
	Session   *time.Duration `yaml:"session,chooses"`
	Idle      *time.Duration `yaml:"idle,chooses"`
	Budget    *Budget        `yaml:"budget,chooses"`
	Masking   []string       `yaml:"masking,chooses"`
	Recording string         `yaml:"recording,chooses"`
	// Request has the rule allow what was granted to those who have asked.
	Request *AccessRequest `yaml:"request,chooses"`
}

// AccessRequest says who grants what an access rule allows, and for how long; see policy.Request.
type AccessRequest struct {
	Position
	// Approvers and Need are the one stage of most rules; Stages are several.
	Approvers []string       `yaml:"approvers"`
	Need      int            `yaml:"need"`
	Stages    []Stage        `yaml:"stages"`
	For       time.Duration  `yaml:"for"`
	Max       time.Duration  `yaml:"max"`
	Decide    time.Duration  `yaml:"decide"`
	Reason    string         `yaml:"reason"`  // a pattern
	Connect   string         `yaml:"connect"` // ask, wait or refuse
	Wait      time.Duration  `yaml:"wait"`
	Message   string         `yaml:"message"`
	Escalate  []Escalation   `yaml:"escalate"`
	Uses      *int           `yaml:"uses,chooses"`
	Reuse     *time.Duration `yaml:"reuse,chooses"`
	Auto      *Auto          `yaml:"auto,chooses"`
	MinAuth   *MinAuth       `yaml:"min_auth,chooses"`
	// BreakGlass lets people take it without an approval.
	BreakGlass *BreakGlass `yaml:"break_glass,chooses"`
}

// Stage is one of the approvals that a request needs.
type Stage struct {
	Position
	Approvers []string `yaml:"approvers"`
	Need      int      `yaml:"need"`
}

// BreakGlass says who may take what an access rule allows without an approval, and for how long; see policy.BreakGlass.
type BreakGlass struct {
	Position
	Groups []string      `yaml:"groups,chooses"`
	Max    time.Duration `yaml:"max"`
	// Offline says that it may be had by an offline grant, too.
	Offline bool `yaml:"offline"`
}

// The words of request.connect.
const (
	connectAsk    = "ask"
	connectWait   = "wait"
	connectRefuse = "refuse"
)

// request is what r says. Nobody can ask by connecting where a reason has to have something in it.
func (r *AccessRequest) request() *policy.Request {
	out := &policy.Request{
		For: r.For, Max: r.Max, Decide: r.Decide, Reason: r.Reason, Message: r.Message, Wait: r.Wait, Auto: r.Auto.auto(), Proof: r.MinAuth.proof(),
		Uses: valueOf(r.Uses), Reuse: valueOf(r.Reuse),
	}
	for _, e := range r.Escalate {
		after, _ := e.share()
		out.Escalate = append(out.Escalate, policy.Escalation{After: after, Approvers: e.Approvers})
	}
	for _, s := range r.stages() {
		out.Stages = append(out.Stages, policy.Stage{Approvers: s.Approvers, Need: s.Need})
	}
	if g := r.BreakGlass; g != nil {
		out.BreakGlass = &policy.BreakGlass{Groups: g.Groups, Max: g.Max, Offline: g.Offline}
	}
	switch {
	case r.Connect == connectWait, r.Connect == "" && r.Wait > 0:
		out.Connect = policy.ConnectWait
	case r.Connect == connectAsk, r.Connect == "" && r.Reason == "":
		out.Connect = policy.ConnectAsk
	}
	return out
}

func (r *AccessRequest) stages() []Stage {
	if len(r.Stages) > 0 {
		return r.Stages
	}
	return []Stage{{r.Position, r.Approvers, r.Need}}
}

func (f *File) validateRequest(d *decoder, a *Access) {
	r := a.Request
	f.checkRequestName(d, a)
	if len(r.Stages) > 0 && (len(r.Approvers) > 0 || r.Need != 0) {
		d.problem(r.Line, "write all of them as stages", "access: request: it has approvers or need, and stages, too")
	}
	if r.Connect != "" {
		d.words(r.Line, "request.connect", []string{r.Connect}, []string{connectAsk, connectWait, connectRefuse})
	}
	if r.Reason != "" && (r.Connect == connectAsk || r.Connect == connectWait || r.Wait > 0) {
		d.problem(r.Line, "leave connect and wait out: people ask by sallyport request", "access: request: who connects gives no reason, and this one wants a reason that has %s", r.Reason)
	}
	if r.Uses != nil && *r.Uses < 1 {
		d.problem(r.Line, "leave it out for a rule without this bound", "access: request.uses: got %d, want a number of sessions", *r.Uses)
	}
	d.positive(r.Line, "request.reuse", r.Reuse)
	f.validateAuto(d, a)
	f.validateMinAuth(d, r.MinAuth)
	rule := a.rule(0)
	for _, e := range r.Escalate {
		if _, err := e.share(); err != nil {
			d.problem(e.Line, "write after: 50%", "access: request: escalate: %v", err)
		}
		f.checkDeciders(d, e.Line, e.Approvers, rule.MatchesResource)
	}
	for _, s := range r.stages() {
		f.checkDeciders(d, max(s.Line, r.Line), s.Approvers, rule.MatchesResource)
	}
	if r.BreakGlass != nil {
		f.checkBreakGlass(d, r.BreakGlass)
	}
}

// checkBreakGlass reports access without an approval of which nobody would be told, or that nobody can take.
func (f *File) checkBreakGlass(d *decoder, g *BreakGlass) {
	f.checkGroups(d, g.Line, g.Groups)
	if len(f.Notify) == 0 && !d.broken["notify"] {
		d.problem(g.Line, "add notify: with at least one channel", "access: request: break_glass: nobody would be told of access without an approval")
	}
	if g.Offline && f.Offline == nil && !d.broken["offline_grants"] {
		d.problem(g.Line, "add offline_grants: {keepers: [{name: olga, key: ssh-ed25519 AAAA…}, …]}", "access: request: break_glass: offline: nobody keeps offline grants")
	}
	if f.API.URL == "" && !d.broken["api"] {
		d.problem(g.Line, "add api: {listen: 0.0.0.0:8443, url: https://gw.example.com:8443}", "access: request: break_glass: it is taken by the API, where people prove themselves again")
	}
}

// checkRequestName reports a rule that is asked for by a name that may come to be another rule's: what was granted is known by it.
func (f *File) checkRequestName(d *decoder, a *Access) {
	if a.Name == "" {
		d.problem(a.Line, "add name: to the rule", "access: a rule with request has no name, by which what was granted of it is known")
		return
	}
	if strings.HasPrefix(a.Name, RegoRules) && len(f.Access) > 0 {
		d.problem(a.Line, "choose another name", "access: a rule with request has the name %q, and names that begin with %s are those of policies in Rego", a.Name, RegoRules)
		return
	}
	for i := range f.Access {
		if o := &f.Access[i]; o.rule(i).Name == a.Name && o.Line != a.Line {
			d.problem(a.Line, "choose another name", "access: the rule %q has a request, and the rule of line %d has the same name, by which what was granted is known", a.Name, o.Line)
			return
		}
	}
}

// Condition says when an access rule applies; see policy.Condition.
type Condition struct {
	Position
	Hours       []Hours        `yaml:"hours,chooses"`
	Networks    []string       `yaml:"networks,chooses"`
	LoginWithin *time.Duration `yaml:"login_within,chooses"`
	Methods     []string       `yaml:"methods,chooses"`
}

// Review says who approves what an access rule allows; see policy.Review.
type Review struct {
	Position
	Approvers []string      `yaml:"approvers"`
	For       time.Duration `yaml:"for"`
	InOpen    time.Duration `yaml:"in_transaction"`
	Message   string        `yaml:"message"`
	Reveal    bool          `yaml:"reveal"`
	Undo      time.Duration `yaml:"undo"`
	Try       bool          `yaml:"try"`
}

// Budget is how much one session may do, or with Per one person in that time; see
// policy.Budget.
type Budget struct {
	Position
	Statements *uint64        `yaml:"statements,chooses"`
	Rows       *uint64        `yaml:"rows,chooses"`
	Per        *time.Duration `yaml:"per,chooses"`
}

// carries are the obligations that a gateway of a file carries out in addition to those
// that the policy does itself.
const carries = policy.CarriesMasking | policy.CarriesRecording | policy.CarriesBudgets | policy.CarriesRequests

// rule is what a, the i-th rule of the file, says. What of it is not understood is left
// out: a file is checked first.
func (a Access) rule(i int) policy.Rule {
	name := a.Name
	if name == "" {
		name = fmt.Sprintf("access-%d", i+1)
	}
	r := policy.Rule{
		Name: name, Groups: a.Groups, Users: a.Users, Claims: a.Claims, Resources: a.Resources.Names, Labels: a.Resources.Labels,
		Protocols: a.Protocols, Databases: a.Databases, Accounts: a.Accounts, Allow: a.Allow, Deny: a.Deny, Relations: a.Relations,
		When: a.When.condition(), Unless: a.Unless.condition(),
		Obligations: policy.Obligations{Masking: a.Masking, Session: valueOf(a.Session), Idle: valueOf(a.Idle)},
	}
	for _, word := range a.Kinds {
		if k, ok := proxy.ParseIdentityKind(word); ok {
			r.Kinds = append(r.Kinds, k)
		}
	}
	o := &r.Obligations
	if b := a.Budget; b != nil && b.Per == nil {
		o.Statements, o.Rows = valueOf(b.Statements), valueOf(b.Rows)
	} else if b != nil {
		o.Budgets = []policy.Budget{{Statements: valueOf(b.Statements), Rows: valueOf(b.Rows), Per: *b.Per}}
	}
	if a.Review != nil {
		o.Review = &policy.Review{Approvers: a.Review.Approvers, For: a.Review.For, InTransaction: a.Review.InOpen, Message: a.Review.Message, Reveal: a.Review.Reveal, Undo: a.Review.Undo, Try: a.Review.Try}
	}
	if level, err := policy.ParseRecording(a.Recording); err == nil {
		o.Recording = level
	}
	if a.Request != nil {
		r.Request = a.Request.request()
	}
	return r
}

// valueOf is what p points to; of nil it is the zero value.
func valueOf[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func (c *Condition) condition() (out policy.Condition) {
	if c == nil {
		return out
	}
	for i := range c.Hours {
		if h, err := c.Hours[i].parse(); err == nil {
			out.Hours = append(out.Hours, *h)
		}
	}
	for _, text := range c.Networks {
		if n, err := netip.ParsePrefix(text); err == nil {
			out.Networks = append(out.Networks, n)
		}
	}
	for _, word := range c.Methods {
		if m, ok := proxy.ParseMethod(word); ok {
			out.Methods = append(out.Methods, m)
		}
	}
	out.LoginWithin = valueOf(c.LoginWithin)
	return out
}

func (f *File) validateAccess(d *decoder) {
	for i, a := range f.Access {
		r := a.rule(i)
		r.Allow, r.Deny = f.knownWords(d, &a, a.Allow), f.knownWords(d, &a, a.Deny)
		understood := d.malformed
		f.checkWords(d, &a)
		a.When.validate(d, "when")
		a.Unless.validate(d, "unless")
		f.checkObligations(d, &a)
		if d.malformed == understood { // else the rule lacks what is not understood
			if _, err := policy.New([]policy.Rule{r}, carries); err != nil {
				for _, line := range strings.Split(err.Error(), "\n") {
					d.problem(a.Line, "", "%s", strings.TrimPrefix(line, "rule "))
				}
			}
		}
		f.checkSelector(d, a.Line, a.Resources)
		f.checkProtocols(d, &a, &r)
		f.checkGroups(d, a.Line, a.Groups)
		f.checkUsers(d, &a)
	}
	if len(f.Access) == 0 && len(f.Resources) > 0 && !d.broken["access"] && !d.broken["policy"] && !f.Decides() && !f.takesObjects() {
		d.problem(1, "add access: [{groups: […], allow: [connect, read]}]", "no access rule: nobody can connect to anything")
	}
}

func (f *File) checkUsers(d *decoder, a *Access) {
	for _, u := range a.Users {
		if d.unsure() {
			return
		}
		f.refersTo(d, a.Line, "user "+u, u == "*" || f.knowsUser(u), "", "the rule names user %q, who does not exist", u)
	}
}

// checkWords reports words of a rule that nobody knows, apart from actions.
func (f *File) checkWords(d *decoder, a *Access) {
	d.words(a.Line, "kinds", a.Kinds, proxy.IdentityKindNames())
	d.words(a.Line, "protocols", a.Protocols, namesOf(f.options.Protocols))
	if a.Recording != "" {
		d.words(a.Line, "recording", []string{a.Recording}, policy.RecordingNames())
	}
}

// checkProtocols reports protocols of a rule that none of its resources has.
func (f *File) checkProtocols(d *decoder, a *Access, r *policy.Rule) {
	if len(a.Protocols) == 0 || d.unsure() || slices.ContainsFunc(a.Protocols, func(p string) bool { return find(f.options.Protocols, p) == nil }) {
		return
	}
	met := slices.ContainsFunc(f.Resources, func(res Resource) bool {
		return r.MatchesResource(&proxy.Resource{Name: res.Name, Type: res.Type, Labels: res.Labels})
	})
	words := strings.Join(a.Protocols, " or ")
	f.refersTo(d, a.Line, fmt.Sprintf("protocol %s at %q %v", words, a.Resources.Names, a.Resources.Labels), met, "",
		"access: none of the resources that the rule chooses has the protocol %s, so it never applies", words)
}

// words reports those of a key of an access rule that are not known.
func (d *decoder) words(line int, key string, words, known []string) {
	for _, w := range words {
		if !slices.Contains(known, w) {
			d.problem(line, suggest(w, known), "access: %s: %q is unknown", key, w)
		}
	}
}

func (c *Condition) validate(d *decoder, key string) {
	if c == nil {
		return
	}
	for i := range c.Hours {
		if _, err := c.Hours[i].parse(); err != nil {
			d.problem(c.Hours[i].Line, "", "access: %s: %v", key, err)
		}
	}
	for _, text := range c.Networks {
		if _, err := netip.ParsePrefix(text); err != nil {
			d.problem(c.Line, "write it as 10.0.0.0/8, and one address as 10.1.2.3/32", "access: %s: %q is not a network", key, text)
		}
	}
	d.words(c.Line, key+".methods", c.Methods, proxy.MethodNames())
	d.positive(c.Line, key+".login_within", c.LoginWithin)
}

// positive reports a bound of 0, which would be read as "without a bound".
func (d *decoder) positive(line int, key string, t *time.Duration) {
	if t != nil && *t == 0 {
		d.problem(line, "leave it out for a rule without this bound", "access: %s: got 0, want a time such as 15m", key)
	}
}

// checkObligations reports what a rule asks for and nobody could do.
func (f *File) checkObligations(d *decoder, a *Access) {
	d.positive(a.Line, "session", a.Session)
	d.positive(a.Line, "idle", a.Idle)
	if b := a.Budget; b != nil {
		if b.Statements != nil && *b.Statements == 0 || b.Rows != nil && *b.Rows == 0 {
			d.problem(b.Line, "leave it out for a rule without this bound; deny says what is not allowed at all", "access: budget: got 0, want numbers of 1 or more")
		}
	}
	for _, name := range a.Masking {
		known := f.Profiles()
		if slices.Contains(known, name) || d.broken["masking"] {
			continue
		}
		hint := "add an entry with profile: " + name + " to masking"
		if closest(name, known) != "" {
			hint = suggest(name, known)
		}
		d.problem(a.Line, hint, "access: masking: no entry of masking is of the profile %q", name)
	}
	if a.Request != nil {
		f.validateRequest(d, a)
	}
	if r := a.Review; r != nil {
		f.checkDeciders(d, r.Line, r.Approvers, nil)
		if r.Undo > proxy.MaxUndo {
			d.problem(r.Line, "", "access: review: undo is %s: want at most %s", r.Undo, proxy.MaxUndo)
		}
	}
}

// checkApprovers reports a list of approvers of which nobody could decide.
func (f *File) checkApprovers(d *decoder, line int, approvers []string) {
	known := func(g string) bool {
		if subject, person := strings.CutPrefix(g, review.PersonPrefix); person {
			return f.givesUser(subject)
		}
		if _, ok := review.OnCallList(g); ok {
			return true // who is on call is a service's to say
		}
		return g != "*" && (f.options.Groups != nil && f.options.Groups(g) || f.givesGroup(g))
	}
	if len(approvers) == 0 || d.unsure() || slices.ContainsFunc(approvers, known) {
		return
	}
	able := slices.ContainsFunc(f.Identity.Users, func(u User) bool {
		return (u.Password != "" || u.Hash != "") && review.Among(approvers, &proxy.Identity{Subject: u.Name, Groups: u.Groups})
	})
	list := strings.Join(approvers, ", ")
	f.refersTo(d, line, "approvers "+list, able, "give one of the approvers a password, which is needed to decide",
		"none of the approvers [%s] has a password, so nobody could decide", list)
}

// knownWords reports words of a rule that nobody knows, and returns the others.
func (f *File) knownWords(d *decoder, a *Access, words []string) []string {
	known := policy.Actions()
	var list []string
	for _, w := range words {
		if slices.Contains(known, w) {
			list = append(list, w)
			continue
		}
		d.problem(a.Line, suggest(w, known), "access: unknown action %q", w)
	}
	if len(list) == 0 && len(words) > 0 {
		return known[:1] // the rule is not without words for that
	}
	return list
}
