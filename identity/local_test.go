package identity

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

const aliceKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGLs0j4uyGVIoxyoP0KUBIXwPxJtqUsqAkZkFV6rMRpX alice@laptop"

func testUsers(t *testing.T) (*Users, string) {
	t.Helper()
	v, err := NewVerifier("wonder")
	require.NoError(t, err)
	u, err := NewUsers([]User{{Name: "alice", Groups: []string{"dev"}, Password: v, SSHKeys: []string{aliceKey}}, {Name: "keyless"}})
	require.NoError(t, err)
	return u, v
}

func TestUsersAuthenticate(t *testing.T) {
	u, v := testUsers(t)
	key, err := ParseSSHKey(aliceKey)
	require.NoError(t, err)
	other, _, _ := u.Verifier(context.Background(), "nobody")
	for name, c := range map[string]struct {
		proof proxy.Proof
		ok    bool
	}{
		"scram":                       {proxy.Proof{Method: proxy.MethodSCRAM, User: "alice", Verifier: v}, true},
		"scram against another":       {proxy.Proof{Method: proxy.MethodSCRAM, User: "alice", Verifier: other}, false},
		"scram of an unknown user":    {proxy.Proof{Method: proxy.MethodSCRAM, User: "nobody", Verifier: other}, false},
		"scram without a password":    {proxy.Proof{Method: proxy.MethodSCRAM, User: "keyless"}, false},
		"password":                    {proxy.Proof{Method: proxy.MethodPassword, User: "alice", Password: proxy.NewSecret("wonder")}, true},
		"wrong password":              {proxy.Proof{Method: proxy.MethodPassword, User: "alice", Password: proxy.NewSecret("wonde")}, false},
		"empty password":              {proxy.Proof{Method: proxy.MethodPassword, User: "alice"}, false},
		"password of a keyless user":  {proxy.Proof{Method: proxy.MethodPassword, User: "keyless"}, false},
		"password of an unknown user": {proxy.Proof{Method: proxy.MethodPassword, User: "nobody"}, false},
		"public key":                  {proxy.Proof{Method: proxy.MethodPublicKey, User: "alice", PublicKey: key}, true},
		"another's public key":        {proxy.Proof{Method: proxy.MethodPublicKey, User: "keyless", PublicKey: key}, false},
		"public key of nobody":        {proxy.Proof{Method: proxy.MethodPublicKey, User: "nobody", PublicKey: key}, false},
		"no public key":               {proxy.Proof{Method: proxy.MethodPublicKey, User: "alice"}, false},
		"a certificate, not knowing":  {proxy.Proof{Method: proxy.MethodCertificate, User: "alice"}, false},
		"no method":                   {proxy.Proof{User: "alice"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := u.Authenticate(context.Background(), c.proof)
			if !c.ok {
				require.ErrorIs(t, err, proxy.ErrUnauthenticated)
				require.Nil(t, id)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "alice", id.Subject)
			require.Equal(t, []string{"dev"}, id.Groups)
		})
	}
}

func TestRefresh(t *testing.T) {
	u, _ := testUsers(t)
	was := &proxy.Identity{Subject: "alice", Groups: []string{"ops"}, Method: proxy.MethodPublicKey}
	now, err := u.Refresh(t.Context(), was)
	require.NoError(t, err)
	require.Equal(t, &proxy.Identity{Subject: "alice", Groups: []string{"dev"}, Method: proxy.MethodPublicKey}, now)
	require.Equal(t, []string{"ops"}, was.Groups)
	again, err := u.Refresh(t.Context(), now)
	require.NoError(t, err)
	require.Same(t, now, again)
	_, err = u.Refresh(t.Context(), &proxy.Identity{Subject: "nobody"})
	require.ErrorContains(t, err, "nobody is not known")
	_, err = u.Refresh(t.Context(), &proxy.Identity{Subject: "alice", Kind: proxy.Agent, OnBehalfOf: "bob"})
	require.ErrorContains(t, err, "alice has changed")
}

// A new revision of the users does not tell which names are made up.
func TestReplace(t *testing.T) {
	before, _ := testUsers(t)
	after, _ := testUsers(t)
	was, _, err := before.Verifier(t.Context(), "nobody")
	require.NoError(t, err)
	now, _, err := after.Verifier(t.Context(), "nobody")
	require.NoError(t, err)
	require.NotEqual(t, was, now)
	after.Replace(before)
	now, _, err = after.Verifier(t.Context(), "nobody")
	require.NoError(t, err)
	require.Equal(t, was, now)
}

func TestUnknownUsersLookLikeKnownOnes(t *testing.T) {
	u, _ := testUsers(t)
	for _, name := range []string{"nobody", "keyless"} {
		a, ok, err := u.Verifier(context.Background(), name)
		require.NoError(t, err)
		require.True(t, ok)
		b, _, _ := u.Verifier(context.Background(), name)
		require.Equal(t, a, b, "the same salt each time")
		require.Regexp(t, `^SCRAM-SHA-256\$4096:`, a)
	}
}

func TestNewUsersRefuses(t *testing.T) {
	for name, users := range map[string][]User{
		"a plus sign":    {{Name: "a+b"}},
		"no name":        {{}},
		"a space":        {{Name: "a b"}},
		"twice":          {{Name: "a"}, {Name: "a"}},
		"clear password": {{Name: "a", Password: "secret"}},
		"broken key":     {{Name: "a", SSHKeys: []string{"ssh-ed25519 AAAA"}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewUsers(users)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

// TestValidName: a name looks like itself.
func TestValidName(t *testing.T) {
	for _, name := range []string{"alice", "alice@example.com", "o'neil", "Jürgen", "李雷", "می\u200cخواهم", "a.b-c_d~e:f"} {
		require.NoError(t, ValidName(name), name)
	}
	for _, name := range []string{
		"", strings.Repeat("a", 129), "a b", "a+b", "a/b", "a\tb", "a\x7fb", "a\u0085b", "a\u00a0b", "a\u2028b", "a\u3000b",
		"a\u202eb", "a\u200fb", "a\u2066b", "a\u200bb", "a\u00adb", "a\u2060b", "a\ufeffb", "a\xffb",
	} {
		require.Error(t, ValidName(name), "%q", name)
	}
}
