package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/secrets/secretstest"
)

// Secrets are planted wherever a gateway has some, and used well and badly. What it says and keeps is searched for
// them in five encodings: its log, what its commands print, records, bundles, metrics, its state, and what it prints of
// its goroutines at the end. Something that may be there is found in the same way.
func TestCanaries(t *testing.T) {
	needs(t, "ssh")
	pg, database := testserver.Database(t, "")
	dir := t.TempDir()
	canaries := make(map[string]string)
	plant := func(name string) string {
		canaries[name] = "c4nary-" + name + `-"Q%+/=&é-` + rand.Text()
		return canaries[name]
	}
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	role := func(name, password string) {
		testserver.Exec(t, pg, "postgres", fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", name, password))
		t.Cleanup(func() { testserver.Exec(t, pg, "postgres", "DROP ROLE "+name) })
	}
	v := testserver.NewSmallVault(t, pg)
	canaries["Vault's token"] = v.Token
	write("token", v.Token)
	role("canary_kv", plant("kv"))
	v.Put("app", map[string]string{"password": canaries["kv"]})
	role("canary_env", plant("env"))
	role("canary_file", plant("file"))
	write("file", canaries["file"]+"\n")
	role("canary_exec", plant("exec"))
	quoted, err := json.Marshal(canaries["exec"])
	require.NoError(t, err)
	write("program", "#!/bin/sh\ncat >/dev/null\ncat <<'E'\n{\"values\":{\"p\":"+string(quoted)+"}}\nE\n")
	require.NoError(t, os.Chmod(filepath.Join(dir, "program"), 0o700))
	role("canary_wrong", "another password")
	plant("wrong")
	canaries["masking key"] = rand.Text() + rand.Text()
	var key [32]byte
	rand.Read(key[:])
	canaries["audit key"] = base64.StdEncoding.EncodeToString(key[:])
	canaries["audit key itself"] = string(key[:])
	plant("client secret")
	hook := base64.StdEncoding.EncodeToString([]byte(rand.Text() + rand.Text()))
	canaries["webhook's key"] = "whsec_" + hook
	canaries["store's key"] = hex.EncodeToString(key[:16]) + hex.EncodeToString(key[:16])
	certificate, private := testserver.NewAuthority().ServerPEM("localhost", "127.0.0.1")
	write("gateway.pem", string(certificate))
	v.Put("gateway", map[string]string{"key": string(private)})
	canaries["a line of the certificate's key"] = strings.Split(string(private), "\n")[1]
	verifier, err := identity.NewVerifier(plant("alice"))
	require.NoError(t, err)
	guess := plant("guess")

	me, err := user.Current()
	require.NoError(t, err)
	host := keyPair(t, filepath.Join(dir, "host"))
	upstream, alice := keyPair(t, filepath.Join(dir, "upstream")), keyPair(t, filepath.Join(dir, "alice"))
	machine := sshd(t, dir, filepath.Join(dir, "host"), upstream)
	text, err := os.ReadFile(filepath.Join(dir, "upstream"))
	require.NoError(t, err)
	canaries["a line of the private key"] = strings.Split(string(text), "\n")[3]

	postgres, ssh, metrics, file := testserver.FreeAddress(t), testserver.FreeAddress(t), testserver.FreeAddress(t), filepath.Join(dir, "sallyport.yaml")
	resource := func(name, user, secret string) string {
		return fmt.Sprintf("  - {name: %s, type: postgres, address: %q, database: %s, username: %s, password: %q, tls: {mode: disable}}\n", name, pg.Address(), database, user, secret)
	}
	write("sallyport.yaml", fmt.Sprintf(`
listen: {postgres: %q, ssh: %q}
data_dir: data
metrics: %q
secrets:
  vault: {address: %q, token: {from: file:token}}
  exec: {commands: {db: [%s]}}
tls: {cert: gateway.pem, key: "vault:secret/gateway#key"}
store: {key: env:CANARY_STORE}
api: {listen: "127.0.0.1:0", url: "https://localhost:8443"}
identity:
  providers: [{name: company, issuer: "https://127.0.0.1:1", client_id: gw, client_secret: env:CANARY_CLIENT}]
  users: [{name: alice, groups: [dev], password: %q, ssh_keys: [%q]}]
masking_key: {secret: env:CANARY_MASKING}
audit:
  key: env:CANARY_AUDIT
  recordings: [{rows: full, exec: full}]
  export: [{type: webhook, url: "https://127.0.0.1:1/hook", private: true, keys: [env:CANARY_HOOK]}]
access: [{groups: [dev], allow: [all]}]
resources:
`, postgres, ssh, metrics, v.URL, filepath.Join(dir, "program"), verifier, alice)+
		resource("kv", "canary_kv", "vault:secret/app#password")+resource("env", "canary_env", "env:CANARY_ENV")+resource("file", "canary_file", "file:file")+
		resource("exec", "canary_exec", "exec:db#p")+resource("wrong", "canary_wrong", "env:CANARY_WRONG")+resource("lease", "unused", "vault:database/creds/ro")+
		resource("none", "canary_kv", "vault:secret/none#password")+
		fmt.Sprintf("  - {name: vm1, type: ssh, address: %q, username: %s, key: \"file:upstream\", ssh: {host_keys: [%q]}}\n", machine, me.Username, host))
	for name, value := range map[string]string{"MASKING": canaries["masking key"], "AUDIT": canaries["audit key"], "ENV": canaries["env"], "CLIENT": canaries["client secret"], "STORE": canaries["store's key"], "HOOK": canaries["webhook's key"], "WRONG": canaries["wrong"]} {
		t.Setenv("CANARY_"+name, value)
	}
	t.Setenv("GOTRACEBACK", "all")
	p := start(t, "serve", "-c", file, "-v")
	p.wait(t, "listening.*ssh")

	var said strings.Builder
	hostName, port, err := net.SplitHostPort(postgres)
	require.NoError(t, err)
	connect := func(resource, password string) (*pgconn.PgConn, error) {
		c, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%s user=alice+%s sslmode=require", hostName, port, resource))
		require.NoError(t, err)
		c.Password = password
		conn, err := pgconn.ConnectConfig(t.Context(), c)
		if err != nil {
			fmt.Fprintln(&said, err)
		}
		return conn, err
	}
	for _, name := range []string{"kv", "env", "file", "exec", "lease"} {
		c, err := connect(name, canaries["alice"])
		require.NoError(t, err, p.output())
		_, err = c.Exec(t.Context(), "SELECT 'the control', count(*) FROM pg_class; SELECT no_such_column").ReadAll()
		require.Error(t, err)
		require.NoError(t, c.Close(t.Context()))
	}
	for _, name := range []string{"wrong", "none", "nothing"} {
		_, err := connect(name, canaries["alice"])
		require.Error(t, err)
	}
	_, err = connect("kv", guess)
	require.Error(t, err)
	pem, err := os.ReadFile(filepath.Join(dir, "alice"))
	require.NoError(t, err)
	signer, err := gossh.ParsePrivateKey(pem)
	require.NoError(t, err)
	client, err := gossh.Dial("tcp", ssh, &gossh.ClientConfig{
		User: "alice+vm1", Auth: []gossh.AuthMethod{gossh.PublicKeys(signer)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(), Timeout: time.Minute, // the gateway is this test's own
	})
	require.NoError(t, err)
	session, err := client.NewSession()
	require.NoError(t, err)
	out, err := session.CombinedOutput("echo the control")
	require.NoError(t, err, string(out))
	require.NoError(t, client.Close())
	v.SetDown(true)
	_, err = connect("lease", canaries["alice"])
	require.Error(t, err)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	p.wait(t, "the config file is used as it is now")
	for _, args := range [][]string{{"check", "-c", file}, {"check", "-c", file, "--connect"}} {
		code, o, e := sallyport(t, "", args...)
		require.Equal(t, exitError, code, "the service of some is down")
		said.WriteString(o + e)
	}
	v.SetDown(false)
	resp, err := http.Get("http://" + metrics + "/metrics")
	require.NoError(t, err)
	numbers, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Contains(t, string(numbers), "sallyport_")
	said.Write(numbers)
	for _, args := range [][]string{{"check", "-c", file, "--connect"}, {"resources", "-c", file, "-o", "json"}, {"sessions", "ls", "-c", file, "-o", "json"}, {"policy", "explain", "-c", file, "-u", "alice", "kv", "SELECT 1"}} {
		_, o, e := sallyport(t, "", args...)
		said.WriteString(o + e)
	}
	memory := memoryOf(t, p.cmd.Process.Pid)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGQUIT)) // it prints its goroutines
	<-p.done
	p.done <- nil
	require.Contains(t, p.output(), "goroutine ")
	said.WriteString(p.output())

	// The records, decrypted with the key that seals them.
	for _, s := range decode[listed[summary]](t, must(t, "sessions", "ls", "-c", file, "-o", "json")).Items {
		said.WriteString(must(t, "sessions", "show", "-c", file, s.ID))
		said.WriteString(must(t, "sessions", "export", "-c", file, s.ID))
	}
	said.WriteString(recordOf(t, file) + kept(t, filepath.Join(dir, "data")))
	for name, canary := range canaries {
		require.Nil(t, secretstest.Leaks(said.String(), canary), name)
	}
	require.NotNil(t, secretstest.Leaks(said.String(), "the control"), "what was asked is on record")
	require.NotNil(t, secretstest.Leaks(said.String(), "vault:database/creds/ro"), "which references were followed is on record")

	// What its memory holds cannot be kept out of it; see docs/threat-model.md. That it is found
	// shows that this search finds secrets.
	require.NotNil(t, secretstest.Leaks(memory, v.Token), "a secret in use")
}

// memoryOf is all that a process has written in its memory, as a core would have it.
func memoryOf(t *testing.T, pid int) string {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	require.NoError(t, err)
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	require.NoError(t, err)
	defer mem.Close()
	var all bytes.Buffer
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var mode string
		_, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode)
		require.NoError(t, err)
		if !strings.HasPrefix(mode, "rw") {
			continue
		}
		_, _ = io.Copy(&all, io.NewSectionReader(mem, int64(from), int64(to-from))) // some of it was never touched
	}
	return all.String()
}

// A gateway that is killed by its own fault leaves no core with secrets in it.
func TestNoCore(t *testing.T) {
	o := openOffice(t, "")
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", o.cmd.Process.Pid))
	require.NoError(t, err)
	require.Regexp(t, `Max core file size +0 +0 `, string(limits))
	if os.Getuid() != 0 {
		_, err := os.Open(fmt.Sprintf("/proc/%d/mem", o.cmd.Process.Pid))
		require.ErrorIs(t, err, os.ErrPermission, "another process of its user")
	}
	require.NoError(t, o.cmd.Process.Signal(syscall.SIGSEGV))
	<-o.done
	o.done <- nil
	require.False(t, o.cmd.ProcessState.Sys().(syscall.WaitStatus).CoreDump())
}
