package sqlstore

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/store"
)

// Looking at a store says which schema it has and how late its clock is, and makes nothing of it, not even a schema.
func TestInspect(t *testing.T) {
	server, name := testserver.Database(t, "")
	file := filepath.Join(t.TempDir(), "store.db")
	_, err := InspectSQLite(t.Context(), file, Options{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoFileExists(t, file)
	for what, way := range map[string]struct {
		inspect func() (*Inspection, error)
		open    func() *Store
	}{
		"SQLite": {
			func() (*Inspection, error) { return InspectSQLite(t.Context(), file, Options{}) },
			func() *Store { return openFile(t, file, Options{}) },
		},
		"PostgreSQL": {
			func() (*Inspection, error) {
				return InspectPostgres(t.Context(), address(server, name), Options{})
			},
			func() *Store { return openDatabase(t, address(server, name), Options{Poll: true}) },
		},
	} {
		t.Run(what, func(t *testing.T) {
			if what == "SQLite" {
				require.NoError(t, os.WriteFile(file, nil, 0o600))
			}
			for range 2 {
				i, err := way.inspect()
				require.NoError(t, err)
				require.Zero(t, i.Schema)
				require.Positive(t, i.Own)
			}
			s := way.open()
			i, err := way.inspect()
			require.NoError(t, err)
			require.Equal(t, i.Own, i.Schema)
			require.Positive(t, i.Latency)
			require.Less(t, i.Skew.Abs(), time.Second)
			_, err = s.write.Exec(s.dialect.expand(`INSERT INTO {s}migrations (version, since, applied) VALUES (1000, 1000, 0)`))
			require.NoError(t, err)
			_, err = way.inspect()
			require.ErrorContains(t, err, "update this program")
		})
	}
	require.NoError(t, os.Chmod(file, 0o644))
	_, err = InspectSQLite(t.Context(), file, Options{})
	require.ErrorContains(t, err, "want 0600")
}

// filesOf are the files of a folder, without the index of a log of writes, which every reader may make.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	files := make(map[string]string)
	for _, e := range list {
		if filepath.Ext(e.Name()) == ".db-shm" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		files[e.Name()] = string(b)
	}
	return files
}

// Looking at a store writes nothing, whether a gateway has it open, was killed, or has closed it.
func TestInspectWritesNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "store.db")
	s, err := OpenSQLite(t.Context(), file, Options{})
	require.NoError(t, err)
	_, err = s.Write(t.Context(), store.Create(document("k", "n", `{}`)))
	require.NoError(t, err)
	open := filesOf(t, dir)
	require.NotEmpty(t, open["store.db-wal"])
	killed := t.TempDir()
	for name, text := range open {
		require.NoError(t, os.WriteFile(filepath.Join(killed, name), []byte(text), 0o600))
	}
	look := func(dir string) {
		t.Helper()
		before := filesOf(t, dir)
		for range 2 {
			i, err := InspectSQLite(t.Context(), filepath.Join(dir, "store.db"), Options{})
			require.NoError(t, err)
			require.Equal(t, i.Own, i.Schema)
			require.Equal(t, before, filesOf(t, dir))
		}
	}
	look(killed)
	again, err := OpenSQLite(t.Context(), filepath.Join(killed, "store.db"), Options{})
	require.NoError(t, err)
	require.Len(t, names(t, again, "k"), 1, "what was in the log is still known")
	require.NoError(t, again.Close())

	look(dir)
	require.Len(t, names(t, s, "k"), 1)
	require.NoError(t, s.Close())
	require.Len(t, filesOf(t, dir), 1)
	past := time.Now().Add(-time.Hour).Truncate(time.Second)
	require.NoError(t, os.Chtimes(dir, past, past))
	look(dir)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.WithinDuration(t, past, info.ModTime(), 0, "SQLite has made no files")
}

// A store of which some bytes are others is told as damaged, also where nothing reads them at the start.
func TestVerify(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.db")
	s, err := OpenSQLite(t.Context(), file, Options{})
	require.NoError(t, err)
	for i := range 200 {
		_, err = s.Write(t.Context(), store.Create(document("k", "n"+string(rune('a'+i%26))+string(rune('a'+i/26)), `{"x":"`+string(bytes.Repeat([]byte("y"), 300))+`"}`)))
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	require.NoError(t, VerifySQLite(t.Context(), file))
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	const page = 4096
	found := 0
	for at := 4 * page; at < len(b); at += page {
		damaged := bytes.Clone(b)
		copy(damaged[at:], bytes.Repeat([]byte{0xaa}, 64)) // the page's header
		other := filepath.Join(t.TempDir(), "store.db")
		require.NoError(t, os.WriteFile(other, damaged, 0o600))
		if err := VerifySQLite(t.Context(), other); err != nil {
			require.ErrorContains(t, err, "damaged")
			found++
		}
	}
	require.Positive(t, found)
	require.Error(t, VerifySQLite(t.Context(), filepath.Join(t.TempDir(), "store.db")))
}
