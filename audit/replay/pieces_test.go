package replay_test

import (
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/replay"
)

// tape are events of a session, a second apart.
func tape(events ...audit.Event) iter.Seq2[*audit.Event, error] {
	return func(yield func(*audit.Event, error) bool) {
		for i := range events {
			events[i].Index = uint64(i + 1)
			events[i].Time = time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC).Format(time.RFC3339Nano)
			if !yield(&events[i], nil) {
				return
			}
		}
	}
}

func shows(op uint64, text string) audit.Event {
	return audit.Event{Type: audit.RecordingOutput, Op: op, Stream: "terminal", Data: text}
}

func begins(op uint64, stream string) audit.Event {
	return audit.Event{Type: audit.RecordingStart, Op: op, Stream: stream, Width: 80, Height: 24}
}

// A recording comes in pieces with their times, without what does more than to draw.
func TestPieces(t *testing.T) {
	events := tape(
		audit.Event{Type: audit.SessionStart}, begins(7, "terminal"), shows(7, "a\x1b]52;c;aGVsbG8=\x07b"), shows(8, "another's"),
		shows(7, "\x1b[6n"), audit.Event{Type: audit.RecordingOutput, Op: 7, Stream: "terminal", Base64: []byte("\xe2\x82")},
		audit.Event{Type: audit.RecordingOutput, Op: 7, Stream: "terminal", Base64: []byte("\xac!")},
		audit.Event{Type: audit.RecordingInput, Op: 7, Stream: "terminal", Data: "ls"}, audit.Event{Type: audit.RecordingResize, Op: 7, Width: 100, Height: 30},
		audit.Event{Type: audit.RecordingEnd, Op: 7, Stream: "terminal"}, shows(7, "after the end"),
	)
	start, err := replay.First(events, 0, func(*audit.Event) bool { return true })
	require.NoError(t, err)
	var got []replay.Piece
	for p, err := range replay.Pieces(events, start) {
		require.NoError(t, err)
		got = append(got, p)
	}
	require.Equal(t, []replay.Piece{
		{At: time.Second, Output: "ab"}, {At: 5 * time.Second, Output: "€!"}, {At: 6 * time.Second, Input: "ls"}, {At: 7 * time.Second, Width: 100, Height: 30},
	}, got)
}

// A text is found wherever it was shown, however it was cut and coloured, with its line.
func TestFind(t *testing.T) {
	events := func() iter.Seq2[*audit.Event, error] {
		return tape(
			begins(1, "terminal"), shows(1, "$ ls\r\nSec"), shows(1, "\x1b[31mret\x1b[0m.txt  other\r\n$ cat sec"), shows(1, "ret.txt\r\n"),
			begins(2, "stdout"), audit.Event{Type: audit.RecordingOutput, Op: 2, Stream: "stdout", Data: "a secret, and a secret\n"},
			begins(3, "rows"), audit.Event{Type: audit.RecordingOutput, Op: 3, Stream: "rows", Data: "secret"},
		)
	}
	hits, err := replay.Find(events(), 0, "secret", 100)
	require.NoError(t, err)
	require.Len(t, hits, 4)
	require.Equal(t, replay.Hit{Op: 1, At: 2 * time.Second, Line: "Secret.txt  other"}, hits[0])
	require.Equal(t, time.Duration(3)*time.Second, hits[1].At)
	require.Contains(t, hits[1].Line, "secret.txt")
	require.Equal(t, replay.Hit{Op: 2, At: time.Second, Line: "a secret, and a secret"}, hits[2])
	hits, err = replay.Find(events(), 2, "SECRET", 1)
	require.NoError(t, err)
	require.Len(t, hits, 1)
	for _, none := range []string{"", "nothing"} {
		hits, err = replay.Find(events(), 0, none, 100)
		require.NoError(t, err)
		require.Empty(t, hits)
	}
	// What was shown long ago is not kept, and a text that is cut is found all the same.
	var long []audit.Event
	for i := range 2000 {
		long = append(long, shows(1, fmt.Sprintf("line %d of a long text\r\nneed", i)), shows(1, "le\r\n"))
	}
	hits, err = replay.Find(tape(append([]audit.Event{begins(1, "terminal")}, long...)...), 0, "needle", 5000)
	require.NoError(t, err)
	require.Len(t, hits, 2000)
	hits, err = replay.Find(tape(begins(1, "terminal"), shows(1, strings.Repeat("İ", 5000)+"needle"), shows(1, strings.Repeat("İ", 5000))), 0, "needle", 10)
	require.NoError(t, err)
	require.Len(t, hits, 1)
}
