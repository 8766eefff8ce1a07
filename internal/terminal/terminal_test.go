package terminal

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVisible(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"plain text", "SELECT 'ü', '😀'", "SELECT 'ü', '😀'"},
		{"line breaks and tabs", "a\n\tb\r", "a  b␍"},
		{"an escape sequence", "a\x1b[2Jb", "a␛[2Jb"},
		{"NUL, BEL and backspace", "\x00\x07\b", "␀␇␈"},
		{"delete", "a\x7f", "a\ufffd"},
		{"controls of eight bits", "\u009b6n", "\ufffd6n"},
		{"other line breaks", "a\u2028b\u2029c", "a\ufffdb\ufffdc"},
		{"reordered text", "\u202eabc\u2066\u2069", "\ufffdabc\ufffd\ufffd"},
		{"invalid UTF-8", "a\xffb", "a\ufffdb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, Visible(c.in))
			require.Equal(t, c.want, Visible(Visible(c.in)))
		})
	}
}

func TestVisibleLines(t *testing.T) {
	require.Equal(t, "a␍\n b␛[2J\n", VisibleLines("a\r\n\tb\x1b[2J\n"))
}
