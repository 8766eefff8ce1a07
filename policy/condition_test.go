package policy

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// connected opens a session of a member of dev and ops at orders.
func connected(t *testing.T, rules []Rule, change func(*proxy.OpenRequest)) (*proxy.Session, error) {
	t.Helper()
	p, err := New(rules)
	require.NoError(t, err)
	r := proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev", "ops"}, Method: proxy.MethodOIDC, AuthTime: time.Now()},
		Target:   orders, Remote: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 4},
	}
	if change != nil {
		change(&r)
	}
	s, op, err := (&proxy.Gateway{Interceptors: []proxy.Interceptor{p}}).Open(context.Background(), r)
	if err == nil {
		s.Done(op, &proxy.Outcome{})
	}
	return s, err
}

// run asks about an operation, and ends it when it may run.
func run(s *proxy.Session, op proxy.Op) *proxy.Verdict {
	v := s.Ask(context.Background(), op)
	if !v.Refuses() {
		s.Done(op, &proxy.Outcome{})
	}
	return v
}

func prefixes(list ...string) (ps []netip.Prefix) {
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func TestConditions(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC) // a Friday
	fresh := &proxy.Identity{AuthTime: now.Add(-10 * time.Minute), Method: proxy.MethodOIDC}
	for _, c := range []struct {
		name  string
		when  Condition
		id    *proxy.Identity
		from  string
		want  answer
		until string
	}{
		{"nothing", Condition{}, fresh, "", yes, ""},
		{"in the hours", Condition{Hours: []Hours{{From: 540, To: 1020}}}, fresh, "", yes, "17:00"},
		{"after the hours", Condition{Hours: []Hours{{From: 540, To: 720}}}, fresh, "", no, "24:00"},
		{"one of two", Condition{Hours: []Hours{{From: 540, To: 660}, {From: 700, To: 800}}}, fresh, "", yes, "13:20"},
		{"a network", Condition{Networks: prefixes("192.168.0.0/16", "10.0.0.0/8")}, fresh, "10.9.9.9:1", yes, ""},
		{"another network", Condition{Networks: prefixes("192.168.0.0/16")}, fresh, "10.9.9.9:1", no, ""},
		{"IPv4 in IPv6", Condition{Networks: prefixes("10.0.0.0/8")}, fresh, "[::ffff:10.9.9.9]:1", yes, ""},
		{"IPv6 with a zone", Condition{Networks: prefixes("fe80::/10")}, fresh, "[fe80::1%eth0]:1", yes, ""},
		{"no address", Condition{Networks: prefixes("10.0.0.0/8")}, fresh, "", unknown, ""},
		{"a fresh login", Condition{LoginWithin: 15 * time.Minute}, fresh, "", yes, "12:05"},
		{"an old login", Condition{LoginWithin: 10 * time.Minute}, fresh, "", no, ""},
		{"a login of unknown age", Condition{LoginWithin: time.Hour}, &proxy.Identity{}, "", unknown, ""},
		{"a method", Condition{Methods: []proxy.Method{proxy.MethodOIDC, proxy.MethodCertificate}}, fresh, "", yes, ""},
		{"another method", Condition{Methods: []proxy.Method{proxy.MethodCertificate}}, fresh, "", no, ""},
		{"unknown method", Condition{Methods: []proxy.Method{proxy.MethodCertificate}}, &proxy.Identity{}, "", unknown, ""},
		{"all of it: one is not met", Condition{Networks: prefixes("10.0.0.0/8"), LoginWithin: time.Minute}, fresh, "", no, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := scene{identity: c.id, now: now}
			if c.from != "" {
				at.from = addressOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from)))
			}
			got, until := c.when.holds(&at)
			require.Equal(t, c.want, got)
			want := time.Time{}
			if c.until == "24:00" {
				want = now.Truncate(24*time.Hour).AddDate(0, 0, 1)
			} else if c.until != "" {
				clock, err := time.Parse("15:04", c.until)
				require.NoError(t, err)
				want = now.Truncate(24 * time.Hour).Add(time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute)
			}
			require.True(t, until.Equal(want), "%s, want %s", until, want)
		})
	}
	require.False(t, addressOf(&net.UnixAddr{Name: "@"}).IsValid())
}

// TestUnknownCountsAgainst holds that what is not known of a session neither allows nor
// spares it anything.
func TestUnknownCountsAgainst(t *testing.T) {
	office := Condition{Networks: prefixes("10.0.0.0/8")}
	for _, c := range []struct {
		name          string
		rule          Rule
		from          string
		allows, holds bool
	}{
		{"when it is met", Rule{When: office}, "10.0.0.1", true, true},
		{"when it is not", Rule{When: office}, "8.8.8.8", false, false},
		{"when it is not known", Rule{When: office}, "", false, true},
		{"unless it is met", Rule{Unless: office}, "10.0.0.1", false, false},
		{"unless it is not", Rule{Unless: office}, "8.8.8.8", true, true},
		{"unless it is not known", Rule{Unless: office}, "", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := scene{identity: &proxy.Identity{}}
			if c.from != "" {
				at.from = netip.MustParseAddr(c.from)
			}
			allows, denies, _ := (&compiled{Rule: c.rule}).applies(&at)
			require.Equal(t, c.allows, allows)
			require.Equal(t, c.holds, denies)
		})
	}
}

// TestHoursEndInASession holds that the next operation after the end of the hours is
// refused, the session goes on, and the next morning it may work again.
func TestHoursEndInASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it begins at midnight UTC
		s, err := connected(t, []Rule{
			{Groups: []string{"dev"}, Allow: []string{"connect"}},
			{Name: "early", Groups: []string{"dev"}, When: Condition{Hours: []Hours{{From: 0, To: 60}}}, Allow: []string{"read"}},
		}, nil)
		require.NoError(t, err)
		defer s.Close(nil)
		require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
		time.Sleep(time.Hour)
		v := run(s, statement(proxy.EffectRead))
		require.True(t, v.Refuses())
		require.Contains(t, v.Remedy, "Rule early allows it during 00:00-01:00 UTC.")
		require.NoError(t, s.Err())
		time.Sleep(23 * time.Hour)
		require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	})
}

func TestLoginGrowsOldInASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := connected(t, []Rule{
			{Groups: []string{"dev"}, Allow: []string{"connect", "read", "write"}},
			{Name: "step-up", Groups: []string{"*"}, Deny: []string{"write"}, Unless: Condition{LoginWithin: 15 * time.Minute}},
		}, nil)
		require.NoError(t, err)
		defer s.Close(nil)
		require.False(t, run(s, statement(proxy.EffectInsert)).Refuses())
		time.Sleep(15 * time.Minute)
		v := run(s, statement(proxy.EffectInsert))
		require.Equal(t, "step-up", v.Rule)
		require.Contains(t, v.Remedy, "Rule step-up does not deny it within 15m of a login.")
		require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
	})
}

// TestLastingOperationsEnd holds that what goes on until its user ends it ends with what
// allows it, and what ends by itself does not.
func TestLastingOperationsEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		op   proxy.Op
		ends bool
	}{
		{"a shell", &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}}, true},
		{"a command", &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}}, true},
		{"a forward", &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}}, true},
		{"a watch", &proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: "GET", Access: proxy.AccessRead, Lasting: true}, true},
		{"a request", &proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: "GET", Access: proxy.AccessRead}, false},
		{"a statement", statement(proxy.EffectRead), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := connected(t, []Rule{{
					Name: "early", Groups: []string{"dev"}, When: Condition{Hours: []Hours{{From: 0, To: 60}}},
					Allow: []string{"connect", "read", "shell", "exec", "forward"},
				}}, nil)
				require.NoError(t, err)
				defer s.Close(nil)
				require.False(t, s.Ask(t.Context(), c.op).Refuses())
				time.Sleep(59 * time.Minute)
				synctest.Wait()
				require.NoError(t, s.Err())
				time.Sleep(time.Minute + time.Second)
				synctest.Wait()
				if c.ends {
					require.ErrorContains(t, s.Err(), "any longer")
				} else {
					require.NoError(t, s.Err())
					s.Done(c.op, &proxy.Outcome{})
					require.True(t, run(s, statement(proxy.EffectRead)).Refuses())
				}
			})
		})
	}
}

func TestWho(t *testing.T) {
	agent := proxy.Identity{Subject: "bot", Groups: []string{"dev"}, Kind: proxy.Agent, Claims: map[string]string{"team": "red-7", "empty": ""}}
	for _, c := range []struct {
		name string
		rule Rule
		want bool
	}{
		{"a kind", Rule{Kinds: []proxy.IdentityKind{proxy.Service, proxy.Agent}}, true},
		{"another kind", Rule{Kinds: []proxy.IdentityKind{proxy.Human}}, false},
		{"a claim", Rule{Claims: map[string][]string{"team": {"blue", "red-*"}}}, true},
		{"another value", Rule{Claims: map[string][]string{"team": {"blue"}}}, false},
		{"a claim that is not there", Rule{Claims: map[string][]string{"level": {"*"}}}, false},
		{"a claim that is empty", Rule{Claims: map[string][]string{"empty": {"?*"}}}, false},
		{"every claim counts", Rule{Claims: map[string][]string{"team": {"red-7"}, "level": {"1"}}}, false},
	} {
		c.rule.Groups = []string{"dev"}
		require.Equal(t, c.want, c.rule.MatchesIdentity(&agent), c.name)
	}
	agent.OnBehalfOf = "alice"
	require.False(t, (&Rule{Users: []string{"alice"}}).MatchesIdentity(&agent), "an agent with groups of its own is not its human")
	agent.Delegated = true
	require.True(t, (&Rule{Users: []string{"alice"}}).MatchesIdentity(&agent), "what is said of her is said of an agent that she has made")
	require.False(t, (&Rule{Users: []string{"bot"}}).MatchesIdentity(&agent), "it has no rights of its own")
	require.False(t, (&Rule{Users: []string{"alice"}, Kinds: []proxy.IdentityKind{proxy.Human}}).MatchesIdentity(&agent))
	require.True(t, (&Rule{Protocols: []string{"a", "b"}}).MatchesResource(&proxy.Resource{Type: "b"}))
	require.False(t, (&Rule{Protocols: []string{"a"}}).MatchesResource(&proxy.Resource{Type: "b"}))
}

// TestMayIgnoresConditions holds that a resource is listed that can be reached at another
// time.
func TestMayIgnoresConditions(t *testing.T) {
	id := &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}
	never := Condition{Methods: []proxy.Method{proxy.MethodPeer}}
	allow := Rule{Groups: []string{"dev"}, Allow: []string{"connect"}, When: never}
	for _, c := range []struct {
		deny *Rule
		want bool
	}{
		{nil, true},
		{&Rule{Groups: []string{"dev"}, Deny: []string{"connect"}, When: never}, true},
		{&Rule{Groups: []string{"dev"}, Deny: []string{"connect"}}, false},
		{&Rule{Groups: []string{"ops"}, Deny: []string{"connect"}}, true},
	} {
		rules := []Rule{allow}
		if c.deny != nil {
			rules = append(rules, *c.deny)
		}
		p, err := New(rules)
		require.NoError(t, err)
		require.Equal(t, c.want, p.May(id, orders))
	}
}

func TestConditionsCostNoAllocation(t *testing.T) {
	p, err := New([]Rule{{
		Groups: []string{"dev"}, When: Condition{Hours: []Hours{{From: 0, To: 1439}, {From: 1439, To: 1}}, Networks: prefixes("10.0.0.0/8")},
		Allow: []string{"connect", "read"}, Relations: []string{"public.orders", "sales.*"}, Obligations: Obligations{Session: time.Hour, Statements: 1 << 60, Rows: 1 << 60},
	}})
	require.NoError(t, err)
	op := facts(proxy.Facts{
		Dialect: "postgres", Statements: 1, Effects: proxy.EffectRead, Resolved: true,
		Relations: []proxy.Relation{{Schema: "public", Name: "orders", Effects: proxy.EffectRead}, {Schema: "sales", Name: "regions", Effects: proxy.EffectRead}},
	}).(*proxy.Statement)
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{p}}
	s, connect, err := g.Open(t.Context(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: orders, Remote: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 4},
	})
	require.NoError(t, err)
	defer s.Close(nil)
	s.Done(connect, &proxy.Outcome{})
	begun, out := *op, &proxy.Outcome{}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		*op = begun
		if v := s.Ask(context.Background(), op); v.Refuses() {
			t.Fatal(v.Reason)
		}
		s.Done(op, out)
	}))
}

// BenchmarkAskWithConditions asks in a session with hours, relations and budgets.
func BenchmarkAskWithConditions(b *testing.B) {
	p, err := New([]Rule{{
		Groups: []string{"dev"}, When: Condition{Hours: []Hours{{From: 0, To: 1439}, {From: 1439, To: 1}}},
		Allow: []string{"connect", "read"}, Relations: []string{"public.orders", "sales.*"}, Obligations: Obligations{Statements: 1 << 60},
	}})
	require.NoError(b, err)
	op := facts(proxy.Facts{
		Dialect: "postgres", Statements: 1, Effects: proxy.EffectRead, Resolved: true,
		Relations: []proxy.Relation{{Schema: "public", Name: "orders", Effects: proxy.EffectRead}, {Schema: "sales", Name: "regions", Effects: proxy.EffectRead}},
	})
	s := &proxy.Session{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: orders}
	j := newJudge(s, p.sides(s.Identity, s.Target), nil)
	j.usage = &usage{}
	b.ReportAllocs()
	for b.Loop() {
		if v := j.ask(context.Background(), op); v.Refuses() {
			b.Fatal(v.Reason)
		}
	}
}
