package backup_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // opens the store as another program does
)

// newerSchema makes the store in a file one of a program that is newer than every other.
func newerSchema(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	require.NoError(t, err)
	_, err = db.Exec(`INSERT INTO migrations (version, since, applied) VALUES (1000, 1000, 0)`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
}
