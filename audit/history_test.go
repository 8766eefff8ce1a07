package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// setBacks take something out of a log's history, or put something else in its place.
func setBacks(t *testing.T, ids []string) map[string]func(dir string) {
	in := func(dir, name string) string { return filepath.Join(dir, "log", name) }
	withoutFirst := func(dir string) {
		path, err := find(dir, ids[0])
		require.NoError(t, err)
		removeFile(t, path+recordSuffix)
		removeFile(t, path+keySuffix)
		var kept []byte
		for line := range strings.Lines(string(read(t, in(dir, "leaves")))) {
			if !strings.HasPrefix(line, ids[0]) {
				kept = append(kept, line...)
			}
		}
		write(t, in(dir, "leaves"), kept)
	}
	return map[string]func(dir string){
		"the head":                 func(dir string) { removeFile(t, in(dir, "checkpoint")) },
		"the head and the hashes":  func(dir string) { removeFile(t, in(dir, "checkpoint")); removeFile(t, in(dir, "hashes")) },
		"the head and a session":   func(dir string) { removeFile(t, in(dir, "checkpoint")); withoutFirst(dir) },
		"a session":                withoutFirst,
		"the head and the list":    func(dir string) { removeFile(t, in(dir, "checkpoint")); removeFile(t, in(dir, "leaves")) },
		"the list":                 func(dir string) { write(t, in(dir, "leaves"), nil) },
		"the key":                  func(dir string) { removeFile(t, in(dir, "key")) },
		"the key and the head":     func(dir string) { removeFile(t, in(dir, "key")); removeFile(t, in(dir, "checkpoint")) },
		"the log":                  func(dir string) { require.NoError(t, os.RemoveAll(filepath.Join(dir, "log"))) },
		"the head, which is empty": func(dir string) { write(t, in(dir, "checkpoint"), nil) },
		"the head, which is cut":   func(dir string) { b := read(t, in(dir, "checkpoint")); write(t, in(dir, "checkpoint"), b[:len(b)/2]) },
		"the head, which is of another log": func(dir string) {
			other, _, _ := record(t, 1)
			write(t, in(dir, "checkpoint"), read(t, in(other, "checkpoint")))
		},
		"the key, which is that of another log": func(dir string) { other, _, _ := record(t, 1); write(t, in(dir, "key"), read(t, in(other, "key"))) },
	}
}

// A log of which something was taken away or replaced does not open without somebody's
// word, and nothing of it is signed.
func TestSetBackDoesNotOpen(t *testing.T) {
	_, _, ids := record(t, 1)
	for name := range setBacks(t, ids) {
		t.Run(name, func(t *testing.T) {
			dir, _, ids := record(t, 3)
			setBacks(t, ids)[name](dir)
			state := func() (list []string) { // of what is there; some is missing
				for _, name := range []string{"checkpoint", "key", "key.pub"} {
					b, err := os.ReadFile(filepath.Join(dir, "log", name))
					list = append(list, string(b), fmt.Sprint(errors.Is(err, os.ErrNotExist)))
				}
				return list
			}
			before := state()
			for range 2 {
				_, err := Open(dir, quiet())
				var h *HistoryError
				require.ErrorAs(t, err, &h)
				require.ErrorContains(t, err, "restore it from a backup, or adopt")
			}
			require.Equal(t, before, state())

			// With the word it does, and who gave it is on record.
			c := quiet()
			c.Adopt = &Action{By: &proxy.Identity{Subject: "root"}, Reason: "the disk was restored"}
			l, err := Open(dir, c)
			require.NoError(t, err)
			require.Error(t, l.Adopted())
			own := l.own.id
			newSession(t, l).Close(nil)
			require.NoError(t, l.Close())
			list := events(t, dir, own)
			require.Equal(t, "gateway.start admin.adopt gateway.stop", types(list))
			require.Equal(t, []string{"root", "the disk was restored"}, []string{list[1].User, list[1].Reason})
			require.NotEmpty(t, list[1].Error)
			require.Empty(t, verify(t, dir, l.PublicKey()).Problems)

			l, err = Open(dir, c) // the word is not needed any more, and changes nothing
			require.NoError(t, err)
			require.NoError(t, l.Adopted())
			own = l.own.id
			require.NoError(t, l.Close())
			require.Equal(t, "gateway.start gateway.stop", types(events(t, dir, own)))
			require.NoError(t, openLog(t, dir, Config{}).Close())
		})
	}
}

// A head that was kept elsewhere tells what was adopted.
func TestAdoptedIsFoundByWitness(t *testing.T) {
	dir, public, ids := record(t, 3)
	late := read(t, filepath.Join(dir, "log", "checkpoint"))
	setBacks(t, ids)["the head and a session"](dir)
	c := quiet()
	c.Adopt = &Action{Reason: "why"}
	l, err := Open(dir, c)
	require.NoError(t, err)
	for range 3 {
		newSession(t, l).Close(nil)
	}
	require.NoError(t, l.Close())
	r, err := Verify(dir, public, late)
	require.NoError(t, err)
	require.Contains(t, strings.Join(r.Problems, "\n"), "does not continue the trusted checkpoint")
}

// A sink goes on after a shorter history was adopted.
func TestFeedAfterAdoption(t *testing.T) {
	dir, _, _ := record(t, 5)
	l := openLog(t, dir, Config{})
	feed(t, l, &drain{name: "all"}, FeedConfig{FromStart: true})
	require.NoError(t, l.Close())
	before, err := openCursor(newDisk(system{}), dir, "all")
	require.NoError(t, err)
	require.NotZero(t, before.Sealed)
	write(t, filepath.Join(dir, "log", "leaves"), nil)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "sessions")))
	c := quiet()
	c.Adopt = &Action{Reason: "why"}
	l, err = Open(dir, c)
	require.NoError(t, err)
	sink := &drain{name: "all"}
	feed(t, l, sink, FeedConfig{FromStart: true})
	s := newSession(t, l)
	run(s, "SELECT 1")
	s.Close(nil)
	require.NoError(t, l.Close())
	require.NotEmpty(t, sink.of(s.ID))
	after, err := openCursor(newDisk(system{}), dir, "all")
	require.NoError(t, err)
	require.LessOrEqual(t, after.Sealed, l.Head().N)
}

// A log that was begun and stopped at any moment is not one of which something is missing.
func TestBegunAndStopped(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	s := newSession(t, l)
	run(s, "SELECT 1")
	left := filepath.Join(t.TempDir(), "left")
	require.NoError(t, os.CopyFS(left, os.DirFS(dir))) // as kill -9 leaves it, before the first seal
	r := verify(t, left, l.PublicKey())
	require.Empty(t, r.Problems)
	require.Zero(t, r.Sessions)
	require.Len(t, r.Unproven, 2)
	require.NoError(t, openLog(t, left, Config{}).Close())
	require.NotEmpty(t, events(t, left, s.ID))
	s.Close(nil)
	require.NoError(t, l.Close())
}

// The verifier is made again from the key.
func TestVerifierIsOfTheKey(t *testing.T) {
	dir, public, _ := record(t, 1)
	for _, change := range []func(name string){
		func(name string) { removeFile(t, name) },
		func(name string) { write(t, name, []byte("nonsense\n")) },
	} {
		change(filepath.Join(dir, "log", "key.pub"))
		l := openLog(t, dir, Config{})
		require.Equal(t, public, l.PublicKey())
		require.NoError(t, l.Close())
		require.Equal(t, public+"\n", string(read(t, filepath.Join(dir, "log", "key.pub"))))
	}
	write(t, filepath.Join(dir, "log", "key"), []byte("PRIVATE+KEY+x\n"))
	_, err := Open(dir, quiet())
	require.Error(t, err)
	require.False(t, errors.As(err, new(*HistoryError)))
	require.NotContains(t, err.Error(), "PRIVATE")
}
