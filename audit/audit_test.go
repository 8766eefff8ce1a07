package audit

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

func events(t testing.TB, dir, id string) []*Event {
	t.Helper()
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	var list []*Event
	for e, err := range a.Events(id) {
		require.NoError(t, err)
		list = append(list, e)
	}
	return list
}

func types(list []*Event) string {
	var names []string
	for _, e := range list {
		names = append(names, e.Type)
	}
	return strings.Join(names, " ")
}

func TestSession(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	s := newSession(t, l)
	require.False(t, run(s, "SELECT 'ü\n\x1b[2J\x00\xff'", proxy.Arg{Value: []byte("a")}, proxy.Arg{}, proxy.Arg{Value: []byte{1, 2}, Binary: true}).Refuses())
	require.True(t, run(s, "refuse me").Refuses())
	s.Close(errors.New("the client left"))
	require.NoError(t, l.Close())

	list := events(t, dir, s.ID)
	require.Equal(t, "session.start operation.start operation.end operation.start operation.end operation.refused session.end", types(list))
	for i, e := range list {
		require.Equal(t, uint64(i+1), e.Index)
		_, err := time.Parse(time.RFC3339Nano, e.Time)
		require.NoError(t, err)
	}
	start := list[0]
	require.Equal(t, []string{s.ID, "alice", "scram", "shop", "shop", "postgres", "127.0.0.1:4711"},
		[]string{start.Session, start.User, start.Method, start.Resource, start.Database, start.Protocol, start.Remote})
	require.Equal(t, []string{"dev"}, start.Groups)
	require.Equal(t, "psql", list[1].Params["application_name"])
	op := list[3]
	require.Equal(t, "SELECT 'ü\n\x1b[2J\x00\ufffd'", op.Text)
	require.Equal(t, `read,delete`, op.Effects)
	require.Equal(t, `public.cust"omers:read`, op.Relations)
	require.Equal(t, "lower", op.Functions)
	require.Equal(t, "0000000000000abc", op.Fingerprint)
	require.Len(t, op.Args, 3)
	require.Equal(t, "a", *op.Args[0])
	require.Nil(t, op.Args[1])
	require.Equal(t, `\x0102`, *op.Args[2])
	end := list[4]
	require.Equal(t, op.Op, end.Op)
	require.Equal(t, uint64(3), end.Rows)
	require.Equal(t, "allow", end.Verdict)
	require.Equal(t, "all", end.Rule)
	refused := list[5]
	require.Equal(t, []string{"deny", "permit", "policy", "no", "it says so", "refuse me"},
		[]string{refused.Verdict, refused.By, refused.Cause, refused.Rule, refused.Reason, refused.Text})
	require.Equal(t, "the client left", list[6].Error)

	a, err := OpenArchive(dir)
	require.NoError(t, err)
	for raw, err := range a.Raw(s.ID) {
		require.NoError(t, err)
		for _, c := range string(raw) { // what a terminal shows is what was recorded
			require.False(t, c < 0x20 || c == 0x7f, "%q", raw)
		}
	}
	require.Empty(t, verify(t, dir, l.PublicKey()).Problems)
}

// What is written is encrypted: no file holds any part of a statement.
func TestAtRest(t *testing.T) {
	dir, _, _ := record(t, 1)
	for _, name := range files(t, dir) {
		require.NotContains(t, string(read(t, name)), "SELECT")
		require.NotContains(t, string(read(t, name)), "alice")
	}
}

func TestPasswordsAreNotRecorded(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	s := newSession(t, l)
	run(s, "ALTER ROLE bob Password 'hunter2'", proxy.Arg{Value: []byte("hunter2")})
	op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "mysql --password=hunter2"}
	require.False(t, s.Ask(context.Background(), op).Refuses())
	s.Done(op, &proxy.Outcome{})
	s.Close(nil)
	require.NoError(t, l.Close())
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	withheld := 0
	for raw, err := range a.Raw(s.ID) {
		require.NoError(t, err)
		require.NotContains(t, string(raw), "hunter2")
		withheld += strings.Count(string(raw), `"withheld":`)
	}
	require.Equal(t, 2, withheld)
}

func TestGatewayEvents(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	l.Event(proxy.Event{Kind: proxy.EventLoginFailed, At: time.Now(), User: "mallory\n\xff", Protocol: "postgres", Err: errors.New("wrong")})
	id := l.own.id
	require.NoError(t, l.Close())
	list := events(t, dir, id)
	require.Equal(t, "gateway.start gateway.login-failed gateway.stop", types(list))
	require.Equal(t, "mallory\n\ufffd", list[1].User)
	require.Equal(t, "wrong", list[1].Error)
}

// A record that cannot be written ends the session before its next operation,
// unless the log is kept by best effort.
func TestDiskFull(t *testing.T) {
	for _, c := range []struct {
		name       string
		bestEffort bool
		fault      func(c call) (bool, error)
	}{
		{"full", false, writes(func() (bool, error) { return true, syscall.ENOSPC })},
		{"full, best effort", true, writes(full)},
		{"sync fails", false, func(c call) (bool, error) { return false, errIf(c.op == "sync", syscall.EIO) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			d := newLab()
			l := openOn(t, d, dir, Config{BestEffort: c.bestEffort, Durability: Each})
			s := newSession(t, l)
			require.False(t, run(s, "SELECT 1").Refuses())
			d.breaks(c.fault)
			v := run(s, "SELECT 2")
			require.Equal(t, !c.bestEffort, v.Refuses())
			require.Equal(t, !c.bestEffort, s.Err() != nil)
			if !c.bestEffort {
				require.Equal(t, proxy.CauseInternal, v.Cause)
				require.NotContains(t, v.Message(), dir)
			}
			s.Close(nil)
			d.mends()
			require.NoError(t, l.Close())

			// What there is was sealed, and says what is missing.
			r := verify(t, dir, l.PublicKey())
			require.Empty(t, r.Problems)
			require.Empty(t, r.Unproven)
			list := events(t, dir, s.ID)
			require.Equal(t, SessionEnd, list[len(list)-1].Type)
			require.Equal(t, Degraded, list[len(list)-2].Type)
			require.NotZero(t, list[len(list)-2].Lost)
		})
	}
}

// A log is closed once, however often somebody does.
func TestCloseTwice(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	again := openLog(t, dir, Config{}) // its lock is another's
	require.NoError(t, l.Close())
	_, err := Open(dir, quiet())
	require.Error(t, err, "the second log has it")
	require.NoError(t, again.Close())
}

// A configuration whose use cannot be recorded is not used: sessions name the one
// before.
func TestConfiguredFails(t *testing.T) {
	dir := t.TempDir()
	d := newLab()
	l := openOn(t, d, dir, Config{BestEffort: true})
	require.NoError(t, l.Configured(Version{Policy: "first"}))
	d.breaks(writes(full))
	require.Error(t, l.Configured(Version{Policy: "second"}))
	require.Equal(t, "first", l.version.Load().Policy)
	d.mends()
	require.NoError(t, l.Configured(Version{Policy: "third"}))
	require.Equal(t, "third", l.version.Load().Policy)
	require.NoError(t, l.Close())
}

// A record that cannot be begun refuses the session.
func TestCannotBegin(t *testing.T) {
	d := newLab()
	l := openOn(t, d, t.TempDir(), Config{})
	d.breaks(writes(full))
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{permit{}, l}, Log: quiet().Log}
	_, _, err := g.Open(context.Background(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "alice"}, Target: proxy.Target{Resource: &proxy.Resource{Name: "shop"}},
	})
	var w *WriteError
	require.ErrorAs(t, err, &w)
	d.mends()
	require.NoError(t, l.Close())
}

func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	_, err := Open(dir, quiet())
	require.ErrorContains(t, err, "has it open: stop that process")
	require.NoError(t, l.Close())
}

// The erased session cannot be read, and the log stays proven.
func TestErasure(t *testing.T) {
	dir, public, ids := record(t, 2)
	l := openLog(t, dir, Config{})
	require.NoError(t, l.Erase(Action{By: &proxy.Identity{Subject: "root"}, Session: ids[0], Reason: "article 17"}))
	require.NoError(t, l.Close())
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	for _, err := range a.Raw(ids[0]) {
		require.ErrorIs(t, err, ErrErased)
		require.ErrorContains(t, err, "by root: article 17")
	}
	r := verify(t, dir, public)
	require.Empty(t, r.Problems)
	require.Equal(t, 1, r.Erased)
	b, err := a.Export(ids[0])
	require.NoError(t, err)
	_, err = b.Verify(public)
	require.NoError(t, err)
}

func TestIdentifiersAreNoPaths(t *testing.T) {
	dir, _, _ := record(t, 1)
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	for _, id := range []string{"", "../../../../../../etc/passwd", strings.Repeat("*", idLen), strings.Repeat(".", idLen)} {
		_, err := a.Export(id)
		require.Error(t, err, id)
	}
	_, err = a.Export(strings.Repeat("0", idLen))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestRecordingAllocatesNothing(t *testing.T) {
	l := openLog(t, t.TempDir(), Config{})
	defer l.Close()
	s := newSession(t, l)
	defer s.Close(nil)
	op := statementOf("SELECT abalance FROM pgbench_accounts WHERE aid = 4711;")
	out := &proxy.Outcome{}
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		s.Ask(context.Background(), op)
		*out = proxy.Outcome{Rows: 1, Tag: "SELECT 1"}
		s.Done(op, out)
	}))
}

func BenchmarkRecord(b *testing.B) {
	for _, d := range []struct {
		name string
		Durability
	}{{"os", OS}, {"group", Group}, {"each", Each}} {
		b.Run(d.name, func(b *testing.B) {
			l := openLog(b, b.TempDir(), Config{Durability: d.Durability})
			defer l.Close()
			s := newSession(b, l)
			defer s.Close(nil)
			op := statementOf("SELECT abalance FROM pgbench_accounts WHERE aid = 4711;")
			out := &proxy.Outcome{}
			b.ReportAllocs()
			begun := cpuTime(b)
			for b.Loop() {
				s.Ask(context.Background(), op)
				*out = proxy.Outcome{Rows: 1, Tag: "SELECT 1"}
				s.Done(op, out)
			}
			b.ReportMetric(float64(cpuTime(b)-begun)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkSustained records 16 sessions at once until all of them are written,
// compact, sealed and on the disk.
func BenchmarkSustained(b *testing.B) {
	for b.Loop() {
		const sessions, operations = 16, 50_000
		l := openLog(b, b.TempDir(), Config{})
		begun, cpu := time.Now(), cpuTime(b)
		var wg sync.WaitGroup
		for range sessions {
			s := newSession(b, l)
			wg.Go(func() {
				op, out := statementOf("SELECT abalance FROM pgbench_accounts WHERE aid = 4711;"), &proxy.Outcome{}
				for range operations {
					s.Ask(context.Background(), op)
					*out = proxy.Outcome{Rows: 1, Tag: "SELECT 1"}
					s.Done(op, out)
				}
				s.Close(nil)
			})
		}
		wg.Wait()
		recorded := time.Since(begun)
		require.NoError(b, l.Close())
		const events = 2 * sessions * operations
		b.ReportMetric(events/recorded.Seconds(), "recorded-events/s")
		b.ReportMetric(events/time.Since(begun).Seconds(), "sealed-events/s")
		b.ReportMetric(float64(cpuTime(b)-cpu)/events, "cpu-ns/event")
	}
}

// cpuTime is what the process has used, whatever else the machine does.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	l := openLog(b, dir, Config{Durability: OS})
	s := newSession(b, l)
	for range 100_000 {
		run(s, "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;")
	}
	s.Close(nil)
	require.NoError(b, l.Close())
	path, err := find(dir, s.ID)
	require.NoError(b, err)
	st, err := os.Stat(path + recordSuffix)
	require.NoError(b, err)
	b.SetBytes(st.Size())
	for b.Loop() {
		require.Empty(b, verify(b, dir, l.PublicKey()).Problems)
	}
}

// Sessions say by which configuration they are judged, from when it is in force.
func TestSessionNamesItsVersion(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	require.NoError(t, l.Configured(Version{Config: "c1", Policy: "p1"}))
	first := newSession(t, l)
	require.NoError(t, l.Configured(Version{Config: "c2", Policy: "p1"}))
	second := newSession(t, l)
	own := l.own.id
	first.Close(nil)
	second.Close(nil)
	require.NoError(t, l.Close())
	require.Equal(t, "c1 p1", events(t, dir, first.ID)[0].Config+" "+events(t, dir, first.ID)[0].Policy)
	require.Equal(t, "c2 p1", events(t, dir, second.ID)[0].Config+" "+events(t, dir, second.ID)[0].Policy)
	require.Equal(t, "gateway.start gateway.config gateway.config gateway.stop", types(events(t, dir, own)))
}

func TestClock(t *testing.T) {
	var c clock
	for _, s := range []string{"2026-11-25T09:27:40.000000Z", "2026-11-25T09:27:40.999999Z", "2026-11-25T09:27:41.000123Z", "2026-11-25T09:27:40.100000Z", "1970-01-01T00:00:00.000000Z"} {
		at, err := time.Parse(time.RFC3339Nano, s)
		require.NoError(t, err)
		require.Equal(t, s, string(c.append(nil, at.In(time.FixedZone("x", 3600)))))
	}
}
