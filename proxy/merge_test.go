package proxy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMerge: what one rule alone allows, several allow together only where each of them does.
func TestMerge(t *testing.T) {
	open := Hold{Rules: []string{"a"}, Approvers: [][]string{{"dba"}}, For: time.Hour, Undo: time.Hour, Reveal: true, Try: true, Message: "why"}
	strict := Hold{Rules: []string{"b"}, Approvers: [][]string{{"lead", "sec"}}, For: time.Minute, Not: []string{"eve"}, Blind: "unknown"}
	both := func(a, b Hold) *Hold { return merge([]holdBy{{&a, "x"}, {&b, "y"}}) }

	want := Hold{
		Rules: []string{"a", "b"}, Approvers: [][]string{{"dba"}, {"lead", "sec"}}, For: time.Minute, Undo: time.Hour,
		Not: []string{"eve"}, Blind: "unknown", Message: "why",
	}
	require.Equal(t, want, *both(open, strict))
	want.Rules, want.Approvers = []string{"b", "a"}, [][]string{{"lead", "sec"}, {"dba"}}
	require.Equal(t, want, *both(strict, open))
	all := both(open, open)
	require.True(t, all.Reveal && all.Try, "each of them does")
}
