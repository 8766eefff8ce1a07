package identitytest_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/proxy"
)

func password(user, text string) proxy.Proof {
	return proxy.Proof{Method: proxy.MethodPassword, User: user, Password: proxy.NewSecret(text)}
}

func TestLocalUsers(t *testing.T) {
	verifier, err := identity.NewVerifier("correct horse")
	require.NoError(t, err)
	other, err := identity.NewVerifier("battery staple")
	require.NoError(t, err)
	scram := func(user, v string) proxy.Proof {
		return proxy.Proof{Method: proxy.MethodSCRAM, User: user, Verifier: v}
	}
	identitytest.TestAuthenticator(t, func(t *testing.T) proxy.Authenticator {
		u, err := identity.NewUsers([]identity.User{{Name: "alice", Password: verifier}, {Name: "bob", Password: other}, {Name: "carol"}, {Name: "dave", Hash: identity.NewHash("tr0ub4dor")}})
		require.NoError(t, err)
		return u
	}, identitytest.Proofs{
		Right: password("alice", "correct horse"), Wrong: password("alice", "wrong"), Unknown: password("nobody", "wrong"), Other: password("bob", "correct horse"),
	}, identitytest.Proofs{
		Right: password("dave", "tr0ub4dor"), Wrong: password("dave", "wrong"), Unknown: password("nobody", "wrong"), Other: password("alice", "tr0ub4dor"),
	}, identitytest.Proofs{
		Right: scram("alice", verifier), Wrong: scram("alice", other), Unknown: scram("nobody", other), Other: scram("bob", verifier),
	})
}

// users is a refresher whose users change.
type users struct{ list []identity.User }

func (u *users) Refresh(t *testing.T) proxy.Refresher {
	now, err := identity.NewUsers(u.list)
	require.NoError(t, err)
	return now
}

func TestLocalRefresh(t *testing.T) {
	u := &users{[]identity.User{{Name: "alice", Groups: []string{"staff"}}, {Name: "bob"}}}
	r := &refresher{}
	r.now = u.Refresh(t)
	identitytest.TestRefresher(t, r, identitytest.Refreshing{
		Identity: &proxy.Identity{Subject: "alice", Groups: []string{"staff"}, Method: proxy.MethodPassword},
		Groups:   func(t *testing.T, groups ...string) { u.list[0].Groups = groups; r.now = u.Refresh(t) },
		Remove:   func(t *testing.T) { u.list = u.list[1:]; r.now = u.Refresh(t) },
	})
}

// refresher asks the users that there are now.
type refresher struct{ now proxy.Refresher }

func (r *refresher) Refresh(ctx context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	return r.now.Refresh(ctx, id)
}

func TestMemory(t *testing.T) {
	identitytest.TestDocuments(t, func(*testing.T) identity.Documents { return &identity.Memory{} })
}
