package runbook

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/digest"
)

// Origin is where a runbook comes from: exactly what was read.
type Origin struct {
	Source string `json:"source"`
	Commit string `json:"commit,omitempty"` // empty: a plain directory has none
	Path   string `json:"path"`
	Digest string `json:"digest"`           // SHA-256 of the file
	Author string `json:"author,omitempty"` // the mail address of the commit's author
	Signer string `json:"signer,omitempty"` // whose key has signed the commit
}

// Resource is one that steps may run on.
type Resource struct {
	Name    string            `json:"name"`
	Type    string            `json:"type"`
	Account string            `json:"account,omitempty"`
	Labels  map[string]string `json:"-"`
	// Dialect is that of a database; nil: it is not a database. Commands says that it runs commands.
	Dialect  *Dialect `json:"-"`
	Commands bool     `json:"-"`
	Requests bool     `json:"-"` // it takes HTTP requests
}

// Plan is what a run would do, and where: a runbook with its values and targets.
type Plan struct {
	Name    string                `json:"name"`
	Title   string                `json:"title,omitempty"`
	Risk    string                `json:"risk,omitempty"`
	Origin  Origin                `json:"origin"`
	Values  map[string]Value      `json:"values"`
	Targets map[string][]Resource `json:"targets"`
	Reviews []Review              `json:"reviews,omitempty"`
	Bounds  Bounds                `json:"bounds"`
	Steps   []Planned             `json:"steps"`
	// Digest is one of all of it.
	Digest string `json:"digest"`

	book  *Runbook
	steps []*planned
}

// Bounds are what a run never exceeds.
type Bounds struct {
	Timeout  time.Duration `json:"timeout"`
	Rows     int64         `json:"rows"`
	Affected *int64        `json:"affected_rows,omitempty"`
	Output   int64         `json:"output"`
	ReadOnly bool          `json:"readonly,omitempty"`
}

// Planned is a step of a plan.
type Planned struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
	On   string `json:"on,omitempty"` // resource
	When string `json:"when,omitempty"`
	// Text is the statement as it is sent, the command line, or the method and address of a request; values that are known only
	// when the run gets there are shown by their names.
	Text   string   `json:"text"`
	Args   []string `json:"args,omitempty"`
	Input  string   `json:"input,omitempty"` // where a command's input, or a request's body, comes from
	Writes bool     `json:"writes"`          // it may change something
	DryRun string   `json:"dry_run,omitempty"`
	Bound  *int64   `json:"affected_rows,omitempty"`
}

// planned is a step with what it needs to run.
type planned struct {
	*Step
	Planned
	resource Resource
	group    string
	prefix   string           // of the names of its runbook's steps
	scope    map[string]Value // the values of its runbook
	book     *Runbook
	text     string // of a statement
	bound    []Ref
	from     []string // groups that approve
	wait     time.Duration
}

// Choice is what somebody wants to run.
type Choice struct {
	Values  map[string]json.RawMessage
	Targets map[string][]string // names of resources, by group; a group with one candidate may be left out
}

// Plan checks the values and targets of a run. Candidates are the resources that who asks may
// connect to, which is asked again when the run gets there.
func (b *Runbook) Plan(origin Origin, choice Choice, candidates []Resource) (*Plan, error) {
	values, err := b.Bind(choice.Values)
	if err != nil {
		return nil, err
	}
	targets, err := b.choose(choice.Targets, candidates)
	if err != nil {
		return nil, err
	}
	p := &Plan{
		Name: b.Metadata.Name, Title: b.Metadata.Title, Risk: b.Metadata.Risk, Origin: origin, Values: values, Targets: targets, book: b, Reviews: []Review{},
		Bounds: Bounds{or(b.Limits.Timeout, defaultTimeout), or(b.Limits.Rows, defaultRows), b.Limits.Affected, or(b.Limits.Output, defaultOutput), b.Limits.ReadOnly},
	}
	if err := p.add(b, "", values, targets); err != nil {
		return nil, err
	}
	if n := len(p.steps); n > 10*MaxSteps {
		return nil, fmt.Errorf("the run has %d steps at all its targets, and may have %d", n, 10*MaxSteps)
	}
	for _, s := range p.steps {
		p.Steps = append(p.Steps, s.Planned)
	}
	if p.Digest, err = p.Sum(); err != nil {
		return nil, err
	}
	return p, nil
}

// Sum computes the digest of what a plan says, which is its Digest unless somebody has changed it.
func (p *Plan) Sum() (string, error) {
	said := *p
	said.Digest = ""
	text, err := json.Marshal(&said)
	if err != nil {
		return "", err
	}
	return digest.Of("sallyport runbook plan 1", string(text)), nil
}

// choose finds the targets of a run.
func (b *Runbook) choose(given map[string][]string, candidates []Resource) (map[string][]Resource, error) {
	targets := make(map[string][]Resource)
	for name := range given {
		if b.group(name) == nil {
			return nil, fmt.Errorf("targets: the runbook has no group %q", clip(name))
		}
	}
	for _, g := range b.Targets {
		var fit []Resource
		for _, r := range candidates {
			if g.Takes(r) {
				fit = append(fit, r)
			}
		}
		chosen, ok := given[g.Name]
		if !ok {
			if len(fit) != 1 {
				names := make([]string, 0, len(fit))
				for _, r := range fit {
					names = append(names, r.Name)
				}
				return nil, fmt.Errorf("targets.%s: choose one of the resources that it fits and that you may connect to: %s", g.Name, or(clip(strings.Join(names, ", ")), "there are none"))
			}
			targets[g.Name] = fit
			continue
		}
		if int64(len(chosen)) > or(g.Max, 1) || len(chosen) == 0 {
			return nil, fmt.Errorf("targets.%s: got %d resources, want 1 to %d", g.Name, len(chosen), or(g.Max, 1))
		}
		for _, name := range chosen {
			i := slices.IndexFunc(fit, func(r Resource) bool { return r.Name == name })
			if i < 0 || slices.ContainsFunc(targets[g.Name], func(r Resource) bool { return r.Name == name }) {
				return nil, fmt.Errorf("targets.%s: the runbook is not for %q, or you may not connect to it, or it is there twice", g.Name, clip(name))
			}
			targets[g.Name] = append(targets[g.Name], fit[i])
		}
	}
	return targets, nil
}

// Takes reports whether a group has a resource.
func (g *Group) Takes(r Resource) bool {
	if len(g.Types) > 0 && !slices.Contains(g.Types, r.Type) {
		return false
	}
	for name, want := range g.Match {
		if got, ok := r.Labels[name]; !ok || got != want {
			return false
		}
	}
	return true
}

// tighter takes over the limits of a runbook within another.
func (b *Bounds) tighter(l *Limits) {
	b.Timeout = min(b.Timeout, or(l.Timeout, b.Timeout))
	b.Rows, b.Output = min(b.Rows, or(l.Rows, b.Rows)), min(b.Output, or(l.Output, b.Output))
	if l.Affected != nil && (b.Affected == nil || *l.Affected < *b.Affected) {
		b.Affected = l.Affected
	}
	b.ReadOnly = b.ReadOnly || l.ReadOnly
}

// add adds the steps of a runbook.
func (p *Plan) add(b *Runbook, prefix string, values map[string]Value, targets map[string][]Resource) error {
	if b.Review != nil {
		p.Reviews = append(p.Reviews, *b.Review)
	}
	p.Bounds.tighter(&b.Limits)
	for _, s := range b.Steps {
		base := planned{Step: s, prefix: prefix, scope: values, book: b, Planned: Planned{ID: prefix + s.ID, Kind: s.Kind(), When: s.When}}
		switch {
		case s.Runbook != nil:
			if err := p.nest(s, prefix, values, targets); err != nil {
				return fmt.Errorf("steps.%s%s: %w", prefix, s.ID, err)
			}
			continue
		case s.SQL != nil, s.Exec != nil, s.HTTP != nil:
			for _, r := range targets[s.On] {
				one := base
				one.resource, one.group, one.Planned.On = r, s.On, r.Name
				if err := one.prepare(p); err != nil {
					return fmt.Errorf("steps.%s%s: %w", prefix, s.ID, err)
				}
				p.steps = append(p.steps, &one)
			}
			continue
		case s.Approve != nil:
			base.from, base.wait = s.Approve.From, or(s.Approve.For, defaultReview)
			if len(base.from) == 0 {
				base.from = b.Review.From
			}
			base.Text = s.Approve.Message
			for _, w := range s.Approve.Show {
				base.Args = append(base.Args, base.shown(w))
			}
		case s.Wait != nil:
			base.Text = s.Wait.For.String()
		default:
			return fmt.Errorf("steps.%s%s: a step of the kind %q is not run by this version", prefix, s.ID, s.Kind())
		}
		p.steps = append(p.steps, &base)
	}
	return nil
}

// nest adds the steps of another runbook in the place of a step.
func (p *Plan) nest(s *Step, prefix string, values map[string]Value, targets map[string][]Resource) error {
	n := s.Runbook
	if n.book == nil {
		return fmt.Errorf("the runbook %s was not read", n.Name)
	}
	if s.When != "" {
		return fmt.Errorf("a runbook within another cannot have a condition: give its steps one")
	}
	given := make(map[string]json.RawMessage)
	for _, m := range n.Params {
		w, err := readWord(m.Value)
		if err != nil {
			return err
		}
		v := Value{Type: String, Text: w.text}
		if w.ref != nil {
			v = values[w.ref.Name]
		}
		if v.Null {
			continue
		}
		raw, err := json.Marshal(v.inJSON())
		if err != nil {
			return err
		}
		given[m.Name] = raw
	}
	inner, err := n.book.Bind(given)
	if err != nil {
		return err
	}
	groups := make(map[string][]Resource)
	for theirs, ours := range n.Targets {
		g := n.book.group(theirs)
		for _, r := range targets[ours] {
			if !g.Takes(r) {
				return fmt.Errorf("the group %s of %s is not for %s", theirs, n.Name, r.Name)
			}
			groups[theirs] = append(groups[theirs], r)
		}
		if int64(len(groups[theirs])) > or(g.Max, 1) {
			return fmt.Errorf("the group %s of %s has %d resources, want %d or less", theirs, n.Name, len(groups[theirs]), or(g.Max, 1))
		}
	}
	return p.add(n.book, prefix+s.ID+".", inner, groups)
}

// prepare writes down what a step sends to its resource.
func (s *planned) prepare(p *Plan) error {
	if s.SQL != nil {
		d := s.resource.Dialect
		if d == nil {
			return fmt.Errorf("%s is not a database at which values can be bound", s.resource.Name)
		}
		var err error
		s.text, s.bound, err = s.SQL.compiled.write(*d, func(name string) (string, error) {
			v := s.scope[name]
			if v.Null || !slices.Contains(s.book.param(name).Allow, v.Text) {
				return "", fmt.Errorf("the identifier %s has no value that is allowed", name)
			}
			return v.Text, nil
		})
		if err != nil {
			return err
		}
		s.Text, s.Writes, s.DryRun = s.text, !s.SQL.compiled.reads, or(s.SQL.DryRun, "explain")
		if (s.DryRun == "rollback" || s.SQL.Affected != nil) && !s.SQL.compiled.rollsBack(*d) {
			return fmt.Errorf("%s commits %s by itself, so that it cannot be rolled back: leave out dry_run: rollback and affected_rows", s.resource.Name, strings.ToUpper(s.SQL.compiled.first))
		}
		s.Bound = s.SQL.Affected
		for _, r := range s.bound {
			s.Args = append(s.Args, s.shown(r.String()))
		}
		return nil
	}
	if s.HTTP != nil {
		return s.prepareRequest()
	}
	if !s.resource.Commands {
		return fmt.Errorf("%s does not run commands", s.resource.Name)
	}
	list, err := s.argv(s.shownRef)
	if err != nil {
		return err
	}
	s.Text, _ = quoteLine(list)
	s.Writes, s.DryRun = true, "plan"
	switch x := s.Exec; {
	case x.Stdin != "":
		s.Input = s.shown(x.Stdin)
	case len(x.JSON) > 0:
		s.Input = "JSON " + s.shownObject(x.JSON)
	}
	return nil
}

// shownObject is an object of values as people read it.
func (s *planned) shownObject(list []*Member) string {
	names := make([]string, len(list))
	for i, m := range list {
		names[i] = m.Name + ": " + s.shown(m.Value)
	}
	return "{" + strings.Join(names, ", ") + "}"
}

// shown is a word as people read it.
func (s *planned) shown(text string) string {
	w, err := readWord(text)
	if err != nil || w.ref == nil {
		return w.text
	}
	list, err := s.shownRef(*w.ref)
	if err != nil {
		return err.Error()
	}
	return strings.Join(list, ", ")
}

// shownRef has values that are not known yet, and secrets, shown by their names.
func (s *planned) shownRef(r Ref) ([]string, error) {
	v, ok := s.scope[r.Name]
	switch {
	case r.Step != "", !ok, v.Type == SecretType:
		return []string{"<" + r.String()[1:] + ">"}, nil
	case v.Null:
		return []string{"NULL"}, nil
	case v.Type == Multi:
		return v.List, nil
	}
	return []string{v.Text}, nil
}

// argv are the words of a command. A value that begins with - would be an option, unless a
// plain -- comes before it.
func (s *planned) argv(value func(r Ref) ([]string, error)) ([]string, error) {
	x := s.Exec
	var list []string
	if len(x.Env) > 0 {
		list = append(list, "env")
		for _, e := range x.Env {
			w, err := readWord(e.Value)
			if err != nil {
				return nil, err
			}
			text := w.text
			if w.ref != nil {
				v, err := value(*w.ref)
				if err != nil {
					return nil, err
				}
				text = strings.Join(v, ",")
			}
			list = append(list, e.Name+"="+text)
		}
	}
	if x.Script != "" {
		list = append(list, "/bin/sh", "-c", x.script, x.Script)
	}
	plain := x.Script != "" // sh takes no options from what a script is given
	for _, a := range x.Argv {
		w, err := readWord(a)
		if err != nil {
			return nil, err
		}
		if w.ref == nil {
			plain = plain || w.text == "--"
			list = append(list, w.text)
			continue
		}
		values, err := value(*w.ref)
		if err != nil {
			return nil, err
		}
		for _, v := range values {
			if strings.HasPrefix(v, "-") && !plain {
				return nil, fmt.Errorf("the value of %s begins with -, so that the command would take it for an option: write -- before it in argv, if the command knows that", w.ref)
			}
			list = append(list, v)
		}
	}
	return list, nil
}

// String is a plan as approvers read it: all of it, in one form.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "runbook %s", p.Name)
	if p.Risk != "" {
		fmt.Fprintf(&b, ", risk %s", p.Risk)
	}
	fmt.Fprintf(&b, "\nfrom %s, file %s, SHA-256 %s", p.Origin.Source, p.Origin.Path, p.Origin.Digest)
	if p.Origin.Commit != "" {
		fmt.Fprintf(&b, "\ncommit %s by %s", p.Origin.Commit, p.Origin.Author)
		if p.Origin.Signer != "" {
			fmt.Fprintf(&b, ", signed by %s", p.Origin.Signer)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Values)) {
		v := p.Values[name]
		text := fmt.Sprintf("%q", v.Text)
		switch {
		case v.Type == SecretType:
			text = "<secret>"
		case v.Null:
			text = "NULL"
		case v.Type == Multi:
			text = fmt.Sprintf("%q", v.List)
		}
		fmt.Fprintf(&b, "\n%s = %s", name, text)
	}
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "\n%d. %s: %s", i+1, s.ID, s.Kind)
		if s.On != "" {
			fmt.Fprintf(&b, " on %s", s.On)
		}
		if s.When != "" {
			fmt.Fprintf(&b, " when %s", s.When)
		}
		fmt.Fprintf(&b, "\n   %s", strings.ReplaceAll(s.Text, "\n", "\n   "))
		for j, a := range s.Args {
			fmt.Fprintf(&b, "\n   %d: %q", j+1, a)
		}
		if s.Input != "" {
			fmt.Fprintf(&b, "\n   input: %q", s.Input)
		}
		if s.Bound != nil {
			fmt.Fprintf(&b, "\n   changes %d rows or less", *s.Bound)
		}
	}
	fmt.Fprintf(&b, "\nwithin %s; reads %d rows or less in a step", p.Bounds.Timeout, p.Bounds.Rows)
	if p.Bounds.Affected != nil {
		fmt.Fprintf(&b, "; changes %d rows or less in a step", *p.Bounds.Affected)
	}
	fmt.Fprintf(&b, "\nplan %s", p.Digest)
	return b.String()
}

// Writes reports whether a run may change something.
func (p *Plan) Writes() bool {
	return slices.ContainsFunc(p.Steps, func(s Planned) bool { return s.Writes })
}
