// Package teststore opens every kind of store for tests of what keeps its state in one.
package teststore

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/sqlstore"
)

// Kind is a kind of store. Open returns an empty one, which is closed with the test.
type Kind struct {
	Name string
	Open func(t *testing.T) store.Store
}

// Memory is the name of the kind that is fast.
const Memory = "memory"

// Kinds returns all kinds. A package whose tests open them has testserver.Main as its TestMain.
func Kinds() []Kind {
	return []Kind{
		{Memory, func(*testing.T) store.Store { return store.NewMemory() }},
		{"SQLite", func(t *testing.T) store.Store {
			s, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlstore.Options{})
			return closing(t, s, err)
		}},
		{"PostgreSQL", func(t *testing.T) store.Store {
			server, name := testserver.Database(t, "")
			s, err := sqlstore.OpenPostgres(t.Context(), testserver.URL(pgembed.User, server.Password, server.Address(), name, ""), sqlstore.Options{})
			return closing(t, s, err)
		}},
	}
}

func closing(t *testing.T, s *sqlstore.Store, err error) store.Store {
	t.Helper()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// Each runs a test on every kind of store.
func Each(t *testing.T, test func(t *testing.T, s store.Store)) {
	for _, k := range Kinds() {
		t.Run(k.Name, func(t *testing.T) { test(t, k.Open(t)) })
	}
}
