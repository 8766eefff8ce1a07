package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// drain is a sink in memory.
type drain struct {
	name string

	mu       sync.Mutex
	down     error
	maxBatch int
	got      []Outgoing
	calls    int
}

func (d *drain) Name() string { return d.name }

func (d *drain) Deliver(_ context.Context, batch []Outgoing) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	if d.down != nil {
		return d.down
	}
	if d.maxBatch > 0 && len(batch) > d.maxBatch {
		return &TooLargeError{errors.New("too many")}
	}
	if d.maxBatch > 0 && strings.Contains(string(batch[0].JSON), "too large for anybody") {
		return &TooLargeError{errors.New("too large")}
	}
	for _, r := range batch {
		r.JSON = append([]byte(nil), r.JSON...)
		d.got = append(d.got, r)
	}
	return nil
}

func (d *drain) set(down error) {
	d.mu.Lock()
	d.down = down
	d.mu.Unlock()
}

func (d *drain) records() []Outgoing {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Outgoing(nil), d.got...)
}

// of returns the indexes that came of a session, in order.
func (d *drain) of(id string) []uint64 {
	var list []uint64
	for _, r := range d.records() {
		if r.Session == id {
			list = append(list, r.Index)
		}
	}
	return list
}

func upTo(n int) []uint64 {
	list := make([]uint64, n)
	for i := range list {
		list[i] = uint64(i + 1)
	}
	return list
}

func feed(t *testing.T, l *Log, s Sink, c FeedConfig) *Feed {
	t.Helper()
	f, err := l.Feed(s, c)
	require.NoError(t, err)
	return f
}

// Events come while a session is open, once it is on the disk, in order, with who and where.
func TestFeed(t *testing.T) {
	for _, d := range []Durability{Group, OS, Each} {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			l := openLog(t, t.TempDir(), Config{Durability: d})
			sink := &drain{name: "collector"}
			f := feed(t, l, sink, FeedConfig{})
			_, err := l.Feed(&drain{name: "collector"}, FeedConfig{})
			require.ErrorContains(t, err, "two sinks")
			s := newSession(t, l)
			run(s, "SELECT 1")
			require.Eventually(t, func() bool { return len(sink.of(s.ID)) == 5 }, 30*time.Second, 5*time.Millisecond)
			run(s, "SELECT 2")
			require.Eventually(t, func() bool { return len(sink.of(s.ID)) == 7 }, 30*time.Second, 5*time.Millisecond)
			s.Close(nil)
			own := l.own.id
			require.NoError(t, l.Close())
			require.Equal(t, upTo(8), sink.of(s.ID))
			require.Equal(t, upTo(2), sink.of(own), "and the gateway's own, to the last")
			require.Equal(t, uint64(10), f.Stats().Delivered)
			require.Zero(t, f.Stats().Waiting)
			require.True(t, f.Stats().Since.IsZero())
			for _, r := range sink.records() {
				var line struct{ Record, User, Resource, Type string }
				require.NoError(t, json.Unmarshal(r.Append(nil), &line))
				require.Equal(t, r.Session, line.Record)
				require.Equal(t, r.Type, line.Type)
				if r.Session == s.ID {
					require.Equal(t, "alice", line.User)
					require.Equal(t, "shop", line.Resource)
				}
			}
		})
	}
}

// A sink that is down holds up nobody, and gets everything when it is back, also
// after restarts of the gateway; what it had does not come again.
func TestFeedCatchesUp(t *testing.T) {
	dir := t.TempDir()
	sink := &drain{name: "collector"}
	var ids []string
	session := func(l *Log, statements int) {
		s := newSession(t, l)
		for range statements {
			require.False(t, run(s, "SELECT 1").Refuses())
		}
		s.Close(nil)
		ids = append(ids, s.ID)
	}
	l := openLog(t, dir, Config{})
	feed(t, l, sink, FeedConfig{})
	session(l, 1)
	require.NoError(t, l.Close())

	sink.set(errors.New("down"))
	l = openLog(t, dir, Config{})
	f := feed(t, l, sink, FeedConfig{Drain: time.Millisecond})
	begun := time.Now()
	session(l, 1000)
	open := newSession(t, l) // is open when the gateway stops
	run(open, "SELECT 1")
	require.Less(t, time.Since(begun), 20*time.Second)
	require.Eventually(t, func() bool { return f.Stats().Failures > 0 }, 30*time.Second, time.Millisecond)
	require.False(t, f.Stats().Since.IsZero())
	require.NoError(t, l.Close())
	before := len(sink.records())

	l = openLog(t, dir, Config{}) // without the sink: nothing is forgotten
	session(l, 2)
	require.NoError(t, l.Close())

	sink.set(nil)
	l = openLog(t, dir, Config{})
	feed(t, l, sink, FeedConfig{})
	session(l, 3)
	require.NoError(t, l.Close())
	for i, n := range []int{6, 2004, 8, 10} {
		require.Equal(t, upTo(n), sink.of(ids[i]), "session %d", i)
	}
	require.Equal(t, upTo(6), sink.of(open.ID), "with what its recovery added")
	total := len(sink.records())
	require.Greater(t, total-before, 2000)

	l = openLog(t, dir, Config{})
	feed(t, l, sink, FeedConfig{})
	require.NoError(t, l.Close())
	require.Len(t, sink.records(), total+2, "the gateway's start and stop, and nothing again")
}

// A sink can have everything from the start, or only some types of events.
func TestFeedFromStartAndFilter(t *testing.T) {
	dir, _, ids := record(t, 3)
	l := openLog(t, dir, Config{})
	all, some, later := &drain{name: "all"}, &drain{name: "some"}, &drain{name: "later"}
	feed(t, l, all, FeedConfig{FromStart: true})
	feed(t, l, some, FeedConfig{FromStart: true, Only: []string{"session.*", OperationRefused}})
	feed(t, l, later, FeedConfig{})
	_, err := l.Feed(&drain{name: "x"}, FeedConfig{Only: []string{"["}})
	require.Error(t, err)
	_, err = l.Feed(&drain{name: "../x"}, FeedConfig{})
	require.Error(t, err)
	require.NoError(t, l.Close())
	for _, id := range ids {
		require.Equal(t, upTo(7), all.of(id))
		require.Equal(t, []uint64{1, 6, 7}, some.of(id))
		require.Empty(t, later.of(id))
	}
}

// A batch that is too large comes in parts, and what is too large alone is left
// out and said to be.
func TestFeedTooLarge(t *testing.T) {
	l := openLog(t, t.TempDir(), Config{})
	sink := &drain{name: "small", maxBatch: 1}
	f := feed(t, l, sink, FeedConfig{})
	s := newSession(t, l)
	run(s, "SELECT 1")
	run(s, "SELECT 'too large for anybody'")
	run(s, "SELECT 2")
	s.Close(nil)
	own := l.own.id
	require.Eventually(t, func() bool { return f.Stats().LeftOut == 1 }, 30*time.Second, time.Millisecond)
	require.NoError(t, l.Close())
	require.Equal(t, []uint64{1, 2, 3, 4, 5, 7, 8, 9, 10}, sink.of(s.ID))
	text := ""
	for _, r := range sink.records() {
		if r.Session == own {
			text += string(r.JSON)
		}
	}
	require.Contains(t, text, ExportLeftOut)
	require.Contains(t, text, s.ID)
}

// What was erased before a sink got it is left out.
func TestFeedErased(t *testing.T) {
	dir, _, ids := record(t, 2)
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	require.NotNil(t, a)
	path, err := find(dir, ids[0])
	require.NoError(t, err)
	removeFile(t, path+keySuffix)
	l := openLog(t, dir, Config{})
	sink := &drain{name: "all"}
	f := feed(t, l, sink, FeedConfig{FromStart: true})
	require.NoError(t, l.Close())
	require.Empty(t, sink.of(ids[0]))
	require.Equal(t, upTo(7), sink.of(ids[1]))
	require.Zero(t, f.Stats().LeftOut)
}

// What was cut off a sealed record before a sink got it is said to be left out.
func TestFeedCutRecord(t *testing.T) {
	for _, asIs := range []bool{false, true} {
		dir, _, ids := recordWith(t, 2, Config{Uncompressed: asIs})
		path, err := find(dir, ids[0])
		require.NoError(t, err)
		b := read(t, path+recordSuffix)
		write(t, path+recordSuffix, b[:len(b)-1])
		l := openLog(t, dir, Config{})
		sink := &drain{name: "all"}
		f := feed(t, l, sink, FeedConfig{FromStart: true})
		require.NoError(t, l.Close())
		require.Less(t, len(sink.of(ids[0])), 7)
		require.Equal(t, upTo(7), sink.of(ids[1]))
		require.Equal(t, uint64(1), f.Stats().LeftOut)
	}
}

func BenchmarkFeed(b *testing.B) {
	l := openLog(b, b.TempDir(), Config{Durability: OS})
	sink := &count{}
	_, err := l.Feed(sink, FeedConfig{})
	require.NoError(b, err)
	s := newSession(b, l)
	for b.Loop() {
		run(s, "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;")
	}
	s.Close(nil)
	require.NoError(b, l.Close())
	require.GreaterOrEqual(b, sink.n, 2*b.N)
}

type count struct{ n int }

func (*count) Name() string { return "count" }

func (c *count) Deliver(_ context.Context, batch []Outgoing) error {
	c.n += len(batch)
	return nil
}

// That a sink takes nothing, and since when it takes events again, is in the gateway's
// own record, once each; what waited comes then.
func TestFeedLag(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	own := l.own.id
	sink := &drain{name: "siem", down: errors.New("connection refused")}
	feed(t, l, sink, FeedConfig{Lag: 50 * time.Millisecond})
	feed(t, l, &drain{name: "healthy"}, FeedConfig{Lag: 50 * time.Millisecond})
	s := newSession(t, l)
	run(s, "SELECT 1")
	said := func(typ string) []*Event { return of(events(t, dir, own), typ) }
	require.Eventually(t, func() bool { return len(said(ExportLagging)) > 0 }, 20*time.Second, 10*time.Millisecond)
	require.Empty(t, said(ExportResumed))
	before := func() int { sink.mu.Lock(); defer sink.mu.Unlock(); return sink.calls }()
	require.Eventually(t, func() bool { sink.mu.Lock(); defer sink.mu.Unlock(); return sink.calls > before }, 20*time.Second, 10*time.Millisecond)
	sink.set(nil)
	require.Eventually(t, func() bool { return len(said(ExportResumed)) > 0 }, 20*time.Second, 10*time.Millisecond)
	s.Close(nil)
	require.NoError(t, l.Close())
	require.Equal(t, upTo(6), sink.of(s.ID))
	lagging, resumed := said(ExportLagging), said(ExportResumed)
	require.Len(t, lagging, 1)
	require.Len(t, resumed, 1)
	require.Equal(t, "siem: connection refused", lagging[0].Name+": "+lagging[0].Error)
	require.Equal(t, "siem", resumed[0].Name)
	require.Contains(t, fmt.Sprint(sink.of(own)), fmt.Sprint(lagging[0].Index), "the sink is told of it too")
}
