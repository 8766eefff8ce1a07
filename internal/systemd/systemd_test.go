package systemd_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/systemd"
)

// manager is the end of the notification socket that a service manager reads.
func manager(t *testing.T) (next func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
		b := make([]byte, 4096)
		n, err := c.Read(b)
		require.NoError(t, err)
		return string(b[:n])
	}
}

func TestTold(t *testing.T) {
	next := manager(t)
	log := slog.New(slog.DiscardHandler)
	systemd.Started(log)
	require.Equal(t, "READY=1", next())
	systemd.Reloading(log)
	require.Regexp(t, `^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*$`, next())
	systemd.Stopping(log)
	require.Equal(t, "STOPPING=1", next())
}

// service is one that a test stops from getting on, and that then says so.
type service struct {
	stuck atomic.Bool
	asked chan struct{}
}

func (s *service) Live(ctx context.Context) error {
	if !s.stuck.Load() {
		return nil
	}
	<-ctx.Done()
	select {
	case s.asked <- struct{}{}:
	default:
	}
	return errors.New("it does not get on")
}

// The service manager is told nothing any more once the gateway does not get on, and the log why.
func TestWatchdog(t *testing.T) {
	next := manager(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	var said bytes.Buffer
	s, log := &service{asked: make(chan struct{})}, slog.New(slog.NewTextHandler(&said, nil))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { systemd.Watchdog(ctx, s, log); close(done) }()
	for range 3 {
		require.Equal(t, "WATCHDOG=1", next())
	}
	s.stuck.Store(true)
	<-s.asked
	<-s.asked // the first is on the log
	cancel()
	<-done
	require.Contains(t, said.String(), "will start the gateway again")
}

func TestNoManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	systemd.Started(log)
	systemd.Watchdog(t.Context(), &service{}, log)
	require.Empty(t, said.String())
	var none systemd.Sockets
	ln, err := none.Listen("postgres", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
}

// A process that a service manager started with sockets uses each under its name, once, and closes the rest.
func TestSockets(t *testing.T) {
	if os.Getenv("LISTEN_FDS") != "" {
		started(t)
		return
	}
	var files []*os.File
	var addresses []string
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		f, err := ln.(*net.TCPListener).File()
		require.NoError(t, err)
		require.NoError(t, ln.Close())
		defer f.Close()
		files, addresses = append(files, f), append(addresses, ln.Addr().String())
	}
	// The number of the process is known once it runs: a shell says it and becomes the test.
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run '^TestSockets$' -test.v`, os.Args[0])
	cmd.Env = append(os.Environ(), "LISTEN_FDS=2", "LISTEN_FDNAMES=postgres:mistyped", "WANT="+addresses[0], "REST="+addresses[1])
	cmd.ExtraFiles = files
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "name=mistyped")
}

func started(t *testing.T) {
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	sockets, err := systemd.Given()
	require.NoError(t, err)
	require.Empty(t, os.Getenv("LISTEN_FDS"), "children do not take them for theirs")
	ln, err := sockets.Listen("postgres", "192.0.2.1:1") // an address of nobody
	require.NoError(t, err)
	require.Equal(t, os.Getenv("WANT"), ln.Addr().String())
	again, err := sockets.Listen("postgres", "127.0.0.1:0")
	require.NoError(t, err)
	require.NotEqual(t, os.Getenv("WANT"), again.Addr().String())
	sockets.CloseRest(log)
	late, err := sockets.Listen("mistyped", "127.0.0.1:0")
	require.NoError(t, err)
	require.NotEqual(t, os.Getenv("REST"), late.Addr().String(), "it was closed")
}
