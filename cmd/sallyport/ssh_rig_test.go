package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// machine is an OpenSSH server that is reached through a gateway that is assembled as users have
// it: rules, guardrails, masking and records.
type machine struct {
	*process
	t                 testing.TB
	dir, config       string
	listen, address   string // the gateway's, the server's
	stanza            string // ssh's config: "direct" is the server, "gw" the gateway
	hostKey, upstream string // the server's key, the gateway's key at the server
	patience          time.Duration
}

// openMachine serves a config with a resource "vm1" and the default packs. allow
// and settings are its rule's list and its ssh section, in YAML; extra is added
// to the config.
func openMachine(t testing.TB, allow, settings, extra string) *machine {
	t.Helper()
	return openMachineWith(t, "", allow, settings, "guardrails: [{use: default}]\nmasking: [{use: default}]\n"+extra)
}

// openMachineWith is openMachine with users in addition to alice, and sections of the
// config instead of the default packs.
func openMachineWith(t testing.TB, users, allow, settings, sections string) *machine {
	t.Helper()
	needs(t, "ssh")
	me, err := user.Current()
	require.NoError(t, err)
	m := &machine{t: t, dir: t.TempDir(), patience: 90 * time.Second}
	host := keyPair(t, m.file("host"))
	upstream, alice := keyPair(t, m.file("upstream")), keyPair(t, m.file("alice"))
	m.hostKey, m.upstream = host, upstream
	m.address = sshd(t, m.dir, m.file("host"), upstream+"\n"+alice)
	m.listen, m.config = testserver.FreeAddress(t), m.file("sallyport.yaml")
	text := fmt.Sprintf(`
listen: {ssh: %q}
data_dir: data
identity:
  users:
    - {name: alice, groups: [dev], ssh_keys: [%q]}
%sresources:
  - name: vm1
    type: ssh
    address: %q
    username: %s
    key: file:upstream
    ssh: {host_keys: [%q], %s}
access:
  - {name: dev, groups: [dev], resources: [vm1], allow: %s}
%s`, m.listen, alice, users, m.address, me.Username, host, settings, allow, sections)
	require.NoError(t, os.WriteFile(m.config, []byte(text), 0o600))
	m.process = start(t, "serve", "-c", m.config)
	m.wait(t, "listening")
	m.stanza = m.file("ssh_config")
	section := func(name, address, login, known string) string {
		host, port, _ := net.SplitHostPort(address)
		return fmt.Sprintf("Host %s\n  HostName %s\n  Port %s\n  User %s\n  UserKnownHostsFile %s\n", name, host, port, login, known)
	}
	host, port, _ := net.SplitHostPort(m.address)
	require.NoError(t, os.WriteFile(m.file("known"), fmt.Appendf(nil, "[%s]:%s %s\n", host, port, m.hostKey), 0o600))
	require.NoError(t, os.WriteFile(m.stanza, []byte(
		section("direct", m.address, me.Username, m.file("known"))+
			section("gw", m.listen, "alice+vm1", knownGateway(filepath.Join(m.dir, "data")))+
			section("menu", m.listen, "alice", knownGateway(filepath.Join(m.dir, "data")))+
			"Host *\n  GlobalKnownHostsFile /dev/null\n  IdentityFile "+m.file("alice")+"\n  IdentitiesOnly yes\n  BatchMode yes\n"), 0o600))
	return m
}

func (m *machine) file(name string) string { return filepath.Join(m.dir, name) }

// ended is how a program ended.
type ended struct {
	Out, Err string
	Code     int
}

// shell runs a line of sh, in which $F is ssh's config, $H the host, $A and $P
// its address and port, $S the server's port, $U the user there, $K her key, $L a local folder and $R
// one of the host's.
func (m *machine) shell(host, line string) ended {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), m.patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	local, remote := m.file("local-"+host), m.file("remote-"+host)
	require.NoError(m.t, os.MkdirAll(local, 0o700))
	require.NoError(m.t, os.MkdirAll(remote, 0o700))
	address, login := m.address, ""
	if host == "direct" {
		me, err := user.Current()
		require.NoError(m.t, err)
		login = me.Username
	} else {
		address, login = m.listen, "alice+vm1"
	}
	a, p, _ := net.SplitHostPort(address)
	cmd.Dir = local
	cmd.Env = append(os.Environ(), "F="+m.stanza, "H="+host, "A="+a, "P="+p, "U="+login, "K="+m.file("alice"), "L="+local, "R="+remote,
		"HOME="+m.dir, "LC_ALL=C.UTF-8", "SSH_AUTH_SOCK=", "SSH=ssh -F "+m.stanza, "GIT_SSH_COMMAND=ssh -F "+m.stanza,
		"S="+m.address[strings.LastIndexByte(m.address, ':')+1:])
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errs, 5*time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.t.Fatalf("%s: %v\n%s%s", line, err, out.String(), errs.String())
	}
	// What differs between the two by its nature is named alike.
	same := strings.NewReplacer(local, "LOCAL", remote, "REMOTE", login+"@"+a, "USER@HOST", `"`+login+`"`, "USER", "["+a+"]:"+p, "HOST").Replace
	return ended{same(out.String()), same(errs.String()), cmd.ProcessState.ExitCode()}
}
