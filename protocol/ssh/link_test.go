package ssh_test

import (
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

func linkedRig(t *testing.T) (*rig, *proxytest.Linker) {
	l := proxytest.NewLinker("vm1", "")
	return newRig(t, func(r *rig) { r.gateway.Linker = l }), l
}

// bare runs OpenSSH's client without any credential.
func (r *rig) bare(login string) (cmd *exec.Cmd, out, errs *lockedBuffer) {
	host, port, _ := strings.Cut(r.address, ":")
	out, errs = &lockedBuffer{}, &lockedBuffer{}
	cmd = exec.CommandContext(r.t.Context(), program(r.t, "ssh"), "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "IdentityFile=none", "-o", "IdentityAgent=none", "-p", port, login+"@"+host, "echo in")
	cmd.Stdout, cmd.Stderr = out, errs
	require.NoError(r.t, cmd.Start())
	return cmd, out, errs
}

// TestLink: OpenSSH's client shows a link over keyboard-interactive, and goes on as who has logged
// in there; when nobody does it is told why, and is offered no other.
func TestLink(t *testing.T) {
	r, l := linkedRig(t)
	cmd, out, errs := r.bare("alice+vm1")
	waitFor(t, "the link", func() bool { return strings.Contains(errs.String(), proxytest.LinkCode) })
	require.Contains(t, errs.String(), proxytest.LinkURL)
	require.Empty(t, r.gateway.Sessions())
	l.Who <- &proxy.Identity{Subject: "alice", Method: proxy.MethodLink}
	require.NoError(t, cmd.Wait(), "%s", errs)
	require.Equal(t, "in\n", out.String())

	cmd, _, errs = r.bare("alice+vm1")
	waitFor(t, "the link", func() bool { return strings.Contains(errs.String(), proxytest.LinkCode) })
	l.Who <- nil
	require.Error(t, cmd.Wait())
	require.Contains(t, errs.String(), "it was refused in the browser")
	require.EqualValues(t, 2, l.Offered.Load())
	require.EqualValues(t, 2, l.Closed.Load())
}

// TestLinkClientLeaves: a client that leaves waits no more.
func TestLinkClientLeaves(t *testing.T) {
	r, l := linkedRig(t)
	cmd, _, errs := r.bare("alice+vm1")
	waitFor(t, "the link", func() bool { return strings.Contains(errs.String(), proxytest.LinkCode) })
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	waitFor(t, "the end", func() bool { return l.Closed.Load() == 1 })
}

// TestLinkNotOffered: who has a key, or asks for what offers no link, is asked as ever.
func TestLinkNotOffered(t *testing.T) {
	r, l := linkedRig(t)
	c, err := r.client("alice+vm1", gossh.PublicKeys(r.userKey))
	require.NoError(t, err)
	c.Close()
	for _, login := range []string{"alice", "alice+vm2", "alice++vm1"} {
		var asked []string
		_, err := r.client(login, gossh.KeyboardInteractive(func(_, shown string, q []string, _ []bool) ([]string, error) {
			require.NotContains(t, shown, "https://")
			asked = append(asked, q...)
			return nil, io.EOF
		}))
		require.Error(t, err)
		if login != "alice++vm1" {
			require.Equal(t, []string{"Password: "}, asked, login)
		}
	}
	require.Zero(t, l.Offered.Load())
}

// TestAttackLinkBefore: a client that waits at a link opens nothing, whatever it sends.
func TestAttackLinkBefore(t *testing.T) {
	r, l := linkedRig(t)
	shown := make(chan struct{})
	show := sync.OnceFunc(func() { close(shown) }) // it is told how it ends, too
	opened := make(chan error, 1)
	go func() {
		c, err := r.client("alice+vm1", gossh.KeyboardInteractive(func(_, _ string, _ []string, _ []bool) ([]string, error) {
			show()
			return nil, nil
		}))
		if err == nil {
			c.Close()
		}
		opened <- err
	}()
	<-shown
	require.Empty(t, r.gateway.Sessions())
	r.journal.mu.Lock()
	require.Empty(t, r.journal.asked)
	r.journal.mu.Unlock()
	select {
	case err := <-opened:
		t.Fatalf("it does not wait: %v", err)
	default:
	}
	l.Who <- nil
	require.Error(t, <-opened)
	require.Empty(t, r.gateway.Sessions())
}
