package masking

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestLeakT3DrawnOver: on a terminal whose cursor can be moved, nothing of a value
// stays that was drawn in parts with pauses between, and all else is where it was.
func TestLeakT3DrawnOver(t *testing.T) {
	on := func(t *testing.T, term string, pieces ...string) (screen string, bytes string) {
		h, _ := hooksFor(t, Config{})
		op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell, ID: 7}, Terminal: true}
		out, err := h.Flow(context.Background(), op, &proxy.Shape{Kind: proxy.ShapeStream, Media: "terminal", Width: 80, Height: 24, Terminal: term})
		require.NoError(t, err)
		var got []byte
		for _, p := range pieces {
			got, err = out.Bytes(got, []byte(p))
			require.NoError(t, err)
			got, err = out.Idle(got)
			require.NoError(t, err)
		}
		got, err = out.End(got)
		require.NoError(t, err)
		return shown(string(got), 80, 24), string(got)
	}
	for name, pieces := range map[string][]string{
		"right to left":      {"\x1b[5;1Hssn", "\x1b[5;12H6789", "\x1b[5;9H45-", "\x1b[5;5H123-", "\x1b[9;1Hend"},
		"digit by digit":     strings.Split("ssn 123-45-6789 is it\r\nend", ""),
		"over a soft wrap":   {strings.Repeat("word ", 15), "123-4", "5-67", "89 it\r\nend"},
		"with another line":  {"ssn 12", "3-45-", "\r\n\x1b[A\x1b[12G", "6789\r\nend"},
		"in a region":        {"\x1b[3;10r\x1b[5;12H6789", "\x1b[5;9H45-", "\x1b[5;5H123-", "\x1b[9;1Hend"},
		"by a status line":   {"\x1b[24;1H6789", "\x1b[1;1Hx", "\x1b[23;80H\x1b[24;1H123-45-6789", "\x1b[2;1Hend"},
		"card, card by card": {"4111 ", "1111 ", "1111 ", "1111\r\n", "end"},
	} {
		t.Run(name, func(t *testing.T) {
			screen, _ := on(t, "xterm-256color", pieces...)
			require.NotRegexp(t, `123|4111|45-|6789`, strings.ReplaceAll(screen, "1111 ", ""))
			plain := shown(strings.Join(pieces, ""), 80, 24)
			require.Equal(t, strings.Index(plain, "end"), strings.Index(screen, "end"), "the cursor comes back")
			for i := range plain {
				require.True(t, screen[i] == plain[i] || screen[i] == '*')
			}
		})
	}
	// A terminal that may not know how is sent nothing but what came.
	for _, term := range []string{"", "dumb", "vt52"} {
		_, got := on(t, term, strings.Split("ssn 123-45-6789\r\n", "")...)
		require.Len(t, got, len("ssn 123-45-6789\r\n"), term)
	}
	_, got := on(t, "xterm", "no value 12345\r\n$ ", "ls\r\n")
	require.Equal(t, "no value 12345\r\n$ ls\r\n", got)
}

// TestLeakT1Colours: what colours a value within it does not part it.
func TestLeakT1Colours(t *testing.T) {
	const in = "123-\x1b[31m45-\x1b[0m6789\r\n"
	for _, size := range []int{1, 3, 100} {
		require.Equal(t, "***-\x1b[31m**-\x1b[0m****\r\n", pass(t, newStream(t, "terminal"), in, size, false))
	}
}

// TestLeakT4CutValues: a value that comes byte by byte is masked whole when nothing
// pauses, and shows at most three digits when everything does.
func TestLeakT4CutValues(t *testing.T) {
	for _, media := range []string{"terminal", "stdout"} {
		require.Equal(t, "ssn ***-**-****\r\n", pass(t, newStream(t, media), "ssn 123-45-6789\r\n", 1, false))
		require.Regexp(t, `^ssn (123|\*\*\*)-\*\*-\*\*\*\*\r\n$`, pass(t, newStream(t, media), "ssn 123-45-6789\r\n", 1, true))
	}
}
