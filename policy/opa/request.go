package opa

import (
	"context"
	"errors"
	"reflect"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

// RequestPrefix is what the names of rules begin with by which access is asked for: what is granted by a policy in Rego is not what
// an access rule of the same name grants.
const RequestPrefix = "opa:"

// actions is the member of a request that says what may be granted.
const actions = "actions"

// binding is what an answer about connecting binds a session to.
type binding struct {
	rule        string
	obligations policy.Obligations
	request     *policy.Rule // by which access is asked for; nil: it is allowed without
}

// bindingOf reads what an answer about connecting to a target binds a session to.
func (p *Policy) bindingOf(r *Result, t proxy.Target) (b binding, err error) {
	b.rule = or(r.Rule, name)
	if b.obligations, err = r.obliged(); err != nil || r.Request == nil {
		return b, err
	}
	b.request, err = p.requestRule(r, t.Resource)
	return b, err
}

// requestRule is the rule that an answer with a request is.
func (p *Policy) requestRule(r *Result, at *proxy.Resource) (*policy.Rule, error) {
	if p.terms == nil {
		return nil, formError("it has a request, and nobody takes requests for access here")
	}
	if r.Rule == "" {
		return nil, formError("it has a request and no rule: what is granted is known by the rule's name, so give it one")
	}
	rule := &policy.Rule{Name: RequestPrefix + r.Rule, Users: []string{"*"}, Allow: []string{"all"}}
	terms := make(map[string]any, len(r.Request))
	for key, v := range r.Request {
		if key != actions {
			terms[key] = v
			continue
		}
		list, ok := v.([]any)
		if !ok || len(list) == 0 {
			return nil, formError("request.actions is not a list of actions: leave it out for all of them")
		}
		rule.Allow = []string{"connect"}
		for _, w := range list {
			word, ok := w.(string)
			if !ok {
				return nil, formError("request.actions are not words")
			}
			if word != "connect" {
				rule.Allow = append(rule.Allow, word)
			}
		}
	}
	request, err := p.terms(terms, rule.Allow, at)
	if err == nil {
		rule.Request = request
		_, err = policy.New([]policy.Rule{*rule}, p.carries)
	}
	if err != nil {
		return nil, formError("request: " + err.Error())
	}
	return rule, nil
}

// rules are those that carry out what a session is bound to. Obligations count also before anything is granted.
func (b *binding) rules() []policy.Rule {
	all := policy.Rule{Name: b.rule, Users: []string{"*"}, Allow: []string{"all"}, Obligations: b.obligations}
	if b.request == nil {
		return []policy.Rule{all}
	}
	if all.Allow = nil; reflect.ValueOf(b.obligations).IsZero() {
		return []policy.Rule{*b.request}
	}
	return []policy.Rule{all, *b.request}
}

// limits is what carries out what a session is bound to.
func (p *Policy) limits(b *binding) (*policy.Policy, error) {
	limits, err := policy.New(b.rules(), p.carries)
	if err != nil {
		return nil, err
	}
	return limits.As(name).WithBudgets(p.budgets).With(p.grants), nil
}

// Requestable returns the rule by which access is asked for where s is to connect; nil: it is not asked for. It needs no more of s
// than an identity and a target. The error says that the policy does not decide.
func (p *Policy) Requestable(ctx context.Context, s *proxy.Session) (*policy.Rule, error) {
	b, err := p.bindsAll(ctx, s)
	if errors.Is(err, errDenied) {
		return nil, nil
	}
	if err != nil {
		in := inputOf(s, s.Identity)
		in.Operation.Kind = proxy.KindConnect.String()
		return nil, errors.New(p.failed(in, err).Reason)
	}
	return b.request, nil
}
