package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/internal/hostile"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/runbook"
)

// runHouse is a gateway in front of a machine and a database, with runbooks of a folder.
type runHouse struct {
	*house
	books  string
	tokens map[string]string
	sql    func(text string) string // asks the server, past the gateway
}

func openForRuns(t *testing.T, books map[string]string) *runHouse {
	t.Helper()
	return openForRunsAt(t, books, "", "")
}

// openForRunsAt has more resources, guardrails and sections besides. With a book ".git" the folder is a repository of Git, of ada's.
func openForRunsAt(t *testing.T, books map[string]string, resources, guardrails string, sections ...string) *runHouse {
	t.Helper()
	dir := t.TempDir()
	h := &runHouse{books: filepath.Join(dir, "books"), tokens: make(map[string]string)}
	url := "books"
	if _, ok := books[".git"]; ok {
		url = "file://" + h.books
	}
	for name, text := range books {
		if name != ".git" {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(h.books, name)), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(h.books, name), []byte(text), 0o600))
		}
	}
	if url != "books" {
		h.git(t, "init", "-q", "-b", "main")
		h.commit(t)
	}
	machine := startMachine(t, dir, []string{"alice"})
	server, database := testserver.Database(t, `CREATE TABLE orders (id int PRIMARY KEY, total numeric, state text, note text, card text);
		INSERT INTO orders SELECT n, n * 10, 'paid', NULL, '4111-' || n FROM generate_series(1, 20) n; CREATE TABLE seen (n int, value text)`)
	h.sql = func(text string) string {
		out, err := server.Exec(t.Context(), database, text)
		require.NoError(t, err)
		return strings.TrimSpace(out)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "db.password"), []byte(server.Password), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hush"), []byte("s3cr3t-of-run"), 0o600))
	h.house = open(t, dir, fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0", ssh: "127.0.0.1:0", mysql: "127.0.0.1:0", web: "127.0.0.1:0"}
api: {listen: "127.0.0.1:0", url: "https://gw.example.com"}
data_dir: data
identity: {users: [{name: root, groups: [admin], password: %[1]s}, {name: alice, groups: [dev], password: %[1]s}, {name: bob, email: bob@example.com, groups: [dev, leads], password: %[1]s}, {name: carol, email: carol@example.com, groups: [leads], password: %[1]s}, {name: eve, groups: [other], password: %[1]s}]}
resources:
  - {name: vm1, type: ssh, address: %[2]q, username: %[3]s, key: "file:upstream", labels: {env: prod, role: web}, ssh: {host_keys: [%[4]q]}}
  - {name: shop, type: postgres, address: %[5]q, database: %[6]s, username: postgres, password: "file:db.password", labels: {env: prod, app: orders}, tls: {mode: disable}}
%[7]saccess:
  - {name: devs, groups: [dev], allow: [all]}
  - {name: others, groups: [other], allow: [connect, read]}
guardrails:
  - {use: off}
  - {name: no-drop, deny: {effects: [drop]}}
%[8]smasking:
  - {use: off}
  - {name: cards, columns: [orders.card], with: fixed, text: "<card>"}
control: [{groups: [admin], allow: [list, kill, review]}]
audit: {recordings: [{rows: full, terminal: full}]}
runbooks:
  - {name: local, url: %[9]q, every: 5s, secrets: ["file:hush"]}
`, verifier(t), machine.address, machine.user, machine.hostKey, server.Address(), database, resources, guardrails, url)+strings.Join(sections, "\n"))
	require.Eventually(t, func() bool {
		list, err := runbookAPI{h.runbooks}.List(t.Context(), nil)
		return err == nil && len(list) > 0 && list[0].Path != ""
	}, 30*time.Second, 10*time.Millisecond)
	return h
}

func (h *runHouse) as(t *testing.T, user string) string {
	if h.tokens[user] == "" {
		h.tokens[user] = h.signIn(t, user)
	}
	return h.tokens[user]
}

// git runs git in the folder of runbooks.
func (h *runHouse) git(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", h.books, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%v: %s", args, out)
}

func (h *runHouse) commit(t *testing.T) {
	t.Helper()
	h.git(t, "add", "-A")
	h.git(t, "commit", "-q", "-m", "books")
}

// proven has everything in the gateway's audit log proven, as "sallyport verify" does, after the gateway's end.
func (h *runHouse) proven(t *testing.T) audit.Approvals {
	t.Helper()
	require.NoError(t, h.stop())
	dir := filepath.Join(h.parts().config.Data(), "audit")
	key, err := os.ReadFile(filepath.Join(dir, "log", "key.pub"))
	require.NoError(t, err)
	r, err := audit.Verify(dir, strings.TrimSpace(string(key)))
	require.NoError(t, err)
	require.Empty(t, r.Problems)
	require.Empty(t, r.Unproven)
	return r.Approvals
}

// start plans a run, and begins it.
func (h *runHouse) start(t *testing.T, user string, q control.RunRequest) runbook.Run {
	t.Helper()
	q.Source = "local"
	var p control.RunPlan
	require.Equal(t, http.StatusOK, h.ask(t, h.as(t, user), "POST", "/v1/runbooks/plan", q, &p))
	sum, err := p.Plan.Sum() // as a client computes it of what it was sent
	require.NoError(t, err)
	require.Equal(t, p.Plan.Digest, sum, "client and gateway have one digest of a plan")
	if q.Standing == nil {
		require.Equal(t, p.Text, p.Plan.String(), "what is shown is what has the digest")
	}
	if q.Standing != nil {
		require.NotEqual(t, p.Text, p.Plan.String())
		require.Contains(t, p.Text, p.Plan.String(), "an approver sees a plan, too")
	}
	if !q.Dry {
		q.Plan = p.Plan.Digest
	}
	var r runbook.Run
	require.Equal(t, http.StatusAccepted, h.ask(t, h.as(t, user), "POST", "/v1/runs", q, &r))
	require.Equal(t, sum, r.Plan)
	return r
}

// until waits for a run to be as wanted.
func (h *runHouse) until(t *testing.T, user, id string, ok func(r *runbook.Run) bool) (r runbook.Run) {
	t.Helper()
	require.Eventually(t, func() bool {
		r = runbook.Run{}
		return h.ask(t, h.as(t, user), "GET", "/v1/runs/"+id, nil, &r) == http.StatusOK && ok(&r)
	}, 60*time.Second, 10*time.Millisecond, "%s", h.log)
	return r
}

func (h *runHouse) over(t *testing.T, user, id string) runbook.Run {
	t.Helper()
	return h.until(t, user, id, func(r *runbook.Run) bool { return r.State.Over() })
}

// waits waits until a run waits for a further approval.
func (h *runHouse) waits(t *testing.T, user, id string, grants int) {
	t.Helper()
	h.until(t, user, id, func(r *runbook.Run) bool {
		require.False(t, r.State.Over(), r.Message)
		return r.State == runbook.Waiting && strings.Contains(r.Message, "is waiting for approval") && len(r.Grants) == grants
	})
}

func params(given map[string]any) map[string]json.RawMessage {
	out := make(map[string]json.RawMessage)
	for k, v := range given {
		out[k], _ = json.Marshal(v) // of the test
	}
	return out
}

// approve decides about the request that a run waits for.
func (h *runHouse) approve(t *testing.T, user, id string) int {
	t.Helper()
	var all control.Requests
	require.Equal(t, http.StatusOK, h.ask(t, h.as(t, "root"), "GET", "/v1/requests", nil, &all))
	for _, r := range all.Requests {
		if r.State == review.Pending {
			return h.ask(t, h.as(t, user), "POST", "/v1/requests/"+r.ID+"/approve", control.Decision{Hash: r.Hash}, nil)
		}
	}
	return 0
}

const bookHead = "apiVersion: sallyport/v1\nkind: Runbook\nmetadata: {name: %s}\ntargets: {db: {types: [postgres]}, vm: {types: [ssh]}}\n"

func aBook(name, rest string) string { return fmt.Sprintf(bookHead, name) + rest }

var runBooks = map[string]string{
	"refund.yaml": aBook("refund", `
params:
  order: {type: integer, required: true}
  reason: {type: string, max: 200}
review: {need: 2, from: [leads]}
limits: {affected_rows: 1}
outputs: {steps: [look, tell]}
steps:
  - {id: look, on: db, sql: {text: "select id, total, card from orders where id = $order", rows: 1}}
  - {id: pay, on: db, sql: {text: "update orders set state = 'refunded', note = $reason where id = $order and total = $look.total"}}
  - {id: tell, on: vm, when: steps.pay.affected == 1, exec: {argv: [echo, "--", $reason], env: {ORDER: $order}}}
`),
	"wide.yaml": aBook("wide", `
limits: {affected_rows: 3}
steps:
  - {id: a, on: db, sql: {text: "update orders set note = 'wide' where id > 10"}}
`),
	"undo.yaml": aBook("undo", `
limits: {affected_rows: 5}
steps:
  - {id: a, on: db, sql: {text: "update orders set note = 'undone' where id <= 4", affected_rows: 4, dry_run: rollback}}
`),
	"slow.yaml": aBook("slow", `
steps:
  - {id: a, on: db, sql: {text: "update orders set note = 'slow' where id = 1", affected_rows: 1}}
  - {id: b, on: db, sql: {text: "select pg_sleep(60)"}}
  - {id: c, on: db, sql: {text: "update orders set note = 'after' where id = 1", affected_rows: 1}}
`),
	"drop.yaml": aBook("drop", "steps:\n  - {id: a, on: db, sql: {text: drop table orders}}\n"),
	"secret.yaml": aBook("secret", `
params: {token: {type: secret, ref: "file:hush"}}
outputs: {steps: [a]}
steps:
  - {id: a, on: vm, exec: {argv: [cat], stdin: $token}}
`),
	"steal.yaml": aBook("steal", "params: {token: {type: secret, ref: \"file:db.password\"}}\nsteps:\n  - {id: a, on: vm, exec: {argv: [cat], stdin: $token}}\n"),
}

// A run is the requester's: approved by two others, masked for her, bounded, on record, provable.
func TestRunbookRun(t *testing.T) {
	h := openForRuns(t, runBooks)
	var detail control.RunbookDetail
	require.Equal(t, http.StatusOK, h.ask(t, h.as(t, "alice"), "GET", "/v1/runbooks/local/refund", nil, &detail))
	require.Equal(t, map[string][]string{"db": {"shop"}, "vm": {"vm1"}}, detail.Targets)
	q := control.RunRequest{Source: "local", Name: "refund", Params: params(map[string]any{"order": 7, "reason": "it's $(id) broken"})}
	require.Equal(t, http.StatusConflict, h.ask(t, h.as(t, "alice"), "POST", "/v1/runs", q, nil), "what writes runs by a plan that was seen")

	// A dry run changes nothing, and needs nobody.
	q.Dry = true
	dry := h.start(t, "alice", q)
	dry = h.over(t, "alice", dry.ID)
	require.Equal(t, runbook.Done, dry.State, dry.Message)
	require.Contains(t, fmt.Sprint(dry.Steps[1].Kept), "Update on orders", "what the server would do")
	require.Equal(t, "paid", h.sql("select state from orders where id = 7"))

	q.Dry = false
	r := h.start(t, "bob", q)
	waiting := func(n int) func(r *runbook.Run) bool {
		return func(r *runbook.Run) bool {
			return r.State == runbook.Waiting && strings.Contains(r.Message, "request") && len(r.Grants) == n
		}
	}
	h.until(t, "bob", r.ID, waiting(0))
	require.Equal(t, http.StatusForbidden, h.approve(t, "bob", r.ID), "nobody approves her own")
	require.Equal(t, http.StatusNotFound, h.approve(t, "eve", r.ID))
	require.Equal(t, http.StatusOK, h.approve(t, "carol", r.ID))
	r = h.over2(t, "bob", r.ID, waiting(1))
	if !r.State.Over() {
		require.Equal(t, http.StatusNotFound, h.approve(t, "carol", r.ID), "one person is one approval")
		require.Equal(t, http.StatusOK, h.ask(t, h.as(t, "bob"), "POST", "/v1/runs/"+r.ID+"/cancel", struct{}{}, nil))
		require.Equal(t, runbook.Cancelled, h.over(t, "bob", r.ID).State)
	}
	require.Equal(t, "paid", h.sql("select state from orders where id = 7"))

	// Alice asks, and both leads approve.
	r = h.start(t, "alice", q)
	h.until(t, "alice", r.ID, waiting(0))
	require.Equal(t, http.StatusOK, h.approve(t, "carol", r.ID))
	h.until(t, "alice", r.ID, waiting(1))
	require.Equal(t, http.StatusOK, h.approve(t, "bob", r.ID))
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Done, r.State, "%s %v", r.Message, r.Steps)
	require.Equal(t, "refunded|it's $(id) broken", h.sql("select state || '|' || note from orders where id = 7"))
	require.Equal(t, [][]string{{"7", "70", "<card>"}}, r.Steps[0].Kept, "masked as for alice")
	require.Equal(t, "it's $(id) broken\n", strings.TrimPrefix(r.Steps[2].Output, "-- "))
	require.Len(t, r.Grants, 2)

	approvals := h.proven(t)
	require.Equal(t, 3, approvals.Proven, "what carol approved of bob's, and what both approved of alice's")
	require.Zero(t, approvals.Unsigned)
	records := h.records(t)
	var texts []string
	for _, e := range records[r.Session] {
		if e.Kind == "runbook" {
			texts = append(texts, e.Text)
			require.NotEmpty(t, e.Approved, "the grant is with what it let run")
		}
	}
	require.Len(t, texts, 2)
	require.Contains(t, texts[0], "it's $(id) broken")
	require.Contains(t, texts[0], r.Plan)
	var ran []string
	for _, e := range records[r.Steps[1].Session] {
		if e.Kind == "statement" && e.Text != "" {
			ran = append(ran, e.Text)
		}
	}
	require.Contains(t, ran, "update orders set state = 'refunded', note = $1 where id = $2 and total = $3")
}

func (h *runHouse) over2(t *testing.T, user, id string, ok func(r *runbook.Run) bool) runbook.Run {
	t.Helper()
	return h.until(t, user, id, func(r *runbook.Run) bool { return r.State.Over() || ok(r) })
}

// What a run may not do, it does not.
func TestRunIsBounded(t *testing.T) {
	h := openForRuns(t, runBooks)
	r := h.start(t, "alice", control.RunRequest{Name: "wide"})
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Failed, r.State)
	require.Contains(t, r.Message, "it would change 10 rows, and may change 3: it was rolled back")
	require.Equal(t, "0", h.sql("select count(*) from orders where note = 'wide'"))

	r = h.start(t, "alice", control.RunRequest{Name: "undo", Dry: true})
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Done, r.State, r.Message)
	require.EqualValues(t, 4, r.Steps[0].Affected, "it has run")
	require.Equal(t, "0", h.sql("select count(*) from orders where note = 'undone'"), "and was taken back")
	r = h.start(t, "alice", control.RunRequest{Name: "undo"})
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Done, r.State, r.Message)
	require.Equal(t, "4", h.sql("select count(*) from orders where note = 'undone'"))

	r = h.start(t, "alice", control.RunRequest{Name: "drop"})
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Failed, r.State, "the guardrails count")
	require.Contains(t, r.Message, "no-drop")

	r = h.start(t, "eve", control.RunRequest{Name: "wide", Targets: map[string][]string{"db": {"shop"}, "vm": {"vm1"}}})
	r = h.over(t, "eve", r.ID)
	require.Equal(t, runbook.Refused, r.State, "her rule does not let her run runbooks")
	require.Equal(t, http.StatusNotFound, h.ask(t, h.as(t, "alice"), "GET", "/v1/runs/"+r.ID, nil, nil))

	r = h.start(t, "alice", control.RunRequest{Name: "steal"})
	r = h.over(t, "alice", r.ID)
	require.Contains(t, r.Message, "may not use this reference")

	r = h.start(t, "alice", control.RunRequest{Name: "secret"})
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Done, r.State, r.Message)
	require.Equal(t, "<secret>", r.Steps[0].Output)
	require.NotContains(t, h.log.String(), "s3cr3t")
}

// A run is cancelled in the middle of a statement.
func TestRunCancel(t *testing.T) {
	h := openForRuns(t, runBooks)
	r := h.start(t, "alice", control.RunRequest{Name: "slow"})
	require.Eventually(t, func() bool {
		return h.sql("select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'") == "1"
	}, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, http.StatusOK, h.ask(t, h.as(t, "alice"), "POST", "/v1/runs/"+r.ID+"/cancel", struct{}{}, nil))
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Cancelled, r.State, r.Message)
	require.Equal(t, []runbook.State{runbook.Done, runbook.Cancelled, runbook.Pending}, []runbook.State{r.Steps[0].State, r.Steps[1].State, r.Steps[2].State})
	require.Equal(t, "slow", h.sql("select note from orders where id = 1"))
}

// hostileBook takes as many values at once as a batch has.
func hostileBook(batch int) map[string]string {
	var params, sql, words, env, json strings.Builder
	script := `printf '%s\0'`
	for i := range batch {
		fmt.Fprintf(&params, "  s%d: {type: string}\n  t%d: {type: text}\n", i, i)
		fmt.Fprintf(&sql, ", (%d, $t%d)", i, i)
		fmt.Fprintf(&words, ", $s%d", i)
		fmt.Fprintf(&env, ", T%d: $t%d", i, i)
		fmt.Fprintf(&json, ", t%d: $t%d", i, i)
		script += fmt.Sprintf(` "$T%d"`, i)
	}
	return map[string]string{
		"env.sh": script + " >\"$OUT.env\"\n", "words.sh": "printf '%s\\0' \"$@\" >\"$OUT.words\"\n", "in.sh": "cat >\"$OUT.in\"\n",
		"see.yaml": aBook("see", "params:\n  out: {type: string}\n"+params.String()+`
steps:
  - {id: empty, on: db, sql: {text: delete from seen}}
  - {id: keep, on: db, sql: {text: "insert into seen values (-1, 'x')`+sql.String()+`"}}
  - {id: words, on: vm, exec: {script: words.sh, argv: [x`+words.String()+`], env: {OUT: $out}}}
  - {id: env, on: vm, exec: {script: env.sh, env: {OUT: $out`+env.String()+`}}}
  - {id: in, on: vm, exec: {script: in.sh, env: {OUT: $out}, json: {x: x`+json.String()+`}}}
`),
	}
}

// The hostile corpus through SQL, words, variables and input: the target sees exactly the value, or nothing.
func TestRunHostile(t *testing.T) {
	const batch = 40
	h := openForRuns(t, hostileBook(batch))
	api := runbookAPI{h.runbooks}
	alice, err := identities{h.Gateway}.Refresh(t.Context(), &proxy.Identity{Subject: "alice"})
	require.NoError(t, err)
	var lines, texts []string
	for _, v := range hostile.Values() {
		if _, err := (&runbook.Param{Type: "string"}).Value(v); err == nil {
			lines = append(lines, v)
		}
		if _, err := (&runbook.Param{Type: "text"}).Value(v); err == nil {
			texts = append(texts, v)
		}
	}
	t.Logf("of %d values %d go through as lines, and %d as texts", len(hostile.Values()), len(lines), len(texts))
	require.Greater(t, len(lines), 200)
	at := func(list []string, i int) string {
		if i < len(list) {
			return list[i]
		}
		return "x"
	}
	out := filepath.Join(t.TempDir(), "out")
	for from := 0; from < len(texts); from += batch {
		given := map[string]any{"out": out}
		var asLines, asTexts, rows []string
		object := map[string]any{"x": "x"}
		for i := range batch {
			l, x := at(lines, from+i), at(texts, from+i)
			given[fmt.Sprintf("s%d", i)], given[fmt.Sprintf("t%d", i)], object[fmt.Sprintf("t%d", i)] = l, x, x
			asLines, asTexts, rows = append(asLines, l), append(asTexts, x), append(rows, fmt.Sprintf("x%x", x))
		}
		q := control.RunRequest{Source: "local", Name: "see", Params: params(given)}
		plan, err := api.planOf(t.Context(), alice, q)
		require.NoError(t, err)
		r, err := h.runbooks.runner.Start(t.Context(), alice, plan, runbook.Options{})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			r, err = h.runbooks.runner.Get(t.Context(), r.ID)
			return err == nil && r.State.Over()
		}, 2*time.Minute, 5*time.Millisecond)
		require.Equal(t, runbook.Done, r.State, r.Message)
		read := func(step string) string {
			got, err := os.ReadFile(out + "." + step)
			require.NoError(t, err)
			return string(got)
		}
		require.Equal(t, "x\x00"+strings.Join(asLines, "\x00")+"\x00", read("words"))
		require.Equal(t, strings.Join(asTexts, "\x00")+"\x00", read("env"))
		var seen map[string]any
		require.NoError(t, json.Unmarshal([]byte(read("in")), &seen))
		require.Equal(t, object, seen)
		require.Equal(t, rows, strings.Split(h.sql("select 'x' || encode(convert_to(value, 'UTF8'), 'hex') from seen where n >= 0 order by n"), "\n"))
	}
}
