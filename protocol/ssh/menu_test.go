package ssh

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMenuKeys(t *testing.T) {
	var choices []Choice
	for i := range 30 {
		choices = append(choices, Choice{Resource: fmt.Sprintf("vm%02d", i), About: "env=prod"})
	}
	choices = append(choices, Choice{Resource: "quay", Account: "admin", About: "env=test\x1b]0;x\a"})
	for _, tt := range []struct {
		name, keys string
		want       string // empty: left; "…": goes on
	}{
		{"the first", "\r", "vm00"},
		{"arrows", "\x1b[B\x1b[B\x1b[A\r", "vm01"},
		{"arrows of application mode", "\x1bOB\x1bOB\r", "vm02"},
		{"controls", "\x0e\x0e\x10\n", "vm01"},
		{"pages", "\x1b[6~\x1b[6~\x1b[5~\r", "vm05"},
		{"home and end", "\x1b[F\x1b[H\x1b[B\r", "vm01"},
		{"not above the first", "\x1b[A\x1b[A\r", "vm00"},
		{"end", "\x1b[4~\r", "quay+admin"},
		{"typed", "m17\r", "vm17"},
		{"typed and corrected", "m18\x7f9\r", "vm19"},
		{"typed and cleared", "m18\x15\r", "vm00"},
		{"by its label", "TEST\r", "quay+admin"},
		{"beginning with q", "/qua\r", "quay+admin"},
		{"no resource has a name like this", "zz\r", "…"},
		{"leave", "q", ""},
		{"q in a name", "vmq", "…"},
		{"Ctrl-C", "vm\x03", ""},
		{"Ctrl-D", "\x04", ""},
		{"unknown sequences", "\x1b[1;5C\x1b[200~\x1bx\x1b[999999999999999999~", "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMenu(choices, 80, 10)
			got := "…"
			for i := range len(tt.keys) {
				switch m.press(tt.keys[i]) {
				case pressedEnter:
					c, ok := m.current()
					require.True(t, ok)
					got = c.login()
				case pressedLeave:
					got = ""
				}
				screen := m.draw()
				require.LessOrEqual(t, strings.Count(screen, "\r\n"), 10, "it fits the screen")
				require.NotContains(t, screen, "\x1b]0;", "names steer no terminal")
			}
			require.Equal(t, tt.want, got)
		})
	}
	for _, size := range [][2]int{{0, 0}, {1, 1}, {5, 2}, {100000, 100000}} {
		m := newMenu(choices, size[0], size[1])
		require.NotEmpty(t, m.draw())
	}
	require.Contains(t, newMenu(nil, 80, 24).draw(), "no resource has a name like this")
}
