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

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/review"
)

// TestRequest: a developer asks for an hour at a machine, an approver grants it, real clients get in and the session ends
// when it is taken back; all of it is on record.
func TestRequest(t *testing.T) {
	b := openTestbed(t, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	p := b.serve(t, fmt.Sprintf(`identity:
  users:
    - {name: dora, groups: [dev], password: %[1]q}
    - {name: dan, groups: [dev], password: %[1]q}
    - {name: olga, groups: [ops], password: %[1]q}
    - {name: otto, groups: [ops], password: %[1]q}
    - {name: eve, groups: [other], password: %[1]q}
access:
  - {name: prod-vms, groups: [dev], resources: [vm1], allow: [connect, exec, shell], request: {approvers: [ops], max: 8h, reason: "INC-[0-9]+"}}
  - {name: shop-readers, groups: [dev], resources: [shop], allow: [connect, read], request: {approvers: [ops]}}
  - {name: shop-writers, groups: [dev], resources: [shop], allow: [connect, read, write], request: {approvers: [ops], need: 2, for: 10m}}
`, verifier))
	b.logIn(t, "eve", "olga", "otto", "dan", "dora")
	as := func(who string, args ...string) (int, string, string) {
		t.Helper()
		return sallyport(t, "", append(args, "--profile", who)...)
	}
	run := func(args ...string) (int, string, string) {
		t.Helper()
		return sallyport(t, "", append([]string{"connect", "vm1", "--profile", "dora", "--", "-F", "/dev/null", "-o", "BatchMode=yes"}, args...)...)
	}
	id := func(text string) string {
		t.Helper()
		m := regexp.MustCompile(`request ([a-z0-9]{10})`).FindStringSubmatch(text)
		require.NotNil(t, m, text)
		return m[1]
	}

	self, err := os.Executable()
	require.NoError(t, err)
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	begin := func(program string, args ...string) (*exec.Cmd, *process) {
		t.Helper()
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env = append(os.Environ(), "SALLYPORT_TEST_MAIN=1")
		said := &process{}
		cmd.Stdout, cmd.Stderr = said, said
		require.NoError(t, cmd.Start())
		return cmd, said
	}
	sh, sp, _ := strings.Cut(b.pg, ":")
	conn := fmt.Sprintf("host=%s port=%s user=dora+shop password=secret sslmode=require", sh, sp)

	// What is granted for a minute ends with it: a command that runs, and a statement. The rest of the test goes on meanwhile.
	type brief struct {
		id    string
		until time.Time
		said  *process
		ended chan time.Time
	}
	var briefly []*brief
	for resource, c := range map[string][]string{
		"vm1":  {self, "connect", "vm1", "--profile", "dan", "--", "-F", "/dev/null", "-o", "BatchMode=yes", "-tt", "sleep 300"},
		"shop": {"psql", "-X", "-c", "SELECT count(*) FROM generate_series(1, 100000000000)", strings.Replace(conn, "dora", "dan", 1)},
	} {
		code, out, errs := as("dan", "request", resource, "--for", "1m", "--reason", "INC-1", "--ops", map[string]string{"vm1": "exec,shell", "shop": "read"}[resource])
		require.Equal(t, exitOK, code, errs)
		l := &brief{id: id(out), ended: make(chan time.Time, 1)}
		code, _, errs = as("olga", "approve", l.id)
		require.Equal(t, exitOK, code, errs)
		code, out, errs = as("dan", "requests", "show", l.id, "-o", "json")
		require.Equal(t, exitOK, code, errs)
		l.until = decode[review.Request](t, out).Access.Grant.Until
		var cmd *exec.Cmd
		cmd, l.said = begin(c[0], c[1:]...)
		go func() {
			cmd.Wait()
			l.ended <- time.Now()
		}()
		briefly = append(briefly, l)
	}

	code, out, errs := as("dora", "ls")
	require.Equal(t, exitOK, code, errs)
	require.Regexp(t, `vm1 +ssh .* on request`, out)
	require.Regexp(t, `vm1 +ssh .* on request`, must(t, "ls", "-c", b.file, "--user", "dora"))
	require.NotContains(t, must(t, "ls", "-c", b.file, "--user", "eve"), "vm1")
	code, _, errs = sallyport(t, "", "check", "-c", b.file)
	require.Equal(t, exitOK, code, errs)
	require.NotContains(t, errs, "may not connect", "they may once they have asked")
	code, _, errs = run("echo", "in")
	require.NotEqual(t, exitOK, code)
	require.Contains(t, errs, "Rule prod-vms allows it for a time to those who have asked, with an approval of ops")

	// It is asked for as the rule wants it.
	code, _, errs = as("dora", "request", "vm1", "--reason", "please")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "INC-[0-9]+")
	code, _, errs = as("eve", "request", "vm1", "--reason", "INC-1")
	require.Equal(t, exitNotFound, code, errs)
	code, _, errs = as("dora", "request", "vm1", "--reason", "INC-1", "--for", "9h")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "at most 8h")
	code, out, errs = as("dora", "request", "vm1", "--for", "1h", "--reason", "INC-4711")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "waits for an approval of ops")
	request := id(out)

	// Who may decide, and who may not.
	code, _, errs = as("dora", "approve", request)
	require.Equal(t, exitPolicy, code)
	require.Contains(t, errs, "your own request")
	code, _, errs = as("eve", "requests", "show", request)
	require.Equal(t, exitNotFound, code, errs)
	code, out, errs = as("olga", "requests", "ls")
	require.Equal(t, exitOK, code, errs)
	require.Regexp(t, request+` +dora +vm1 +pending`, out)
	code, out, errs = as("olga", "requests", "show", request)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "why         INC-4711\n")
	require.Contains(t, out, "access      connect, exec, shell\n")
	code, out, errs = as("olga", "approve", request, "--reason", "looks right")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "is approved until")
	code, _, errs = as("otto", "approve", request)
	require.Equal(t, exitDenied, code, errs)

	code, out, errs = run("echo", "in")
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, "in\n", out)
	// A command that runs is cut, and its user is told why.
	live, said := begin(self, "connect", "vm1", "--profile", "dora", "--", "-F", "/dev/null", "-o", "BatchMode=yes", "-tt", "echo here; sleep 60")
	require.Eventually(t, func() bool { return strings.Contains(said.output(), "here") }, 30*time.Second, 10*time.Millisecond, said.output())
	begun := time.Now()
	code, _, errs = as("otto", "requests", "revoke", request, "--reason", "enough")
	require.Equal(t, exitOK, code, errs)
	require.Error(t, live.Wait())
	t.Logf("the command ended after %s: %s", time.Since(begun).Round(time.Millisecond), said.output())
	require.Less(t, time.Since(begun), 10*time.Second)
	require.Contains(t, said.output(), "was revoked by otto: enough")
	code, _, _ = run("echo", "in")
	require.NotEqual(t, exitOK, code)

	// Connecting asks, where the rule lets it.
	psql := func(statement string) (string, error) {
		text, err := exec.CommandContext(ctx, "psql", "-X", "-A", "-t", "-c", statement, conn).CombinedOutput()
		return string(text), err
	}
	text, err := psql("SELECT text FROM notes")
	require.Error(t, err)
	require.Contains(t, text, "waits for an approval of ops; connect again when it is approved")
	asked := id(text)
	text, err = psql("SELECT text FROM notes")
	require.Error(t, err)
	require.Equal(t, asked, id(text), "the same request")
	code, _, errs = as("olga", "approve", asked, "--for", "500ms")
	require.Equal(t, exitUsage, code, "less than a second is not all of it")
	require.Contains(t, errs, "approve: --for 500ms is too short: want at least a minute")
	code, out, errs = as("olga", "approve", asked, "--for", "30m")
	require.Equal(t, exitOK, code, errs+out)
	text, err = psql("SELECT text FROM notes")
	require.NoError(t, err, text)
	require.Equal(t, "hello\n", text)

	// More, in a session that is open: two people grant it.
	db, err := pgconn.Connect(ctx, conn)
	require.NoError(t, err)
	defer db.Close(context.Background())
	write := func() error {
		_, err := db.Exec(ctx, "INSERT INTO notes VALUES ('x')").ReadAll()
		return err
	}
	require.Error(t, write())
	code, out, errs = as("dora", "request", "shop", "--ops", "write", "--reason", "fix a note")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "an approval of 2 of ops")
	more := id(out)
	code, out, errs = as("olga", "approve", more)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "is pending: it waits for an approval of 2 of ops")
	require.Error(t, write())
	code, _, errs = as("olga", "approve", more)
	require.Equal(t, exitPolicy, code, errs)
	code, _, errs = as("otto", "approve", more)
	require.Equal(t, exitOK, code, errs)
	require.NoError(t, write())
	code, _, errs = as("dora", "requests", "cancel", more)
	require.Equal(t, exitOK, code, errs)
	require.Error(t, write())
	_, err = db.Exec(ctx, "SELECT 1").ReadAll()
	require.NoError(t, err, "the session goes on by the other request")

	// Denied, with the reason.
	code, out, errs = as("dora", "request", "vm1", "--reason", "INC-4712")
	require.Equal(t, exitOK, code, errs)
	denied := id(out)
	code, _, errs = as("olga", "deny", denied, "--reason", "use the runbook")
	require.Equal(t, exitOK, code, errs)
	code, out, errs = as("dora", "requests", "ls", "--past", "-o", "json")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "use the runbook")

	for _, l := range briefly {
		late := (<-l.ended).Sub(l.until)
		t.Logf("the session of %s ended %s after its time: %s", l.id, late.Round(time.Millisecond), l.said.output())
		require.Greater(t, late, -time.Second, l.said.output())
		require.Less(t, late, 10*time.Second, l.said.output())
		require.Contains(t, l.said.output(), l.id)
		require.Eventually(t, func() bool {
			_, out, _ := as("dan", "requests", "show", l.id)
			return strings.Contains(out, "state       ended")
		}, 30*time.Second, 50*time.Millisecond)
	}

	// A crash loses nothing of what was asked for or granted.
	code, out, errs = as("dora", "request", "vm1", "--reason", "INC-4713")
	require.Equal(t, exitOK, code, errs)
	waits := id(out)
	require.NoError(t, p.cmd.Process.Kill())
	p.done <- <-p.done
	p = start(t, "serve", "-c", b.file)
	p.wait(t, "listening")
	text, err = psql("SELECT text FROM notes LIMIT 1")
	require.NoError(t, err, text)
	code, _, errs = as("otto", "approve", waits)
	require.Equal(t, exitOK, code, errs)
	code, out, errs = run("echo", "in")
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, "in\n", out)
	shown := ""
	for _, s := range decode[listed[summary]](t, must(t, "sessions", "ls", "-c", b.file, "-o", "json")).Items {
		shown += must(t, "sessions", "show", "-c", b.file, "-o", "json", s.ID)
	}
	for _, granted := range []string{request, asked, waits} {
		require.Regexp(t, `"grant": ?"`+granted+`"`, shown, "a session's record says by which request it was open")
	}
	code, out, errs = sallyport(t, "", "report", "-c", b.file)
	require.Equal(t, exitOK, code, errs+out)
}
