package ssh_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/protocol/ssh"
	"github.com/sallyport/sallyport/proxy"
)

// menuRig is a rig whose clients may choose, and a terminal that shows the menu.
func menuRig(t *testing.T, change func(r *rig)) (r *rig, s *gossh.Session, in io.Writer, out *lockedBuffer) {
	t.Helper()
	r = newRig(t, func(r *rig) {
		r.handler.Reachable = func(context.Context, *proxy.Identity) []ssh.Choice {
			return []ssh.Choice{{Resource: "other"}, {Resource: "vm1", About: "env=test"}}
		}
		if change != nil {
			change(r)
		}
	})
	c, err := r.client("alice")
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	s, err = c.NewSession()
	require.NoError(t, err)
	require.NoError(t, s.Setenv("LC_SALLY", "kept"))
	require.NoError(t, s.RequestPty("xterm", 24, 80, gossh.TerminalModes{gossh.ECHO: 0}))
	in, err = s.StdinPipe()
	require.NoError(t, err)
	out = &lockedBuffer{}
	s.Stdout, s.Stderr = out, out
	require.NoError(t, s.Shell())
	waitFor(t, "the menu", func() bool { return strings.Contains(out.String(), "Where to?") })
	return r, s, in, out
}

// TestMenu: who names no resource chooses one on her terminal, and is there in
// the same session: with her variables, the size that the window has by then and
// what she typed ahead.
func TestMenu(t *testing.T) {
	r, s, in, out := menuRig(t, nil)
	require.Contains(t, out.String(), "env=test")
	require.NoError(t, s.WindowChange(40, 132))
	waitFor(t, "the menu to be drawn anew", func() bool { return strings.Count(out.String(), "Where to?") == 2 })
	io.WriteString(in, "vm\rstty size; echo $LC_SALLY; exit 6\n")
	var exit *gossh.ExitError
	require.ErrorAs(t, s.Wait(), &exit)
	require.Equal(t, 6, exit.ExitStatus())
	require.Contains(t, out.String(), "40 132")
	require.Contains(t, out.String(), "kept")
	r.journal.expect(t, "connect vm1 → done")
	r.journal.expect(t, "shell → done 6")
}

func TestMenuIsLeft(t *testing.T) {
	r, s, in, _ := menuRig(t, nil)
	io.WriteString(in, "q")
	require.NoError(t, s.Wait())
	require.Empty(t, r.journal.doneLines())
}

// TestMenuLeadsToARefusal: the choice is asked as any other.
func TestMenuLeadsToARefusal(t *testing.T) {
	_, s, in, out := menuRig(t, func(r *rig) {
		r.journal.ask = func(op proxy.Op) proxy.Verdict {
			return proxy.Deny(proxy.CauseGuardrail, "closed", "not today", "")
		}
	})
	io.WriteString(in, "vm1\r")
	var exit *gossh.ExitError
	require.ErrorAs(t, s.Wait(), &exit)
	require.Equal(t, 1, exit.ExitStatus())
	require.Contains(t, out.String(), "sallyport: not today (rule closed)")
}

// TestNoMenuWithoutATerminal: programs are told how to name a resource.
func TestNoMenuWithoutATerminal(t *testing.T) {
	r, _, _, _ := menuRig(t, nil)
	for _, args := range [][]string{{"jump"}, {"-T", "jump"}, {"jump", "id"}, {"-tt", "jump", "id"}} {
		got := r.ssh(args...)
		require.Equal(t, 255, got.code)
		require.Contains(t, got.err, "no resource was named: connect as alice+RESOURCE")
	}
	got := r.run(strings.NewReader("ls\n"), "sftp", "-F", r.config(), "-b", "-", "jump")
	require.Equal(t, 255, got.code)
}
