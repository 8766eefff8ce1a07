package masking

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStreamBytesNotShown: a value that a terminal would not show, because
// backspaces go back over it or an escape sequence holds it, is masked. The bytes
// may go to a file.
func TestStreamBytesNotShown(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"backspaces in the next line", "ssn 123-45-6789\n0\b\b\b\b\b\b\bx\n", "ssn ***-**-****\n0\b\b\b\b\b\b\bx\n"},
		{"backspaces behind", "ssn 123-45-6789\b\b\b\b\n", "ssn ***-**-****\b\b\b\b\n"},
		{"backspaces at the end", "ssn 123-45-6789\b\b\b\b", "ssn ***-**-****\b\b\b\b"},
		{"written over", "ssn 123-45-6789\b\b\b\bxxxx\n", "ssn ***-**-****\b\b\b\bxxxx\n"},
		{"written over by a longer character", "ssn 123-45-6789\b\b\u00e9\n", "ssn ***-**-****\b\b\u00e9\n"},
		{"a sign written over, backspaces behind", "ssn 123-45-67x\b89\b\b\n", "ssn ***-**-**x\b**\b\b\n"},
		{"a long character written over", "ssn 123-45-67\u00e9\b89\n", "ssn ***-**-**\u00e9\b**\n"},
		{"twice for bold", "ssn 1\b12\b23\b3-\b-4\b45\b5-\b-6\b67\b78\b89\b9\n", ""},
		{"title", "\x1b]0;ssn 123-45-6789\a\n", "\x1b]0;ssn ***-**-****\a\n"},
		{"command without an end", "\x1b]123-45-6789\n", "\x1b]***-**-****\n"},
		{"control sequence without an end", "\x1b[\n123-45-6789\n", "\x1b[\n***-**-****\n"},
		{"device control string", "\x1bPx 123-45-6789\x1b\\\n", "\x1bPx ***-**-****\x1b\\\n"},
		{"character set within", "ssn 12\x1b(B3-45-6789\n", "ssn **\x1b(B*-**-****\n"},
		{"colours within, backspaces behind", "123-\x1b[31m45-\x1b[0m6789\b\b\b\bxxxx\n", "***-\x1b[31m**-\x1b[0m****\b\b\b\bxxxx\n"},
	} {
		for _, media := range []string{"stdout", "terminal"} {
			for _, size := range []int{1, 2, 6, 100} {
				t.Run(fmt.Sprintf("%s/%s/%d", c.name, media, size), func(t *testing.T) {
					got := pass(t, newStream(t, media), c.in, size, false)
					if c.want != "" {
						require.Equal(t, c.want, got)
					}
					require.NotRegexp(t, `\d\d`, strings.NewReplacer("\b", "", "\x1b[31m", "").Replace(got))
				})
			}
		}
	}
	for name, text := range map[string]string{
		"control in a sequence": "0\x1b\n123-45-6789\nBB", "cancelled": "ssn 123-\x1b[\x1845-\x1b]\x1a6789\n", "sequence in a sequence": "ssn 123-\x1b\x1b[31m45-\x1b[3\x1b[31m6789\n",
	} {
		for _, media := range []string{"stdout", "terminal"} {
			for _, size := range []int{1, 4, 100} {
				got := shown(pass(t, newStream(t, media), text, size, false), 80, 24)
				require.NotRegexp(t, `45|67`, got, "%s/%s/%d", name, media, size)
			}
		}
	}
	// In a file, the last letter of a sequence is text too.
	require.Equal(t, "\x1b[**** **** **** **** **** **\n", pass(t, newStream(t, "stdout"), "\x1b[GB82 WEST 1234 5698 7654 32\n", 100, false))
	require.Equal(t, "ssn \x1b***-**-****\n", pass(t, newStream(t, "stdout"), "ssn \x1b123-45-6789\n", 100, false))
}

// TestTerminalControlsOfOneCharacter: U+009B is ESC and [, U+009D is ESC and ].
func TestTerminalControlsOfOneCharacter(t *testing.T) {
	for name, c := range map[string]struct{ in, shows string }{
		"colour": {"ssn 123-\u009b31m45-\u009b0m6789 x", "ssn ***-**-**** x"},
		"title":  {"ssn 123-\u009dt\a45-6789 x", "ssn ***-**-**** x"},
		"cursor": {"45-6789\u009b1Gssn 123-45-6789 x", "ssn ***-**-**** x"},
	} {
		for _, size := range []int{1, 6, 100} {
			got := pass(t, newStream(t, "terminal"), c.in, size, false)
			require.Equal(t, c.shows, strings.TrimRight(shown(got, 80, 24), " "), "%s/%d", name, size)
		}
	}
}

// TestStreamValueOverValue: a value is masked, and the one that it is written over.
func TestStreamValueOverValue(t *testing.T) {
	text := "4111 1111 1111 1111" + strings.Repeat("\b", 19) + "123-45-6789 xxxxxxx\n"
	for _, media := range []string{"stdout", "terminal"} {
		for _, size := range []int{1, 5, 100} {
			got := pass(t, newStream(t, media), text, size, false)
			require.NotRegexp(t, `\d{3}-|-\d\d|4111|1111 1111`, got, "%s/%d", media, size)
		}
	}
}

// TestStreamLeavesColours: what is not text stays as it is.
func TestStreamLeavesColours(t *testing.T) {
	for media, texts := range map[string][]string{
		"stdout":   {"password=\x1b[1;31mhunter2\x1b[0m\n"},
		"terminal": {"password=\x1b[1;31mhunter2\x1b[K\x1b[0m\r\n", "password=hunter2\x1b[12;40H\x1b(B", "password=hunter2\x1b]0;ann\a\x1b[K\r\n"},
	} {
		for _, text := range texts {
			require.Equal(t, strings.ReplaceAll(text, "hunter2", "*******"), pass(t, newStream(t, media), text, 100, false))
		}
	}
}
