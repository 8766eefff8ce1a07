package runbook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// errEnded wraps errors after which it is not known whether a step has had its effect.
var errEnded = errors.New("it is not known whether the step has run")

// lastingError is a failure that trying again does not mend.
type lastingError struct{ error }

// step does a step, unless its condition is not met. It is written down before it begins.
func (l *live) step(ctx context.Context, s *planned, run *StepRun) error {
	if l.results[s.Planned.ID] == nil {
		l.results[s.Planned.ID] = &stepResult{run: run}
	}
	if s.when != nil {
		ok, err := s.when.holds(func(o operand) (string, error) { return l.operand(s, o) })
		if err != nil {
			run.State = Failed
			return fmt.Errorf("%s: when: %w", s.Planned.ID, err)
		}
		if !ok {
			run.State = Skipped
			return l.keep(ctx)
		}
	}
	if l.run.Dry && s.onlyPlanned() {
		run.State, run.Message = Skipped, "not in a dry run"
		return nil
	}
	if r := s.lacks(l); l.run.Dry && r != nil {
		run.State, run.Message = Skipped, fmt.Sprintf("not in a dry run, since %s is not known then", r)
		return nil
	}
	tries := int64(1)
	wait := time.Second
	if s.Retry != nil {
		tries, wait = tries+s.Retry.Max, or(s.Retry.Backoff, wait)
	}
	var err error
	for n := range tries {
		begun := l.Now()
		run.State, run.Begun, run.Ended, run.Message = Running, &begun, nil, ""
		run.Attempts++
		if err := l.keep(ctx); err != nil { // another has taken the run for dead, or the store does not answer: nothing begins
			run.State = Failed
			return fmt.Errorf("%s did not begin: that could not be written down: %w", s.Planned.ID, err)
		}
		err = l.attempt(ctx, s, run)
		ended := l.Now()
		run.Ended, run.State = &ended, Done
		if err == nil {
			break
		}
		cause := context.Cause(ctx)
		switch {
		case errors.Is(err, errEnded):
			run.State = Unknown
		case errors.Is(cause, errCancelled):
			run.State = Cancelled
		case errors.Is(err, ErrRefused):
			run.State = Refused
		default:
			run.State = Failed
		}
		run.Message = l.safe(err.Error())
		var lasting *lastingError
		if cause != nil || run.State == Refused || n == tries-1 || !s.Idempotent || errors.As(err, &lasting) {
			break
		}
		pause(ctx, wait)
		wait = min(2*wait, 5*time.Minute)
	}
	if kerr := l.keep(ctx); kerr != nil && err == nil {
		return kerr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.Planned.ID, err)
	}
	return nil
}

// onlyPlanned reports whether a dry run leaves a step out.
func (s *planned) onlyPlanned() bool {
	switch {
	case s.SQL != nil:
		return s.Writes && s.Planned.DryRun == "plan"
	case s.HTTP != nil:
		return s.Planned.DryRun != "send"
	}
	return true
}

// lacks is a value that a step needs of one that was left out; nil: there is none.
func (s *planned) lacks(l *live) *Ref {
	for i, r := range s.bound {
		if done := l.results[s.prefix+r.Step]; r.Step != "" && done != nil && done.run.State == Skipped {
			return &s.bound[i]
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// hide is a text without the run's secrets.
func (l *live) hide(text string) string {
	for _, secret := range l.telling() {
		text = strings.ReplaceAll(text, secret, "<secret>")
	}
	return text
}

// telling are the texts that tell the run's secrets: the secrets, and what they are in JSON, in forms and in addresses. The longer
// ones come first: another one may be a part of them.
func (l *live) telling() []string {
	var list []string
	for _, secret := range l.secrets {
		list = append(list, secret, escape(secret), url.QueryEscape(secret))
		for _, html := range []bool{true, false} {
			var b bytes.Buffer
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(html)
			if enc.Encode(secret) == nil { // which a text cannot fail
				list = append(list, string(b.Bytes()[1:b.Len()-2])) // without its quotes, and the end of the line
			}
		}
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(list)
}

// safe is a text without the run's secrets, and not too long.
func (l *live) safe(text string) string {
	text = l.hide(text)
	if len(text) > 1000 {
		text = strings.ToValidUTF8(text[:1000], "") + "…"
	}
	return strings.ToValidUTF8(text, "�")
}

// attempt does a step once.
func (l *live) attempt(ctx context.Context, s *planned, run *StepRun) error {
	if s.Timeout > 0 {
		var stop func()
		ctx, stop = limited(ctx, s.Timeout)
		defer stop()
	}
	switch {
	case s.SQL != nil:
		return l.sql(ctx, s, run)
	case s.Exec != nil:
		return l.command(ctx, s, run)
	case s.HTTP != nil:
		return l.request(ctx, s, run)
	case s.Wait != nil:
		pause(ctx, s.Wait.For)
		return context.Cause(ctx)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "runbook %s, run %s, step %s\n%s", l.plan.Name, l.run.ID, s.Planned.ID, s.Approve.Message)
	for _, w := range s.Approve.Show {
		v, err := l.texts(s, w)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "\n%s = %q", strings.TrimPrefix(w, "$"), v)
	}
	fmt.Fprintf(&b, "\nplan %s", l.plan.Digest)
	before := len(l.run.Grants)
	err := l.ask(ctx, b.String(), &proxy.Hold{
		Rules: []string{"runbook " + l.plan.Name}, Approvers: [][]string{s.from}, For: s.wait, Message: "a step of the runbook " + l.plan.Name + " needs an approval",
	})
	if err == nil && len(l.run.Grants) == before {
		err = errors.New("the step was let through without the approval that it needs")
	}
	return err
}

// value is what a reference has now.
func (l *live) value(s *planned, r Ref) (Value, error) {
	switch r.Step {
	case "run":
		return Value{Type: String, Text: map[string]string{"id": l.run.ID, "user": l.run.Requester, "commit": l.run.Origin.Commit}[r.Name]}, nil
	case "":
		v := s.scope[r.Name]
		if v.Type != SecretType {
			return v, nil
		}
		return l.secret(s, r.Name)
	}
	done := l.results[s.prefix+r.Step]
	if done == nil || done.first == nil {
		return Value{}, fmt.Errorf("%s: the step has no row or answer, or did not run", r)
	}
	c, ok := done.first[r.Name]
	switch {
	case !ok:
		return Value{}, fmt.Errorf("%s: the row has no such column", r)
	case c.Cut:
		return Value{}, fmt.Errorf("%s: the value is too long for another step", r)
	}
	return Value{Type: or(c.Type, Text), Text: c.Text, Null: c.Null}, nil
}

// secret fetches or makes a secret, once in a run.
func (l *live) secret(s *planned, name string) (Value, error) {
	key := s.prefix + name
	if text, ok := l.secrets[key]; ok {
		return Value{Type: SecretType, Text: text}, nil
	}
	p := s.book.param(name)
	text := ""
	if p.Ref != "" {
		var err error
		if text, err = l.Gate.Secret(l.ctx, l.plan.Origin.Source, p.Ref); err != nil {
			return Value{}, fmt.Errorf("the secret %s: %w", name, err)
		}
	}
	for int64(len(text)) < p.Generate {
		text += rand.Text()
	}
	if p.Generate > 0 {
		text = text[:p.Generate]
	}
	if text == "" {
		return Value{}, fmt.Errorf("the secret %s is empty", name)
	}
	l.secrets[key] = text
	return Value{Type: SecretType, Text: text}, nil
}

// texts are the values that a word of a step means.
func (l *live) texts(s *planned, text string) ([]string, error) {
	w, err := readWord(text)
	if err != nil || w.ref == nil {
		return []string{w.text}, err
	}
	return l.refTexts(s, *w.ref)
}

func (l *live) refTexts(s *planned, r Ref) ([]string, error) {
	v, err := l.value(s, r)
	switch {
	case err != nil:
		return nil, err
	case v.Null:
		return []string{""}, nil
	case v.Type == Multi:
		return v.List, nil
	case strings.ContainsRune(v.Text, 0):
		return nil, fmt.Errorf("%s holds a NUL", r)
	}
	return []string{v.Text}, nil
}

func (l *live) operand(s *planned, o operand) (string, error) {
	if o.scope == "params" {
		v := s.scope[o.name]
		if v.Type == Multi {
			return strings.Join(v.List, ","), nil
		}
		return v.Text, nil
	}
	done := l.results[s.prefix+o.name]
	if done == nil {
		return "", fmt.Errorf("the step %s did not run at this target", o.name)
	}
	switch o.field {
	case "rows":
		return itoa(done.run.Rows), nil
	case "affected":
		return itoa(done.run.Affected), nil
	case "status":
		return strconv.Itoa(done.run.Status), nil
	}
	return string(done.run.State), nil
}

// args are the values of a statement.
func (l *live) args(s *planned) ([]Arg, error) {
	list := make([]Arg, 0, len(s.bound))
	for _, r := range s.bound {
		v, err := l.value(s, r)
		if err != nil {
			return nil, err
		}
		a := Arg{Text: v.Text, Null: v.Null, Integer: v.Type == Integer}
		switch {
		case v.Null:
		case v.Type == Multi:
			text, err := json.Marshal(v.inJSON())
			if err != nil {
				return nil, err
			}
			a.Text = string(text)
		case v.Type == Boolean && !s.resource.Dialect.Numbered:
			a.Text, a.Integer = map[string]string{"true": "1", "false": "0"}[v.Text], true
		}
		list = append(list, a)
	}
	return list, nil
}

// sql runs a statement, in a transaction where something is held of its result.
func (l *live) sql(ctx context.Context, s *planned, run *StepRun) error {
	args, err := l.args(s)
	if err != nil {
		return err
	}
	d := l.open[s.resource.Name]
	if d == nil {
		if d, err = l.Gate.Database(ctx, l.who, s.resource); err != nil {
			return err
		}
		l.open[s.resource.Name] = d
	}
	if run.Session != d.ID() {
		run.Session = d.ID()
		if err := l.keep(ctx); err != nil { // so that who looks at the run finds what waits in its session
			return fmt.Errorf("it could not be written down in which session the statement runs: %w", err)
		}
	}
	bounds := &l.plan.Bounds
	most := s.SQL.Affected
	if bounds.Affected != nil && (most == nil || *bounds.Affected < *most) {
		most = bounds.Affected
	}
	text, begin := s.text, ""
	rollback := l.run.Dry
	switch {
	case l.run.Dry && s.Writes && s.Planned.DryRun == "explain":
		text, most = "EXPLAIN "+text, nil
	case bounds.ReadOnly || l.run.Dry && !s.Writes:
		begin = "START TRANSACTION READ ONLY"
	case most != nil || l.run.Dry || s.SQL.Rows != nil && s.Writes:
		begin = "START TRANSACTION"
	}
	lost := func(err error) error {
		var failed *StatementError
		if !errors.As(err, &failed) {
			delete(l.open, s.resource.Name)
			d.Close()
			return fmt.Errorf("%w: %w", errEnded, err)
		}
		return err
	}
	if begin != "" {
		if _, err := d.Execute(ctx, begin, nil, 0, 0); err != nil {
			return lost(err)
		}
	}
	keep := 0
	if slices.Contains(l.plan.book.Outputs.Steps, s.Planned.ID) || l.run.Dry {
		keep = int(or(l.plan.book.Outputs.Rows, defaultKept))
	}
	result, err := d.Execute(ctx, text, args, bounds.Rows, keep)
	if err != nil {
		err = lost(err)
	} else if !(l.run.Dry && text != s.text) {
		err = l.expected(ctx, s, result, most)
	}
	run.Rows, run.Affected, run.Columns, run.Kept = result.Rows, result.Affected, nil, result.Kept
	if keep > 0 {
		run.Columns = result.Columns
	}
	if begin != "" && !errors.Is(err, errEnded) {
		end := "COMMIT"
		if err != nil || rollback {
			end = "ROLLBACK"
		}
		over, stop := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer stop()
		if _, cerr := d.Execute(over, end, nil, 0, 0); cerr != nil && (err == nil || end == "COMMIT") {
			err = lost(cerr)
		}
	}
	if err == nil && len(result.First) == len(result.Columns) && result.Rows > 0 {
		first := make(map[string]Cell, len(result.First))
		for i, c := range result.Columns {
			first[c] = result.First[i]
		}
		l.results[s.Planned.ID].first = first
	}
	return err
}

// expected holds that a statement did what it was to do.
func (l *live) expected(ctx context.Context, s *planned, r Result, most *int64) error {
	switch {
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case s.SQL.Rows != nil && r.Rows != *s.SQL.Rows:
		return fmt.Errorf("got %d rows, want %d", r.Rows, *s.SQL.Rows)
	case most != nil && r.Affected > *most:
		return fmt.Errorf("it would change %d rows, and may change %d: it was rolled back", r.Affected, *most)
	}
	return nil
}
