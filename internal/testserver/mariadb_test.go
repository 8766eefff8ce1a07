package testserver

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A server that starts deletes the temporary tables in its directory for these: each has one of its own.
func TestMariaDBHasItsOwnTemporaryFiles(t *testing.T) {
	s := MariaDB(t)
	out, err := s.Run("", "SELECT @@tmpdir")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(s.Dir, "tmp"), out)
}
