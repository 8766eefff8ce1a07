package review_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// runs has a statement approved that can be undone, and keeps what undoes it, as a handler does.
func (d *desk) runs(t *testing.T) (s *proxy.Session, request string) {
	t.Helper()
	hold := *ops
	hold.Undo = time.Hour
	s = d.session(t, &hold)
	i := threeRows("aa")
	i.Undo = &proxy.Undoable{For: time.Hour}
	op := del("DELETE FROM customers")
	op.Measurer = &measured{Impact: i}
	r, verdict := d.asking(t, s, op)
	require.NoError(t, d.approve(r))
	require.False(t, (<-verdict).Refuses())
	return s, r.ID
}

func image() *proxy.Image {
	key, value := "1", "secret@example.com"
	return &proxy.Image{
		Effect: "delete", Schema: "public", Table: "customers", Keys: 1, Columns: []proxy.ImageColumn{{Name: "id", Type: "int4"}, {Name: "email", Type: "text"}},
		Rows: []proxy.ImageRow{{Values: []*string{&key, &value}}},
	}
}

// What undoes an operation is kept under seal for its own request alone, and is gone when the time is over.
func TestUndoIsSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := store.NewMemory()
		d := newDeskAt(t, st)
		sealer, err := identity.NewSealer(bytes.Repeat([]byte{1}, 32))
		require.NoError(t, err)
		d.Sealer = sealer
		s, id := d.runs(t)
		require.Error(t, d.KeepImage(t.Context(), s, 7, []string{id}, image()), "another operation")
		require.Error(t, d.KeepImage(t.Context(), s, 2, nil, image()))
		require.Error(t, d.KeepImage(t.Context(), s, 2, []string{"unknown"}, image()))
		require.NoError(t, d.KeepImage(t.Context(), s, 2, []string{id}, image()))
		require.Contains(t, d.told(), "undo_kept")
		doc, err := st.Get(t.Context(), review.KindUndo, id)
		require.NoError(t, err)
		for _, hidden := range []string{"secret", "customers", "email", "alice", "ops"} {
			require.NotContains(t, string(doc.Body), hidden)
		}
		u, undo, err := d.Undoing(t.Context(), id, person("alice"))
		require.NoError(t, err)
		require.Equal(t, image(), undo.Image)
		require.Equal(t, 1, u.Rows)
		require.Equal(t, [][]string{{"ops"}}, undo.Hold.Approvers)
		require.Equal(t, time.Hour, undo.Hold.Undo)

		// What somebody has moved to another request, or damaged, undoes nothing.
		moved := doc
		moved.Name, moved.Version = "another", 0
		_, err = st.Write(t.Context(), store.Create(moved))
		require.NoError(t, err)
		_, err = d.Undo(t.Context(), "another")
		require.Error(t, err)
		list, err := d.Undos(t.Context(), func(*review.Undo) bool { return true })
		require.NoError(t, err)
		require.Len(t, list, 1)

		time.Sleep(time.Hour + time.Second)
		_, err = d.Undo(t.Context(), id)
		require.ErrorIs(t, err, review.ErrNoUndo)
		_, _, err = d.Undoing(t.Context(), id, person("alice"))
		require.ErrorIs(t, err, review.ErrNoUndo)
		list, err = d.Undos(t.Context(), func(*review.Undo) bool { return true })
		require.NoError(t, err)
		require.Empty(t, list)
	})
}

// An operation is undone once, whatever begins at the same time and whatever cannot be recorded.
func TestUndoOnce(t *testing.T) {
	d := newDesk(t)
	s, id := d.runs(t)
	require.NoError(t, d.KeepImage(t.Context(), s, 2, []string{id}, image()))
	op := proxytest.Statement("INSERT", proxy.EffectInsert)

	d.fail = errors.New("the disk is full")
	_, undo, err := d.Undoing(t.Context(), id, person("alice"))
	require.NoError(t, err)
	require.ErrorContains(t, undo.Begin(t.Context(), s, op), "could not be recorded")
	d.fail = nil
	before := d.told()

	var wg sync.WaitGroup
	var mu sync.Mutex
	begun := 0
	for range 8 {
		wg.Go(func() {
			_, undo, err := d.Undoing(context.Background(), id, person("alice"))
			if err == nil {
				err = undo.Begin(context.Background(), s, op)
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				begun++
			} else if !errors.Is(err, review.ErrUndone) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, begun)
	// Who was recorded and was not the first is recorded as failed.
	raced, ok := strings.CutPrefix(d.told(), before)
	require.True(t, ok)
	require.Equal(t, 1+strings.Count(raced, " undo_failed"), strings.Count(raced, " undo_begun"), raced)
	require.Equal(t, strings.Count(raced, " "), strings.Count(raced, " undo_failed")+strings.Count(raced, " undo_begun"), raced)
	before = d.told()

	// One that failed can be begun again; another session's end says nothing of it.
	require.NoError(t, d.EndUndo(t.Context(), id, "another", false))
	_, _, err = d.Undoing(t.Context(), id, person("alice"))
	require.ErrorIs(t, err, review.ErrUndone)
	require.NoError(t, d.EndUndo(t.Context(), id, s.ID, false))
	_, undo, err = d.Undoing(t.Context(), id, person("bob"))
	require.NoError(t, err)
	require.NoError(t, undo.Begin(t.Context(), s, op))
	require.NoError(t, d.EndUndo(t.Context(), id, s.ID, true))
	_, _, err = d.Undoing(t.Context(), id, person("alice"))
	require.ErrorIs(t, err, review.ErrUndone)
	u, err := d.Undo(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, review.UndoDone, u.State)
	require.Equal(t, "bob", u.Undone.By)
	require.Equal(t, before+" undo_failed undo_begun undo_done", d.told())
}
