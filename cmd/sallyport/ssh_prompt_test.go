package main

import (
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSSHShowsWhatStops: what a program has written before it waits is shown while it waits,
// as directly, with the default packs on.
func TestSSHShowsWhatStops(t *testing.T) {
	m := openMachine(t, "[connect, shell, exec]", "", "")
	for _, tt := range []struct {
		name, shows string
		terminal    bool // only on one
	}{
		{"a prompt", "root@db12345:~# ", false},
		{"a question", "Continue? [Y/n] ", false},
		{"a port", "listening on 8080", false},
		{"a year", "in 2024", false},
		{"a longer number", "pid 1234567", true},
		{"a date", "since 2024-11-28", true},
		{"a URL with a port", "http://localhost:8080/x", true},
		{"progress", "\r 45% 12345/67890 kB", true},
		{"progress in one line", "\r[###   ] 1/3\r[####  ] 2/3", false},
		{"the end of a colour", "\x1b[31merror\x1b[0m", false},
		{"a coloured number", "\x1b[1m8080\x1b[0m", true},
		{"a mode of the mouse", "\x1b[?1000h\x1b[?1006h", false},
		{"a mode after a word", "ready\x1b[?2004h", false},
		{"a title", "\x1b]0;root@db: /srv/2024-11-28\x07$ ", true},
		{"a cursor's shape", "\x1b[?25l\x1b[2 q", true},
		{"a full screen", "\x1b[?1049h\x1b[22;0;0t\x1b[1;24r\x1b[H\x1b[2J\x1b[24;1H\"notes\" 12L, 345B\x1b[1;1H", true},
		{"a question to the terminal", "\x1b[6n\x1b[c\x1b[>0q", true},
		{"a code without an end", "\x1b[", false},
		{"letters that are not ASCII", "größe ❯ ", false},
	} {
		for _, mode := range []string{"-T", "-tt"} {
			if mode == "-T" && tt.terminal {
				continue
			}
			t.Run(tt.name+" "+mode, func(t *testing.T) {
				quoted := strings.NewReplacer("\x1b", `\033`, "\x07", `\007`, "\r", `\r`, "%", "%%").Replace(tt.shows)
				cmd := exec.Command("ssh", "-F", m.stanza, mode, "gw", "printf '"+quoted+"'; read -r _; printf '\\nend\\n'")
				in, err := cmd.StdinPipe()
				require.NoError(t, err)
				out := &process{}
				cmd.Stdout = out
				require.NoError(t, cmd.Start())
				defer func() { cmd.Process.Kill(); cmd.Wait() }()
				require.Eventually(t, func() bool { return out.output() == tt.shows }, 20*time.Second, time.Millisecond, "%q", out)
				io.WriteString(in, "\n")
				require.NoError(t, cmd.Wait())
				require.True(t, strings.HasPrefix(out.output(), tt.shows), "%q", out.output())
			})
		}
	}
}
