package policy

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// breaks has alice break the glass of a rule, or ends that when g is nil.
func (l *ledger) breaks(rule string, g *Grant, why string) {
	l.mu.Lock()
	if l.glass == nil {
		l.glass = make(map[string]Grant)
	}
	id := l.glass[rule].ID
	if delete(l.glass, rule); g != nil {
		id, l.glass[rule] = g.ID, *g
	}
	l.version.Add(1)
	var all []func(string, string)
	for _, w := range l.watches {
		all = append(all, w)
	}
	l.mu.Unlock()
	for _, w := range all {
		w(id, why)
	}
}

func breakable(groups ...string) Rule {
	r := onRequest
	request := *r.Request
	request.BreakGlass = &BreakGlass{Groups: groups}
	r.Request = &request
	return r
}

// emergency opens a session of alice's, who is on call.
func emergency(t *testing.T, p *Policy, l *ledger, change func(id *proxy.Identity)) (*proxy.Session, error) {
	t.Helper()
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{p.With(l)}}
	id := &proxy.Identity{Subject: "alice", Groups: []string{"dev", "oncall"}}
	if change != nil {
		change(id)
	}
	s, op, err := g.Open(context.Background(), proxy.OpenRequest{Identity: id, Target: orders})
	if err == nil {
		s.Done(op, &proxy.Outcome{})
		t.Cleanup(func() { s.Close(nil) })
	}
	return s, err
}

func glassPolicy(t *testing.T, rules ...Rule) *Policy {
	t.Helper()
	p, err := New(rules, CarriesRequests, CarriesRecording)
	require.NoError(t, err)
	return p
}

// TestGlass: who breaks the glass has what the rule allows, is recorded in full, and until it is over or taken back.
func TestGlass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		p := glassPolicy(t, breakable("oncall"))
		_, err := emergency(t, p, l, nil)
		require.ErrorContains(t, err, "you have no access")
		require.False(t, p.With(l).May(&proxy.Identity{Subject: "alice", Groups: []string{"dev", "oncall"}}, orders))
		l.breaks("prod", granting(time.Hour, "connect", "read"), "")
		s, err := emergency(t, p, l, nil)
		require.NoError(t, err)
		require.True(t, p.With(l).May(s.Identity, orders))
		require.Equal(t, RecordingFull, p.With(l).Decide(s).Recording)
		require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
		require.True(t, run(s, statement(proxy.EffectUpdate)).Refuses(), "it was not taken")
		for name, change := range map[string]func(id *proxy.Identity){
			"not on call": func(id *proxy.Identity) { id.Groups = []string{"dev"} },
			"an agent":    func(id *proxy.Identity) { id.Kind, id.OnBehalfOf = proxy.Agent, "ada" },
			"a service":   func(id *proxy.Identity) { id.Kind = proxy.Service },
			"another":     func(id *proxy.Identity) { id.Subject = "eve" },
			"left":        func(id *proxy.Identity) { id.Groups = []string{"oncall"} },
		} {
			_, err := emergency(t, p, l, change)
			require.Error(t, err, name)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		require.ErrorContains(t, s.Err(), "request r1")

		l.breaks("prod", granting(time.Hour, "connect", "read"), "")
		s, err = emergency(t, p, l, nil)
		require.NoError(t, err)
		l.breaks("prod", nil, "it was revoked by olga: enough")
		synctest.Wait()
		require.ErrorContains(t, s.Err(), "it was revoked by olga: enough")
	})
}

// TestGlassAnew: a session that was not recorded in full from its beginning does not have it, and goes on as it was; a new one has it, in
// addition to what was granted, and what others grant it later does not take it away.
func TestGlassAnew(t *testing.T) {
	l := &ledger{}
	p := glassPolicy(t, Rule{Name: "reads", Groups: []string{"dev"}, Allow: []string{"connect", "read"}}, breakable("oncall"))
	before, err := emergency(t, p, l, nil)
	require.NoError(t, err)
	l.breaks("prod", granting(time.Hour, "connect", "write"), "")
	v := run(before, statement(proxy.EffectUpdate))
	require.True(t, v.Refuses())
	require.Contains(t, v.Remedy, "Rule prod allows it in a session that is recorded in full from its beginning: connect again.")
	require.NotContains(t, v.Remedy, "to those who have asked")
	require.False(t, run(before, statement(proxy.EffectRead)).Refuses())
	require.Equal(t, RecordingFull, p.With(l).Decide(before).Recording, "as one that begins now")

	after, err := emergency(t, p, l, nil)
	require.NoError(t, err)
	require.False(t, run(after, statement(proxy.EffectUpdate)).Refuses())
	l.set("prod", granting(2*time.Hour, "connect", "ddl"), "")
	require.False(t, run(after, statement(proxy.EffectUpdate)).Refuses())
	require.NoError(t, before.Err())
	require.NoError(t, after.Err())
	l.breaks("prod", nil, "over")
	require.True(t, run(after, statement(proxy.EffectUpdate)).Refuses())
	require.False(t, run(after, statement(proxy.EffectRead)).Refuses())
}

// TestGlassRevised: another revision of the rules takes a session over that was recorded in full, and one that was not, as they are; who
// may not break the glass any more has lost it.
func TestGlassRevised(t *testing.T) {
	l := &ledger{}
	reads := Rule{Name: "reads", Groups: []string{"dev"}, Allow: []string{"connect", "read"}}
	open := func(p *Policy) (*proxy.Gateway, *proxy.Session) {
		g := &proxy.Gateway{}
		require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{p.With(l)}}))
		s, op, err := g.Open(context.Background(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev", "oncall"}}, Target: orders})
		require.NoError(t, err)
		s.Done(op, &proxy.Outcome{})
		t.Cleanup(func() { s.Close(nil) })
		return g, s
	}
	use := func(g *proxy.Gateway, rules ...Rule) {
		require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{glassPolicy(t, rules...).With(l)}}))
	}
	one, before := open(glassPolicy(t, reads, breakable("oncall")))
	l.breaks("prod", granting(time.Hour, "connect", "write"), "")
	two, after := open(glassPolicy(t, reads, breakable("oncall")))
	for _, g := range []*proxy.Gateway{one, two} {
		use(g, reads, breakable("oncall", "others"))
	}
	require.True(t, run(before, statement(proxy.EffectUpdate)).Refuses())
	require.False(t, run(after, statement(proxy.EffectUpdate)).Refuses())
	use(two, reads, breakable("others"))
	require.True(t, run(after, statement(proxy.EffectUpdate)).Refuses())
	use(two, reads, onRequest)
	require.True(t, run(after, statement(proxy.EffectUpdate)).Refuses())
	require.NoError(t, after.Err())
}

// TestGlassAsksOnce: what a rule asks for in return is asked for once, whether its grant and the glass are there, or one.
func TestGlassAsksOnce(t *testing.T) {
	r := breakable("*")
	r.Obligations = Obligations{Review: &Review{Approvers: []string{"ops"}}, Masking: []string{"x"}}
	p, err := New([]Rule{r}, CarriesRequests, CarriesRecording, CarriesMasking)
	require.NoError(t, err)
	l := &ledger{}
	l.breaks("prod", granting(time.Hour, "connect", "read"), "")
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{plain{}}}
	s, _, err := g.Open(context.Background(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: orders})
	require.NoError(t, err)
	defer s.Close(nil)
	for _, granted := range []int{1, 2} {
		d := decide(p.about(s.Identity, s.Target), l, s, s.Identity, time.Now(), RecordingFull, false)
		require.Len(t, d.granted, granted)
		require.Len(t, d.reviews, 1)
		require.Len(t, d.rules, 1)
		require.Equal(t, []string{"x"}, d.duties.Masking)
		l.set("prod", granting(time.Hour, "connect", "read"), "")
	}
}

// plain lets everybody connect.
type plain struct{}

func (plain) Name() string { return "plain" }

func (plain) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(context.Context, proxy.Op) proxy.Verdict { return proxy.Allow("plain") }}, nil
}

func TestGlassRules(t *testing.T) {
	for name, c := range map[string]struct {
		glass BreakGlass
		says  string
	}{
		"for nobody":  {BreakGlass{}, "access without an approval is for no groups"},
		"very long":   {BreakGlass{Groups: []string{"*"}, Max: 25 * time.Hour}, "access without an approval lasts 25h: want a minute to 24h"},
		"very short":  {BreakGlass{Groups: []string{"*"}, Max: time.Second}, "access without an approval lasts 1s: want a minute to 24h"},
		"before it":   {BreakGlass{Groups: []string{"*"}, Max: -time.Hour}, "access without an approval lasts"},
		"as it is":    {BreakGlass{Groups: []string{"*"}}, ""},
		"for an hour": {BreakGlass{Groups: []string{"x"}, Max: time.Hour}, ""},
	} {
		r := breakable("x")
		r.Request.BreakGlass = &c.glass
		_, err := New([]Rule{r}, CarriesRequests, CarriesRecording)
		if c.says == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, c.says, name)
		}
	}
	_, err := New([]Rule{breakable("x")}, CarriesRequests)
	require.ErrorContains(t, err, "this gateway does not record by access rules")
	require.Equal(t, time.Hour, breakable("x").Request.Terms().BreakGlass.Max)
}
