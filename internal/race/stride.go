package race

import "testing"

// Stride is the distance between the cases of a test that goes through every one of them: 1,
// except where each takes ten times as long and a part of them has to do. Such a test is called
// TestEvery…; scripts/test runs it once more without the race detector, in full.
func Stride() int {
	if testing.Short() || Enabled {
		return 7
	}
	return 1
}
