package gateway

import (
	"context"
	"errors"
	"slices"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
)

// access answers the API's questions about what somebody may reach, by the current
// revision.
type access struct{ *Explainer }

// Resources implements [control.Resources]. Conditions that change, such as hours, are not
// looked at: who may connect at some time sees the resource.
func (x access) Resources(ctx context.Context, who *proxy.Identity) ([]control.Resource, error) {
	p := x.parts()
	listeners := p.config.Listeners()
	var list []control.Resource
	for _, r := range p.resources {
		out := control.Resource{Name: r.Name, Type: r.Type, Database: r.Database, Labels: r.Labels, User: control.LoginName(who)}
		for _, a := range r.Accounts {
			if p.may(ctx, who, proxy.Target{Resource: r, Account: a, Database: r.Database}) {
				out.Accounts = append(out.Accounts, a.Name)
			}
		}
		if out.Accounts == nil {
			if out.Request = p.requestable(ctx, who, r); !out.Request {
				continue
			}
		}
		if len(r.Accounts) == 1 {
			out.Accounts = nil // there is nothing to choose
		}
		shared := true
		for _, l := range listeners {
			switch {
			case l.Resource == r.Name:
				out.Address, shared = l.Address, false
			case l.Protocol == r.Type && l.Resource == "" && shared:
				out.Address = l.Address
			}
		}
		if out.Address == "" {
			continue // nobody gets there
		}
		if shared {
			out.User += "+" + r.Name
		}
		if s := x.service(r.Type); s != nil {
			out.TLS = s.TLS && RequireTLS(p.config)
		}
		list = append(list, out)
	}
	slices.SortFunc(list, func(a, b control.Resource) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return list, nil
}

// Can implements [control.Resources].
func (x access) Can(ctx context.Context, who *proxy.Identity, q control.Question) (*control.Answer, error) {
	t, err := x.Target(q.Resource, q.Account, q.Database)
	if err != nil {
		return nil, err
	}
	if q.Text == "" {
		return x.connects(ctx, who, t)
	}
	a, err := x.Explain(ctx, Question{Identity: who, Target: t, Text: q.Text})
	if err != nil {
		return nil, err
	}
	out := &control.Answer{Outcome: string(a.Outcome()), By: a.By, Rule: a.Rule, Message: a.Warn, Rewritten: a.Rewritten}
	if a.Refuses() {
		out.Cause, out.Message = a.Cause.String(), a.Message()
		return out, nil // what is masked of an answer that does not come is not told
	}
	for _, n := range a.Notes {
		if n.Kind == proxy.NoteColumn {
			out.Notes = append(out.Notes, n.Text)
			if n.Column != "" {
				out.Columns = append(out.Columns, control.MaskedColumn{Name: n.Column, Class: n.Type, Why: n.Text})
			}
		}
	}
	return out, nil
}

// connects says whether somebody may connect to a target now.
func (x access) connects(ctx context.Context, who *proxy.Identity, t proxy.Target) (*control.Answer, error) {
	s, connect, err := x.gateway.Open(ctx, proxy.OpenRequest{Identity: who, Target: t, Protocol: t.Resource.Type, Dry: true})
	var refused *proxy.RefusedError
	switch {
	case errors.As(err, &refused):
		outcome := Deny
		if refused.Verdict.Action == proxy.ActionHold {
			outcome = Hold
		}
		return &control.Answer{Outcome: string(outcome), By: refused.By, Rule: refused.Verdict.Rule, Cause: refused.Verdict.Cause.String(), Message: refused.Verdict.Message()}, nil
	case err != nil:
		return nil, err
	}
	defer s.Close(nil)
	s.Done(connect, &proxy.Outcome{})
	return &control.Answer{Outcome: string(Allow)}, nil
}
