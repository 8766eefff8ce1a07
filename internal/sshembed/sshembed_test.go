package sshembed

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"
)

func start(t *testing.T) *Server {
	t.Helper()
	s, err := Start(Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Stop())
		require.NoDirExists(t, s.Home)
	})
	return s
}

func dial(s *Server, user, private string) (*gossh.Client, error) {
	key, err := gossh.ParsePrivateKey([]byte(private))
	if err != nil {
		return nil, err
	}
	host, _, _, _, err := gossh.ParseAuthorizedKey([]byte(s.HostKey))
	if err != nil {
		return nil, err
	}
	return gossh.Dial("tcp", s.Address, &gossh.ClientConfig{
		User: user, Auth: []gossh.AuthMethod{gossh.PublicKeys(key)}, HostKeyCallback: gossh.FixedHostKey(host), Timeout: 5 * time.Second,
	})
}

func open(t *testing.T, s *Server) *gossh.Session {
	t.Helper()
	c, err := dial(s, User, s.PrivateKey)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	session, err := c.NewSession()
	require.NoError(t, err)
	return session
}

func TestExec(t *testing.T) {
	s := start(t)
	run := open(t, s)
	run.Stdin = strings.NewReader("in")
	var out, errOut bytes.Buffer
	run.Stdout, run.Stderr = &out, &errOut
	err := run.Run("cat; pwd; echo $USER >&2; exit 3")
	var exit *gossh.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 3, exit.ExitStatus())
	require.Equal(t, "in"+s.Home+"\n", out.String())
	require.Equal(t, "demo\n", errOut.String())
}

func TestNothingOfTheEnvironment(t *testing.T) {
	t.Setenv("A_SECRET", "hunter2")
	out, err := open(t, start(t)).Output("env")
	require.NoError(t, err)
	require.NotContains(t, string(out), "hunter2")
}

// output is a buffer that may be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) has(s string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Contains(o.b.String(), s)
}

func TestTerminal(t *testing.T) {
	shell := open(t, start(t))
	require.NoError(t, shell.RequestPty("xterm", 24, 80, nil))
	in, err := shell.StdinPipe()
	require.NoError(t, err)
	var out output
	shell.Stdout = &out
	require.NoError(t, shell.Shell())
	io.WriteString(in, "stty size\n")
	require.Eventually(t, func() bool { return out.has("24 80") }, 5*time.Second, 5*time.Millisecond)
	require.NoError(t, shell.WindowChange(50, 132))
	io.WriteString(in, "stty size\n")
	require.Eventually(t, func() bool { return out.has("50 132") }, 5*time.Second, 5*time.Millisecond)
	io.WriteString(in, "exit 7\n")
	var exit *gossh.ExitError
	require.ErrorAs(t, shell.Wait(), &exit)
	require.Equal(t, 7, exit.ExitStatus())
}

func TestSignals(t *testing.T) {
	run := open(t, start(t))
	var out output
	run.Stdout = &out
	require.NoError(t, run.Start("echo up; sleep 60"))
	require.Eventually(t, func() bool { return out.has("up") }, 5*time.Second, 5*time.Millisecond)
	require.NoError(t, run.Signal(gossh.SIGTERM))
	var exit *gossh.ExitError
	require.ErrorAs(t, run.Wait(), &exit)
	require.Equal(t, "TERM", exit.Signal())
}

func TestStopEndsWhatRuns(t *testing.T) {
	s, err := Start(Config{Dir: t.TempDir()})
	require.NoError(t, err)
	run := open(t, s)
	require.NoError(t, run.Start("echo $$ >pid; setsid sleep 8 & exec sleep 60"))
	require.Eventually(t, func() bool { b, _ := os.ReadFile(s.Home + "/pid"); return len(b) > 0 }, 5*time.Second, 5*time.Millisecond)
	begin := time.Now()
	require.NoError(t, s.Stop())
	require.NoError(t, s.Stop())
	require.Less(t, time.Since(begin), 5*time.Second)
}

func TestRefused(t *testing.T) {
	s := start(t)
	_, other, err := newKey()
	require.NoError(t, err)
	_, err = dial(s, User, other)
	require.Error(t, err)
	_, err = dial(s, "root", s.PrivateKey)
	require.Error(t, err)
	c, err := dial(s, User, s.PrivateKey)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Dial("tcp", s.Address)
	require.ErrorContains(t, err, "sessions only")
	run, err := c.NewSession()
	require.NoError(t, err)
	require.Error(t, run.RequestSubsystem("other"))
}
