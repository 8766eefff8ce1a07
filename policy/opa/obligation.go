package opa

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	b, err := p.bindsAll(ctx, s)
	if errors.Is(err, errDenied) {
		return policy.Obligations{}, nil
	}
	if err != nil || b.request == nil {
		return b.obligations, err
	}
	limits, err := p.limits(&b)
	if err != nil {
		return b.obligations, err
	}
	return limits.Decide(s).Obligations, nil // what is had without an approval is recorded in full
}

// May reports whether the policy may let id connect to a target under some conditions, for
// lists of resources: from another address, at another time, or with other parameters, where it
// reads these. What has to be asked for is not let in until it is granted.
func (p *Policy) May(ctx context.Context, id *proxy.Identity, t proxy.Target) bool {
	s := &proxy.Session{Identity: id, Target: t}
	b, err := p.bindsAll(ctx, s)
	if err == nil {
		if b.request == nil {
			return true
		}
		if limits, err := p.limits(&b); err == nil && limits.May(id, t) {
			return true
		}
	}
	return p.reads.Time || p.reads.Login || p.reads.Source || p.reads.Params || p.reads.Chance
}

// errDenied says that the policy does not let a session connect.
var errDenied = errors.New("the policy denies this")

// binds asks what a session is bound to in return for connecting.
func (p *Policy) binds(ctx context.Context, s *proxy.Session, in Input) (b binding, err error) {
	op := &proxy.Connect{Meta: proxy.Meta{Kind: proxy.KindConnect}, Target: s.Target}
	r, err := p.evaluate(ctx, in.ask(op, s.Now(), false))
	if err != nil {
		return b, err
	}
	if b, err = p.bindingOf(r, s.Target); err == nil && !r.Allow {
		err = errDenied
	}
	return b, err
}

// bindsAll asks what a session is bound to, that of a delegated agent also by what its human is.
func (p *Policy) bindsAll(ctx context.Context, s *proxy.Session) (binding, error) {
	b, err := p.binds(ctx, s, inputOf(s, s.Identity))
	her := s.Identity.Human()
	if her == nil || err != nil {
		return b, err
	}
	hers, err := p.binds(ctx, s, inputOf(s, her))
	return b.and(&hers), err
}

// and is what binds an agent's session: all that it is bound to itself, and that its human is.
func (b *binding) and(hers *binding) binding {
	out := *b
	out.obligations = b.obligations.And(hers.obligations)
	if out.request == nil {
		out.request = hers.request
	}
	return out
}

// bind has the package policy carry out what the session is bound to, in the hooks for a's session. When it is
// not known what that is, the session does not connect.
func (p *Policy) bind(ctx context.Context, a *asker) (proxy.Hooks, error) {
	a.known(ctx)
	a.bound.rule = or(a.bound.rule, name)
	all := a.bound
	if a.human != nil {
		a.human.known(ctx)
		all = a.bound.and(&a.human.bound)
	}
	limits, err := p.limits(&all)
	if err != nil {
		return proxy.Hooks{}, fmt.Errorf("what the policy asks for cannot be carried out: %w", err)
	}
	h, err := limits.Intercept(ctx, a.session)
	a.limits = h.Ask
	return h, err
}

// known finds out what the session is bound to.
func (a *asker) known(ctx context.Context) {
	a.bound, a.unbound = a.policy.binds(ctx, a.session, a.input)
	if errors.Is(a.unbound, errDenied) {
		a.unbound = nil
	}
}

// connect answers whether the session may connect. The answer must ask for what the session is
// bound to: that was asked before anything was known about how the client connects.
func (a *asker) connect(ctx context.Context, op proxy.Op) proxy.Verdict {
	in := a.input.ask(op, a.session.Now(), false)
	r, err := a.policy.evaluate(ctx, in)
	if err == nil {
		err = a.unbound
	}
	var b binding
	if err == nil {
		b, err = a.policy.bindingOf(r, a.session.Target)
	}
	if err == nil && r.Allow {
		err = b.differs(&a.bound)
	}
	if err != nil {
		return a.policy.failed(in, err)
	}
	return a.policy.verdict(r, proxy.KindConnect)
}

// differs says why an answer does not bind a session to what another has bound it to.
func (b *binding) differs(from *binding) error {
	if !reflect.DeepEqual(b.obligations, from.obligations) {
		return errHanging
	}
	if !reflect.DeepEqual(b.request, from.request) {
		return errHangingRequest
	}
	return nil
}

var (
	errHanging        = formError("its obligations hang on the connection's parameters, or on the moment")
	errHangingRequest = formError("its request hangs on the connection's parameters, or on the moment")
)
