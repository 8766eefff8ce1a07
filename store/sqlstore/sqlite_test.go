package sqlstore

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/store"
)

func document(kind, name, body string) store.Document {
	return store.Document{Kind: kind, Name: name, Body: []byte(body)}
}

func names(t testing.TB, s store.Store, kind string) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	for d, err := range store.All(t.Context(), s, kind, "") {
		require.NoError(t, err)
		all[d.Name] = true
	}
	return all
}

// TestSQLiteKilled holds that a write which was acknowledged outlives the process,
// whenever that is killed, and that none is there by half.
func TestSQLiteKilled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.db")
	kept := make(map[string]bool)
	rounds := 60
	for round := range rounds {
		cmd, lines := writer(t, file, round)
		for n := 0; lines.Scan(); n++ {
			name, ok := strings.CutPrefix(lines.Text(), "kept ")
			require.True(t, ok, lines.Text())
			kept[name] = true
			if n == round%7 { // it writes on while it is killed
				require.NoError(t, cmd.Process.Kill())
			}
		}
		require.Error(t, cmd.Wait())
	}
	s := openFile(t, file, Options{})
	there := names(t, s, "k")
	for name := range kept {
		require.True(t, there[name], "%s was acknowledged and is lost", name)
	}
	require.GreaterOrEqual(t, len(kept), 3*rounds)
	require.Equal(t, there, names(t, s, "twin"))
	var since int64
	for {
		cs, err := s.Changes(t.Context(), since, 0)
		require.NoError(t, err)
		if len(cs) == 0 {
			break
		}
		for _, c := range cs {
			require.Equal(t, since+1, c.Seq)
			since = c.Seq
		}
	}
	require.Equal(t, int64(2*len(there)), since)
}

// writer starts a process that writes until it is killed, and returns it and what it
// prints: the names of the documents that it was told are kept.
func writer(t *testing.T, file string, round int) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestSQLiteWriter$")
	cmd.Env = append(os.Environ(), "SALLYPORT_TEST_STORE="+file, fmt.Sprintf("SALLYPORT_TEST_ROUND=%d", round))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return cmd, bufio.NewScanner(out)
}

// TestSQLiteProcesses holds that two processes write to one file at the same time,
// and that one sees what the other does.
func TestSQLiteProcesses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.db")
	s := openFile(t, file, Options{})
	cmd, lines := writer(t, file, 0)
	require.True(t, lines.Scan())
	for i := range 30 {
		_, err := s.Write(t.Context(), store.Create(document("mine", fmt.Sprint(i), "1")))
		require.NoError(t, err)
		require.True(t, lines.Scan(), "the other writes on")
		name, _ := strings.CutPrefix(lines.Text(), "kept ")
		_, err = s.Get(t.Context(), "k", name)
		require.NoError(t, err)
	}
	require.NoError(t, cmd.Process.Kill())
	for lines.Scan() {
	}
	require.Error(t, cmd.Wait())
	require.Len(t, names(t, s, "mine"), 30)
}

// TestSQLiteWriter is the process of writer.
func TestSQLiteWriter(t *testing.T) {
	file := os.Getenv("SALLYPORT_TEST_STORE")
	if file == "" {
		t.Skip("a part of other tests")
	}
	s := openFile(t, file, Options{})
	body := fmt.Sprintf(`"%s"`, strings.Repeat("x", 20_000))
	for i := 0; ; i++ {
		name := os.Getenv("SALLYPORT_TEST_ROUND") + "-" + fmt.Sprint(i)
		_, err := s.Write(t.Context(), store.Create(document("k", name, body)), store.Create(document("twin", name, body)))
		require.NoError(t, err)
		fmt.Println("kept " + name)
	}
}

// TestSQLiteTwo holds that two that open a file at once both make its schema, race
// for documents, and see each other's changes.
func TestSQLiteTwo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.db")
	var stores [3]*Store
	var wg sync.WaitGroup
	for i := range stores { // both make the schema
		wg.Go(func() {
			var err error
			if stores[i], err = OpenSQLite(context.Background(), file, Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		require.NotNil(t, s)
		defer func() { require.NoError(t, s.Close()) }()
	}
	race(t, stores[0], stores[1])

	seq, _, err := stores[0].Head(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() {
		if _, err := stores[0].Write(ctx, store.Create(document("k", "seen", "1"))); err != nil {
			t.Error(err)
		}
	}()
	for cs, err := range store.Follow(ctx, stores[1], seq) {
		require.NoError(t, err)
		require.Equal(t, "seen", cs[0].Name)
		return
	}
	t.Fatal("the other's change is not seen")
}

// race has two stores change one document at the same time: exactly one does.
func race(t *testing.T, a, b *Store) {
	t.Helper()
	_, err := a.Write(t.Context(), store.Create(document("k", "n", "0")))
	require.NoError(t, err)
	for range 25 {
		d, err := b.Get(t.Context(), "k", "n")
		require.NoError(t, err)
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i, s := range []*Store{a, b} {
			wg.Go(func() { _, errs[i] = s.Write(t.Context(), store.Replace(d)) })
		}
		wg.Wait()
		if errs[0] == nil {
			errs[0], errs[1] = errs[1], errs[0]
		}
		require.ErrorIs(t, errs[0], store.ErrConflict)
		require.NoError(t, errs[1])
	}
}

func TestSQLiteModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "store?#%20 ü")
	file := filepath.Join(dir, "store.db")
	s, err := OpenSQLite(t.Context(), file, Options{})
	require.NoError(t, err)
	_, err = s.Write(t.Context(), store.Create(document("k", "n", "1")))
	require.NoError(t, err)
	found, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, found, 3)
	for _, e := range found {
		st, err := e.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), st.Mode(), e.Name())
	}
	st, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), st.Mode().Perm())
	require.NoError(t, s.Close())

	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o620, 0o601} {
		require.NoError(t, os.Chmod(file, mode))
		_, err = OpenSQLite(t.Context(), file, Options{})
		require.ErrorContains(t, err, "want 0600")
	}
	require.NoError(t, os.Chmod(file, 0o600))
	_, err = OpenSQLite(t.Context(), dir, Options{})
	require.ErrorContains(t, err, "want a file")
}

// TestSQLiteFull holds that a full disk refuses writes and loses nothing.
func TestSQLiteFull(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.db")
	s, err := OpenSQLite(t.Context(), file, Options{maxPages: 100})
	require.NoError(t, err)
	body := `"` + strings.Repeat("hidden", 5000) + `"`
	n := 0
	for ; n < 100; n++ {
		if _, err = s.Write(t.Context(), store.Create(document("k", fmt.Sprint(n), body))); err != nil {
			break
		}
	}
	require.ErrorContains(t, err, "the disk is full: make room")
	require.NotContains(t, err.Error(), "hidden")
	require.NotErrorIs(t, err, store.ErrUncertain)
	require.Len(t, names(t, s, "k"), n)
	require.NoError(t, s.Close())
	s = openFile(t, file, Options{})
	seq, _, err := s.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, n, seq)
	_, err = s.Write(t.Context(), store.Create(document("k", "more", body)))
	require.NoError(t, err)
}

func TestSQLiteForeign(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	require.NoError(t, os.WriteFile(text, []byte(strings.Repeat("this is not a database\n", 100)), 0o600))
	_, err := OpenSQLite(t.Context(), text, Options{})
	require.ErrorContains(t, err, "the file is damaged: restore a backup")

	foreign := filepath.Join(dir, "foreign.db")
	require.NoError(t, os.WriteFile(foreign, nil, 0o600))
	db, err := sql.Open("sqlite", foreign)
	require.NoError(t, err)
	_, err = db.Exec(`CREATE TABLE documents (x)`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	_, err = OpenSQLite(t.Context(), foreign, Options{})
	require.ErrorContains(t, err, `a table "documents" is there that this store did not make`)
}

// TestSQLiteReadOnly holds that a database that cannot be written says so, and can
// be read.
func TestSQLiteReadOnly(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "store.db"), Options{})
	_, err := s.Write(t.Context(), store.Create(document("k", "n", "1")))
	require.NoError(t, err)
	_, err = s.write.Exec(`PRAGMA query_only = 1`)
	require.NoError(t, err)
	_, err = s.Write(t.Context(), store.Create(document("k", "m", "1")))
	require.ErrorContains(t, err, "it cannot be written: look at the mode")
	require.Len(t, names(t, s, "k"), 1)
	_, err = s.write.Exec(`PRAGMA query_only = 0`)
	require.NoError(t, err)
	_, err = s.Write(t.Context(), store.Create(document("k", "m", "1")))
	require.NoError(t, err)
}

// TestSQLiteBusy holds that a writer which never ends is named, and that reading
// goes on meanwhile.
func TestSQLiteBusy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.db")
	s := openFile(t, file, Options{Timeout: 300 * time.Millisecond})
	other := openFile(t, file, Options{})
	c, err := other.write.Conn(t.Context())
	require.NoError(t, err)
	defer c.Close()
	_, err = c.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	require.NoError(t, err)
	begun := time.Now()
	_, err = s.Write(t.Context(), store.Create(document("k", "n", "1")))
	require.Error(t, err)
	require.NotErrorIs(t, err, store.ErrUncertain)
	t.Log(err)
	require.Less(t, time.Since(begun), 20*time.Second)
	require.Empty(t, names(t, s, "k"))
	_, err = c.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	_, err = s.Write(t.Context(), store.Create(document("k", "n", "1")))
	require.NoError(t, err)
}

func TestSQLiteBackup(t *testing.T) {
	dir := t.TempDir()
	s := openFile(t, filepath.Join(dir, "store.db"), Options{})
	for i := range 10 {
		_, err := s.Write(t.Context(), store.Create(document("k", fmt.Sprint(i), "1")))
		require.NoError(t, err)
	}
	backup := filepath.Join(dir, "backup's.db")
	require.NoError(t, s.Backup(t.Context(), backup))
	st, err := os.Stat(backup)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode())
	require.ErrorIs(t, s.Backup(t.Context(), backup), os.ErrExist)
	require.ErrorContains(t, s.Backup(t.Context(), filepath.Join(dir, "none", "b.db")), "backup")
	_, err = s.Write(t.Context(), store.Create(document("k", "later", "1")))
	require.NoError(t, err)
	seq, _, err := s.Head(t.Context())
	require.NoError(t, err)

	old := openFile(t, backup, Options{})
	require.Len(t, names(t, old, "k"), 10)
	_, err = old.Changes(t.Context(), seq, 0) // a reader that was ahead notices
	require.ErrorIs(t, err, store.ErrTrimmed)
	_, err = old.Write(t.Context(), store.Create(document("k", "again", "1")))
	require.NoError(t, err)
}

// A config file that is named by a relative path has a relative data_dir: the name of the store is then relative to the working
// directory, with a folder or without, whatever is done with it.
func TestSQLiteRelativeName(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.MkdirAll("data", 0o700))
	for _, file := range []string{"store.db", filepath.Join("data", "store.db"), filepath.Join(".", "data", "..", "data", "other#1?.db")} {
		s := openFile(t, file, Options{})
		_, err := s.Write(t.Context(), store.Create(document("k", "n", "1")))
		require.NoError(t, err, file)
		require.NoError(t, BackupSQLite(t.Context(), file, file+".backup"), file)
		for _, name := range []string{file, file + ".backup"} { // with a log of writes, and without
			_, err = InspectSQLite(t.Context(), name, Options{})
			require.NoError(t, err, name)
			require.NoError(t, VerifySQLite(t.Context(), name), name)
		}
		require.Len(t, names(t, openFile(t, file+".backup", Options{}), "k"), 1)
	}
}

// TestSQLiteDurable holds that a commit waits for the disk, what killing a process
// cannot show.
func TestSQLiteDurable(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "store.db"), Options{})
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "secure_delete": "1"} {
		var got string
		require.NoError(t, s.write.QueryRow("PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
}
