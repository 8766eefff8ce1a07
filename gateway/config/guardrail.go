package config

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/protocol/shell"
	"github.com/sallyport/sallyport/proxy"
)

// Guardrail is a rule over what an operation would do.
type Guardrail struct {
	Position
	Use       string         `yaml:"use"`
	Name      string         `yaml:"name"`
	Deny      *GuardrailRule `yaml:"deny"`
	Warn      *GuardrailRule `yaml:"warn"`
	Hold      *GuardrailRule `yaml:"hold"`
	Rewrite   *GuardrailRule `yaml:"rewrite"`
	Only      *GuardrailRule `yaml:"only"`
	Limit     int            `yaml:"limit"`
	Approvers []string       `yaml:"approvers"`
	For       time.Duration  `yaml:"for"`
	InOpen    time.Duration  `yaml:"in_transaction"`
	Reveal    bool           `yaml:"reveal"`
	Undo      time.Duration  `yaml:"undo"`
	Try       bool           `yaml:"try"`
	Resources Selector       `yaml:"resources"`
	Databases []string       `yaml:"databases,chooses"`
	Accounts  []string       `yaml:"accounts,chooses"`
	Groups    []string       `yaml:"groups,chooses"`
	During    *Hours         `yaml:"during"`
	Outside   *Hours         `yaml:"outside"`
	Observe   bool           `yaml:"observe"`
	Message   string         `yaml:"message"`
	Remedy    string         `yaml:"remedy"`
}

// GuardrailRule are the conditions of a guardrail.
type GuardrailRule struct {
	Position
	Effects    []string `yaml:"effects"`
	Relations  []string `yaml:"relations"`
	Functions  []string `yaml:"functions"`
	Settings   []string `yaml:"settings"`
	Destroys   bool     `yaml:"destroys"`
	NoWhere    bool     `yaml:"no_where"`
	NoLimit    bool     `yaml:"no_limit"`
	Unknown    bool     `yaml:"unknown"`
	Statements int      `yaml:"more_statements_than"`
	Rows       int      `yaml:"more_rows_than"`
	Cost       int      `yaml:"more_cost_than"`
	Commands   []string `yaml:"commands"`
	Paths      []string `yaml:"paths"`
	Requests   []string `yaml:"requests"`
	Actions    []string `yaml:"actions"`
}

// Hours are a part of the week.
type Hours struct {
	Position
	Days  []string `yaml:"days"`
	Times string   `yaml:"times"`
	Zone  string   `yaml:"zone"`
}

// Guardrail builds the rules over what operations would do; nil when there are
// none, because the file switches the default pack off and has no others. Of c,
// everything but the rules and the grammar of commands is the caller's.
func (f *File) Guardrail(c guardrail.Config) (*guardrail.Guardrail, error) {
	if c.Rules = f.guardrailRules(); len(c.Rules) == 0 {
		return nil, nil
	}
	c.Commands = shell.Grammar{}
	return guardrail.New(c)
}

// conditions are a guardrail's conditions with what is done when they hold.
type conditions struct {
	*GuardrailRule
	action guardrail.Action
	only   bool
}

// given are the conditions that a guardrail has; it should be one.
func (g Guardrail) given() []conditions {
	all := []conditions{
		{g.Deny, guardrail.Deny, false},
		{g.Only, guardrail.Deny, true},
		{g.Hold, guardrail.Hold, false},
		{g.Rewrite, guardrail.Rewrite, false},
		{g.Warn, guardrail.Warn, false},
	}
	return slices.DeleteFunc(all, func(c conditions) bool { return c.GuardrailRule == nil })
}

// rulesOf are the rules of g, the n-th guardrail in the file.
func (f *File) rulesOf(g Guardrail, n int) []guardrail.Rule {
	var list []guardrail.Rule
	if g.Use == useDefault {
		// A rule of the pack that is for other resources than the entry never applies.
		list = slices.DeleteFunc(guardrail.Defaults(), func(r guardrail.Rule) bool { return g.Resources.excludes(r.Labels) })
		without := f.withoutPack()
		for i := range list {
			list[i].Except = without
			if n > 1 {
				list[i].Name = fmt.Sprintf("%s-%d", list[i].Name, n) // the pack may be used for several selections
			}
		}
	}
	for _, c := range g.given() {
		r := c.rule(c.action)
		r.Only, r.Limit, r.Approvers, r.For, r.InTransaction, r.Reveal, r.Undo, r.Try = c.only, g.Limit, g.Approvers, g.For, g.InOpen, g.Reveal, g.Undo, g.Try
		list = append(list, r)
	}
	for i := range list {
		r := &list[i]
		if g.Name != "" {
			r.Name = g.Name
		} else if r.Name == "" {
			r.Name = fmt.Sprintf("guardrail-%d", n)
		}
		r.Groups, r.Observe, r.Databases, r.Accounts = g.Groups, g.Observe, g.Databases, g.Accounts
		r.During, r.Outside = g.During.hours(), g.Outside.hours()
		if len(g.Resources.Names) > 0 {
			r.Resources = g.Resources.Names
		}
		if len(g.Resources.Labels) > 0 {
			labels := maps.Clone(g.Resources.Labels)
			maps.Copy(labels, r.Labels)
			r.Labels = labels
		}
		if g.Message != "" {
			r.Message = g.Message
		}
		if g.Remedy != "" {
			r.Remedy = g.Remedy
		}
	}
	return list
}

// excludes reports whether s chooses no resource that has the labels.
func (s *Selector) excludes(labels map[string]string) bool {
	for k, v := range labels {
		if want, ok := s.Labels[k]; ok && want != v {
			return true
		}
	}
	return false
}

func (r *GuardrailRule) rule(action guardrail.Action) guardrail.Rule {
	out := guardrail.Rule{
		Action: action, Relations: r.Relations, Functions: r.Functions, Settings: r.Settings, Destroys: r.Destroys, NoWhere: r.NoWhere, NoLimit: r.NoLimit,
		Unknown: r.Unknown, MoreThan: r.Statements, MoreRows: r.Rows, MoreCost: r.Cost, Commands: r.Commands, Paths: r.Paths, Requests: r.Requests, Actions: r.Actions,
	}
	for _, name := range r.Effects {
		e, _ := proxy.ParseEffect(name) // checked when the file was read
		out.Effects |= e
	}
	return out
}

// parse reads the hours.
func (h *Hours) parse() (*guardrail.Hours, error) {
	out := &guardrail.Hours{}
	var err error
	if out.Days, err = guardrail.ParseDays(h.Days); err != nil {
		return nil, err
	}
	if h.Times != "" {
		if out.From, out.To, err = guardrail.ParseTimes(h.Times); err != nil {
			return nil, err
		}
	}
	if h.Zone == "" || h.Zone == "Local" {
		return nil, fmt.Errorf("hours need a zone, such as UTC or Europe/Berlin")
	}
	if out.Zone, err = time.LoadLocation(h.Zone); err != nil {
		return nil, fmt.Errorf("%q is not a time zone: write UTC, or a zone such as Europe/Berlin", h.Zone)
	}
	return out, nil
}

// hours are those of a file that was validated.
func (h *Hours) hours() *guardrail.Hours {
	if h == nil {
		return nil
	}
	out, _ := h.parse()
	return out
}

func (f *File) validateGuardrails(d *decoder) {
	taken := make(map[string]bool) // names of the guardrails before
	for i, g := range f.Guardrails {
		f.validateGuardrail(d, i+1, g, taken)
		for _, r := range f.rulesOf(g, i+1) {
			taken[r.Name] = true
		}
	}
	if f.guardrailsNamed() || f.guardrailsOff() {
		return
	}
	for _, g := range f.Guardrails {
		if g.Name != "" && slices.ContainsFunc(guardrail.Defaults(), func(r guardrail.Rule) bool { return r.Name == g.Name }) {
			d.problem(g.Line, "choose another name, or switch the pack off by - use: off", "guardrail %q is defined twice: the default pack has a rule with this name", g.Name)
		}
	}
}

func (f *File) validateGuardrail(d *decoder, n int, g Guardrail, taken map[string]bool) {
	if g.Use != "" && g.Use != useDefault && g.Use != useOff {
		d.problem(g.Line, `want "default" or "off"`, "unknown guardrail pack %q", g.Use)
	}
	given := g.given()
	if (g.Use != "") == (len(given) > 0) || len(given) > 1 {
		d.problem(g.Line, "", "a guardrail needs one of use, deny, only, hold, rewrite and warn")
		return
	}
	if g.Use == useDefault && (g.Limit != 0 || g.For != 0 || g.InOpen != 0 || g.Reveal || g.Undo != 0 || g.Try || len(g.Approvers) > 0 || g.Name != "") {
		d.problem(g.Line, "", "a pack brings its own names and actions: only resources, databases, accounts, groups, during, outside and observe may be given with it")
		return
	}
	f.checkSelector(d, g.Line, g.Resources)
	if g.Use == useOff {
		d.onlyKeys(g.Line, g, "use: off", "use", "resources")
		return
	}
	if g.Use == useDefault && f.guardrailsOff() {
		d.problem(g.Line, "give use: off the resources that it is for", "the pack does not apply anywhere: an entry with use: off switches it off")
	}
	if g.Warn != nil && g.Remedy != "" {
		d.problem(g.Line, "write it in message", "remedy has no effect with warn: users see it only when an operation is refused")
	}
	f.checkGroups(d, g.Line, g.Groups)
	if g.Hold != nil {
		f.checkDeciders(d, g.Line, g.Approvers, nil)
	} else {
		f.checkApproverNames(d, g.Line, g.Approvers)
	}
	for _, r := range given {
		for _, e := range r.Effects {
			if _, ok := proxy.ParseEffect(e); !ok {
				d.problem(r.Line, suggest(e, proxy.EffectNames()), "unknown effect %q", e)
			}
		}
		f.checkKind(d, g, r.GuardrailRule)
		if r.only {
			f.checkAllowed(d, g, r.GuardrailRule)
		}
	}
	for _, h := range []*Hours{g.During, g.Outside} {
		if h == nil {
			continue
		}
		if _, err := h.parse(); err != nil {
			d.problem(h.Line, "", "%v", err)
			return
		}
	}
	rules := f.rulesOf(g, n)
	for _, r := range rules {
		if taken[r.Name] {
			d.problem(g.Line, "", "guardrail %q is defined twice", r.Name)
		}
	}
	if _, err := guardrail.New(guardrail.Config{Rules: rules}); err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			d.problem(g.Line, "", "%s", line)
		}
	}
}

// kinds are the kinds of operations that the conditions are about.
func (r *GuardrailRule) kinds() (kinds []proxy.Kind, what string) {
	switch {
	case len(r.Commands) > 0:
		return []proxy.Kind{proxy.KindExec, proxy.KindInput}, "commands"
	case len(r.Paths) > 0:
		return []proxy.Kind{proxy.KindFile}, "paths"
	case len(r.Requests)+len(r.Actions) > 0:
		return []proxy.Kind{proxy.KindRequest, proxy.KindUpgrade}, "requests"
	}
	return []proxy.Kind{proxy.KindStatement, proxy.KindPrepare}, "statements"
}

// chosen are the resources that a guardrail is about.
func (f *File) chosen(g Guardrail) (list []*Resource) {
	for i := range f.Resources {
		res := &f.Resources[i]
		named := len(g.Resources.Names) == 0 || slices.ContainsFunc(g.Resources.Names, func(n string) bool {
			ok, err := path.Match(n, res.Name)
			return ok && err == nil
		})
		if named && g.Resources.matchesLabels(res.Labels) {
			list = append(list, res)
		}
	}
	return list
}

// checkAllowed reports commands of a list that none of its resources ever runs.
func (f *File) checkAllowed(d *decoder, g Guardrail, r *GuardrailRule) {
	for _, pattern := range r.Commands {
		var never error
		for _, res := range f.chosen(g) {
			p := f.protocol(res)
			if p == nil || !p.Asks(proxy.KindExec) {
				continue
			}
			if p.Allows == nil {
				never = nil
				break
			}
			if never = p.Allows(res.Settings, pattern); never == nil {
				break
			}
		}
		if never != nil {
			d.problem(r.Line, "leave it out, or list what it is needed for", "the list allows %q, which never runs on its resources: %v", pattern, never)
		}
	}
}

// checkKind reports a rule about operations that none of its resources has.
func (f *File) checkKind(d *decoder, g Guardrail, r *GuardrailRule) {
	kinds, what := r.kinds()
	var has bool
	var names []string
	for _, res := range f.chosen(g) {
		has = has || f.protocol(res).Asks(kinds...)
		names = append(names, res.Name)
	}
	f.refersTo(d, g.Line, fmt.Sprintf("%s at %q %v", what, g.Resources.Names, g.Resources.Labels), has || names == nil, "",
		"the rule is about %s, but none of its resources has them: %s", what, strings.Join(names, ", "))
}
