package review_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// told is a notifier that remembers what it was told, and answers as do says.
type told struct {
	do func(ctx context.Context, n *review.Notice) error

	mu      sync.Mutex
	asked   []string // "ID" for each attempt
	taken   []string // "REQUEST EVENT" of those that were taken
	at      []time.Time
	running map[string]bool // requests
	most    int
	overlap bool
}

func (n *told) Notify(ctx context.Context, of *review.Notice) error {
	n.mu.Lock()
	n.asked, n.at = append(n.asked, of.ID), append(n.at, time.Now())
	if n.running == nil {
		n.running = make(map[string]bool)
	}
	n.overlap = n.overlap || n.running[of.Subject()]
	n.running[of.Subject()] = true
	n.most = max(n.most, len(n.running))
	do := n.do
	n.mu.Unlock()
	var err error
	if do != nil {
		err = do(ctx, of)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.running, of.Subject())
	if err == nil {
		n.taken = append(n.taken, of.Subject()+" "+of.Event)
	}
	return err
}

func (n *told) answers(do func(ctx context.Context, n *review.Notice) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.do = do
}

func (n *told) has() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.taken)
}

func (n *told) attempts() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.asked)
}

func fails(context.Context, *review.Notice) error { return errors.New("it is broken") }

// text is text that is written and read at once.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *text) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), what)
}

// post is an outbox in a test's time.
type post struct {
	*review.Outbox
	t    *testing.T
	log  *text
	stop func()
}

func newPost(t *testing.T, s store.Store, channels ...review.Channel) *post {
	log := &text{}
	p := &post{t: t, log: log, Outbox: &review.Outbox{Store: s, Log: slog.New(slog.NewTextHandler(log, nil))}}
	require.NoError(t, p.Use(channels))
	return p
}

// run sends until stop is called.
func (p *post) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	p.stop = func() { cancel(); <-done }
	p.t.Cleanup(p.stop)
}

// write keeps notices of requests, "REQUEST EVENT" each.
func (p *post) write(what ...string) {
	for _, w := range what {
		id, event, _ := strings.Cut(w, " ")
		_, now, err := p.Store.Head(context.Background())
		require.NoError(p.t, err)
		ws, err := p.Writes(&review.Notice{ID: id + "." + event, Event: event, At: now, Request: review.Request{ID: id, Requester: "alice"}})
		require.NoError(p.t, err)
		if len(ws) > 0 {
			_, err = p.Store.Write(context.Background(), ws...)
			require.NoError(p.t, err)
		}
	}
}

func (p *post) status(channel string) review.ChannelStatus {
	list, err := p.Status(context.Background())
	require.NoError(p.t, err)
	i := slices.IndexFunc(list, func(s review.ChannelStatus) bool { return s.Name == channel })
	require.GreaterOrEqual(p.t, i, 0, channel)
	return list[i]
}

func TestOutboxDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &told{}, &told{}
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: a},
			review.Channel{Name: "b", Notifier: b, Wants: func(n *review.Notice) bool { return n.Event == "denied" }})
		p.write("r1 asked", "r1 denied") // before anybody sends
		p.run()
		p.write("r2 asked", "r2 approved")
		time.Sleep(2 * time.Second)
		require.ElementsMatch(t, []string{"r1 asked", "r1 denied", "r2 asked", "r2 approved"}, a.has())
		require.Less(t, slices.Index(a.has(), "r1 asked"), slices.Index(a.has(), "r1 denied"))
		require.Less(t, slices.Index(a.has(), "r2 asked"), slices.Index(a.has(), "r2 approved"))
		require.Equal(t, []string{"r1 denied"}, b.has())
		require.Zero(t, p.status("a").Waiting)
		p.stop()
		docs, err := p.Store.List(t.Context(), store.Query{Kind: review.KindNotice})
		require.NoError(t, err)
		require.Empty(t, docs)
	})
}

// TestOutboxOrder: of one request nothing overtakes, whatever fails, and several requests are told of at once, but not many.
func TestOutboxOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &told{}
		tries := make(map[string]int)
		var mu sync.Mutex
		n.answers(func(ctx context.Context, of *review.Notice) error {
			time.Sleep(20 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			if tries[of.ID]++; tries[of.ID] < 3 && of.Event != "voted" {
				return errors.New("not yet")
			}
			return nil
		})
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: n})
		p.run()
		for i := range 12 {
			id := fmt.Sprintf("r%02d", i)
			p.write(id+" asked", id+" voted", id+" approved", id+" ended")
		}
		time.Sleep(12 * time.Hour)
		p.stop()
		require.Len(t, n.has(), 48)
		by := make(map[string][]string)
		for _, w := range n.has() {
			id, event, _ := strings.Cut(w, " ")
			by[id] = append(by[id], event)
		}
		for id, events := range by {
			require.Equal(t, []string{"asked", "voted", "approved", "ended"}, events, id)
		}
		require.False(t, n.overlap)
		require.LessOrEqual(t, n.most, 4)
		require.Greater(t, n.most, 1)
	})
}

// TestOutboxOrderLasts: what was tried is before what comes later, also for the next gateway.
func TestOutboxOrderLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := store.NewMemory(), &told{do: fails}
		p := newPost(t, s, review.Channel{Name: "a", Notifier: n})
		p.run()
		p.write("r1 asked")
		time.Sleep(time.Second)
		p.write("r1 voted", "r1 approved")
		time.Sleep(time.Hour)
		p.stop()
		n.answers(nil)
		p = newPost(t, s, review.Channel{Name: "a", Notifier: n})
		p.run()
		time.Sleep(time.Hour)
		p.stop()
		require.Equal(t, []string{"r1 asked", "r1 voted", "r1 approved"}, n.has())
	})
}

// TestOutboxRetries: a channel that is down is asked seldom, is seen, and has everything once it is back.
func TestOutboxRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &told{do: fails}
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: n})
		p.run()
		for i := range 30 {
			p.write(fmt.Sprintf("r%02d asked", i))
		}
		time.Sleep(6 * time.Hour)
		require.Less(t, n.attempts(), 200, "one asks whether it is there again, every five minutes at most")
		require.Greater(t, n.attempts(), 70)
		s := p.status("a")
		require.Equal(t, 30, s.Waiting)
		require.Contains(t, s.Failure.Error, "it is broken")
		require.WithinDuration(t, time.Now(), s.Failure.At, 6*time.Minute)
		require.WithinDuration(t, time.Now().Add(-6*time.Hour), s.Oldest, time.Minute)
		require.Equal(t, 1, p.log.count("cannot be told of requests"), p.log.b.String())
		require.Equal(t, []review.ChannelStats{{Channel: "a", Waiting: 30, Failures: uint64(n.attempts()), Oldest: s.Oldest, Failing: true}}, p.Stats())
		n.answers(nil)
		time.Sleep(11 * time.Minute)
		require.Len(t, n.has(), 30)
		require.Equal(t, 1, p.log.count("is told of requests again"))
		require.Nil(t, p.status("a").Failure)
		require.False(t, p.Stats()[0].Failing)
		require.Equal(t, uint64(30), p.Stats()[0].Delivered)
		p.stop()
		require.Nil(t, p.Stats())
	})
}

// TestOutboxBackoff: attempts are further and further apart, up to five minutes.
func TestOutboxBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &told{do: fails}
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: n})
		p.run()
		p.write("r1 asked")
		time.Sleep(time.Hour)
		p.stop()
		for i := 1; i < len(n.at); i++ {
			most := min(5*time.Minute, time.Second<<(i-1)) + 10*time.Millisecond
			gap := n.at[i].Sub(n.at[i-1])
			require.LessOrEqual(t, gap, most, i)
			require.GreaterOrEqual(t, gap, (most-10*time.Millisecond)/2, i)
		}
		require.Greater(t, len(n.at), 15)
	})
}

// TestOutboxGivesUp: after three days a notice is a dead letter, which is seen and can be sent again for thirty days.
func TestOutboxGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &told{do: fails}
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: n})
		p.run()
		p.write("r1 asked", "r1 denied", "r2 asked")
		p.away(review.GiveUpAfter - time.Hour)
		require.Equal(t, 3, p.status("a").Waiting)
		time.Sleep(2 * time.Hour)
		s := p.status("a")
		require.Zero(t, s.Waiting)
		require.Equal(t, 3, s.Dead)
		require.Equal(t, 3, p.Stats()[0].Dead)
		letters, err := p.DeadLetters(t.Context(), "a")
		require.NoError(t, err)
		require.Len(t, letters, 3)
		require.Equal(t, "r1", letters[0].Request)
		require.Contains(t, letters[0].Failure.Error, "it is broken")
		require.Equal(t, 3, p.log.count("was given up"))

		n.answers(nil)
		count, err := p.Again(t.Context(), "a", letters[2].ID)
		require.NoError(t, err)
		require.Equal(t, 1, count)
		time.Sleep(time.Minute)
		require.Equal(t, []string{"r2 asked"}, n.has())
		count, err = p.Again(t.Context(), "a", "")
		require.NoError(t, err)
		require.Equal(t, 2, count)
		time.Sleep(10 * time.Minute)
		require.Equal(t, []string{"r2 asked", "r1 asked", "r1 denied"}, n.has())
		require.Zero(t, p.status("a").Dead)
		require.Zero(t, p.Stats()[0].Dead)

		n.answers(fails)
		p.write("r3 asked")
		p.away(review.GiveUpAfter - time.Minute)
		time.Sleep(time.Hour)
		require.Equal(t, 1, p.status("a").Dead)
		p.stop()
		time.Sleep(review.KeepDead)
		require.Zero(t, p.status("a").Dead)
	})
}

// TestOutboxSlow: a channel that does not answer holds up no other.
func TestOutboxSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, quick := &told{}, &told{}
		slow.answers(func(ctx context.Context, _ *review.Notice) error { <-ctx.Done(); return ctx.Err() })
		p := newPost(t, store.NewMemory(), review.Channel{Name: "slow", Notifier: slow}, review.Channel{Name: "quick", Notifier: quick})
		p.run()
		for i := range 50 {
			p.write(fmt.Sprintf("r%02d asked", i))
		}
		time.Sleep(time.Second)
		require.Len(t, quick.has(), 50)
		time.Sleep(time.Hour)
		p.write("r99 asked")
		time.Sleep(time.Second)
		require.Len(t, quick.has(), 51)
		require.Equal(t, 51, p.status("slow").Waiting)
		p.stop() // also what is under way
	})
}

// TestOutboxPoison: a notice that a channel cannot take holds up those of its own request only.
func TestOutboxPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &told{}
		n.answers(func(_ context.Context, of *review.Notice) error {
			if strings.HasPrefix(of.Subject(), "bad") {
				return errors.New("I choke")
			}
			return nil
		})
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: n})
		p.run()
		for i := range 20 {
			id := fmt.Sprintf("bad%d", i)
			p.write(id+" asked", id+" denied")
		}
		for i := range 60 {
			p.write(fmt.Sprintf("r%02d asked", i))
			time.Sleep(10 * time.Minute)
			require.Len(t, n.has(), i+1)
		}
		require.Equal(t, 40, p.status("a").Waiting)
		p.stop()
	})
}

// TestOutboxDeleted: what somebody has deleted does not wait any more.
func TestOutboxDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &told{do: fails}
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: n})
		p.run()
		p.write("r1 asked", "r2 asked")
		time.Sleep(time.Hour)
		require.Equal(t, 2, p.Stats()[0].Waiting)
		for d, err := range store.All(t.Context(), p.Store, review.KindNotice, "") {
			require.NoError(t, err)
			_, err = p.Store.Write(t.Context(), store.Delete(d))
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Zero(t, p.Stats()[0].Waiting)
		p.stop()
	})
}

// TestOutboxRefused: what is refused for good is not sent again by itself.
func TestOutboxRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &told{}
		n.answers(func(context.Context, *review.Notice) error {
			return fmt.Errorf("%w: no such mailbox", review.ErrRefused)
		})
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: n})
		p.run()
		p.write("r1 asked", "r1 denied")
		time.Sleep(time.Hour)
		require.Equal(t, 2, n.attempts())
		require.Equal(t, 2, p.status("a").Dead)
		p.stop()
	})
}

// TestOutboxBusy: a channel that asks to be left alone is, for an hour at most.
func TestOutboxBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &told{}
		after := 10 * time.Minute
		n.answers(func(context.Context, *review.Notice) error {
			return &review.BusyError{After: after, Err: errors.New("too many")}
		})
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: n})
		p.run()
		p.write("r1 asked", "r2 asked", "r3 asked", "r4 asked", "r5 asked", "r6 asked")
		time.Sleep(9 * time.Minute)
		require.LessOrEqual(t, n.attempts(), 4)
		time.Sleep(2 * time.Minute)
		require.LessOrEqual(t, n.attempts(), 5)
		after = 1000 * time.Hour
		time.Sleep(15 * time.Minute)
		n.answers(nil)
		time.Sleep(62 * time.Minute)
		require.Len(t, n.has(), 6)
		p.stop()
	})
}

// TestOutboxGone: a receiver that wants nothing any more is left alone until the channel is another, also by the next gateway.
func TestOutboxGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &told{}
		n.answers(func(context.Context, *review.Notice) error { return fmt.Errorf("%w: 410", review.ErrGone) })
		s := store.NewMemory()
		p := newPost(t, s, review.Channel{Name: "a", Notifier: n, Version: "1"})
		p.run()
		p.write("r1 asked")
		time.Sleep(time.Minute)
		p.write("r2 asked")
		time.Sleep(time.Hour)
		require.Equal(t, 1, n.attempts())
		require.Contains(t, p.status("a").Closed.Error, "410")
		require.Equal(t, 1, p.log.count("once the channel's configuration changes"))
		require.True(t, p.Stats()[0].Failing)
		p.stop()

		n.answers(nil)
		p = newPost(t, s, review.Channel{Name: "a", Notifier: n, Version: "1"})
		p.run()
		time.Sleep(time.Hour)
		require.Equal(t, 1, n.attempts())
		require.NoError(t, p.Use([]review.Channel{{Name: "a", Notifier: n, Version: "2"}}))
		time.Sleep(time.Second)
		require.ElementsMatch(t, []string{"r1 asked", "r2 asked"}, n.has())
		require.Nil(t, p.status("a").Closed)
		require.NoError(t, p.Use([]review.Channel{{Name: "a", Notifier: n, Version: "1"}}))
		p.write("r3 asked")
		time.Sleep(time.Second)
		require.Len(t, n.has(), 3, "it was opened")
		p.stop()
		p = newPost(t, s, review.Channel{Name: "a", Notifier: n, Version: "1"})
		p.run()
		p.write("r3 denied")
		time.Sleep(time.Second)
		require.Len(t, n.has(), 4, "for good")

		n.answers(func(context.Context, *review.Notice) error { return review.ErrGone })
		p.write("r4 asked")
		p.away(review.GiveUpAfter - time.Minute)
		time.Sleep(time.Hour)
		require.Equal(t, 1, p.status("a").Dead, "what waits for it is given up in the end")
		p.stop()
	})
}

// TestOutboxReload: what waits for a channel that is taken out waits until it is back.
func TestOutboxReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, other := &told{do: fails}, &told{}
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: n})
		p.run()
		p.write("r1 asked", "r2 asked")
		time.Sleep(time.Minute)
		require.NoError(t, p.Use([]review.Channel{{Name: "b", Notifier: other}}))
		p.write("r3 asked")
		time.Sleep(time.Hour)
		require.Equal(t, []string{"r3 asked"}, other.has())
		s := p.status("a")
		require.False(t, s.Configured)
		require.Equal(t, 2, s.Waiting)
		asked := n.attempts()
		n.answers(nil)
		time.Sleep(time.Hour)
		require.Equal(t, asked, n.attempts())
		require.NoError(t, p.Use(nil))
		p.write("r4 asked") // nobody is told
		time.Sleep(time.Hour)
		require.NoError(t, p.Use([]review.Channel{{Name: "a", Notifier: n}, {Name: "b", Notifier: other}}))
		time.Sleep(10 * time.Minute)
		require.ElementsMatch(t, []string{"r1 asked", "r2 asked"}, n.has())
		require.NoError(t, p.Use([]review.Channel{{Name: "b", Notifier: other}}))
		p.stop()
	})
	synctest.Test(t, func(t *testing.T) { // or until it is given up
		n := &told{do: fails}
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: n})
		p.write("r1 asked")
		require.NoError(t, p.Use([]review.Channel{{Name: "b", Notifier: n}}))
		p.run()
		p.away(review.GiveUpAfter - time.Minute)
		time.Sleep(2 * time.Minute)
		require.Equal(t, 1, p.status("a").Dead)
		require.Zero(t, n.attempts())
		p.stop()
	})
}

// TestOutboxChannels: names are those that can be kept, and each is there once.
func TestOutboxChannels(t *testing.T) {
	o := &review.Outbox{Store: store.NewMemory()}
	for _, bad := range []string{"", "a/b", "a b", "ü", "a\n", strings.Repeat("a", 65)} {
		require.Error(t, o.Use([]review.Channel{{Name: bad}}), bad)
		_, err := o.DeadLetters(t.Context(), bad)
		require.Error(t, err, bad)
		_, err = o.Again(t.Context(), bad, "")
		require.Error(t, err, bad)
	}
	require.Error(t, o.Use([]review.Channel{{Name: "a"}, {Name: "a"}}))
	require.Error(t, o.Use(make([]review.Channel, review.MaxChannels+1)))
	_, err := o.Writes(&review.Notice{ID: "x"})
	require.Error(t, err)
}

// down is a store that does not answer while it is told to.
type down struct {
	store.Store
	mu     sync.Mutex
	write  func(ws []store.Write) error // nil: it answers
	leases bool                         // cannot be had
}

func (d *down) Write(ctx context.Context, ws ...store.Write) (int64, error) {
	d.mu.Lock()
	write := d.write
	d.mu.Unlock()
	if write != nil {
		if err := write(ws); err != nil {
			return 0, err
		}
	}
	return d.Store.Write(ctx, ws...)
}

func (d *down) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (store.Lease, error) {
	d.mu.Lock()
	off := d.leases
	d.mu.Unlock()
	if off {
		return store.Lease{}, errors.New("the store does not answer")
	}
	return d.Store.Acquire(ctx, name, holder, ttl)
}

func (d *down) set(leases bool, write func(ws []store.Write) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leases, d.write = leases, write
}

// TestOutboxGateways: of several gateways one sends at a time, and another goes on when it is gone or has lost the store.
func TestOutboxGateways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		first := &down{Store: s}
		n, m := &told{}, &told{}
		a := newPost(t, first, review.Channel{Name: "x", Notifier: n})
		b := newPost(t, s, review.Channel{Name: "x", Notifier: m})
		a.run()
		synctest.Wait()
		b.run()
		for i := range 20 {
			b.write(fmt.Sprintf("a%02d asked", i)) // by either
			time.Sleep(time.Second)
		}
		require.Len(t, n.has(), 20)
		require.Zero(t, m.attempts())
		require.NotNil(t, a.Stats())
		require.Nil(t, b.Stats())

		// The first one keeps its hold on the receiver and loses the store: it stops by itself.
		first.set(true, func([]store.Write) error { return errors.New("the store does not answer") })
		b.write("b asked")
		time.Sleep(time.Minute)
		require.Contains(t, m.has(), "b asked")
		require.Nil(t, a.Stats())
		sent := n.attempts()
		b.write("c asked")
		time.Sleep(time.Hour)
		require.Equal(t, sent, n.attempts())
		require.Contains(t, m.has(), "c asked")
		first.set(false, nil)
		b.stop() // and lets go of the lease
		a.write("d asked")
		time.Sleep(6 * time.Second)
		require.Contains(t, n.has(), "d asked")
		a.stop()
	})
}

// TestOutboxFence: a gateway that slept through the end of its lease changes nothing of what is the next one's.
func TestOutboxFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		n, m := &told{}, &told{}
		wake := make(chan struct{})
		n.answers(func(context.Context, *review.Notice) error { <-wake; return nil })
		m.answers(func(ctx context.Context, _ *review.Notice) error { <-ctx.Done(); return ctx.Err() }) // has written nothing yet
		first := &down{Store: s}
		a := newPost(t, first, review.Channel{Name: "x", Notifier: n})
		b := newPost(t, s, review.Channel{Name: "x", Notifier: m})
		a.run()
		a.write("r1 asked")
		synctest.Wait()
		first.set(true, nil) // it can still write
		b.run()
		for m.attempts() == 0 {
			time.Sleep(100 * time.Millisecond)
		}
		before, err := s.List(t.Context(), store.Query{Kind: review.KindNotice})
		require.NoError(t, err)
		close(wake)
		synctest.Wait()
		after, err := s.List(t.Context(), store.Query{Kind: review.KindNotice})
		require.NoError(t, err)
		require.Equal(t, before, after)
		a.stop()
		b.stop()
	})
}

// TestOutboxCrash: a notice that was taken while the store did not keep that comes again under the same identifier.
func TestOutboxCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		n := &told{}
		broken := &down{Store: s}
		broken.set(false, func(ws []store.Write) error {
			if slices.ContainsFunc(ws, func(w store.Write) bool { return w.Op == store.OpDelete }) {
				return errors.New("the store does not answer")
			}
			return nil
		})
		p := newPost(t, broken, review.Channel{Name: "a", Notifier: n})
		p.run()
		p.write("r1 asked", "r1 approved")
		time.Sleep(time.Minute)
		require.Equal(t, []string{"r1 asked"}, n.has(), "it is not sent again while the store is asked to keep that it was")
		p.stop()
		p = newPost(t, s, review.Channel{Name: "a", Notifier: n})
		p.run()
		time.Sleep(time.Minute)
		p.stop()
		require.Equal(t, []string{"r1 asked", "r1 asked", "r1 approved"}, n.has())
		require.Equal(t, []string{"r1.asked", "r1.asked", "r1.approved"}, n.asked)
	})
}

// TestOutboxStops: what was taken while the gateway stops does not come again.
func TestOutboxStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		n := &told{}
		n.answers(func(context.Context, *review.Notice) error { time.Sleep(time.Second); return nil })
		p := newPost(t, s, review.Channel{Name: "a", Notifier: n})
		p.run()
		p.write("r1 asked")
		time.Sleep(500 * time.Millisecond)
		p.stop()
		require.Equal(t, []string{"r1 asked"}, n.has())
		require.Zero(t, p.status("a").Waiting)
	})
}

// TestOutboxUncertain: a write whose answer was lost counts when it was kept.
func TestOutboxUncertain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		n := &told{}
		lossy := &down{Store: s}
		lossy.set(false, func(ws []store.Write) error {
			if len(ws) > 1 {
				if _, err := s.Write(context.Background(), ws...); err == nil {
					return store.ErrUncertain
				}
			}
			return nil
		})
		p := newPost(t, lossy, review.Channel{Name: "a", Notifier: n})
		p.run()
		p.write("r1 asked", "r1 denied")
		time.Sleep(time.Minute)
		require.Equal(t, []string{"r1 asked", "r1 denied"}, n.has())
		n.answers(fails)
		p.write("r2 asked")
		time.Sleep(time.Minute)
		n.answers(nil)
		time.Sleep(5 * time.Minute)
		require.Len(t, n.has(), 3)
		require.Zero(t, p.status("a").Waiting)
		p.stop()
	})
}

// TestOutboxDamaged: what cannot be read is seen, and holds up nothing.
func TestOutboxDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		n := &told{}
		for i, body := range []string{`{}`, `{"notice":5}`, `{"notice":null}`} {
			_, err := s.Write(t.Context(), store.Create(store.Document{Kind: review.KindNotice, Name: fmt.Sprintf("a/%d", i), Body: []byte(body)}))
			require.NoError(t, err)
		}
		p := newPost(t, s, review.Channel{Name: "a", Notifier: n})
		p.write("r1 asked")
		p.run()
		time.Sleep(time.Minute)
		require.Equal(t, []string{"r1 asked"}, n.has())
		require.Equal(t, 3, p.status("a").Dead)
		letters, err := p.DeadLetters(t.Context(), "a")
		require.NoError(t, err)
		require.Contains(t, letters[0].Failure.Error, "damaged")
		count, err := p.Again(t.Context(), "a", "")
		require.NoError(t, err)
		require.Zero(t, count)
		p.stop()
	})
}

// TestOutboxBounds: neither what waits nor dead letters grow without an end; the oldest go.
func TestOutboxBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &told{do: fails}
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: n})
		p.flood("r", "", review.MaxWaiting+review.MaxDead+60)
		p.run()
		time.Sleep(time.Minute)
		s := p.status("a")
		require.Equal(t, review.MaxWaiting, s.Waiting)
		require.Equal(t, review.MaxDead, s.Dead)
		letters, err := p.DeadLetters(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, "r00060", letters[0].Request)
		require.Contains(t, letters[0].Failure.Error, "more notices wait")
		p.stop()
	})
}

// away lets time pass while nobody sends but in the first and the last quarter of an hour: a ticker of days is much work.
func (p *post) away(d time.Duration) {
	time.Sleep(15 * time.Minute)
	p.stop()
	time.Sleep(d - 30*time.Minute)
	p.run()
	time.Sleep(15 * time.Minute)
}

// flood keeps one notice of each of many requests of somebody's.
func (p *post) flood(prefix, requester string, n int) {
	var ws []store.Write
	for i := range n {
		id := fmt.Sprintf("%s%05d", prefix, i)
		one, err := p.Writes(&review.Notice{ID: id, Event: "asked", At: time.Now().Add(time.Duration(i) * time.Microsecond), Request: review.Request{ID: id, Requester: requester}})
		require.NoError(p.t, err)
		if ws = append(ws, one...); len(ws) == store.MaxWrites || i == n-1 {
			_, err = p.Store.Write(p.t.Context(), ws...)
			require.NoError(p.t, err)
			ws = nil
		}
	}
}

// TestOutboxFlood: who makes many requests while a channel is down takes no place from those of others.
func TestOutboxFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &told{do: fails}
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: n})
		p.flood("a", "alice", 20)
		time.Sleep(time.Second)
		p.flood("m", "mallory", review.MaxWaiting+30)
		p.run()
		time.Sleep(time.Minute)
		require.Equal(t, review.MaxWaiting, p.status("a").Waiting)
		letters, err := p.DeadLetters(t.Context(), "a")
		require.NoError(t, err)
		require.Len(t, letters, 50)
		for i, l := range letters {
			require.Equal(t, fmt.Sprintf("m%05d", i), l.Request)
		}
		p.stop()
	})
}

// TestOutboxFloodOfDeadLetters: who has many dead letters pushes out her own, also where another gateway takes over.
func TestOutboxFloodOfDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &told{do: func(context.Context, *review.Notice) error {
			return fmt.Errorf("%w: no such channel", review.ErrRefused)
		}}
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: n})
		dead := func(prefix string) (count int) {
			letters, err := p.DeadLetters(t.Context(), "a")
			require.NoError(t, err)
			require.LessOrEqual(t, len(letters), review.MaxDead)
			for _, l := range letters {
				if strings.HasPrefix(l.Request, prefix) {
					count++
				}
			}
			return count
		}
		p.flood("a", "alice", 20)
		time.Sleep(time.Second)
		p.flood("m", "mallory", review.MaxDead/2)
		p.run()
		time.Sleep(time.Minute)
		require.Equal(t, 20, dead("a"))
		p.stop()
		time.Sleep(time.Second)
		p.flood("n", "mallory", review.MaxDead)
		p.run()
		time.Sleep(time.Minute)
		require.Equal(t, 20, dead("a"))
		require.Equal(t, review.MaxDead-20, dead("n"))
		p.stop()
	})
}

// TestOutboxPanic: a notice on which a channel panics is given up, and those after it are told.
func TestOutboxPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &told{}
		n.answers(func(_ context.Context, of *review.Notice) error {
			if of.Subject() == "bad" {
				panic("hunter2")
			}
			return nil
		})
		p := newPost(t, store.NewMemory(), review.Channel{Name: "a", Notifier: n})
		p.write("bad asked", "good asked")
		p.run()
		time.Sleep(time.Minute)
		require.Equal(t, []string{"good asked"}, n.has())
		letters, err := p.DeadLetters(t.Context(), "a")
		require.NoError(t, err)
		require.Len(t, letters, 1)
		require.Contains(t, letters[0].Failure.Error, "panicked")
		require.Equal(t, 1, p.log.count("telling a channel of a request panicked"))
		require.Zero(t, p.log.count("hunter2"))
		p.stop()
	})
}

// TestOutboxShort: a notice says of a request what fits, without its arguments.
func TestOutboxShort(t *testing.T) {
	o := &review.Outbox{Store: store.NewMemory()}
	require.NoError(t, o.Use([]review.Channel{{Name: "a"}}))
	long := strings.Repeat("\x00ü", 1<<20)
	r := review.Request{ID: "r", Text: long, Reason: long, Message: long, Arguments: []string{"secret"}, Access: &review.Access{Reason: long, Votes: []review.VoteRecord{{Reason: long}}}}
	ws, err := o.Writes(&review.Notice{ID: "n", Request: r})
	require.NoError(t, err)
	require.Len(t, ws, 1)
	require.Less(t, len(ws[0].Body), 128<<10)
	require.NotContains(t, string(ws[0].Body), "secret")
	require.Contains(t, string(ws[0].Body), "bytes more")
	require.Len(t, r.Text, len(long), "the request itself is as it was")
	require.Len(t, r.Access.Votes[0].Reason, len(long))
}
