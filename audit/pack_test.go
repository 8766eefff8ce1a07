package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// packedLog makes a closed log whose sessions are packed, so many together, and returns its
// directory, its public key and the sessions' identifiers.
func packedLog(t testing.TB, sessions, at int) (dir, public string, ids []string) {
	t.Helper()
	dir, public, ids = recordWith(t, sessions, Config{Unpacked: true})
	packAll(t, dir, at)
	return dir, public, ids
}

// packAll packs what a log has in files of their own.
func packAll(t testing.TB, dir string, at int) {
	t.Helper()
	l := openLog(t, dir, Config{packAt: 1 << 20})
	packNow(l, at)
	require.NoError(t, l.Close())
}

// packNow packs what a log has, so many together.
func packNow(l *Log, at int) {
	l.packs.working.Lock()
	l.packs.mu.Lock()
	l.packs.at, l.packs.few = at, min(at, packFew)
	l.packs.mu.Unlock()
	l.packs.working.Unlock()
	l.packs.begin()
}

// ofDay lists the files of the days that have a suffix.
func ofDay(t testing.TB, dir, suffix string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "sessions", "*", "*"+suffix))
	require.NoError(t, err)
	return list
}

// A log of a version that packed nothing is packed when it is opened; everything reads as before.
func TestPack(t *testing.T) {
	dir, public, ids := recordWith(t, 6, Config{Unpacked: true})
	require.Len(t, ofDay(t, dir, recordSuffix), 7)
	before := map[string]string{}
	for _, id := range ids {
		before[id] = fmt.Sprint(types(events(t, dir, id)))
	}
	all := search(t, dir, Query{})
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	bundle, err := a.Export(ids[2])
	require.NoError(t, err)

	packAll(t, dir, 3)
	require.Len(t, ofDay(t, dir, packSuffix), 2)
	require.Len(t, ofDay(t, dir, keysSuffix), 2)
	require.Len(t, ofDay(t, dir, recordSuffix), 2, "the rest waits, and the gateway's record of the packing")
	require.Len(t, ofDay(t, dir, keySuffix), 2)
	r := verify(t, dir, public)
	require.Empty(t, r.Problems)
	require.Empty(t, r.Unproven)
	require.Equal(t, 8, r.Sessions)
	for _, archive := range []*Archive{a, mustArchive(t, dir)} { // one that was opened before, too
		for _, id := range ids {
			require.Equal(t, before[id], fmt.Sprint(types(events(t, dir, id))))
			require.NoError(t, archive.Whole(id))
			record, err := archive.Open(id)
			require.NoError(t, err)
			require.NoError(t, record.Close())
		}
		list, err := archive.Sessions()
		require.NoError(t, err)
		require.Len(t, list, 8)
		missing, err := archive.Missing()
		require.NoError(t, err)
		require.Empty(t, missing)
		again, err := archive.Export(ids[2])
		require.NoError(t, err)
		require.Equal(t, bundle.Record, again.Record)
		require.Equal(t, bundle.Key, again.Key)
		_, err = again.Verify(public)
		require.NoError(t, err)
	}
	require.Equal(t, all.Sessions, search(t, dir, Query{}).Sessions)
	require.Len(t, search(t, dir, Query{Texts: []string{"refuse me"}}).Sessions, 6)
	_, err = a.Open("0000000000000000000000000z")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func mustArchive(t testing.TB, dir string) *Archive {
	t.Helper()
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	return a
}

// A running log packs what it seals, without a restart.
func TestPackWhileRunning(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{packAt: 4})
	var ids []string
	for range 9 {
		s := newSession(t, l)
		run(s, "SELECT 1")
		ids = append(ids, s.ID)
		s.Close(nil)
	}
	require.Eventually(t, func() bool { return len(ofDay(t, dir, keySuffix)) < 6 && len(ofDay(t, dir, keysSuffix)) > 0 }, 20*time.Second, time.Millisecond)
	require.NoError(t, l.Close())
	r := verify(t, dir, l.PublicKey())
	require.Empty(t, r.Problems)
	require.Equal(t, 10, r.Sessions)
	require.ElementsMatch(t, ids, identifiers(search(t, dir, Query{User: "alice"})))
}

// Of a day that is over few are packed too; fewer, large ones, those written by Uncompressed and
// those that are not as they were sealed keep their files.
func TestWhatIsPacked(t *testing.T) {
	dir, public, ids := recordWith(t, 2*packFew, Config{Unpacked: true})
	day := filepath.Join(dir, "sessions", "2001-01-01")
	require.NoError(t, os.Rename(filepath.Dir(ofDay(t, dir, recordSuffix)[0]), day))
	path := func(i int) string { return filepath.Join(day, ids[i]) }
	altered := read(t, path(0)+recordSuffix)
	altered[len(altered)-1] ^= 1
	write(t, path(0)+recordSuffix, altered)
	write(t, path(1)+keySuffix, []byte("not a key"))
	l := openLog(t, dir, Config{Unpacked: true, Uncompressed: true})
	s := newSession(t, l)
	s.Close(nil)
	require.NoError(t, l.Close())
	l = openLog(t, dir, Config{Unpacked: true})
	large := newSession(t, l)
	run(large, "SELECT '"+noise(packLargest)+"'")
	large.Close(nil)
	require.NoError(t, l.Close())
	packAll(t, dir, packAt)
	var left []string
	for _, f := range ofDay(t, dir, recordSuffix) {
		left = append(left, strings.TrimSuffix(filepath.Base(f), recordSuffix))
	}
	require.Subset(t, left, []string{ids[0], ids[1], s.ID, large.ID})
	require.Len(t, left, 7, "and the gateway's own of today")
	require.Len(t, ofDay(t, dir, packSuffix), 1)
	problems := verify(t, dir, public).Problems
	require.Len(t, problems, 2)
	require.Contains(t, strings.Join(problems, "\n"), ids[0])
	require.Contains(t, strings.Join(problems, "\n"), ids[1])
}

// A clock that was set back leaves records in folders of days that are to come: they are read and
// packed as others.
func TestPackAfterClockWasSetBack(t *testing.T) {
	dir, public, ids := recordWith(t, packFew, Config{Unpacked: true})
	today := filepath.Dir(ofDay(t, dir, recordSuffix)[0])
	require.NoError(t, os.Rename(today, filepath.Join(filepath.Dir(today), "2999-12-31")))
	for range 2 {
		r := verify(t, dir, public)
		require.Empty(t, r.Problems)
		require.Empty(t, r.Unproven)
		require.Subset(t, identifiers(search(t, dir, Query{})), ids)
		for _, id := range ids {
			require.NotEmpty(t, events(t, dir, id))
		}
		packAll(t, dir, packAt)
		require.Len(t, ofDay(t, dir, packSuffix), 1)
	}
	l := openLog(t, dir, Config{})
	require.NoError(t, l.Erase(Action{Session: ids[0], Reason: "x"}))
	require.NoError(t, l.Close())
	require.Equal(t, 1, verify(t, dir, public).Erased)
}

// noise is text that does not compress to less than a half.
func noise(n int) string {
	var b strings.Builder
	for b.Len() < 2*n {
		b.WriteString(newID()[10:])
	}
	return b.String()
}

// A key in a pack is destroyed in its place, the others stay; what was written is on the disk.
func TestErasePacked(t *testing.T) {
	dir, public, ids := packedLog(t, 3, 4)
	keys := ofDay(t, dir, keysSuffix)
	require.Len(t, keys, 1)
	d := newLab()
	l := openOn(t, d, dir, Config{packAt: 4})
	path, err := find(dir, ids[1])
	require.NoError(t, err)
	sealed, err := newCabinet(dir, nil).key(path)
	require.NoError(t, err)
	require.Contains(t, string(read(t, keys[0])), string(sealed))
	require.NoError(t, l.Hold(Action{Session: ids[0]}))
	require.ErrorIs(t, l.Erase(Action{Session: ids[0]}), ErrHeld)
	require.NoError(t, l.Release(Action{Session: ids[0]}))
	before, size := read(t, keys[0]), 3*slotLen

	// The disk refuses: it is an error, and doing it again does it.
	d.breaks(func(c call) (bool, error) {
		return false, errIf(c.op == "sync" && strings.HasSuffix(c.name, keysSuffix), syscall.EIO)
	})
	require.ErrorIs(t, l.Erase(Action{Session: ids[1]}), syscall.EIO)
	d.breaks(nil)
	require.ErrorIs(t, l.Erase(Action{Session: ids[1]}), ErrErased)
	require.NotContains(t, string(read(t, keys[0])), string(sealed))
	require.NotContains(t, string(d.names[keys[0]].synced), string(sealed))
	after := read(t, keys[0])
	require.Len(t, after, len(before))
	require.Greater(t, len(before), size)
	differ := 0
	for i := range after {
		if after[i] != before[i] {
			differ++
		}
	}
	require.LessOrEqual(t, differ, sealedKeyLen)
	require.NoError(t, l.Close())
	r := verify(t, dir, public)
	require.Empty(t, r.Problems)
	require.Equal(t, 1, r.Erased)
	for _, id := range ids {
		_, err := mustArchive(t, dir).Open(id)
		require.Equal(t, id == ids[1], errors.Is(err, ErrErased))
	}
	_, err = mustArchive(t, dir).Rekey()
	require.NoError(t, err)

	l = openLog(t, dir, Config{packAt: 4})
	n, err := l.Expire(time.Now().Add(time.Hour), func(*Event) time.Duration { return time.Minute })
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.NoError(t, l.Close())
	r = verify(t, dir, public)
	require.Empty(t, r.Problems)
	require.Equal(t, 3, r.Erased)
}

// What the disk refuses to destroy is destroyed as soon as it can be, without anybody's doing, and is
// found by no search then.
func TestErasingIsFinished(t *testing.T) {
	for name, packed := range map[string]bool{"in a pack": true, "in a file of its own": false} {
		t.Run(name, func(t *testing.T) {
			dir, public, ids := recordWith(t, 3, Config{Unpacked: true})
			if packed {
				packAll(t, dir, 4)
			}
			mustIndex(t, dir)
			d := newLab()
			l := openOn(t, d, dir, Config{packAt: 1000, Stall: 200 * time.Millisecond})
			d.breaks(func(c call) (bool, error) {
				isKey := strings.HasSuffix(c.name, keysSuffix) || strings.HasSuffix(c.name, keySuffix)
				return false, errIf(isKey && strings.Contains(c.name, "sessions") && (c.op == "open" || c.op == "remove"), syscall.EIO)
			})
			err := l.Erase(Action{Session: ids[1], Reason: "x"})
			require.ErrorIs(t, err, syscall.EIO)
			require.ErrorContains(t, err, "is on record, and its key is not destroyed yet")
			require.NotEmpty(t, events(t, dir, ids[1]))
			d.breaks(nil)
			require.Eventually(t, func() bool {
				_, err := mustArchive(t, dir).Open(ids[1])
				return errors.Is(err, ErrErased)
			}, 20*time.Second, 5*time.Millisecond)
			require.NoError(t, l.Close())
			require.Len(t, search(t, dir, Query{User: "alice"}).Sessions, 2)
			require.Empty(t, verify(t, dir, public).Problems)
		})
	}
}

func mustIndex(t testing.TB, dir string) {
	t.Helper()
	require.NoError(t, mustArchive(t, dir).Reindex(t.Context(), nil))
}

// Erasing while packing destroys every copy of the key.
func TestEraseWhilePacking(t *testing.T) {
	dir, public, ids := recordWith(t, 4, Config{Unpacked: true})
	path, err := find(dir, ids[1])
	require.NoError(t, err)
	sealed := read(t, path+keySuffix)
	for _, at := range []string{packSuffix, keysSuffix, recordSuffix} {
		t.Run(at, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "log")
			require.NoError(t, os.CopyFS(dir, os.DirFS(path[:strings.Index(path, "/sessions/")])))
			d := newLab()
			l := openOn(t, d, dir, Config{packAt: 1000})
			var once sync.Once
			erased := make(chan error, 1)
			d.breaks(func(c call) (bool, error) {
				hit := c.op == "rename" && strings.HasSuffix(c.name, at) || at == recordSuffix && c.op == "remove" && strings.HasSuffix(c.name, ids[1]+at)
				if hit {
					once.Do(func() { go func() { erased <- l.Erase(Action{Session: ids[1], Reason: "x"}) }() })
				}
				return false, nil
			})
			packNow(l, 5)
			require.Eventually(t, func() bool { return len(erased) == 1 }, 20*time.Second, time.Millisecond)
			require.NoError(t, <-erased)
			require.NoError(t, l.Close())
			require.NotEmpty(t, ofDay(t, dir, keysSuffix))
			require.NoError(t, filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
				if err == nil && e.Type().IsRegular() {
					require.False(t, bytes.Contains(read(t, name), sealed[12:]), name)
				}
				return err
			}))
			r := verify(t, dir, public)
			require.Empty(t, r.Problems)
			require.Equal(t, 1, r.Erased)
		})
	}
}

// Sealing keys anew reaches those in packs, all at once, and overwrites what was there.
func TestRekeyPacked(t *testing.T) {
	dir, public, ids := packedLog(t, 5, 3)
	l := openLog(t, dir, Config{packAt: 3})
	require.NoError(t, l.Erase(Action{Session: ids[0], Reason: "x"}))
	require.NoError(t, l.Close())
	key := bytes.Repeat([]byte{7}, keyLen)
	a, err := OpenArchiveWith(dir, Keys{Current: key})
	require.NoError(t, err)
	n, err := a.Rekey()
	require.NoError(t, err)
	there, err := a.cabinet.list()
	require.NoError(t, err)
	require.Equal(t, len(there)-1, n)
	n, err = a.Rekey()
	require.NoError(t, err)
	require.Zero(t, n)
	removeFile(t, filepath.Join(dir, masterKey))
	r, err := VerifyWith(dir, Keys{Current: key}, public)
	require.NoError(t, err)
	require.Empty(t, r.Problems)
	require.Equal(t, 1, r.Erased)
}

// Keys that are sealed anew while they are packed are all sealed by the new key, and open.
func TestRekeyWhilePacking(t *testing.T) {
	const sessions = 30
	dir, public, _ := recordWith(t, sessions, Config{Unpacked: true})
	keys := Keys{Current: bytes.Repeat([]byte{7}, keyLen)}
	l := openLog(t, dir, Config{Keys: keys, packAt: 1000})
	a, err := OpenArchiveWith(dir, keys)
	require.NoError(t, err)
	changed := make(chan error, 1)
	go func() {
		_, err := a.Rekey()
		changed <- err
	}()
	packNow(l, 3)
	require.NoError(t, <-changed)
	require.NoError(t, l.Close())
	removeFile(t, filepath.Join(dir, masterKey))
	r, err := VerifyWith(dir, keys, public)
	require.NoError(t, err)
	require.Empty(t, r.Problems)
	require.Equal(t, sessions+2, r.Sessions)
	require.Zero(t, r.Erased)
}

// What a crash leaves twice is cleaned up by the next start, and a pack without keys is made again.
func TestPackedTwice(t *testing.T) {
	whole, public, ids := recordWith(t, 3, Config{Unpacked: true})
	for name, crash := range map[string]func(t *testing.T, dir, before string){
		"everything": func(t *testing.T, dir, before string) { require.NoError(t, copyOver(before, dir)) },
		"all but the keys of the pack": func(t *testing.T, dir, before string) {
			require.NoError(t, copyOver(before, dir))
			removeFile(t, ofDay(t, dir, keysSuffix)[0])
		},
		"one, whose key is overwritten": func(t *testing.T, dir, before string) {
			require.NoError(t, copyOver(before, dir))
			path, err := find(dir, ids[1])
			require.NoError(t, err)
			write(t, path+keySuffix, make([]byte, sealedKeyLen))
		},
		"one, without its key": func(t *testing.T, dir, before string) {
			require.NoError(t, copyOver(before, dir))
			path, err := find(dir, ids[1])
			require.NoError(t, err)
			removeFile(t, path+keySuffix)
		},
		"half a file of keys": func(t *testing.T, dir, _ string) {
			write(t, filepath.Join(filepath.Dir(ofDay(t, dir, keysSuffix)[0]), newPrefix+"x"), []byte("half"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "log")
			require.NoError(t, os.CopyFS(dir, os.DirFS(whole)))
			packAll(t, dir, 4)
			require.Len(t, ofDay(t, dir, packSuffix), 1)
			crash(t, dir, filepath.Join(whole, "sessions"))
			r := verify(t, dir, public)
			require.Empty(t, r.Problems)
			packAll(t, dir, 4)
			require.Len(t, ofDay(t, dir, packSuffix), 1)
			require.Len(t, ofDay(t, dir, keysSuffix), 1)
			for _, id := range ids {
				require.NoFileExists(t, filepath.Join(filepath.Dir(ofDay(t, dir, packSuffix)[0]), id+recordSuffix))
				require.NoFileExists(t, filepath.Join(filepath.Dir(ofDay(t, dir, packSuffix)[0]), id+keySuffix))
				require.NotEmpty(t, events(t, dir, id))
			}
			require.Empty(t, ofDay(t, dir, "x"))
			require.Empty(t, verify(t, dir, public).Problems)
		})
	}
}

// copyOver copies the files of the days that are not there.
func copyOver(sessions, dir string) error {
	return filepath.WalkDir(sessions, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "sessions", filepath.Base(filepath.Dir(name)), e.Name()), b, 0o600)
	})
}

// What is not in the pack is never removed for it.
func TestPackedOtherwise(t *testing.T) {
	dir, public, ids := packedLog(t, 3, 4)
	path, err := find(dir, ids[1])
	require.NoError(t, err)
	l := openLog(t, dir, Config{Unpacked: true})
	other, err := l.keys.seal(ids[1], make([]byte, keyLen))
	require.NoError(t, err)
	require.NoError(t, l.Close())
	record, err := newCabinet(dir, nil).openPacked(path)
	require.NoError(t, err)
	b := make([]byte, record.Size())
	_, err = record.ReadAt(b, 0)
	require.NoError(t, errors.Join(err, record.Close()))

	write(t, path+recordSuffix, b)
	write(t, path+keySuffix, other)
	packAll(t, dir, 4)
	require.FileExists(t, path+keySuffix)
	require.FileExists(t, path+recordSuffix)
	require.Contains(t, strings.Join(verify(t, dir, public).Problems, "\n"), "session "+ids[1]+": its key is another's")
	removeFile(t, path+keySuffix)
	b[len(b)-1] ^= 1
	write(t, path+recordSuffix, b)
	packAll(t, dir, 4)
	require.FileExists(t, path+recordSuffix)
	problems := strings.Join(verify(t, dir, public).Problems, "\n")
	require.Contains(t, problems, packSuffix+" has it as it was sealed: remove "+path+recordSuffix)
	removeFile(t, path+recordSuffix)
	require.Empty(t, verify(t, dir, public).Problems)
}

// While records are packed, everybody who reads finds them.
func TestReadWhilePacking(t *testing.T) {
	const sessions = 60
	dir, _, ids := recordWith(t, sessions, Config{Unpacked: true})
	l := openLog(t, dir, Config{packAt: 1000})
	a := mustArchive(t, dir)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := i; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				id := ids[n*7%sessions]
				for _, err := range a.Events(id) {
					if err != nil {
						t.Errorf("%s: %v", id, err)
						return
					}
				}
				if _, err := a.Export(id); err != nil {
					t.Errorf("export %s: %v", id, err)
					return
				}
			}
		}()
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			select {
			case <-done:
				return
			default:
			}
			r, err := a.Search(t.Context(), Query{User: "alice"}, nil)
			if err != nil || len(r.Sessions) != sessions || len(r.Unread) > 0 {
				t.Errorf("found %d sessions, %v: %v", len(r.Sessions), r.Unread, err)
				return
			}
		}
	}()
	packNow(l, 7)
	close(done)
	wg.Wait()
	require.Less(t, len(ofDay(t, dir, recordSuffix)), 10)
	require.NoError(t, l.Close())
}

// A record in a pack is copied as it is.
func TestCopyPacked(t *testing.T) {
	dir, public, ids := packedLog(t, 3, 4)
	l := openLog(t, dir, Config{packAt: 4})
	s := newShelf()
	copyTo(t, l, s)
	require.NoError(t, l.Close())
	for _, id := range ids {
		path, err := find(dir, id)
		require.NoError(t, err)
		f, err := newCabinet(dir, nil).open(path)
		require.NoError(t, err)
		b := make([]byte, f.Size())
		_, err = f.ReadAt(b, 0)
		require.NoError(t, errors.Join(err, f.Close()))
		require.Equal(t, b, s.now("sessions/"+id+".rec"))
	}
	r, err := VerifyCopy(t.Context(), s, public)
	require.NoError(t, err)
	require.Empty(t, r.Problems)
}

// A history that is adopted takes in what is packed.
func TestAdoptPacked(t *testing.T) {
	dir, _, ids := packedLog(t, 5, 3)
	for _, name := range []string{"checkpoint", "leaves", "hashes"} {
		removeFile(t, filepath.Join(dir, "log", name))
	}
	c := quiet()
	c.packAt = 3
	c.Adopt = &Action{By: &proxy.Identity{Subject: "root"}, Reason: "why"}
	l, err := Open(dir, c)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	r := verify(t, dir, l.PublicKey())
	require.Empty(t, r.Problems)
	require.Empty(t, r.Unproven)
	for _, id := range ids {
		require.NotEmpty(t, events(t, dir, id))
	}
}

// Whatever is done to packs, verifying says what it was, once, and what to do; the gateway starts, and
// neither hides it nor makes it worse; and when what was there is put back everything is as before.
func TestPacksAreTamperedWith(t *testing.T) {
	whole, public, ids := packedLog(t, 11, 4)
	require.Len(t, ofDay(t, whole, packSuffix), 3)
	move := func(t *testing.T, file string) {
		to := filepath.Join(filepath.Dir(filepath.Dir(file)), "2001-01-01")
		require.NoError(t, os.MkdirAll(to, 0o700))
		require.NoError(t, os.Rename(file, filepath.Join(to, filepath.Base(file))))
	}
	swap := func(t *testing.T, a, b string) {
		one, other := read(t, a), read(t, b)
		write(t, a, other)
		write(t, b, one)
	}
	flip := func(t *testing.T, file string, at int) {
		b := read(t, file)
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 1
		write(t, file, b)
	}
	cut := func(t *testing.T, file string, n int64) { require.NoError(t, os.Truncate(file, n)) }
	listEnd := int(records.header + 4*records.entry)
	for _, c := range []struct {
		name   string
		change func(t *testing.T, packs, keys []string)
		want   string // of the problem
		more   int    // problems besides
	}{
		{"a pack is removed", func(t *testing.T, p, _ []string) { removeFile(t, p[0]) }, ".pack: it is missing, and", 0},
		{"its keys are removed", func(t *testing.T, _, k []string) { removeFile(t, k[0]) }, ".keys: it is missing, and", 0},
		{"both are removed", func(t *testing.T, p, k []string) { removeFile(t, p[0]); removeFile(t, k[0]) }, " is sealed, and its record is missing", 3},
		{"all are removed", func(t *testing.T, p, k []string) {
			for i := range p {
				removeFile(t, p[i])
				removeFile(t, k[i])
			}
		}, "a pack or the folder", 0},
		{"a pack is cut off", func(t *testing.T, p, _ []string) { cut(t, p[1], int64(len(read(t, p[1]))-10)) }, "it was cut off: it has", 0},
		{"a pack is cut off early", func(t *testing.T, p, _ []string) { cut(t, p[1], 100) }, "it was cut off where it lists its sessions", 0},
		{"a pack is empty", func(t *testing.T, p, _ []string) { cut(t, p[1], 0) }, "it was cut off where it lists its sessions", 0},
		{"keys are cut off", func(t *testing.T, _, k []string) { cut(t, k[1], 3*slotLen) }, ".keys: it was cut off where", 0},
		{"keys are empty", func(t *testing.T, _, k []string) { cut(t, k[1], 0) }, ".keys: it was cut off where", 0},
		{"a pack goes on", func(t *testing.T, p, _ []string) { write(t, p[1], append(read(t, p[1]), 0)) }, "it goes on after its last session", 0},
		{"keys go on", func(t *testing.T, _, k []string) { write(t, k[1], append(read(t, k[1]), 0)) }, "it goes on after its last session", 0},
		{"a pack's magic is altered", func(t *testing.T, p, _ []string) { flip(t, p[1], 0) }, "it begins in another way", 0},
		{"its number is altered", func(t *testing.T, p, _ []string) { flip(t, p[1], 9) }, "it begins in another way", 0},
		{"its list is altered", func(t *testing.T, p, _ []string) { flip(t, p[1], int(records.header)+idLen+7) }, "its list of sessions was altered", 0},
		{"its sum is altered", func(t *testing.T, p, _ []string) { flip(t, p[1], listEnd) }, "its list of sessions was altered", 0},
		{"a record in it is altered", func(t *testing.T, p, _ []string) { flip(t, p[1], -40) }, "altered, or what came before", 0},
		{"a key in it is altered", func(t *testing.T, _, k []string) { flip(t, k[1], slotLen+idLen+20) }, "does not open with this log's key", 0},
		{"a key is zeroed", func(t *testing.T, _, k []string) {
			b := read(t, k[1])
			clear(b[slotLen+idLen : slotLen+idLen+sealedKeyLen])
			write(t, k[1], b)
		}, "its key is missing, and no record says that it was erased", 0},
		{"a slot is another session's", func(t *testing.T, _, k []string) {
			b := read(t, k[1])
			copy(b[slotLen+idLen:slotLen+idLen+sealedKeyLen], b[2*slotLen+idLen:])
			write(t, k[1], b)
		}, "does not open with this log's key", 0},
		{"a pack is renamed", func(t *testing.T, p, _ []string) {
			require.NoError(t, os.Rename(p[0], filepath.Join(filepath.Dir(p[0]), packName(newID(), newID())+packSuffix)))
		}, "it was renamed, or another was put in its place", 1},
		{"packs are swapped", func(t *testing.T, p, _ []string) { swap(t, p[0], p[1]) }, "it was renamed, or another was put in its place", 1},
		{"keys are swapped", func(t *testing.T, _, k []string) { swap(t, k[0], k[1]) }, "it was renamed, or another was put in its place", 1},
		{"keys are in the place of a pack", func(t *testing.T, p, k []string) { write(t, p[0], read(t, k[0])) }, "it begins in another way", 0},
		{"a pack is moved", func(t *testing.T, p, _ []string) { move(t, p[0]) }, "one of the two was moved: move it back", 0},
		{"keys are moved", func(t *testing.T, _, k []string) { move(t, k[0]) }, "one of the two was moved: move it back", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "log")
			require.NoError(t, os.CopyFS(dir, os.DirFS(whole)))
			require.Empty(t, verify(t, dir, public).Problems)
			c.change(t, ofDay(t, dir, packSuffix), ofDay(t, dir, keysSuffix))
			for range 2 {
				problems := verify(t, dir, public).Problems
				require.Contains(t, strings.Join(problems, "\n"), c.want)
				require.Len(t, problems, 1+c.more, strings.Join(problems, "\n"))
				before := sumsOf(t, dir)                // of the evidence
				l := openLog(t, dir, Config{packAt: 4}) // which must not hide it
				packNow(l, 4)
				require.NoError(t, l.Close())
				for name, was := range before {
					require.Equal(t, was, sum(read(t, name)), name)
				}
			}
			r, err := mustArchive(t, dir).Search(t.Context(), Query{}, nil)
			require.NoError(t, err)
			for _, u := range r.Unread {
				require.Error(t, u.Err)
			}
			found := identifiers(r)
			for _, id := range ids {
				unread := slices.ContainsFunc(r.Unread, func(u Unread) bool { return u.ID == id })
				require.True(t, unread || slices.Contains(found, id), "%s is told of", id)
			}
			for _, f := range append(ofDay(t, dir, packSuffix), ofDay(t, dir, keysSuffix)...) {
				removeFile(t, f)
			}
			require.NoError(t, copyOver(filepath.Join(whole, "sessions"), dir)) // a backup
			require.Empty(t, verify(t, dir, public).Problems)
		})
	}
}

// sumsOf hashes the packs of a log and their keys.
func sumsOf(t testing.TB, dir string) map[string]digest {
	t.Helper()
	sums := make(map[string]digest)
	for _, f := range append(ofDay(t, dir, packSuffix), ofDay(t, dir, keysSuffix)...) {
		sums[f] = sum(read(t, f))
	}
	return sums
}

// A key that was destroyed and came back from a backup is found, and erasing again destroys it.
func TestKeysComeBack(t *testing.T) {
	for name, packed := range map[string]bool{"in a pack": true, "in a file of its own": false} {
		t.Run(name, func(t *testing.T) {
			dir, public, ids := recordWith(t, 3, Config{Unpacked: true})
			if packed {
				packAll(t, dir, 4)
			}
			backup := t.TempDir()
			for _, f := range append(ofDay(t, dir, keysSuffix), ofDay(t, dir, keySuffix)...) {
				write(t, filepath.Join(backup, filepath.Base(f)), read(t, f))
			}
			erase := func() error {
				l := openLog(t, dir, Config{packAt: 1000})
				err := l.Erase(Action{Session: ids[1], Reason: "article 17"})
				require.NoError(t, l.Close())
				return err
			}
			require.NoError(t, erase())
			require.Empty(t, verify(t, dir, public).Problems)
			require.NoError(t, openLog(t, dir, Config{packAt: 1000}).Close()) // which has nothing to finish
			day := filepath.Dir(append(ofDay(t, dir, packSuffix), ofDay(t, dir, recordSuffix)...)[0])
			names, err := namesIn(backup)
			require.NoError(t, err)
			for _, name := range names {
				write(t, filepath.Join(day, name), read(t, filepath.Join(backup, name)))
			}
			problems := verify(t, dir, public).Problems
			require.Len(t, problems, 1)
			require.Contains(t, problems[0], "session "+ids[1]+" was erased on")
			require.Contains(t, problems[0], "its key is there again")
			require.Contains(t, problems[0], "erase it again")
			require.NoError(t, erase())
			require.Empty(t, verify(t, dir, public).Problems)
		})
	}
}

// A gateway that is killed after it recorded an erasure and before it destroyed the key does so
// when it starts next.
func TestKilledWhileErasing(t *testing.T) {
	for name, packed := range map[string]bool{"in a pack": true, "in a file of its own": false} {
		t.Run(name, func(t *testing.T) {
			dir, public, ids := recordWith(t, 3, Config{Unpacked: true})
			if packed {
				packAll(t, dir, 4)
			}
			l := openLog(t, dir, Config{packAt: 1000})
			require.NoError(t, l.Act(Action{Type: AdminErase, Session: ids[1], Reason: "article 17"}))
			left := filepath.Join(t.TempDir(), "left")
			require.NoError(t, os.CopyFS(left, os.DirFS(dir)))
			require.NoError(t, l.Close())
			require.NotEmpty(t, events(t, left, ids[1]))
			require.NoError(t, openLog(t, left, Config{packAt: 1000}).Close())
			_, err := mustArchive(t, left).Open(ids[1])
			require.ErrorIs(t, err, ErrErased)
			require.Empty(t, verify(t, left, public).Problems)
		})
	}
}

// A file in the place of a pack or of its keys is read to an error or to its entries, and takes no
// memory that it does not have.
func FuzzPack(f *testing.F) {
	dir, _, ids := packedLog(f, 3, 4)
	for _, suffix := range []string{packSuffix, keysSuffix} {
		b := read(f, ofDay(f, dir, suffix)[0])
		f.Add(b)
		f.Add(b[:20])
		f.Add(append([]byte(records.magic), 0xff, 0xff, 0xff, 0xff))
	}
	first, last := slices.Min(ids), slices.Max(ids)
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		day := filepath.Join(dir, "sessions", dayOf(first))
		require.NoError(t, os.MkdirAll(day, 0o700))
		for _, table := range []table{records, slots} {
			write(t, filepath.Join(day, packName(first, last)+table.suffix), b)
			if list, err := table.read(filepath.Join(day, packName(first, last)+table.suffix)); err == nil {
				require.LessOrEqual(t, int64(len(list))*table.entry, int64(len(b)))
			}
		}
		c := newCabinet(dir, newDisk(system{}))
		_, err := c.list()
		require.NoError(t, err)
		_, err = c.damages()
		require.NoError(t, err)
		for _, id := range ids {
			if _, r, err := c.record(id); err == nil {
				_, err = checkRecord(r, leaf{ID: id})
				require.Error(t, err)
				require.NoError(t, r.Close())
			}
			_, _ = c.key(filepath.Join(day, id)) // whatever it is, it opens nothing
		}
	})
}
