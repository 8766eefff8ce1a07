package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/review"
)

const holding = `guardrails:
  - use: off
  - name: watched
    hold: {effects: [delete, drop]}
    approvers: [dev]
    for: 1m
    message: deletes are looked at by another
  - name: brief
    hold: {relations: [brief]}
    approvers: ["*"]
    for: 2s
`

// asker is a psql that runs.
type asker struct {
	*exec.Cmd
	mu   sync.Mutex
	text strings.Builder
}

func (p *asker) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *asker) shown() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// asks starts psql as a user with statements, one after the other.
func (o *office) asks(t *testing.T, user string, statements ...string) *asker {
	t.Helper()
	args := []string{"-X", "-A", "-t", o.conn(user)}
	for _, s := range statements {
		args = append(args, "-c", s)
	}
	p := &asker{Cmd: exec.Command("psql", args...)}
	p.Stdout, p.Stderr = p, p
	require.NoError(t, p.Start())
	t.Cleanup(func() { p.Process.Kill() })
	return p
}

// waiting returns the one request that waits, once there is one.
func (o *office) waiting(t *testing.T) review.Request {
	t.Helper()
	return waitingAt(t, o.config)
}

func waitingAt(t *testing.T, config string) review.Request {
	t.Helper()
	var list []review.Request
	require.Eventually(t, func() bool {
		list = slices.DeleteFunc(decode[listed[review.Request]](t, must(t, "requests", "ls", "-c", config, "-o", "json")).Items, func(r review.Request) bool {
			return r.State != review.Pending // it was approved, and is about to run
		})
		return len(list) == 1
	}, 30*time.Second, 20*time.Millisecond, "nothing is held")
	return list[0]
}

// With the real psql: what is held runs when another has approved, is refused
// when she has denied, and the session goes on.
func TestHeldStatements(t *testing.T) {
	needs(t, "psql")
	o := openOffice(t, holding)
	o.psql(t, "bob", "-c", "CREATE TABLE t (id int)", "-c", "CREATE TABLE brief (id int)", "-c", "INSERT INTO t VALUES (1), (2), (3)")
	decide := func(verb, user, secret string, args ...string) (int, string, string) {
		return sallyport(t, secret+"\n", append([]string{verb, "-c", o.config, "-u", user}, args...)...)
	}

	p := o.asks(t, "bob", "DELETE FROM t WHERE id = 1", "SELECT 'left ' || count(*) FROM t")
	r := o.waiting(t)
	require.Equal(t, "bob", r.Requester)
	require.Equal(t, "DELETE FROM t WHERE id = 1", r.Text)
	require.Eventually(t, func() bool {
		return strings.Contains(p.shown(), "NOTICE:  deletes are looked at by another: request "+r.ID)
	}, 30*time.Second, 10*time.Millisecond, "she is told while it waits")
	require.Contains(t, must(t, "requests", "ls", "-c", o.config), r.ID)
	require.Contains(t, must(t, "requests", "show", "-c", o.config, r.ID), r.Hash)

	// ATTACK 60: not by herself, not by who does not prove it, not unseen.
	code, _, errs := decide("approve", "bob", password, r.ID)
	require.Equal(t, exitPolicy, code, errs)
	require.Contains(t, errs, "you may not decide about your own request")
	code, _, errs = decide("approve", "alice", "wrong", r.ID)
	require.Equal(t, exitNotLoggedIn, code, errs)
	require.NotContains(t, errs, "wrong\n")
	code, _, errs = decide("approve", "alice", password, "--hash", strings.Repeat("0", 64), r.ID)
	require.Equal(t, exitDenied, code, errs)
	code, _, errs = decide("approve", "alice", password, "nothing")
	require.Equal(t, exitNotFound, code, errs)
	require.Equal(t, r.ID, o.waiting(t).ID, "it still waits")

	code, out, errs := decide("approve", "alice", password, r.ID)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, errs, "DELETE FROM t WHERE id = 1", "what is approved is shown")
	require.Contains(t, out, "approved")
	require.NoError(t, p.Wait())
	require.Contains(t, p.shown(), "DELETE 1")
	require.Contains(t, p.shown(), "left 2")
	code, _, errs = decide("deny", "alice", password, "--reason", "after all", r.ID)
	require.Equal(t, exitDenied, code, errs)

	// ATTACK 61: what was approved does not run again, nor does anything like it.
	p = o.asks(t, "bob", "DELETE FROM t WHERE id = 1 OR id = 2", "SELECT 'left ' || count(*) FROM t")
	again := o.waiting(t)
	require.NotEqual(t, r.Hash, again.Hash)
	code, _, errs = decide("approve", "alice", password, "--hash", r.Hash, again.ID)
	require.Equal(t, exitDenied, code, errs)
	code, _, errs = decide("deny", "alice", password, again.ID)
	require.Equal(t, exitUsage, code, errs)
	code, _, errs = decide("deny", "alice", password, "--reason", "not on a friday", again.ID)
	require.Equal(t, exitOK, code, errs)
	p.Wait()
	require.Contains(t, p.shown(), "ERROR:  alice denied request "+again.ID+": not on a friday")
	require.Contains(t, p.shown(), "left 2", "the session goes on")

	// Nobody decides in time.
	out = o.psql(t, "bob", "-v", "VERBOSITY=verbose", "-c", "SELECT * FROM brief", "-c", "SELECT 'goes on'")
	require.Contains(t, out, "ERROR:  42501: nobody decided about request")
	require.Contains(t, out, "goes on")

	// She gives up: Ctrl-C.
	p = o.asks(t, "bob", "DROP TABLE t", "SELECT 'and on'")
	given := o.waiting(t)
	require.Eventually(t, func() bool {
		require.NoError(t, p.Process.Signal(os.Interrupt))
		return len(decode[listed[review.Request]](t, must(t, "requests", "ls", "-c", o.config, "-o", "json")).Items) == 0
	}, 20*time.Second, 200*time.Millisecond)
	p.Wait()
	require.Contains(t, p.shown(), "request "+given.ID+" was given up")

	o.stop(t)
	var record string
	for _, s := range decode[listed[summary]](t, must(t, "sessions", "ls", "-c", o.config, "-o", "json")).Items {
		record += must(t, "sessions", "show", "-c", o.config, "-o", "json", s.ID)
	}
	require.Contains(t, record, r.ID+" by alice", "the statement's record names its approval")
	require.NotContains(t, record, password)
}

// A gateway that is killed loses nothing of what is held: who sends the same again waits on the same request, or uses, once, an
// approval that was given meanwhile.
func TestHeldStatementsOutliveTheGateway(t *testing.T) {
	needs(t, "psql")
	o := openOffice(t, strings.Replace(holding, "for: 1m", "for: 10m", 1))
	o.psql(t, "bob", "-c", "CREATE TABLE t (id int)", "-c", "INSERT INTO t VALUES (1), (2), (3)")
	restart := func() {
		t.Helper()
		require.NoError(t, o.cmd.Process.Kill())
		o.done <- <-o.done
		o.process = start(t, "serve", "-c", o.config)
		o.wait(t, "listening")
	}
	approve := func(id string) {
		t.Helper()
		code, _, errs := sallyport(t, password+"\n", "approve", "-c", o.config, "-u", "alice", id)
		require.Equal(t, exitOK, code, errs)
	}
	const first, second = "DELETE FROM t WHERE id = 1", "DELETE FROM t WHERE id = 2"

	// Killed while it waits, and approved before she is back.
	lost := o.asks(t, "bob", first)
	r := o.waiting(t)
	restart()
	require.Error(t, lost.Wait())
	require.Equal(t, r.ID, o.waiting(t).ID)
	require.Equal(t, "3", o.count(t))
	approve(r.ID)
	restart()
	require.Contains(t, o.psql(t, "bob", "-c", first), "DELETE 1", "approved, it runs at once")
	require.Equal(t, "2", o.count(t))
	require.Contains(t, must(t, "requests", "show", "-c", o.config, r.ID), "used")

	// The approval is used up: the same is held anew, and killed again she waits on it again.
	lost = o.asks(t, "bob", first)
	again := o.waiting(t)
	require.NotEqual(t, r.ID, again.ID)
	restart()
	require.Error(t, lost.Wait())
	back := o.asks(t, "bob", first)
	require.Eventually(t, func() bool { return strings.Contains(back.shown(), again.ID) }, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, again.ID, o.waiting(t).ID)
	approve(again.ID)
	require.NoError(t, back.Wait(), back.shown())

	// An approval is for what was shown, and nothing else.
	lost = o.asks(t, "bob", first)
	other := o.waiting(t)
	restart()
	require.Error(t, lost.Wait())
	approve(other.ID)
	p := o.asks(t, "bob", second)
	require.Eventually(t, func() bool { return strings.Contains(p.shown(), "NOTICE:") }, 20*time.Second, 10*time.Millisecond)
	require.NotContains(t, p.shown(), other.ID)
	require.NoError(t, p.Process.Signal(os.Interrupt))
	require.Error(t, p.Wait())
	require.Equal(t, "2", o.count(t))
	o.stop(t)
	must(t, "verify", filepath.Join(o.dir, "data", "audit"))
}

// TestHeldLocks: what is held in an open transaction keeps nothing locked for longer than its rule says, although the session stays; its
// approval counts when the same is sent again, and for no other arguments.
func TestHeldLocks(t *testing.T) {
	o := openOffice(t, strings.Replace(holding, "    for: 1m\n", "    for: 10m\n    in_transaction: 1s\n", 1))
	o.psql(t, "bob", "-c", "CREATE TABLE t (id int PRIMARY KEY, n int)", "-c", "INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)")
	c, err := pgx.Connect(t.Context(), o.conn("bob"))
	require.NoError(t, err)
	defer c.Close(t.Context())
	const remove = "DELETE FROM t WHERE id = $1"
	deletes := func(id int) error {
		_, err := c.Exec(t.Context(), remove, id)
		return err
	}
	run := func(text string) {
		t.Helper()
		_, err := c.Exec(t.Context(), text)
		require.NoError(t, err)
	}
	run("BEGIN")
	run("UPDATE t SET n = 1 WHERE id = 2")
	err = deletes(1)
	require.ErrorContains(t, err, "nobody decided about request")
	r := o.waiting(t)
	require.ErrorContains(t, err, "within 1s, and it waits no longer while its transaction is open")
	require.Contains(t, must(t, "requests", "show", "-c", o.config, r.ID), "locks       a transaction of hers is open")
	out, err := exec.Command("psql", "-X", "-A", "-t", o.direct, "-c", "SET lock_timeout = '20s'", "-c", "UPDATE t SET n = 2 WHERE id = 2").CombinedOutput()
	require.NoError(t, err, "%s", out)
	run("ROLLBACK")
	code, _, errs := sallyport(t, password+"\n", "approve", "-c", o.config, "-u", "alice", r.ID)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, errs, "locks       a transaction of hers is open")

	run("BEGIN")
	run("UPDATE t SET n = 1 WHERE id = 2")
	require.ErrorContains(t, deletes(3), "within 1s", "other arguments are another request")
	other := o.waiting(t)
	require.NotEqual(t, r.ID, other.ID)
	run("ROLLBACK")
	run("BEGIN")
	run("UPDATE t SET n = 1 WHERE id = 2")
	require.NoError(t, deletes(1), "what was approved runs")
	run("COMMIT")
	require.Equal(t, "2", o.count(t))
	require.Contains(t, must(t, "requests", "show", "-c", o.config, r.ID), "used")
	require.Equal(t, other.ID, o.waiting(t).ID)
}

// count is how many rows the database itself has.
func (o *office) count(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("psql", "-X", "-A", "-t", o.direct, "-c", "SELECT count(*) FROM t").CombinedOutput()
	require.NoError(t, err, string(out))
	return strings.TrimSpace(string(out))
}

// Approvers read what is held without the values that are masked for them, and what is not masked as it is; where the rules let them
// they have those shown, which is on record.
func TestHeldValuesAreMasked(t *testing.T) {
	needs(t, "psql")
	o := openOffice(t, strings.Replace(holding, "    for: 1m\n", "    for: 1m\n    reveal: true\n", 1)+`  - name: strict
    hold: {effects: [update]}
    approvers: [dev]
`)
	o.psql(t, "bob", "-c", "CREATE TABLE customers (id int, email text, card text, note text, jordan int)",
		"-c", "INSERT INTO customers VALUES (1, 'carla@example.org', '4111 1111 1111 1111', 'x', 1), (2, 'otto@example.org', '', 'y', 2)")
	as := func(verb ...string) (int, string, string) {
		return sallyport(t, password+"\n", append(verb, "-c", o.config, "-u", "alice")...)
	}

	const text = "DELETE FROM customers WHERE email = 'carla@example.org' AND jordan = 1 AND note = 'x'"
	p := o.asks(t, "bob", text)
	r := o.waiting(t)
	require.Equal(t, "DELETE FROM customers WHERE email = '[EMAIL_ADDRESS]' AND jordan = 1 AND note = 'x'", r.Text)
	require.Equal(t, []string{"EMAIL_ADDRESS"}, r.Hidden)
	for _, args := range [][]string{{"requests", "ls", "-o", "json"}, {"requests", "ls", "-o", "wide"}, {"requests", "show", r.ID}} {
		require.NotContains(t, must(t, append(args, "-c", o.config)...), "carla")
	}
	code, out, errs := sallyport(t, password+"\n", "requests", "reveal", "-c", o.config, "-u", "bob", r.ID)
	require.Equal(t, exitPolicy, code, errs)
	require.NotContains(t, out+errs, "carla")
	code, out, errs = as("requests", "reveal", "--reason", "which one", r.ID)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, text)
	code, _, errs = as("approve", r.ID)
	require.Equal(t, exitOK, code, errs)
	require.NotContains(t, errs, "carla")
	require.NoError(t, p.Wait())
	require.Contains(t, p.shown(), "DELETE 1", "it runs as it is")

	// Bound values, too, and no rule reveals them.
	c, err := pgx.Connect(t.Context(), o.conn("bob"))
	require.NoError(t, err)
	defer c.Close(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.Exec(t.Context(), "UPDATE customers SET note = $1, card = $2 WHERE id = $3", "a note", "4111 1111 1111 1111", 2)
		done <- err
	}()
	r = o.waiting(t)
	require.Equal(t, "UPDATE customers SET note = $1, card = $2 WHERE id = $3", r.Text)
	require.Equal(t, `"a note"`, r.Arguments[0])
	require.Equal(t, `"[CREDIT_CARD]"`, r.Arguments[1])
	code, out, errs = as("requests", "reveal", r.ID)
	require.Equal(t, exitPolicy, code, errs)
	require.NotContains(t, out+errs, "4111")
	code, _, errs = as("deny", "--reason", "no", r.ID)
	require.Equal(t, exitOK, code, errs)
	require.Error(t, <-done)

	// What nothing is masked of is shown as it is.
	p = o.asks(t, "bob", "DELETE FROM customers WHERE id = 2 -- by ticket 4711")
	r = o.waiting(t)
	require.Equal(t, "DELETE FROM customers WHERE id = 2 -- by ticket 4711", r.Text)
	require.Empty(t, r.Hidden)
	code, _, errs = as("requests", "reveal", r.ID)
	require.Equal(t, exitUsage, code, errs)
	require.Contains(t, errs, "nothing is hidden")
	require.NoError(t, p.Process.Signal(os.Interrupt))
	require.Error(t, p.Wait())
	o.stop(t)
	own := recordOf(t, o.config)
	require.Equal(t, 1, strings.Count(own, "review.revealed"))
}

const holdingChanges = `guardrails:
  - use: off
  - name: changes
    hold: {effects: [update, delete]}
    approvers: [dev]
    for: 1m
  - name: copies
    hold: {effects: [insert], relations: [copies]}
    approvers: [dev]
    for: 1m
masking:
  - {columns: [people.nick, copies.nick]}
`

// With the real psql: who approves sees what would change, masked, and exactly that runs.
func TestHeldImpact(t *testing.T) {
	needs(t, "psql")
	o := openOffice(t, holdingChanges)
	o.psql(t, "bob", "-c", "CREATE TABLE people (id int PRIMARY KEY, email text, status text, nick text DEFAULT 'none', seen timestamptz, total int GENERATED ALWAYS AS (id * 2) STORED)",
		"-c", "INSERT INTO people SELECT i, 'person' || i || '@example.com', CASE WHEN i <= 3 THEN 'open' ELSE 'closed' END FROM generate_series(1, 5) AS i")
	const update = "UPDATE people SET status = 'done', email = 'done-' || email, nick = 'Blackbird', seen = clock_timestamp() WHERE status = 'open'"
	approve := func(r review.Request) string {
		code, _, errs := sallyport(t, password+"\n", "approve", "-c", o.config, "-u", "alice", r.ID)
		require.Equal(t, exitOK, code, errs)
		return errs
	}
	p := o.asks(t, "bob", update, "SELECT 'now ' || count(*) FROM people WHERE status = 'done'")
	shown := approve(o.waiting(t))
	require.Contains(t, shown, "would change 3 rows of public.people\n")
	require.Contains(t, shown, "it runs if these rows are the same then")
	require.Contains(t, shown, `status "open" -> "done"`)
	require.Contains(t, shown, "row 3")
	require.NotContains(t, shown, "person1", "addresses are masked")
	require.NotContains(t, shown, "none", "a column that is masked")
	require.NotContains(t, shown, "Blackbird", "and what it becomes")
	require.Contains(t, shown, `seen NULL -> ?`)
	require.Contains(t, shown, `total "2" -> ?`)
	require.NoError(t, p.Wait())
	require.Contains(t, p.shown(), "UPDATE 3")
	require.Contains(t, p.shown(), "now 3")

	// A fourth row comes in between, from another session.
	p = o.asks(t, "bob", "DELETE FROM people WHERE status = 'done'", "SELECT 'left ' || count(*) FROM people")
	r := o.waiting(t)
	require.Contains(t, must(t, "requests", "show", "-c", o.config, r.ID), "would delete 3 rows of public.people\n")
	o.psql(t, "bob", "-c", "INSERT INTO people VALUES (6, 'six', 'done')")
	approve(r)
	p.Wait()
	require.Contains(t, p.shown(), "ERROR:  the rows differ from those that were approved: 4 rows, 3 were approved")
	require.Contains(t, p.shown(), "HINT:  Nothing was changed. Send it again to have it looked at again.")
	require.Contains(t, p.shown(), "left 6", "nothing was changed, and the session goes on")

	// She sends it again.
	p = o.asks(t, "bob", "DELETE FROM people WHERE status = 'done'")
	require.Contains(t, approve(o.waiting(t)), "would delete 4 rows of public.people\n")
	require.NoError(t, p.Wait())
	require.Contains(t, p.shown(), "DELETE 4")

	// What is copied is hidden as where it comes from, and as where it goes.
	o.psql(t, "bob", "-c", "CREATE TABLE copies (number int, called text, nick text)")
	p = o.asks(t, "bob", "INSERT INTO copies SELECT id, nick, 'Nightingale' || id FROM people")
	shown = approve(o.waiting(t))
	require.Contains(t, shown, "would insert 2 rows into public.copies\n")
	require.Contains(t, shown, `number -> "4"`)
	require.NotContains(t, shown, "none")
	require.NotContains(t, shown, "Nightingale")
	require.NoError(t, p.Wait())
	require.Contains(t, p.shown(), "INSERT 0 2")

	// The same driver's extended protocol, and other arguments are another request.
	c, err := pgx.Connect(t.Context(), o.conn("bob"))
	require.NoError(t, err)
	defer c.Close(t.Context())
	done := make(chan error, 1)
	go func() {
		tag, err := c.Exec(t.Context(), "UPDATE people SET status = $1 WHERE id = $2", "again", 4)
		if err == nil && tag.RowsAffected() != 1 {
			err = fmt.Errorf("got %s", tag)
		}
		done <- err
	}()
	require.Contains(t, approve(o.waiting(t)), "would change 1 row of public.people\n")
	require.NoError(t, <-done)

	o.stop(t)
	var record string
	for _, s := range decode[listed[summary]](t, must(t, "sessions", "ls", "-c", o.config, "-o", "json")).Items {
		record += must(t, "sessions", "show", "-c", o.config, "-o", "json", s.ID)
	}
	require.Contains(t, record, "42501", "what was not run is on record as failed")
}
