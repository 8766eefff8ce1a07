package main

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// Ratios are those of rounds: a machine that is slow for a round is slow for all paths.
func TestRatioIsByRound(t *testing.T) {
	base := []run{{rate: 100, cpu: 10}, {rate: 10, cpu: 100}, {rate: 50, cpu: 20}}
	runs := []run{{rate: 50, cpu: 20}, {rate: 5, cpu: 200}, {rate: 30, cpu: 44}}
	require.Equal(t, "0.50 (0.50–0.60)", ratio(runs, base, rate))
	require.Equal(t, "2.00 (2.00–2.20)", ratio(runs, base, cpuOf))
	require.InDelta(t, 30, median(runs, rate), 0)
	require.Empty(t, ratio(runs, make([]run, 3), rate), "of a path that is not there")
}

// Every round visits every path once, and the first error ends it.
func TestTurnsVisitAll(t *testing.T) {
	b := &bench{rounds: 7}
	paths := []path{{name: "a"}, {name: "b"}, {name: "c"}}
	var visited []string
	runs, err := b.turns(paths, func(p path) (run, error) {
		visited = append(visited, p.name)
		return run{rate: float64(p.name[0])}, nil
	})
	require.NoError(t, err)
	for i, p := range paths {
		require.Len(t, runs[i], b.rounds)
		require.InDelta(t, float64(p.name[0]), median(runs[i], rate), 0)
	}
	for i := 0; i < len(visited); i += len(paths) {
		require.ElementsMatch(t, []string{"a", "b", "c"}, visited[i:i+len(paths)])
	}
	failed := errors.New("no server")
	_, err = b.turns(paths, func(path) (run, error) { return run{}, failed })
	require.ErrorIs(t, err, failed)
}
