package mariaembed

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

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

// Nobody gets in without the superuser's password, which no file has when the server is up; and nothing is left when it is stopped.
func TestClosed(t *testing.T) {
	installed(t)
	dir, err := os.MkdirTemp("", "mariaembed-") // a socket's path is short
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o711)) // the server runs as another user
	s, err := Start(t.Context(), Config{Dir: dir})
	require.NoError(t, err)
	defer s.Stop()
	out, err := s.Run("", "SELECT CURRENT_USER()")
	require.NoError(t, err)
	require.Equal(t, "keeper@localhost", out)
	require.NoFileExists(t, s.initFile())

	port := s.Address()[len("127.0.0.1:"):]
	for _, user := range []string{"root", "keeper", "mysql", "nobody", ""} {
		cmd := exec.CommandContext(t.Context(), s.Client, "--no-defaults", "-h", "127.0.0.1", "-P", port, "-u", user, "-e", "SELECT 1")
		got, err := cmd.CombinedOutput()
		require.Error(t, err, "%q got in", user)
		require.Contains(t, string(got), "ERROR 1", user)
	}
	if os.Geteuid() == 0 {
		out, err := exec.CommandContext(t.Context(), "stat", "-c", "%U", filepath.Join(s.Dir, "data")).Output()
		require.NoError(t, err)
		require.NotEqual(t, "root\n", string(out), "it runs as root")
	}
	require.NoError(t, s.Stop())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// A server that cannot start says why, and leaves nothing.
func TestDoesNotStart(t *testing.T) {
	installed(t)
	dir, err := os.MkdirTemp("", "mariaembed-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o711))
	_, err = Start(t.Context(), Config{Dir: dir, Args: []string{"--no-such-setting"}})
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
