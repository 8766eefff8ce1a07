package ssh_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
)

// TestOpenSSH compares what OpenSSH's client shows through the gateway with what
// the same commands are known to give.
func TestOpenSSH(t *testing.T) {
	r := newRig(t, nil)
	tests := []struct {
		name  string
		args  []string
		stdin string
		want  result
	}{
		{"output", []string{"gw", "echo hello"}, "", result{out: "hello\n"}},
		{"exit status", []string{"gw", "exit 42"}, "", result{code: 42}},
		{"stderr apart", []string{"gw", "echo out; echo err >&2; exit 3"}, "", result{"out\n", "err\n", 3}},
		{"stdin to its end", []string{"gw", "wc -c"}, strings.Repeat("x", 300000), result{out: "300000\n"}},
		{"signal", []string{"gw", "kill -TERM $$"}, "", result{code: 255}},
		{"no such command", []string{"gw", "exec /nonexistent 2>/dev/null"}, "", result{code: 127}},
		{"shell without a terminal", []string{"-T", "gw"}, "echo from the shell; exit 5\n", result{out: "from the shell\n", code: 5}},
		{"environment", []string{"-o", "SetEnv=LC_X=yes FOO=no", "gw", "echo $LC_X,$FOO"}, "", result{out: "yes,\n"}},
		{"large output", []string{"gw", "head -c 5000000 /dev/zero | tr '\\0' a"}, "", result{out: strings.Repeat("a", 5000000)}},
		{"output then exit", []string{"gw", "echo a; exec 1>&-; exit 9"}, "", result{out: "a\n", code: 9}},
		{"closed stdin", []string{"-n", "gw", "cat; echo done"}, "", result{out: "done\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := r.run(strings.NewReader(tt.stdin), "ssh", append([]string{"-F", r.config()}, tt.args...)...)
			if len(got.out) < 1000 {
				require.Equal(t, tt.want, got)
			}
			require.True(t, tt.want.out == got.out && tt.want.code == got.code, "code %d, %d bytes", got.code, len(got.out))
		})
	}
	r.journal.expect(t, "connect vm1 → done")
	r.journal.expect(t, "exec exit 42 → done 42")
	r.journal.expect(t, "exec kill -TERM $$ → done signal TERM")
	r.journal.expect(t, "env LC_X yes → done")
	r.journal.expect(t, "env FOO no → refused: this variable may not be set here")
	r.journal.expect(t, "shell → done 5")
}

func TestTerminal(t *testing.T) {
	r := newRig(t, nil)
	c := r.mustClient()
	s, err := c.NewSession()
	require.NoError(t, err)
	require.NoError(t, s.RequestPty("xterm", 24, 80, gossh.TerminalModes{gossh.ECHO: 0}))
	in, err := s.StdinPipe()
	require.NoError(t, err)
	var out lockedBuffer
	s.Stdout = &out
	require.NoError(t, s.Shell())
	io.WriteString(in, "stty size; echo rea''dy\n")
	waitFor(t, "the first size", func() bool { return strings.Contains(out.String(), "24 80") && strings.Contains(out.String(), "ready") })
	require.NoError(t, s.WindowChange(50, 132))
	io.WriteString(in, "stty size; echo ag''ain\n")
	waitFor(t, "the second size", func() bool {
		return strings.Contains(out.String(), "50 132") && strings.Contains(out.String(), "again")
	})
	io.WriteString(in, "sh -c 'trap \"echo caug\\ht; exit\" INT; echo sle\\eping; sleep 30'\n")
	waitFor(t, "the command to run", func() bool { return strings.Contains(out.String(), "sleeping") })
	time.Sleep(100 * time.Millisecond) // until sleep is in the foreground
	io.WriteString(in, "\x03")
	waitFor(t, "the interrupt", func() bool { return strings.Contains(out.String(), "caught") })
	io.WriteString(in, "exit 7\n")
	err = s.Wait()
	var exit *gossh.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 7, exit.ExitStatus())
}

// TestResizesComeBeforeWhatIsTypedNext: the library keeps requests and data
// apart, and OpenSSH's server acts on them in the order of the connection.
func TestResizesComeBeforeWhatIsTypedNext(t *testing.T) {
	r := newRig(t, nil)
	s, err := r.mustClient().NewSession()
	require.NoError(t, err)
	require.NoError(t, s.RequestPty("xterm", 24, 80, gossh.TerminalModes{gossh.ECHO: 0}))
	in, err := s.StdinPipe()
	require.NoError(t, err)
	var out lockedBuffer
	s.Stdout = &out
	require.NoError(t, s.Start("while read x; do echo \"$x: $(stty size)\"; done"))
	for rows := 30; rows < 60; rows++ {
		require.NoError(t, s.WindowChange(rows, 100))
		fmt.Fprintln(in, rows)
		waitFor(t, "the answer", func() bool {
			return strings.Contains(out.String(), fmt.Sprintf("\n%d: ", rows)) || rows == 30 && out.String() != ""
		})
	}
	io.WriteString(in, "\x04")
	require.NoError(t, s.Wait())
	for rows := 30; rows < 60; rows++ {
		require.Contains(t, out.String(), fmt.Sprintf("%d: %d 100", rows, rows))
	}
}

// TestSignalReachesTheCommand is run with the embedded server: OpenSSH's signals
// no session of root's.
func TestSignalReachesTheCommand(t *testing.T) {
	r := newRig(t, func(r *rig) { r.inFrontOfEmbedded() })
	c := r.mustClient()
	s, err := c.NewSession()
	require.NoError(t, err)
	var out lockedBuffer
	s.Stdout = &out
	require.NoError(t, s.Start("echo up; exec sleep 60"))
	waitFor(t, "the command", func() bool { return strings.Contains(out.String(), "up") })
	require.NoError(t, s.Signal(gossh.SIGTERM))
	err = s.Wait()
	var exit *gossh.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, "TERM", exit.Signal())
	r.journal.expect(t, "exec echo up; exec sleep 60 → done signal TERM")
}

// TestEmbeddedServer: the demo's resource, with OpenSSH's client.
func TestEmbeddedServer(t *testing.T) {
	r := newRig(t, func(r *rig) { r.inFrontOfEmbedded() })
	require.Equal(t, result{out: "demo\n", code: 3}, r.ssh("gw", "echo $USER; exit 3"))
	got := r.run(strings.NewReader("stty size; exit 4\n"), "ssh", "-F", r.config(), "-tt", "gw")
	require.Equal(t, 4, got.code, got.err)
	require.Contains(t, got.out, "stty size")
	program(t, "sftp-server")
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, []byte("content"), 0o600))
	require.Equal(t, result{}, r.run(nil, "scp", "-F", r.config(), file, "gw:copy"))
	require.Equal(t, result{out: "content"}, r.ssh("gw", "cat copy"))
	r.journal.expect(t, "/copy → done  sha256:")
}

func TestRefusedCommand(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.journal.ask = func(op proxy.Op) proxy.Verdict {
			if e, ok := op.(*proxy.Exec); ok && strings.Contains(e.Command, "rm ") {
				return proxy.Deny(proxy.CauseGuardrail, "no-rm", "files are not removed here", "ask for an approval")
			}
			return proxy.Verdict{}
		}
	})
	got := r.ssh("gw", "rm -rf /nothing")
	require.Equal(t, 1, got.code)
	require.Equal(t, "sallyport: files are not removed here (rule no-rm)\nsallyport: ask for an approval\n", got.err)
	require.Empty(t, got.out)
	r.journal.expect(t, "exec rm -rf /nothing → refused")
	require.NotContains(t, r.sshd.log.String(), "rm -rf")
}

func TestRefusedConnect(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.journal.ask = func(op proxy.Op) proxy.Verdict {
			return proxy.Deny(proxy.CausePolicy, "nobody", "you may not connect to vm1", "ask for access")
		}
	})
	got := r.ssh("gw", "true")
	require.Equal(t, result{err: "sallyport: no such resource, or you may not use it: \"vm1\"\n", code: 255}, got, "as one that does not exist")
	got = r.ssh("-N", "-L", "0:localhost:1", "gw")
	require.Equal(t, 255, got.code, "a client that opens no channel is let go")
}

func TestUnknownResource(t *testing.T) {
	r := newRig(t, nil)
	got := r.ssh("-l", "alice+vm2", "gw", "true")
	require.Equal(t, result{err: "sallyport: no such resource, or you may not use it: \"vm2\"\n", code: 255}, got)
}

func TestLogins(t *testing.T) {
	r := newRig(t, nil)
	other, _ := newSigner(t)
	tests := []struct {
		name string
		user string
		auth gossh.AuthMethod
		ok   bool
	}{
		{"key", "alice+vm1", gossh.PublicKeys(r.userKey), true},
		{"account", "alice+vm1+me", gossh.PublicKeys(r.userKey), true},
		{"another's key", "alice+vm1", gossh.PublicKeys(other), false},
		{"another's name", "bob+vm1", gossh.PublicKeys(r.userKey), false},
		{"password", "alice+vm1", gossh.Password("wonderland"), true},
		{"wrong password", "alice+vm1", gossh.Password("looking-glass"), false},
		{"keyboard", "alice+vm1", gossh.KeyboardInteractive(func(_, _ string, q []string, _ []bool) ([]string, error) {
			return make([]string, len(q)), nil
		}), false},
		{"keyboard with the password", "alice+vm1", gossh.KeyboardInteractive(func(_, _ string, q []string, echos []bool) ([]string, error) {
			if len(q) == 0 {
				return nil, nil
			}
			require.Equal(t, []bool{false}, echos)
			return []string{"wonderland"}, nil
		}), true},
		{"malformed name", "alice++vm1", gossh.PublicKeys(r.userKey), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := r.client(tt.user, tt.auth)
			require.Equal(t, tt.ok, err == nil, "%v", err)
			if err == nil {
				s, err := c.NewSession()
				require.NoError(t, err)
				out, err := s.Output("echo in")
				require.NoError(t, err)
				require.Equal(t, "in\n", string(out))
				c.Close()
			}
		})
	}
}

func TestManyChannels(t *testing.T) {
	r := newRig(t, nil)
	c := r.mustClient()
	errs := make(chan error, 50)
	for i := range 50 {
		go func() {
			s, err := c.NewSession()
			if err != nil {
				errs <- err
				return
			}
			in := strings.Repeat(string(rune('a'+i%26)), 100000)
			s.Stdin = strings.NewReader(in)
			out, err := s.Output("cat")
			if err == nil && string(out) != in {
				err = io.ErrUnexpectedEOF
			}
			errs <- err
		}()
	}
	for range 50 {
		require.NoError(t, <-errs)
	}
}

// TestExitBeforeOutputEnds: the status is passed on when the command ends, also
// when something that it left running keeps its output open.
func TestExitBeforeOutputEnds(t *testing.T) {
	r := newRig(t, nil)
	c := r.mustClient()
	ch, reqs, err := c.OpenChannel("session", nil)
	require.NoError(t, err)
	ok, err := ch.SendRequest("exec", true, gossh.Marshal(struct{ C string }{"echo first; sleep 9 & exit 6"}))
	require.NoError(t, err)
	require.True(t, ok)
	start := time.Now()
	for req := range reqs {
		if req.Type == "exit-status" {
			require.Equal(t, []byte{0, 0, 0, 6}, req.Payload)
			break
		}
	}
	require.Less(t, time.Since(start), 8*time.Second)
	out, err := io.ReadAll(ch)
	require.NoError(t, err)
	require.Equal(t, "first\n", string(out))
}

func TestResourceDown(t *testing.T) {
	r := newRig(t, func(r *rig) { r.sshd.cmd.Process.Kill() })
	got := r.ssh("gw", "true")
	require.Equal(t, result{err: "sallyport: resource vm1 cannot be reached: connection refused: ask the gateway's administrator, whose log says more\n", code: 255}, got)
	r.journal.expect(t, "connect vm1 → error: resource vm1 cannot be reached")
}

func TestRefusedCredential(t *testing.T) {
	_, stale := newSigner(t)
	t.Run("always", func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.creds.cred.PrivateKey = proxy.NewSecret(string(stale)) })
		got := r.ssh("gw", "true")
		require.Equal(t, result{err: "sallyport: the resource does not accept the gateway's credential: ask the gateway's administrator, whose log says more\n", code: 255}, got)
		require.Equal(t, 1, r.creds.fresh)
	})
	t.Run("rotated", func(t *testing.T) {
		r := newRig(t, func(r *rig) {
			good := r.creds.cred
			r.creds.next = &good
			r.creds.cred = proxy.Credential{PrivateKey: proxy.NewSecret(string(stale))}
		})
		require.Equal(t, result{out: "in\n"}, r.ssh("gw", "echo in"))
	})
}

func TestTransferBothWays(t *testing.T) {
	size := 64 << 20
	r := newRig(t, nil)
	data := bytes.Repeat([]byte("0123456789abcdef0123456789ABCDE\n"), size/32)
	want := sha256.Sum256(data)
	got := r.run(bytes.NewReader(data), "ssh", "-F", r.config(), "gw", "cat")
	require.Equal(t, 0, got.code, got.err)
	require.Equal(t, want, sha256.Sum256([]byte(got.out)))
}

func TestKill(t *testing.T) {
	r := newRig(t, nil)
	go func() {
		for len(r.gateway.Sessions()) == 0 || !r.journalAsked("exec sleep 60") {
			time.Sleep(10 * time.Millisecond)
		}
		r.gateway.Sessions()[0].Kill(proxy.ErrDeadline)
	}()
	start := time.Now()
	got := r.ssh("gw", "sleep 60")
	require.Less(t, time.Since(start), 10*time.Second)
	require.Equal(t, 255, got.code)
	require.Contains(t, got.err, "sallyport: the session was ended: the session reached its time limit\n")
}

func (r *rig) journalAsked(line string) bool {
	r.journal.mu.Lock()
	defer r.journal.mu.Unlock()
	for _, l := range r.journal.asked {
		if l == line {
			return true
		}
	}
	return false
}
