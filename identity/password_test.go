package identity

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// vector is the hash of "password" with the salt "somesalt", as the reference
// implementation's tests have it.
const vector = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"

func TestHash(t *testing.T) {
	h, err := parseHash(vector)
	require.NoError(t, err)
	ok, err := h.matches(t.Context(), "password")
	require.NoError(t, err)
	require.True(t, ok)
	ok, err = h.matches(t.Context(), "Password")
	require.NoError(t, err)
	require.False(t, ok)

	fresh := NewHash("correct horse")
	require.NotEqual(t, fresh, NewHash("correct horse"))
	h, err = parseHash(fresh)
	require.NoError(t, err)
	ok, err = h.matches(t.Context(), "correct horse")
	require.NoError(t, err)
	require.True(t, ok)
	for range cap(hashing) {
		hashing <- struct{}{}
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	_, err = h.matches(ended, "correct horse")
	require.ErrorIs(t, err, context.Canceled, "nobody waits for ever")
	for range cap(hashing) {
		<-hashing
	}

	for _, bad := range []string{
		"", "password", strings.Replace(vector, "argon2id", "argon2i", 1), strings.Replace(vector, "v=19", "v=16", 1), strings.Replace(vector, "m=256", "m=1", 1),
		strings.Replace(vector, "m=256", "m=4000000", 1), strings.Replace(vector, "t=2", "t=0", 1), strings.Replace(vector, "t=2", "t=1000", 1),
		strings.Replace(vector, "p=1", "p=0", 1), strings.Replace(vector, "p=1", "p=255", 1), strings.Replace(vector, "p=1", "p=1 ", 1), strings.Replace(vector, "m=256", "m=-1", 1),
		strings.Replace(vector, "c29tZXNhbHQ", "", 1), strings.Replace(vector, "c29tZXNhbHQ", "%%", 1), vector[:len(vector)-30], vector + "$", vector + strings.Repeat("A", 600),
	} {
		_, err := parseHash(bad)
		require.ErrorIs(t, err, errHash, bad)
	}
	_, err = NewUsers([]User{{Name: "alice", Hash: "x"}})
	require.ErrorContains(t, err, "argon2id")
	require.NotContains(t, fmt.Sprint(err), "\"x\"")
}

// TestUsersThatMay: who is disabled or has expired cannot log in, by any proof, and
// does not go on.
func TestUsersThatMay(t *testing.T) {
	verifier, err := NewVerifier("p")
	require.NoError(t, err)
	soon := time.Now().Add(time.Hour)
	for _, c := range []struct {
		name string
		user User
		want bool
	}{
		{"plain", User{}, true},
		{"disabled", User{Disabled: true}, false},
		{"expired", User{Expires: time.Now().Add(-time.Second)}, false},
		{"expires", User{Expires: soon, Email: "alice@example.com"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.user.Name, c.user.Password = "alice", verifier
			u, err := NewUsers([]User{c.user})
			require.NoError(t, err)
			for _, p := range []proxy.Proof{
				{Method: proxy.MethodPassword, User: "alice", Password: proxy.NewSecret("p")}, {Method: proxy.MethodSCRAM, User: "alice", Verifier: verifier},
			} {
				id, err := u.Authenticate(t.Context(), p)
				if !c.want {
					require.ErrorIs(t, err, proxy.ErrUnauthenticated)
					continue
				}
				require.NoError(t, err)
				require.True(t, id.Expires.Equal(c.user.Expires))
				require.Equal(t, c.user.Email, id.Claims["email"])
			}
			_, err = u.Refresh(t.Context(), &proxy.Identity{Subject: "alice"})
			require.Equal(t, c.want, err == nil)
		})
	}
}

// TestHashDecides: a password is right by the hash, where there is one.
func TestHashDecides(t *testing.T) {
	verifier, err := NewVerifier("scram")
	require.NoError(t, err)
	u, err := NewUsers([]User{{Name: "both", Password: verifier, Hash: NewHash("hash")}, {Name: "hash", Hash: NewHash("hash")}, {Name: "scram", Password: verifier}, {Name: "none"}})
	require.NoError(t, err)
	for user, want := range map[string]string{"both": "hash", "hash": "hash", "scram": "scram", "none": "", "nobody": ""} {
		for _, password := range []string{"hash", "scram", "", strings.Repeat("\x00", 16)} {
			_, err := u.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodPassword, User: user, Password: proxy.NewSecret(password)})
			require.Equal(t, want == password && want != "", err == nil, "%s by %q", user, password)
		}
	}
}
