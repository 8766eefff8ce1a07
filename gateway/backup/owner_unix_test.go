//go:build unix

package backup_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

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
