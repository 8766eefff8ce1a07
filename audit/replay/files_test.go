package replay_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/replay"
)

func sequence(list ...*audit.Event) iter.Seq2[*audit.Event, error] {
	return func(yield func(*audit.Event, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func failing(err error) iter.Seq2[*audit.Event, error] {
	return func(yield func(*audit.Event, error) bool) { yield(nil, err) }
}

func row(values ...string) []*string {
	r := make([]*string, len(values))
	for i := range values {
		if values[i] != "NULL" {
			r[i] = &values[i]
		}
	}
	return r
}

func ExampleCSV() {
	// Events come from audit.Record.From, for instance.
	events := sequence(
		&audit.Event{Type: audit.RecordingStart, Op: 2, Stream: "rows", Columns: []string{"id", "email"}},
		&audit.Event{Type: audit.RecordingRows, Op: 2, Stream: "rows", Values: [][]*string{row("1", "a***@example.com"), row("2", "NULL")}},
		&audit.Event{Type: audit.RecordingEnd, Op: 2, Stream: "rows", Rows: 5},
	)
	written, all, err := replay.CSV(os.Stdout, events, 0)
	fmt.Println(written, "of", all, "rows,", err)
	// Output:
	// id,email
	// 1,a***@example.com
	// 2,
	// 2 of 5 rows, <nil>
}

func TestCSV(t *testing.T) {
	result := func(op uint64, stream string, value string) []*audit.Event {
		return []*audit.Event{
			{Type: audit.RecordingStart, Op: op, Stream: stream, Columns: []string{"c"}},
			{Type: audit.RecordingRows, Op: op, Stream: stream, Values: [][]*string{row(value)}},
			{Type: audit.RecordingEnd, Op: op, Stream: stream, Rows: 2},
		}
	}
	var events []*audit.Event
	events = append(events, result(1, "stdout", "no")...)
	events = append(events, result(2, "rows", "a,b")...)
	events = append(events, result(3, "copy", "c")...)
	events = append(events, result(2, "rows", "d")...)
	for _, c := range []struct {
		name         string
		op           uint64
		want         string
		written, all uint64
		err          error
	}{
		{"the first, with its other results", 0, "c\n\"a,b\"\nc\nd\n", 2, 4, nil},
		{"one that is named", 3, "c\nc\n", 1, 2, nil},
		{"not rows", 1, "", 0, 0, replay.ErrNotRecorded},
		{"not there", 9, "", 0, 0, replay.ErrNotRecorded},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			written, all, err := replay.CSV(&b, sequence(events...), c.op)
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.want, b.String())
			require.Equal(t, []uint64{c.written, c.all}, []uint64{written, all})
		})
	}
	broken := errors.New("broken")
	_, _, err := replay.CSV(&bytes.Buffer{}, failing(broken), 0)
	require.ErrorIs(t, err, broken)
}

// TestCSVFormulas: nothing that a user or a database wrote is a formula when the rows are opened in a spreadsheet, nor are the
// names of columns; numbers stay numbers.
func TestCSVFormulas(t *testing.T) {
	var b bytes.Buffer
	_, _, err := replay.CSV(&b, sequence(
		&audit.Event{Type: audit.RecordingStart, Op: 1, Stream: "rows", Columns: []string{"=name", "n"}},
		&audit.Event{Type: audit.RecordingRows, Op: 1, Stream: "rows", Values: [][]*string{
			row("=HYPERLINK(\"http://a\")", "-5"), row("+1+1", "1"), row("-1-1", "+1.5"), row("@SUM(A1)", "1"), row("\t=1", "1"), row("\r=1", "1"),
		}},
		&audit.Event{Type: audit.RecordingEnd, Op: 1, Stream: "rows", Rows: 6},
	), 0)
	require.NoError(t, err)
	require.Equal(t, "'=name,n\n\"'=HYPERLINK(\"\"http://a\"\")\",-5\n'+1+1,1\n'-1-1,+1.5\n'@SUM(A1),1\n'\t=1,1\n\"'\r=1\",1\n", b.String())
}

func TestOriginal(t *testing.T) {
	const begins = "age-encryption.org/v1\n"
	piece := func(op uint64, stream, content string) *audit.Event {
		return &audit.Event{Type: audit.RecordingOriginal, Op: op, Stream: stream, Base64: []byte(content)}
	}
	events := []*audit.Event{
		{Type: audit.RecordingRows, Op: 2, Stream: "rows"},
		piece(2, "rows", begins+"a"), piece(3, "stdout", begins+"x"), piece(2, "rows", "b"), piece(3, "stderr", begins+"z"), piece(3, "stdout", "y"),
		piece(2, "rows", begins+"another result"), piece(2, "rows", "c"),
	}
	for _, c := range []struct {
		name string
		op   uint64
		want string
		err  error
	}{
		{"the first, without its other results", 0, begins + "ab", nil},
		{"one that is named", 3, begins + "xy", nil},
		{"not there", 9, "", replay.ErrNotRecorded},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			require.ErrorIs(t, replay.Original(&b, sequence(events...), c.op), c.err)
			require.Equal(t, c.want, b.String())
		})
	}
	broken := errors.New("broken")
	require.ErrorIs(t, replay.Original(&bytes.Buffer{}, failing(broken), 0), broken)
}

func TestFirst(t *testing.T) {
	terminal := func(e *audit.Event) bool { return e.Stream == "terminal" }
	events := []*audit.Event{
		{Type: audit.RecordingStart, Op: 2, Stream: "stdout"},
		{Type: audit.RecordingOutput, Op: 3, Stream: "terminal"},
		{Type: audit.RecordingStart, Op: 4, Stream: "terminal"},
		{Type: audit.RecordingStart, Op: 5, Stream: "terminal"},
	}
	for _, c := range []struct {
		name string
		op   uint64
		want *audit.Event
	}{
		{"any operation's", 0, events[2]},
		{"one operation's", 5, events[3]},
		{"another stream's", 2, nil},
		{"not begun", 3, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := replay.First(sequence(events...), c.op, terminal)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	broken := errors.New("broken")
	_, err := replay.First(failing(broken), 0, terminal)
	require.ErrorIs(t, err, broken)
}
