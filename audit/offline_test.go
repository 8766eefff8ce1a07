package audit

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

func countedNote(id string) *proxy.Note {
	return &proxy.Note{Kind: proxy.NoteReview, Request: &proxy.RequestNote{
		ID: id, State: "break_glass", Requester: "alice", Resource: "vm1", Rules: []string{"prod"}, Channel: "offline", Reason: "why", Until: time.Now().Add(time.Hour),
	}}
}

// TestCounted: what was counted is known again after restarts, in new records, and when only its record's end could not be written.
func TestCounted(t *testing.T) {
	for _, c := range []Config{{}, {Durability: OS, BestEffort: true, Unpacked: true}} {
		dir := t.TempDir()
		l := openLog(t, dir, c)
		count := func(want uint64) {
			t.Helper()
			n, err := l.Counted("break_glass")
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		count(0)
		require.NoError(t, l.RecordCounted(countedNote("r1"), 1))
		count(1)
		require.NoError(t, l.Record(t.Context(), countedNote("r2")))
		count(1)
		require.NoError(t, l.RecordCounted(countedNote("r3"), 3))
		other := countedNote("r4")
		other.Request.State = "approved"
		require.NoError(t, l.RecordCounted(other, 9))
		count(3)
		for range 3 {
			l.own.mu.Lock()
			l.own.day = "2001-01-01"
			l.own.mu.Unlock()
			require.NoError(t, l.Act(Action{Type: AdminList}))
			count(3)
			require.NoError(t, l.Close())
			l = openLog(t, dir, c)
			count(3)
		}
		require.NoError(t, l.RecordCounted(countedNote("r5"), 4))
		count(4)
		require.Error(t, l.RecordCounted(countedNote("r6"), 0))
		require.Error(t, l.RecordCounted(&proxy.Note{Kind: proxy.NoteDetokenised}, 5))
		require.NoError(t, l.Close())
		require.Empty(t, verify(t, dir, l.PublicKey()).Problems)
	}
}

// TestCountedIsOnTheDisk: it has outlived the loss of power when the call returns, whatever the log's durability; what the disk refuses is
// an error, best effort or not.
func TestCountedIsOnTheDisk(t *testing.T) {
	dir, disk := t.TempDir(), newLab()
	l := openOn(t, disk, dir, Config{Durability: OS, BestEffort: true})
	require.NoError(t, l.RecordCounted(countedNote("r1"), 1))
	after := t.TempDir()
	disk.losePower(t, dir, after)
	again := openLog(t, after, Config{})
	n, err := again.Counted("break_glass")
	require.NoError(t, err)
	require.Equal(t, uint64(1), n)
	require.NoError(t, again.Close())
	for _, op := range []string{"write", "sync"} {
		disk.breaks(func(c call) (bool, error) {
			if c.op == op {
				return false, syscall.ENOSPC
			}
			return false, nil
		})
		require.ErrorIs(t, l.RecordCounted(countedNote("r2"), 2), syscall.ENOSPC, op)
		disk.breaks(nil)
		require.Eventually(t, func() bool { return l.RecordCounted(countedNote("r3"), 3) == nil }, 10*time.Second, time.Millisecond, op)
	}
	require.NoError(t, l.Close())
}

// TestCountedUnread: a record of the gateway that cannot be read may hold a higher count.
func TestCountedUnread(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{Unpacked: true})
	require.NoError(t, l.RecordCounted(countedNote("r1"), 1))
	first := l.own.id
	require.NoError(t, l.Close())
	path, err := find(dir, first)
	require.NoError(t, err)
	l = openLog(t, dir, Config{Unpacked: true})
	defer l.Close()
	require.NoError(t, l.archive.Reindex(t.Context(), nil)) // as it happens soon after a start
	b := read(t, path+recordSuffix)
	b[len(b)/2] ^= 1
	write(t, path+recordSuffix, b)
	_, err = l.Counted("break_glass")
	require.ErrorContains(t, err, first)
}

// TestNotes: a note is proven by the log that has signed it, for its purpose, as it was.
func TestNotes(t *testing.T) {
	l, other := openLog(t, t.TempDir(), Config{}), openLog(t, t.TempDir(), Config{})
	defer l.Close()
	defer other.Close()
	text := "{\n \"a\": 1\n}\n\nmore\n"
	signed, err := l.SignNote("offline-grant", text)
	require.NoError(t, err)
	got, err := l.OpenNote("offline-grant", signed)
	require.NoError(t, err)
	require.Equal(t, text, got)
	head, err := os.ReadFile(filepath.Join(l.dir, "log", checkpointName))
	require.NoError(t, err)
	tail, err := os.ReadFile(filepath.Join(l.dir, "log", tailName))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		log     *Log
		purpose string
		signed  []byte
	}{
		"of another log":  {other, "offline-grant", signed},
		"for another":     {l, "grant", signed},
		"a part of it":    {l, "offline", signed},
		"changed":         {l, "offline-grant", []byte(strings.Replace(string(signed), "1", "2", 1))},
		"cut":             {l, "offline-grant", signed[:len(signed)-10]},
		"nothing":         {l, "offline-grant", nil},
		"a head":          {l, "offline-grant", head},
		"the end":         {l, "offline-grant", tail},
		"the end, as own": {l, "own-x", tail},
		"too much":        {l, "offline-grant", append(make([]byte, maxNote), signed...)},
	} {
		_, err := c.log.OpenNote(c.purpose, c.signed)
		require.ErrorIs(t, err, ErrNotSigned, name)
	}
	for _, bad := range []string{"", "own", "a/b", "a\nb", "A"} {
		_, err := l.SignNote(bad, text)
		require.Error(t, err, bad)
	}
	_, err = l.SignNote("x", "without its end")
	require.Error(t, err)
	_, err = l.SignNote("x", strings.Repeat("x", maxNote)+"\n")
	require.Error(t, err)
}
