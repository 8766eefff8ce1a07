package sql

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A literal that is replaced is one literal still, whose value is what was asked for, however
// the server reads backslashes.
func TestAppendReplaced(t *testing.T) {
	limits := Limits{}.WithDefaults()
	for text, want := range map[string]string{
		"SELECT 'a', 5, E'b\\n', $q$c$q$, 'd'\n 'e'": "SELECT 'x', 'x', 'x', 'x', 'x'",
		"SELECT'a'FROM t":                     "SELECT 'x'FROM t",
		"SELECT -1.5e3 -- 'no'\n, \"'name'\"": "SELECT -'x' -- 'no'\n, \"'name'\"",
		"SELECT /* 'a' */ now()":              "SELECT /* 'a' */ now()",
	} {
		out, err := AppendReplaced(nil, []byte(text), limits, LiteralsPlain, func(int) ([]byte, bool) { return []byte("x"), true })
		require.NoError(t, err, text)
		require.Equal(t, want, string(out))
	}
	for _, v := range []string{"", "it's", `a\`, `\'`, `a\n'b`, "ä'", "tok_00_ab-c"} {
		out, err := AppendReplaced(nil, []byte("SELECT 'a', 'b' WHERE c = 'd'"), limits, LiteralsPlain, func(i int) ([]byte, bool) { return []byte(v), i == 1 })
		require.NoError(t, err)
		for _, as := range []Literals{LiteralsPlain, LiteralsEscaped} {
			got := AppendLiterals(nil, out, limits, as)
			require.Len(t, got, 3, "%q", out)
			require.Equal(t, v, string(got[1]), "%q", out)
			require.Equal(t, "d", string(got[2]))
		}
	}
	for _, text := range []string{"SELECT U&'a' UESCAPE '!'", "SELECT B'101'", "SELECT 'unended"} {
		_, err := AppendReplaced(nil, []byte(text), limits, LiteralsPlain, func(int) ([]byte, bool) { return nil, true })
		require.ErrorIs(t, err, ErrNotReplaced, text)
	}
	_, err := AppendReplaced(nil, []byte("SELECT 'a'"), limits, LiteralsPlain, func(int) ([]byte, bool) { return []byte("a\x00"), true })
	require.ErrorIs(t, err, ErrNotReplaced)
}
