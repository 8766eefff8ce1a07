package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// clientOf puts a shell script in the place of psql, and returns a config file.
func clientOf(t *testing.T, script string) (file string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "psql"), []byte("#!/bin/sh\n"+script), 0o755))
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return configFile(t, good)
}

// connect ends as its client does.
func TestConnectPassesTheCodeOn(t *testing.T) {
	for script, code := range map[string]int{
		"exit 0": 0, "exit 3": 3, "exit 255": 255, "kill -TERM $$": 128 + 15, "kill -KILL $$": 128 + 9, "kill -INT $$": 128 + 2,
	} {
		got, _, errs := sallyport(t, "", "connect", "-c", clientOf(t, script), "-u", "alice", "a")
		require.Equal(t, code, got, "%s: %s", script, errs)
		require.Empty(t, errs)
	}
}

// Ctrl-C is the client's: psql cancels a statement with it, and goes on. SIGTERM, which nobody
// sends to the client, is handed to it.
func TestConnectLeavesSignalsToTheClient(t *testing.T) {
	file := clientOf(t, `trap 'echo terminated; exit 9' TERM
trap 'echo interrupted' INT
echo ready
while :; do sleep 0.02; done`)
	p := start(t, "connect", "-c", file, "-u", "alice", "a")
	p.wait(t, "ready")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	err := <-p.done
	p.done <- err
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit), "%v: %s", err, p.output())
	require.Equal(t, 9, exit.ExitCode(), p.output())
	require.NotContains(t, p.output(), "interrupted", "the terminal interrupts the client, and nobody else does")
}
