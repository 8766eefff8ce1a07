package totp

import (
	"encoding/base32"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// TestVectors: RFC 6238, appendix B, for SHA-1; its codes have eight digits, of which
// these are the last six.
func TestVectors(t *testing.T) {
	key := []byte("12345678901234567890")
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		require.Equal(t, want, code(key, uint64(at/period)), "%d", at)
	}
}

type world struct {
	*Codes
	docs  *identity.Memory
	clock time.Time
}

func newWorld(t *testing.T) *world {
	s, err := identity.NewSealer(nil)
	require.NoError(t, err)
	w := &world{docs: &identity.Memory{}, clock: time.Unix(1_800_000_000, 0)}
	w.Codes = &Codes{Documents: w.docs, Sealer: s, Issuer: "Sallyport", Now: func() time.Time { return w.clock }}
	return w
}

// enroll returns what the app knows.
func (w *world) enroll(t *testing.T, subject string) func(steps int) string {
	address, err := w.Enroll(t.Context(), subject, "alice")
	require.NoError(t, err)
	u, err := url.Parse(address.Reveal())
	require.NoError(t, err)
	require.Equal(t, "otpauth", u.Scheme)
	require.Equal(t, "/Sallyport:alice", u.Path)
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	require.NoError(t, err)
	require.Len(t, key, keyBytes)
	return func(steps int) string { return code(key, uint64(w.clock.Unix()/period+int64(steps))) }
}

// confirm has the key of enroll count, and returns the recovery codes.
func (w *world) confirm(t *testing.T, subject, code string) []proxy.Secret {
	codes, err := w.Confirm(t.Context(), subject, code)
	require.NoError(t, err)
	return codes
}

func TestCodes(t *testing.T) {
	w := newWorld(t)
	require.ErrorIs(t, w.Verify(t.Context(), "alice", "000000"), ErrNotEnrolled)
	app := w.enroll(t, "alice")
	require.ErrorIs(t, w.Verify(t.Context(), "alice", app(0)), ErrNotEnrolled, "it is not confirmed")
	w.confirm(t, "alice", app(0))
	_, err := w.Confirm(t.Context(), "alice", app(1))
	require.ErrorIs(t, err, ErrNotEnrolled)
	_, err = w.Enroll(t.Context(), "alice", "alice")
	require.Error(t, err, "who has her session cannot replace it")
	on, err := w.Enrolled(t.Context(), "alice")
	require.NoError(t, err)
	require.True(t, on)

	require.ErrorIs(t, w.Verify(t.Context(), "alice", app(0)), ErrWrong, "it was used")
	require.NoError(t, w.Verify(t.Context(), "alice", app(1)), "the phone is ahead")
	w.clock = w.clock.Add(2 * period * time.Second)
	require.NoError(t, w.Verify(t.Context(), "alice", app(0)))
	require.ErrorIs(t, w.Verify(t.Context(), "alice", app(-1)), ErrWrong, "before the one that counted")
	w.clock = w.clock.Add(3 * period * time.Second)
	require.NoError(t, w.Verify(t.Context(), "alice", app(-1)), "the phone is slow")
	w.clock = w.clock.Add(3 * period * time.Second)
	for _, text := range []string{app(-2), app(2), "", "0", " " + app(0), app(0) + "0"} {
		require.ErrorIs(t, w.Verify(t.Context(), "alice", text), proxy.ErrUnauthenticated)
	}

	other := w.enroll(t, "bob")
	w.confirm(t, "bob", other(0))
	d, err := w.docs.Get(t.Context(), Kind, name("bob"))
	require.NoError(t, err)
	victim, err := w.docs.Get(t.Context(), Kind, name("alice"))
	require.NoError(t, err)
	d.Name, d.Version = victim.Name, victim.Version
	_, err = w.docs.Write(t.Context(), Kind, d)
	require.NoError(t, err)
	require.ErrorIs(t, w.Verify(t.Context(), "alice", other(1)), identity.ErrSealed, "another's key is not moved")
	require.NoError(t, w.Remove(t.Context(), "alice"))
	require.ErrorIs(t, w.Remove(t.Context(), "alice"), identity.ErrNoDocument)
}

// TestGuessing: guesses are looked at seldom, and setting up anew gives no more.
func TestGuessing(t *testing.T) {
	w := newWorld(t)
	app := w.enroll(t, "alice")
	w.confirm(t, "alice", app(0))
	wrong := app(50)
	looked := 0
	begun := w.clock
	for w.clock.Sub(begun) < 24*time.Hour {
		switch err := w.Verify(t.Context(), "alice", wrong); err {
		case ErrWrong:
			looked++
		case ErrWait:
			w.clock = w.clock.Add(10 * time.Second)
		default:
			require.NoError(t, err)
		}
	}
	require.Less(t, looked, 110)
	require.ErrorIs(t, w.Verify(t.Context(), "alice", app(0)), ErrWait, "the right one waits too")
	w.clock = w.clock.Add(maxWait)
	require.NoError(t, w.Verify(t.Context(), "alice", app(0)))

	w.enroll(t, "carol")
	for range freeFailures + 1 {
		_, err := w.Confirm(t.Context(), "carol", "x")
		require.ErrorIs(t, err, ErrWrong)
	}
	again := w.enroll(t, "carol")
	_, err := w.Confirm(t.Context(), "carol", again(0))
	require.ErrorIs(t, err, ErrWait)
}

// TestOnce: of several that use one code at once, it counts for one.
func TestOnce(t *testing.T) {
	w := newWorld(t)
	app := w.enroll(t, "alice")
	w.confirm(t, "alice", app(0))
	w.clock = w.clock.Add(period * time.Second)
	text := app(0)
	var wg sync.WaitGroup
	right := make(chan bool, 16)
	for range 16 {
		wg.Go(func() {
			if w.Verify(t.Context(), "alice", text) == nil {
				right <- true
			}
		})
	}
	wg.Wait()
	require.Len(t, right, 1)
}

// TestRecovery: a recovery code counts once, in the place of one of the app, and is kept as a
// hash.
func TestRecovery(t *testing.T) {
	w := newWorld(t)
	app := w.enroll(t, "alice")
	codes := w.confirm(t, "alice", app(0))
	require.Len(t, codes, recoveryCodes)
	d, err := w.docs.Get(t.Context(), Kind, name("alice"))
	require.NoError(t, err)
	for _, c := range codes {
		require.NotContains(t, string(d.Body), c.Reveal())
	}
	require.NoError(t, w.Verify(t.Context(), "alice", codes[3].Reveal()))
	require.ErrorIs(t, w.Verify(t.Context(), "alice", codes[3].Reveal()), ErrWrong, "it was used")
	require.NoError(t, w.Verify(t.Context(), "alice", strings.ToUpper(strings.ReplaceAll(codes[4].Reveal(), "-", ""))), "as people type it")
	require.ErrorIs(t, w.Verify(t.Context(), "alice", ""), ErrWrong)
	s, err := w.Status(t.Context(), "alice")
	require.NoError(t, err)
	require.Equal(t, recoveryCodes-2, s.Recovery)

	bobs := w.confirm(t, "bob", w.enroll(t, "bob")(0))
	require.ErrorIs(t, w.Verify(t.Context(), "alice", bobs[0].Reveal()), ErrWrong, "another's")
	others, err := w.Recover(t.Context(), "alice")
	require.NoError(t, err)
	require.Len(t, others, recoveryCodes)
	require.ErrorIs(t, w.Verify(t.Context(), "alice", codes[5].Reveal()), ErrWrong, "others took its place")
	require.NoError(t, w.Verify(t.Context(), "alice", others[0].Reveal()))
	require.NoError(t, w.Remove(t.Context(), "alice"))
	require.ErrorIs(t, w.Verify(t.Context(), "alice", others[1].Reveal()), ErrNotEnrolled)
	_, err = w.Recover(t.Context(), "alice")
	require.ErrorIs(t, err, ErrNotEnrolled)
}

// TestConfirmInTime: a key that was shown some time ago is not confirmed any more.
func TestConfirmInTime(t *testing.T) {
	w := newWorld(t)
	app := w.enroll(t, "alice")
	w.clock = w.clock.Add(confirmWithin)
	_, err := w.Confirm(t.Context(), "alice", app(0))
	require.ErrorIs(t, err, ErrNotEnrolled)
	app = w.enroll(t, "alice")
	d, err := w.docs.Get(t.Context(), Kind, name("alice"))
	require.NoError(t, err)
	require.Equal(t, w.clock.Add(forgetAfter), d.Expires)
	w.confirm(t, "alice", app(0))
	d, err = w.docs.Get(t.Context(), Kind, name("alice"))
	require.NoError(t, err)
	require.Zero(t, d.Expires)
}
