package audit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// damages are ways in which a sealed record is not whole any more.
func damages(t *testing.T) map[string]func(name string) {
	change := func(do func(b []byte) []byte) func(name string) {
		return func(name string) { write(t, name, do(bytes.Clone(read(t, name)))) }
	}
	return map[string]func(name string){
		"the last byte is cut off": change(func(b []byte) []byte { return b[:len(b)-1] }),
		"half is cut off":          change(func(b []byte) []byte { return b[:len(b)/2] }),
		"the last event is cut off": change(func(b []byte) []byte {
			header, list := frames(t, b)
			return join(header, list[:len(list)-1]...)
		}),
		"everything is cut off":    change(func(b []byte) []byte { return nil }),
		"a byte is flipped":        change(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }),
		"the last byte is flipped": change(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }),
		"something follows":        change(func(b []byte) []byte { return append(b, 0) }),
		"it is gone":               func(name string) { removeFile(t, name) },
	}
}

// A record that the list of sealed sessions names is whole, or every way of reading it is
// an error; other sessions are read as before.
func TestSealedIsWhole(t *testing.T) {
	for _, asIs := range []bool{false, true} {
		for name := range damages(t) {
			t.Run(name, func(t *testing.T) {
				dir, _, ids := recordWith(t, 3, Config{Uncompressed: asIs})
				a, err := OpenArchive(dir)
				require.NoError(t, err)
				search(t, dir, Query{}) // what the index knows stays known
				path, err := find(dir, ids[1])
				require.NoError(t, err)
				damages(t)[name](path + recordSuffix)

				err = nil
				for _, e := range a.Raw(ids[1]) {
					err = errors.Join(err, e)
				}
				require.Error(t, err, "Raw")
				require.ErrorContains(t, err, ids[1])
				require.NotErrorIs(t, err, ErrErased)
				err = nil
				r, operr := a.Open(ids[1])
				if err = operr; err == nil {
					for _, e := range r.From(time.Time{}, 0) {
						err = errors.Join(err, e)
					}
					require.NoError(t, r.Close())
				}
				require.Error(t, err, "Open")
				_, err = a.Export(ids[1])
				require.Error(t, err, "Export")

				found, err := a.Search(t.Context(), Query{Texts: []string{"SELECT 1"}}, nil)
				require.NoError(t, err)
				require.Len(t, found.Unread, 1)
				require.Equal(t, ids[1], found.Unread[0].ID)
				require.Subset(t, identifiers(found), []string{ids[0], ids[2]})
				found, err = a.Search(t.Context(), Query{}, nil)
				require.NoError(t, err)
				require.Len(t, found.Unread, 1)

				for _, id := range []string{ids[0], ids[2]} {
					require.Len(t, events(t, dir, id), 7)
					_, err = a.Export(id)
					require.NoError(t, err)
				}
			})
		}
	}
}

// A session that goes on, or was left open, ends where it is written up to.
func TestOpenIsNotCut(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	s := newSession(t, l)
	run(s, "SELECT 1")
	left := filepath.Join(t.TempDir(), "left")
	require.NoError(t, os.CopyFS(left, os.DirFS(dir)))
	path, err := find(left, s.ID)
	require.NoError(t, err)
	b := read(t, path+recordSuffix)
	write(t, path+recordSuffix, b[:len(b)-3])
	require.NotEmpty(t, events(t, left, s.ID))
	a, err := OpenArchive(left)
	require.NoError(t, err)
	r, err := a.Search(t.Context(), Query{}, nil)
	require.NoError(t, err)
	require.Empty(t, r.Unread)
	s.Close(nil)
	require.NoError(t, l.Close())
}

// A session that ends while it is read is read whole, in one form or the other.
func TestReadWhileSealed(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	for range 50 {
		s := newSession(t, l)
		run(s, "SELECT 1")
		read := make(chan error, 1)
		go func() {
			var err error
			for range 20 {
				for _, e := range a.Raw(s.ID) {
					err = errors.Join(err, e)
				}
			}
			read <- err
		}()
		s.Close(nil)
		require.NoError(t, <-read)
	}
	require.NoError(t, l.Close())
}
