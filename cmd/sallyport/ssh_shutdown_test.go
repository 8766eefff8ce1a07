package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSSHShutdown: a gateway that is told to stop ends within its drain's time, whatever its
// clients do, and what is typed after that runs nowhere.
func TestSSHShutdown(t *testing.T) {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer target.Close()
	go func() {
		for {
			c, err := target.Accept()
			if err != nil {
				return
			}
			go io.Copy(c, c)
		}
	}()
	m := openMachineWith(t, "", "[connect, shell, exec, file-write, forward]", fmt.Sprintf("forwards: [%q]", target.Addr()), "")
	client := func(args ...string) (*process, io.Writer) {
		t.Helper()
		cmd := exec.Command("ssh", append([]string{"-F", m.stanza}, args...)...)
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		p := &process{cmd: cmd, done: make(chan error, 1)}
		cmd.Stdout, cmd.Stderr, cmd.WaitDelay = p, p, time.Second
		require.NoError(t, cmd.Start())
		go func() { p.done <- cmd.Wait() }()
		t.Cleanup(func() { cmd.Process.Kill() })
		return p, in
	}
	shell, keys := client("-tt", "gw")
	fmt.Fprint(keys, "echo rea''dy\r")
	shell.wait(t, "ready")
	forward, traffic := client("-W", target.Addr().String(), "gw")
	go func() {
		for {
			if _, err := fmt.Fprintln(traffic, "through"); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	forward.wait(t, "through")
	upload, data := client("gw", "cat >"+m.file("uploaded"))
	go io.Copy(data, zeros{})
	require.Eventually(t, func() bool {
		i, err := os.Stat(m.file("uploaded"))
		return err == nil && i.Size() > 0
	}, 30*time.Second, 10*time.Millisecond)

	begin := time.Now()
	require.NoError(t, m.cmd.Process.Signal(syscall.SIGTERM))
	marker := filepath.Join(m.dir, "marker")
	select {
	case err := <-m.done:
		require.NoError(t, err, m.output())
	case <-time.After(30 * time.Second):
		t.Fatalf("it does not end:\n%s", m.output())
	}
	require.Less(t, time.Since(begin), 20*time.Second)
	fmt.Fprintf(keys, "touch %s\r", marker) // fails when ssh has noticed already
	for _, p := range []*process{shell, upload, forward} {
		select {
		case <-p.done:
			if p != forward { // -W says nothing of how its connection ended
				require.NotZero(t, p.cmd.ProcessState.ExitCode(), p.output())
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("a client does not end:\n%s", p.output())
		}
	}
	require.Contains(t, shell.output(), "sallyport: the session was ended: the gateway is shutting down")
	require.NoFileExists(t, marker)
	require.Contains(t, must(t, "verify", filepath.Join(m.dir, "data", "audit")), "proven")
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
