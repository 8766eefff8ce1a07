package script

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// given runs an input through Lines, in pieces of n bytes, and returns what is passed on and what was judged. Lines with "bad" are refused.
func given(t *testing.T, input string, n int) (passed string, judged []string, ended int) {
	t.Helper()
	pass := func(b []byte) error {
		passed += string(b)
		return nil
	}
	l := &Lines{
		May: func(line string) bool {
			judged = append(judged, line)
			return !strings.Contains(line, "bad")
		},
		End: func() { ended++ },
	}
	for i := 0; i < len(input); i += n {
		require.NoError(t, l.Input([]byte(input[i:min(i+n, len(input))]), pass))
	}
	require.NoError(t, l.Last(pass))
	return passed, judged, ended
}

// TestLines: each line is judged once, however the input is cut, and nothing of a refused one or after it is passed on.
func TestLines(t *testing.T) {
	long := strings.Repeat("x", 2*maxLine)
	for input, want := range map[string]struct {
		passed string
		judged []string
		ended  int
	}{
		"echo a\necho b\n":               {"echo a\necho b\n", []string{"echo a", "echo b"}, 0},
		"echo a\necho b":                 {"echo a\necho b", []string{"echo a", "echo b"}, 0},
		"echo a\nbad\necho b\n":          {"echo a\n", []string{"echo a", "bad"}, 1},
		"echo a\nbad":                    {"echo a\n", []string{"echo a", "bad"}, 0},
		"\n# bad\n \t \necho \xff bad\n": {"\n# bad\n \t \necho \xff bad\n", nil, 0},
		"":                               {"", nil, 0},
	} {
		for n := 1; n <= len(input)+1; n++ {
			passed, judged, ended := given(t, input, n)
			require.Equal(t, want.passed, passed, "%q in pieces of %d", input, n)
			require.Equal(t, want.judged, judged)
			require.Equal(t, want.ended, ended)
		}
	}
	passed, judged, _ := given(t, long+"\nbad\n", 1000)
	require.Equal(t, long+"\n", passed)
	require.Equal(t, []string{"bad"}, judged)
}

// TestWaits: what comes before a line that waits runs meanwhile, and what cannot be passed on then is told.
func TestWaits(t *testing.T) {
	var passed []string
	broken := errors.New("broken")
	var l *Lines
	l = &Lines{May: func(line string) bool {
		if line == "held" {
			l.Waits()
			passed = append(passed, "decided")
		}
		return true
	}}
	l.Waits() // before there is any input
	require.NoError(t, l.Input([]byte("a\nheld\nb\n"), func(b []byte) error {
		passed = append(passed, string(b))
		return nil
	}))
	require.Equal(t, []string{"a\n", "decided", "held\nb\n"}, passed)
	require.ErrorIs(t, l.Input([]byte("a\nheld\n"), func([]byte) error { return broken }), broken)
}
