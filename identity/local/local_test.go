package local

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/identity/totp"
	"github.com/sallyport/sallyport/proxy"
)

const (
	first = "wonder"
	own   = "correct horse battery"
)

// broken are documents of a store that does not answer.
type broken struct{ identity.Documents }

func (broken) Get(context.Context, string, string) (identity.Document, error) {
	return identity.Document{}, proxy.ErrUnavailable
}

type world struct {
	*Credentials
	users *identity.Users
	docs  *identity.Memory
	said  []string // of changes
}

func newWorld(t *testing.T, alone ...string) *world {
	s, err := identity.NewSealer(nil)
	require.NoError(t, err)
	w := &world{docs: &identity.Memory{}}
	w.Credentials = &Credentials{
		Documents: w.docs, Sealer: s, Codes: &totp.Codes{Documents: w.docs, Sealer: s, Issuer: "Shop"},
		Changed: func(c identity.Change) { w.said = append(w.said, c.Subject) },
	}
	v, err := identity.NewVerifier(first)
	require.NoError(t, err)
	w.users, err = identity.NewUsers([]identity.User{
		{Name: "alice", Password: v},
		{Name: "bob", Password: v, Hash: identity.NewHash(first)},
		{Name: "hashed", Hash: identity.NewHash(first)},
		{Name: "keyed", SSHKeys: []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGLs0j4uyGVIoxyoP0KUBIXwPxJtqUsqAkZkFV6rMRpX"}},
	})
	require.NoError(t, err)
	w.users.Owner, w.users.PasswordAlone = w.Credentials, alone
	return w
}

func (w *world) choose(t *testing.T, name, before, password string) error {
	u, ok := w.users.Lookup(name)
	require.True(t, ok)
	return w.Choose(t.Context(), u, before, proxy.NewSecret(password))
}

func (w *world) password(t *testing.T, name, password string) (*proxy.Identity, error) {
	return w.users.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodPassword, User: name, Password: proxy.NewSecret(password), Protocol: "ssh"})
}

// enrol sets up a second factor, and returns its recovery codes.
func (w *world) enrol(t *testing.T, name string) []proxy.Secret {
	address, err := w.Codes.Enroll(t.Context(), name, name)
	require.NoError(t, err)
	codes, err := w.Confirm(t.Context(), name, identitytest.NewApp(t, address.Reveal()).Code(time.Now()))
	require.NoError(t, err)
	return codes
}

// TestChoose: what somebody has chosen takes the place of her definition's password, in the ways
// that this can be used.
func TestChoose(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"alice", "bob", "hashed"} {
		require.NoError(t, w.choose(t, name, "", own))
		_, err := w.password(t, name, first)
		require.ErrorIs(t, err, proxy.ErrUnauthenticated)
		id, err := w.password(t, name, own)
		require.NoError(t, err)
		require.NotEmpty(t, id.Claims[identity.ClaimPassword])
		verifier, ok, err := w.users.Verifier(t.Context(), name)
		require.True(t, ok)
		require.NoError(t, err)
		id, err = w.users.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodSCRAM, User: name, Verifier: verifier})
		require.Equal(t, name != "hashed", err == nil, "SCRAM proves who has a verifier in the file")
		if err == nil {
			require.ErrorIs(t, w.choose(t, name, "", own+" staple"), ErrChanged, "by the password before the last")
			require.NoError(t, w.choose(t, name, id.Claims[identity.ClaimPassword], own+" staple"))
			_, err = w.users.Refresh(t.Context(), id)
			require.ErrorContains(t, err, "has changed", "sessions by the password before end")
		}
	}
	require.ErrorIs(t, w.choose(t, "keyed", "", own), ErrNoPassword)
	require.Equal(t, []string{"alice", "alice", "bob", "bob", "hashed"}, w.said)
	docs, err := w.docs.List(t.Context(), Kind, "", 10)
	require.NoError(t, err)
	for _, d := range docs {
		for _, part := range []string{own, "argon2id", "SCRAM"} {
			require.NotContains(t, string(d.Body), part, "choices are sealed")
		}
	}
}

// TestChooseRace: of several that change a password at once by the same one, one does.
func TestChooseRace(t *testing.T) {
	w := newWorld(t)
	u, _ := w.users.Lookup("alice")
	w.Changed = nil
	var wg sync.WaitGroup
	done := make(chan error, 4)
	for i := range cap(done) {
		wg.Go(func() { done <- w.Choose(t.Context(), u, "", proxy.NewSecret(own+strings.Repeat("x", i))) })
	}
	wg.Wait()
	close(done)
	chosen := 0
	for err := range done {
		if err == nil {
			chosen++
		} else {
			require.ErrorIs(t, err, ErrChanged)
		}
	}
	require.Equal(t, 1, chosen)
}

// TestMoved: what was chosen by one user proves no other.
func TestMoved(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.choose(t, "alice", "", own))
	d, err := w.docs.Get(t.Context(), Kind, Document("alice"))
	require.NoError(t, err)
	d.Name, d.Version = Document("bob"), 0
	_, err = w.docs.Write(t.Context(), Kind, d)
	require.NoError(t, err)
	_, err = w.password(t, "bob", own)
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	require.ErrorIs(t, err, identity.ErrSealed)
}

// TestFactorAlone: of somebody who has a second factor a password proves nothing where no code can
// be given, unless it is said to. What a client sees is that no password fits.
func TestFactorAlone(t *testing.T) {
	w := newWorld(t)
	session, err := w.password(t, "alice", first)
	require.NoError(t, err)
	before, _, err := w.users.Verifier(t.Context(), "alice")
	require.NoError(t, err)
	codes := w.enrol(t, "alice")
	_, err = w.docs.Get(t.Context(), totp.Kind, Document("alice"))
	require.NoError(t, err, "gateways see by the name whose it is")
	_, err = w.password(t, "alice", first)
	require.ErrorIs(t, err, identity.ErrFactor)
	_, err = w.password(t, "alice", "wrong")
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	require.NotErrorIs(t, err, identity.ErrFactor)
	after, ok, err := w.users.Verifier(t.Context(), "alice")
	require.True(t, ok)
	require.ErrorIs(t, err, identity.ErrFactor)
	require.Equal(t, strings.Split(before, "$")[:2], strings.Split(after, "$")[:2], "it looks as before")
	for _, verifier := range []string{before, after} {
		_, err = w.users.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodSCRAM, User: "alice", Verifier: verifier, Protocol: "postgres"})
		require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	}
	_, err = w.users.Refresh(t.Context(), session)
	require.ErrorContains(t, err, "second factor", "sessions by the password alone end")
	id, err := w.users.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodPassword, User: "alice", Password: proxy.NewSecret(first), Code: codes[0], Protocol: "ssh"})
	require.NoError(t, err)
	require.Equal(t, identity.MethodsFactor, id.Claims[identity.ClaimMethods])
	again, err := w.users.Refresh(t.Context(), id)
	require.NoError(t, err)
	require.Same(t, id, again)

	w = newWorld(t, "ssh")
	w.enrol(t, "alice")
	_, err = w.password(t, "alice", first)
	require.NoError(t, err)
	for _, protocol := range []string{"", "api", "control", "postgres"} {
		_, err := w.users.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodPassword, User: "alice", Password: proxy.NewSecret(first), Protocol: protocol})
		require.ErrorIs(t, err, identity.ErrFactor, protocol)
	}
}

// TestStoreDown: when it cannot be told what somebody has set up, no password proves anybody, and
// sessions go on.
func TestStoreDown(t *testing.T) {
	w := newWorld(t)
	id, err := w.password(t, "alice", first)
	require.NoError(t, err)
	w.Documents = broken{w.docs}
	for _, name := range []string{"alice", "nobody"} {
		_, err = w.password(t, name, first)
		require.ErrorIs(t, err, proxy.ErrUnauthenticated)
		require.ErrorIs(t, err, proxy.ErrUnavailable)
		_, _, err = w.users.Verifier(t.Context(), name)
		require.ErrorIs(t, err, proxy.ErrUnavailable)
	}
	_, err = w.users.Refresh(t.Context(), id)
	require.ErrorIs(t, err, proxy.ErrUnavailable)
	_, err = w.Drop(t.Context(), w.users)
	require.True(t, errors.Is(err, proxy.ErrUnavailable))
}

// TestConformance: users with an owner prove themselves as others do.
func TestConformance(t *testing.T) {
	right := proxy.Proof{Method: proxy.MethodPassword, User: "alice", Password: proxy.NewSecret(own)}
	wrong, unknown, other := right, right, right
	wrong.Password, unknown.User, unknown.Password, other.User = proxy.NewSecret("x"), "nobody", proxy.NewSecret("x"), "bob"
	identitytest.TestAuthenticator(t, func(t *testing.T) proxy.Authenticator {
		w := newWorld(t)
		require.NoError(t, w.choose(t, "alice", "", own))
		return w.users
	}, identitytest.Proofs{Right: right, Wrong: wrong, Unknown: unknown, Other: other})
}
