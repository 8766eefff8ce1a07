//go:build unix

package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// parent is the environment variable by which TestKilled has this program start a server of its own.
const parent = "CHILD_TEST_PARENT"

// A process that is killed leaves no server.
func TestKilled(t *testing.T) {
	if os.Getenv(parent) != "" {
		cmd := exec.CommandContext(t.Context(), "sleep", "3600")
		cmd.Stdout = os.Stdout
		_, err := Start(cmd, syscall.SIGTERM)
		require.NoError(t, err)
		fmt.Println("runs")
		select {} // until it is killed
	}
	if runtime.GOOS != "linux" {
		t.Skip("this system does not tell children that their parent is gone")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), parent+"=1")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	word := make([]byte, len("runs\n"))
	_, err = io.ReadFull(out, word)
	require.NoError(t, err)
	require.Equal(t, "runs\n", string(word))
	require.NoError(t, cmd.Process.Kill())
	_, err = io.Copy(io.Discard, out) // ends when nobody holds it open: neither the parent nor the server
	require.NoError(t, err)
	require.Error(t, cmd.Wait())
}

// A signal for this process's group, such as Ctrl-C at the terminal, does not reach the server; and its end is told.
func TestStart(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "3600")
	p, err := Start(cmd, syscall.SIGTERM)
	require.NoError(t, err)
	group, err := syscall.Getpgid(cmd.Process.Pid)
	require.NoError(t, err)
	require.Equal(t, cmd.Process.Pid, group)
	select {
	case <-p.exited:
		t.Fatal("the server has ended by itself")
	default:
	}
	require.NoError(t, cmd.Process.Kill())
	<-p.exited

	_, err = Start(exec.CommandContext(t.Context(), "/nowhere/server"), syscall.SIGTERM)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// A server is asked until it answers, has ended, or the time is over; and is ended by force when it does not end.
func TestReady(t *testing.T) {
	p, err := Start(exec.CommandContext(t.Context(), "sleep", "3600"), syscall.SIGTERM)
	require.NoError(t, err)
	asked := 0
	require.NoError(t, p.Ready(t.Context(), time.Minute, func(context.Context) error {
		if asked++; asked < 3 {
			return errors.New("not yet")
		}
		return nil
	}))
	never := errors.New("it never does")
	err = p.Ready(t.Context(), time.Millisecond, func(context.Context) error { return never })
	require.ErrorIs(t, err, never)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	p.Stop(syscall.SIGCONT, syscall.SIGKILL, time.Millisecond)
	require.ErrorIs(t, p.Ready(t.Context(), time.Minute, func(context.Context) error { return never }), ErrEnded)
	p.Stop(syscall.SIGTERM, syscall.SIGKILL, time.Minute) // once more
	(*Process)(nil).Stop(syscall.SIGTERM, syscall.SIGKILL, time.Minute)
}

// For root, a server and its files are an ordinary user's.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		u, err := Unprivileged("no-such-user")
		require.NoError(t, err)
		require.Nil(t, u, "an ordinary user runs servers as itself")
		return
	}
	_, err := Unprivileged("no-such-user", "nor-this-one")
	require.ErrorContains(t, err, "no-such-user or nor-this-one")
	u, err := Unprivileged("no-such-user", "nobody")
	require.NoError(t, err)
	require.NotZero(t, u.uid)
	out, err := u.Runs(exec.CommandContext(t.Context(), "id", "-u")).Output()
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintln(u.uid), string(out))
	path := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, u.Own(path))
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, u.uid, st.Sys().(*syscall.Stat_t).Uid)
}
