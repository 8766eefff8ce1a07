package review

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/store"
)

// gone is a store that does not answer while it is told not to.
type gone struct {
	store.Store
	down atomic.Bool
}

var errGone = errors.New("the store does not answer")

func (g *gone) Get(ctx context.Context, kind, name string) (store.Document, error) {
	if g.down.Load() {
		return store.Document{}, errGone
	}
	return g.Store.Get(ctx, kind, name)
}

func (g *gone) Head(ctx context.Context) (int64, time.Time, error) {
	if g.down.Load() {
		return 0, time.Time{}, errGone
	}
	return g.Store.Head(ctx)
}

func (g *gone) Write(ctx context.Context, ws ...store.Write) (int64, error) {
	if g.down.Load() {
		return 0, errGone
	}
	return g.Store.Write(ctx, ws...)
}

// elsewhere is what the store does not have.
type elsewhere struct {
	mu   sync.Mutex
	list map[string]*Request
}

func (e *elsewhere) get(id string) *Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.list[id]
}

// remembering has a desk keep elsewhere what the store does not have.
func (d *desk) remembering(name string) *elsewhere {
	e := &elsewhere{list: make(map[string]*Request)}
	d.Gateway = name
	d.Unkept = func(r *Request, kept bool) error {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.list[r.ID] = r; kept {
			delete(e.list, r.ID)
		}
		return nil
	}
	return e
}

// failing has notes fail, or not.
func (d *desk) failing(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = err
}

func (d *desk) offline(t *testing.T) *Request {
	t.Helper()
	r, err := d.BreakOffline(d.people.ids["alice"], Ask{Resource: "vm1", Terms: emergency(), Reason: "all is down"}, "offline grant x", Offline{Number: 1, Grant: "x", By: []string{"olga", "otto"}})
	require.NoError(t, err)
	require.Empty(t, d.broken("prod"), "it is not on record yet")
	d.Admit(r)
	return r
}

// TestUnkept: what was taken while the store was down counts at its gateway, however long the store is; it is handed in when the store
// answers, counts nowhere else, and is reviewed.
func TestUnkept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &gone{Store: store.NewMemory()}
		one, two := openDesk(t, s, everybody()), openDesk(t, s.Store, everybody())
		there := one.remembering("one")
		two.remembering("two")
		ctx, stop := context.WithCancel(t.Context())
		defer func() { stop(); synctest.Wait() }()
		s.down.Store(true)
		go one.Run(ctx)
		time.Sleep(10 * time.Minute)
		r := one.offline(t)
		require.Equal(t, r.ID, one.broken("prod"))
		_, _, check, _ := one.Glass(one.people.ids["alice"], vm, "prod")
		require.Zero(t, check, "it need not be asked about again")
		time.Sleep(10 * time.Minute)
		require.Equal(t, r.ID, one.broken("prod"))
		require.Len(t, one.List(), 1)
		got, err := one.Get(t.Context(), r.ID)
		require.NoError(t, err)
		require.Equal(t, Approved, got.State)
		_, err = one.BreakOffline(one.people.ids["alice"], Ask{Resource: "vm1", Terms: emergency(), Reason: "again"}, "x", Offline{})
		require.ErrorAs(t, err, new(*UnreviewedError))

		s.down.Store(false)
		time.Sleep(2 * touchEvery)
		synctest.Wait()
		require.Nil(t, there.get(r.ID), "the store has it")
		one.mu.Lock()
		require.Contains(t, one.notes, "break_glass ")
		one.mu.Unlock()
		require.Equal(t, r.ID, one.broken("prod"))
		two.follows(t, r.ID)
		require.Len(t, two.List(), 1)
		require.Empty(t, two.broken("prod"), "it is for one gateway")
		_, err = two.breaks(nil)
		require.ErrorAs(t, err, new(*UnreviewedError))
		s.down.Store(true)
		time.Sleep(10 * time.Minute)
		require.Equal(t, r.ID, one.broken("prod"), "when it is down again, too")
		s.down.Store(false)
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Empty(t, one.broken("prod"))
		two.follows(t, r.ID)
		_, err = two.Review(t.Context(), r.ID, two.vote(r, "olga"), false, false)
		require.NoError(t, err)
		_, err = two.breaks(nil)
		require.NoError(t, err)
		_, err = one.breaks(nil)
		require.ErrorAs(t, err, new(*UnreviewedError), "it has not heard, and the store says so")
	})
}

// TestUnkeptEnds: it ends on time and is taken back while the store is down, which is handed in, too; a restart has it again.
func TestUnkeptEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &gone{Store: store.NewMemory()}
		d := openDesk(t, s, everybody())
		there := d.remembering("one")
		ctx, stop := context.WithCancel(t.Context())
		defer func() { stop(); synctest.Wait() }()
		s.down.Store(true)
		go d.Run(ctx)
		var said atomic.Int32
		defer d.Watch("alice", func(string, string) { said.Add(1) })()
		r := d.offline(t)
		time.Sleep(time.Hour + 2*time.Second)
		synctest.Wait()
		require.Empty(t, d.broken("prod"))
		require.EqualValues(t, 2, said.Load(), "it has begun, and ended")

		d.people.ids["eve"], d.people.ids["alice"] = d.people.ids["alice"], d.people.ids["eve"]
		other := d.offline(t)
		_, err := d.Revoke(t.Context(), other.ID, d.vote(other, "sven"), false)
		require.ErrorIs(t, err, ErrIneligible)
		_, err = d.Revoke(t.Context(), other.ID, Vote{By: d.people.ids["olga"]}, false)
		require.ErrorIs(t, err, ErrReason)
		d.failing(errors.New("the record is full"))
		got, err := d.Revoke(t.Context(), other.ID, d.vote(other, "olga"), false)
		require.NoError(t, err, "what takes away does not need to be recorded")
		d.failing(nil)
		require.Equal(t, Revoked, got.State)
		require.Empty(t, d.broken("prod"))
		require.Equal(t, Revoked, there.get(other.ID).State)
		_, err = d.Revoke(t.Context(), other.ID, d.vote(other, "olga"), false)
		require.Error(t, err)
		stop()
		synctest.Wait()

		// A restart, when the store answers again.
		s.down.Store(false)
		again := openDesk(t, s, everybody())
		kept := again.remembering("one")
		again.Admit(r)
		again.Admit(there.get(other.ID))
		require.NoError(t, again.Load(t.Context()), "which knows nothing of them")
		require.Len(t, again.List(), 2)
		ctx, stop = context.WithCancel(t.Context())
		defer func() { stop(); synctest.Wait() }()
		go again.Run(ctx)
		time.Sleep(3 * touchEvery)
		synctest.Wait()
		require.Nil(t, kept.get(r.ID))
		require.Nil(t, kept.get(other.ID))
		for id, state := range map[string]State{r.ID: Ended, other.ID: Revoked} {
			doc, err := again.Get(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, ReviewDue, doc.State)
			require.Equal(t, state, doc.Access.Glass.Ended.State)
		}
		again.Admit(r)
		doc, err := again.Get(t.Context(), r.ID)
		require.NoError(t, err)
		require.Equal(t, ReviewDue, doc.State, "what the store has counts")
	})
}

// TestUnkeptTwice: a gateway that dies between handing in and noting that hands in once.
func TestUnkeptTwice(t *testing.T) {
	s := store.NewMemory()
	d := openDesk(t, s, everybody())
	d.remembering("one")
	failing := errors.New("it cannot be noted")
	d.Unkept = func(*Request, bool) error { return failing }
	r := d.offline(t)
	d.handIn(t.Context())
	require.Nil(t, d.notKept(r.ID))
	again := openDesk(t, s, everybody())
	left := again.remembering("one")
	again.known = nil // it has not been read yet
	left.list[r.ID] = r
	again.Admit(r)
	again.handIn(t.Context())
	require.Nil(t, left.get(r.ID))
	require.Nil(t, again.notKept(r.ID))
}
