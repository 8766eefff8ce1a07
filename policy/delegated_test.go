package policy

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

var (
	alicesAgent = &proxy.Identity{Subject: "alice~coder", OnBehalfOf: "alice", Kind: proxy.Agent, Delegated: true, Groups: []string{"dev"}}
	agentsOnly  = []proxy.IdentityKind{proxy.Agent}
	humansOnly  = []proxy.IdentityKind{proxy.Human}
	everybody   = []string{"dev"}
)

// TestDelegatedRights: an agent may do what rules about it allow, of what rules about its human allow her, and what is denied to her, or
// asked of her in return, is denied to it, and asked of it.
func TestDelegatedRights(t *testing.T) {
	const read, update, drop = proxy.EffectRead, proxy.EffectUpdate, proxy.EffectDrop
	all := []proxy.Op{
		connect(), statement(read), statement(update), statement(drop), statement(proxy.EffectUnknown),
		facts(proxy.Facts{Effects: read, Relations: []proxy.Relation{{Schema: "public", Name: "orders", Effects: read}}}),
		facts(proxy.Facts{Effects: read, Relations: []proxy.Relation{{Schema: "public", Name: "people", Effects: read}}}),
		&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}}, &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}},
		&proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileOpenRead}, &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileOpenWrite},
		&proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: "GET"}, &proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: "POST"},
		&proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}},
	}
	for name, rules := range map[string][]Rule{
		"the same":                    {{Groups: everybody, Allow: []string{"connect", "read"}}},
		"more by a rule about agents": {{Groups: everybody, Allow: []string{"connect", "read"}}, {Groups: everybody, Kinds: agentsOnly, Allow: []string{"all"}}},
		"all by a rule about agents":  {{Groups: everybody, Kinds: agentsOnly, Allow: []string{"all"}}},
		"less by a rule about agents": {{Groups: everybody, Kinds: humansOnly, Allow: []string{"all"}}, {Groups: everybody, Kinds: agentsOnly, Allow: []string{"connect", "read", "file-read"}}},
		"denied to humans":            {{Groups: everybody, Allow: []string{"all"}}, {Groups: everybody, Kinds: humansOnly, Deny: []string{"drop", "exec"}}},
		"denied to agents":            {{Groups: everybody, Allow: []string{"all"}}, {Groups: everybody, Kinds: agentsOnly, Deny: []string{"write", "ddl", "shell"}}},
		"of relations": {
			{Groups: everybody, Kinds: humansOnly, Allow: []string{"connect", "read"}, Relations: []string{"public.orders"}},
			{Groups: everybody, Kinds: agentsOnly, Allow: []string{"connect", "read"}},
		},
		"of other relations": {
			{Groups: everybody, Kinds: humansOnly, Allow: []string{"connect", "read"}},
			{Groups: everybody, Kinds: agentsOnly, Allow: []string{"connect", "read"}, Relations: []string{"public.people"}},
		},
		"a rule about the human by name": {{Users: []string{"alice"}, Kinds: humansOnly, Allow: []string{"connect", "read", "shell", "forward"}}, {Users: []string{"*"}, Kinds: agentsOnly, Allow: []string{"all"}}},
		"at no hour of hers": {
			{Groups: everybody, Kinds: humansOnly, Allow: []string{"all"}, When: Condition{LoginWithin: time.Minute}},
			{Groups: everybody, Kinds: agentsOnly, Allow: []string{"all"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := New(rules)
			require.NoError(t, err)
			may := func(id *proxy.Identity) (list []bool) {
				h, err := p.Intercept(t.Context(), &proxy.Session{Identity: id, Target: orders, Dry: true})
				require.NoError(t, err)
				for _, op := range all {
					v := h.Ask(t.Context(), op)
					list = append(list, !v.Refuses())
				}
				if !slices.ContainsFunc(rules, func(r Rule) bool { return r.When.given() }) {
					require.Equal(t, list[0], p.May(id, orders), "lists of resources say the same")
				}
				return list
			}
			human := *alicesAgent
			human.Subject, human.Kind, human.OnBehalfOf, human.Delegated = "alice", proxy.Human, "", false
			own := human // what rules about agents alone allow, were she one
			own.Kind = proxy.Agent
			hers, its, got := may(&human), may(&own), may(alicesAgent)
			require.Contains(t, slices.Concat(hers, its), true)
			for i, op := range all {
				require.Equal(t, hers[i] && its[i], got[i], "%d %T", i, op)
			}
		})
	}
}

// TestDelegatedDuties: what is asked of the human in return is asked of her agent.
func TestDelegatedDuties(t *testing.T) {
	p, err := New([]Rule{
		{Groups: everybody, Kinds: agentsOnly, Allow: []string{"connect", "read", "delete"}},
		{Name: "hers", Groups: everybody, Kinds: humansOnly, Allow: []string{"connect", "read"}, Obligations: Obligations{Recording: RecordingFull, Masking: []string{"strict"}}},
		{Name: "looked-at", Groups: everybody, Kinds: humansOnly, Allow: []string{"delete"}, Obligations: Obligations{Review: &Review{Approvers: []string{"ops"}, For: time.Minute}}},
	}, CarriesRecording, CarriesMasking)
	require.NoError(t, err)
	s := &proxy.Session{Identity: alicesAgent, Target: orders}
	d := p.Decide(s)
	require.Equal(t, RecordingFull, d.Recording)
	require.Equal(t, []string{"strict"}, d.Masking)
	s.Dry = true
	h, err := p.Intercept(t.Context(), s)
	require.NoError(t, err)
	v := h.Ask(t.Context(), statement(proxy.EffectDelete))
	require.Equal(t, proxy.ActionHold, v.Action)
	require.Equal(t, "looked-at", v.Rule)
}

// openAs opens a session of somebody by p alone.
func openAs(p *Policy, id *proxy.Identity) (*proxy.Session, proxy.Op, error) {
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{p}}
	return g.Open(context.Background(), proxy.OpenRequest{Identity: id, Target: orders})
}

// onceGranted knows what each subject was granted.
type onceGranted struct {
	ledger
	who string
}

func (l *onceGranted) Granted(_ *proxy.Session, id *proxy.Identity, _ proxy.Target, rule string) (Grant, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g, ok := l.grants[rule]
	return g, ok && id.Subject == l.who
}

// TestDelegatedRequest: where its human has to ask for access, an agent has it once it was granted to her or to it, and no longer.
func TestDelegatedRequest(t *testing.T) {
	asked := onRequest
	asked.Kinds = humansOnly
	for _, who := range []string{"alice", "alice~coder"} {
		synctest.Test(t, func(t *testing.T) {
			grants := &onceGranted{who: who}
			p, err := New([]Rule{asked, {Groups: everybody, Kinds: agentsOnly, Allow: []string{"all"}}}, CarriesRequests)
			require.NoError(t, err)
			p = p.With(grants)
			require.False(t, p.May(alicesAgent, orders))
			_, _, err = openAs(p, alicesAgent)
			require.Error(t, err, "nothing is granted")
			grants.set("prod", granting(time.Hour, "connect", "read"), "")
			require.True(t, p.May(alicesAgent, orders))
			s, op, err := openAs(p, alicesAgent)
			require.NoError(t, err)
			s.Done(op, &proxy.Outcome{})
			require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
			require.True(t, run(s, statement(proxy.EffectUpdate)).Refuses(), "that was not granted")
			grants.set("prod", nil, "request r1 was revoked by bob: enough")
			synctest.Wait()
			require.ErrorContains(t, context.Cause(s.Context()), "request r1 was revoked by bob: enough")
			s.Close(nil)
			require.Zero(t, grants.watched())
		})
	}
}

// TestDelegatedBudget: all agents of one human, and she herself, use one budget.
func TestDelegatedBudget(t *testing.T) {
	p, err := New([]Rule{{Groups: everybody, Allow: []string{"all"}, Obligations: Obligations{Budgets: []Budget{{Statements: 3, Per: time.Hour}}}}}, CarriesBudgets)
	require.NoError(t, err)
	budgets := &Budgets{Ledger: &till{}}
	p = p.WithBudgets(budgets)
	human := &proxy.Identity{Subject: "alice", Groups: everybody}
	other := *alicesAgent
	other.Subject = "alice~writer"
	refused := func(id *proxy.Identity) bool {
		s, op, err := openAs(p, id)
		require.NoError(t, err)
		s.Done(op, &proxy.Outcome{})
		defer s.Close(nil)
		return run(s, statement(proxy.EffectRead)).Refuses()
	}
	require.False(t, refused(alicesAgent))
	require.False(t, refused(&other))
	require.False(t, refused(human))
	for _, id := range []*proxy.Identity{alicesAgent, &other, human} {
		require.True(t, refused(id), id.Subject)
	}
	require.False(t, refused(&proxy.Identity{Subject: "bob", Groups: everybody}))
}
