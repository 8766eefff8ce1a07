package detect

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFinder: it finds what its Detector finds, or that without names of people, and
// allocates nothing once it was used.
func TestFinder(t *testing.T) {
	text := []byte("Anna Schneider of the board wrote to ann.lee@example.com about the meeting")
	all := Default().Find(nil, text)
	require.Len(t, all, 2)
	f := Finder{Detector: Default()}
	require.Equal(t, all, f.Find(nil, text, 0))
	plain := Finder{Detector: Default(), NoNames: true}
	require.Equal(t, all[1:], plain.Find(nil, text, 0))
	var dst []Finding
	dst = f.Find(dst, text, 0)
	require.Zero(t, testing.AllocsPerRun(100, func() { dst = f.Find(dst[:0], text, 0) }))
}
