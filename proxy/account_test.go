package proxy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// anybody allows everything.
type anybody struct{}

func (anybody) Name() string { return "anybody" }

func (anybody) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(context.Context, proxy.Op) proxy.Verdict { return proxy.Allow("anybody") }}, nil
}

func TestPersonalAccounts(t *testing.T) {
	vm := &proxy.Resource{Name: "vm", Reserved: []string{"root", "boss"}}
	shared, own := proxy.Account{Name: "app", Username: "app"}, proxy.Account{Name: "own", Username: proxy.AccountUser}
	got, err := vm.For(&proxy.Identity{Subject: "entra/alice"}, shared)
	require.NoError(t, err)
	require.Equal(t, shared, got)
	for subject, want := range map[string]string{
		"alice": "alice", "entra/alice": "alice", "entra/al.ice-2": "al.ice-2", "entra/7f3a": "", "Alice": "", "root": "", "entra/root": "", "entra/boss": "",
		"": "", "entra/": "", "a": "", "al ice": "", "-o": "", "entra/../root": "", "entra/alice/root": "", "alice\n": "", "älice": "", "alice.": "", "alice-": "",
		"entra/" + strings.Repeat("a", 32): strings.Repeat("a", 32), "entra/" + strings.Repeat("a", 33): "",
	} {
		got, err := vm.For(&proxy.Identity{Subject: subject}, own)
		require.Equal(t, want == "", err != nil, subject)
		require.Equal(t, want, got.Username, subject)
		if want == "" {
			require.Empty(t, got, "nothing of it can be used")
		}
	}
}

// TestPersonalSessions: the session's account is the person's from the beginning on, also over revisions.
func TestPersonalSessions(t *testing.T) {
	vm := &proxy.Resource{Name: "vm", Type: "ssh", Accounts: []proxy.Account{{Name: "own", Username: proxy.AccountUser, Secret: "env:X"}}, Reserved: []string{"root"}}
	revision := func(accounts ...proxy.Account) *proxy.Revision {
		r := *vm
		r.Accounts = accounts
		return &proxy.Revision{Interceptors: []proxy.Interceptor{anybody{}}, Directory: proxy.Resources{&r}}
	}
	g := &proxy.Gateway{}
	require.NoError(t, g.Use(revision(vm.Accounts...)))
	_, _, err := g.Open(context.Background(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "root"}, Target: proxy.Target{Resource: vm}})
	require.ErrorContains(t, err, `"root" cannot be the name of one`)
	s, op, err := g.Open(context.Background(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "dev/alice"}, Target: proxy.Target{Resource: vm}})
	require.NoError(t, err)
	require.Equal(t, "alice", op.Target.Account.Username)
	require.Equal(t, "alice", s.Target.Account.Username)
	cred, err := s.Credential(context.Background(), false)
	require.NoError(t, err)
	require.Equal(t, "alice", cred.Username)
	s.Done(op, &proxy.Outcome{})
	require.NoError(t, g.Use(revision(vm.Accounts...)))
	require.NoError(t, s.Err(), "the account is the same")
	require.NoError(t, g.Use(revision(proxy.Account{Name: "own", Username: "app"})))
	require.Eventually(t, func() bool { return s.Err() != nil }, 10*time.Second, time.Millisecond, "the account is another")
}
