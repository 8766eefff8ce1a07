package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/revision"
)

// rules answers administrators' questions by the current revision, and by drafts.
type rules struct{ *Gateway }

// Simulate implements [control.Rules].
func (r rules) Simulate(ctx context.Context, q control.Simulation) (*control.Simulated, error) {
	t, err := r.Target(q.Resource, q.Account, q.Database)
	if err != nil {
		return nil, err
	}
	who := &proxy.Identity{Subject: q.User, Groups: q.Groups, AuthTime: time.Now()}
	at := time.Time{}
	if q.At != nil {
		at, who.AuthTime = *q.At, *q.At
	}
	if q.Text == "" {
		return r.connecting(ctx, who, t, at)
	}
	a, err := r.Explain(ctx, Question{Identity: who, Target: t, Text: q.Text, At: at})
	if err != nil {
		return nil, err
	}
	out := &control.Simulated{Answer: control.Answer{Outcome: string(a.Outcome()), By: a.By, Rule: a.Rule, Message: a.Warn, Rewritten: a.Rewritten}, Trace: traced(a.Notes)}
	if a.Refuses() {
		out.Cause, out.Message = a.Cause.String(), a.Message()
	}
	if a.Facts != nil {
		out.Effects = a.Facts.Effects.String()
	}
	return out, nil
}

// connecting says whether somebody may connect at a time.
func (r rules) connecting(ctx context.Context, who *proxy.Identity, t proxy.Target, at time.Time) (*control.Simulated, error) {
	s, connect, err := r.gateway.Open(ctx, proxy.OpenRequest{Identity: who, Target: t, Protocol: t.Resource.Type, Dry: true, At: at})
	var refused *proxy.RefusedError
	if errors.As(err, &refused) {
		v := refused.Verdict
		outcome := Deny
		if v.Action == proxy.ActionHold {
			outcome = Hold
		}
		return &control.Simulated{Answer: control.Answer{Outcome: string(outcome), By: refused.By, Rule: v.Rule, Cause: v.Cause.String(), Message: v.Message()}, Trace: []control.TraceStep{}}, nil
	}
	if err != nil {
		return nil, err
	}
	defer s.Close(nil)
	s.Done(connect, &proxy.Outcome{})
	return &control.Simulated{Answer: control.Answer{Outcome: string(Allow)}, Trace: traced(s.Notes())}, nil
}

func traced(notes []proxy.Note) []control.TraceStep {
	list := []control.TraceStep{}
	for _, n := range notes {
		if text := strings.TrimSpace(n.Text + " " + n.Type); text != "" || n.Rule != "" {
			list = append(list, control.TraceStep{By: n.By, Rule: n.Rule, Text: text})
		}
	}
	return list
}

// tried are the kinds of objects that drafts are made of.
var tried = []string{"access", "guardrail", "masking"}

// maxReplays bounds how many operations a draft is tried on.
const maxReplays = 20_000

// Replay implements [control.Rules].
func (r rules) Replay(ctx context.Context, a *audit.Archive, q control.ReplayQuestion) (*control.ReplayAnswer, error) {
	p, err := r.configuration().Read(ctx, "draft", q.Objects)
	if err != nil {
		return nil, err
	}
	for _, o := range p.Put {
		if !slices.Contains(tried, o.Kind) { // a resource that is not approved is not asked about its catalog
			return nil, fmt.Errorf("%w: a draft has objects of the kinds %s, and not %s", revision.ErrInvalid, strings.Join(tried, ", "), o.Kind)
		}
	}
	var draft *config.File
	k := &revision.Keeper{Store: r.state.store, Needs: r.needs, Check: func(_ context.Context, list []revision.Object, changes []revision.Change) (err error) {
		if draft, err = r.parts().config.Try(list, changes); err != nil {
			return fmt.Errorf("%w:\n%w", revision.ErrInvalid, err)
		}
		return nil
	}}
	if _, err := k.Plan(ctx, p); err != nil {
		return nil, err
	}
	if draft == nil {
		return nil, fmt.Errorf("%w: the draft changes nothing", revision.ErrInvalid)
	}
	x, err := NewExplainer(draft, r.options)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", revision.ErrInvalid, err)
	}
	defer x.Close()
	all := &Replayed{until: q.Until, most: maxReplays}
	if err := all.sessions(ctx, x, a, q.Since); err != nil && ctx.Err() == nil {
		return nil, err
	}
	return &control.ReplayAnswer{
		Operations: all.Operations, Skipped: all.Skipped, More: all.more || ctx.Err() != nil,
		Denied: all.Denied.told(), Held: all.Held.told(), Allowed: all.Allowed.told(),
	}, nil
}

func (c *Changes) told() control.ReplayChanges {
	out := control.ReplayChanges{Total: c.Total, People: len(c.people), Examples: []control.ReplayChange{}}
	for _, x := range c.Examples {
		out.Examples = append(out.Examples, control.ReplayChange{
			Session: x.Session, At: x.Time, User: x.User, Resource: x.Resource, Text: x.Text, Rule: x.Answer.Rule, Message: x.Answer.Message(),
		})
	}
	return out
}

// testTime bounds the steps before a login.
const testTime = 10 * time.Second

// Test implements [control.Rules]. How far it gets is for administrators.
func (r rules) Test(ctx context.Context, resource string) (steps []control.TestStep, err error) {
	t, err := r.Target(resource, "", "")
	if err != nil {
		return nil, err
	}
	step := func(name string, do func(ctx context.Context) (string, error)) bool {
		ctx, cancel := context.WithTimeout(ctx, max(testTime, reachTime))
		defer cancel()
		begun := time.Now()
		text, err := do(ctx)
		if err != nil {
			text = err.Error()
		}
		steps = append(steps, control.TestStep{Name: name, OK: err == nil, Text: text, Micros: time.Since(begun).Microseconds()})
		return err == nil
	}
	host, _, err := net.SplitHostPort(t.Resource.Address)
	if err == nil && t.Resource.Via == "" && !step("resolve", func(ctx context.Context) (string, error) {
		list, err := net.DefaultResolver.LookupHost(ctx, host)
		return strings.Join(list, ", "), err
	}) {
		return steps, nil
	}
	if !step("connect", func(ctx context.Context) (string, error) {
		c, err := r.gateway.Dial(ctx, t.Resource)
		if err != nil {
			return "", err
		}
		defer c.Close()
		return c.RemoteAddr().String(), nil
	}) {
		return steps, nil
	}
	if len(t.Resource.Accounts) > 0 {
		t.Account = t.Resource.Accounts[0]
	}
	step("log in", func(ctx context.Context) (string, error) {
		return "as " + t.Account.Username, r.Reach(ctx, t)
	})
	return steps, nil
}
