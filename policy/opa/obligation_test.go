package opa

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// obliged is a policy that allows everything, and asks for something in return.
func obliged(obligations string) Config {
	return module(`decision := {"allow": true, "rule": "guests", "obligations": ` + obligations + `}`)
}

func open(t *testing.T, p *Policy, params map[string]string) (*proxy.Session, error) {
	g := &proxy.Gateway{Unrecorded: true, Log: slog.New(slog.DiscardHandler), Interceptors: []proxy.Interceptor{proxytest.Allow{}, p}}
	s, op, err := g.Open(t.Context(), proxy.OpenRequest{Identity: session.Identity, Target: session.Target, Params: params})
	if err == nil {
		s.Done(op, &proxy.Outcome{})
	}
	return s, err
}

func TestObligationsAreCarriedOut(t *testing.T) {
	s, err := open(t, create(t, obliged(`{"statements": 2}`)), nil)
	require.NoError(t, err)
	defer s.Close(nil)
	for range 2 {
		op := reading(proxy.EffectRead)
		require.False(t, s.Ask(t.Context(), op).Refuses())
		s.Done(op, &proxy.Outcome{})
	}
	require.Equal(t, "this session has used its budget of 2 statements at shop/shop (rule guests)", s.Ask(t.Context(), reading(proxy.EffectRead)).Message())

	synctest.Test(t, func(t *testing.T) {
		s, err := open(t, create(t, obliged(`{"session": "1h", "idle": "30m"}`)), nil)
		require.NoError(t, err)
		defer s.Close(nil)
		time.Sleep(29 * time.Minute)
		op := reading(proxy.EffectRead)
		require.False(t, s.Ask(t.Context(), op).Refuses())
		s.Done(op, &proxy.Outcome{})
		time.Sleep(29 * time.Minute)
		synctest.Wait()
		require.NoError(t, s.Err())
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.ErrorContains(t, s.Err(), "rule guests allows")
	})
}

func TestObligationsForTheAssembly(t *testing.T) {
	c := obliged(`{"masking": ["guests"], "recording": "full"}`)
	_, err := open(t, create(t, c), nil)
	require.Error(t, err) // nobody carries them out
	c.Carries = policy.CarriesMasking | policy.CarriesRecording
	p := create(t, c)
	s, err := open(t, p, nil)
	require.NoError(t, err)
	defer s.Close(nil)
	o, err := p.Obligations(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, policy.Obligations{Masking: []string{"guests"}, Recording: policy.RecordingFull}, o)
}

// pot is a ledger of one account.
type pot struct {
	mu    sync.Mutex
	taken uint64
	of    policy.Account
}

func (p *pot) Take(_ context.Context, a policy.Account, w policy.Withdrawal) (policy.Slice, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of = a
	n := min(w.Want, w.Limit-p.taken)
	p.taken += n
	return policy.Slice{Amount: n, Left: time.Hour}, nil
}

func (p *pot) Give(_ context.Context, _ policy.Account, _ int64, n uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken -= n
	return nil
}

// TestBudgetOfPerson holds that sessions of one person share a budget that a policy asks for.
func TestBudgetOfPerson(t *testing.T) {
	c := obliged(`{"budgets": [{"statements": 3, "per": "24h"}], "statements": 2}`)
	_, err := open(t, create(t, c), nil)
	require.Error(t, err, "nobody carries it out")
	ledger := &pot{}
	c.Carries, c.Budgets = policy.CarriesBudgets, &policy.Budgets{Ledger: ledger}
	p := create(t, c)
	ran, said := 0, ""
	for range 2 {
		s, err := open(t, p, nil)
		require.NoError(t, err)
		for range 2 {
			op := reading(proxy.EffectRead)
			if v := s.Ask(t.Context(), op); v.Refuses() {
				said = v.Message()
				continue
			}
			s.Done(op, &proxy.Outcome{})
			ran++
		}
		s.Close(nil)
		c.Budgets.Wait()
	}
	require.Equal(t, 3, ran)
	require.Equal(t, "you have used your budget of 3 statements per 24h (rule guests)", said)
	require.Equal(t, policy.Account{Policy: "opa", Rule: "guests", Subject: session.Identity.Subject, Unit: "statements", Per: 24 * time.Hour}, ledger.of)
}

// TestObligationsThatAreNotKnown holds that no session goes without what is asked for.
func TestObligationsThatAreNotKnown(t *testing.T) {
	for want, obligations := range map[string]string{
		"want an object":           `true`,
		"per is not a time":        `{"budgets": [{"rows": 1}]}`,
		"member that is not known": `{"budgets": [{"rows": 1, "for": "1h"}]}`,
		"not known or of another":  `{"sessions": "1h"}`,
		"of another type":          `{"rows": -1}`,
		"known or of another type": `{"session": 1}`,
		"session is not a time":    `{"session": "0s"}`,
		"idle is not a time":       `{"idle": "soon"}`,
		"recording is not one of":  `{"recording": "some"}`,
	} {
		_, err := open(t, create(t, obliged(obligations)), nil)
		require.ErrorContains(t, err, want)
	}
	p := create(t, module(`default decision := {"allow": true}
		decision := {"allow": true, "obligations": {"statements": 1}} if input.operation.connect.params.application_name == "psql"`))
	_, err := open(t, p, map[string]string{"application_name": "psql"})
	require.ErrorContains(t, err, "hang on the connection's parameters")
	s, err := open(t, p, nil)
	require.NoError(t, err)
	s.Close(nil)
}

// TestObligationsOfBoth holds that access rules and a policy count for themselves.
func TestObligationsOfBoth(t *testing.T) {
	access, err := policy.New([]policy.Rule{{Name: "access", Users: []string{"*"}, Allow: []string{"all"}, Obligations: policy.Obligations{Statements: 3}}})
	require.NoError(t, err)
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{access, create(t, obliged(`{"statements": 2}`))}}
	s, op, err := g.Open(t.Context(), proxy.OpenRequest{Identity: session.Identity, Target: session.Target})
	require.NoError(t, err)
	defer s.Close(nil)
	s.Done(op, &proxy.Outcome{})
	ask := func() *proxy.Verdict {
		op := reading(proxy.EffectRead)
		v := s.Ask(t.Context(), op)
		s.Done(op, &proxy.Outcome{})
		return v
	}
	require.False(t, ask().Refuses())
	require.False(t, ask().Refuses())
	require.Equal(t, "guests", ask().Rule)
	require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{access, create(t, obliged(`{"statements": 5}`))}}))
	require.False(t, ask().Refuses())
	require.Equal(t, "access", ask().Rule)
}

// TestMay: a list has the resources that a policy could let somebody connect to, from somewhere,
// at some time.
func TestMay(t *testing.T) {
	target := proxy.Target{Resource: &proxy.Resource{Name: "shop", Labels: map[string]string{"env": "prod"}}}
	for _, c := range []struct {
		name, decision string
		may            bool
	}{
		{"a group", `{"allow": "dev" in input.identity.groups}`, true},
		{"another group", `{"allow": "dba" in input.identity.groups}`, false},
		{"a label", `{"allow": input.resource.labels.env == "test"}`, false},
		{"another address", `{"allow": net.cidr_contains("10.0.0.0/8", input.source.address)}`, true}, // without one it is an error
		{"one address", `{"allow": input.source.address == "10.0.0.1"}`, true},
		{"another time", `{"allow": input.time.now_ns < 5}`, true},
		{"a fresh login", `{"allow": input.identity.login_ns > 5}`, true},
		{"a program", `{"allow": object.get(input.operation.connect.params, "application_name", "") == "psql"}`, true},
		{"an approval", `{"allow": true, "review": {"approvers": ["dba"]}}`, true},
		{"nothing", `{"allow": true} if input.identity.subject == "bob"`, false},
		{"a mistake", `{"allow": "yes"}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := create(t, Config{Modules: map[string]string{"a.rego": "package sallyport\n\ndecision := " + c.decision + "\n"}})
			require.Equal(t, c.may, p.May(t.Context(), &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, target))
		})
	}
}

// TestTheEndIsAnnounced: the time of a session that a policy asks for is announced, as that of an
// access rule is.
func TestTheEndIsAnnounced(t *testing.T) {
	p := create(t, obliged(`{"session": "24h"}`))
	s, err := proxytest.Open(&proxy.Gateway{}, p)
	require.NoError(t, err)
	defer s.Close(nil)
	require.Empty(t, s.Ask(t.Context(), proxytest.Statement("SELECT 1", proxy.EffectRead)).Warn)
	s.Started = s.Started.Add(-24*time.Hour + 3*time.Minute)
	require.Contains(t, s.Ask(t.Context(), proxytest.Statement("SELECT 1", proxy.EffectRead)).Warn, "this session ends in 3m: rule guests allows 24h")
}
