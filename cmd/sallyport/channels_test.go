package main

import (
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/review/reviewtest"
)

// TestChannels: an administrator sees that people are not told of requests, why, and sends it again; and what alerts found, or would have.
func TestChannels(t *testing.T) {
	mails := reviewtest.NewSMTP(t, func(s *reviewtest.SMTP) { s.Answers = map[string]string{"gone@example.com": "550 5.1.1 no such user"} })
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mail.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: mails.Leaf.Raw}), 0o600))
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	ssh, api := testserver.FreeAddress(t), testserver.FreeAddress(t)
	file := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
listen: {ssh: %[1]q}
api: {listen: %[2]q, url: "https://%[2]s"}
data_dir: data
identity: {users: [{name: dora, groups: [dev, ops], password: %[3]q}]}
resources: [{name: vm1, type: ssh, address: "127.0.0.1:1", username: u, ssh: {trust_on_first_use: true}}]
access: [{name: vms, groups: [dev], resources: [vm1], allow: [connect], request: {approvers: [ops]}}]
notify:
  - {name: mails, type: smtp, address: %[4]q, from: gw@example.com, to: [gone@example.com], ca: mail.pem}
  - {name: others, type: smtp, address: %[4]q, from: gw@example.com, to: [here@example.com], ca: mail.pem}
alerts: [{name: asked, events: [review.pending], users: [dora], quiet: 1m, notify: [others], message: "somebody asks"}]
control: [{users: [root, "%[5]s"], allow: [list, configure, audit]}]
`, ssh, api, verifier, mails.Address, control.Self()), 0o600))
	start(t, "serve", "-c", file).wait(t, "listening")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Chdir(t.TempDir())
	code, _, errs := sallyport(t, "secret\n", "login", "https://"+api, "--user", "dora", "--profile", "dora", "--ca", filepath.Join(dir, "data", "ca", "ca.pem"))
	require.Equal(t, exitOK, code, errs)
	code, out, errs := sallyport(t, "", "request", "vm1", "--reason", "INC-1", "--profile", "dora")
	require.Equal(t, exitOK, code, out+errs)
	run := func(args ...string) string {
		t.Helper()
		code, out, errs := sallyport(t, "", append(append([]string{"admin", "channels"}, args...), "-c", file)...)
		require.Equal(t, exitOK, code, errs)
		return out
	}
	require.Eventually(t, func() bool {
		return mails.Taken() == 2 && strings.Contains(run("dead", "mails"), "RCPT: the server answers 550 5.1.1")
	}, 30*time.Second, 50*time.Millisecond)
	list := run("ls")
	require.Regexp(t, `(?m)^mails +ok +0 +1 *$`, list)
	require.Regexp(t, `(?m)^others +ok +0 +0 *$`, list)
	dead := run("dead", "mails")
	require.Contains(t, dead, "asked")
	require.Contains(t, run("retry", "mails"), "1 notice to be told again")
	require.Eventually(t, func() bool { return strings.Contains(run("dead", "mails"), "550") }, 30*time.Second, 50*time.Millisecond, "it was told again, in vain")
	require.Contains(t, run("retry", "others"), "0 notices")
	alerts := func(args ...string) string {
		t.Helper()
		code, out, errs := sallyport(t, "", append(append([]string{"admin", "alerts"}, args...), "-c", file)...)
		require.Equal(t, exitOK, code, errs)
		return out
	}
	require.Regexp(t, `(?m)^asked +review\.pending +at each +others +\S+`, alerts("ls"))
	require.Regexp(t, `(?m) review\.pending +1 +dora +vm1 `, alerts("show", "asked"))
	require.Contains(t, alerts("try", "asked", "--since", "1h"), "would have fired 1 time, by 1 event\n")
	draft := filepath.Join(dir, "draft.yaml")
	require.NoError(t, os.WriteFile(draft, []byte("alerts: [{name: draft, events: [review.pending], count: 2, within: 1h, notify: [others]}]"), 0o600))
	require.Equal(t, "would have fired 0 times, by 1 event\n", alerts("try", "-f", draft))
	require.Contains(t, alerts("try", "asked", "-o", "json"), `"user": "dora"`)
	code, _, errs = sallyport(t, "", "admin", "alerts", "try", "nothing", "-c", file)
	require.Equal(t, exitNotFound, code, errs)
	require.Contains(t, errs, `no alert has the name "nothing"`)
	code, _, _ = sallyport(t, "", "admin", "alerts", "try", "-c", file)
	require.Equal(t, exitUsage, code)
	code, _, errs = sallyport(t, "", "admin", "channels", "ls", "--profile", "dora")
	require.Equal(t, exitPolicy, code, errs)
	code, _, _ = sallyport(t, "", "admin", "channels", "dead", "-c", file)
	require.Equal(t, exitUsage, code)
}
