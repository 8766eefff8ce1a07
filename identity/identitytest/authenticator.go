package identitytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Proofs are proofs of one method.
type Proofs struct {
	// Right proves who it claims to be.
	Right proxy.Proof
	// Wrong claims the same, with what does not prove it.
	Wrong proxy.Proof
	// Unknown claims to be somebody who does not exist, and is like Wrong otherwise.
	Unknown proxy.Proof
	// Other claims to be somebody else who exists, with what proves Right's user.
	Other proxy.Proof
}

// TestAuthenticator tests an authenticator. create returns one that knows the users of
// the proofs.
func TestAuthenticator(t *testing.T, create func(t *testing.T) proxy.Authenticator, list ...Proofs) {
	t.Run("what proves nothing is refused", func(t *testing.T) {
		a := create(t)
		for m := proxy.MethodNone; m <= proxy.MethodLink; m++ {
			for _, user := range []string{"", "alice", "\x00", strings.Repeat("a", 1<<16), "alice+orders", "../alice", "alice\n"} {
				mustRefuse(t, a, proxy.Proof{Method: m, User: user})
			}
		}
		mustRefuse(t, a, proxy.Proof{Method: proxy.MethodLink + 100, User: "alice"})
	})
	if len(list) == 0 {
		t.Error("no proofs: an authenticator that refuses everybody is not tested")
	}
	for _, p := range list {
		t.Run(p.Right.Method.String(), func(t *testing.T) { testProofs(t, create(t), p) })
	}
	t.Run("verifiers", func(t *testing.T) {
		if src, ok := create(t).(proxy.VerifierSource); ok {
			testVerifiers(t, src, list)
		}
	})
}

func mustRefuse(t *testing.T, a proxy.Authenticator, p proxy.Proof) {
	t.Helper()
	id, err := a.Authenticate(t.Context(), p)
	if !errors.Is(err, proxy.ErrUnauthenticated) {
		t.Errorf("%s of %.40q: got error %v, want one that wraps ErrUnauthenticated", p.Method, p.User, err)
	}
	if id != nil {
		t.Errorf("%s of %.40q: a refused proof has identity %q", p.Method, p.User, id.Subject)
	}
	if secret := p.Password.Reveal(); secret != "" && err != nil && strings.Contains(err.Error(), secret) {
		t.Errorf("%s of %.40q: the error holds the password", p.Method, p.User)
	}
}

func testProofs(t *testing.T, a proxy.Authenticator, p Proofs) {
	before := time.Now()
	id, err := a.Authenticate(t.Context(), p.Right)
	switch {
	case err != nil || id == nil:
		t.Fatalf("the right proof is refused: %v", err)
	case id.Subject == "":
		t.Error("the identity has no subject")
	case id.Method != p.Right.Method:
		t.Errorf("the identity was proven by %s, and says %s", p.Right.Method, id.Method)
	case id.AuthTime.IsZero() || id.AuthTime.After(time.Now().Add(time.Minute)):
		t.Errorf("the identity was proven at %s, which is not before now, %s", id.AuthTime, before)
	case id.Kind == proxy.Agent && id.OnBehalfOf == "":
		t.Error("the identity is an agent's, and names no human")
	}
	again, err := a.Authenticate(t.Context(), p.Right)
	if err != nil || again.Subject != id.Subject {
		t.Errorf("the same proof gives another subject, or none: %v", err)
	}
	for what, wrong := range map[string]proxy.Proof{"wrong": p.Wrong, "unknown": p.Unknown} {
		if wrong.Method != p.Right.Method {
			t.Fatalf("the %s proof is of method %s, not %s", what, wrong.Method, p.Right.Method)
		}
		mustRefuse(t, a, wrong)
	}
	if p.Other.Method != proxy.MethodNone {
		mustRefuse(t, a, p.Other)
	}
	for m := proxy.MethodNone; m <= proxy.MethodLink; m++ {
		if other := p.Right; m != p.Right.Method && !slices.Contains([]proxy.Method{proxy.MethodSCRAM, proxy.MethodChallenge}, m) {
			other.Method = m
			mustRefuse(t, a, other) // what proves by one method proves nothing by another
		}
	}
	t.Run("at once", func(t *testing.T) {
		var wg sync.WaitGroup
		errs := make(chan error, 64)
		for i := range 16 {
			wg.Go(func() {
				if i%2 == 0 {
					if _, err := a.Authenticate(t.Context(), p.Right); err != nil {
						errs <- fmt.Errorf("the right proof is refused: %w", err)
					}
				} else if _, err := a.Authenticate(t.Context(), p.Wrong); !errors.Is(err, proxy.ErrUnauthenticated) {
					errs <- fmt.Errorf("the wrong proof: %w", err)
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			t.Error(err)
		}
	})
	t.Run("time", func(t *testing.T) { testTime(t, a, p) })
}

// testTime compares how long refusals take. Arithmetic on passwords takes long enough
// to be seen over the noise of a busy machine; what is quicker says nothing.
func testTime(t *testing.T, a proxy.Authenticator, p Proofs) {
	const rounds, noticeable, factor = 7, 200 * time.Microsecond, 4
	var wrong, unknown []time.Duration
	for range rounds {
		for _, c := range []struct {
			proof proxy.Proof
			into  *[]time.Duration
		}{{p.Wrong, &wrong}, {p.Unknown, &unknown}} {
			begun := time.Now()
			_, err := a.Authenticate(t.Context(), c.proof)
			*c.into = append(*c.into, time.Since(begun))
			if err == nil {
				t.Fatal("a wrong proof convinces")
			}
		}
	}
	w, u := slices.Min(wrong), slices.Min(unknown)
	if max(w, u) > noticeable && (w > factor*u || u > factor*w) {
		t.Errorf("refusing a wrong proof takes %s, and one of somebody unknown %s: who asks learns which users exist", w, u)
	}
}

func testVerifiers(t *testing.T, src proxy.VerifierSource, list []Proofs) {
	get := func(user string) string {
		v, ok, err := src.Verifier(t.Context(), user)
		if err != nil {
			t.Fatalf("the verifier of %q: %v", user, err)
		}
		if !ok {
			return ""
		}
		return v
	}
	shape := func(v string) string {
		parts := strings.Split(v, "$")
		if len(parts) != 3 {
			t.Fatalf("the verifier has %d parts, want 3", len(parts))
		}
		n, salt, _ := strings.Cut(parts[1], ":")
		return fmt.Sprint(parts[0], n, len(salt), len(parts[2]))
	}
	one, two := get("nobody-one"), get("nobody-two")
	switch {
	case one == "" && two == "":
		return
	case one != get("nobody-one"):
		t.Error("the verifier of somebody unknown changes: who asks twice learns that she does not exist")
	case one == two:
		t.Error("all that are unknown have one verifier")
	}
	for _, p := range list {
		if v := get(p.Right.User); v != "" && shape(v) != shape(one) {
			t.Errorf("verifiers of users differ from made-up ones: %s, %s", shape(v), shape(one))
		}
	}
}

// Refreshing is what TestRefresher does to one user.
type Refreshing struct {
	// Identity is the user's, as it is after a login.
	Identity *proxy.Identity
	// Groups gives the user these groups.
	Groups func(t *testing.T, groups ...string)
	// Remove removes or disables the user.
	Remove func(t *testing.T)
	// Settle waits until what was done is seen; nil: it is seen at once.
	Settle func(t *testing.T)
}

// TestRefresher tests what live sessions rely on: groups that change are seen, users
// that are gone end, and nobody becomes another.
func TestRefresher(t *testing.T, r proxy.Refresher, u Refreshing) {
	settle := func() {
		if u.Settle != nil {
			u.Settle(t)
		}
	}
	before := *u.Identity
	before.Groups = slices.Clone(u.Identity.Groups)
	same, err := r.Refresh(t.Context(), u.Identity)
	if err != nil {
		t.Fatalf("refreshing a user who is there: %v", err)
	}
	if same.Subject != before.Subject || !slices.Equal(same.Groups, before.Groups) {
		t.Errorf("nothing has changed, and %s in %q is %s in %q", before.Subject, before.Groups, same.Subject, same.Groups)
	}
	u.Groups(t, "one", "two")
	settle()
	more, err := r.Refresh(t.Context(), u.Identity)
	switch {
	case err != nil:
		t.Fatalf("refreshing a user whose groups have changed: %v", err)
	case more == u.Identity || !slices.Equal(u.Identity.Groups, before.Groups):
		t.Error("the identity that was there has changed: it is read-only, and others read it")
	case more.Subject != before.Subject, more.Kind != before.Kind, more.OnBehalfOf != before.OnBehalfOf:
		t.Error("a refresh gives another identity than the groups'")
	case !more.AuthTime.Equal(before.AuthTime), more.Method != before.Method:
		t.Error("a refresh is not a login: how and when it was proven stays")
	case !hasSuffixes(more.Groups, "one", "two"):
		t.Errorf("the groups are %q, want one and two", more.Groups)
	}
	u.Groups(t)
	settle()
	if none, err := r.Refresh(t.Context(), more); err != nil || hasSuffixes(none.Groups, "one") || hasSuffixes(none.Groups, "two") {
		t.Errorf("a user without groups is still in one (%v)", err)
	}
	stranger := before
	stranger.Subject += "-another"
	if id, err := r.Refresh(t.Context(), &stranger); err == nil {
		t.Errorf("somebody who was never there is refreshed as %s", id.Subject)
	}
	u.Remove(t)
	settle()
	if id, err := r.Refresh(t.Context(), u.Identity); err == nil {
		t.Errorf("a user who is gone is refreshed as %s", id.Subject)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if id, err := r.Refresh(ended, u.Identity); err == nil {
		t.Errorf("a user who is gone is refreshed as %s when nobody waits for the answer", id.Subject)
	}
}

// hasSuffixes reports whether each name is one of groups, perhaps with the prefix of its
// source.
func hasSuffixes(groups []string, names ...string) bool {
	for _, n := range names {
		if !slices.ContainsFunc(groups, func(g string) bool { return g == n || strings.HasSuffix(g, ":"+n) }) {
			return false
		}
	}
	return true
}
