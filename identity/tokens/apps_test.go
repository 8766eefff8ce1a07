package tokens

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return hex.EncodeToString(sum[:])
}

// TestApps: a session is known at an application by a code that counts once, and as long as the session goes on.
func TestApps(t *testing.T) {
	ctx, clock := t.Context(), time.Now()
	s := &Sessions{Documents: &identity.Memory{}, Now: func() time.Time { return clock }, Changed: func(identity.Change) {}}
	a := &Apps{Sessions: s}
	login, _, err := s.Start(ctx, &proxy.Identity{Subject: "alice", Groups: []string{"dev"}})
	require.NoError(t, err)
	enter := func(app string) proxy.Secret {
		t.Helper()
		code, err := a.Code(ctx, login, app, challengeOf("v"))
		require.NoError(t, err)
		require.Regexp(t, Pattern(), code)
		secret, expires, err := a.Redeem(ctx, app, code, "v")
		require.NoError(t, err)
		require.True(t, expires.After(clock))
		_, _, err = a.Redeem(ctx, app, code, "v")
		require.ErrorIs(t, err, ErrNoCode, "twice")
		return secret
	}
	wiki, crm := enter("wiki"), enter("crm")
	require.Regexp(t, Pattern(), wiki.Reveal())
	id, err := a.Find(ctx, "wiki", wiki)
	require.NoError(t, err)
	require.Equal(t, "alice", id.Subject)

	for name, try := range map[string]func() error{
		"at another application":     func() error { _, err := a.Find(ctx, "crm", wiki); return err },
		"the login's secret":         func() error { _, err := a.Find(ctx, "wiki", login); return err },
		"as the secret of the login": func() error { _, err := s.Find(ctx, wiki); return err },
		"nothing":                    func() error { _, err := a.Find(ctx, "wiki", proxy.Secret{}); return err },
		"a code that nobody gave":    func() error { _, _, err := a.Redeem(ctx, "wiki", newSecret(AppPrefix), "v"); return err },
		"a secret as a code":         func() error { _, _, err := a.Redeem(ctx, "wiki", wiki.Reveal(), "v"); return err },
	} {
		require.ErrorIs(t, try(), proxy.ErrUnauthenticated, name)
	}
	for name, c := range map[string]struct {
		app, verifier string
		late          time.Duration
	}{
		"another application": {"crm", "v", 0}, "another verifier": {"wiki", "w", 0}, "late": {"wiki", "v", CodeLife},
	} {
		code, err := a.Code(ctx, login, "wiki", challengeOf("v"))
		require.NoError(t, err)
		was := clock
		clock = clock.Add(c.late)
		_, _, err = a.Redeem(ctx, c.app, code, c.verifier)
		require.ErrorIs(t, err, ErrNoCode, name)
		clock = was
		_, _, err = a.Redeem(ctx, "wiki", code, "v")
		require.ErrorIs(t, err, ErrNoCode, "%s: it counts no more", name)
	}
	_, err = a.Code(ctx, login, "wiki", "short")
	require.Error(t, err)
	_, err = a.Code(ctx, wiki, "wiki", challengeOf("v"))
	require.ErrorIs(t, err, proxy.ErrUnauthenticated, "an application's secret gives no codes")

	// Its use is one of the session.
	for range 3 {
		clock = clock.Add(DefaultIdle * 3 / 4)
		_, err = a.Find(ctx, "wiki", wiki)
		require.NoError(t, err)
	}
	_, err = s.Look(ctx, login)
	require.NoError(t, err)

	require.NoError(t, a.End(ctx, "crm", wiki), "another application ends nothing")
	_, err = a.Find(ctx, "wiki", wiki)
	require.NoError(t, err)
	require.NoError(t, a.End(ctx, "wiki", wiki))
	_, err = a.Find(ctx, "wiki", wiki)
	require.ErrorIs(t, err, ErrNoSession)
	_, err = a.Find(ctx, "crm", crm)
	require.NoError(t, err)
	_, err = s.End(ctx, login)
	require.NoError(t, err)
	_, err = a.Find(ctx, "crm", crm)
	require.ErrorIs(t, err, ErrNoSession, "the login has ended")
	clock = clock.Add(DefaultSessionLife)
	require.NoError(t, a.Sweep(ctx))
	for _, kind := range []string{KindApp, KindAppCode} {
		require.NoError(t, identity.All(ctx, s.Documents, kind, func(d identity.Document) bool {
			t.Errorf("%s %s is kept", kind, d.Name)
			return true
		}))
	}
}
