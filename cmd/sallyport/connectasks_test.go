package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/review"
)

// TestConnectAsksOfSSH: who connects by OpenSSH without a grant makes a request, is told of it, and waits or ends as the rule says; another
// person, who has logged in, approves or denies it by the API, and the command runs, or its user is told why not.
func TestConnectAsksOfSSH(t *testing.T) {
	b := openTestbed(t, "")
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	machine, _, _ := strings.Cut(strings.TrimPrefix(b.resources, "resources:\n"), "\n")
	b.resources += strings.Replace(machine, "name: vm1", "name: vm2", 1) + "\n"
	b.serve(t, fmt.Sprintf(`identity:
  users:
    - {name: dora, groups: [dev, ops], password: %[1]q}
    - {name: olga, groups: [ops], password: %[1]q}
access:
  - {name: waiting, groups: [dev], resources: [vm1], allow: [connect, exec], request: {approvers: [ops], wait: 2m}}
  - {name: asking, groups: [dev], resources: [vm2], allow: [connect, exec], request: {approvers: [ops], connect: ask}}
`, verifier))
	b.logIn(t, "dora", "olga")
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	ssh := func(resource, command string) (*exec.Cmd, *process) {
		t.Helper()
		cmd := exec.CommandContext(ctx, self, "connect", resource, "--profile", "dora", "--", "-F", "/dev/null", "-o", "BatchMode=yes", command)
		cmd.Env = append(os.Environ(), "SALLYPORT_TEST_MAIN=1")
		said := &process{}
		cmd.Stdout, cmd.Stderr = said, said
		require.NoError(t, cmd.Start())
		return cmd, said
	}
	id := func(said *process) string {
		t.Helper()
		var m []string
		require.Eventually(t, func() bool {
			m = regexp.MustCompile(`request ([a-z0-9]{10}) for connect, exec at`).FindStringSubmatch(said.output())
			return m != nil
		}, 30*time.Second, 10*time.Millisecond, "she is told of her request")
		return m[1]
	}
	decides := func(who, request string, deny bool) (*review.Request, error) {
		t.Helper()
		api, err := openAPI(who)
		require.NoError(t, err)
		r, err := api.Request(ctx, request)
		require.NoError(t, err)
		d := control.Decision{Hash: r.Hash, Reason: "use the runbook"}
		if deny {
			return api.Deny(ctx, request, d)
		}
		return api.Approve(ctx, request, d)
	}

	// She waits, and it goes on.
	cmd, said := ssh("vm1", "echo was let in")
	request := id(said)
	require.Contains(t, said.output(), "waits for an approval of ops")
	_, err = decides("dora", request, false)
	require.ErrorContains(t, err, "you may not decide about your own request")
	require.NotContains(t, said.output(), "was let in")
	r, err := decides("olga", request, false)
	require.NoError(t, err)
	require.Equal(t, []any{review.Approved, "olga", "dora"}, []any{r.State, r.DecidedBy, r.Requester})
	require.NoError(t, cmd.Wait(), said.output())
	require.Contains(t, said.output(), "was let in")
	code, _, errs := sallyport(t, "", "requests", "revoke", request, "--reason", "done", "--profile", "olga")
	require.Equal(t, exitOK, code, errs)

	// She waits, and is told why not.
	cmd, said = ssh("vm1", "echo was let in")
	other := id(said)
	require.NotEqual(t, request, other)
	_, err = decides("olga", other, true)
	require.NoError(t, err)
	require.Error(t, cmd.Wait())
	require.Contains(t, said.output(), "olga denied request "+other+": use the runbook")
	require.NotContains(t, said.output(), "was let in")

	// She ends, and connects again.
	cmd, said = ssh("vm2", "echo was let in")
	require.Error(t, cmd.Wait())
	request = id(said)
	require.Contains(t, said.output(), "connect again when it is approved")
	_, err = decides("olga", request, false)
	require.NoError(t, err)
	cmd, said = ssh("vm2", "echo was let in")
	require.NoError(t, cmd.Wait(), said.output())
	require.Contains(t, said.output(), "was let in")
}
