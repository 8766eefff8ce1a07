package audit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/race"
)

// life is what happens to a log in these tests, and what of it was acknowledged.
type life struct {
	t    *testing.T
	lab  *lab
	dir  string
	asIs bool                // records stay as they were written
	acks map[string][]string // texts that were let run, by session

	erased  map[string]bool // sessions that were erased, which was acknowledged
	erasing map[string]bool // sessions that were to be
}

func newLife(t *testing.T) *life {
	return &life{t: t, lab: newLab(), dir: filepath.Join(t.TempDir(), "data", "audit"), acks: make(map[string][]string), erased: make(map[string]bool), erasing: make(map[string]bool)}
}

// open opens the log, which may fail.
func (f *life) open() *Log {
	l, err := tryOpenOn(f.lab, f.dir, Config{Durability: Each, Stall: 200 * time.Millisecond, Uncompressed: f.asIs, packAt: 2})
	if err != nil {
		return nil
	}
	return l
}

// session has a session, which may fail at any step.
func (f *life) session(l *Log, texts ...string) {
	s, err := tryNewSession(l)
	if err != nil {
		return
	}
	for _, text := range texts {
		if !run(s, text).Refuses() {
			f.acks[s.ID] = append(f.acks[s.ID], text)
		}
	}
	s.Close(nil)
}

// live opens, uses and closes the log three times: the second time the sessions of the first are
// packed, and one of them is erased.
func (f *life) live() {
	for _, texts := range [][]string{{"SELECT 1", "SELECT 2"}, {"SELECT 3"}, {"SELECT 4"}} {
		l := f.open()
		if l == nil {
			continue
		}
		l.packs.begin()
		f.erase(l)
		f.session(l, texts...)
		_ = l.Act(Action{Type: AdminKill, Session: "x", Reason: "why"}) // may fail, as everything here
		f.session(l, "SELECT 'second'")
		_ = l.Close()
	}
}

// erase erases one of the sessions that are sealed, unless it has done so.
func (f *life) erase(l *Log) {
	ids, err := l.tree.ids()
	if err != nil || len(f.erasing) > 0 {
		return
	}
	for id := range f.acks {
		if ids[id] {
			f.erasing[id] = true
			f.erased[id] = l.Erase(Action{Session: id, Reason: "why"}) == nil
			return
		}
	}
}

// isSealed reports whether every session of which something was acknowledged is under the
// signed head.
func (f *life) isSealed(l *Log) bool {
	ids, err := l.tree.ids()
	require.NoError(f.t, err)
	for id := range f.acks {
		if !ids[id] {
			return false
		}
	}
	return l.Head().N == int64(len(ids))
}

// requireWhole holds that the log in dir opens, goes on, and has and proves everything that was
// acknowledged.
func (f *life) requireWhole(dir string) {
	t := f.t
	t.Helper()
	l := openOn(t, newLab(), dir, Config{Durability: Each}) // whose syncs cost nothing
	s := newSession(t, l)
	require.False(t, run(s, "SELECT 'after'").Refuses())
	s.Close(nil)
	require.NoError(t, l.Close())
	l = openOn(t, newLab(), dir, Config{packAt: 2}) // once more
	l.packs.begin()
	require.NoError(t, l.Close())
	r := verify(t, dir, l.PublicKey())
	require.Empty(t, r.Problems)
	require.Empty(t, r.Unproven)
	for id, texts := range f.acks {
		if f.erasing[id] {
			_, err := mustArchive(t, dir).Open(id)
			if f.erased[id] {
				require.ErrorIs(t, err, ErrErased)
			}
			if err != nil {
				require.ErrorIs(t, err, ErrErased)
				continue
			}
		}
		var got []string
		for _, e := range events(t, dir, id) {
			if e.Type == OperationStart && e.Kind == "statement" {
				got = append(got, e.Text)
			}
		}
		for _, text := range texts {
			require.Contains(t, got, text)
		}
	}
	for _, pattern := range []string{"sessions/*/.*", "log/.*", ".*"} {
		left, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// callsOf counts the calls of a life without faults.
func callsOf(t *testing.T) int {
	f := newLife(t)
	f.live()
	f.requireWhole(f.dir)
	require.Greater(t, f.lab.count(), 50)
	require.NotEmpty(t, ofDay(t, f.dir, packSuffix))
	require.Len(t, f.erased, 1)
	return f.lab.count()
}

// Whatever single call of the disk fails, and in whatever way: what was acknowledged is
// there and proven, and the log goes on.
func TestEveryFault(t *testing.T) {
	t.Parallel()
	calls := callsOf(t)
	for name, fault := range map[string]struct {
		torn bool
		err  error
	}{"no room for a write": {true, syscall.ENOSPC}, "another call fails": {false, syscall.EIO}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; n <= calls; n += race.Stride() {
				f := newLife(t)
				var hit atomic.Bool
				f.lab.breaks(func(c call) (bool, error) {
					if c.n != n || fault.torn != (c.op == "write") {
						return false, nil
					}
					hit.Store(true)
					return fault.torn, fault.err
				})
				f.live()
				if hit.Load() {
					f.requireWhole(f.dir)
				}
			}
		})
	}
}

// From whatever call on the disk is full: once it has room again everything that ended
// is sealed, without a restart.
func TestEveryFullDisk(t *testing.T) {
	t.Parallel()
	calls := callsOf(t)
	for n := 1; n <= calls; n += 1 + race.Stride() {
		f := newLife(t)
		l := f.open()
		require.NotNil(t, l)
		begun := f.lab.count()
		f.session(l, "SELECT 'before'")
		f.lab.breaks(func(c call) (bool, error) {
			if c.n < begun+n {
				return false, nil
			}
			switch c.op {
			case "write":
				return true, syscall.ENOSPC
			case "open", "mkdir", "rename":
				return false, errIf(strings.HasPrefix(filepath.Base(c.name), ".") || strings.HasSuffix(c.name, keySuffix), syscall.ENOSPC)
			}
			return false, nil
		})
		for range 4 {
			f.session(l, "SELECT 1", "SELECT 2")
		}
		f.lab.breaks(nil)
		f.session(l, "SELECT 'after'")
		require.Eventually(t, func() bool { return f.isSealed(l) }, 20*time.Second, 2*time.Millisecond)
		require.NoError(t, l.Close())
		r := verify(t, f.dir, l.PublicKey())
		require.Empty(t, r.Problems)
		require.Empty(t, r.Unproven)
		f.requireWhole(f.dir)
	}
}

// At whatever call the machine loses power: what was acknowledged as being on the disk
// is there, with its key and its proof, and the log starts.
func TestEveryPowerCut(t *testing.T) {
	t.Parallel()
	calls := callsOf(t)
	for n := 1; n <= calls; n += race.Stride() {
		f := newLife(t)
		errOff := errors.New("the power is off")
		f.lab.breaks(func(c call) (bool, error) { return true, errIf(c.n >= n, errOff) })
		f.live()
		left := filepath.Join(t.TempDir(), "left")
		f.lab.losePower(t, filepath.Dir(f.dir), left)
		f.requireWhole(filepath.Join(left, "audit"))
	}
}

// While the file system is read-only nothing is lost that was acknowledged, and once it can be
// written again everything that ended is sealed, without a restart.
func TestEveryReadOnly(t *testing.T) {
	t.Parallel()
	calls := callsOf(t)
	for n := 1; n <= calls; n += 2 + 3*race.Stride() {
		f := newLife(t)
		l := f.open()
		require.NotNil(t, l)
		f.session(l, "SELECT 'before'")
		begun := f.lab.count()
		f.lab.breaks(func(c call) (bool, error) {
			return false, errIf(c.n >= begun+n && c.op != "sync" && c.op != "sync folder" && c.op != "lock", syscall.EROFS)
		})
		for range 3 {
			f.session(l, "SELECT 1")
			f.erase(l)
		}
		f.lab.breaks(nil)
		f.session(l, "SELECT 'after'")
		require.Eventually(t, func() bool { return f.isSealed(l) }, 20*time.Second, 2*time.Millisecond)
		require.NoError(t, l.Close())
		f.requireWhole(f.dir)
	}
}

// What follows the log keeps its place in files: whichever write of them fails, it is tried again,
// and the log is not held up.
func TestEveryFaultOfFollowers(t *testing.T) {
	t.Parallel()
	follows := func(name string) bool {
		for _, folder := range []string{"export", "copies", witnessFolder} {
			if strings.Contains(name, string(filepath.Separator)+folder) {
				return true
			}
		}
		return false
	}
	// live has a log followed, and fails the n-th call of those who follow; it returns how many there
	// were.
	live := func(n int, torn bool) int64 {
		f := newLife(t)
		var calls atomic.Int64
		f.lab.breaks(func(c call) (bool, error) {
			if !follows(c.name) || calls.Add(1) != int64(n) {
				return false, nil
			}
			return torn, syscall.EIO
		})
		sink, store, heads := &drain{name: "sink"}, newShelf(), newShelf()
		heads.name = "heads"
		follow := func(l *Log) error { // as a gateway that starts
			_, err := l.Feed(sink, FeedConfig{FromStart: true})
			if err == nil {
				_, err = l.Copy(store, FollowConfig{Every: time.Millisecond})
			}
			if err == nil {
				_, err = l.Witness(InStore{heads}, FollowConfig{Every: time.Millisecond})
			}
			return err
		}
		failed := 0
		for {
			l := f.open()
			require.NotNil(t, l)
			err := follow(l)
			f.session(l, "SELECT 1")
			require.NoError(t, l.Close())
			if err == nil {
				break
			}
			require.ErrorIs(t, err, syscall.EIO)
			failed++
			require.Less(t, failed, 2)
		}
		f.lab.breaks(nil)
		f.requireWhole(f.dir)
		l := f.open()
		require.NoError(t, follow(l))
		require.NoError(t, l.Close())
		for id := range f.acks {
			require.NotEmpty(t, sink.of(id))
			require.NotEmpty(t, store.now(recordName(id)))
		}
		for _, o := range []Objects{store, heads} {
			notes, err := CopiedCheckpoints(t.Context(), o)
			require.NoError(t, err)
			require.NotEmpty(t, notes)
		}
		return calls.Load()
	}
	calls := live(0, false)
	require.Greater(t, calls, int64(10))
	for n := 1; int64(n) <= calls; n += race.Stride() {
		live(n, n%2 == 0)
	}
}

// What was written in part is cut off before anything follows it, in every file that
// is appended to.
func TestTornLeaf(t *testing.T) {
	f := newLife(t)
	l := f.open()
	for range 3 {
		f.lab.breaks(func(c call) (bool, error) {
			return true, errIf(c.op == "write" && (filepath.Base(c.name) == "leaves" || filepath.Base(c.name) == "hashes"), syscall.ENOSPC)
		})
		f.session(l, "SELECT 1")
		tries := f.lab.count() + 10
		require.Eventually(t, func() bool { return f.lab.count() > tries }, 20*time.Second, time.Millisecond, "it is tried again")
		f.lab.breaks(nil)
		f.session(l, "SELECT 2")
	}
	require.NoError(t, l.Close())
	require.Empty(t, verify(t, f.dir, l.PublicKey()).Problems)
	f.requireWhole(f.dir)
}

// A long leaf that was written in part leaves nothing after a short one.
func TestTornLongLeaf(t *testing.T) {
	d := newLab()
	dir := t.TempDir()
	tree, _, err := openTree(newDisk(d), dir, false)
	require.NoError(t, err)
	for _, op := range []string{"write", "truncate"} {
		d.breaks(func(c call) (bool, error) {
			return true, errIf(filepath.Base(c.name) == "leaves" && (c.op == "write" || c.op == op), syscall.ENOSPC)
		})
		_, err = tree.seal(leaf{ID: newID(), Events: 1 << 60})
		require.ErrorIs(t, err, syscall.ENOSPC)
		d.breaks(nil)
		st, err := os.Stat(tree.path("leaves"))
		require.NoError(t, err)
		require.Equal(t, op == "truncate", st.Size() > tree.length)
		_, err = tree.seal(leaf{ID: newID(), Events: 1})
		require.NoError(t, err)
	}
	require.NoError(t, errors.Join(tree.commit(), tree.close()))
	again, _, err := openTree(newDisk(d), dir, false)
	require.NoError(t, err)
	require.Equal(t, int64(2), again.head.N)
	require.Equal(t, tree.head.Hash, again.head.Hash)
	require.NoError(t, again.close())
}

// What replace has replaced stays replaced.
func TestReplaceIsOnDisk(t *testing.T) {
	f := newLife(t)
	d := newDisk(f.lab)
	require.NoError(t, d.mkdirAll(f.dir))
	for _, text := range []string{"one", "two"} {
		require.NoError(t, d.replace(filepath.Join(f.dir, "x"), []byte(text), 0o600))
		require.NoError(t, d.syncNames(f.dir, filepath.Dir(f.dir)))
	}
	require.NoError(t, d.replace(filepath.Join(f.dir, "x"), []byte("three"), 0o600))
	left := filepath.Join(t.TempDir(), "left")
	f.lab.losePower(t, f.dir, left)
	require.Equal(t, "three", string(read(t, filepath.Join(left, "x"))))
}

// A disk that refused to take something may have dropped it, so that it is written again.
func TestSyncDrops(t *testing.T) {
	for name, asIs := range map[string]bool{"leaves": false, recordSuffix: true, compactPrefix: false, newPrefix: false, keySuffix: false} {
		t.Run(name, func(t *testing.T) {
			f := newLife(t)
			f.asIs = asIs
			l := f.open()
			var failed atomic.Bool
			f.lab.breaks(func(c call) (bool, error) {
				hit := c.op == "sync" && strings.Contains(filepath.Base(c.name), name) && failed.CompareAndSwap(false, true)
				return false, errIf(hit, syscall.EIO)
			})
			f.session(l, "SELECT 1")
			f.session(l, "SELECT 2")
			require.Eventually(t, func() bool { return failed.Load() && f.isSealed(l) }, 20*time.Second, time.Millisecond)
			require.NoError(t, l.Close())
			require.True(t, failed.Load())
			left := filepath.Join(t.TempDir(), "left")
			f.lab.losePower(t, filepath.Dir(f.dir), left)
			r := verify(t, filepath.Join(left, "audit"), l.PublicKey())
			require.Empty(t, r.Problems)
			require.Empty(t, r.Unproven)
			f.requireWhole(filepath.Join(left, "audit"))
		})
	}
}

// A file that was made longer and not filled when the power went off is cut off where
// its last event ends.
func TestUnwrittenTail(t *testing.T) {
	for _, zeros := range []int{1, 32, 33, 4096} {
		f := newLife(t)
		l := f.open()
		s, err := tryNewSession(l)
		require.NoError(t, err)
		require.False(t, run(s, "SELECT 1").Refuses())
		f.acks[s.ID] = []string{"SELECT 1"}
		left := filepath.Join(t.TempDir(), "left")
		f.lab.losePower(t, filepath.Dir(f.dir), left)
		path, err := find(filepath.Join(left, "audit"), s.ID)
		require.NoError(t, err)
		file, err := os.OpenFile(path+recordSuffix, os.O_APPEND|os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = file.Write(make([]byte, zeros))
		require.NoError(t, err)
		require.NoError(t, file.Close())
		f.requireWhole(filepath.Join(left, "audit"))
		s.Close(nil)
		require.NoError(t, l.Close())
	}
}

// What is synced is synced in the order in which it is needed: a session's key, its record and
// the folder of both before the first operation goes to the resource.
func TestSyncedBeforeTheOperation(t *testing.T) {
	f := newLife(t)
	l := f.open()
	var mu sync.Mutex
	var synced []string
	f.lab.breaks(func(c call) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(c.op, "sync") {
			synced = append(synced, c.op+" "+filepath.Ext(c.name))
		}
		return false, nil
	})
	s, err := tryNewSession(l)
	require.NoError(t, err)
	mu.Lock()
	require.Equal(t, []string{"sync .key", "sync .rec", "sync folder "}, synced[:3])
	mu.Unlock()
	s.Close(nil)
	require.NoError(t, l.Close())
}
