package proxy_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// doorman holds connecting for those who are not staff, until they are let in.
type doorman struct {
	in      chan struct{}
	waiting sync.WaitGroup
}

func (*doorman) Name() string { return "doorman" }

func (d *doorman) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	passed := false
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind != proxy.KindConnect || s.Identity.Subject == "staff" || passed {
			return proxy.Allow("staff")
		}
		passed = true
		return proxy.Verdict{Action: proxy.ActionHold, Rule: "guests", Hold: &proxy.Hold{Rules: []string{"guests"}, Approvers: [][]string{{"*"}}, For: time.Minute, Access: "guests"}}
	}}, nil
}

func (d *doorman) Request(context.Context, *proxy.Session, proxy.Op, *proxy.Hold) (*proxy.Pending, error) {
	return &proxy.Pending{ID: "r", Deadline: time.Now().Add(time.Minute), Wait: func(ctx context.Context) proxy.Verdict {
		d.waiting.Done()
		select {
		case <-d.in:
			return proxy.Allow("guests")
		case <-ctx.Done():
			return proxy.Deny(proxy.CauseApproval, "guests", "nobody decided", "")
		}
	}}, nil
}

// places are those of a person at all gateways.
type places struct {
	mu   sync.Mutex
	held map[string]int
}

func (p *places) Enter(ctx context.Context, subject string, limit int) (func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if p.held[subject] >= limit {
		return nil, proxy.ErrTooMany
	}
	p.held[subject]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.held[subject]--
	}, nil
}

func (p *places) of(subject string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held[subject]
}

// TestWaitingHoldsNoPlace: clients that wait to be let in keep nobody out who works, are bounded themselves, and take a place when they are
// let in.
func TestWaitingHoldsNoPlace(t *testing.T) {
	d, p := &doorman{in: make(chan struct{}, 10)}, &places{held: make(map[string]int)}
	target := proxy.Target{Resource: &proxy.Resource{Name: "shop", Type: "test"}}
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{d}, Reviewer: d, Places: p, Limits: proxy.Limits{MaxSessions: 4, MaxPerIdentity: 2}}
	type opened struct {
		s   *proxy.Session
		err error
	}
	open := func(ctx context.Context, who string) opened {
		s, op, err := g.Open(ctx, proxy.OpenRequest{Identity: &proxy.Identity{Subject: who}, Target: target})
		if err == nil {
			s.Done(op, &proxy.Outcome{})
		}
		return opened{s, err}
	}
	results := make(chan opened, 10)
	wait := func(ctx context.Context, who string) {
		d.waiting.Add(1)
		go func() { results <- open(ctx, who) }()
		d.waiting.Wait()
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	wait(ctx, "alice")
	wait(ctx, "alice")
	require.Zero(t, p.of("alice"), "they are counted nowhere")
	require.ErrorContains(t, open(ctx, "alice").err, "too many connections wait for an approval already", "as many wait as may be open")
	wait(ctx, "bob")
	wait(ctx, "bob")
	require.ErrorContains(t, open(ctx, "carol").err, "too many connections wait for an approval already")

	var staff []*proxy.Session
	for range 2 {
		o := open(t.Context(), "staff")
		require.NoError(t, o.err, "who works is let in")
		staff = append(staff, o.s)
	}
	require.ErrorIs(t, open(t.Context(), "staff").err, proxy.ErrTooMany)
	d.in <- struct{}{}
	d.in <- struct{}{}
	first, second := <-results, <-results
	require.NoError(t, first.err)
	require.NoError(t, second.err)
	require.Equal(t, 1, p.of(first.s.Identity.Subject)-btoi(first.s.Identity.Subject == second.s.Identity.Subject), "who is let in holds a place")
	d.in <- struct{}{}
	require.ErrorContains(t, (<-results).err, "this is approved, and there is no room for the session", "four are open")
	staff[0].Close(nil)
	d.in <- struct{}{}
	last := <-results
	require.NoError(t, last.err)
	for _, s := range append(staff[1:], first.s, second.s, last.s) {
		s.Close(nil)
	}
	for _, who := range []string{"alice", "bob", "staff"} {
		require.Zero(t, p.of(who))
	}

	// Who leaves while she waits leaves nothing.
	wait(ctx, "alice")
	wait(ctx, "bob")
	leave()
	require.Error(t, (<-results).err)
	require.Error(t, (<-results).err)
	require.Empty(t, g.Sessions())
	for range 2 {
		o := open(t.Context(), "staff")
		require.NoError(t, o.err)
		defer o.s.Close(nil)
	}
	wait(t.Context(), "alice")
	d.in <- struct{}{}
	o := <-results
	require.NoError(t, o.err)
	o.s.Close(nil)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
