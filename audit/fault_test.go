package audit

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// disk is what records are written to, with faults.
type disk struct {
	fault   atomic.Pointer[func(f *os.File, b []byte) (int, error)]
	release chan struct{} // ends a write that hangs
}

// faulty gives l a disk, which is good until it breaks.
func faulty(l *Log) *disk {
	d := &disk{release: make(chan struct{})}
	l.write = func(f *os.File, b []byte) (int, error) {
		if fault := d.fault.Load(); fault != nil {
			return (*fault)(f, b)
		}
		return f.Write(b)
	}
	return d
}

func (d *disk) breaks(f func(f *os.File, b []byte) (int, error)) { d.fault.Store(&f) }

func (d *disk) mends() {
	d.fault.Store(nil)
	close(d.release)
}

// faults are the ways in which a disk fails.
func faults(d *disk) map[string]func(f *os.File, b []byte) (int, error) {
	return map[string]func(f *os.File, b []byte) (int, error){
		"full":    func(*os.File, []byte) (int, error) { return 0, syscall.ENOSPC },
		"torn":    func(f *os.File, b []byte) (int, error) { n, _ := f.Write(b[:len(b)/2]); return n, syscall.ENOSPC },
		"panics":  func(*os.File, []byte) (int, error) { panic("hunter2") },
		"blocked": func(f *os.File, b []byte) (int, error) { <-d.release; return f.Write(b) },
		"blocked, then fails": func(*os.File, []byte) (int, error) {
			<-d.release
			return 0, syscall.EIO
		},
	}
}

// A strict log ends the session before its next operation, whatever is wrong
// with the disk, and within the stall time when it does not answer.
func TestAttack65Strict(t *testing.T) {
	for name := range faults(&disk{}) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := openLog(t, dir, Config{Stall: 100 * time.Millisecond})
			d := faulty(l)
			s := newSession(t, l)
			require.False(t, run(s, "SELECT 1").Refuses())
			d.breaks(faults(d)[name])
			asked := make(chan bool, 1)
			go func() { asked <- run(s, "SELECT 2").Refuses() }()
			require.Eventually(t, func() bool { return s.Err() != nil }, 5*time.Second, 5*time.Millisecond)
			var w *WriteError
			require.ErrorAs(t, s.Err(), &w)
			require.NotContains(t, s.Err().Error(), "hunter2")
			d.mends()
			require.True(t, <-asked, "it does not run, even when the disk comes back")
			require.True(t, run(s, "SELECT 3").Refuses())
			s.Close(nil)
			require.NoError(t, l.Close())
		})
	}
}

// A log of best effort goes on, loses what it must, and says so once the disk
// is there again: the record is whole but for that.
func TestAttack65BestEffort(t *testing.T) {
	for name := range faults(&disk{}) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := openLog(t, dir, Config{Stall: 50 * time.Millisecond, BestEffort: true})
			d := faulty(l)
			s := newSession(t, l)
			require.False(t, run(s, "SELECT 1").Refuses())
			d.breaks(faults(d)[name])
			begun := time.Now()
			for range 10 {
				require.False(t, run(s, "SELECT 2").Refuses())
			}
			require.Less(t, time.Since(begun), 5*time.Second)
			require.NoError(t, s.Err())
			d.mends()
			require.Eventually(t, func() bool {
				require.False(t, run(s, "SELECT 3").Refuses())
				return len(of(events(t, dir, s.ID), Degraded)) > 0
			}, 5*time.Second, 5*time.Millisecond)
			s.Close(nil)
			require.NoError(t, l.Close())
			list := events(t, dir, s.ID)
			for i, e := range list {
				require.Equal(t, uint64(i+1), e.Index)
			}
			require.Equal(t, SessionEnd, list[len(list)-1].Type)
			degraded := of(list, Degraded)[0]
			require.GreaterOrEqual(t, degraded.Lost, uint64(15))
			require.NotEmpty(t, degraded.Error)
			r := verify(t, dir, l.PublicKey())
			require.Empty(t, r.Problems)
			require.Empty(t, r.Unproven)
		})
	}
}

// What cannot be recorded is not shown: a recording that fails withholds the
// data, and ends the session.
func TestAttack65Recording(t *testing.T) {
	for _, bestEffort := range []bool{false, true} {
		dir := t.TempDir()
		l := openLog(t, dir, Config{Stall: 50 * time.Millisecond, BestEffort: bestEffort, Recordings: everything})
		d := faulty(l)
		s := newSession(t, l)
		op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "id"}
		require.False(t, s.Ask(t.Context(), op).Refuses())
		g, err := s.Flow(op, &proxy.Shape{Kind: proxy.ShapeRows, Columns: columnsOf("a")})
		require.NoError(t, err)
		d.breaks(func(*os.File, []byte) (int, error) { return 0, syscall.ENOSPC })
		var failed error
		row := proxy.NewRow([][]byte{make([]byte, 100_000)})
		for range 3 {
			failed = errors.Join(failed, g.Row(row))
		}
		require.Equal(t, bestEffort, failed == nil)
		s.Done(op, &proxy.Outcome{})
		require.Equal(t, bestEffort, s.Err() == nil)
		d.mends()
		s.Close(nil)
		require.NoError(t, l.Close())
	}
}

// A disk that does not sync ends strict sessions too.
func TestAttack65Sync(t *testing.T) {
	l := openLog(t, t.TempDir(), Config{Stall: 100 * time.Millisecond})
	release := make(chan struct{})
	blocked := func(*os.File) error { <-release; return nil }
	l.mu.Lock() // settle takes it before it syncs
	l.sync = blocked
	l.mu.Unlock()
	s := newSession(t, l)
	require.Eventually(t, func() bool { return s.Err() != nil }, 5*time.Second, 5*time.Millisecond)
	close(release)
	s.Close(nil)
	require.NoError(t, l.Close())
}
