package review_test

import (
	"context"
	"errors"
	"sync"
	"testing"

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
				require.NoError(t, after.Settle(t.Context(), recorded))
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
				require.NoError(t, after.Settle(t.Context(), recorded))
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
