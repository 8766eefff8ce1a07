package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
)

// policyOfRequests lets dev ask for access to production, at a database and at a machine, and dba read without.
const policyOfRequests = `package sallyport

default decision := {"allow": false, "reason": "this is not yours"}

decision := {"allow": true, "rule": "dba"} if "dba" in input.identity.groups

decision := {"allow": true, "rule": "prod", "request": terms} if {
	"dev" in input.identity.groups
	input.resource.name in {"vm1", "shop"}
}

terms := {"approvers": ["ops"], "max": "8h", "reason": "INC-[0-9]+", "actions": ["exec", "shell"]} if input.resource.type == "ssh"

terms := {"stages": [{"approvers": ["ops"]}, {"approvers": ["user:otto"]}], "for": "30m", "actions": ["read"]} if input.resource.type == "postgres"
`

// TestRequestRego: a policy in Rego says that access is asked for, who grants it and what; the command line, psql and ssh go by what was
// granted.
func TestRequestRego(t *testing.T) {
	b := openTestbed(t, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	folder := filepath.Join(filepath.Dir(b.file), "policies")
	require.NoError(t, os.Mkdir(folder, 0o700))
	var p *process
	policy := func(text string) { // and waits until it is used; each command leaves a connection, of which the API takes so many
		t.Helper()
		const used = "the config file is used as it is now"
		before := 0
		if p != nil {
			before = strings.Count(p.output(), used)
		}
		require.NoError(t, os.WriteFile(filepath.Join(folder, "new"), []byte(text), 0o600))
		require.NoError(t, os.Rename(filepath.Join(folder, "new"), filepath.Join(folder, "access.rego")))
		if p != nil {
			require.Eventually(t, func() bool { return strings.Count(p.output(), used) > before }, 60*time.Second, 10*time.Millisecond)
		}
	}
	policy(policyOfRequests)
	p = b.serve(t, fmt.Sprintf(`identity:
  users:
    - {name: dora, groups: [dev], password: %[1]q}
    - {name: dana, groups: [dba], password: %[1]q}
    - {name: olga, groups: [ops], password: %[1]q}
    - {name: otto, groups: [ops], password: %[1]q}
    - {name: eve, groups: [other], password: %[1]q}
policy: {opa: {dirs: [policies], decides: true, timeout: 1s}}
`, verifier))
	b.logIn(t, "eve", "olga", "otto", "dora")
	as := func(who string, want int, args ...string) string {
		t.Helper()
		code, out, errs := sallyport(t, "", append(args, "--profile", who)...)
		require.Equal(t, want, code, out+errs)
		return out + errs
	}
	id := func(text string) string {
		t.Helper()
		m := regexp.MustCompile(`request ([a-z0-9]{10})`).FindStringSubmatch(text)
		require.NotNil(t, m, text)
		return m[1]
	}
	host, port, _ := strings.Cut(b.pg, ":")
	psql := func(who, statement string) string {
		conn := fmt.Sprintf("host=%s port=%s user=%s+shop password=secret sslmode=require", host, port, who)
		text, _ := exec.CommandContext(t.Context(), "psql", "-X", "-A", "-t", "-c", statement, conn).CombinedOutput()
		return string(text)
	}

	// Who may ask for what.
	require.Regexp(t, `vm1 +ssh .* on request`, as("dora", exitOK, "ls"))
	require.Regexp(t, `shop +postgres .* on request`, must(t, "ls", "-c", b.file, "--user", "dora"))
	require.NotContains(t, must(t, "ls", "-c", b.file, "--user", "eve"), "vm1")
	as("eve", exitNotFound, "request", "vm1", "--reason", "INC-1")
	require.Equal(t, "hello\n", psql("dana", "SELECT text FROM notes"), "she need not ask")
	_, explained, errs := sallyport(t, "", "policy", "explain", "-c", b.file, "--user", "dora", "--resource", "shop", "SELECT text FROM notes")
	require.Contains(t, explained, "opa:prod", errs)
	require.Contains(t, explained, "is granted to those who have asked for it")

	// It is asked for as the policy wants it.
	require.Contains(t, as("dora", exitUsage, "request", "vm1", "--reason", "please"), "INC-[0-9]+")
	require.Contains(t, as("dora", exitUsage, "request", "vm1", "--reason", "INC-1", "--for", "9h"), "at most 8h")
	require.Contains(t, as("dora", exitUsage, "request", "vm1", "--reason", "INC-1", "--ops", "write"), "by rule opa:prod")
	asked := as("dora", exitOK, "request", "vm1", "--reason", "INC-4711", "--for", "1h")
	require.Contains(t, asked, "waits for an approval of ops")
	as("dora", exitPolicy, "approve", id(asked))
	require.Contains(t, as("olga", exitOK, "approve", id(asked)), "is approved until")
	ssh := []string{"--", "-F", "/dev/null", "-o", "BatchMode=yes", "echo", "in"}
	code, out, errs := sallyport(t, "", append([]string{"connect", "vm1", "--profile", "dora"}, ssh...)...)
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, "in\n", out)

	// Connecting asks, and both stages approve it. What was granted is all that may be done.
	text := psql("dora", "SELECT text FROM notes")
	require.Contains(t, text, "waits for an approval of ops; connect again when it is approved")
	request := id(text)
	require.Equal(t, request, id(psql("dora", "SELECT text FROM notes")), "the same request")
	require.Contains(t, as("olga", exitOK, "approve", request), "is pending: it waits for an approval of user:otto")
	require.Contains(t, psql("dora", "SELECT text FROM notes"), "waits for an approval of user:otto")
	require.Contains(t, as("otto", exitOK, "approve", request), "is approved until")
	require.Equal(t, "hello\n", psql("dora", "SELECT text FROM notes"))
	require.Contains(t, psql("dora", "INSERT INTO notes VALUES ('x')"), "you may not insert")
	shown := ""
	for _, s := range decode[listed[summary]](t, must(t, "sessions", "ls", "-c", b.file, "-o", "json")).Items {
		shown += must(t, "sessions", "show", "-c", b.file, "-o", "json", s.ID)
	}
	require.Regexp(t, `"grant": ?"`+request+`"`, shown, "a session's record says by which request it was open")
	proposed := as("dora", exitOK, "request", "shop", "--for", "10m", "--reason", "INC-2")
	require.Contains(t, as("olga", exitOK, "requests", "propose", id(proposed), "--for", "20m", "--reason", "it takes longer"), id(proposed))
	as("dora", exitOK, "requests", "accept", id(proposed))
	as("dora", exitOK, "requests", "cancel", id(proposed))

	// It is taken back by hand, and when the policy does not say so any more; it does not come back with the policy.
	as("otto", exitOK, "requests", "revoke", request, "--reason", "enough")
	require.Contains(t, psql("dora", "SELECT text FROM notes"), "waits for an approval of ops")
	policy(strings.ReplaceAll(policyOfRequests, `"rule": "prod"`, `"rule": "other"`))
	require.Eventually(t, func() bool {
		_, out, _ := sallyport(t, "", "requests", "show", id(asked), "-o", "json", "--profile", "dora")
		return strings.Contains(out, "rule opa:prod does not grant access to vm1 on request any more")
	}, 60*time.Second, time.Second)
	code, _, errs = sallyport(t, "", append([]string{"connect", "vm1", "--profile", "dora"}, ssh...)...)
	require.NotEqual(t, exitOK, code, out)
	require.Contains(t, errs, "Rule opa:other allows it for a time to those who have asked")
	policy(policyOfRequests)
	_, _, errs = sallyport(t, "", append([]string{"connect", "vm1", "--profile", "dora"}, ssh...)...)
	require.Contains(t, errs, "Rule opa:prod allows it for a time to those who have asked", "what was granted before counts no more")

	// An answer that is not understood refuses, and says what to do about it.
	policy(strings.NewReplacer(`"max": "8h"`, `"longest": "8h"`, `"for": "30m"`, `"for": 30`).Replace(policyOfRequests))
	const wrong = `the policy did not decide, so this is refused: its answer is not understood: request: unknown key "request.longest"`
	code, _, errs = sallyport(t, "", "request", "vm1", "--reason", "INC-1", "--profile", "dora")
	require.Equal(t, exitPolicy, code, errs)
	require.Contains(t, errs, wrong)
	require.Contains(t, psql("dora", "SELECT text FROM notes"), "its answer is not understood: request: for is a number, want a string")
	require.Equal(t, "hello\n", psql("dana", "SELECT text FROM notes"))
	p.stop(t)
}
