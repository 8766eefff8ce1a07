package review

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/store"
)

// TestVoid: what waits is cancelled and what is granted is revoked when its resource is gone, once it can be, and the reason is told.
func TestVoid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &refusing{Store: store.NewMemory()}
		d := openDesk(t, s, everybody())
		granted := d.asks(t, terms, nil)
		_, err := d.Approve(t.Context(), granted.ID, d.vote(granted, "olga"), Narrow{})
		require.NoError(t, err)
		waits := d.asks(t, terms, nil)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go d.Run(ctx)
		told := make(chan string, 10)
		defer d.Watch("alice", func(id, why string) {
			if id == granted.ID {
				told <- why
			}
		})()
		s.refuse(errors.New("down"))
		for _, id := range []string{granted.ID, waits.ID, "nothing"} {
			d.Void(id, "resource vm1 is not there any more")
		}
		time.Sleep(5 * time.Second)
		s.refuse(nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for id, want := range map[string]State{granted.ID: Revoked, waits.ID: Cancelled} {
			r, err := d.Get(ctx, id)
			require.NoError(t, err)
			require.Equal(t, want, r.State)
			require.Equal(t, "resource vm1 is not there any more", r.Reason)
		}
		require.Empty(t, d.granted("prod"))
		why := <-told
		for why == "" { // that it was granted
			why = <-told
		}
		require.Equal(t, "request "+granted.ID+", by which you were connected, was revoked: resource vm1 is not there any more", why)
		require.Empty(t, d.doubted())
		d.Void(granted.ID, "again")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Empty(t, d.doubted())
		stop()
		synctest.Wait()
	})
}

// doubted are the requests that are to be ended, or to be asked about.
func (d *desk) doubted() map[string]string {
	d.Desk.mu.Lock()
	defer d.Desk.mu.Unlock()
	return maps.Clone(d.doubts)
}

// TestGone: the requests of somebody who is disabled end, also when that happened while no gateway was there, and nothing is granted to
// her; nobody else's do.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		gone, asked := errors.New("nobody knows"), 0
		why := ""
		open := func() *desk {
			d := openDesk(t, s, everybody())
			d.Gone = func(_ context.Context, r *Request) (string, error) {
				asked++
				if r.Requester != "alice" {
					return "", nil
				}
				return why, gone
			}
			return d
		}
		d := open()
		granted := d.asks(t, terms, nil)
		_, err := d.Approve(t.Context(), granted.ID, d.vote(granted, "olga"), Narrow{})
		require.ErrorIs(t, err, gone, "what nobody knows is not granted")
		gone = nil
		_, err = d.Approve(t.Context(), granted.ID, d.vote(granted, "olga"), Narrow{})
		require.NoError(t, err)
		waits := d.asks(t, terms, nil)
		eve, err := d.Ask(t.Context(), d.people.ids["eve"], Ask{Resource: "vm1", Terms: terms, Reason: "x"})
		require.NoError(t, err)

		why = "alice is disabled"
		_, err = d.Approve(t.Context(), waits.ID, d.vote(waits, "olga"), Narrow{})
		require.ErrorContains(t, err, "nobody can be granted this any more: alice is disabled")
		d.resolve(t.Context())
		require.Equal(t, granted.ID, d.granted("prod"), "nobody was told yet")
		asked = 0
		d.Doubt(func(r *Request) bool { return r.Requester == "alice" })
		gone = errors.New("down")
		d.resolve(t.Context())
		require.Equal(t, granted.ID, d.granted("prod"))
		gone = nil
		asked = 0
		d.resolve(t.Context())
		require.Equal(t, 1, asked, "once for all of hers")
		require.Empty(t, d.granted("prod"))
		r, err := d.Get(t.Context(), waits.ID)
		require.NoError(t, err)
		require.Equal(t, Cancelled, r.State)

		why = ""
		granted = d.asks(t, terms, nil)
		_, err = d.Approve(t.Context(), granted.ID, d.vote(granted, "olga"), Narrow{})
		require.NoError(t, err)
		why = "alice is disabled"
		late := open()
		late.resolve(t.Context())
		require.Empty(t, late.granted("prod"))
		r, err = late.Get(t.Context(), eve.ID)
		require.NoError(t, err)
		require.Equal(t, Pending, r.State)
	})
}
