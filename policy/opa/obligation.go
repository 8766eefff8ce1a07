package opa

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

func parseObligations(v any) (*Obligations, error) {
	object, ok := v.(map[string]any)
	if !ok {
		return nil, formError("obligations are a " + kindOf(v) + ", want an object")
	}
	text, err := json.Marshal(object)
	if err != nil {
		return nil, formError("obligations are not JSON")
	}
	o := &Obligations{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(o); err != nil {
		return nil, formError("obligations have a member that is not known or of another type")
	}
	if _, err := o.rules(); err != nil {
		return nil, err
	}
	return o, nil
}

// rules are the obligations as those of an access rule.
func (o *Obligations) rules() (policy.Obligations, error) {
	out := policy.Obligations{Masking: o.Masking, Statements: o.Statements, Rows: o.Rows}
	for _, t := range []struct {
		name, text string
		into       *time.Duration
	}{{"session", o.Session, &out.Session}, {"idle", o.Idle, &out.Idle}} {
		if t.text == "" {
			continue
		}
		d, err := time.ParseDuration(t.text)
		if err != nil || d <= 0 {
			return out, formError(fmt.Sprintf("obligations.%s is not a time, such as 8h", t.name))
		}
		*t.into = d
	}
	for _, b := range o.Budgets {
		per, err := time.ParseDuration(b.Per)
		if err != nil {
			return out, formError("obligations.budgets: per is not a time, such as 24h")
		}
		out.Budgets = append(out.Budgets, policy.Budget{Statements: b.Statements, Rows: b.Rows, Per: per})
	}
	if o.Recording == "" {
		return out, nil
	}
	var err error
	if out.Recording, err = policy.ParseRecording(o.Recording); err != nil {
		return out, formError("obligations.recording is not one of default, digest, sample and full")
	}
	return out, nil
}

// obliged reads the obligations of an answer. Those of one that denies do not matter.
func (r *Result) obliged() (o policy.Obligations, err error) {
	if !r.Allow || r.Obligations == nil {
		return o, nil
	}
	return r.Obligations.rules()
}

// Obligations returns what the policy asks of a session in return for connecting: the zero
// value when it does not let it connect. An error says that the policy did not decide.
func (p *Policy) Obligations(ctx context.Context, s *proxy.Session) (policy.Obligations, error) {
	o, _, err := p.obligations(ctx, s, inputOf(s))
	return o, err
}

// May reports whether the policy may let id connect to a target under some conditions, for
// lists of resources: from another address, at another time, or with other parameters, where it
// reads these.
func (p *Policy) May(ctx context.Context, id *proxy.Identity, t proxy.Target) bool {
	s := &proxy.Session{Identity: id, Target: t}
	op := &proxy.Connect{Meta: proxy.Meta{Kind: proxy.KindConnect}, Target: t}
	r, err := p.evaluate(ctx, inputOf(s).ask(op, s.Now(), false))
	return err == nil && r.Allow || p.reads.Time || p.reads.Login || p.reads.Source || p.reads.Params || p.reads.Chance
}

func (p *Policy) obligations(ctx context.Context, s *proxy.Session, in Input) (o policy.Obligations, rule string, err error) {
	op := &proxy.Connect{Meta: proxy.Meta{Kind: proxy.KindConnect}, Target: s.Target}
	r, err := p.evaluate(ctx, in.ask(op, s.Now(), false))
	if err != nil {
		return o, "", err
	}
	o, err = r.obliged()
	return o, or(r.Rule, name), err
}

// bind has the package policy carry out obligations, in the hooks for a's session. When it is
// not known what they are, the session does not connect.
func (p *Policy) bind(ctx context.Context, a *asker) (proxy.Hooks, error) {
	var rule string
	a.obliged, rule, a.unbound = p.obligations(ctx, a.session, a.input)
	limits, err := policy.New([]policy.Rule{{Name: or(rule, name), Users: []string{"*"}, Allow: []string{"all"}, Obligations: a.obliged}}, p.carries)
	if err != nil {
		return proxy.Hooks{}, fmt.Errorf("what the policy asks for cannot be carried out: %w", err)
	}
	h, err := limits.As(name).WithBudgets(p.budgets).Intercept(ctx, a.session)
	a.limits = h.Ask
	return h, err
}

// connect answers whether the session may connect. The answer must ask for what the session is
// bound to: that was asked before anything was known about how the client connects.
func (a *asker) connect(ctx context.Context, op proxy.Op) proxy.Verdict {
	in := a.input.ask(op, a.session.Now(), false)
	r, err := a.policy.evaluate(ctx, in)
	if err == nil {
		err = a.unbound
	}
	var o policy.Obligations
	if err == nil {
		o, err = r.obliged()
	}
	if err == nil && r.Allow && !reflect.DeepEqual(o, a.obliged) {
		err = errHanging
	}
	if err != nil {
		return a.policy.failed(in, err)
	}
	return a.policy.verdict(r, proxy.KindConnect)
}

var errHanging = formError("its obligations hang on the connection's parameters, or on the moment")
