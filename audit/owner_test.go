//go:build unix

package audit

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// What root makes in a gateway's log is of the gateway's user, so that the gateway starts after a command of
// root's: erasing, holding, packing, recovering.
func TestRootLeavesTheLogToItsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	const uid, gid = 4711, 4712
	dir, _, ids := record(t, 3)
	require.NoError(t, filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		require.NoError(t, err)
		return os.Lchown(name, uid, gid)
	}))
	l := openLog(t, dir, Config{packAt: 2})
	s := newSession(t, l)
	run(s, "SELECT 1")
	s.Close(nil)
	l.packs.begin()
	require.NoError(t, l.Erase(Action{Session: ids[0], Reason: "asked for"}))
	require.NoError(t, l.Hold(Action{Session: ids[1], Reason: "asked for"}))
	require.NoError(t, l.Close())
	n := 0
	require.NoError(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		st, err := e.Info()
		require.NoError(t, err)
		owner := st.Sys().(*syscall.Stat_t)
		require.Equal(t, []uint32{uid, gid}, []uint32{owner.Uid, owner.Gid}, name)
		n++
		return nil
	}))
	require.Greater(t, n, 10)
}

// A name that leads elsewhere gives nothing of others away.
func TestRootGivesNothingElseAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir, elsewhere := t.TempDir(), t.TempDir()
	require.NoError(t, os.Chown(dir, 4711, 4711))
	file := filepath.Join(elsewhere, "secret")
	write(t, file, []byte("secret"))
	require.NoError(t, os.Symlink(file, filepath.Join(dir, "linked")))
	require.NoError(t, os.Symlink(filepath.Join(elsewhere, "absent"), filepath.Join(dir, "dangling")))
	f, err := openOwned(filepath.Join(dir, "linked"), os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, err = openOwned(filepath.Join(dir, "linked"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	require.ErrorIs(t, err, fs.ErrExist)
	_, err = openOwned(filepath.Join(dir, "dangling"), os.O_CREATE|os.O_RDWR, 0o600)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, makeFolder(filepath.Join(dir, "linked")), fs.ErrExist)
	_, err = openOwned(filepath.Join(dir, "no", "file"), os.O_CREATE|os.O_RDWR, 0o600)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, filepath.Join(dir, "no"))
	st, err := os.Stat(file)
	require.NoError(t, err)
	require.Zero(t, st.Sys().(*syscall.Stat_t).Uid)
	require.NoFileExists(t, filepath.Join(elsewhere, "absent"))
}
