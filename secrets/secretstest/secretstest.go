package secretstest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

// Rig is a provider and what a test needs to act on its service.
type Rig struct {
	Scheme   string
	Provider secrets.Provider
	// Ref is a reference to a secret of the rig.
	Ref string
	// Missing is one to a secret that does not exist.
	Missing string
	// WrongType is one to something that is not a text, such as an object or bytes. Empty: there is
	// no such thing.
	WrongType string
	// Set changes the secret that Ref leads to.
	Set func(value string)
	// Empties says that the service accepts an empty secret.
	Empties bool
	// Large says that the service accepts more than secrets.MaxSecret bytes.
	Large bool
	// Front is what the service is reached by. Nil: the provider asks no service.
	Front *Front
	// Logged returns what was logged so far. May be nil.
	Logged func() string
}

// canary is a secret that looks different in each encoding.
const canary = "canary-\"7Qz\\%+/=é&<#?-f00dBABE"

// Run runs every test of the suite on rigs that open makes.
func Run(t *testing.T, open func(t *testing.T) *Rig) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"Value", testValue},
		{"Missing", testMissing},
		{"Unusable", testUnusable},
		{"Options", testOptions},
		{"Rotation", testRotation},
		{"OneQuestion", testOneQuestion},
		{"Failures", testFailures},
		{"Slow", testSlow},
		{"Down", testDown},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{Rig: open(t)}
			s.broker(t)
			c.run(t, s)
			s.searched(t)
		})
	}
}

// suite is one test's rig, and all that was said in it.
type suite struct {
	*Rig
	b *secrets.Broker

	mu   sync.Mutex
	said strings.Builder
}

func (s *suite) broker(t *testing.T) {
	t.Helper()
	b, err := secrets.NewBroker(secrets.Options{
		Source: secrets.Source{s.Scheme: s.Provider}, Journal: filepath.Join(t.TempDir(), "leases"),
		Report: func(e secrets.Event) { s.say("%v %+v %#v", e, e, e.Ref) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.b = b
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func (s *suite) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.said, format+"\n", args...)
}

// searched fails when anything that was said holds the canary.
func (s *suite) searched(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	said := s.said.String()
	s.mu.Unlock()
	if s.Logged != nil {
		said += s.Logged()
	}
	if found := Leaks(said, canary); found != nil {
		t.Errorf("errors, events or logs hold the secret: %v", found)
	}
	if s.Front != nil && s.Front.misled() != nil {
		t.Errorf("a request was sent to where a redirect led: %q", s.Front.misled())
	}
}

func (s *suite) request(ref string, refused *proxy.Lease) proxy.LeaseRequest {
	return proxy.LeaseRequest{
		Target:   proxy.Target{Account: proxy.Account{Username: "app", Secret: ref}},
		Identity: &proxy.Identity{Subject: "alice"}, Session: "S", Refused: refused,
	}
}

func (s *suite) lease(ctx context.Context, ref string, refused *proxy.Lease) (*proxy.Lease, error) {
	l, err := s.b.Lease(ctx, s.request(ref, refused))
	s.say("%v %+v %v %#v", l, l, err, err)
	return l, err
}

// resolve asks the provider itself.
func (s *suite) resolve(ctx context.Context, ref string) (*secrets.Value, error) {
	r, err := secrets.Parse(ref)
	if err != nil {
		return nil, err
	}
	v, err := s.Provider.Resolve(ctx, r, secrets.Use{})
	s.say("%v %+v %v %#v", v, v, err, err)
	return v, err
}

func testValue(t *testing.T, s *suite) {
	for _, want := range []string{canary, "x", " spaces ", "two\nlines", "ключ 🔑", strings.Repeat("k", 4000)} {
		s.Set(want)
		v, err := s.resolve(t.Context(), s.Ref)
		if err != nil {
			t.Fatalf("resolving a secret of %d bytes: %v", len(want), err)
		}
		if got := v.Plain().Reveal(); got != want {
			t.Errorf("a secret of %d bytes came back as one of %d", len(want), len(got))
		}
	}
	s.Set(canary)
	l, err := s.lease(t.Context(), s.Ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	if l.Username != "app" || l.Password.Reveal() != canary {
		t.Errorf("the lease is for %q and its password is not the secret", l.Username)
	}
}

func testMissing(t *testing.T, s *suite) {
	s.Set(canary)
	if _, err := s.resolve(t.Context(), s.Missing); !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("got %v, want secrets.ErrNotFound", err)
	}
	if l, err := s.lease(t.Context(), s.Missing, nil); err == nil || l != nil {
		t.Error("there is a lease of a secret that does not exist")
	}
}

func testUnusable(t *testing.T, s *suite) {
	refused := func(what, ref string, want error) {
		t.Helper()
		if l, err := s.lease(t.Context(), ref, &proxy.Lease{}); !errors.Is(err, want) || l != nil {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
		s.broker(t) // the one before remembers the failure for a second
	}
	if s.WrongType != "" {
		s.Set(canary)
		refused("a wrong type", s.WrongType, secrets.ErrType)
	}
	if s.Large {
		s.Set(strings.Repeat(canary, secrets.MaxSecret/len(canary)+1))
		refused("too large", s.Ref, secrets.ErrTooLarge)
	}
	if s.Empties {
		s.Set("")
		refused("empty", s.Ref, secrets.ErrEmpty)
	}
}

func testOptions(t *testing.T, s *suite) {
	s.Set(canary)
	ref := s.Ref + "?no-such-option=1"
	if strings.Contains(s.Ref, "?") {
		ref = s.Ref + "&no-such-option=1"
	}
	if _, err := s.resolve(t.Context(), ref); err == nil || !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("got %v, want an error about the option that does not exist", err)
	}
}

// testRotation changes the secret between a lease and the refusal of the resource.
func testRotation(t *testing.T, s *suite) {
	s.Set("the first one")
	l, err := s.lease(t.Context(), s.Ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Set(canary)
	if l, err = s.lease(t.Context(), s.Ref, l); err != nil {
		t.Fatal(err)
	}
	if l.Password.Reveal() != canary {
		t.Error("after a rotation, the value that was refused is given again")
	}
}

func testOneQuestion(t *testing.T, s *suite) {
	s.Set(canary)
	if _, err := s.lease(t.Context(), s.Ref, nil); err != nil { // the provider's own login is over
		t.Fatal(err)
	}
	before := 0
	if s.Front != nil {
		before = s.Front.Requests()
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if l, err := s.lease(t.Context(), s.Ref, nil); err != nil || l.Password.Reveal() != canary {
				t.Errorf("one of many leases at a time: %v", err)
			}
		})
	}
	all.Wait()
	if s.Front != nil && s.Front.Requests() != before {
		t.Errorf("%d requests were sent for a secret that is kept", s.Front.Requests()-before)
	}
}

// testFailures has a service that answers with nonsense, which may hold the secret.
func testFailures(t *testing.T, s *suite) {
	if s.Front == nil {
		t.Skip("the provider asks no service")
	}
	s.Set(canary)
	for name, m := range map[string]Mode{"refuses": Refuses, "fails": Fails, "garbage": Garbage, "endless": Endless, "redirects": Redirects} {
		s.Front.Set(m, canary)
		if _, err := s.resolve(t.Context(), s.Ref); err == nil {
			t.Errorf("%s: there is no error", name)
		} else if m == Refuses && !errors.Is(err, secrets.ErrDenied) || m == Fails && !errors.Is(err, secrets.ErrUnavailable) {
			t.Errorf("%s: %v is of another kind", name, err)
		}
	}
	s.Front.Set(Works, "")
	if _, err := s.resolve(t.Context(), s.Ref); err != nil {
		t.Errorf("the service works again: %v", err)
	}
}

func testSlow(t *testing.T, s *suite) {
	s.Set(canary)
	if s.Front == nil {
		t.Skip("the provider asks no service")
	}
	s.Front.Set(Stalls, "")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.resolve(ctx, s.Ref); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
}

func testDown(t *testing.T, s *suite) {
	if s.Front == nil {
		t.Skip("the provider asks no service")
	}
	s.Set(canary)
	s.Front.Set(Down, "")
	if _, err := s.resolve(t.Context(), s.Ref); !errors.Is(err, secrets.ErrUnavailable) {
		t.Errorf("got %v, want secrets.ErrUnavailable", err)
	}
	if l, err := s.lease(t.Context(), s.Ref, nil); err == nil || l != nil {
		t.Error("there is a lease of a service that is down")
	}
	s.Front.Set(Works, "")
	s.broker(t) // the one before remembers the failure for a second
	if _, err := s.lease(t.Context(), s.Ref, nil); err != nil {
		t.Errorf("the service is up again: %v", err)
	}
}
