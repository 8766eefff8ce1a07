package policy

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

var orders = proxy.Target{
	Resource: &proxy.Resource{Name: "orders", Labels: map[string]string{"env": "prod"}, Accounts: []proxy.Account{{Name: "app"}}},
	Account:  proxy.Account{Name: "app"}, Database: "shop",
}

func hooks(t testing.TB, p *Policy, groups ...string) proxy.Hooks {
	t.Helper()
	h, err := p.Intercept(context.Background(), &proxy.Session{Identity: &proxy.Identity{Subject: "alice", Groups: groups}, Target: orders})
	require.NoError(t, err)
	return h
}

func statement(e proxy.Effects) proxy.Op {
	f := &proxy.Facts{Effects: e}
	if e == proxy.EffectUnknown {
		f.Unknown = "it does not parse"
	}
	return &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Facts: f}
}

func facts(f proxy.Facts) proxy.Op {
	return &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Facts: &f}
}

func connect() proxy.Op { return &proxy.Connect{Meta: proxy.Meta{Kind: proxy.KindConnect}} }

func TestDecisions(t *testing.T) {
	rules := []Rule{
		{Groups: []string{"dev"}, Labels: map[string]string{"env": "prod"}, Allow: []string{"connect", "read"}},
		{Groups: []string{"ops"}, Resources: []string{"ord*"}, Allow: []string{"connect", "read", "write", "exec", "file-read"}},
		{Name: "no-truncate", Groups: []string{"*"}, Deny: []string{"truncate", "drop"}},
		{Groups: []string{"root"}, Allow: []string{"all"}},
		{Groups: []string{"visitors"}, Allow: []string{"connect"}},
		{Groups: []string{"elsewhere"}, Resources: []string{"billing"}, Allow: []string{"all"}},
		{Groups: []string{"other-db"}, Databases: []string{"x*"}, Allow: []string{"all"}},
		{Groups: []string{"clerk"}, Allow: []string{"connect", "read", "insert"}},
		{Groups: []string{"keeper"}, Allow: []string{"all"}, Deny: []string{"update"}},
		{Groups: []string{"frozen"}, Allow: []string{"all"}, Deny: []string{"write"}},
	}
	p, err := New(rules)
	require.NoError(t, err)
	const read, write = proxy.EffectRead, proxy.EffectUpdate
	for _, c := range []struct {
		name  string
		group string
		op    proxy.Op
		want  proxy.Action
		says  string
	}{
		{"reader connects", "dev", connect(), proxy.ActionAllow, ""},
		{"reader reads", "dev", statement(read), proxy.ActionPass, ""},
		{"reader in a transaction", "dev", statement(proxy.EffectTransaction), proxy.ActionPass, ""},
		{"visitor reads", "visitors", statement(read), proxy.ActionDeny, `you may not read data at orders/shop: this needs the right "read"`},
		{"visitor reads nothing", "visitors", statement(0), proxy.ActionDeny, "you may not run a statement"},
		{"reader writes", "dev", statement(read | write), proxy.ActionDeny, `you may not update rows at orders/shop: this needs the right "write"`},
		{"reader calls", "dev", statement(read | proxy.EffectCall), proxy.ActionDeny, "call"},
		{"reader, not understood", "dev", statement(proxy.EffectUnknown), proxy.ActionDeny, "not understood (it does not parse)"},
		{"reader, EXECUTE of a name", "dev", statement(proxy.EffectExecute), proxy.ActionDeny, "execute"},
		{"no facts at all", "dev", statement(0), proxy.ActionDeny, "unknown"},
		{"a text without statements", "dev", facts(proxy.Facts{Dialect: "postgres"}), proxy.ActionPass, ""},
		{"reader sleeps", "dev", facts(proxy.Facts{
			Dialect: "postgres", Statements: 1, Effects: read | proxy.EffectOutside,
			Functions: []proxy.Function{{Name: "lower", Class: proxy.FunctionHarmless}, {Name: "pg_sleep", Class: proxy.FunctionOutside}},
		}), proxy.ActionDeny, `you may not call pg_sleep here: it acts outside the database, which needs the right "admin"`},
		{"reader locks and calls", "dev", statement(proxy.EffectCall | proxy.EffectLock), proxy.ActionDeny, `needs the rights "call" and "lock"`},
		{"a statement without effects", "dev", facts(proxy.Facts{Dialect: "postgres", Statements: 1}), proxy.ActionDeny, "unknown"},
		{"a text without statements, not understood", "dev", facts(proxy.Facts{Dialect: "postgres", Unknown: "it is too long"}), proxy.ActionDeny, "unknown"},
		{"a text without statements, not allowed any", "elsewhere", facts(proxy.Facts{Dialect: "postgres"}), proxy.ActionDeny, "statement"},
		{"reader, exec", "dev", &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}}, proxy.ActionDeny, `run a command at orders/shop: this needs the right "exec"`},
		{"reader numbers", "dev", statement(read | proxy.EffectSequence), proxy.ActionDeny, `you may not advance or set sequences at orders/shop: this needs the right "write"`},
		{"who may insert numbers", "clerk", statement(read | proxy.EffectInsert | proxy.EffectSequence), proxy.ActionPass, ""},
		{"who may insert updates", "clerk", statement(write | proxy.EffectSequence), proxy.ActionDeny, "update rows"},
		{"who may not update numbers", "keeper", statement(read | proxy.EffectSequence), proxy.ActionPass, ""},
		{"who may not write does not number", "frozen", statement(read | proxy.EffectSequence), proxy.ActionDeny, "sequences"},
		{"ops writes", "ops", statement(read | write), proxy.ActionPass, ""},
		{"ops truncates", "ops", statement(proxy.EffectTruncate), proxy.ActionDeny, "truncate"},
		{"ops reads a file", "ops", &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileOpenRead}, proxy.ActionPass, ""},
		{"ops writes a file", "ops", &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileOpenWrite}, proxy.ActionDeny, "you may not open files for writing at orders/shop"},
		{"root does anything", "root", statement(proxy.EffectUnknown), proxy.ActionPass, ""},
		{"root truncates: any deny wins", "root", statement(proxy.EffectTruncate), proxy.ActionDeny, "truncate"},
		{"another resource", "elsewhere", connect(), proxy.ActionDeny, "connect"},
		{"another database", "other-db", connect(), proxy.ActionDeny, "connect"},
		{"no group", "", connect(), proxy.ActionDeny, "connect"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := hooks(t, p, c.group).Ask(context.Background(), c.op)
			require.Equal(t, c.want, v.Action, v.Reason)
			require.Contains(t, v.Reason, c.says)
			if c.want == proxy.ActionDeny {
				require.NotEmpty(t, v.Remedy)
			}
		})
	}
	t.Run("the denying rule is named", func(t *testing.T) {
		v := hooks(t, p, "root").Ask(context.Background(), statement(proxy.EffectDrop))
		require.Equal(t, "no-truncate", v.Rule)
	})
}

// TestAttack59: rules that change in the middle of a session judge its next
// operation, and end it when they do not let it connect any more.
func TestAttack59ReloadAppliesToTheNextStatement(t *testing.T) {
	create := func(allow ...string) *Policy {
		p, err := New([]Rule{{Groups: []string{"dev"}, Allow: allow}})
		require.NoError(t, err)
		return p
	}
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{create("connect", "read")}}
	use := func(allow ...string) {
		require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{create(allow...)}}))
	}
	s, connect, err := g.Open(t.Context(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: proxy.Target{Resource: &proxy.Resource{Name: "orders"}}})
	require.NoError(t, err)
	defer s.Close(nil)
	s.Done(connect, &proxy.Outcome{})
	ask := func() bool {
		op := statement(proxy.EffectRead)
		v := s.Ask(t.Context(), op)
		if !v.Refuses() {
			s.Done(op, &proxy.Outcome{})
		}
		return !v.Refuses()
	}
	require.True(t, ask())
	use("connect")
	require.False(t, ask())
	require.NoError(t, s.Err())
	use("connect", "read")
	require.True(t, ask())
	use("read")
	require.False(t, ask())
	require.ErrorContains(t, s.Err(), "you may not connect")
}

// TestChangedUserUnderTheSameRules holds that a user who has left a group is judged without
// it, also when a revision changes nothing else.
func TestChangedUserUnderTheSameRules(t *testing.T) {
	p, err := New([]Rule{
		{Groups: []string{"dev"}, Allow: []string{"connect"}},
		{Groups: []string{"ops"}, Labels: map[string]string{"env": "prod"}, Allow: []string{"read"}},
	})
	require.NoError(t, err)
	users := &roster{groups: []string{"dev", "ops"}}
	resource := *orders.Resource
	g := &proxy.Gateway{Authenticator: users, Directory: proxy.Resources{&resource}, Interceptors: []proxy.Interceptor{p}}
	use := func(r *proxy.Resource) {
		require.NoError(t, g.Use(&proxy.Revision{Authenticator: users, Directory: proxy.Resources{r}, Interceptors: []proxy.Interceptor{p}}))
	}
	s, op, err := g.Open(t.Context(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: users.groups}, Target: proxy.Target{Resource: &resource}})
	require.NoError(t, err)
	defer s.Close(nil)
	s.Done(op, &proxy.Outcome{})
	ask := func() bool {
		op := statement(proxy.EffectRead)
		v := s.Ask(t.Context(), op)
		if !v.Refuses() {
			s.Done(op, &proxy.Outcome{})
		}
		return !v.Refuses()
	}
	require.True(t, ask())
	users.groups = []string{"dev"}
	use(&resource)
	require.False(t, ask())
	require.NoError(t, s.Err())
	users.groups = []string{"dev", "ops"}
	use(&resource)
	require.True(t, ask())
	relabelled := resource
	relabelled.Labels = map[string]string{"env": "test"}
	use(&relabelled)
	require.False(t, ask())
	users.groups = nil
	use(&relabelled)
	require.False(t, ask())
	require.ErrorContains(t, s.Err(), "you may not connect")
}

// roster knows one user's groups.
type roster struct{ groups []string }

func (*roster) Authenticate(context.Context, proxy.Proof) (*proxy.Identity, error) {
	return nil, proxy.ErrUnauthenticated
}

func (r *roster) Refresh(_ context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	now := *id
	now.Groups = r.groups
	return &now, nil
}

func TestNewRefuses(t *testing.T) {
	for name, r := range map[string]Rule{
		"nobody":        {Allow: []string{"read"}},
		"nothing":       {Groups: []string{"dev"}},
		"unknown word":  {Groups: []string{"dev"}, Allow: []string{"reed"}},
		"contradiction": {Groups: []string{"dev"}, Allow: []string{"read"}, Deny: []string{"read"}},
		"bad pattern":   {Groups: []string{"dev"}, Allow: []string{"read"}, Resources: []string{"[a"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New([]Rule{r})
			require.Error(t, err)
		})
	}
}

func TestAskAllocatesNothing(t *testing.T) {
	p, err := New([]Rule{{Groups: []string{"dev"}, Allow: []string{"connect", "read"}}})
	require.NoError(t, err)
	h, op := hooks(t, p, "dev"), statement(proxy.EffectRead)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if v := h.Ask(context.Background(), op); v.Refuses() {
			t.Fatal(v.Reason)
		}
	}))
}

func BenchmarkAsk(b *testing.B) {
	p, err := New([]Rule{{Groups: []string{"dev"}, Allow: []string{"connect", "read"}}})
	require.NoError(b, err)
	h, op := hooks(b, p, "dev"), statement(proxy.EffectRead)
	b.ReportAllocs()
	for b.Loop() {
		h.Ask(context.Background(), op)
	}
}

// TestAccess: a request needs the right that its handler says, whatever its method, and denying one right leaves the others.
func TestAccess(t *testing.T) {
	request := func(method string, a proxy.Access) proxy.Op {
		return &proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: method, Action: "x:y", Access: a}
	}
	rights := map[proxy.Access]string{proxy.AccessRead: "read", proxy.AccessWrite: "write", proxy.AccessAdmin: "admin", proxy.AccessExec: "exec"}
	for has, word := range rights {
		p, err := New([]Rule{
			{Groups: []string{"one"}, Allow: []string{"connect", word}},
			{Groups: []string{"but"}, Allow: []string{"all"}},
			{Groups: []string{"but"}, Deny: []string{word}},
		})
		require.NoError(t, err)
		one, but := hooks(t, p, "one"), hooks(t, p, "but")
		for needs, name := range rights {
			for _, method := range []string{"GET", "POST"} {
				v := one.Ask(context.Background(), request(method, needs))
				require.Equal(t, has != needs, v.Refuses(), "%s has %s and needs %s", method, word, name)
				if has != needs {
					require.Contains(t, v.Reason, `"`+name+`"`)
				}
				v = but.Ask(context.Background(), request(method, needs))
				require.Equal(t, has == needs, v.Refuses(), "%s is denied %s and needs %s", method, word, name)
			}
		}
		v := one.Ask(context.Background(), request("GET", proxy.AccessByMethod))
		require.Equal(t, has != proxy.AccessRead, v.Refuses())
		v = one.Ask(context.Background(), request("PUT", proxy.AccessByMethod))
		require.Equal(t, has != proxy.AccessWrite, v.Refuses())
	}
}
