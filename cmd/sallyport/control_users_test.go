package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
)

// asUser runs the program as another user of this machine.
func asUser(t *testing.T, name string, args ...string) (code int, out string) {
	t.Helper()
	su, err := exec.LookPath("setpriv")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("only root can become another user, with setpriv")
	}
	u, err := user.Lookup(name)
	require.NoError(t, err)
	// The test binary lies where only its builder can go.
	binary := filepath.Join(publicDir(t), "sallyport")
	b, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(binary, b, 0o755))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, su, append([]string{"--reuid=" + u.Uid, "--regid=" + u.Gid, "--clear-groups", binary}, args...)...)
	cmd.Env = append(os.Environ(), "SALLYPORT_TEST_MAIN=1")
	cmd.Dir = "/"
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// A control rule grants what it says to users other than root and the gateway's
// own, and no other user of the machine gets more than a refusal.
func TestControlOfOtherUsers(t *testing.T) {
	dir := publicDir(t)
	data := filepath.Join(dir, "data")
	file := filepath.Join(dir, "sallyport.yaml")
	config := func(rules string) {
		text := "listen: {postgres: \"127.0.0.1:0\"}\nresources: []\ndata_dir: " + data + "\n" + rules
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	mode := func(name string) os.FileMode {
		st, err := os.Stat(name)
		require.NoError(t, err)
		return st.Mode().Perm()
	}
	socket := filepath.Join(data, "control.sock")

	// Without a rule for others nobody else can even knock.
	config("control: [{users: [root, " + control.Self() + "], allow: [list]}]\n")
	p := start(t, "serve", "-c", file)
	p.wait(t, "listening")
	require.Equal(t, os.FileMode(0o700), mode(data))
	require.Equal(t, os.FileMode(0o600), mode(socket))
	code, out := asUser(t, "nobody", "sessions", "ls", "--live", "--socket", socket)
	require.Equal(t, exitUnreachable, code, out)
	p.stop(t)

	config("control: [{users: [nobody], allow: [list]}]\n")
	p = start(t, "serve", "-c", file)
	p.wait(t, "listening")
	require.Equal(t, os.FileMode(0o711), mode(data), "passable, and nobody can list it")
	for _, own := range []string{"audit", "ca"} {
		require.Equal(t, os.FileMode(0o700), mode(filepath.Join(data, own)), own)
	}
	code, out = asUser(t, "nobody", "sessions", "ls", "--live", "--socket", socket, "-o", "json")
	require.Equal(t, exitOK, code, out)
	require.Empty(t, decode[listed[control.Session]](t, out).Items)
	require.Contains(t, out, `"items": []`, "a list of nothing")
	code, out = asUser(t, "nobody", "sessions", "kill", "--socket", socket, "--reason", "x", strings.Repeat("0", 26))
	require.Equal(t, exitPolicy, code, out)
	code, out = asUser(t, "daemon", "sessions", "ls", "--live", "--socket", socket)
	require.Equal(t, exitPolicy, code, out)
	code, out = asUser(t, "nobody", "requests", "ls", "--socket", socket)
	require.Equal(t, exitPolicy, code, out)

	// A config file that the user cannot read is not the end of it.
	code, out = asUser(t, "nobody", "sessions", "ls", "--live", "-c", file)
	require.Equal(t, exitError, code)
	require.Contains(t, out, "--socket", "what to do: %s", out)
	p.stop(t)

	// Taking the rule away closes the door again.
	config("")
	p = start(t, "serve", "-c", file)
	p.wait(t, "listening")
	require.Equal(t, os.FileMode(0o600), mode(socket))
	code, out = asUser(t, "nobody", "sessions", "ls", "--live", "--socket", socket)
	require.Equal(t, exitUnreachable, code, out)
	p.stop(t)
}
