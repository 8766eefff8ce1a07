package runbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Limits of standing grants.
const (
	maxStandingRuns = 100
	maxStanding     = 90 * 24 * time.Hour
)

// Scope is the scope of a standing grant, with the request that was approved.
type Scope struct {
	Request string
	Text    string // as [proxy.Standing] has it
}

// Bound says which values of a parameter a standing grant covers. Exactly one of its fields is set.
type Bound struct {
	Any    bool     `json:"any,omitempty"`    // all that the parameter takes, and that it has no value
	Range  []string `json:"range,omitempty"`  // two: the least and the greatest
	Values []string `json:"values,omitempty"` // these
}

// Standing is a standing grant that is asked for: further runs of a runbook, as it is in one file of one commit, at the same targets, with
// values within bounds. A parameter without a bound has the value that it has in the plan.
type Standing struct {
	Runs   int64
	For    time.Duration
	Bounds map[string]Bound

	scope scope
}

// scope is what a standing grant covers, as it is kept with its request.
type scope struct {
	Set     string                `json:"set"`  // of the requests that are one grant
	Part    int                   `json:"part"` // of them, from 0 on
	Parts   int                   `json:"parts"`
	Name    string                `json:"name"`
	Origin  Origin                `json:"origin"`
	Targets map[string][]Resource `json:"targets"`
	Reviews []Review              `json:"reviews"`
	Limits  Bounds                `json:"limits"`
	Fixed   map[string]Value      `json:"fixed"`
	Bounds  map[string]Bound      `json:"bounds"`
}

// ordered are the types that have ranges.
var ordered = []Type{Integer, Number, Date, DateTime, Duration}

// readBound reads a bound: *, LEAST..GREATEST, or values with commas between.
func (p *Param) readBound(text string) (Bound, error) {
	least, greatest, isRange := strings.Cut(text, "..")
	switch t := Type(p.Type); {
	case t == SecretType, t == File:
		return Bound{}, fmt.Errorf("got a bound of a parameter of the type %s, which has none: leave it out", t)
	case text == "*":
		return Bound{Any: true}, nil
	case isRange && slices.Contains(ordered, t):
		lo, err := p.Value(least)
		if err != nil {
			return Bound{}, err
		}
		hi, err := p.Value(greatest)
		if err != nil {
			return Bound{}, err
		}
		if x, err := p.measure(lo.Text); err == nil {
			if y, err := p.measure(hi.Text); err == nil && x.Cmp(y) > 0 {
				return Bound{}, fmt.Errorf("got %q, want the least value first", clip(text))
			}
		}
		return Bound{Range: []string{lo.Text, hi.Text}}, nil
	}
	b := Bound{}
	for one := range strings.SplitSeq(text, ",") {
		v, err := p.Value(one)
		if err != nil {
			return Bound{}, err
		}
		b.Values = append(b.Values, append(v.List, v.Text)...)
	}
	b.Values = slices.DeleteFunc(b.Values, func(s string) bool { return s == "" })
	return b, nil
}

// holds reports whether a value is within a bound. What cannot be compared is not.
func (b *Bound) holds(p *Param, v Value) bool {
	in := func(text string) bool { return slices.Contains(b.Values, text) }
	switch {
	case b.Any:
		return true
	case v.Null || string(v.Type) != p.Type:
		return false
	case len(b.Range) == 2:
		x, err := p.measure(v.Text)
		least, lerr := p.measure(b.Range[0])
		greatest, gerr := p.measure(b.Range[1])
		return slices.Contains(ordered, v.Type) && errors.Join(err, lerr, gerr) == nil && x.Cmp(least) >= 0 && x.Cmp(greatest) <= 0
	case v.Type == Multi:
		return len(v.List) > 0 && !slices.ContainsFunc(v.List, func(s string) bool { return !in(s) })
	}
	return in(v.Text)
}

func (b *Bound) String() string {
	switch {
	case b.Any:
		return "any value that it takes"
	case len(b.Range) == 2:
		return fmt.Sprintf("from %q to %q", b.Range[0], b.Range[1])
	}
	return fmt.Sprintf("one of %q", b.Values)
}

// Stand makes the standing grant that somebody asks for by a plan: runs of it, for a time, with parameters within bounds, each written as
// *, LEAST..GREATEST, or values with commas between. Its own values have to be within them.
func (p *Plan) Stand(runs int64, length time.Duration, within map[string]string) (*Standing, error) {
	const op = "standing grant: "
	switch {
	case len(p.Reviews) == 0:
		return nil, errors.New(op + "runs of this runbook need no approval")
	case p.Origin.Commit == "":
		return nil, errors.New(op + "the source has no commits, by which later runs would be known to be the same: use a Git repository")
	}
	for _, r := range p.Reviews {
		switch may := r.Standing; {
		case may == nil:
			return nil, errors.New(op + "the runbook wants each run approved by itself: its review does not say standing")
		case runs < 1 || runs > may.Runs:
			return nil, fmt.Errorf(op+"got %d runs, want 1 to %d, which is what its review allows", runs, may.Runs)
		case length < time.Minute || length > may.For:
			return nil, fmt.Errorf(op+"got a time of %s, want a minute to %s, which is what its review allows", length, may.For)
		}
	}
	s := &Standing{Runs: runs, For: length, Bounds: make(map[string]Bound)}
	for _, name := range slices.Sorted(maps.Keys(within)) {
		param := p.book.param(name)
		if param == nil {
			return nil, fmt.Errorf(op+"the runbook has no parameter %q", clip(name))
		}
		b, err := param.readBound(within[name])
		if err == nil && !b.holds(param, p.Values[name]) {
			err = fmt.Errorf("got %q in the plan, which is not within the bound", clip(p.Values[name].Text))
		}
		if err != nil {
			return nil, fmt.Errorf(op+"%s: %w", name, err)
		}
		s.Bounds[name] = b
	}
	fixed := maps.Clone(p.Values)
	maps.DeleteFunc(fixed, func(name string, _ Value) bool { _, ok := s.Bounds[name]; return ok })
	s.scope = scope{
		Parts: len(p.approvals()), Name: p.Name, Origin: p.Origin, Targets: places(p.Targets), Reviews: p.Reviews, Limits: p.Bounds, Fixed: fixed, Bounds: s.Bounds,
	}
	return s, nil
}

// places are targets as plans are read back.
func places(targets map[string][]Resource) map[string][]Resource {
	out := make(map[string][]Resource, len(targets))
	for name, list := range targets {
		for _, r := range list {
			out[name] = append(out[name], Resource{Name: r.Name, Type: r.Type, Account: r.Account})
		}
	}
	return out
}

// hold is what one of the approvals of a standing grant lets run.
func (s *Standing) hold(set string, part int) (*proxy.Standing, error) {
	of := s.scope
	of.Set, of.Part = set, part
	text, err := json.Marshal(of)
	if err != nil {
		return nil, err
	}
	return &proxy.Standing{Runs: int(s.Runs), For: s.For, Scope: string(text)}, nil
}

// Text is a standing grant as approvers read it, with the plan of a run that it covers.
func (s *Standing) Text(p *Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "standing grant: %d runs of the runbook %s within %s of the approval, each without a further one\nof this file and commit, at these targets, with", s.Runs, p.Name, s.For)
	for _, name := range slices.Sorted(maps.Keys(p.Values)) {
		bound, ok := s.Bounds[name]
		switch {
		case ok:
			fmt.Fprintf(&b, "\n%s: %s", name, bound.String())
		case p.Values[name].Type != SecretType:
			fmt.Fprintf(&b, "\n%s: as below", name)
		}
	}
	fmt.Fprintf(&b, "\nfor example\n%s", p.String())
	return b.String()
}

// covers reports whether a run by p is one of those that a scope has.
func (of *scope) covers(p *Plan) bool {
	if p.Origin.Commit == "" || of.Name != p.Name || of.Origin != p.Origin || of.Parts != len(p.approvals()) || len(of.Fixed)+len(of.Bounds) != len(p.Values) {
		return false
	}
	if !reflect.DeepEqual(of.Targets, places(p.Targets)) || !reflect.DeepEqual(of.Limits, p.Bounds) || !slices.EqualFunc(of.Reviews, p.Reviews, sameReview) {
		return false
	}
	for name, v := range p.Values {
		bound, ok := of.Bounds[name]
		if ok {
			if !bound.holds(p.book.param(name), v) {
				return false
			}
			continue
		}
		fixed, ok := of.Fixed[name]
		if !ok || fixed.Type != v.Type || fixed.Text != v.Text || fixed.Null != v.Null || !slices.Equal(fixed.List, v.List) {
			return false
		}
	}
	return true
}

// sameReview reports whether two reviews ask for the same.
func sameReview(a, b Review) bool {
	x, xerr := json.Marshal(a)
	y, yerr := json.Marshal(b)
	return xerr == nil && yerr == nil && string(x) == string(y)
}

// under are the requests of a standing grant that covers the run, in the order of its approvals; nil: none does.
func (l *live) under(ctx context.Context) ([]string, error) {
	if l.standing != nil || l.plan.Origin.Commit == "" {
		return nil, nil
	}
	list, err := l.Gate.Standing(ctx, l.who)
	if err != nil {
		return nil, err
	}
	sets := make(map[string][]string)
	for _, s := range list {
		var of scope
		if err := json.Unmarshal([]byte(s.Text), &of); err != nil || of.Part < 0 || of.Part >= of.Parts || !of.covers(l.plan) {
			continue // of something else
		}
		if sets[of.Set] == nil {
			sets[of.Set] = make([]string, of.Parts)
		}
		set := sets[of.Set]
		if set[of.Part] = s.Request; !slices.Contains(set, "") {
			return set, nil
		}
	}
	return nil, nil
}
