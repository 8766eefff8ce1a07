package runbook

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// file is a runbook as YAML has it.
type file struct {
	APIVersion string    `yaml:"apiVersion"`
	Kind       string    `yaml:"kind"`
	Metadata   Metadata  `yaml:"metadata"`
	Targets    []*Group  `yaml:"targets"`
	Params     []*Param  `yaml:"params"`
	Review     *Review   `yaml:"review"`
	Limits     Limits    `yaml:"limits"`
	Steps      []*Step   `yaml:"steps"`
	Outputs    Outputs   `yaml:"outputs"`
	Schedule   *Schedule `yaml:"schedule"`
}

// Parse reads a runbook. The error is of the type Problems, and has everything that is wrong
// with it. What it needs of other files is read by [Runbook.Complete].
func Parse(text []byte) (*Runbook, error) {
	n, p := document(text)
	if p != nil {
		return nil, Problems{*p}
	}
	d := &decoder{}
	var f file
	d.into(n, reflect.ValueOf(&f).Elem(), "")
	if len(d.problems) > 0 { // what was not understood is not judged
		return nil, d.sorted()
	}
	if f.APIVersion != APIVersion || f.Kind != "Runbook" {
		d.add(1, "apiVersion", "", "got %q and the kind %q, want %s and Runbook", f.APIVersion, f.Kind, APIVersion)
	}
	sum := sha256.Sum256(text)
	b := &Runbook{
		Metadata: f.Metadata, Targets: f.Targets, Params: f.Params, Review: f.Review, Limits: f.Limits, Steps: f.Steps, Outputs: f.Outputs, Schedule: f.Schedule,
		Digest: hex.EncodeToString(sum[:]),
	}
	l := &linter{decoder: d, book: b}
	l.all()
	if len(d.problems) > 0 {
		return nil, d.sorted()
	}
	return b, nil
}

// linter finds what cannot be safe, or cannot work.
type linter struct {
	*decoder
	book *Runbook
	done []*Step // the steps before the one that is looked at
}

func (l *linter) all() {
	b := l.book
	m := &b.Metadata
	if !bookName.MatchString(m.Name) {
		l.add(or(m.Line, 1), "metadata.name", "Use lower-case letters, digits and -.", "got %q, want a name", m.Name)
	}
	if m.Risk != "" && !slices.Contains([]string{"low", "medium", "high"}, m.Risk) {
		l.add(m.Line, "metadata.risk", "", "got %q, want low, medium or high", m.Risk)
	}
	for _, text := range []string{m.Title, m.Owner} {
		if line(text) != nil || len(text) > 200 {
			l.add(m.Line, "metadata", "", "%q is longer than 200 bytes, or more than a line", clip(text))
		}
	}
	l.groups()
	if len(b.Params) > MaxParams {
		l.add(b.Params[MaxParams].Line, "params", "", "got %d parameters, want %d or less", len(b.Params), MaxParams)
	}
	for _, p := range b.Params {
		p.check(l.decoder)
		l.valuesFrom(p)
	}
	l.bounds()
	if len(b.Steps) == 0 || len(b.Steps) > MaxSteps {
		l.add(1, "steps", "", "got %d steps, want 1 to %d", len(b.Steps), MaxSteps)
	}
	for _, s := range b.Steps {
		l.step(s)
		l.done = append(l.done, s)
	}
	for _, id := range b.Outputs.Steps {
		if l.before(id) == nil {
			l.add(b.Outputs.Line, "outputs.steps", "", "there is no step %q", id)
		}
	}
	l.schedule()
}

func (l *linter) groups() {
	if len(l.book.Targets) > MaxGroups {
		l.add(1, "targets", "", "got %d groups, want %d or less", len(l.book.Targets), MaxGroups)
	}
	for _, g := range l.book.Targets {
		key := "targets." + g.Name
		if !wordName.MatchString(g.Name) {
			l.add(g.Line, key, "Use lower-case letters, digits and _.", "%q is not a name of a group", g.Name)
		}
		if len(g.Types) == 0 && len(g.Match) == 0 {
			l.add(g.Line, key, "Say types, match or both.", "the group has every resource")
		}
		for _, t := range g.Types {
			if !typeName.MatchString(t) {
				l.add(g.Line, key+".types", "", "%q is not a type of resources", t)
			}
		}
		for name := range g.Match {
			if !labelName.MatchString(name) {
				l.add(g.Line, key+".match", "", "%q is not a name of a label", name)
			}
		}
		if g.Max < 0 || g.Max > maxTargets {
			l.add(g.Line, key+".max", "", "got %d, want 1 to %d", g.Max, maxTargets)
		}
	}
}

func (l *linter) bounds() {
	b := l.book
	limit := func(line int, key string, got, most int64) {
		if got < 0 || got > most {
			l.add(line, key, "", "got %d, want 0 to %d", got, most)
		}
	}
	if b.Limits.Timeout > maxTimeout {
		l.add(1, "limits.timeout", "", "got %s, want %s or less", b.Limits.Timeout, maxTimeout)
	}
	limit(1, "limits.rows", b.Limits.Rows, maxRows)
	limit(1, "limits.output", b.Limits.Output, maxOutput)
	if a := b.Limits.Affected; a != nil {
		limit(1, "limits.affected_rows", *a, 1<<40)
	}
	limit(b.Outputs.Line, "outputs.rows", b.Outputs.Rows, maxKept)
	if b.Outputs.Keep > maxKeep {
		l.add(b.Outputs.Line, "outputs.keep", "", "got %s, want %s or less", b.Outputs.Keep, maxKeep)
	}
	if r := b.Review; r != nil {
		if len(r.From) == 0 {
			l.add(r.Line, "review.from", "Name a group.", "nobody may approve")
		}
		limit(r.Line, "review.need", r.Need, 10)
		if r.For > maxReview {
			l.add(r.Line, "review.for", "", "got %s, want %s or less", r.For, maxReview)
		}
		for _, d := range r.Distinct {
			if d != "author" {
				l.add(r.Line, "review.distinct", "The requester never approves, and each approver counts once.", "got %q, want author", d)
			}
		}
		if s := r.Standing; s != nil {
			if s.Runs < 1 || s.Runs > maxStandingRuns {
				l.add(s.Line, "review.standing.runs", "", "got %d, want 1 to %d", s.Runs, maxStandingRuns)
			}
			if s.For < time.Minute || s.For > maxStanding {
				l.add(s.Line, "review.standing.for", "", "got %s, want a minute to %s", s.For, maxStanding)
			}
		}
	}
}

// before is an earlier step.
func (l *linter) before(id string) *Step {
	for _, s := range l.done {
		if s.ID == id {
			return s
		}
	}
	return nil
}

func (l *linter) step(s *Step) {
	key := join("steps", s.ID)
	if !wordName.MatchString(s.ID) || s.ID == "run" || s.ID == "params" {
		l.add(s.Line, key, "Use lower-case letters, digits and _.", "%q is not a name of a step", s.ID)
	}
	if was := l.before(s.ID); was != nil {
		l.add(s.Line, key, "", "there is a step %q already, at line %d", s.ID, was.Line)
	}
	kinds := 0
	for _, set := range []bool{s.SQL != nil, s.Exec != nil, s.HTTP != nil, s.Runbook != nil, s.Approve != nil, s.Wait != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		l.add(s.Line, key, "", "the step says %d things to do, want one of sql, exec, http, runbook, approve, wait", kinds)
		return
	}
	if s.Timeout > maxTimeout {
		l.add(s.Line, key+".timeout", "", "got %s, want %s or less", s.Timeout, maxTimeout)
	}
	if r := s.Retry; r != nil {
		switch {
		case r.Max < 1 || r.Max > 20:
			l.add(r.Line, key+".retry.max", "", "got %d, want 1 to 20", r.Max)
		case !s.Idempotent:
			l.add(r.Line, key+".retry", "Say idempotent: true if the step may run twice.", "a step is tried again that may have had an effect")
		}
	}
	if s.When != "" {
		l.when(s, key+".when")
	}
	switch {
	case s.SQL != nil:
		l.on(s, key)
		l.sql(s, key+".sql")
	case s.Exec != nil:
		l.on(s, key)
		l.exec(s, key+".exec")
	case s.HTTP != nil:
		l.on(s, key)
		l.http(s, key+".http")
	case s.Runbook != nil:
		l.nested(s, key+".runbook")
	case s.Approve != nil:
		l.approve(s, key+".approve")
	case s.Wait.For <= 0 || s.Wait.For > maxTimeout:
		l.add(s.Wait.Line, key+".wait.for", "", "got %s, want more than nothing, and %s or less", s.Wait.For, maxTimeout)
	}
}

func (l *linter) when(s *Step, key string) {
	c, err := parseWhen(s.When)
	if err != nil {
		l.add(s.Line, key, "", "%v", err)
		return
	}
	c.each(func(o operand) {
		switch {
		case o.scope == "params":
			if p := l.book.param(o.name); p == nil || Type(p.Type) == SecretType {
				l.add(s.Line, key, "", "there is no parameter %q, or it is a secret", o.name)
			}
		case l.before(o.name) == nil:
			l.add(s.Line, key, "", "there is no step %q before this one", o.name)
		case !slices.Contains(stepFields, o.field):
			l.add(s.Line, key, "", "a step has no %q, want one of %s", o.field, strings.Join(stepFields, ", "))
		}
	})
	s.when = c
}

// on finds out which group a step is for.
func (l *linter) on(s *Step, key string) {
	switch {
	case s.On == "" && len(l.book.Targets) == 1:
		s.On = l.book.Targets[0].Name
	case l.book.group(s.On) == nil:
		l.add(s.Line, key+".on", "", "got %q, want the name of a group of targets", s.On)
	}
}

func (b *Runbook) group(name string) *Group {
	for _, g := range b.Targets {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// places say where a value goes.
type place uint8

const (
	inSQL place = iota
	inWords
	inEnv
	inInput
	inParams
	shown
	inAddress
	inHeader
	inBody
)

// seenIn says where a secret would be seen.
var seenIn = map[place]string{
	inSQL: "a statement, which is recorded", inWords: "a command line", inEnv: "a command's environment, which is a part of its command line",
	inParams: "another runbook", shown: "what approvers read", inAddress: "an address, which is recorded",
}

// ref checks that a value is there, and may go where it goes.
func (l *linter) ref(line int, key string, r *Ref, to place) {
	switch r.Step {
	case "run":
		if !slices.Contains(runValues, r.Name) {
			l.add(line, key, "", "%s is not known, want one of $run.%s", r, strings.Join(runValues, ", $run."))
		}
		return
	case "":
		p := l.book.param(r.Name)
		if p == nil {
			l.add(line, key, "Declare it in params, or write $$ for a $.", "there is no parameter %q", r.Name)
			return
		}
		t := Type(p.Type)
		r.Secret = t == SecretType
		switch {
		case r.Secret && seenIn[to] != "":
			l.add(line, key, "Send it by stdin or json, or in a header or a field of a request, which nobody else sees, and no record has.", "a secret goes into %s, which others see", seenIn[to])
		case (t == File || t == Text) && (to == inAddress || to == inHeader):
			l.add(line, key, "Send it by json or form.", "a parameter of the type %s is in the address or a header of a request", t)
		case t == Multi && to == inHeader:
			l.add(line, key, "Send it by json.", "a list goes into a header")
		case (t == File || t == Text) && to == inWords:
			l.add(line, key, "Send it by stdin, json or env.", "a parameter of the type %s is a word of a command", t)
		case t == Multi && to == inEnv:
			l.add(line, key, "Send it by json.", "a list goes into a variable")
		}
		return
	}
	s := l.before(r.Step)
	switch {
	case s == nil:
		l.add(line, key, "", "there is no step %q before this one", r.Step)
	case s.HTTP != nil && !slices.ContainsFunc(s.HTTP.Fields, func(m *Member) bool { return m.Name == r.Name }):
		l.add(line, key, "Write it in http.fields there.", "%s: the step takes no such field out of its answer", r)
	case s.HTTP == nil && (s.SQL == nil || s.SQL.Rows == nil || *s.SQL.Rows != 1):
		l.add(line, key, "Write sql.rows: 1 there.", "%s: only a statement that has to return one row has values for others", r)
	case to == inParams:
		l.add(line, key, "", "%s is not known when the run is planned, so that it cannot be a parameter of another runbook", r)
	}
}

func (l *linter) words(line int, key string, list []string, to place) {
	for i, s := range list {
		l.word(line, fmt.Sprintf("%s[%d]", key, i), s, to)
	}
}

func (l *linter) word(line int, key, s string, to place) *Ref {
	w, err := readWord(s)
	if err != nil {
		l.add(line, key, wholeWord, "%v", err)
		return nil
	}
	if w.ref != nil {
		l.ref(line, key, w.ref, to)
		return w.ref
	}
	if strings.ContainsRune(w.text, 0) || to != shown && len(w.text) > maxText {
		l.add(line, key, "", "the text holds a NUL, or is too long")
	}
	return nil
}

func (l *linter) sql(s *Step, key string) {
	q := s.SQL
	t, err := compileSQL(q.Text)
	if err != nil {
		var e *sqlError
		if errors.As(err, &e) {
			l.add(q.Line+strings.Count(q.Text[:min(e.at, len(q.Text))], "\n"), key+".text", e.remedy, "%s", e.text)
		}
		return
	}
	refs, idents := t.refs()
	for _, r := range refs {
		l.ref(q.Line, key+".text", r, inSQL)
	}
	for _, name := range idents {
		if p := l.book.param(name); p == nil || Type(p.Type) != Identifier {
			l.add(q.Line, key+".text", "Declare it with type: identifier, and allow.", "{{ident:%s}} is not an identifier parameter", name)
		}
	}
	if q.DryRun != "" && !slices.Contains([]string{"explain", "rollback", "plan"}, q.DryRun) {
		l.add(q.Line, key+".dry_run", "", "got %q, want explain, rollback or plan", q.DryRun)
	}
	if q.Rows != nil && (*q.Rows < 0 || *q.Rows > maxRows) || q.Affected != nil && *q.Affected < 0 {
		l.add(q.Line, key, "", "rows or affected_rows is out of range")
	}
	q.compiled = t
}

func (l *linter) approve(s *Step, key string) {
	a := s.Approve
	if a.Message == "" || len(a.Message) > 1000 || printable(a.Message, "\n") != nil {
		l.add(a.Line, key+".message", "", "a message of 1 to 1000 bytes is needed")
	}
	if inside.MatchString(a.Message) {
		l.add(a.Line, key+".message", "List the value in show.", "a value within a text")
	}
	if len(a.From) == 0 && l.book.Review == nil {
		l.add(a.Line, key+".from", "Name a group.", "nobody may approve")
	}
	if a.For > maxReview {
		l.add(a.Line, key+".for", "", "got %s, want %s or less", a.For, maxReview)
	}
	for i, w := range a.Show {
		if l.word(a.Line, fmt.Sprintf("%s.show[%d]", key, i), w, shown) == nil {
			l.add(a.Line, key+".show", wholeWord, "%q is not a value", clip(w))
		}
	}
}

func (l *linter) schedule() {
	s := l.book.Schedule
	if s == nil {
		return
	}
	var err error
	if s.cron, err = ParseCron(s.Cron, s.Zone); err != nil {
		l.add(s.Line, "schedule", "", "%v", err)
	}
	if s.As == "" {
		l.add(s.Line, "schedule.as", "Name the subject of a service.", "nobody is who it runs as")
	}
	if !slices.Contains([]string{"", "skip", "one", "all"}, s.CatchUp) {
		l.add(s.Line, "schedule.catch_up", "", "got %q, want skip, one or all", s.CatchUp)
	}
	for name, v := range s.Params {
		p := l.book.param(name)
		if p == nil {
			l.add(s.Line, "schedule.params."+name, "", "there is no such parameter")
		} else if _, err := p.Value(v); err != nil {
			l.add(s.Line, "schedule.params."+name, "", "%v", err)
		}
	}
	for _, p := range l.book.Params {
		if _, ok := s.Params[p.Name]; p.Required && !ok {
			l.add(s.Line, "schedule.params", "", "%s is required", p.Name)
		}
	}
	for _, g := range l.book.Targets {
		if len(s.Targets[g.Name]) == 0 {
			l.add(s.Line, "schedule.targets", "Name the resources.", "nothing is chosen of the group %s", g.Name)
		}
	}
	for name := range s.Targets {
		if l.book.group(name) == nil {
			l.add(s.Line, "schedule.targets", "", "there is no group %q", name)
		}
	}
}
