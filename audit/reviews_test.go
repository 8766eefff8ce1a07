package audit

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// What the run before put on record of requests, and did not take back there, is known at the next start, also when the record went on
// in another one meanwhile.
func TestReviewsOfTheRunBefore(t *testing.T) {
	for _, rotates := range []bool{false, true} {
		dir := t.TempDir()
		l := openLog(t, dir, Config{})
		notes, err := l.Reviews(time.Time{})
		require.NoError(t, err)
		require.Empty(t, notes)
		note := func(state, mark string) proxy.RequestNote {
			n := proxy.RequestNote{
				ID: "r" + mark, State: state, Hash: "h", Requester: "alice", For: "x", Session: "s", Operation: 7, Rules: []string{"big"}, DecidedBy: "bob",
				Channel: "cli", Resource: "orders", Account: "app", Mark: mark, Signed: "grant",
			}
			require.NoError(t, l.Record(t.Context(), &proxy.Note{Kind: proxy.NoteReview, Request: &n}))
			return n
		}
		want := []proxy.RequestNote{note("pending", "1"), note("approved", "2")}
		note("voted", "3")
		if rotates {
			l.own.mu.Lock()
			l.own.day = "2001-01-01"
			l.own.mu.Unlock()
		}
		note("undone", "3")
		note("pending", "") // of a version before
		want = append(want, note("used", "4"), note("revoked", "5"), note("opened", "6"))
		require.NoError(t, l.Close())

		l = openLog(t, dir, Config{})
		notes, err = l.Reviews(time.Time{})
		require.NoError(t, err)
		require.Equal(t, want, notes)
		notes, err = l.Reviews(time.Now())
		require.NoError(t, err)
		require.Equal(t, want[2:], notes, "what takes away, whenever that was")
		// Only those of the run before.
		require.NoError(t, l.Close())
		l = openLog(t, dir, Config{})
		notes, err = l.Reviews(time.Time{})
		require.NoError(t, err)
		require.Empty(t, notes)
		require.NoError(t, l.Close())
	}
}

// So it is after kill -9, whatever of the end of the record is lost.
func TestReviewsAfterACrash(t *testing.T) {
	d := newLab()
	running, left := t.TempDir(), t.TempDir()
	l := openOn(t, d, running, Config{Durability: Each})
	for i := range 3 {
		require.NoError(t, l.Record(t.Context(), &proxy.Note{Kind: proxy.NoteReview, Request: &proxy.RequestNote{ID: fmt.Sprint(i), State: "pending", Mark: fmt.Sprint(i)}}))
	}
	require.Eventually(t, func() bool {
		tail, err := readTail(running, l.PublicKey())
		require.NoError(t, err)
		return tail.Events == 4
	}, 10*time.Second, time.Millisecond)
	d.losePower(t, running, left)
	require.NoError(t, l.Close())
	l = openLog(t, left, Config{})
	defer l.Close()
	notes, err := l.Reviews(time.Time{})
	require.NoError(t, err)
	require.Len(t, notes, 3)
}

func TestStarted(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	s := newSession(t, l)
	run(s, "SELECT 1")
	run(s, "refuse me")
	s.Close(nil)
	require.NoError(t, l.Close())
	l = openLog(t, dir, Config{})
	defer l.Close()
	require.True(t, l.Started(s.ID, 2))
	require.False(t, l.Started(s.ID, 3), "it was refused")
	require.False(t, l.Started(s.ID, 4))
	require.True(t, l.Started("nothing", 1), "nobody knows")
}
