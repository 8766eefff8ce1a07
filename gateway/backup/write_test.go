package backup_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway/backup"
)

func namesOf(t testing.TB, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// A backup that is written into the data directory, by its name or by the shell, is not made.
func TestBackupIntoItself(t *testing.T) {
	p := newPlace(t, "")
	for _, dir := range []string{p.data, filepath.Join(p.data, "ca")} {
		f, err := os.Create(filepath.Join(dir, "gateway.age"))
		require.NoError(t, err)
		_, err = backup.Write(t.Context(), f, p.config, backup.Options{To: []age.Recipient{p.id.Recipient()}})
		require.ErrorContains(t, err, "is the backup itself")
		require.NoError(t, errors.Join(f.Close(), os.Remove(f.Name())))
	}
}

// observed looks at each piece of a backup that is written.
type observed func()

func (o observed) Write(b []byte) (int, error) {
	o()
	return len(b), nil
}

// While a backup is written, no copy of the store has a name: a process that is killed leaves nothing. The data directory stays as it is.
func TestBackupLeavesNothing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be removed there")
	}
	p := newPlace(t, "")
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	before := namesOf(t, p.data)
	pieces := 0
	_, err := backup.Write(t.Context(), observed(func() {
		pieces++
		list, err := filepath.Glob(filepath.Join(temp, "*", "*"))
		require.NoError(t, err)
		require.Empty(t, list)
		require.Equal(t, before, namesOf(t, p.data))
	}), p.config, backup.Options{To: []age.Recipient{p.id.Recipient()}})
	require.NoError(t, err)
	require.Greater(t, pieces, 1)
	require.Empty(t, namesOf(t, temp))
}

// A store that is a link, and a folder that cannot be read, are told and not left out.
func TestBackupUnreadable(t *testing.T) {
	p := newPlace(t, "")
	store := filepath.Join(p.data, "store.db")
	require.NoError(t, os.Rename(store, store+".away"))
	require.NoError(t, os.Symlink(store+".away", store))
	_, err := backup.Write(t.Context(), io.Discard, p.config, backup.Options{To: []age.Recipient{p.id.Recipient()}})
	require.ErrorContains(t, err, store+" is a link")
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("root reads every folder")
	}
	p = newPlace(t, "")
	ca := filepath.Join(p.data, "ca")
	require.NoError(t, os.Chmod(ca, 0))
	t.Cleanup(func() { require.NoError(t, os.Chmod(ca, 0o700)) })
	_, err = backup.Write(t.Context(), io.Discard, p.config, backup.Options{To: []age.Recipient{p.id.Recipient()}})
	require.ErrorIs(t, err, os.ErrPermission)
}

// What could not be restored is not taken into a backup: it is told while it can be mended.
func TestBackupNames(t *testing.T) {
	for _, name := range []string{`back\slash`, "\xff"} {
		p := newPlace(t, "")
		if err := os.WriteFile(filepath.Join(p.data, "ca", name), nil, 0o600); err != nil {
			t.Skip("the system has no such names: ", err)
		}
		_, err := backup.Write(t.Context(), io.Discard, p.config, backup.Options{To: []age.Recipient{p.id.Recipient()}})
		require.ErrorContains(t, err, "cannot be in a backup")
	}
}
