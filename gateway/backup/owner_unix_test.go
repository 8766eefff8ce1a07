//go:build unix

package backup_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway/backup"
)

// What root restores belongs to the owner of the folder that it is put into, so that the gateway's own user can read it.
func TestRestoreOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	elsewhere, err := os.MkdirTemp("/dev/shm", "sallyport-")
	if err == nil { // another file system, to which files are copied
		t.Cleanup(func() { require.NoError(t, os.RemoveAll(elsewhere)) })
	} else {
		elsewhere = t.TempDir()
	}
	for _, of := range []string{t.TempDir(), elsewhere} {
		ownedRestore(t, filepath.Join(of, "etc"))
	}
}

func ownedRestore(t *testing.T, config string) {
	t.Helper()
	p := newPlace(t, "")
	to := p.target(t)
	to.Config = config
	for folder, id := range map[string]int{to.Data: 12345, to.Config: 12346} {
		require.NoError(t, os.MkdirAll(folder, 0o700))
		require.NoError(t, os.Chown(folder, id, id+10))
	}
	_, err := p.restore(t, p.write(t, backup.Options{}), to)
	require.NoError(t, err)
	for folder, id := range map[string]uint32{to.Data: 12345, to.Config: 12346} {
		seen := 0
		require.NoError(t, filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
			require.NoError(t, err)
			info, err := entry.Info()
			require.NoError(t, err)
			st, ok := info.Sys().(*syscall.Stat_t)
			require.True(t, ok)
			require.Equal(t, []uint32{id, id + 10}, []uint32{st.Uid, st.Gid}, name)
			seen++
			return nil
		}))
		require.Greater(t, seen, 1)
	}
}

// A link in the place of the audit log does not have root read the log of another user, nor sign by its key.
func TestBackupLogOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root reads what others own")
	}
	p, other := newPlace(t, ""), newPlace(t, "")
	require.NoError(t, os.Chown(p.data, 12345, 12345))
	log := filepath.Join(p.data, "audit")
	require.NoError(t, os.Rename(log, log+"-moved"))
	require.NoError(t, os.Symlink(filepath.Join(other.data, "audit"), log))
	o := backup.Options{To: []age.Recipient{p.id.Recipient()}}
	_, err := backup.Write(t.Context(), io.Discard, p.config, o)
	require.ErrorContains(t, err, log+" leads to a folder of user 0, want one of user 12345")
	require.NoError(t, os.Chown(filepath.Join(other.data, "audit"), 12345, 12345))
	_, err = backup.Write(t.Context(), io.Discard, p.config, o)
	require.NoError(t, err, "of the same user it is followed")
}

// The folders that a restore makes are for their owner alone, whatever those of the gateway were and whatever this process gives others.
func TestRestoreFolders(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	p := newPlace(t, "")
	for _, folder := range []string{p.data, filepath.Join(p.data, "ca"), filepath.Join(p.data, "audit", "log")} {
		require.NoError(t, os.Chmod(folder, 0o755))
	}
	to := p.target(t)
	to.Config = filepath.Join(t.TempDir(), "etc")
	_, err := p.restore(t, p.write(t, backup.Options{}), to)
	require.NoError(t, err)
	for _, folder := range []string{to.Data, to.Config} {
		require.NoError(t, filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
			require.NoError(t, err)
			if entry.IsDir() {
				info, err := entry.Info()
				require.NoError(t, err)
				require.Equal(t, fs.FileMode(0o700), info.Mode().Perm(), name)
			}
			return nil
		}))
	}
}
