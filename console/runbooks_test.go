package console_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/browsertest"
)

const bookOf = `apiVersion: sallyport/v1
kind: Runbook
metadata: {name: rename, title: "Rename a person %[1]s", help: "What it is for %[2]s", owner: "team:people", risk: high, labels: {svc: people}}
targets: {db: {types: [postgres]}, vm: {types: [ssh]}}
params:
  id: {type: integer, min: 1, required: true, help: Number of the person}
  note: {type: string, max: 200, title: Why, values_from: {on: db, sql: "select name, ssn from people where id <= 3 order by id"}}
  mode: {type: enum, values: [quick, "%[3]s"], default: quick}
  loud: {type: boolean}
  more: {type: multi, values: [one, two]}
  until: {type: date}
  out: {type: string, required: true}
  token: {type: secret, generate: 20}
review: {from: [ops]}
limits: {affected_rows: 1}
outputs: {steps: [look, tell]}
steps:
  - {id: look, on: db, sql: {text: "select id, name, ssn from people where id = $id", rows: 1}}
  - {id: rename, on: db, sql: {text: "update people set name = $note where id = $id"}}
  - {id: tell, on: vm, exec: {script: books/tell.sh, argv: [$out], stdin: $token}}
`

// library is a workshop with runbooks: rename, which others approve; slow; and one that cannot be read.
func library(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "books"), 0o700))
	quote := func(s string) string { return strings.Trim(strconv.Quote(s), `"`) }
	for name, text := range map[string]string{
		"books/rename.yaml": fmt.Sprintf(bookOf, quote(hostile[0]), quote(hostile[1]), quote(hostile[4])),
		"books/tell.sh":     "cat\nprintf 'told a\\342\\200\\256gnp <img src=x onerror=window.pwned=1>\\n'\nwhile [ ! -e \"$1\" ]; do sleep 0.05; done\necho at last\n",
		"slow.yaml":         "apiVersion: sallyport/v1\nkind: Runbook\nmetadata: {name: slow}\ntargets: {db: {types: [postgres]}}\nsteps:\n  - {id: wait, sql: {text: \"select pg_sleep(60)\"}}\n",
		"broken.yaml":       "apiVersion: sallyport/v1\nkind: Runbook\nmetadata: {name: broken}\nsteps:\n  - {id: x, sql: {text: \"select '$name'\"}}\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	h := workshop(t, fmt.Sprintf("runbooks: [{name: main, url: %q, every: 5s}]", dir))
	alice := h.as(t, "alice")
	require.Eventually(t, func() bool {
		var list struct{ Runbooks []struct{ Name string } }
		alice.ask("GET", "/v1/runbooks", nil, &list)
		return len(list.Runbooks) == 3
	}, 30*time.Second, 20*time.Millisecond)
	return h
}

// runAt waits for the page of a run, which one goes to by itself, and returns its identifier.
func runAt(b *browsertest.Browser) string {
	b.Until("the page of a run", `/\/runs\/[a-z0-9]+$/.test(location.pathname)`)
	return browsertest.Eval[string](b, `location.pathname.split("/").pop()`)
}

// TestRunbookInBrowser: somebody finds a runbook, gives its values and sees the plan; nothing else than the plan runs. Another one
// approves it on the run's page, which shows what runs and what it prints while it runs. What a file, a person and a machine write is
// text, and no secret is shown.
func TestRunbookInBrowser(t *testing.T) {
	h := library(t)
	name := func() string {
		got, err := h.psql(t, "alice", "shop").Exec(t.Context(), "select name from people where id = 7").ReadAll()
		require.NoError(t, err)
		return string(got[0].Rows[0][0])
	}
	alice, olga := h.browser(t, "alice"), h.browser(t, "olga")
	out := filepath.Join(t.TempDir(), "go-on")

	alice.Press("gb")
	alice.Has("heading", "Runbooks")
	alice.Has("link", "slow")
	alice.Sees("cannot be run")
	alice.Sees("a literal holds a value") // why
	look(alice, "runbooks")
	alice.Eval(`(() => { const s = document.querySelector("[aria-label=Folder]"); s.value = "main/books"; s.dispatchEvent(new Event("change", {bubbles: true})); return true; })()`)
	alice.SeesNot("slow")
	alice.Go(h.url + "/runbooks?q=svc%3Dpeople")
	alice.Has("link", "rename")
	alice.SeesNot("slow")
	alice.Press("jo")
	alice.Has("heading", "Rename a person "+hostile[0])
	alice.Sees(hostile[1])
	alice.Until("no field for the secret", `!document.getElementById("p-token")`)
	look(alice, "runbook")

	_, err := h.psql(t, "alice", "shop").Exec(t.Context(), "update people set name = '<b onclick=window.pwned=1>' where id = 3").ReadAll()
	require.NoError(t, err)
	alice.Click("field", "Why (note), optional")
	alice.Until("the values of the query, masked", `[...document.querySelectorAll("#p-note-list option")].map((o) => o.value + "=" + o.textContent).join() === "Person 1=<hidden>,Person 2=<hidden>,<b onclick=window.pwned=1>=<hidden>"`)
	ready := `!document.querySelector("form button[type=submit]").disabled`
	alice.Fill("id", "seven")
	alice.Fill("out", out)
	alice.Sees("It is not a whole number")
	alice.Until("that it is not sent", "!("+ready+")")
	alice.Fill("id", "0")
	alice.Fill("Why (note), optional", hostile[2]+hostile[0])
	alice.Sees("It is less than 1")
	alice.Fill("id", "7")
	alice.Press("\r")
	alice.Has("button", "Ask for approval and run")
	alice.Sees("somebody of ops approves it first")
	alice.Sees("update people set name = $1 where id = $2")
	alice.Sees("may change something")
	require.Equal(t, "Plan", browsertest.Eval[string](alice, "document.activeElement.textContent"), "the keyboard is where the plan is")
	look(alice, "plan")
	alice.Fill("id", "9999999")
	alice.SeesNot("Ask for approval and run") // what was shown is another one
	alice.Press("\r")
	alice.Click("button", "Dry run")
	runAt(alice)
	alice.Sees("got 0 rows, want 1")

	alice.Click("link", "Run it again")
	alice.Has("any", "dry run")
	alice.Fill("id", "7")
	alice.Fill("out", out)
	alice.Fill("Why (note), optional", hostile[0])
	alice.Press("\r")
	alice.Has("button", "Dry run")
	for range 10 { // by the keyboard alone
		alice.Press("\t")
		if strings.TrimSpace(browsertest.Eval[string](alice, "document.activeElement.textContent")) == "Ask for approval and run" {
			break
		}
	}
	alice.Press("\r")
	id := runAt(alice)
	alice.Sees("waiting")
	alice.Sees("What exactly")
	alice.Sees("note = \"" + hostile[0])
	alice.SeesNot("Your decision")
	look(alice, "run-waits")

	olga.Go(h.url + "/runs/" + id)
	olga.Sees("Your decision")
	olga.Sees("note = \"" + hostile[0])
	look(olga, "run-decide")
	olga.Press("a")
	alice.Sees("told a⟨U+202E⟩gnp <img src=x") // while it runs
	alice.Sees("running")
	alice.Sees("<hidden>")
	require.Equal(t, hostile[0], name())
	look(alice, "run")
	require.NoError(t, os.WriteFile(out, nil, 0o600))
	alice.Sees("at last")
	alice.Sees("status 0")
	alice.Sees("Approved")
	alice.Sees("<secret>")
	alice.Has("link", "Run it again")
	require.NotContains(t, browsertest.Eval[string](alice, "document.body.innerText"), "unknown")
	olga.Has("link", "Run it again")

	// One that is denied, where it is looked at.
	alice.Click("link", "Run it again")
	alice.Fill("id", "8")
	alice.Fill("out", out)
	alice.Press("\r")
	alice.Click("button", "Ask for approval and run")
	id = runAt(alice)
	alice.Sees("waiting")
	// A key counts from the moment that what it is for can be seen.
	olga.Eval(`(() => {
		new MutationObserver((_, o) => {
			if (!document.querySelector("[aria-label=Decide]")) return;
			o.disconnect();
			document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "d", bubbles: true}));
		}).observe(document.body, {childList: true, subtree: true});
		history.pushState(null, "", "` + h.url + "/runs/" + id + `");
		dispatchEvent(new PopStateEvent("popstate"));
		return true;
	})()`)
	olga.Has("field", "Why not")
	olga.Go(h.url + "/runs/" + id)
	olga.Sees("Your decision")
	olga.Press("d")
	olga.Has("field", "Why not")
	olga.Type("not on a friday " + hostile[4])
	olga.Press("\r")
	alice.Sees("refused")
	alice.Sees("not on a friday " + hostile[4])

	// One that is cancelled in the middle of a statement.
	alice.Go(h.url + "/runbooks/main/slow")
	alice.Click("button", "Show the plan")
	alice.Click("button", "Run it")
	runAt(alice)
	alice.Has("link", "session")
	alice.Click("button", "Cancel the run")
	alice.Accessible("cancel the run")
	alice.Press("\r")
	alice.Sees("canceling statement due to user request")
	alice.Sees("cancelled")

	alice.Go(h.url + "/runbooks?view=runs")
	alice.Sees("refused")
	alice.Sees("cancelled")
	look(alice, "runs")
	alice.Go(h.url + "/runs/nothing")
	alice.Has("heading", "No such run")
	alice.Go(h.url + "/runbooks/main/broken")
	alice.Sees("No runbook \"broken\" found in main")
	for _, b := range []*browsertest.Browser{alice, olga} {
		require.False(t, browsertest.Eval[bool](b, "!!window.pwned"))
		require.Empty(t, b.Complaints())
	}
}

// TestNoRunbooks: a gateway without sources says so.
func TestNoRunbooks(t *testing.T) {
	b := open(t, "").browser(t, "alice")
	b.Press("gb")
	b.Sees("The gateway has no sources of runbooks")
	b.Accessible("no runbooks")
}
