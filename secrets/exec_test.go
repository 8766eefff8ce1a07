package secrets

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestExecThatFails(t *testing.T) {
	t.Setenv("OF_THE_GATEWAY", "hunter2")
	script := func(text string) []string { return []string{"/bin/sh", "-c", text} }
	file := filepath.Join(t.TempDir(), "pid")
	e := Exec{Env: []string{"PATH=/usr/bin:/bin"}, Commands: map[string][]string{
		"denied": script("exit 3"), "broken": script("echo hunter2 >&2; echo hunter2; exit 1"), "nonsense": script("echo hunter2"),
		"endless":  script("while :; do echo hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2; done"),
		"relative": {"sh", "-c", "exit 0"}, "missing": {"/no/such/program"}, "empty": {}, "killed": script("kill -9 $$"),
		"old":         script(`echo '{"values":{"p":"hunter2"},"expires":"2001-01-01T00:00:00Z"}'`),
		"environment": script(`echo "{\"values\":{\"p\":\"<$OF_THE_GATEWAY>\"}}"`),
		"literal":     {"/bin/echo", `{"values":{"p":"$(id) ; x"}}`},
		"slow":        script("sleep 1000 & echo $! >" + file + "; wait"),
	}}
	for name, want := range map[string]error{
		"denied": ErrDenied, "broken": ErrUnavailable, "nonsense": ErrType, "endless": ErrTooLarge, "missing": ErrUnavailable, "empty": ErrNotFound,
		"killed": ErrUnavailable, "unknown": ErrNotFound, "relative": nil,
	} {
		_, err := e.Resolve(t.Context(), Ref{Scheme: "exec", Path: name, Key: "p"}, Use{})
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "hunter2")
		if want != nil {
			require.ErrorIs(t, err, want, name)
		}
	}
	for name, want := range map[string]string{"environment": "<>", "literal": "$(id) ; x"} {
		v, err := e.Resolve(t.Context(), Ref{Scheme: "exec", Path: name, Key: "p"}, Use{})
		require.NoError(t, err)
		require.Equal(t, want, v.Plain().Reveal())
	}
	_, err := Source{"exec": e}.Resolve(t.Context(), "exec:old#p", false)
	require.ErrorIs(t, err, ErrExpired)
	require.True(t, Source{"exec": e}.Local("exec:old#p"))
	slow, cancel := context.WithCancel(t.Context())
	go func() {
		for slow.Err() == nil {
			if text, err := os.ReadFile(file); err == nil && strings.HasSuffix(string(text), "\n") {
				cancel()
			}
		}
	}()
	_, err = e.Resolve(slow, Ref{Scheme: "exec", Path: "slow", Key: "p"}, Use{})
	require.ErrorIs(t, err, context.Canceled)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	process, err := os.FindProcess(child)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return process.Signal(syscall.Signal(0)) != nil }, 20*time.Second, time.Millisecond, "what the program started ends with it")
}
