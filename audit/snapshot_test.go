package audit

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// rootOf is a log's directory, opened.
func rootOf(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, root.Close()) })
	return root
}

// snapshotTo writes a snapshot of a log into a folder.
func snapshotTo(t testing.TB, s Snapshot, dir string) (sessions int, names map[string]bool) {
	t.Helper()
	names = make(map[string]bool)
	sessions, err := s.Read(func(name string, mode fs.FileMode, size int64, content io.Reader) error {
		names[name] = true
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		b, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		require.Len(t, b, int(size), name)
		return os.WriteFile(to, b, mode)
	})
	require.NoError(t, err)
	return sessions, names
}

// A snapshot that is read while sessions are recorded, sealed and packed is a whole log, which goes on.
func TestSnapshotUnderLoad(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{packAt: 3})
	before := l.Head().N
	for range 4 {
		to := t.TempDir()
		sessions := whileRecording(t, l, func() int {
			sessions, _ := snapshotTo(t, Snapshot{Root: rootOf(t, dir)}, to)
			return sessions
		})
		require.GreaterOrEqual(t, int64(sessions), before)
		r := verify(t, to, l.PublicKey())
		require.Empty(t, r.Problems)
		require.GreaterOrEqual(t, r.Size, before)
		before = r.Size

		restored := openLog(t, to, Config{packAt: 3})
		s := newSession(t, restored)
		run(s, "SELECT 2")
		s.Close(nil)
		require.NoError(t, restored.Close())
		r = verify(t, to, l.PublicKey())
		require.Empty(t, r.Problems)
		require.Empty(t, r.Unproven)
		require.Greater(t, r.Sessions, sessions)
	}
	require.NoError(t, l.Close())
}

// whileRecording does something while sessions come and go, 600 at most.
func whileRecording(t *testing.T, l *Log, do func() int) int {
	t.Helper()
	var stop atomic.Bool
	failed := make(chan error, 2)
	var wg sync.WaitGroup
	begun := make(chan struct{}, 600)
	for range 2 {
		wg.Go(func() {
			for range cap(begun) / 2 {
				s, err := tryNewSession(l)
				begun <- struct{}{}
				if err != nil {
					failed <- err
					return
				}
				if stop.Load() {
					return
				}
				run(s, "SELECT 1")
				s.Close(nil)
			}
		})
	}
	for range 20 {
		<-begun
	}
	n := do()
	stop.Store(true)
	wg.Wait()
	select {
	case err := <-failed:
		require.NoError(t, err)
	default:
	}
	return n
}

// Without records a snapshot has the keys and proofs of all sessions: with the records from somewhere else it
// is the log again.
func TestSnapshotWithoutRecords(t *testing.T) {
	dir, public, ids := packedLog(t, 6, 3)
	to := t.TempDir()
	_, names := snapshotTo(t, Snapshot{Root: rootOf(t, dir), WithoutRecords: true}, to)
	for name := range names {
		require.NotEqual(t, packSuffix, filepath.Ext(name))
		require.NotEqual(t, recordSuffix, filepath.Ext(name))
	}
	require.NotEmpty(t, ofDay(t, to, keysSuffix))
	require.NotEmpty(t, verify(t, to, public).Problems, "the records are missed")

	l := openLog(t, to, Config{Unpacked: true}) // which begins all the same
	require.NoError(t, l.Close())
	a := mustArchive(t, dir)
	for id := range allRecords(t, dir) {
		path, f, err := a.cabinet.record(id)
		require.NoError(t, err)
		b, err := io.ReadAll(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		folder := filepath.Join(to, "sessions", filepath.Base(filepath.Dir(path)))
		require.NoError(t, os.MkdirAll(folder, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, id+recordSuffix), b, 0o600))
	}
	require.Empty(t, verify(t, to, public).Problems)
	for _, id := range ids {
		require.NotEmpty(t, events(t, to, id))
	}
}

func allRecords(t *testing.T, dir string) map[string]bool {
	t.Helper()
	there, err := mustArchive(t, dir).cabinet.list()
	require.NoError(t, err)
	list := make(map[string]bool)
	for id, has := range there {
		if has&recordThere != 0 {
			list[id] = true
		}
	}
	return list
}

// A file that is written over or replaced while it is read is read again; one that grows is not.
func TestSnapshotChanges(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x")
	for what, change := range map[string]struct {
		do    func()
		reads int
	}{
		"grows":     {func() { appendTo(t, name, []byte("more")) }, 1},
		"replaced":  {func() { require.NoError(t, os.Rename(name+".new", name)) }, 2},
		"cut off":   {func() { require.NoError(t, os.Truncate(name, 1)) }, 2},
		"unchanged": {func() {}, 1},
	} {
		t.Run(what, func(t *testing.T) {
			require.NoError(t, os.WriteFile(name, bytes.Repeat([]byte("a"), snapshotBuffer+1), 0o600))
			require.NoError(t, os.WriteFile(name+".new", []byte("new"), 0o600))
			reads := 0
			r := &snapshotReader{Snapshot: Snapshot{Root: rootOf(t, dir)}, taken: make(map[string]bool), take: func(string, fs.FileMode, int64, io.Reader) error {
				if reads++; reads == 1 {
					change.do()
				}
				return nil
			}}
			ok, err := r.file("x")
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, change.reads, reads)
		})
	}
}

func appendTo(t *testing.T, name string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = f.Write(b)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// A link anywhere in a log's folder has nobody read another file: who backs up can be root, and who writes there is not.
func TestSnapshotLinks(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("canary of another file\n"), 0o600))
	for _, pattern := range []string{"log/tail", "log/checkpoint", "log/leaves", "log/hashes", "log/key", "log/key.pub", masterKey, "export", "log", "sessions", "sessions/*", "sessions/*/*.rec", "sessions/*/*.key"} {
		for _, where := range []string{"elsewhere", "in the log"} {
			t.Run(pattern+" "+where, func(t *testing.T) {
				dir, _, _ := record(t, 1)
				require.NoError(t, os.MkdirAll(filepath.Join(dir, "export"), 0o700))
				link := linkAway(t, dir, pattern, secret, where == "in the log")
				_, err := Snapshot{Root: rootOf(t, dir)}.Read(func(name string, _ fs.FileMode, _ int64, content io.Reader) error {
					b, err := io.ReadAll(content)
					require.NotContains(t, string(b), "canary", name)
					return err
				})
				require.Error(t, err)
				if link == filepath.Join(dir, "log", "key") {
					_, err = SignNote(rootOf(t, dir), "backup", "text\n")
					require.ErrorContains(t, err, link)
				}
			})
		}
	}
}

// linkAway has the first file or folder of a log that has a pattern lead to what it was, or, for a file elsewhere, to
// another file.
func linkAway(t *testing.T, dir, pattern, secret string, within bool) (link string) {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
	require.NoError(t, err)
	require.NotEmpty(t, list)
	link = list[0]
	info, err := os.Stat(link)
	require.NoError(t, err)
	switch {
	case within:
		require.NoError(t, os.Rename(link, link+"-moved"))
		require.NoError(t, os.Symlink(filepath.Base(link)+"-moved", link))
	case info.IsDir():
		to := filepath.Join(t.TempDir(), filepath.Base(link))
		require.NoError(t, os.CopyFS(to, os.DirFS(link)))
		require.NoError(t, os.RemoveAll(link))
		require.NoError(t, os.Symlink(to, link))
	default:
		require.NoError(t, os.Remove(link))
		require.NoError(t, os.Symlink(secret, link))
	}
	return link
}

// What a log has signed for one purpose is not signed for another, nor by another log.
func TestSignNoteInFolder(t *testing.T) {
	dir, public, _ := record(t, 1)
	_, other, _ := record(t, 1)
	signed, err := SignNote(rootOf(t, dir), "backup", "text\n")
	require.NoError(t, err)
	text, err := OpenNote(public, "backup", signed)
	require.NoError(t, err)
	require.Equal(t, "text\n", text)
	for _, w := range []struct{ public, purpose string }{{public, "grant"}, {other, "backup"}} {
		_, err = OpenNote(w.public, w.purpose, signed)
		require.ErrorIs(t, err, ErrNotSigned)
	}
	_, err = SignNote(rootOf(t, dir), "own", "x\n")
	require.ErrorContains(t, err, "want a word of its own")
	_, err = SignNote(rootOf(t, t.TempDir()), "backup", "x\n")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
