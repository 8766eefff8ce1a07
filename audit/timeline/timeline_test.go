package timeline_test

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/timeline"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

func recorded(list ...*audit.Event) iter.Seq2[*audit.Event, error] {
	return func(yield func(*audit.Event, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func at(seconds int) string {
	return time.Date(2026, 1, 31, 9, 30, seconds, 0, time.UTC).Format("2006-01-02T15:04:05.000000Z07:00")
}

func Example() {
	// Events come from audit.Archive.Events, for instance.
	events := recorded(
		&audit.Event{Time: at(0), Type: audit.SessionStart, User: "alice", Resource: "shop", Database: "orders", Remote: "192.0.2.1:50000"},
		&audit.Event{Time: at(1), Type: audit.OperationStart, Op: 2, Kind: "statement", Text: "SELECT email FROM people"},
		&audit.Event{Time: at(2), Type: audit.OperationEnd, Op: 2, Verdict: "pass", Rows: 3, Micros: 9500, Masked: map[string]uint64{"EMAIL_ADDRESS": 3}},
		&audit.Event{Time: at(3), Type: audit.OperationRefused, Op: 3, Kind: "statement", Text: "DELETE FROM people", Verdict: "deny", Rule: "reads", Reason: "you may read only"},
		&audit.Event{Time: at(4), Type: audit.SessionEnd},
	)
	for x, err := range timeline.Of(events) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(x.After, x.State, x.Took, x.Rows, x.MaskedValues(), x)
	}
	// Output:
	// 0s  0s 0 0 alice at shop/orders, from 192.0.2.1:50000, at 2026-01-31T09:30:00.000000Z
	// 1s done 9.5ms 3 3 SELECT email FROM people
	// 3s refused 0s 0 0 DELETE FROM people: you may read only, rule reads
	// 4s  0s 0 0 end
}

func TestOf(t *testing.T) {
	start := &audit.Event{Time: at(0), Type: audit.SessionStart, User: "alice", Resource: "vm1"}
	for _, c := range []struct {
		name   string
		events []*audit.Event
		want   []string
	}{
		{"operations that overlap", []*audit.Event{
			{Time: at(1), Type: audit.OperationStart, Op: 2, Kind: "exec", Text: "make"},
			{Time: at(2), Type: audit.OperationStart, Op: 3, Kind: "file", Name: "read", Target: "/etc/hosts"},
			{Time: at(3), Type: audit.OperationEnd, Op: 3},
			{Time: at(4), Type: audit.OperationEnd, Op: 2, Code: "2", Error: "exit status"},
		}, []string{"2s done file read /etc/hosts", "1s done exec make: 2 exit status"}},
		{"what was allowed before it was refused", []*audit.Event{
			{Time: at(1), Type: audit.OperationStart, Op: 2, Kind: "exec", Text: "make"},
			{Time: at(2), Type: audit.OperationRefused, Op: 2, Kind: "exec", Text: "make", Reason: "no"},
		}, []string{"2s refused exec make: no"}},
		{"what did not end", []*audit.Event{
			{Time: at(1), Type: audit.OperationStart, Op: 3, Kind: "shell"},
			{Time: at(1), Type: audit.OperationStart, Op: 2, Kind: "statement", Text: "SELECT 1"},
			{Time: at(9), Type: audit.SessionRecovered},
		}, []string{"9s  the gateway stopped before the session ended", "1s unfinished SELECT 1: did not end", "1s unfinished shell: did not end"}},
		{"an end without a beginning", []*audit.Event{{Time: at(1), Type: audit.OperationEnd, Op: 7}}, nil},
		{"what is missing", []*audit.Event{{Time: at(1), Type: audit.Degraded, Lost: 3}}, []string{"1s  the record could not be written for a while: 3 events are missing"}},
		{"an end with a cause", []*audit.Event{{Time: at(1), Type: audit.SessionEnd, Error: "killed"}}, []string{"1s  end: killed"}},
		{"recordings and notes", []*audit.Event{{Type: audit.RecordingOutput, Data: "x"}, {Type: audit.OperationObserved}}, nil},
		{"what a terminal must not get", []*audit.Event{
			{Time: at(1), Type: audit.OperationRefused, Kind: "statement", Text: "SELECT '\x1b[2J'\n;", Reason: "n\ro"},
		}, []string{"1s refused SELECT '␛[2J' ;: n␍o"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for x, err := range timeline.Of(recorded(append([]*audit.Event{start}, c.events...)...)) {
				require.NoError(t, err)
				if x.Kind != timeline.Began {
					got = append(got, fmt.Sprintf("%s %s %s", x.After, x.State, x))
				}
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestOfEndsAfterAnError(t *testing.T) {
	broken := errors.New("broken")
	events := func(yield func(*audit.Event, error) bool) {
		_ = yield(&audit.Event{Time: at(1), Type: audit.OperationStart, Op: 2}, nil) && yield(nil, broken)
	}
	n := 0
	for x, err := range timeline.Of(events) {
		n++
		require.Nil(t, x)
		require.ErrorIs(t, err, broken)
	}
	require.Equal(t, 1, n, "nothing follows the error, not even what did not end")
}

// A timeline can be left at any entry.
func TestOfIsLeft(t *testing.T) {
	events := recorded(&audit.Event{Type: audit.SessionStart}, &audit.Event{Type: audit.OperationStart, Op: 2}, &audit.Event{Type: audit.OperationStart, Op: 3})
	for leave := range 3 {
		n := 0
		for range timeline.Of(events) {
			if n++; n > leave {
				break
			}
		}
		require.Equal(t, leave+1, n)
	}
}

// The entries of a real record have what its operations were.
func TestOfRecord(t *testing.T) {
	dir := t.TempDir()
	l, err := audit.Open(dir, audit.Config{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	s, err := proxytest.Open(&proxy.Gateway{}, l)
	require.NoError(t, err)
	op := proxytest.Statement("SELECT 1", proxy.EffectRead)
	require.False(t, s.Ask(t.Context(), op).Refuses())
	s.Done(op, &proxy.Outcome{Rows: 4})
	s.Close(errors.New("over"))
	require.NoError(t, l.Close())
	a, err := audit.OpenArchive(dir)
	require.NoError(t, err)
	var list []*timeline.Entry
	for x, err := range timeline.Of(a.Events(s.ID)) {
		require.NoError(t, err)
		list = append(list, x)
	}
	require.Len(t, list, 4)
	require.Equal(t, []timeline.Kind{timeline.Began, timeline.Operation, timeline.Operation, timeline.Ended}, []timeline.Kind{list[0].Kind, list[1].Kind, list[2].Kind, list[3].Kind})
	require.Equal(t, []string{"alice", "shop", "connect", "over"}, []string{list[0].User, list[0].Resource, list[1].OpKind, list[3].Error})
	x := list[2]
	require.Equal(t, []any{op.ID, "statement", "SELECT 1", "read", timeline.Done, uint64(4), uint64(0)}, []any{x.Op, x.OpKind, x.Text, x.Effects, x.State, x.Rows, x.MaskedValues()})
	require.False(t, x.Time.Before(list[0].Time))
	for _, err := range timeline.Of(a.Events("00000000000000000000000000")) {
		require.Error(t, err)
	}
}
