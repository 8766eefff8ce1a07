package opa

import (
	_ "embed"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

//go:embed testdata/rules.rego
var sameRules string

// rules are those of testdata/rules.rego.
func rules(t testing.TB) *policy.Policy {
	t.Helper()
	p, err := policy.New([]policy.Rule{
		{Name: "dev-reads", Groups: []string{"dev"}, Labels: map[string]string{"env": "prod"}, Allow: []string{"connect", "read"}},
		{Name: "dev-writes", Groups: []string{"dev"}, Labels: map[string]string{"env": "test"}, Allow: []string{"connect", "read", "write", "ddl"}},
		{Name: "ops", Groups: []string{"ops"}, Resources: []string{"shop*"}, Allow: []string{"connect", "read", "write", "exec", "file-read"}},
		{Name: "no-truncate", Groups: []string{"*"}, Deny: []string{"truncate", "drop"}},
		{Name: "root", Users: []string{"root"}, Allow: []string{"all"}},
		{Name: "night", Groups: []string{"night"}, When: policy.Condition{Hours: []policy.Hours{{From: 22 * 60, To: 6 * 60}}}, Allow: []string{"connect", "read"}},
		{Name: "agents-read", Groups: []string{"*"}, Kinds: []proxy.IdentityKind{proxy.Agent}, Deny: []string{"write"}},
		{Name: "step-up", Groups: []string{"*"}, Labels: map[string]string{"env": "prod"}, Deny: []string{"delete"}, Unless: policy.Condition{LoginWithin: 15 * time.Minute}},
		{Name: "red", Groups: []string{"*"}, Claims: map[string][]string{"team": {"red"}}, Databases: []string{"red_*"}, Allow: []string{"connect", "read"}},
		{Name: "clerks", Groups: []string{"clerks"}, Allow: []string{"connect", "read"}, Relations: []string{"public.orders", "sales.*"}},
		{Name: "no-hr", Groups: []string{"dev", "ops"}, Deny: []string{"read", "write"}, Relations: []string{"hr.*"}},
	})
	require.NoError(t, err)
	return p
}

// TestRulesAndRegoAgree asks the same rules, written both ways, about every combination of
// users, resources, times and operations.
func TestRulesAndRegoAgree(t *testing.T) {
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	night := noon.Add(11 * time.Hour)
	c := Config{Modules: map[string]string{"rules.rego": sameRules}, Decides: true}
	written := create(t, c)
	identities := []proxy.Identity{
		{Subject: "alice", Groups: []string{"dev"}, AuthTime: noon.Add(-5 * time.Minute)},
		{Subject: "old", Groups: []string{"dev", "ops"}, AuthTime: noon.Add(-15 * time.Minute)},
		{Subject: "unproven", Groups: []string{"ops"}},
		{Subject: "bot", Groups: []string{"dev"}, Kind: proxy.Agent, OnBehalfOf: "alice", AuthTime: noon},
		{Subject: "root", AuthTime: noon},
		{Subject: "owl", Groups: []string{"night"}},
		{Subject: "red", Claims: map[string]string{"team": "red"}},
		{Subject: "clerk", Groups: []string{"clerks"}},
		{Subject: "nobody"},
	}
	targets := []proxy.Target{
		{Resource: &proxy.Resource{Name: "shop", Type: "postgres", Labels: map[string]string{"env": "prod"}}, Database: "shop"},
		{Resource: &proxy.Resource{Name: "shop-test", Type: "postgres", Labels: map[string]string{"env": "test"}}, Database: "red_1"},
		{Resource: &proxy.Resource{Name: "other", Type: "ssh"}},
	}
	st := func(e proxy.Effects, on ...proxy.Relation) func() proxy.Op {
		return func() proxy.Op {
			f := &proxy.Facts{Dialect: "postgres", Statements: 1, Effects: e, Resolved: true, Relations: on}
			if e == proxy.EffectUnknown {
				f.Unknown = "it does not parse"
			}
			return &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Facts: f}
		}
	}
	on := func(schema, name string, e proxy.Effects) proxy.Relation {
		return proxy.Relation{Schema: schema, Name: name, Effects: e}
	}
	const read = proxy.EffectRead
	operations := map[string]func() proxy.Op{
		"connect":              func() proxy.Op { return &proxy.Connect{Meta: proxy.Meta{Kind: proxy.KindConnect}} },
		"SELECT 1":             st(read),
		"SELECT orders":        st(read, on("public", "orders", read)),
		"SELECT sales, orders": st(read, on("sales", "regions", read), on("public", "orders", read)),
		"SELECT hr":            st(read, on("hr", "pay", read), on("public", "orders", read)),
		"INSERT orders":        st(proxy.EffectInsert, on("public", "orders", proxy.EffectInsert)),
		"DELETE orders":        st(proxy.EffectDelete, on("public", "orders", proxy.EffectDelete)),
		"UPDATE from hr":       st(proxy.EffectUpdate|read, on("public", "orders", proxy.EffectUpdate), on("hr", "pay", read)),
		"TRUNCATE":             st(proxy.EffectTruncate, on("public", "orders", proxy.EffectTruncate)),
		"DROP":                 st(proxy.EffectDrop, on("public", "orders", proxy.EffectDrop)),
		"CREATE":               st(proxy.EffectCreate, on("public", "new", proxy.EffectCreate)),
		"BEGIN":                st(proxy.EffectTransaction),
		"SET":                  st(proxy.EffectSet),
		"GRANT":                st(proxy.EffectGrant),
		"call":                 st(read | proxy.EffectCall),
		"not understood":       st(proxy.EffectUnknown),
		"nothing known":        st(0),
		"a name that is unsure": func() proxy.Op {
			op := st(read, on("public", "orders", read))().(*proxy.Statement)
			op.Facts.Unsure = true
			return op
		},
		"no catalog": func() proxy.Op {
			op := st(read, on("public", "orders", read))().(*proxy.Statement)
			op.Facts.Resolved = false
			return op
		},
		"exec":  func() proxy.Op { return &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}} },
		"shell": func() proxy.Op { return &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}} },
		"read file": func() proxy.Op {
			return &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileOpenRead}
		},
		"write file": func() proxy.Op {
			return &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: proxy.FileOpenWrite}
		},
		"forward": func() proxy.Op { return &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}} },
	}
	built := rules(t)
	cases, allowed := 0, 0
	for i := range identities {
		for _, target := range targets {
			for _, now := range []time.Time{noon, night} {
				ask := func(in proxy.Interceptor, op proxy.Op) bool {
					g := &proxy.Gateway{Unrecorded: true, Interceptors: []proxy.Interceptor{proxytest.Allow{}}, Now: func() time.Time { return now }}
					s, connect, err := g.Open(t.Context(), proxy.OpenRequest{Identity: &identities[i], Target: target, Dry: true})
					require.NoError(t, err)
					defer s.Close(nil)
					s.Done(connect, &proxy.Outcome{})
					h, err := in.Intercept(t.Context(), s)
					require.NoError(t, err)
					v := h.Ask(t.Context(), op)
					require.NotEqual(t, proxy.CauseInternal, v.Cause, v.Reason)
					return !v.Refuses()
				}
				for name, op := range operations {
					a, b := ask(built, op()), ask(written, op())
					require.Equal(t, a, b, "%s at %s, %s, %s", identities[i].Subject, target, now, name)
					cases++
					if a {
						allowed++
					}
				}
			}
		}
	}
	require.Greater(t, cases, 1000)
	require.Greater(t, allowed, 200, fmt.Sprint(allowed))
}
