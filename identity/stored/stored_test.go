package stored_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/identity/stored"
	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/sqlstore"
)

func TestDocuments(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		identitytest.TestDocuments(t, func(*testing.T) identity.Documents { return stored.Documents(store.NewMemory()) })
	})
	t.Run("SQLite", func(t *testing.T) {
		identitytest.TestDocuments(t, func(t *testing.T) identity.Documents {
			s, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlstore.Options{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return stored.Documents(s)
		})
	})
}

// TestDeleteNothing: deleting what does not exist does nothing, and what exists is deleted by its version only.
func TestDeleteNothing(t *testing.T) {
	docs := stored.Documents(store.NewMemory())
	_, err := docs.Write(t.Context(), "a", identity.Document{Name: "one"})
	require.NoError(t, err)
	_, err = docs.Write(t.Context(), "a", identity.Document{Name: "one", Body: []byte(`{}`)})
	require.NoError(t, err)
	_, err = docs.Write(t.Context(), "a", identity.Document{Name: "one"})
	require.ErrorIs(t, err, identity.ErrConflict)
}

func TestSealer(t *testing.T) {
	key := store.NewKey()
	keys, err := store.NewSealer(key)
	require.NoError(t, err)
	s := stored.Sealer(keys)
	sealed, err := s.Seal([]byte("hunter2"), "login 7f3a")
	require.NoError(t, err)
	require.NotContains(t, string(sealed), "hunter2")
	plain, err := s.Open(sealed, "login 7f3a")
	require.NoError(t, err)
	require.Equal(t, "hunter2", string(plain))
	_, err = s.Open(sealed, "login 7f3b")
	require.ErrorIs(t, err, identity.ErrSealed, "another purpose")
	_, err = s.Open([]byte("sealed:v1:nothing"), "login 7f3a")
	require.ErrorIs(t, err, identity.ErrSealed)
	other, err := store.NewSealer(store.NewKey())
	require.NoError(t, err)
	_, err = stored.Sealer(other).Open(sealed, "login 7f3a")
	require.ErrorIs(t, err, identity.ErrSealed, "another key")
	_, err = keys.Open(store.Place{Kind: "user", Name: "login 7f3a", Field: "sealed"}, string(sealed))
	require.ErrorIs(t, err, store.ErrSealed, "a field of a document")
}
