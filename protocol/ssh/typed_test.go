package ssh_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/protocol/ssh/commandline"
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
	out, aside := &lockedBuffer{}, &lockedBuffer{}
	s.Stdout, s.Stderr = out, aside
	require.NoError(t, s.Shell())
	seen := func(text string) {
		t.Helper()
		waitFor(t, text, func() bool { return strings.Contains(out.String(), text) })
	}
	io.WriteString(in, "exec env -i HISTFILE= HOME=/ TERM=xterm PS1='ready> ' bash --noprofile --norc -i\r")
	seen("hready> ")
	// What the shell shows when it reads keys again. Keys that come earlier are shown
	// before its prompt.
	const prompt, redrawn, marked, asked = "\x1b[?2004hready> ", "\rready> \x1b[K", "\x1b[?2004h\x1b]133;B\a", "\x1b[?2004l\r"
	for _, line := range []struct{ keys, shows, reads, on string }{
		{"echo one''1\r", "one1", prompt, "input echo one''1 → done"},
		{"echo twx\x7fo''2\r", "two2", prompt, "input echo two''2 → done"},
		{"echo thre\x1b[D\x1b[D\x1b[Cx\x05\x15echo three''3\r", "three3", prompt, "input echo three''3 → done"},
		{"echo forbidden''4\r", "sallyport: not this (rule trip)", redrawn, "input echo forbidden''4 → refused"},
		{"echo forbidd\x1b[D\x1b[C\x1b[Cen''5\r", "sallyport: not this", redrawn, "input echo forbidden''5 → refused"},
		{"\x1b[A\x1b[A\r", "two2", prompt, "input echo two''2 → done"},
		{"ech\tsix''6\r", "six6", prompt, "input echo six''6 → done"},
		{"read -s x; echo got''7\r", "read -s x", asked, "input read -s x; echo got''7 → done"},
		{"secret\r", "got7", prompt, ""},
		{"PS1='\\[\\e]133;B\\a\\]'; echo marked''8\r", "marked8", marked, ""},
		{"echo with no prompt''9\r", "prompt9", marked, "input echo with no prompt''9 → done"},
	} {
		before := len(out.String())
		io.WriteString(in, line.keys)
		shown := func() string { return out.String()[before:] }
		require.Eventually(t, func() bool {
			return strings.Contains(shown(), line.shows) && strings.Contains(shown(), line.reads)
		}, 15*time.Second, 5*time.Millisecond, "%q", printed(shown))
		if line.on != "" {
			r.journal.expect(t, line.on)
		}
	}
	io.WriteString(in, "exit 3\r")
	var exit *gossh.ExitError
	require.ErrorAs(t, s.Wait(), &exit)
	require.Equal(t, 3, exit.ExitStatus())
	require.Empty(t, aside.String(), "clients show what comes there at any moment, also between the shell's redrawing of the line and what was typed")
	require.NotContains(t, out.String(), "\nforbidden")
	require.NotContains(t, strings.Join(r.journal.doneLines(), "\n"), "secret", "what is not echoed is nobody's business")
}

// TestPaste: what is pasted into a program is there about as fast as without the gateway,
// whatever its lines are: none of them waits for more than its echo.
func TestPaste(t *testing.T) {
	r := newRig(t, func(r *rig) { r.handler.Grammar = &commandline.Grammar{} })
	key, err := gossh.ParsePrivateKey([]byte(r.creds.cred.PrivateKey.Reveal()))
	require.NoError(t, err)
	direct, err := gossh.Dial("tcp", r.sshd.address, &gossh.ClientConfig{
		User: r.resource.Accounts[0].Username, Auth: []gossh.AuthMethod{gossh.PublicKeys(key)}, HostKeyCallback: gossh.FixedHostKey(r.sshd.host.PublicKey()),
	})
	require.NoError(t, err)
	defer direct.Close()
	through := r.mustClient()
	paste := func(c *gossh.Client, text string) time.Duration {
		s, err := c.NewSession()
		require.NoError(t, err)
		defer s.Close()
		require.NoError(t, s.RequestPty("xterm", 24, 80, nil))
		in, err := s.StdinPipe()
		require.NoError(t, err)
		out := &lockedBuffer{}
		s.Stdout = out
		require.NoError(t, s.Start("sh"))
		io.WriteString(in, "echo rea''dy; exec cat\n")
		waitFor(t, "cat", func() bool { return strings.Contains(out.String(), "ready") })
		begin := time.Now()
		io.WriteString(in, text+"\x04")
		require.NoError(t, s.Wait())
		if c == through {
			require.True(t, r.journal.has("input echo rea''dy; exec cat"))
		}
		return time.Since(begin)
	}
	for name, text := range map[string]string{
		"lines":     strings.Repeat("the quick brown fox jumps over the lazy dog 0123456789\n", 180),
		"ends CR":   strings.Repeat("the quick brown fox jumps over the lazy dog 0123456789\r", 180),
		"indented":  strings.Repeat("\tif x {\ty()\t}\n", 700),
		"of UTF-8":  strings.Repeat("größe für alle 漢字 fertig\n", 330),
		"short":     strings.Repeat("a\n", 5000),
		"very long": strings.Repeat(strings.Repeat("x", 3000)+"\n", 3),
	} {
		t.Run(name, func(t *testing.T) {
			// The best of some, since the machine has other things to do.
			fastest, best := time.Hour, time.Hour
			for range 5 {
				fastest, best = min(fastest, paste(direct, text)), min(best, paste(through, text))
				if best < fastest*3/2 {
					return
				}
			}
			require.Less(t, best, fastest*3/2+500*time.Millisecond)
		})
	}
}

// printed is what a function returns when it is printed.
type printed func() string

func (p printed) String() string { return p() }
