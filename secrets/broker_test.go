package secrets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// service is a provider that does what a test says, and has leases under "lease/".
type service struct {
	mu      sync.Mutex
	value   string
	err     error
	gate    chan struct{} // not nil: answers wait for it
	asked   int
	uses    []Use
	made    int
	live    map[string]bool
	renewed []time.Time
	term    time.Duration // of leases
	most    time.Time     // leases do not live longer; zero: as long as they are renewed
	noEnd   bool
	down    error // of Renew and Revoke
	panics  bool
}

func (s *service) Resolve(ctx context.Context, ref Ref, u Use) (*Value, error) {
	s.mu.Lock()
	s.asked++
	s.uses = append(s.uses, u)
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-gate:
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.panics {
		panic(s.value)
	}
	if s.err != nil {
		return nil, s.err
	}
	v := Text(s.value)
	if !s.Leases(ref) {
		v.Shared = true
		return v, nil
	}
	s.made++
	v.Username, v.Lease, v.Renewable = fmt.Sprintf("v-%d", s.made), fmt.Sprintf("%s/%d", ref.Path, s.made), true
	if !s.noEnd {
		v.Expires = time.Now().Add(s.term)
	}
	s.live[v.Lease] = true
	return v, nil
}

func (s *service) Leases(ref Ref) bool { return strings.HasPrefix(ref.Path, "lease/") }

func (s *service) Renew(_ context.Context, lease string, want time.Duration) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return time.Time{}, s.down
	}
	if !s.live[lease] {
		return time.Time{}, ErrNotFound
	}
	s.renewed = append(s.renewed, time.Now())
	end := time.Now().Add(want)
	if !s.most.IsZero() && s.most.Before(end) {
		end = s.most
	}
	return end, nil
}

func (s *service) Revoke(_ context.Context, lease string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	delete(s.live, lease)
	return nil
}

func (s *service) set(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

func (s *service) lives() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.live) }

func (s *service) count() int { s.mu.Lock(); defer s.mu.Unlock(); return s.asked }

func newService() *service {
	return &service{value: "hunter2", term: time.Hour, live: make(map[string]bool)}
}

// watched collects events.
type watched struct {
	mu     sync.Mutex
	events []Event
}

func (w *watched) report(e Event) { w.mu.Lock(); defer w.mu.Unlock(); w.events = append(w.events, e) }

func (w *watched) of(kind EventKind) (found []Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

func broker(t *testing.T, s Provider, o Options) *Broker {
	t.Helper()
	o.Source = Source{"s": s}
	if o.Journal == "" {
		o.Journal = filepath.Join(t.TempDir(), "leases")
	}
	b, err := NewBroker(o)
	require.NoError(t, err)
	return b
}

func request(ref string) proxy.LeaseRequest {
	return proxy.LeaseRequest{
		Target: proxy.Target{Account: proxy.Account{Username: "app", Secret: ref}}, Identity: &proxy.Identity{Subject: "alice"}, Session: "S1",
	}
}

func TestSharedValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := newService(), &watched{}
		b := broker(t, s, Options{Report: w.report})
		get := func(refused *proxy.Lease) (*proxy.Lease, error) {
			r := request("s:db")
			r.Refused = refused
			return b.Lease(t.Context(), r)
		}
		first, err := get(nil)
		require.NoError(t, err)
		require.Equal(t, "hunter2", first.Password.Reveal())
		s.set(func() { s.value = "rotated" })
		time.Sleep(59 * time.Second)
		l, err := get(nil)
		require.NoError(t, err)
		require.Equal(t, "hunter2", l.Password.Reveal())
		require.True(t, w.of(Resolved)[1].Cached)
		require.Equal(t, "alice", w.of(Resolved)[1].Actor)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Empty(t, b.kept, "a secret does not stay in memory")
		l, err = get(nil)
		require.NoError(t, err)
		require.Equal(t, "rotated", l.Password.Reveal())

		s.set(func() { s.value = "rotated again" })
		l, err = get(l)
		require.NoError(t, err)
		require.Equal(t, "rotated again", l.Password.Reveal(), "what was refused is read again")
		require.Equal(t, "rotated", s.uses[2].Refused.Reveal())
		require.True(t, s.uses[2].Fresh)
		require.Nil(t, s.uses[2].Identity, "an answer for all is not asked for one")
		l, err = get(nil)
		require.NoError(t, err)
		require.Equal(t, "rotated again", l.Password.Reveal(), "and is what others get from then on")
		require.Equal(t, 3, s.count())
		require.NoError(t, b.Close(t.Context()))
		require.Empty(t, b.kept)
	})
}

func TestOneQuestionAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.gate = make(chan struct{})
		b := broker(t, s, Options{})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				l, err := b.Lease(t.Context(), request("s:db"))
				require.NoError(t, err)
				require.Equal(t, "hunter2", l.Password.Reveal())
			})
		}
		synctest.Wait()
		require.Equal(t, 1, s.count())
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() { _, err := b.Lease(ctx, request("s:db")); gone <- err }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-gone, context.Canceled, "who leaves does not wait, and does not spoil it for others")
		close(s.gate)
		all.Wait()
		require.NoError(t, b.Close(t.Context()))
	})
}

// A value that was on its way when the caller's was refused may be as old as that.
func TestFreshIsAskedAfterTheRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.gate = make(chan struct{})
		b := broker(t, s, Options{})
		refused := request("s:db")
		refused.Refused = &proxy.Lease{Credential: proxy.Credential{Password: proxy.NewSecret("old")}}
		var all sync.WaitGroup
		all.Go(func() { _, err := b.Lease(t.Context(), refused); require.NoError(t, err) })
		synctest.Wait()
		for range 10 {
			all.Go(func() {
				l, err := b.Lease(t.Context(), refused)
				require.NoError(t, err)
				require.Equal(t, "new", l.Password.Reveal())
			})
		}
		synctest.Wait()
		s.gate <- struct{}{}
		synctest.Wait()
		s.set(func() { s.value = "new" })
		close(s.gate)
		all.Wait()
		require.Equal(t, 2, s.count())
		require.NoError(t, b.Close(t.Context()))
	})
}

func TestAttack73SourceThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		b := broker(t, s, Options{})
		get := func() error { _, err := b.Lease(t.Context(), request("s:db")); return err }
		require.NoError(t, get())
		s.set(func() { s.err = ErrUnavailable })
		time.Sleep(MaxAge)
		require.ErrorIs(t, get(), ErrUnavailable, "what is too old is not used because there is nothing else")
		require.ErrorIs(t, get(), ErrUnavailable)
		require.Equal(t, 2, s.count(), "a failure is remembered")
		time.Sleep(time.Second)
		for range breakAfter - 1 {
			require.ErrorIs(t, get(), ErrUnavailable)
			time.Sleep(time.Second)
		}
		asked := s.count()
		require.ErrorIs(t, get(), errOpen)
		require.Equal(t, asked, s.count(), "who does not answer is left alone")
		time.Sleep(breakFor)
		require.ErrorIs(t, get(), ErrUnavailable)
		time.Sleep(breakFor)
		require.Equal(t, asked+1, s.count())
		s.set(func() { s.err = nil })
		require.NoError(t, get())
		s.set(func() { s.err = ErrNotFound })
		for i := range 2 * breakAfter {
			_, err := b.Lease(t.Context(), request(fmt.Sprintf("s:none-%d", i)))
			require.ErrorIs(t, err, ErrNotFound)
			require.NotErrorIs(t, err, errOpen, "an answer is an answer, whatever it says")
		}
		s.set(func() { s.err, s.gate = nil, make(chan struct{}) })
		begun := time.Now()
		_, err := b.Lease(t.Context(), request("s:slow"))
		require.ErrorIs(t, err, ErrUnavailable)
		require.Equal(t, defaultTimeout, time.Since(begun))
		s.set(func() { s.gate, s.panics = nil, true })
		_, err = b.Lease(t.Context(), request("s:panics"))
		require.ErrorIs(t, err, errPanic)
		require.NotContains(t, err.Error(), "hunter2")
		require.NoError(t, b.Close(t.Context()))
	})
}

func TestLeaseOfASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := newService(), &watched{}
		b := broker(t, s, Options{Report: w.report})
		one, err := b.Lease(t.Context(), request("s:lease/ro"))
		require.NoError(t, err)
		two, err := b.Lease(t.Context(), request("s:lease/ro"))
		require.NoError(t, err)
		require.NotEqual(t, one.Username, two.Username, "each session has its own")
		require.Equal(t, "alice", s.uses[0].Identity.Subject)
		two.Release()
		two.Release()
		synctest.Wait()
		require.Equal(t, 1, s.lives())
		require.Len(t, w.of(Revoked), 1)
		begun := time.Now()
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		require.GreaterOrEqual(t, len(s.renewed), 6)
		require.InDelta(t, 40*time.Minute, s.renewed[0].Sub(begun), float64(4*time.Minute))
		require.Equal(t, "S1", w.of(Renewed)[0].Session)
		one.Release()
		synctest.Wait()
		require.Zero(t, s.lives())
		require.Equal(t, "lease/ro/1", w.of(Revoked)[1].Lease)
		require.NoError(t, b.Close(t.Context()))
	})
}

func TestLeaseThatCannotBeRenewed(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(s *service)
		ends time.Duration
	}{
		"it is gone":               {func(s *service) { clear(s.live) }, 40 * time.Minute},
		"no answer":                {func(s *service) { s.down = ErrUnavailable }, time.Hour},
		"its longest time is over": {func(s *service) { s.most = time.Now().Add(90 * time.Minute) }, 90 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, w := newService(), &watched{}
				b := broker(t, s, Options{Report: w.report})
				l, err := b.Lease(t.Context(), request("s:lease/ro"))
				require.NoError(t, err)
				begun := time.Now()
				s.set(func() { c.do(s) })
				<-l.Lost
				require.InDelta(t, c.ends, time.Since(begun), float64(4*time.Minute))
				require.Len(t, w.of(Lost), 1)
				s.set(func() { s.down = nil })
				l.Release()
				synctest.Wait()
				require.Zero(t, s.lives())
				require.NoError(t, b.Close(t.Context()))
			})
		})
	}
}

// Who has left before the lease came does not leave it to nobody.
func TestLeaseForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.gate = make(chan struct{})
		b := broker(t, s, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() { _, err := b.Lease(ctx, request("s:lease/ro")); gone <- err }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-gone, context.Canceled)
		close(s.gate)
		synctest.Wait()
		require.Equal(t, 1, s.made)
		require.Zero(t, s.lives())
		s.set(func() { s.noEnd = true })
		_, err := b.Lease(t.Context(), request("s:lease/ro"))
		require.ErrorIs(t, err, errNoEnd)
		r := request("s:lease/ro")
		r.Target.Account.Key = true
		s.set(func() { s.noEnd = false })
		_, err = b.Lease(t.Context(), r)
		require.ErrorIs(t, err, ErrNotKey)
		synctest.Wait()
		require.Equal(t, 3, s.made)
		require.Zero(t, s.lives())
		require.NoError(t, b.Close(t.Context()))
		_, err = b.Lease(t.Context(), request("s:lease/ro"))
		require.ErrorContains(t, err, "closed")
	})
}

// A gateway that was killed revokes its leases when it starts again, however often that fails.
func TestLeasesAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	s := newService()
	synctest.Test(t, func(t *testing.T) {
		b := broker(t, s, Options{Journal: path})
		for range 3 {
			_, err := b.Lease(t.Context(), request("s:lease/ro"))
			require.NoError(t, err)
		}
		l, err := b.Lease(t.Context(), request("s:lease/ro"))
		require.NoError(t, err)
		l.Release()
		synctest.Wait()
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotContains(t, string(text), "hunter2")
		s.set(func() { s.down = ErrUnavailable })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, b.Close(ctx), context.DeadlineExceeded) // the process dies here, before it has revoked any
	})
	require.Equal(t, 3, s.lives())
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode().Perm())
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"scheme":"s","lea`)
	require.NoError(t, errors.Join(err, f.Close()))
	synctest.Test(t, func(t *testing.T) {
		w := &watched{}
		b := broker(t, s, Options{Journal: path, Report: w.report})
		time.Sleep(10 * time.Minute)
		require.Equal(t, 3, s.lives())
		s.set(func() { s.down = nil })
		time.Sleep(retryMost)
		synctest.Wait()
		require.Zero(t, s.lives())
		require.NoError(t, b.Close(t.Context()))
		_, left, err := openJournal(path)
		require.NoError(t, err)
		require.Empty(t, left)
	})
}

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	j, left, err := openJournal(path)
	require.NoError(t, err)
	require.Empty(t, left)
	for i := range 3 * rewriteAt {
		e := entry{Scheme: "s", Lease: fmt.Sprint(i)}
		require.NoError(t, j.add(e))
		if i%2 == 0 || i < 3*rewriteAt-10 {
			require.NoError(t, j.remove(e))
		}
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Less(t, strings.Count(string(text), "\n"), 2*rewriteAt, "what is over is forgotten")
	require.NoError(t, j.file.Close()) // writing fails
	require.Error(t, j.add(entry{Scheme: "s", Lease: "x"}))
	require.NoError(t, j.add(entry{Scheme: "s", Lease: "y"}), "and goes on in a new file")
	require.NoError(t, j.close())
	j, left, err = openJournal(path)
	require.NoError(t, err)
	require.Len(t, left, 7, "5, and what could not be written, and what could")
	require.NoError(t, j.close())
	for _, bad := range []string{"nonsense\n", "{}\n", `{"scheme":"s"}` + "\n"} {
		require.NoError(t, os.WriteFile(path, []byte(bad), 0o600))
		_, _, err = openJournal(path)
		require.ErrorContains(t, err, path+":1")
	}
	_, err = NewBroker(Options{Source: Source{"s": newService()}})
	require.ErrorContains(t, err, "set Options.Journal")
	_, _, err = openJournal(filepath.Join(path, "not", "there"))
	require.Error(t, err)
}
