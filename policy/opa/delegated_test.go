package opa

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// TestDelegated: a policy that allows an agent more than its human, or asks less of it, allows it what it allows her, and asks of it what
// it asks of her.
func TestDelegated(t *testing.T) {
	agent := &proxy.Identity{Subject: "alice~coder", OnBehalfOf: "alice", Kind: proxy.Agent, Delegated: true, Groups: []string{"dev"}}
	as := func(t *testing.T, c Config) (*Policy, *proxy.Session, error) {
		p := create(t, c)
		g := &proxy.Gateway{Unrecorded: true, Log: slog.New(slog.DiscardHandler), Interceptors: []proxy.Interceptor{proxytest.Allow{}, p}}
		s, op, err := g.Open(t.Context(), proxy.OpenRequest{Identity: agent, Target: session.Target})
		if err == nil {
			s.Done(op, &proxy.Outcome{})
			t.Cleanup(func() { s.Close(nil) })
		}
		return p, s, err
	}
	reads := reading(proxy.EffectRead)
	t.Run("only agents connect", func(t *testing.T) {
		p, _, err := as(t, module(`default decision := {"allow": false}
			decision := {"allow": true} if input.identity.kind == "agent"`))
		require.Error(t, err)
		require.False(t, p.May(t.Context(), agent, session.Target))
	})
	t.Run("only agents read", func(t *testing.T) {
		p, s, err := as(t, module(`default decision := {"allow": false}
			decision := {"allow": true} if input.operation.kind == "connect"
			decision := {"allow": true} if { input.operation.kind != "connect"; input.identity.kind == "agent" }`))
		require.NoError(t, err)
		require.True(t, p.May(t.Context(), agent, session.Target))
		for range 2 { // also where the answer is known already
			require.True(t, s.Ask(t.Context(), reads).Refuses())
		}
	})
	t.Run("only humans read", func(t *testing.T) {
		_, s, err := as(t, module(`default decision := {"allow": false}
			decision := {"allow": true} if input.operation.kind == "connect"
			decision := {"allow": true} if { input.operation.kind != "connect"; input.identity.subject == "alice" }`))
		require.NoError(t, err)
		require.True(t, s.Ask(t.Context(), reads).Refuses())
	})
	t.Run("both read", func(t *testing.T) {
		_, s, err := as(t, module(`decision := {"allow": true}`))
		require.NoError(t, err)
		require.False(t, s.Ask(t.Context(), reads).Refuses())
	})
	t.Run("what is asked of humans", func(t *testing.T) {
		c := module(`decision := {"allow": true} if input.identity.kind == "agent"
			decision := {"allow": true, "obligations": {"statements": 1, "masking": ["strict"]}} if input.identity.kind == "human"`)
		c.Carries = policy.CarriesMasking
		p, s, err := as(t, c)
		require.NoError(t, err)
		o, err := p.Obligations(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, []string{"strict"}, o.Masking)
		require.False(t, s.Ask(t.Context(), reads).Refuses())
		s.Done(reads, &proxy.Outcome{})
		require.True(t, s.Ask(t.Context(), reading(proxy.EffectRead)).Refuses(), "her budget")
	})
	t.Run("what humans ask for", func(t *testing.T) {
		c := asking(`decision := {"allow": true} if input.identity.kind == "agent"
			decision := {"allow": true, "rule": "prod", "request": {"approvers": ["ops"], "actions": ["read"]}} if input.identity.kind == "human"`, &granting{})
		p, _, err := as(t, c)
		require.Error(t, err)
		require.False(t, p.May(t.Context(), agent, session.Target))
		rule, err := p.Requestable(t.Context(), &proxy.Session{Identity: agent, Target: session.Target, Started: time.Now()})
		require.NoError(t, err)
		require.NotNil(t, rule)
	})
}
