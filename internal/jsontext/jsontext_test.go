package jsontext

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBounds(t *testing.T) {
	for text, end := range map[string]int{`"a"`: 3, `"a\"b" `: 6, `"a\\" "`: 5, `"open`: 5, `"open\`: 6, `"`: 1} {
		require.Equal(t, end, StringEnd([]byte(text), 0), text)
	}
	for text, at := range map[string]int{" \t\r\n1": 4, "1": 0, "": 0, "  ": 2} {
		require.Equal(t, at, SkipSpace([]byte(text), 0), text)
	}
	for text, want := range map[string]string{"[-1.5e+3,": "-1.5e+3", "{true}": "true", "7": "7"} {
		from, to := BareToken([]byte(text), len(text)/2, len(text)/2)
		require.Equal(t, want, text[from:to], text)
	}
}
