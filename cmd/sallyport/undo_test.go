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

// undoBed is a gateway at which changes of the shop are held, and can be undone.
type undoBed struct {
	*testbed
	sections string
	process  *process
}

const undoSchema = `
CREATE TABLE customers (id int PRIMARY KEY, name text, email text, qty int NOT NULL DEFAULT 1);
INSERT INTO customers SELECT i, 'customer ' || i, 'c' || i || '@example.com', i FROM generate_series(1, 5) AS i;
CREATE TABLE triggered (id int PRIMARY KEY, v int); INSERT INTO triggered VALUES (1, 1);
CREATE FUNCTION acts() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER t BEFORE UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION acts();`

func openUndoBed(t *testing.T, keep string) *undoBed {
	t.Helper()
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	b := &undoBed{testbed: openTestbed(t, undoSchema), sections: fmt.Sprintf(`identity:
  users:
    - {name: dora, groups: [dev], password: %[1]q}
    - {name: pat, groups: [dev], password: %[1]q}
    - {name: olga, groups: [ops], password: %[1]q}
    - {name: otto, groups: [ops, dev], password: %[1]q}
access:
  - {name: developers, groups: [dev], resources: [shop], allow: [connect, read, write, call]}
guardrails:
  - {name: changes, hold: {effects: [insert, update, delete]}, approvers: [ops], for: 10m, undo: %[2]s, message: changes are looked at by another}
masking:
  - {columns: [customers.email]}
`, verifier, keep)}
	b.process = b.serve(t, b.sections)
	b.logIn(t, "dora", "pat", "olga", "otto")
	return b
}

func (b *undoBed) as(t *testing.T, who string, args ...string) (int, string, string) {
	t.Helper()
	return sallyport(t, "", append(args, "--profile", who)...)
}

// begin runs a command line as somebody in a process of its own, and returns the request that it waits for.
func (b *undoBed) begin(t *testing.T, who string, args ...string) (p *process, request string) {
	t.Helper()
	line := []string{args[0]}
	line = append(append(line, "--profile", who), args[1:]...)
	if args[0] == "sessions" {
		line = append(args, "--profile", who)
	}
	p = start(t, line...)
	return p, p.wait(t, `request ([a-z0-9]{10}) is waiting`)
}

// changes runs a statement as somebody, which olga approves, and returns what she was shown.
func (b *undoBed) changes(t *testing.T, who, text string) (request, session, shown string) {
	t.Helper()
	p, request := b.begin(t, who, "connect", "shop", "--", "-X", "-c", text)
	code, shown, errs := b.as(t, "olga", "requests", "show", request)
	require.Equal(t, exitOK, code, errs)
	code, out, errs := b.as(t, "olga", "requests", "show", request, "-o", "json")
	require.Equal(t, exitOK, code, errs)
	session = regexp.MustCompile(`"session": ?"([0-9a-z]{26})"`).FindStringSubmatch(out)[1]
	code, _, errs = b.as(t, "olga", "approve", request)
	require.Equal(t, exitOK, code, errs)
	p.wait(t, "(INSERT|UPDATE|DELETE)")
	return request, session, shown
}

// undoes undoes something as somebody, which an approver approves.
func (b *undoBed) undoes(t *testing.T, who, approver, id string, flags ...string) (request, shown string, p *process) {
	t.Helper()
	p, request = b.begin(t, who, append([]string{"sessions", "undo", id}, flags...)...)
	code, shown, errs := b.as(t, approver, "requests", "show", request)
	require.Equal(t, exitOK, code, errs)
	code, _, errs = b.as(t, approver, "approve", request)
	require.Equal(t, exitOK, code, errs)
	return request, shown, p
}

func (b *undoBed) rows(t *testing.T, where string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "connect", "shop", "--profile", "pat", "--", "-X", "-At", "-c", "SELECT count(*) FROM customers WHERE "+where)
	cmd.Env = append(os.Environ(), "SALLYPORT_TEST_MAIN=1")
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// TestUndoOfOperations: what an approver has let run is undone by psql's user, after another approval, once; others undo what they may; and
// what nobody may see is in no answer and in no log.
func TestUndoOfOperations(t *testing.T) {
	b := openUndoBed(t, "168h")

	request, session, shown := b.changes(t, "dora", "UPDATE customers SET name = 'renamed' WHERE id <= 2")
	require.Contains(t, shown, "undo        it can be undone for 7 days, after another approval\n")
	require.Equal(t, "2", b.rows(t, "name = 'renamed'"))
	code, out, errs := b.as(t, "dora", "sessions", "undo", session)
	require.Equal(t, exitOK, code, errs)
	require.Regexp(t, request+` .* dora +shop +update 2 public.customers +kept`, out)
	code, out, _ = b.as(t, "pat", "sessions", "undo", session)
	require.Equal(t, exitOK, code)
	require.NotContains(t, out, request, "others do not know of it")
	code, _, errs = b.as(t, "pat", "sessions", "undo", request)
	require.Equal(t, exitNotFound, code, errs)
	code, _, errs = b.as(t, "olga", "sessions", "undo", request)
	require.Equal(t, exitPolicy, code, "who may not connect undoes nothing")
	require.NotContains(t, errs, "renamed")

	// Nobody approves her own undoing, and a denial leaves it as it was.
	p, by := b.begin(t, "dora", "sessions", "undo", request)
	code, _, _ = b.as(t, "dora", "approve", by)
	require.Equal(t, exitPolicy, code)
	code, _, errs = b.as(t, "olga", "deny", by, "--reason", "not today")
	require.Equal(t, exitOK, code, errs)
	p.wait(t, "olga denied request .*not today")
	require.Equal(t, "2", b.rows(t, "name = 'renamed'"))

	by, shown, p = b.undoes(t, "dora", "olga", request)
	require.Contains(t, shown, "would change 2 rows of public.customers")
	require.Contains(t, shown, `name "renamed" -> "customer 1"`)
	require.Contains(t, shown, "this undoes request "+request+" of dora")
	require.Equal(t, by, p.wait(t, `undone: 2 rows, by request (\w+)`))
	require.Equal(t, "0", b.rows(t, "name = 'renamed'"))
	code, _, errs = b.as(t, "dora", "sessions", "undo", request)
	require.Equal(t, exitDenied, code)
	require.Contains(t, errs, "undone already")

	// The undoing is undone.
	_, _, p = b.undoes(t, "dora", "olga", by)
	p.wait(t, "undone: 2 rows")
	require.Equal(t, "2", b.rows(t, "name = 'renamed'"))

	// Rows with a masked column come back as they were, and nobody sees it on the way.
	_, session, shown = b.changes(t, "dora", "DELETE FROM customers WHERE id = 3")
	require.NotContains(t, shown, "c3@example.com")
	b.process.cmd.Process.Kill() // and the gateway may end in between
	<-b.process.done
	b.process.done <- nil
	b.process = start(t, "serve", "-c", b.file)
	b.process.wait(t, "listening")
	require.Equal(t, "0", b.rows(t, "id = 3"))
	_, shown, p = b.undoes(t, "dora", "olga", session, "--last")
	p.wait(t, "undone: 1 rows")
	require.NotContains(t, shown, "c3@example.com", shown)
	require.NotContains(t, p.output(), "@example.com")
	require.Equal(t, "1", b.rows(t, "id = 3 AND name = 'customer 3' AND qty = 3"))

	// A row that has changed since: nothing is undone, and it is said which.
	request, _, _ = b.changes(t, "dora", "INSERT INTO customers VALUES (20, 'new', 'new@example.com'), (21, 'new', 'new@example.com')")
	b.changes(t, "pat", "UPDATE customers SET qty = 7 WHERE id = 21")
	code, _, errs = b.as(t, "dora", "sessions", "undo", request)
	require.Equal(t, exitDenied, code, errs)
	require.Contains(t, errs, `id "21"`)
	require.Contains(t, errs, "nothing is undone: 1 of 2 rows are not what the statement left")
	require.Equal(t, "2", b.rows(t, "name = 'new'"))

	// An approver who may change these rows herself undoes what somebody else did; another approver lets her.
	request, _, _ = b.changes(t, "dora", "UPDATE customers SET qty = 100 WHERE id = 1")
	by, _, p2 := b.undoes(t, "otto", "olga", request)
	require.Equal(t, by, p2.wait(t, `undone: 1 rows, by request (\w+)`))
	require.Equal(t, "0", b.rows(t, "qty = 100"))

	// Where it cannot be promised the approver and the requester are told.
	_, _, shown = b.changes(t, "dora", "UPDATE triggered SET v = 2")
	require.Contains(t, shown, "undo        it cannot be undone: ")
	require.Contains(t, shown, "which rows it changes is not compared when it runs")

	// All of it is on record, and no address is in the gateway's log.
	own := recordOf(t, b.file)
	for _, want := range []string{"review.undo_kept", "review.undo_begun", "review.undo_done", "admin.undo", "by request " + by} {
		require.Contains(t, own, want)
	}
	require.NotContains(t, own, "c3@example.com", "what comes back is in no record")
	require.NotContains(t, b.process.output(), "example.com")
	require.Contains(t, own, "INSERT of 1 row into public.customers, which undoes request ")
	b.process.stop(t)
	code, out, errs = sallyport(t, "", "verify", "-c", b.file, filepath.Join(b.dir, "data", "audit"))
	require.Equal(t, exitOK, code, errs+out)
}

// TestUndoExpires: when the time is over nothing is kept any more.
func TestUndoExpires(t *testing.T) {
	b := openUndoBed(t, "2s")
	request, session, _ := b.changes(t, "dora", "UPDATE customers SET name = 'renamed' WHERE id <= 2")
	require.Eventually(t, func() bool {
		_, out, _ := b.as(t, "dora", "sessions", "undo", session)
		return !strings.Contains(out, request)
	}, 20*time.Second, 50*time.Millisecond)
	code, _, errs := b.as(t, "dora", "sessions", "undo", request)
	require.Equal(t, exitNotFound, code)
	require.Contains(t, errs, "the time is over")
	require.Equal(t, "2", b.rows(t, "name = 'renamed'"))
}
