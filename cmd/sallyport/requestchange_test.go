package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/review"
)

// TestRequestChanges: a request is changed, something else is proposed and accepted, more time is granted in an open session, and a
// rule grants by itself; all of it by the command line, and in the record.
func TestRequestChanges(t *testing.T) {
	needs(t, "psql")
	b := openTestbed(t, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	b.serve(t, fmt.Sprintf(`identity:
  users:
    - {name: dora, groups: [dev], password: %[1]q}
    - {name: olga, groups: [ops], password: %[1]q}
    - {name: otto, groups: [ops], password: %[1]q}
access:
  - name: shop-writers
    groups: [dev]
    resources: [shop]
    allow: [connect, read, write]
    request:
      approvers: [ops]
      need: 2
      max: 8h
      auto: {max: 5m, actions: [read], reason: "INC-[0-9]+", when: {networks: [127.0.0.0/8]}}
`, verifier))
	b.logIn(t, "olga", "otto", "dora")
	as := func(who string, want int, args ...string) string {
		t.Helper()
		code, out, errs := sallyport(t, "", append(args, "--profile", who)...)
		require.Equal(t, want, code, errs+out)
		return out + errs
	}
	id := func(text string) string {
		t.Helper()
		m := regexp.MustCompile(`request ([a-z0-9]{10})`).FindStringSubmatch(text)
		require.NotNil(t, m, text)
		return m[1]
	}
	show := func(id string) review.Request {
		t.Helper()
		code, out, errs := sallyport(t, "", "requests", "show", id, "-o", "json", "--profile", "dora")
		require.Equal(t, exitOK, code, errs)
		return decode[review.Request](t, out)
	}
	host, port, _ := strings.Cut(b.pg, ":")
	conn := fmt.Sprintf("host=%s port=%s user=dora+shop password=secret sslmode=require", host, port)
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	psql := func(statement string) (string, error) {
		text, err := exec.CommandContext(ctx, "psql", "-X", "-A", "-t", "-c", statement, conn).CombinedOutput()
		return string(text), err
	}

	// The rule grants by itself what is short and only reads.
	out := as("dora", exitOK, "request", "shop", "--for", "5m", "--ops", "read", "--reason", "INC-1")
	require.Contains(t, out, "is approved until")
	require.Equal(t, "rule shop-writers", show(id(out)).DecidedBy)
	text, err := psql("SELECT text FROM notes")
	require.NoError(t, err, text)
	as("dora", exitOK, "requests", "cancel", id(out))

	// She changes what she asks for: what is wider is approved anew, what is narrower is not.
	request := id(as("dora", exitOK, "request", "shop", "--for", "1h", "--ops", "read", "--reason", "note"))
	again := as("dora", exitOK, "request", "shop", "--for", "1h", "--ops", "read", "--reason", "fix a note")
	require.Contains(t, again, request+" is pending")
	require.Contains(t, again, "it was there already, and approvers read the reason fix a note")
	require.Equal(t, "fix a note", show(request).Access.Reason)
	as("olga", exitOK, "approve", request)
	require.Contains(t, as("dora", exitUsage, "request", "shop", "--for", "1h", "--ops", "read", "--reason", "drop it"), "was approved by some for another reason")
	require.Equal(t, "fix a note", show(request).Access.Reason)
	require.Contains(t, as("dora", exitUsage, "requests", "edit", request), "with one of --for, --ops, --start and --reason")
	require.Contains(t, as("dora", exitUsage, "requests", "edit", request, "--for", "9h"), "at most 8h")
	as("otto", exitNotFound, "requests", "edit", request, "--for", "30m")
	require.Contains(t, as("dora", exitOK, "requests", "edit", request, "--for", "30m"), "an approval of 2 of ops")
	require.Len(t, show(request).Access.Votes, 1)
	as("dora", exitOK, "requests", "edit", request, "--ops", "write", "--for", "2h")
	require.Empty(t, show(request).Access.Votes)

	// An approver proposes something else, which she accepts.
	require.Contains(t, as("otto", exitUsage, "requests", "propose", request, "--ops", "read,write"), "--reason WHY")
	as("dora", exitPolicy, "requests", "propose", request, "--for", "3h", "--reason", "x")
	require.Contains(t, as("dora", exitNotFound, "requests", "accept", request), "nothing is proposed")
	require.Contains(t, as("otto", exitOK, "requests", "propose", request, "--ops", "read,write", "--for", "1h", "--reason", "an UPDATE reads, too"),
		"otto proposes connect, read, write for 1h0m0s, which counts when it is accepted: sallyport requests accept "+request)
	as("olga", exitNotFound, "requests", "accept", request)
	as("dora", exitOK, "requests", "accept", request)
	as("otto", exitOK, "approve", request)
	require.Contains(t, as("olga", exitOK, "approve", request), "is approved until")
	first := show(request)
	require.Equal(t, []string{"connect", "read", "write"}, first.Access.Grant.Actions)
	require.Equal(t, 4, first.Access.Revision)

	// More time, in a session that is open.
	db, err := pgconn.Connect(ctx, conn)
	require.NoError(t, err)
	defer db.Close(context.Background())
	require.Contains(t, as("dora", exitUsage, "request", "shop", "--extend", request, "--reason", "INC-2"), "request --reason WHY --extend ID")
	more := id(as("dora", exitOK, "request", "--extend", request, "--for", "30m", "--reason", "INC-2"))
	as("otto", exitNotFound, "request", "--extend", request, "--reason", "x")
	as("olga", exitOK, "approve", more)
	as("otto", exitOK, "approve", more)
	require.Equal(t, first.Access.Grant.Until.Add(30*time.Minute), show(more).Access.Grant.Until)
	_, err = db.Exec(ctx, "UPDATE notes SET text = 'bye' WHERE text = 'hello'").ReadAll()
	require.NoError(t, err)
	as("otto", exitOK, "requests", "revoke", request, "--reason", "enough")
	require.Eventually(t, func() bool {
		_, err := db.Exec(ctx, "SELECT 1").ReadAll()
		return err != nil
	}, 10*time.Second, 20*time.Millisecond, "what was extended is taken back, and so is the extension")
	require.Eventually(t, func() bool { return show(more).State == review.Revoked }, 10*time.Second, 50*time.Millisecond)

	code, log, errs := sallyport(t, "", "report", "-c", b.file)
	require.Equal(t, exitOK, code, errs)
	for _, event := range []string{"edited " + request, "proposed " + request, "approved " + more, "revoked " + more} {
		require.Contains(t, log, event)
	}
}

// TestApproveRows: an approver bounds the rows of what she grants by the command line; psql is told when they are used up, the signed grant
// says how many there were, and the record is proven. Where nobody counts rows, no bound is granted.
func TestApproveRows(t *testing.T) {
	needs(t, "psql")
	b := openTestbed(t, "CREATE TABLE notes (text text); INSERT INTO notes SELECT 'hello' FROM generate_series(1, 10)")
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	p := b.serve(t, fmt.Sprintf(`identity:
  users:
    - {name: dora, groups: [dev], password: %[1]q}
    - {name: olga, groups: [ops], password: %[1]q}
access:
  - {name: readers, groups: [dev], allow: [connect, read, exec], request: {approvers: [ops]}}
`, verifier))
	b.logIn(t, "olga", "dora")
	as := func(who string, want int, args ...string) string {
		t.Helper()
		code, out, errs := sallyport(t, "", append(args, "--profile", who)...)
		require.Equal(t, want, code, errs+out)
		return out + errs
	}
	asks := func(resource string) string {
		t.Helper()
		m := regexp.MustCompile(`request ([a-z0-9]{10})`).FindStringSubmatch(as("dora", exitOK, "request", resource, "--reason", "INC-1"))
		require.NotNil(t, m)
		return m[1]
	}
	machine := asks("vm1")
	require.Contains(t, as("olga", exitUsage, "approve", machine, "--rows", "5"), "nobody counts rows at vm1")
	id := asks("shop")
	require.Contains(t, as("olga", exitUsage, "approve", id, "--rows", "0"), "want at least 1, or deny it")
	require.Contains(t, as("olga", exitOK, "approve", id, "--rows", "12"), ", for at most 12 rows")
	require.Contains(t, as("dora", exitOK, "requests", "show", id), "rows        at most 12 rows, returned or changed, in all sessions together")
	host, port, _ := strings.Cut(b.pg, ":")
	psql := func() string {
		text, _ := exec.CommandContext(t.Context(), "psql", "-X", "-A", "-t", "-c", "SELECT text FROM notes", fmt.Sprintf("host=%s port=%s user=dora+shop password=secret sslmode=require", host, port)).CombinedOutput()
		return string(text)
	}
	require.Equal(t, 10, strings.Count(psql(), "hello\n"))
	require.Contains(t, psql(), "request "+id+" has granted you 12 rows, and they are used up (rule readers)")

	grant := filepath.Join(t.TempDir(), "grant")
	code, out, errs := sallyport(t, "", "requests", "show", "--grant", id, "--profile", "olga")
	require.Equal(t, exitOK, code, errs)
	require.NoError(t, os.WriteFile(grant, []byte(out), 0o600))
	p.stop(t)
	key := filepath.Join(b.dir, "data", "audit", "log", "key.pub")
	code, out, errs = sallyport(t, "", "verify", "--key", key, grant)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "rows        at most 12, returned or changed\n")
	code, out, errs = sallyport(t, "", "verify", "--key", key, filepath.Join(b.dir, "data", "audit"))
	require.Equal(t, exitOK, code, out+errs)
}
