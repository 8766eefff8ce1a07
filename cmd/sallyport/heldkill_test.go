package main

import (
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/review"
)

// killed kills the gateway, as kill -9 does, and starts it again.
func (o *office) killed(t *testing.T) {
	t.Helper()
	require.NoError(t, o.cmd.Process.Kill())
	o.again(t)
}

// again starts the gateway once it has ended.
func (o *office) again(t *testing.T) {
	t.Helper()
	o.done <- <-o.done
	o.process = start(t, "serve", "-c", o.config)
	o.wait(t, "listening")
}

// shows is a request as approvers have it.
func (o *office) shows(t *testing.T, id string) review.Request {
	t.Helper()
	return decode[review.Request](t, must(t, "requests", "show", "-c", o.config, "-o", "json", id))
}

const holdingCounts = `guardrails:
  - use: off
  - {name: counts, hold: {effects: [update]}, approvers: [dev], for: 5m}
`

// TestKilledAsItRuns: the gateway is killed while PostgreSQL runs what was approved. The statement runs once, at most; the request is marked
// as one of which nobody knows whether it has run, on record; and who sends the same again is told so, and needs another approval.
func TestKilledAsItRuns(t *testing.T) {
	needs(t, "psql")
	o := openOffice(t, holdingCounts)
	o.psql(t, "bob", "-c", "CREATE TABLE counts (n int); INSERT INTO counts VALUES (0)")
	direct, err := pgx.Connect(t.Context(), o.direct)
	require.NoError(t, err)
	defer direct.Close(t.Context())
	_, err = direct.Exec(t.Context(), "SELECT pg_advisory_lock(4711)")
	require.NoError(t, err)
	count := func() (n int) {
		t.Helper()
		require.NoError(t, direct.QueryRow(t.Context(), "SELECT n FROM counts").Scan(&n))
		return n
	}
	busy := func() (n int) {
		t.Helper()
		require.NoError(t, direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'UPDATE counts%' AND state = 'active'").Scan(&n))
		return n
	}
	const update = "UPDATE counts SET n = n + 1 WHERE pg_advisory_xact_lock(4711) IS NOT NULL"
	approve := func(id string) string {
		t.Helper()
		code, _, errs := sallyport(t, password+"\n", "approve", "-c", o.config, "-u", "alice", id)
		require.Equal(t, exitOK, code, errs)
		return errs
	}
	first := o.asks(t, "bob", update)
	id := o.waiting(t).ID
	approve(id)
	require.Eventually(t, func() bool { return busy() == 1 }, 30*time.Second, 10*time.Millisecond, "it runs")
	o.killed(t)
	require.Error(t, first.Wait())
	r := o.shows(t, id)
	require.Equal(t, review.Unknown, r.State)
	require.NotNil(t, r.Use)

	again := o.asks(t, "bob", update)
	other := o.waiting(t)
	require.NotEqual(t, id, other.ID, "the approval was used")
	require.Equal(t, id, other.After)
	require.Eventually(t, func() bool {
		return strings.Contains(again.shown(), "request "+id+" for the same was approved, and the gateway stopped as it ran: look whether it has changed anything before it runs again")
	}, 10*time.Second, 10*time.Millisecond, again.shown())
	_, err = direct.Exec(t.Context(), "SELECT pg_advisory_unlock(4711)")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return busy() == 0 }, 30*time.Second, 10*time.Millisecond)
	require.LessOrEqual(t, count(), 1, "it has run, or not, and once")
	ran := count()
	require.Contains(t, approve(other.ID), "it may have run already: request "+id+" for the same was approved", "who approves it sees that")
	require.NoError(t, again.Wait(), again.shown())
	require.Equal(t, ran+1, count())

	// What has run as it should since is not in doubt.
	third := o.asks(t, "bob", update)
	last := o.waiting(t)
	require.Empty(t, last.After)
	third.Process.Kill()
	third.Wait()
	require.Eventually(t, func() bool { return o.shows(t, last.ID).State != review.Pending }, 30*time.Second, 50*time.Millisecond)
	require.Contains(t, must(t, "requests", "ls", "-c", o.config, "--past"), "unknown")
	o.killed(t) // the mark stays, and is not made again
	require.Equal(t, review.Unknown, o.shows(t, id).State)
	require.Equal(t, review.Used, o.shows(t, other.ID).State, "what has ended is known to have")
	o.stop(t)
	require.Equal(t, 1, strings.Count(recordOf(t, o.config), `"review.unknown"`))
	code, out, errs := sallyport(t, "", "report", "-c", o.config)
	require.Equal(t, exitOK, code, errs+out)
}

// recorded is how much the gateway has written to its record.
func (o *office) recorded() (size int64) {
	_ = filepath.WalkDir(filepath.Join(o.dir, "data", "audit"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if i, err := d.Info(); err == nil {
			size += i.Size()
		}
		return nil
	})
	return size
}

// TestKilledOnceApproved: whenever the gateway is killed after somebody has approved, what was approved runs once at most. When the request
// is still good, sending the same uses it; otherwise it needs another approval.
func TestKilledOnceApproved(t *testing.T) {
	needs(t, "psql")
	o := openOffice(t, holdingCounts)
	o.psql(t, "bob", "-c", "CREATE TABLE counts (n int); INSERT INTO counts VALUES (0)")
	count := func() string {
		out, err := exec.Command("psql", "-X", "-A", "-t", "-c", "SELECT n FROM counts", o.direct).CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	want := 0
	const rounds = 8
	for round := range rounds {
		update := fmt.Sprintf("UPDATE counts SET n = n + 1 -- %d", round)
		p := o.asks(t, "bob", update)
		r := o.waiting(t)
		gateway, killed, done := o.cmd.Process, make(chan struct{}), make(chan struct{})
		go func() { // at one of the writes to its record that follow from the approval
			defer close(killed)
			written, times := o.recorded(), 0
			for times <= round {
				if now := o.recorded(); now != written {
					written = now
					times++
				}
				select {
				case <-done:
					times = round + 1
				default:
				}
			}
			gateway.Kill()
		}()
		sallyport(t, password+"\n", "approve", "-c", o.config, "-u", "alice", r.ID)
		if round == rounds-1 {
			p.Wait()
		}
		close(done)
		<-killed
		p.Wait()
		o.again(t)
		now, before := o.shows(t, r.ID), count()
		t.Logf("round %d: %s, counted %s", round, now.State, before)
		again := o.asks(t, "bob", update)
		switch now.State {
		case review.Approved:
			require.Equal(t, fmt.Sprint(want), before, "it has not run yet")
			require.NoError(t, again.Wait(), again.shown())
		case review.Pending:
			require.Equal(t, fmt.Sprint(want), before)
			require.Equal(t, r.ID, o.waiting(t).ID, "it waits still")
			sallyport(t, password+"\n", "approve", "-c", o.config, "-u", "alice", r.ID)
			require.NoError(t, again.Wait(), again.shown())
		case review.Used, review.Unknown:
			fresh := o.waiting(t)
			require.NotEqual(t, r.ID, fresh.ID)
			require.Equal(t, now.State == review.Unknown, fresh.After == r.ID)
			require.Contains(t, []string{fmt.Sprint(want), fmt.Sprint(want + 1)}, count(), "not run again by itself")
			again.Process.Kill()
			again.Wait()
			require.Eventually(t, func() bool { return o.shows(t, fresh.ID).State != review.Pending }, 30*time.Second, 50*time.Millisecond)
			if count() == fmt.Sprint(want) {
				continue
			}
		default:
			t.Fatalf("the request is %s", now.State)
		}
		want++
		require.Equal(t, fmt.Sprint(want), count())
	}
}

// TestKilledInEachState: requests in each state, of access and of an operation that is held, are what they were after the gateway was
// killed, and go on from there.
func TestKilledInEachState(t *testing.T) {
	b := openTestbed(t, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	p := b.serve(t, fmt.Sprintf(`identity:
  users:
    - {name: dora, groups: [dev], password: %[1]q}
    - {name: dan, groups: [writers], password: %[1]q}
    - {name: olga, groups: [ops], password: %[1]q}
    - {name: otto, groups: [ops], password: %[1]q}
access:
  - {name: asked, groups: [dev], resources: [shop], allow: [connect, read], request: {approvers: [ops], need: 2, max: 8h}}
  - {name: writers, groups: [writers], resources: [shop], allow: [connect, read, write]}
guardrails: [{use: off}, {name: changes, hold: {effects: [update]}, approvers: [ops], for: 10m}]
`, verifier))
	b.logIn(t, "dan", "olga", "otto", "dora")
	as := func(who string, args ...string) string {
		t.Helper()
		code, out, errs := sallyport(t, "", append(args, "--profile", who)...)
		require.Equal(t, exitOK, code, "%v: %s", args, errs+out)
		return out
	}
	ids := make(map[string]string)
	for i, state := range []string{"pending", "voted", "edited", "proposed", "approved", "denied", "cancelled", "revoked"} {
		m := regexp.MustCompile(`request ([a-z0-9]{10})`).FindStringSubmatch(as("dora", "request", "shop", "--for", fmt.Sprintf("%dm", 30+i), "--reason", state))
		require.NotNil(t, m)
		id := m[1]
		ids[state] = id
		switch state {
		case "voted":
			as("olga", "approve", id)
		case "edited":
			as("dora", "requests", "edit", id, "--for", "2h")
		case "proposed":
			as("olga", "requests", "propose", id, "--for", "3h", "--reason", "longer")
		case "approved", "revoked":
			as("olga", "approve", id)
			as("otto", "approve", id)
			if state == "revoked" {
				as("otto", "requests", "revoke", id, "--reason", "enough")
			}
		case "denied":
			as("olga", "deny", id, "--reason", "no")
		case "cancelled":
			as("dora", "requests", "cancel", id)
		}
	}
	host, port, _ := strings.Cut(b.pg, ":")
	psql := func(who, statement string) *asker {
		t.Helper()
		a := &asker{Cmd: exec.CommandContext(t.Context(), "psql", "-X", "-A", "-t", "-c", statement, fmt.Sprintf("host=%s port=%s user=%s+shop password=secret sslmode=require", host, port, who))}
		a.Stdout, a.Stderr = a, a
		require.NoError(t, a.Start())
		return a
	}
	list := func() []review.Request {
		t.Helper()
		all := decode[listed[review.Request]](t, as("olga", "requests", "ls", "--past", "-o", "json")).Items
		slices.SortFunc(all, func(a, b review.Request) int { return strings.Compare(a.ID, b.ID) })
		return all
	}
	const update = "UPDATE notes SET text = text || '!'"
	held := psql("dan", update)
	require.Eventually(t, func() bool { return len(list()) == len(ids)+1 }, 30*time.Second, 20*time.Millisecond)
	before := list()
	for _, r := range before {
		if r.Access == nil {
			ids["held"] = r.ID
		}
	}

	require.NoError(t, p.cmd.Process.Kill())
	p.done <- <-p.done
	require.Error(t, held.Wait())
	p = start(t, "serve", "-c", b.file)
	p.wait(t, "listening")
	require.Equal(t, before, list(), "nothing is lost, and nothing is added")

	state := func(of string) review.State {
		t.Helper()
		return decode[review.Request](t, as("olga", "requests", "show", ids[of], "-o", "json")).State
	}
	as("otto", "approve", ids["voted"])
	require.Equal(t, review.Approved, state("voted"), "the vote of before counts")
	as("dora", "requests", "accept", ids["proposed"])
	for _, of := range []string{"pending", "edited", "proposed"} {
		as("olga", "approve", ids[of])
		require.Equal(t, review.Pending, state(of))
		as("otto", "approve", ids[of])
		require.Equal(t, review.Approved, state(of), of)
	}
	for _, of := range []string{"denied", "cancelled", "revoked"} {
		require.Equal(t, review.State(of), state(of))
	}
	reads := psql("dora", "SELECT text FROM notes")
	require.NoError(t, reads.Wait(), reads.shown())
	require.Equal(t, "hello\n", reads.shown())
	as("olga", "approve", ids["held"])
	again := psql("dan", update)
	require.NoError(t, again.Wait(), again.shown())
	require.Equal(t, review.Used, state("held"))
	reads = psql("dora", "SELECT text FROM notes")
	require.NoError(t, reads.Wait(), reads.shown())
	require.Equal(t, "hello!\n", reads.shown(), "it has run once")
}
