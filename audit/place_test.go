package audit

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lines keeps what is logged.
type lines struct {
	mu sync.Mutex
	strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.String()
}

// loss is how a log's place is lost while the log is open, and how it is put back; nil where it
// is lost for good.
type loss struct {
	lose, restore func(t *testing.T, dir string)
	says          string // in the log
	gone          string // what is not to be made anew
}

func moved(name string) loss {
	return loss{
		func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(filepath.Join(dir, name), filepath.Join(dir, name)+".away"))
		},
		func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, name)))
			require.NoError(t, os.Rename(filepath.Join(dir, name)+".away", filepath.Join(dir, name)))
		},
		"is gone", "",
	}
}

// replaced is moved, with something of that name in its place.
func replaced(name string, put func(at, away string) error) loss {
	l := moved(name)
	lose := l.lose
	l.lose = func(t *testing.T, dir string) {
		lose(t, dir)
		at := filepath.Join(dir, name)
		require.NoError(t, put(at, at+".away"))
	}
	l.says = "is not the one"
	return l
}

func losses() map[string]loss {
	today := filepath.Join("sessions", time.Now().UTC().Format(time.DateOnly))
	folder := func(at, _ string) error { return os.Mkdir(at, 0o700) }
	deleted := func(name string) loss {
		return loss{lose: func(t *testing.T, dir string) { removeAll(t, filepath.Join(dir, name)) }, says: "is gone", gone: name}
	}
	cut := func(name string) loss {
		return loss{lose: func(t *testing.T, dir string) { require.NoError(t, os.Truncate(filepath.Join(dir, "log", name), 1)) }, says: "was cut off"}
	}
	return map[string]loss{
		"the folder is moved":   moved(""),
		"the folder is deleted": deleted(""),
		"the folder is deleted, and empty": {lose: func(t *testing.T, dir string) {
			removeAll(t, dir)
			require.NoError(t, os.Mkdir(dir, 0o700))
		}, says: "is not the one"},
		"the folder is another": replaced("", folder),
		"the folder is a copy":  replaced("", func(at, away string) error { return os.CopyFS(at, os.DirFS(away)) }),
		"log is moved":          moved("log"),
		"log is deleted":        deleted("log"),
		"log is another":        replaced("log", folder),
		"log leads elsewhere": replaced("log", func(at, _ string) error {
			elsewhere := at + ".elsewhere"
			if err := os.Mkdir(elsewhere, 0o700); err != nil {
				return err
			}
			return os.Symlink(elsewhere, at)
		}),
		"sessions is moved":    moved("sessions"),
		"sessions is deleted":  deleted("sessions"),
		"sessions is another":  replaced("sessions", folder),
		"the day's is moved":   moved(today),
		"the day's is deleted": deleted(today),
		"the day's is another": replaced(today, folder),
		"leaves is moved":      moved("log/leaves"),
		"leaves is deleted":    deleted("log/leaves"),
		"leaves is another":    replaced("log/leaves", func(at, _ string) error { return os.WriteFile(at, nil, 0o600) }),
		"leaves is cut off":    cut("leaves"),
		"hashes is deleted":    deleted("log/hashes"),
		"hashes is cut off":    cut("hashes"),
		"the link to it is removed": {
			lose:    func(t *testing.T, dir string) { require.NoError(t, os.Remove(dir+"-link")) },
			restore: func(t *testing.T, dir string) { require.NoError(t, os.Symlink(dir, dir+"-link")) },
			says:    "is gone",
		},
	}
}

// A log whose folder, or a part of it, is not there any more records nothing: sessions end before
// their next operation and none begins, as with a full disk. Nothing is made in the place of what is gone, and
// where it comes back the log goes on.
func TestLostPlace(t *testing.T) {
	for name, c := range losses() {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			require.NoError(t, os.Mkdir(dir, 0o700))
			require.NoError(t, os.Symlink(dir, dir+"-link"))
			opened := dir
			if strings.Contains(name, "link to it") {
				opened = dir + "-link"
			}
			var said lines
			l := openLog(t, opened, Config{Log: slog.New(slog.NewTextHandler(&said, nil)), Stall: 200 * time.Millisecond})
			before := newSession(t, l)
			require.False(t, run(before, "SELECT 1").Refuses())
			before.Close(nil)
			require.Eventually(t, func() bool { return l.Head().N == 1 }, 20*time.Second, time.Millisecond)
			require.NoError(t, l.Err())
			s := newSession(t, l)
			require.False(t, run(s, "SELECT 2").Refuses())

			c.lose(t, dir)
			require.Eventually(t, func() bool { return run(s, "SELECT 3").Refuses() }, 20*time.Second, time.Millisecond)
			var w *WriteError
			require.ErrorAs(t, s.Err(), &w)
			require.Eventually(t, func() bool { return l.Err() != nil && strings.Contains(said.String(), c.says) }, 20*time.Second, time.Millisecond, "%s", &said)
			require.ErrorContains(t, l.Err(), c.says)
			_, err := tryNewSession(l)
			require.ErrorAs(t, err, &w)
			s.Close(nil)

			if c.restore == nil {
				require.Error(t, l.Close())
				if strings.HasSuffix(name, "is deleted") {
					_, err := os.Lstat(filepath.Join(dir, c.gone))
					require.ErrorIs(t, err, os.ErrNotExist, "nothing is made anew")
				}
				return
			}
			c.restore(t, dir)
			require.Eventually(t, func() bool { return l.Err() == nil }, 20*time.Second, time.Millisecond)
			after := newSession(t, l)
			require.False(t, run(after, "SELECT 4").Refuses())
			after.Close(nil)
			require.NoError(t, l.Close())
			r := verify(t, dir, l.PublicKey())
			require.Empty(t, r.Problems)
			require.Empty(t, r.Unproven)
			for _, id := range []string{before.ID, s.ID, after.ID} {
				require.NotEmpty(t, events(t, dir, id))
			}
		})
	}
}

// A log of best effort goes on without what is lost.
func TestLostPlaceBestEffort(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := openLog(t, dir, Config{BestEffort: true, Stall: 200 * time.Millisecond})
	s := newSession(t, l)
	removeAll(t, dir)
	require.Eventually(t, func() bool { require.False(t, run(s, "SELECT 1").Refuses()); return l.Err() != nil }, 20*time.Second, time.Millisecond)
	other := newSession(t, l)
	require.False(t, run(other, "SELECT 2").Refuses())
	other.Close(nil)
	s.Close(nil)
	require.Error(t, l.Close())
	require.NoDirExists(t, dir)
}

// A session whose own record is removed or cut off while it is open ends before its next
// operation; others go on.
func TestLostRecord(t *testing.T) {
	for name, lose := range map[string]func(file string) error{
		"removed": os.Remove,
		"cut off": func(file string) error { return os.Truncate(file, 40) },
		"emptied": func(file string) error { return os.Truncate(file, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := openLog(t, dir, Config{})
			s, other := newSession(t, l), newSession(t, l)
			path, err := find(dir, s.ID)
			require.NoError(t, err)
			require.NoError(t, lose(path+recordSuffix))
			r, _ := l.recorders.Load(s.ID)
			own := r.(*recorder).stream
			own.mu.Lock()
			own.whole = time.Time{} // as after a pause
			own.mu.Unlock()
			require.True(t, run(s, "SELECT 1").Refuses())
			var w *WriteError
			require.ErrorAs(t, s.Err(), &w)
			require.False(t, run(other, "SELECT 2").Refuses())
			other.Close(nil)
			s.Close(nil)
			require.NoError(t, l.Close())
		})
	}
}

// removeAll removes a folder into which somebody writes.
func removeAll(t *testing.T, name string) {
	t.Helper()
	require.Eventually(t, func() bool { return os.RemoveAll(name) == nil }, 20*time.Second, time.Millisecond)
}
