package review_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/teststore"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// power is a store that a gateway is cut off from between what it records and what it writes: nothing of the gateway happens any more.
type power struct {
	store.Store
	mu     sync.Mutex
	off    bool
	keeps  bool // the write that it is cut off at
	writes int  // until it is cut off
}

func (p *power) Write(ctx context.Context, ws ...store.Write) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.off {
		return 0, errors.New("the power is off")
	}
	if p.writes--; p.writes >= 0 {
		return p.Store.Write(ctx, ws...)
	}
	p.off = true
	if p.keeps {
		if _, err := p.Store.Write(ctx, ws...); err != nil {
			return 0, err
		}
	}
	return 0, errors.New("the power is off")
}

// A gateway that is killed between recording a transition and writing it says at its next start that it was not made; and one that is
// killed after writing it says nothing, whatever was going on.
func TestSettle(t *testing.T) {
	const steps = 6
	teststore.Each(t, func(t *testing.T, st store.Store) {
		for at := range steps {
			for _, keeps := range []bool{false, true} {
				p := &power{Store: st, keeps: keeps, writes: at}
				var recorded []proxy.RequestNote
				d := &desk{}
				d.Desk = &review.Desk{Store: p, Signer: review.Hands("a")[0], Note: func(_ context.Context, n *proxy.Note) error {
					p.mu.Lock()
					defer p.mu.Unlock()
					if !p.off {
						recorded = append(recorded, *n.Request)
					}
					return nil
				}}
				require.NoError(t, d.Load(t.Context()))
				// Until the power is off: access is asked for, approved twice and revoked; another is asked for and denied.
				do := func() error {
					r, err := d.Ask(t.Context(), person("alice"), review.Ask{Resource: "vm1", Terms: accessTerms, Reason: "INC-1"})
					if err != nil {
						return err
					}
					for _, by := range []string{"bob", "olga"} {
						if r, err = d.Approve(t.Context(), r.ID, review.Vote{By: person(by, "ops"), Hash: r.Hash}, review.Narrow{}); err != nil {
							return err
						}
					}
					if _, err = d.Revoke(t.Context(), r.ID, review.Vote{By: person("bob", "ops"), Reason: "x"}, false); err != nil {
						return err
					}
					if r, err = d.Ask(t.Context(), person("alice"), review.Ask{Resource: "vm2", Terms: accessTerms, Reason: "INC-1"}); err != nil {
						return err
					}
					_, err = d.Deny(t.Context(), r.ID, review.Vote{By: person("bob", "ops"), Hash: r.Hash, Reason: "x"})
					return err
				}
				require.Error(t, do())
				require.Len(t, recorded, at+1)

				after := newDeskAt(t, st)
				require.NoError(t, after.Settle(t.Context(), recorded, never))
				var want []proxy.RequestNote
				if !keeps {
					last := recorded[at]
					last.State, last.Signed, last.Reason = review.Undone, "", "the gateway stopped before the store had it"
					want = []proxy.RequestNote{last}
				}
				require.Equal(t, want, after.notes, "step %d, kept: %v", at, keeps)

				// What a store does not have any more was done, but for requests that were to be made.
				for doc, err := range store.All(t.Context(), st, review.KindRequest, "") {
					require.NoError(t, err)
					_, err = st.Write(t.Context(), store.Delete(doc))
					require.NoError(t, err)
				}
				after.notes = nil
				require.NoError(t, after.Settle(t.Context(), recorded, never))
				for _, n := range after.notes {
					require.Equal(t, review.Undone, n.State)
				}
				made := 0
				for _, n := range recorded {
					if n.State == string(review.Pending) {
						made++
					}
				}
				require.Len(t, after.notes, made, "requests that were to be made, and are not there")
			}
		}
	})
}

// never says that no operation has begun.
func never(string, uint64) bool { return false }

// An approval that was used before the gateway's end is not used again, although the store was set back to before: what began is on
// record. One that was recorded as used, and did not begin, is still good.
func TestStoreSetBack(t *testing.T) {
	for _, began := range []bool{false, true} {
		for _, away := range []bool{false, true} {
			st := store.NewMemory()
			d := newDeskAt(t, st)
			r := d.held(t, del("DELETE FROM t"))
			d.votes(t, &r, "bob")
			before, err := st.Get(t.Context(), review.KindRequest, r.ID)
			require.NoError(t, err)
			s := d.session(t, ops)
			require.False(t, s.Ask(s.Context(), del("DELETE FROM t")).Refuses())
			used := d.notes[len(d.notes)-1]
			require.Equal(t, string(review.Used), used.State)
			setBack := func() {
				now, err := st.Get(t.Context(), review.KindRequest, r.ID)
				if err != nil {
					now = before
					now.Version = 0
					_, err = st.Write(t.Context(), store.Create(now))
				} else {
					now.Body = before.Body
					_, err = st.Write(t.Context(), store.Replace(now))
				}
				require.NoError(t, err)
			}
			if away { // and comes back later
				now, err := st.Get(t.Context(), review.KindRequest, r.ID)
				require.NoError(t, err)
				_, err = st.Write(t.Context(), store.Delete(now))
				require.NoError(t, err)
			} else {
				setBack()
			}
			after := newDeskAt(t, st)
			require.NoError(t, after.Settle(t.Context(), []proxy.RequestNote{used}, func(session string, op uint64) bool {
				return began && session == used.Session && op == used.Operation
			}))
			if away {
				setBack()
				require.NoError(t, after.Follow(t.Context(), r.ID))
			}
			s = after.session(t, ops)
			if began {
				fresh, verdict := after.asking(t, s, del("DELETE FROM t"))
				require.NotEqual(t, r.ID, fresh.ID)
				s.CancelHolds()
				require.True(t, (<-verdict).Refuses())
				continue
			}
			require.Equal(t, r.ID+" by bob", s.Ask(s.Context(), del("DELETE FROM t")).Grant)
		}
	}
}

// What the record has as over, or as opening a session, does not count again after a restart, although the store was set back to before:
// also when it comes back only later.
func TestStoreSetBackRevivesNothing(t *testing.T) {
	once := accessTerms
	once.Uses = 1
	bob := review.Vote{By: person("bob", "ops"), Reason: "x"}
	vm1 := proxy.Target{Resource: &proxy.Resource{Name: "vm1"}}
	for event, end := range map[string]func(d *desk, r *review.Request) (*review.Request, error){
		"revoked": func(d *desk, r *review.Request) (*review.Request, error) {
			return d.Revoke(t.Context(), r.ID, bob, false)
		},
		"cancelled": func(d *desk, r *review.Request) (*review.Request, error) {
			return d.Cancel(t.Context(), r.ID, person("alice"))
		},
		"opened": func(d *desk, r *review.Request) (*review.Request, error) {
			return r, d.Open(t.Context(), r.ID, "session")
		},
		"denied": func(d *desk, r *review.Request) (*review.Request, error) {
			v := bob
			v.Hash = r.Hash
			return d.Deny(t.Context(), r.ID, v)
		},
	} {
		for _, away := range []bool{false, true} {
			st := store.NewMemory()
			d := newDeskAt(t, st)
			r, err := d.Ask(t.Context(), person("alice"), review.Ask{Resource: "vm1", Terms: once, Reason: "INC-1"})
			require.NoError(t, err)
			if event != "denied" {
				r = d.votes(t, d.votes(t, r, "bob"), "olga")
			}
			before, err := st.Get(t.Context(), review.KindRequest, r.ID)
			require.NoError(t, err)
			_, err = end(d, r)
			require.NoError(t, err)
			require.Equal(t, event, d.notes[len(d.notes)-1].State)
			now, err := st.Get(t.Context(), review.KindRequest, r.ID)
			require.NoError(t, err)
			if away {
				_, err = st.Write(t.Context(), store.Delete(now))
			} else {
				before.Version = now.Version
				_, err = st.Write(t.Context(), store.Replace(before))
			}
			require.NoError(t, err)

			after := newDeskAt(t, st)
			require.NoError(t, after.Settle(t.Context(), d.notes, never))
			if away {
				before.Version = 0
				_, err = st.Write(t.Context(), store.Create(before))
				require.NoError(t, err)
			}
			require.NoError(t, after.Follow(t.Context(), r.ID))
			_, _, _, ok := after.Granted(person("alice"), vm1, "prod")
			require.False(t, ok, "%s, away: %v", event, away)
			if away {
				_, err = after.Approve(t.Context(), r.ID, review.Vote{By: person("otto", "ops"), Hash: r.Hash}, review.Narrow{})
				require.ErrorContains(t, err, "is over", event)
				continue
			}
			go after.Run(t.Context())
			require.Eventually(t, func() bool {
				r, err := after.Get(t.Context(), r.ID) // as the store has it
				return err == nil && (r.State == review.Revoked || r.State == review.Cancelled)
			}, 10*time.Second, 10*time.Millisecond, event)
		}
	}
}

// What a store cannot say whether it has kept is looked at.
func TestUncertain(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		st := store.NewMemory()
		d := signingDesk(t, st, review.Hands("a")[0])
		r := d.asks(t)
		d.Store = &uncertain{st, keeps}
		_, err := d.Approve(t.Context(), r.ID, review.Vote{By: person("bob", "ops"), Hash: r.Hash}, review.Narrow{})
		got, gerr := d.Get(t.Context(), r.ID)
		require.NoError(t, gerr)
		if keeps {
			require.NoError(t, err)
			require.Len(t, got.Access.Votes, 1)
			require.Equal(t, "pending voted", d.told())
		} else {
			require.ErrorIs(t, err, store.ErrUncertain)
			require.Empty(t, got.Access.Votes)
			require.Equal(t, "pending voted undone", d.told())
		}
	}
}

// uncertain is a store whose answers are lost.
type uncertain struct {
	store.Store
	keeps bool
}

func (u *uncertain) Write(ctx context.Context, ws ...store.Write) (int64, error) {
	if u.keeps {
		if _, err := u.Store.Write(ctx, ws...); err != nil {
			return 0, err
		}
	}
	return 0, store.ErrUncertain
}

// TestMarkUnknown: what was used when the gateway was killed is marked, once, when the record does not say how it ended; who sends the same
// again is told, as is who approves that, until it has run as it should.
func TestMarkUnknown(t *testing.T) {
	teststore.Each(t, func(t *testing.T, st store.Store) {
		d := newDeskAt(t, st)
		runs := func(op proxy.Op) review.Request {
			t.Helper()
			r := d.held(t, op)
			require.NoError(t, d.approve(r))
			s := d.session(t, ops)
			v := s.Ask(s.Context(), op)
			require.False(t, v.Refuses(), v.Message())
			got, err := d.Get(t.Context(), r.ID)
			require.NoError(t, err)
			require.Equal(t, review.Used, got.State)
			return *got
		}
		lost, known := runs(del("DELETE FROM t")), runs(del("DELETE FROM u"))
		var recorded []proxy.RequestNote
		for _, r := range []review.Request{lost, known} {
			recorded = append(recorded, proxy.RequestNote{ID: r.ID, State: string(review.Used), Session: r.Use.Session, Operation: r.Use.Operation})
		}
		recorded = append(recorded, proxy.RequestNote{ID: "nothing", State: string(review.Used), Session: "x"})
		ended := func(session string, _ uint64) bool { return session == known.Use.Session }
		for range 2 { // also at the start after the next
			d = newDeskAt(t, st)
			require.NoError(t, d.MarkUnknown(t.Context(), recorded, ended))
		}
		require.Empty(t, d.told(), "once")
		for id, want := range map[string]review.State{lost.ID: review.Unknown, known.ID: review.Used} {
			got, err := d.Get(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, want, got.State)
		}
		other := d.held(t, del("DELETE FROM u"))
		require.Empty(t, other.After)
		again := d.held(t, del("DELETE FROM t"))
		require.Equal(t, lost.ID, again.After)
		require.Contains(t, again.Lines(), "it may have run already: request "+lost.ID)
		require.NoError(t, d.approve(again))
		s := d.session(t, ops)
		require.Equal(t, again.ID+" by bob", s.Ask(s.Context(), del("DELETE FROM t")).Grant)
		require.Empty(t, d.held(t, del("DELETE FROM t")).After)
	})
}
