package sqlstore

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/storetest"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// openFile opens the store in a file until the test ends.
func openFile(t testing.TB, file string, o Options) *Store {
	t.Helper()
	s, err := OpenSQLite(t.Context(), file, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// address is the URL of a database.
func address(s *pgembed.Server, database string) string {
	return testserver.URL(pgembed.User, s.Password, s.Address(), database, "")
}

// openDatabase opens the store in a database until the test ends.
func openDatabase(t testing.TB, url string, o Options) *Store {
	t.Helper()
	s, err := OpenPostgres(t.Context(), url, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestSQLite(t *testing.T) {
	storetest.Test(t, func(t *testing.T) store.Store {
		return openFile(t, filepath.Join(t.TempDir(), "store.db"), Options{})
	})
}

func TestPostgres(t *testing.T) {
	server, name := testserver.Database(t, "")
	n := 0
	storetest.Test(t, func(t *testing.T) store.Store {
		n++
		return openDatabase(t, address(server, name), Options{Schema: fmt.Sprintf("s%d", n)})
	})
}
