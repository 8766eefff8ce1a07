package ssh_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestEndsOfLines: whatever key makes a shell run a line, the line is judged before, as it
// is, and is on record.
func TestEndsOfLines(t *testing.T) {
	const bash = "exec env -i HISTFILE=%[1]s EDITOR=true HOME=/ TERM=xterm PS1='read''y> ' bash --noprofile --norc"
	shells := map[string]string{
		"bash": bash + " -i", "vi": bash + " -o vi -i", "dash": "exec env -i HOME=/ PS1='read''y> ' dash -i",
		"marks": strings.Replace(bash, "read''y> ", `\e]133;A\e\\read''y\e]133;B\e\\`, 1) + " -i",
	}
	const history = "echo forbidden''H\necho fine''H\n"
	for _, tt := range []struct {
		name, shell, keys string
		asked             []string // the lines, in order; the refused ones say "forbidden"
		shows             string
	}{
		{"CR", "bash", "echo forbidden''1\r", []string{"echo forbidden''1"}, ""},
		{"LF", "bash", "echo forbidden''1\n", []string{"echo forbidden''1"}, ""},
		{"LF, allowed", "bash", "echo fine''1\n", []string{"echo fine''1"}, "fine1"},
		{"CR LF", "bash", "echo fine''1\r\n", []string{"echo fine''1"}, "fine1"},
		{"CR LF where prompts are marked", "marks", "echo fine''1\r\n", []string{"echo fine''1"}, "fine1"},
		{"LF where prompts are marked", "marks", "echo forbidden''1\n", []string{"echo forbidden''1"}, ""},
		{"LF without an editor", "dash", "echo forbidden''1\n", []string{"echo forbidden''1"}, ""},
		{"end of input without an editor", "dash", "echo forbidden''1\x04\x04", []string{"echo forbidden''1"}, ""},
		{"end of input, allowed", "dash", "echo fine''1\x04\x04", []string{"echo fine''1"}, "fine1"},
		{"Ctrl-O", "bash", "echo forbidden''1\x0f", []string{"echo forbidden''1"}, ""},
		{"Ctrl-O, allowed", "bash", "echo fine''1\x0f", []string{"echo fine''1"}, "fine1"},
		{"edit and execute", "bash", "echo forbidden''1\x18\x05", []string{"echo forbidden''1"}, ""},
		{"edit and execute, allowed", "bash", "echo fine''1\x18\x05", []string{"echo fine''1"}, "fine1"},
		{"expansion that runs", "bash", "echo $(echo forbidden''1)\x1b\x05", []string{"echo $(echo forbidden''1)"}, ""},
		{"a comment that is none", "bash", "#echo forbidden''1\x1b1\x1b#", []string{"#echo forbidden''1"}, ""},
		{"the replay of a macro", "bash", "\x18(\r\x18)echo forbidden''1\x18e", []string{"echo forbidden''1"}, ""},
		{"Enter of a keypad", "bash", "echo forbidden''1\x1bOM", []string{"echo forbidden''1"}, ""},
		{"a reported Enter", "bash", "echo forbidden''1\x1b[13u", []string{"echo forbidden''1"}, ""},
		{"a reported Ctrl-J", "bash", "echo forbidden''1\x1b[106;5u", []string{"echo forbidden''1"}, ""},
		{"Enter in vi's commands", "vi", "echo forbidden''1\x1b|\n", []string{"echo forbidden''1"}, ""},
		{"edit and execute in vi's commands", "vi", "echo forbidden''1\x1b|v", []string{"echo forbidden''1"}, ""},
		{"history, LF", "bash", "\x1b[A\x1b[A\n", []string{"echo forbidden''H"}, ""},
		{"history, Ctrl-O", "bash", "\x10\x10\x0f", []string{"echo forbidden''H"}, ""},
		{"a search, LF", "bash", "\x12forb\n", []string{"echo forbidden''H"}, ""},
		{"a search, Ctrl-O", "bash", "\x12forb\x0f", []string{"echo forbidden''H"}, ""},
		{"what Ctrl-O brings up", "bash", "\x1b[A\x1b[A\x1b[A\x0f|\r", nil, ""},
		{"several lines", "bash", "echo fine''1\necho forbidden''2\necho fine''3\n", []string{"echo fine''1", "echo forbidden''2", "echo fine''3"}, "fine3"},
		{"several lines without an editor", "dash", "echo fine''1\necho forbidden''2\necho fine''3\n", []string{"echo fine''1", "echo forbidden''2", "echo fine''3"}, "fine3"},
		{"a paste", "bash", "\x1b[200~echo forbidden''1\x1b[201~\r", []string{"echo forbidden''1"}, ""},
		{"a paste of lines", "bash", "\x1b[200~echo fine''1\necho forbidden''2\x1b[201~\n", []string{"echo fine''1\necho forbidden''2"}, ""},
		{"a paste of lines, the first", "bash", "\x1b[200~echo forbidden''1\recho fine''2\r\x1b[201~\r", []string{"echo forbidden''1\necho fine''2"}, ""},
		{"a paste of lines, allowed", "bash", "\x1b[200~echo fine''1\necho fine''2\n\x1b[201~\r", []string{"echo fine''1\necho fine''2"}, "fine2"},
		{"a paste behind what was edited", "bash", "ecx\x1b[D\x1b[C\x7fho a;\x1b[200~echo forbidden''1\necho fine''2\x1b[201~\r", nil, ""},
		{"marks of a paste that are none", "dash", "\x1b[200~\necho forbidden''1\n", nil, ""},
		{"a completion", "bash", "cat /etc/hostnam\t\r", []string{"cat /etc/hostname"}, "cat /etc/hostname"},
		{"Ctrl-D in a line", "bash", "echo forb\x04idden''1\r", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(r *rig) {
				r.journal.ask = func(op proxy.Op) proxy.Verdict {
					if e, ok := op.(*proxy.Exec); ok && e.Kind == proxy.KindInput && strings.Contains(e.Command, "forbidden") {
						return proxy.Deny(proxy.CauseGuardrail, "trip", "not this", "")
					}
					return proxy.Verdict{}
				}
			})
			file := filepath.Join(r.dir, "history")
			require.NoError(t, os.WriteFile(file, []byte(history), 0o600))
			s, err := r.mustClient().NewSession()
			require.NoError(t, err)
			require.NoError(t, s.RequestPty("xterm", 24, 80, nil))
			in, err := s.StdinPipe()
			require.NoError(t, err)
			out := &lockedBuffer{}
			s.Stdout, s.Stderr = out, out
			require.NoError(t, s.Shell())
			shell := shells[tt.shell]
			if strings.Contains(shell, "%[1]s") {
				shell = fmt.Sprintf(shell, file)
			}
			fmt.Fprint(in, shell+"\r")
			seen := func(text string) {
				t.Helper()
				require.Eventually(t, func() bool { return strings.Contains(out.String(), text) }, 30*time.Second, time.Millisecond, "%s", out)
			}
			seen("ready")
			start := len(r.journal.doneLines())
			for i, part := range strings.Split(tt.keys, "|") { // "|" has what comes after it wait for what came before
				if i > 0 {
					before := len(out.String())
					waitFor(t, "output", func() bool { return len(out.String()) > before })
				}
				io.WriteString(in, part)
			}
			if tt.shows != "" {
				seen(tt.shows)
			} else {
				seen("sallyport: not this (rule trip)")
			}
			if tt.asked != nil {
				var want []string
				for _, line := range tt.asked {
					verdict := " → done"
					if strings.Contains(line, "forbidden") {
						verdict = " → refused: not this (rule trip)"
					}
					want = append(want, "input "+line+verdict)
				}
				require.Eventually(t, func() bool { return len(r.journal.doneLines()) >= start+len(want) }, 30*time.Second, time.Millisecond)
				require.Equal(t, want, r.journal.doneLines()[start:start+len(want)])
			}
			require.NotRegexp(t, "forbidden[0-9H]", out.String())
		})
	}
}
