package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
)

// TestOfflineUnrecorded: what the disk does not take is not granted, best effort or not, and the statement of what was recorded and then
// not granted does not count again.
func TestOfflineUnrecorded(t *testing.T) {
	s := openSafe(t)
	u := s.signed(t, s.begin(t))
	require.NoError(t, os.MkdirAll(filepath.Join(s.book(), "in the way"), 0o700))
	err := s.use(t, u)
	require.Equal(t, control.CodeUnrecorded, codeOf(err))
	require.Empty(t, s.desk.List())
	require.NoError(t, os.RemoveAll(s.book()))
	require.ErrorContains(t, s.use(t, u), "is that of use 1, and the next one is 2")
	var states []string
	a, err := audit.OpenArchive(filepath.Join(s.dir, "data", "audit"))
	require.NoError(t, err)
	ids, err := a.Sessions()
	require.NoError(t, err)
	for _, id := range ids {
		for e, err := range a.Events(id) {
			require.NoError(t, err)
			if state, ok := strings.CutPrefix(e.Type, audit.ReviewPrefix); ok {
				states = append(states, fmt.Sprint(state, " ", e.Count))
			}
		}
	}
	require.Equal(t, []string{"break_glass 1", "undone 0"}, states)

	u = s.signed(t, s.begin(t))
	require.NotZero(t, fillDisk(t, filepath.Join(s.dir, "data", "audit"), "sessions"))
	require.Equal(t, control.CodeUnrecorded, codeOf(s.use(t, u)))
	require.Empty(t, s.desk.List())
}
