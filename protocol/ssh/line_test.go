package ssh

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLine(t *testing.T) {
	for _, tt := range []struct{ name, output, want string }{
		{"plain", "$ ls -l", "$ ls -l"},
		{"a new line", "old\r\n$ ls", "$ ls"},
		{"taken back", "$ lz\b\x1b[Ks", "$ ls"},
		{"taken back the old way", "$ lz\b \bs", "$ ls"},
		{"coloured", "\x1b[1;32m$\x1b[0m ls", "$ ls"},
		{"drawn anew", "$ abc\r$ ls\x1b[K", "$ ls"},
		{"inserted", "$ l -a\x1b[3D\x1b[1@s", "$ ls -a"},
		{"deleted", "$ lxs\x1b[2D\x1b[P", "$ ls"},
		{"by columns", "$ l?\x1b[4Gs", "$ ls"},
		{"title and bell", "\x1b]0;$ rm\x07$ ls\x07", "$ ls"},
		{"title and terminator", "\x1b]0;x\x1b\\$ ls", "$ ls"},
		{"bracketed paste", "\x1b[?2004h$ ls", "$ ls"},
		{"wrapped", "$ 34567890 \rabcdefgh", "$ 34567890abcdefgh"},
		{"wrapped and back", "$ 34567890ab\x1b[A\r$ x\x1b[B", "$ x4567890ab"},
		{"other scripts", "$ grüß 日", "$ grüß 日"},
		{"charset", "\x1b(B$ ls", "$ ls"},
		{"cleared", "$ rm\x1b[H\x1b[2J$ ls", "$ ls"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLine(10)
			if !strings.HasPrefix(tt.name, "wrapped") {
				l.resize(80)
			}
			for i := range len(tt.output) {
				l.write([]byte{tt.output[i]}) // in whatever pieces
			}
			require.Equal(t, tt.want, l.from(0))
		})
	}
	l := newLine(80)
	l.write([]byte("\x1b]133;A\x07me $ \x1b]133;B\x07rm x"))
	require.Equal(t, "rm x", l.from(l.marked))
	l.write([]byte("\r\n"))
	require.Equal(t, -1, l.marked)
	l.write([]byte("\x1b]633;B\x1b\\ls\x1b[?1049h"))
	require.True(t, l.full)
	l.write([]byte("\x1b[?1049l"))
	require.False(t, l.full)
}

// FuzzLine: whatever a resource draws, the line stays within its bounds.
func FuzzLine(f *testing.F) {
	f.Add([]byte("$ ls\b\b\x1b[K\x1b[99999C\x1b[5A\x1b[3P\x1b[4@x"), 7)
	f.Add([]byte("\x1b]133;B\x07\x1b[G\x1b[9999999999d\xff\xf0\x9f"), 0)
	f.Fuzz(func(t *testing.T, b []byte, width int) {
		l := newLine(width % 1000)
		l.write(b)
		require.LessOrEqual(t, len(l.cells), maxLine)
		require.LessOrEqual(t, len(l.pending), maxPending)
		require.LessOrEqual(t, len(l.from(l.marked)), maxLine*4)
		require.GreaterOrEqual(t, l.cursor(), 0)
	})
}

func BenchmarkLine(b *testing.B) {
	l := newLine(80)
	text := []byte(strings.Repeat("drwxr-xr-x 2 root root 4096 Jan  1 00:00 \x1b[01;34mdir\x1b[0m\r\n", 100))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		l.write(text)
	}
}
