package ssh_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
)

// TestTypedLines: what is typed in a shell is judged line by line as the shell
// shows it; what is refused does not run, and the shell goes on.
func TestTypedLines(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.journal.ask = func(op proxy.Op) proxy.Verdict {
			if e, ok := op.(*proxy.Exec); ok && e.Kind == proxy.KindInput && strings.Contains(e.Command, "forbidden") {
				return proxy.Deny(proxy.CauseGuardrail, "trip", "not this", "")
			}
			return proxy.Verdict{}
		}
	})
	s, err := r.mustClient().NewSession()
	require.NoError(t, err)
	require.NoError(t, s.RequestPty("xterm", 24, 80, nil))
	in, err := s.StdinPipe()
	require.NoError(t, err)
	out := &lockedBuffer{}
	s.Stdout, s.Stderr = out, out
	require.NoError(t, s.Shell())
	seen := func(text string) {
		t.Helper()
		waitFor(t, text, func() bool { return strings.Contains(out.String(), text) })
	}
	io.WriteString(in, "exec env -i HISTFILE= HOME=/ TERM=xterm PS1='ready> ' bash --noprofile --norc -i\r")
	seen("hready> ")
	for _, line := range []struct{ keys, shows, on string }{
		{"echo one''1\r", "one1", "input echo one''1 → done"},
		{"echo twx\x7fo''2\r", "two2", "input echo two''2 → done"},
		{"echo thre\x1b[D\x1b[D\x1b[Cx\x05\x15echo three''3\r", "three3", "input echo three''3 → done"},
		{"echo forbidden''4\r", "sallyport: not this (rule trip)", "input echo forbidden''4 → refused"},
		{"echo forbidd\x1b[D\x1b[C\x1b[Cen''5\r", "sallyport: not this", "input echo forbidden''5 → refused"},
		{"\x1b[A\x1b[A\r", "two2", "input echo two''2 → done"},
		{"ech\tsix''6\r", "six6", "input echo six''6 → done"},
		{"read -s x; echo got''7\r", "read -s x", "input read -s x; echo got''7 → done"},
		{"secret\r", "got7", ""},
		{"PS1='\\[\\e]133;B\\a\\]'; echo marked''8\r", "marked8", ""},
		{"echo with no prompt''9\r", "prompt9", "input echo with no prompt''9 → done"},
	} {
		io.WriteString(in, line.keys)
		seen(line.shows)
		if line.on != "" {
			r.journal.expect(t, line.on)
		}
	}
	io.WriteString(in, "exit 3\r")
	var exit *gossh.ExitError
	require.ErrorAs(t, s.Wait(), &exit)
	require.Equal(t, 3, exit.ExitStatus())
	require.NotContains(t, out.String(), "\nforbidden")
	require.NotContains(t, strings.Join(r.journal.doneLines(), "\n"), "secret", "what is not echoed is nobody's business")
}
