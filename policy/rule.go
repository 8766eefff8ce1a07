package policy

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Rule allows or denies actions, or asks for something. The zero Rule is not valid.
type Rule struct {
	// Name is told to users when the rule denies something; empty is made from the
	// rule's place in the list.
	Name string
	// Groups and Users say which users it is about: a member of any group, or any of the
	// users; "*" is everybody. A delegated agent is named by its human.
	Groups []string
	Users  []string
	// Claims narrow that to those who have every claim, with a value that one of its globs
	// meets.
	Claims map[string][]string
	// Kinds narrow it to humans, services or agents; empty is all of them.
	Kinds []proxy.IdentityKind
	// Resources are names or globs (path.Match); Labels must all be there; Protocols are
	// types of resources. All empty is every resource.
	Resources []string
	Labels    map[string]string
	Protocols []string
	// Databases and Accounts are globs; empty is any.
	Databases []string
	Accounts  []string
	// When says under which condition the rule applies, and Unless under which it does not.
	// What is not known counts against the session: the rule then allows nothing, and what it
	// denies and asks for counts.
	When   Condition
	Unless Condition
	// Allow and Deny are actions; see Actions.
	Allow []string
	Deny  []string
	// Relations limit what the rule says of statements to what they do to tables and views: globs
	// "table", of any schema, or "schema.table". What views show and triggers write counts,
	// too. A statement is refused when it cannot be told which relations it touches, which
	// needs a catalog of the resource; and what is done to other things than relations is not
	// allowed. Empty is everything.
	Relations []string
	// Obligations are what the rule asks for where it applies.
	Obligations Obligations
	// Request has the rule allow only what was granted to those who have asked. Nil: nobody has to ask.
	Request *Request
}

// MatchesResource reports whether the rule is about r.
func (r *Rule) MatchesResource(res *proxy.Resource) bool {
	for k, v := range r.Labels {
		if res.Labels[k] != v {
			return false
		}
	}
	return (len(r.Protocols) == 0 || slices.Contains(r.Protocols, res.Type)) && (len(r.Resources) == 0 || matches(r.Resources, res.Name))
}

// MatchesIdentity reports whether the rule is about id.
func (r *Rule) MatchesIdentity(id *proxy.Identity) bool {
	if len(r.Kinds) > 0 && !slices.Contains(r.Kinds, id.Kind) {
		return false
	}
	for claim, values := range r.Claims {
		if value, has := id.Claims[claim]; !has || !matches(values, value) {
			return false
		}
	}
	return slices.Contains(r.Users, id.Person()) || slices.Contains(r.Users, "*") || slices.Contains(r.Groups, "*") ||
		slices.ContainsFunc(r.Groups, id.In)
}

func (r *Rule) matches(id *proxy.Identity, t proxy.Target) bool {
	return r.MatchesIdentity(id) && r.MatchesResource(t.Resource) &&
		(len(r.Databases) == 0 || matches(r.Databases, t.Database)) &&
		(len(r.Accounts) == 0 || matches(r.Accounts, t.Account.Name))
}

func matches(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(g string) bool { return globs(g, s) })
}

// conditions says under which conditions the rule applies.
func (r *Rule) conditions() string {
	text := ""
	if r.When.given() {
		text += " " + r.When.words()
	}
	if r.Unless.given() {
		text += " unless it is " + r.Unless.words()
	}
	return text
}

// compiled is a rule with its words read.
type compiled struct {
	Rule
	allow, deny grant
	reviews     grant       // what is held
	hold        *proxy.Hold // nil: nothing is
	relations   []relation
	words       []string  // what it allows, for messages
	whole       *compiled // the rule of which this is the part that was granted; itself otherwise
}

// applies reports whether the rule allows what it says, whether it denies and asks for it,
// and until when that is certain: zero is for ever.
func (c *compiled) applies(s *scene) (allows, denies bool, until time.Time) {
	when, until := c.When.holds(s)
	unless := no
	if c.Unless.given() {
		var also time.Time
		unless, also = c.Unless.holds(s)
		until = earlier(until, also)
	}
	return when == yes && unless == no, when != no && unless != yes, until
}

// changes reports whether it can apply at one time of a session and not at another.
func (c *compiled) changes() bool {
	return len(c.When.Hours)+len(c.Unless.Hours) > 0 || c.When.LoginWithin > 0 || c.Unless.LoginWithin > 0 || c.Request != nil
}

func compile(r Rule, carries Carries) (*compiled, error) {
	c := &compiled{Rule: r, words: r.Allow}
	c.whole = c
	var errs []error
	if len(r.Groups)+len(r.Users) == 0 {
		errs = append(errs, errors.New("it names neither groups nor users, so it never applies"))
	}
	if len(r.Allow)+len(r.Deny) == 0 && !r.Obligations.given() {
		errs = append(errs, errors.New("it neither allows nor denies anything"))
	}
	for claim, values := range r.Claims {
		if len(values) == 0 {
			errs = append(errs, fmt.Errorf("claim %q has no values, so the rule never applies", claim))
		}
		errs = append(errs, patterns(values))
	}
	errs = append(errs, patterns(r.Resources), patterns(r.Databases), patterns(r.Accounts))
	for _, k := range r.Kinds {
		if k > proxy.Agent {
			errs = append(errs, fmt.Errorf("kind of identity %d is unknown", k))
		}
	}
	errs = append(errs, r.When.validate(), r.Unless.validate(), r.Obligations.validate(carries))
	var err error
	c.allow, err = grantOf(r.Allow)
	errs = append(errs, err)
	c.deny, err = grantOf(r.Deny)
	errs = append(errs, err)
	for _, w := range r.Allow {
		if slices.Contains(r.Deny, w) {
			errs = append(errs, fmt.Errorf("it both allows and denies %q", w))
		}
	}
	c.deny = deniedBy(c.deny)
	if r.Request != nil {
		errs = append(errs, r.Request.validate(carries))
		if len(r.Allow) == 0 || len(r.Deny) > 0 {
			errs = append(errs, errors.New("a rule that is asked for allows something, and denies nothing: write another rule for that"))
		}
		if carries&CarriesRequests == 0 {
			errs = append(errs, errors.New("it is asked for, and this gateway takes no requests for access"))
		}
	}
	errs = append(errs, c.limit())
	if r.Obligations.Review != nil {
		if len(r.Allow) == 0 {
			errs = append(errs, errors.New("it has nothing to review, because it allows nothing"))
		}
		c.reviews, c.hold = deniedBy(c.allow), c.review()
		c.reviews.kinds &^= kinds(proxy.KindEnv, proxy.KindInput) // come with what was approved
	}
	c.allow = numbered(c.allow)
	return c, errors.Join(errs...)
}

// numbered is g with what writing rows needs that are numbered by a sequence.
func numbered(g grant) grant {
	if g.effects.Has(proxy.EffectInsert | proxy.EffectUpdate) {
		g.effects |= proxy.EffectSequence
	}
	return g
}

// limit narrows the rule's actions to its relations.
func (c *compiled) limit() error {
	if len(c.Relations) == 0 {
		return nil
	}
	var errs []error
	for _, glob := range c.Relations {
		r, err := parseRelation(glob)
		if err != nil {
			errs = append(errs, err)
		}
		c.relations = append(c.relations, r)
	}
	for _, w := range slices.Concat(c.Allow, c.Deny) {
		if g, ok := parseAction(w); ok && g.effects == 0 && w != "connect" {
			errs = append(errs, fmt.Errorf("relations say nothing of %q: write another rule for it", w))
		}
	}
	c.allow = grant{kinds: c.allow.kinds & (statements | kinds(proxy.KindConnect)), effects: c.allow.effects}
	c.deny = grant{kinds: c.deny.kinds & kinds(proxy.KindConnect), effects: c.deny.effects}
	if c.deny.effects != 0 { // which may touch any relation
		c.deny.kinds |= kinds(proxy.KindFunction, proxy.KindReplication)
	}
	c.words = slices.Clone(c.Allow)
	for i, w := range c.words {
		if w != "connect" {
			c.words[i] = w + " on " + alternatives(c.Relations, "and")
		}
	}
	return errors.Join(errs...)
}

// grantOf is what a list of actions means.
func grantOf(words []string) (all grant, err error) {
	var errs []error
	for _, w := range words {
		g, ok := parseAction(w)
		if !ok {
			errs = append(errs, fmt.Errorf("unknown action %q: want one of %s", w, strings.Join(Actions(), ", ")))
		}
		all = all.or(g)
	}
	return all, errors.Join(errs...)
}

func patterns(list []string) error {
	var errs []error
	for _, g := range list {
		if _, err := path.Match(g, ""); err != nil {
			errs = append(errs, fmt.Errorf("%q is not a pattern", g))
		}
	}
	return errors.Join(errs...)
}
