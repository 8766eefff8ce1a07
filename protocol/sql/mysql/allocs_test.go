package mysql

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/race"
)

func TestHitAllocatesNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	text := []byte("SELECT balance FROM accounts WHERE id = 4711")
	require.Zero(t, testing.AllocsPerRun(1000, func() { analyzer.Analyze(context.Background(), text, &maria) }))
}
