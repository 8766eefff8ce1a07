package audit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// A session is proven by itself, also once its content was erased; one that was altered, or is not sealed, is not.
func TestProve(t *testing.T) {
	dir, public, ids := record(t, 3)
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	for i, id := range ids {
		p, err := a.Prove(id)
		require.NoError(t, err)
		b, err := a.Export(id)
		require.NoError(t, err)
		events, err := b.Verify(public)
		require.NoError(t, err)
		require.Equal(t, Proof{Events: events, Index: b.Index, Sessions: p.Sessions, Checkpoint: b.Checkpoint, Public: public}, *p, i)
	}
	l := openLog(t, dir, Config{})
	s := newSession(t, l)
	_, err = a.Prove(s.ID)
	require.ErrorIs(t, err, ErrUnsealed)
	s.Close(nil)
	require.NoError(t, l.Erase(Action{By: &proxy.Identity{Subject: "root"}, Session: ids[0], Reason: "x"}))
	require.NoError(t, l.Close())
	p, err := a.Prove(ids[0])
	require.NoError(t, err)
	require.True(t, p.Erased)

	// One bit of the record, or a line of the list, is enough.
	files, err := filepath.Glob(filepath.Join(dir, "sessions", "*", ids[1]+recordSuffix))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	path := files[0]
	flip := func(file string, at int) {
		t.Helper()
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		b[at] ^= 1
		require.NoError(t, os.WriteFile(file, b, 0o600))
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	for _, at := range []int{int(info.Size()) / 2, int(info.Size()) - 1} {
		flip(path, at)
		_, err = a.Prove(ids[1])
		require.Error(t, err)
		require.NotErrorIs(t, err, ErrUnsealed)
		flip(path, at)
	}
	_, err = a.Prove(ids[1])
	require.NoError(t, err)
	leaves := filepath.Join(dir, "log", "leaves")
	b, err := os.ReadFile(leaves)
	require.NoError(t, err)
	other := strings.Index(string(b), ids[2]) + len(ids[2]) + 5 // of another session
	flip(leaves, other)
	_, err = a.Prove(ids[1])
	require.Error(t, err)
}
