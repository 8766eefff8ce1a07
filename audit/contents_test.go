package audit

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A sealed session whose key is missing, altered or another's is found by verifying, unless
// it was erased on record, and reading it does not call it erased.
func TestKeysAreVerified(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, dir, key, other string){
		"deleted": func(t *testing.T, _, key, _ string) { removeFile(t, key) },
		"flipped": func(t *testing.T, _, key, _ string) {
			b := bytes.Clone(read(t, key))
			b[20] ^= 1
			write(t, key, b)
		},
		"emptied":           func(t *testing.T, _, key, _ string) { write(t, key, nil) },
		"another session's": func(t *testing.T, _, key, other string) { write(t, key, read(t, other)) },
		"another key of this log": func(t *testing.T, dir, key, _ string) {
			keys, err := openKeys(dir, Keys{}, nil)
			require.NoError(t, err)
			b, err := keys.seal(strings.TrimSuffix(filepath.Base(key), keySuffix), make([]byte, keyLen))
			require.NoError(t, err)
			write(t, key, b)
		},
		"moved": func(t *testing.T, dir, key, _ string) {
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "sessions", "2001-01-01"), 0o700))
			require.NoError(t, os.Rename(key, filepath.Join(dir, "sessions", "2001-01-01", filepath.Base(key))))
		},
		"the master key is deleted": func(t *testing.T, dir, _, _ string) { removeFile(t, filepath.Join(dir, masterKey)) },
		"the master key is flipped": func(t *testing.T, dir, _, _ string) {
			b := bytes.Clone(read(t, filepath.Join(dir, masterKey)))
			b[0] ^= 1
			write(t, filepath.Join(dir, masterKey), b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, public, ids := record(t, 3)
			l := openLog(t, dir, Config{})
			require.NoError(t, l.Erase(Action{Session: ids[2], Reason: "asked for"}))
			require.NoError(t, l.Close())
			r := verify(t, dir, public)
			require.Empty(t, r.Problems)
			require.Equal(t, 1, r.Erased)
			path, err := find(dir, ids[0])
			require.NoError(t, err)
			other, err := find(dir, ids[1])
			require.NoError(t, err)
			change(t, dir, path+keySuffix, other+keySuffix)
			r = verify(t, dir, public)
			require.NotEmpty(t, r.Problems)
			require.Equal(t, 5, r.Sessions, "the proof is of the records")
			a, err := OpenArchive(dir)
			if err != nil {
				require.ErrorContains(t, err, masterKey)
				_, err := Open(dir, quiet())
				require.ErrorContains(t, err, masterKey, "and none is made in its place")
				_, err = os.Stat(filepath.Join(dir, masterKey))
				require.ErrorIs(t, err, os.ErrNotExist)
				return
			}
			var failed error
			for _, err := range a.Raw(ids[0]) {
				failed = err
			}
			require.Error(t, failed)
			require.NotErrorIs(t, failed, ErrErased)
			_, err = a.Export(ids[0])
			require.Error(t, err)
			found, err := a.Search(t.Context(), Query{}, nil)
			require.NoError(t, err)
			if name == "deleted" { // others are found when they are read
				require.Len(t, found.Unread, 1)
				require.Equal(t, ids[0], found.Unread[0].ID)
			}
		})
	}
}

// A session that a rule of retention erased says so, and one of which the key went after a
// record of the erasing that is gone is not known to be erased.
func TestErasuresOnRecord(t *testing.T) {
	dir, public, ids := record(t, 2)
	l := openLog(t, dir, Config{})
	n, err := l.Expire(time.Now().Add(time.Hour), func(e *Event) time.Duration {
		if e.Session == ids[0] {
			return time.Minute
		}
		return 0
	})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	own := l.own.id
	require.NoError(t, l.Close())
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	for _, err := range a.Raw(ids[0]) {
		require.ErrorIs(t, err, ErrErased)
		require.ErrorContains(t, err, "by a rule of retention")
	}
	require.Equal(t, 1, verify(t, dir, public).Erased)
	path, err := find(dir, own)
	require.NoError(t, err)
	removeFile(t, path+keySuffix)
	require.Len(t, verify(t, dir, public).Problems, 2)
}

// Where the key that seals the sessions' keys is kept elsewhere, the proof holds without it,
// and with it the sessions' keys are checked too.
func TestContentsOfKeysElsewhere(t *testing.T) {
	one := Keys{Current: bytes.Repeat([]byte{1}, keyLen)}
	dir, public, ids := recordWith(t, 2, Config{Keys: one})
	path, err := find(dir, ids[0])
	require.NoError(t, err)
	removeFile(t, path+keySuffix)
	r := verify(t, dir, public)
	require.Empty(t, r.Problems)
	require.Equal(t, 3, r.Unopened)
	r, err = VerifyWith(dir, one, public)
	require.NoError(t, err)
	require.Len(t, r.Problems, 1)
	require.Zero(t, r.Unopened)
	_, err = Open(dir, quiet())
	require.ErrorContains(t, err, "kept elsewhere")
}

// The key of a bundle is part of what is verified.
func TestBundleKey(t *testing.T) {
	dir, public, ids := record(t, 2)
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	b, err := a.Export(ids[0])
	require.NoError(t, err)
	other, err := a.Export(ids[1])
	require.NoError(t, err)
	_, err = b.Verify(public)
	require.NoError(t, err)
	for name, key := range map[string][]byte{"another's": other.Key, "flipped": append([]byte{b.Key[0] ^ 1}, b.Key[1:]...), "short": b.Key[:5]} {
		c := *b
		c.Key = key
		_, err = c.Verify(public)
		require.Error(t, err, name)
	}
	b.Key = nil
	_, err = b.Verify(public)
	require.NoError(t, err, "the proof holds without the content")
}
