package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// keyPair writes a key and returns its public line.
func keyPair(t testing.TB, file string) string { return testserver.KeyPair(t, file) }

// sshd starts OpenSSH's server and returns its address.
func sshd(t testing.TB, dir, hostKey, accepted string) string {
	t.Helper()
	return testserver.OpenSSH(t, dir, hostKey, accepted)
}

// A server that is reached through the gateway, with the real ssh: by a user's key, whose owner
// never sees the server's.
func TestServeSSH(t *testing.T) {
	needs(t, "ssh")
	me, err := user.Current()
	require.NoError(t, err)
	dir := t.TempDir()
	host := keyPair(t, filepath.Join(dir, "host"))
	upstream := keyPair(t, filepath.Join(dir, "upstream"))
	alice := keyPair(t, filepath.Join(dir, "alice"))
	address := sshd(t, dir, filepath.Join(dir, "host"), upstream)
	listen := testserver.FreeAddress(t)
	config := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
listen: {ssh: %q}
data_dir: data
identity:
  users:
    - {name: alice, groups: [dev], ssh_keys: [%q]}
resources:
  - name: vm1
    type: ssh
    address: %q
    username: %s
    key: file:upstream
    ssh: {host_keys: [%q]}
  - name: vm2
    type: ssh
    address: %q
    username: %s
    key: file:upstream
    ssh: {trust_on_first_use: true, exec_only: true}
access:
  - {name: dev, groups: [dev], resources: [vm1], allow: [connect, exec, shell, file-read, file-write]}
  - {name: dev-once, groups: [dev], resources: [vm2], allow: [connect, exec]}
`, listen, alice, address, me.Username, host, address, me.Username), 0o600))
	p := start(t, "serve", "-c", config)
	p.wait(t, "listening")

	stanza := filepath.Join(dir, "ssh_config")
	require.NoError(t, os.WriteFile(stanza, []byte(must(t, "ssh-config", "-c", config, "-u", "alice")), 0o600))
	ssh := func(args ...string) (string, int) {
		cmd := exec.Command("ssh", append([]string{"-F", stanza, "-i", filepath.Join(dir, "alice"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"}, args...)...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	out, code := ssh("vm1", "echo hello; exit 7")
	require.Equal(t, 7, code, out)
	require.Equal(t, "hello\n", out)
	out, code = ssh("vm2", "echo twice")
	require.Equal(t, 0, code, out)
	require.Equal(t, "twice\n", out)
	out, code = ssh("-tt", "vm2")
	require.NotZero(t, code)
	require.NotEmpty(t, out)
	out, code = ssh("-W", "127.0.0.1:1", "vm1")
	require.NotZero(t, code, out)
	terminal := exec.Command("ssh", "-F", stanza, "-i", filepath.Join(dir, "alice"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-tt", "vm1")
	typed, err := terminal.StdinPipe()
	require.NoError(t, err)
	screen := &process{cmd: terminal, done: make(chan error, 1)}
	terminal.Stdout, terminal.Stderr = screen, screen
	require.NoError(t, terminal.Start())
	for _, step := range []struct{ wait, line string }{
		{"[$#] ", "stty -echo; echo rea''dy; read -r word; stty echo; echo he''llo"}, {"ready", "hunter2"}, {"hello", "exit"},
	} {
		screen.wait(t, step.wait)
		_, err := fmt.Fprintln(typed, step.line)
		require.NoError(t, err)
	}
	require.NoError(t, terminal.Wait(), screen.output())

	p.stop(t)

	list := decode[listed[summary]](t, must(t, "sessions", "ls", "-c", config, "-o", "json", "-r", "vm1")).Items
	require.NotEmpty(t, list)
	require.Equal(t, "alice", list[0].User)
	require.Contains(t, must(t, "sessions", "show", "-c", config, list[0].ID), "echo hello; exit 7")
	require.NotContains(t, must(t, "verify", filepath.Join(dir, "data", "audit")), "NOT AS SEALED")

	// What was shown is on record, and can be played and exported.
	require.Equal(t, "hello\n", must(t, "sessions", "play", "-c", config, list[0].ID))
	list = decode[listed[summary]](t, must(t, "sessions", "ls", "-c", config, "-o", "json", "--text", "hello")).Items
	id := list[len(list)-1].ID
	played := must(t, "sessions", "play", "-c", config, id)
	require.Contains(t, played, "hello\r\n")
	require.NotContains(t, played, "hunter2")
	require.Contains(t, must(t, "sessions", "play", "-c", config, "--timeline", id), "shell")
	require.Contains(t, must(t, "sessions", "export", "-c", config, "--format", "cast", id), `,"o","`)
	code, _, errs := sallyport(t, "", "sessions", "play", "-c", config, "--find", "never shown", id)
	require.Equal(t, exitNotFound, code, errs)
	code, _, errs = sallyport(t, "", "sessions", "export", "-c", config, "--format", "csv", id)
	require.Equal(t, exitNotFound, code, errs)
}
