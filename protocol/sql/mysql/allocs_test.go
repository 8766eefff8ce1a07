//go:build !race

package mysql

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// The race detector allocates.
func TestHitAllocatesNothing(t *testing.T) {
	text := []byte("SELECT balance FROM accounts WHERE id = 4711")
	require.Zero(t, testing.AllocsPerRun(1000, func() { analyzer.Analyze(context.Background(), text, &maria) }))
}
