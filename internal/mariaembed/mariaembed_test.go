//go:build unix

package mariaembed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// installed skips a test where no MariaDB is installed, and fails it on the build server.
func installed(t *testing.T) {
	t.Helper()
	if _, err := Find(); errors.Is(err, ErrNotInstalled) {
		if os.Getenv("CI") == "true" {
			t.Fatal("MariaDB is not installed: CI must have it")
		}
		t.Skip("SKIPPED, NOT TESTED: MariaDB is not installed")
	}
}

// public is a folder that the user of a server can enter, and that has a short path: in memory where there is such a place.
func public(t *testing.T) string {
	t.Helper()
	in := ""
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		in = "/dev/shm"
	}
	dir, err := os.MkdirTemp(in, "mariaembed-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o711))
	return dir
}

// Nobody gets in without the superuser's password, which no file, no command line and no log has when the server is up;
// it listens on loopback alone; and nothing is left when it is stopped.
func TestClosed(t *testing.T) {
	installed(t)
	t.Setenv("MYSQL_HOST", "192.0.2.1") // nobody answers there
	dir := public(t)
	s, err := Start(t.Context(), Config{Dir: dir})
	require.NoError(t, err)
	defer s.Stop()
	out, err := s.Run("", "SELECT CURRENT_USER(), @@tmpdir, @@bind_address")
	require.NoError(t, err)
	require.Equal(t, "keeper@localhost\t"+filepath.Join(s.Dir, "tmp")+"\t127.0.0.1", out)
	require.NoFileExists(t, s.initFile())
	st, err := os.Stat(s.Dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), st.Mode().Perm())

	for _, user := range []string{"root", "keeper", "mysql", "nobody", ""} {
		cmd := exec.CommandContext(t.Context(), s.Client, "--no-defaults", "-h", "127.0.0.1", "-P", strconv.Itoa(s.Port), "-u", user, "-e", "SELECT 1")
		got, err := cmd.CombinedOutput()
		require.Error(t, err, "%q got in", user)
		require.Contains(t, string(got), "ERROR 1", user)
	}
	others, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range others {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			c, err := net.DialTimeout("tcp", net.JoinHostPort(n.IP.String(), strconv.Itoa(s.Port)), 5*time.Second)
			if err == nil {
				c.Close()
			}
			require.Error(t, err, "it listens at %s", n.IP)
		}
	}
	if os.Geteuid() == 0 {
		out, err := exec.CommandContext(t.Context(), "stat", "-c", "%U", filepath.Join(s.Dir, "data")).Output()
		require.NoError(t, err)
		require.NotEqual(t, "root\n", string(out), "it runs as root")
	}
	seesNoPassword(t, s)
	require.NoError(t, s.Stop())
	require.NotContains(t, s.log.String(), s.password)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// seesNoPassword looks at the command lines of all processes while the server and a client run.
func seesNoPassword(t *testing.T, s *Server) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := s.Exec(ctx, "", "SELECT SLEEP(60)")
		ended <- err
	}()
	var lines []string
	has := func(program string) bool {
		return slices.ContainsFunc(lines, func(line string) bool {
			return strings.HasPrefix(line, program+"\x00") && strings.Contains(line, s.Socket)
		})
	}
	require.Eventually(t, func() bool {
		lines = commandLines(t)
		return has(s.Server) && has(s.Client)
	}, time.Minute, 10*time.Millisecond)
	for _, line := range lines {
		require.NotContains(t, line, s.password)
	}
	stop()
	require.Error(t, <-ended)
}

// commandLines are those of all processes; their words end with a zero byte.
func commandLines(t *testing.T) (lines []string) {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, path := range found {
		if text, err := os.ReadFile(path); err == nil { // else it has ended meanwhile
			lines = append(lines, string(text))
		}
	}
	return lines
}

// The environment variable by which TestKilled has this program start a server in a folder.
const killed = "MARIAEMBED_TEST_KILLED"

// A process that is killed leaves no server.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(killed); dir != "" {
		s, err := Start(t.Context(), Config{Dir: dir})
		require.NoError(t, err)
		fmt.Println("runs as", s.process.PID())
		select {} // until it is killed
	}
	installed(t)
	if runtime.GOOS != "linux" {
		t.Skip("this system does not tell children that their parent is gone")
	}
	dir := public(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), killed+"="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "runs as ")
	runs := func() bool {
		return slices.ContainsFunc(commandLines(t), func(line string) bool { return strings.Contains(line, dir) })
	}
	require.True(t, runs())
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool { return !runs() }, time.Minute, 10*time.Millisecond)
}

// A server that cannot start says why, and leaves nothing.
func TestDoesNotStart(t *testing.T) {
	installed(t)
	dir := public(t)
	_, err := Start(t.Context(), Config{Dir: dir, Args: []string{"--no-such-setting"}})
	require.ErrorContains(t, err, "no-such-setting")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// Where the programs are not found, the error says so.
func TestNotInstalled(t *testing.T) {
	for _, dir := range elsewhere {
		if _, err := os.Stat(filepath.Join(dir, "mariadb")); err == nil {
			t.Skip("this machine has MariaDB's client in " + dir)
		}
	}
	t.Setenv("PATH", t.TempDir())
	_, err := Find()
	require.ErrorIs(t, err, ErrNotInstalled)
	_, err = Start(t.Context(), Config{Dir: t.TempDir()})
	require.ErrorIs(t, err, ErrNotInstalled)
}
