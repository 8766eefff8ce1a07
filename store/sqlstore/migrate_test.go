package sqlstore

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/store"
)

// both runs a test on each database. open may be called several times.
func both(t *testing.T, test func(t *testing.T, open func(Options) (*Store, error))) {
	t.Run("SQLite", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "store.db")
		test(t, func(o Options) (*Store, error) { return OpenSQLite(t.Context(), file, o) })
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		server, name := testserver.Database(t, "")
		test(t, func(o Options) (*Store, error) { return OpenPostgres(t.Context(), address(server, name), o) })
	})
}

// TestMigrateAtOnce holds that of several gateways that start on an empty database
// one makes the schema, and all go on.
func TestMigrateAtOnce(t *testing.T) {
	both(t, func(t *testing.T, open func(Options) (*Store, error)) {
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				s, err := open(Options{})
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		s, err := open(Options{})
		require.NoError(t, err)
		defer s.Close()
		var n int
		require.NoError(t, s.read.QueryRow(s.dialect.expand(`SELECT COUNT(*) FROM {s}migrations`)).Scan(&n))
		require.Equal(t, len(migrations), n)
	})
}

// TestMigrateNewer holds that a newer schema is used while it is only wider, and
// refused when it is another.
func TestMigrateNewer(t *testing.T) {
	wider := append(migrations[:len(migrations):len(migrations)], migration{2, 1, []string{`ALTER TABLE {s}documents ADD COLUMN note TEXT`}})
	other := append(wider[:len(wider):len(wider)], migration{3, 2, []string{`ALTER TABLE {s}documents DROP COLUMN note`}})
	both(t, func(t *testing.T, open func(Options) (*Store, error)) {
		s, err := open(Options{})
		require.NoError(t, err)
		defer s.Close()
		_, err = s.Write(t.Context(), store.Create(document("k", "old", "1")))
		require.NoError(t, err)
		require.NoError(t, s.migrate(t.Context(), wider))
		require.NoError(t, s.migrate(t.Context(), wider))

		old, err := open(Options{}) // a program that does not know version 2
		require.NoError(t, err)
		_, err = old.Write(t.Context(), store.Create(document("k", "new", "1")))
		require.NoError(t, err)
		require.Len(t, names(t, old, "k"), 2)
		require.NoError(t, old.Close())

		require.NoError(t, s.migrate(t.Context(), other))
		_, err = open(Options{})
		require.ErrorContains(t, err, "schema: got version 3, which needs a program that knows version 2; want at most 1: update this program")
		require.NoError(t, s.migrate(t.Context(), wider)) // one that knows version 2 goes on
	})
}

// TestMigrateFails holds that a step that fails leaves the schema as it was.
func TestMigrateFails(t *testing.T) {
	both(t, func(t *testing.T, open func(Options) (*Store, error)) {
		s, err := open(Options{})
		require.NoError(t, err)
		defer s.Close()
		broken := append(migrations[:len(migrations):len(migrations)], migration{2, 2, []string{
			`ALTER TABLE {s}documents ADD COLUMN note TEXT`, `DROP TABLE {s}nothing`,
		}})
		err = s.migrate(t.Context(), broken)
		require.ErrorContains(t, err, "to version 2")
		again, err := open(Options{})
		require.NoError(t, err)
		defer again.Close()
		_, err = again.read.Exec(again.dialect.expand(`SELECT note FROM {s}documents`))
		require.Error(t, err)
	})
}

// TestTrim holds that the feed is cut by number and by age, that readers who are
// late notice, and that others do not.
func TestTrim(t *testing.T) {
	for name, o := range map[string]Options{"number": {MaxFeed: 5}, "age": {KeepFeed: -1}} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, open func(Options) (*Store, error)) {
				s, err := open(o)
				require.NoError(t, err)
				defer s.Close()
				for _, n := range strings.Split("abcdefgh", "") {
					_, err := s.Write(t.Context(), store.Create(document("k", n, "1")))
					require.NoError(t, err)
				}
				for more := true; more; {
					more, err = s.Sweep(t.Context())
					require.NoError(t, err)
				}
				left := int64(8)
				if name == "number" {
					left = 3
					cs, err := s.Changes(t.Context(), 3, 0)
					require.NoError(t, err)
					require.Len(t, cs, 5)
				}
				_, err = s.Changes(t.Context(), left-1, 0)
				require.ErrorIs(t, err, store.ErrTrimmed)
				cs, err := s.Changes(t.Context(), left, 1)
				require.NoError(t, err)
				require.Len(t, cs, min(1, int(8-left)))
				_, err = s.Write(t.Context(), store.Create(document("k", "i", "1")))
				require.NoError(t, err)
				cs, err = s.Changes(t.Context(), 8, 0)
				require.NoError(t, err)
				require.Equal(t, []store.Change{{Seq: 9, Kind: "k", Name: "i"}}, cs)
			})
		})
	}
}

// TestClosed holds that a closed store answers with errors.
func TestClosed(t *testing.T) {
	both(t, func(t *testing.T, open func(Options) (*Store, error)) {
		s, err := open(Options{})
		require.NoError(t, err)
		require.NoError(t, s.Close())
		_, err = s.Get(t.Context(), "k", "n")
		require.ErrorContains(t, err, "closed")
		require.NotErrorIs(t, err, store.ErrNotFound)
		_, err = s.Write(t.Context(), store.Create(document("k", "n", "1")))
		require.ErrorContains(t, err, "closed")
		_, err = s.Changes(context.Background(), 0, 0)
		require.ErrorContains(t, err, "closed")
	})
}

// TestCopy holds that a store moves from SQLite to PostgreSQL, and back.
func TestCopy(t *testing.T) {
	server, name := testserver.Database(t, "")
	from := openFile(t, filepath.Join(t.TempDir(), "store.db"), Options{})
	to := openDatabase(t, address(server, name), Options{Poll: true})
	back := openFile(t, filepath.Join(t.TempDir(), "store.db"), Options{})
	key := store.NewKey()
	sealer, err := store.OpenSealer(t.Context(), from, key)
	require.NoError(t, err)
	place := store.Place{Kind: "authority", Name: "users", Field: "key"}
	sealed, err := sealer.Seal(place, []byte("canary"))
	require.NoError(t, err)
	ws := []store.Write{store.Create(document(place.Kind, place.Name, strconv.Quote(sealed)))}
	for i := range 200 {
		ws = append(ws, store.Create(document("user", fmt.Sprintf("https://login.example.com|%d ü", i), `{"name": "\u00e9\u0000 '"}`)))
	}
	_, err = from.Write(t.Context(), ws...)
	require.NoError(t, err)
	for _, pair := range [][2]*Store{{to, from}, {back, to}} {
		n, err := store.Copy(t.Context(), pair[0], pair[1])
		require.NoError(t, err)
		require.Equal(t, len(ws)+1, n)
		n, err = store.Copy(t.Context(), pair[0], pair[1])
		require.NoError(t, err)
		require.Zero(t, n)
		for _, w := range ws {
			d, err := pair[0].Get(t.Context(), w.Kind, w.Name)
			require.NoError(t, err)
			require.Equal(t, string(w.Body), string(d.Body))
		}
		_, err = store.OpenSealer(t.Context(), pair[0], store.NewKey())
		require.ErrorIs(t, err, store.ErrSealed)
		sealer, err := store.OpenSealer(t.Context(), pair[0], key)
		require.NoError(t, err)
		secret, err := sealer.Open(place, sealed)
		require.NoError(t, err)
		require.Equal(t, "canary", string(secret))
	}
}

// TestStolen holds that a copy of the file shows the name of what is sealed, and
// not the secret, in any encoding.
func TestStolen(t *testing.T) {
	const canary = "canary-of-a-stolen-store-0123456789"
	dir := t.TempDir()
	s := openFile(t, filepath.Join(dir, "store.db"), Options{})
	sealer, err := store.OpenSealer(t.Context(), s, store.NewKey())
	require.NoError(t, err)
	place := store.Place{Kind: "authority", Name: "name-that-is-shown", Field: "key"}
	sealed, err := sealer.Seal(place, []byte(canary))
	require.NoError(t, err)
	_, err = s.Write(t.Context(), store.Create(document(place.Kind, place.Name, strconv.Quote(sealed))))
	require.NoError(t, err)
	var all []byte
	for _, suffix := range []string{"", "-wal", "-shm"} {
		b, err := os.ReadFile(filepath.Join(dir, "store.db"+suffix))
		require.NoError(t, err)
		all = append(all, b...)
	}
	require.Contains(t, string(all), place.Name) // what is kept is found
	for _, text := range []string{canary, hex.EncodeToString([]byte(canary)), base64.StdEncoding.EncodeToString([]byte(canary))[:40], base64.URLEncoding.EncodeToString([]byte(canary))[:40], url.QueryEscape(canary)} {
		require.NotContains(t, string(all), text)
	}
}
