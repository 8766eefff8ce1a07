package audit

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// faults are the ways in which a disk fails.
func faults(d *lab) map[string]func() (torn bool, err error) {
	return map[string]func() (torn bool, err error){
		"full":    full,
		"torn":    func() (bool, error) { return true, syscall.ENOSPC },
		"panics":  func() (bool, error) { panic("hunter2") },
		"blocked": func() (bool, error) { <-d.release; return false, nil },
		"blocked, then fails": func() (bool, error) {
			<-d.release
			return false, syscall.EIO
		},
	}
}

// A strict log ends the session before its next operation, whatever is wrong
// with the disk, and within the stall time when it does not answer.
func TestAttack65Strict(t *testing.T) {
	for name := range faults(&lab{}) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := newLab()
			l := openOn(t, d, dir, Config{Stall: 100 * time.Millisecond})
			s := newSession(t, l)
			require.False(t, run(s, "SELECT 1").Refuses())
			d.breaks(writes(faults(d)[name]))
			asked := make(chan bool, 1)
			go func() { asked <- run(s, "SELECT 2").Refuses() }()
			require.Eventually(t, func() bool { return s.Err() != nil }, 30*time.Second, 5*time.Millisecond)
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
	for name := range faults(&lab{}) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := newLab()
			l := openOn(t, d, dir, Config{Stall: 50 * time.Millisecond, BestEffort: true})
			s := newSession(t, l)
			require.False(t, run(s, "SELECT 1").Refuses())
			d.breaks(writes(faults(d)[name]))
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
			}, 30*time.Second, 5*time.Millisecond)
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
		d := newLab()
		l := openOn(t, d, dir, Config{Stall: 50 * time.Millisecond, BestEffort: bestEffort, Recordings: everything})
		s := newSession(t, l)
		op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "id"}
		require.False(t, s.Ask(t.Context(), op).Refuses())
		g, err := s.Flow(op, &proxy.Shape{Kind: proxy.ShapeRows, Columns: columnsOf("a")})
		require.NoError(t, err)
		d.breaks(writes(full))
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
	d := newLab()
	l := openOn(t, d, t.TempDir(), Config{Stall: 100 * time.Millisecond})
	d.breaks(func(c call) (bool, error) {
		if c.op == "sync" {
			<-d.release
		}
		return false, nil
	})
	s := newSession(t, l)
	require.Eventually(t, func() bool { return s.Err() != nil }, 30*time.Second, 5*time.Millisecond)
	d.mends()
	s.Close(nil)
	require.NoError(t, l.Close())
}
