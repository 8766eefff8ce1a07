package sqlstore

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
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
