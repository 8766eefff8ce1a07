package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// What keeps users from a database is in the log with its cause and without secrets,
// and the client is told what to do.
func TestServeLogsDatabase(t *testing.T) {
	o := openOffice(t, "")
	secret := filepath.Join(o.dir, "db.password")
	good, err := os.ReadFile(secret)
	require.NoError(t, err)
	for _, c := range []struct{ name, secret, client, log string }{
		{"refused", "not the password", "does not accept the gateway's credential", `level=WARN msg="a session ended with an error".*user=alice.*resource=shop.*password authentication failed`},
		{"empty", "\n", "no credential for shop", `level=WARN msg="a session ended with an error".*the secret is empty`},
	} {
		require.NoError(t, os.WriteFile(secret, []byte(c.secret), 0o600))
		out := o.psql(t, "alice", "-c", "SELECT 1")
		require.Contains(t, out, c.client, c.name)
		require.Contains(t, out, "log says", c.name)
		o.wait(t, c.log)
	}
	require.NoError(t, os.Remove(secret))
	o.psql(t, "alice", "-c", "SELECT 1")
	o.wait(t, `level=WARN msg="a session ended with an error".*db.password: no such file`)
	require.NoError(t, os.WriteFile(secret, good, 0o600))
	require.Contains(t, o.psql(t, "alice", "-c", "SELECT 'well'"), "well")

	// A client that tries again and again does not fill the log.
	require.NoError(t, os.WriteFile(secret, []byte("still not the password"), 0o600))
	for range 12 {
		o.psql(t, "alice", "-c", "SELECT 1")
	}
	require.LessOrEqual(t, strings.Count(o.output(), "password authentication failed for user"), 5)
	require.NotContains(t, o.output(), "not the password")
	require.NotContains(t, o.output(), strings.TrimSpace(string(good)))
	o.stop(t)
	require.Regexp(t, `msg=starting version=.* resources=1 users=2 access_rules=2`, o.output())
	// A session that its client has just left may still be open.
	require.Regexp(t, `msg="stopping: .*cause=.*interrupt.* open_sessions=[01]\n`, o.output())
	require.Regexp(t, `msg=stopped uptime=.* sessions=1[0-9] refused_sessions=0 failed_logins=0`, o.output())
}

// The same for a machine: down, with another host key, a key that is refused, and
// files that hold no key.
func TestServeLogsMachine(t *testing.T) {
	m := openMachine(t, "[connect, exec]", "", "")
	reach := func(client, log string) {
		t.Helper()
		got := m.shell("gw", `ssh -F $F $H true`)
		require.Equal(t, 255, got.Code, got.Err)
		require.Contains(t, got.Err, client)
		m.wait(t, log)
	}
	key := m.file("upstream")
	good, err := os.ReadFile(key)
	require.NoError(t, err)
	require.Equal(t, 0, m.shell("gw", `ssh -F $F $H true`).Code)
	for _, garbage := range []string{"garbage that is no key", "-----BEGIN OPENSSH PRIVATE KEY-----\ngarbage\n-----END OPENSSH PRIVATE KEY-----\n", string(good[:len(good)/2])} {
		require.NoError(t, os.WriteFile(key, []byte(garbage), 0o600))
		if strings.HasPrefix(garbage, "garbage") {
			reach("its log says why", `level=WARN msg="a session ended with an error".*is not a private key`)
		} else {
			reach("cannot be read: ask the gateway's administrator", `level=WARN msg="a session ended with an error".*private key for this resource cannot be read`)
		}
	}
	keyPair(t, m.file("other"))
	other, err := os.ReadFile(m.file("other"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(key, other, 0o600))
	reach("does not accept the gateway's credential: ask", `level=WARN msg="a session ended with an error".*does not accept the gateway's credential`)
	require.NotContains(t, m.output(), "garbage", "what is not a key is not shown")
	require.NotRegexp(t, regexp.MustCompile("BEGIN OPENSSH"), m.output())
	m.stop(t)

	// Another host key, and nobody there.
	text, err := os.ReadFile(m.config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(key, good, 0o600))
	require.NoError(t, os.WriteFile(m.config, []byte(strings.Replace(string(text), m.hostKey, keyPair(t, m.file("impostor")), 1)), 0o600))
	m.process = start(t, "serve", "-c", m.config)
	m.wait(t, "listening")
	reach("host key verification failed", `level=WARN msg="a session ended with an error".*host key verification failed for vm1: it showed SHA256:.*, expected SHA256:`)
	m.stop(t)
	require.NoError(t, os.WriteFile(m.config, []byte(strings.Replace(string(text), `address: "`+m.address, `address: "`+testserver.FreeAddress(t), 1)), 0o600))
	m.process = start(t, "serve", "-c", m.config)
	m.wait(t, "listening")
	reach("connection refused: ask", `level=WARN msg="a session ended with an error".*resource=vm1.*connection refused`)
	m.stop(t)
}

// The log is JSON when it is asked for, line by line.
func TestServeLogsJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, []byte("listen: {postgres: \"127.0.0.1:0\"}\nresources: []\n"), 0o600))
	p := start(t, "serve", "-c", file, "--log-format", "json")
	p.wait(t, `"msg":"listening"`)
	p.stop(t)
	messages := map[string]bool{}
	for line := range strings.Lines(p.output()) {
		messages[decode[struct{ Msg string }](t, line).Msg] = true
		require.True(t, json.Valid([]byte(line)), line)
	}
	require.True(t, messages["starting"] && messages["stopped"], p.output())
	require.Contains(t, p.output(), `"guardrail_pack":"on"`)
	require.Contains(t, p.output(), `"masking_pack":"on"`)
	code, _, errs := sallyport(t, "", "serve", "-c", file, "--log-format", "xml")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "want text or json")
}
