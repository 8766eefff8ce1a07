package console_test

import (
	"fmt"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/browsertest"
	"github.com/sallyport/sallyport/internal/testserver"
)

// workshop is a gateway with a console, before a machine and a database that both answer. Alice works there, olga approves and
// ada watches.
func workshop(t *testing.T, more ...string) *house {
	t.Helper()
	dir := t.TempDir()
	server, database := testserver.Database(t, `CREATE TABLE people (id int PRIMARY KEY, name text, email text, ssn text, notes jsonb);
		INSERT INTO people SELECT i, 'Person ' || i, 'p' || i || '@example.com', (100000000 + i)::text, jsonb_build_object('n', i, 'tags', '["a","b"]'::jsonb) FROM generate_series(1, 3000) i;
		CREATE VIEW adults AS SELECT id, name FROM people; CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, person int REFERENCES people, total numeric(9,2))`)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "db.password"), []byte(server.Password), 0o600))
	hostKey := testserver.KeyPair(t, filepath.Join(dir, "host"))
	machine := testserver.OpenSSH(t, dir, filepath.Join(dir, "host"), testserver.KeyPair(t, filepath.Join(dir, "upstream")))
	me, err := user.Current()
	require.NoError(t, err)
	address := testserver.FreeAddress(t)
	h := &house{url: "https://" + address, database: database}
	verifier, err := identity.NewVerifier("wonder")
	require.NoError(t, err)
	h.serve(t, dir, fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0", ssh: "127.0.0.1:0"}
api: {listen: %[1]q, url: %[2]q, console: true}
data_dir: data
identity: {users: [{name: alice, groups: [dev], password: %[3]s}, {name: olga, groups: [ops], password: %[3]s}, {name: ada, groups: [admins], password: %[3]s}]}
resources:
  - {name: vm1, type: ssh, address: %[4]q, username: %[5]s, key: "file:upstream", labels: {env: prod}, ssh: {host_keys: [%[6]q]}}
  - {name: shop, type: postgres, address: %[7]q, database: %[8]s, username: postgres, password: "file:db.password", tls: {mode: disable}, labels: {env: staging}}
access:
  - {name: devs, groups: [dev], allow: [all]}
guardrails:
  - {use: off}
  - {name: no-drop, deny: {effects: [drop]}, message: tables are not dropped here}
  - {name: no-keys, deny: {paths: [/secrets]}, message: keys stay here}
  - {name: no-rm, deny: {commands: ["rm ..."]}, message: nothing is removed here}
  - {name: ask-delete, hold: {effects: [delete]}, approvers: [ops], for: 5m, message: what is deleted is looked at by another}
masking:
  - {use: off}
  - {name: numbers, columns: [people.ssn], with: fixed, text: "<hidden>"}
  - {name: mails, entities: [EMAIL_ADDRESS], with: fixed, text: "<mail>"}
control: [{groups: [ops], allow: [list, review]}, {groups: [admins], allow: [list, kill, watch, users]}]
audit: {recordings: [{terminal: full}]}
%[9]s`, address, h.url, strconv.Quote(verifier), machine, me.Username, hostKey, server.Address(), database, strings.Join(more, "\n")))
	return h
}

// typeIn types into the terminal. The driver's own keys would count twice there, since it sends a character even where the page has
// taken its key.
func typeIn(b *browsertest.Browser, text string) {
	b.Eval(`(() => {
		const t = document.querySelector(".place textarea");
		t.focus();
		for (const c of ` + strconv.Quote(text) + `) {
			if (c === "\r") t.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", keyCode: 13, bubbles: true, cancelable: true}));
			else t.dispatchEvent(new KeyboardEvent("keypress", {key: c, charCode: c.charCodeAt(0), bubbles: true, cancelable: true}));
		}
		return true;
	})()`)
}

// shown is what is on record of what the session of a terminal has shown.
func (c *caller) shown(t *testing.T, id string) string {
	t.Helper()
	status, text := c.try("GET", "/v1/recordings/"+id+"/text", nil)
	if status != http.StatusOK {
		return ""
	}
	return string(text)
}

// sessionOf is the open session at a resource.
func (c *caller) sessionOf(t *testing.T, resource string) string {
	t.Helper()
	var id string
	require.Eventually(t, func() bool {
		var list struct {
			Sessions []struct{ ID, Resource, Via string }
		}
		c.ask("GET", "/v1/sessions", nil, &list)
		for _, s := range list.Sessions {
			if s.Resource == resource {
				require.Equal(t, "console", s.Via)
				id = s.ID
			}
		}
		return id != ""
	}, 30*time.Second, 20*time.Millisecond)
	return id
}

// TestTerminalInBrowser: somebody works on a machine in her browser; a lost socket costs nothing; a refusal is told inline; what was
// shown is played, searched and proven; and the record says that it was the console.
func TestTerminalInBrowser(t *testing.T) {
	h := workshop(t)
	b := h.browser(t, "alice")
	alice := h.as(t, "alice")
	b.Go(h.url + "/terminal?open=vm1")
	b.Sees("connected")
	b.Sees("recorded")
	id := alice.sessionOf(t, "vm1")
	says := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(alice.shown(t, id), text) }, 30*time.Second, 50*time.Millisecond, "%q", text)
	}
	typeIn(b, "PS1='$ '; clear; echo one''two\r")
	says("onetwo")
	// Colours of 24 bits, and what does more than to draw.
	typeIn(b, `printf '\e[38;2;200;30;90mpink\e[0m \e]52;c;aGVsbG8=\a\e]0;owned\a\e]8;;https://evil.example.com\alink\e]8;;\a\n'`+"\r")
	says("pink")
	require.NotContains(t, browsertest.Eval[string](b, "document.title"), "owned")
	look(b, "terminal")

	// Files come and go by the rules of sftp; whatever they are called is text.
	dir, saved := t.TempDir(), b.Downloads()
	odd := filepath.Join(dir, "<img src=x onerror=alert(1)>")
	require.NoError(t, os.WriteFile(odd, []byte("odd"), 0o600))
	b.Click("button", "Files")
	b.Fill("Path of a file on the machine", odd)
	b.Press(kb.Enter)
	b.Sees("saved")
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(filepath.Join(saved, "_img src=x onerror=alert(1)_"))
		return err == nil && string(text) == "odd"
	}, time.Minute, 10*time.Millisecond)
	b.Fill("Folder for files that you send", dir)
	drop := func(name, content string) {
		b.Eval(`(() => {
			const d = new DataTransfer();
			d.items.add(new File([` + strconv.Quote(content) + `], ` + strconv.Quote(name) + `));
			document.querySelector(".transfer").dispatchEvent(new DragEvent("drop", {dataTransfer: d, bubbles: true, cancelable: true}));
			return true;
		})()`)
	}
	drop("notes.txt", strings.Repeat("note\n", 400_000))
	b.Sees("1.9 MiB")
	b.Sees("sent")
	text, err := os.ReadFile(filepath.Join(dir, "notes.txt"))
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("note\n", 400_000), string(text))
	b.Fill("Folder for files that you send", "/secrets")
	drop("a.key", "a")
	b.Sees("keys stay here")
	b.Sees("refused")
	look(b, "files")
	b.Click("button", "Files")

	// The network is lost: the terminal goes on, and nothing of it is missing.
	b.Eval(`(window.dispatchEvent(new Event("online")), true)`)
	typeIn(b, "echo still''here\r")
	says("stillhere")
	b.Sees("connected")

	typeIn(b, "exit\r")
	b.Sees("has ended with the status 0")
	b.Click("link", "Replay")
	b.Has("heading", "alice at vm1")
	b.Has("button", "Play")
	require.Eventually(t, func() bool {
		var p struct{ State string }
		alice.ask("GET", "/v1/recordings/"+id+"/proof", nil, &p)
		return p.State == "proven"
	}, 30*time.Second, 50*time.Millisecond)
	b.Go(h.url + "/sessions/" + id + "/replay?t=1")
	b.Sees("proven")
	b.Fill("Find in what was shown", "stillhere")
	b.Press("\r")
	b.Sees("places")
	look(b, "replay")
	b.Click("button", "proven")
	b.Sees("Place in the log")
	b.Accessible("proof")
}

// TestDatabaseInBrowser: somebody works on a database in her browser, sees what is masked and why, waits for an approval in place,
// and goes through many rows.
func TestDatabaseInBrowser(t *testing.T) {
	h := workshop(t)
	b, olga := h.browser(t, "alice"), h.as(t, "olga")
	b.Go(h.url + "/connections/shop/sql")
	b.Sees("no transaction")
	b.Has("button", "people")
	write := func(text string) {
		t.Helper()
		b.Eval(`(document.querySelector(".cm-content").focus(), true)`)
		b.Control("a")
		b.Type(text)
		b.Press(kb.Escape) // the list of completions
	}
	run := func(text string) {
		t.Helper()
		b.Until("nothing runs", `[...document.querySelectorAll("button")].some((x) => x.textContent === "Run" && !x.disabled)`)
		write(text)
		b.Click("button", "Run")
	}
	run("SELECT * FROM people ORDER BY id LIMIT 50")
	b.Sees("<hidden>")
	b.Sees("<mail>")
	b.Sees("values are masked")
	require.NotContains(t, browsertest.Eval[string](b, "document.body.innerHTML"), "p7@example.com")
	look(b, "sql")
	b.Click("button", "Why is ssn masked?")
	b.Sees("a rule is about it")
	b.Accessible("why masked")
	b.Press(kb.Escape)
	b.Until("that the dialog is closed", `!document.querySelector("dialog[open]")`)

	run("SELECT id, name FROM people ORDER BY id")
	b.Sees("there are more")
	require.Less(t, browsertest.Eval[int](b, `document.querySelectorAll(".grid-row").length`), 120, "those that are not seen are not drawn")
	b.Click("button", "10,000 more")
	b.Sees("3,000 rows")

	run("DELETE FROM people WHERE id = 3000")
	b.Sees("what is deleted is looked at by another")
	var waiting struct {
		Requests []struct{ ID, Hash string }
	}
	olga.ask("GET", "/v1/requests", nil, &waiting)
	require.Len(t, waiting.Requests, 1)
	olga.ask("POST", "/v1/requests/"+waiting.Requests[0].ID+"/approve", map[string]string{"hash": waiting.Requests[0].Hash}, nil)
	b.Sees("DELETE 1")

	run("DROP TABLE people")
	b.Sees("tables are not dropped here")
	run("BEGIN")
	b.Sees("transaction open")
	run("SELECT 1/0")
	b.Sees("division by zero")
	b.Sees("transaction failed")
	run("ROLLBACK")
	b.Sees("no transaction")
	write("SELECT count(*) FROM people p JOIN shop.orders o ON o.person = p.id")
	b.Click("button", "Explain")
	b.Has("any", "Aggregate")
	b.Shot("sql-plan")
	b.Accessible("plan")
	// Rows are saved as they are seen, by the keyboard alone.
	dir := b.Downloads()
	write("SELECT name, email, '=1+1' AS calc, -1 AS n FROM people ORDER BY id LIMIT 2")
	b.Eval(`([...document.querySelectorAll("button")].find((x) => x.textContent === "Save rows").focus(), true)`)
	b.Press(kb.Enter)
	b.Sees("they are saved is on record")
	b.Accessible("save rows")
	b.Shot("sql-save")
	b.Eval(`([...document.querySelectorAll("dialog button")].find((x) => x.textContent === "Run and save").focus(), true)`)
	b.Press(kb.Enter)
	b.Has("link", "Save again")
	b.Accessible("saved rows")
	b.Shot("sql-saved")
	require.Eventually(t, func() bool {
		names, err := filepath.Glob(filepath.Join(dir, "rows-shop-*.csv"))
		require.NoError(t, err)
		if len(names) != 1 {
			return false
		}
		text, err := os.ReadFile(names[0])
		return err == nil && string(text) == "name,email,calc,n\nPerson 1,<mail>,'=1+1,-1\nPerson 2,<mail>,'=1+1,-1\n"
	}, time.Minute, 10*time.Millisecond)
	// A large value comes in part.
	run("SELECT repeat('x', 2000000) AS long")
	b.Sees("1.9 MiB")
	// Text is text.
	run(`SELECT '<img src=x onerror=alert(1)>' AS "<b>"`)
	b.Sees("<img src=x onerror=alert(1)>")
}

// TestWatchInBrowser: who may sees what happens in a session, and ends it; its user is told why.
func TestWatchInBrowser(t *testing.T) {
	h := workshop(t)
	b, ada := h.browser(t, "alice"), h.browser(t, "ada")
	b.Go(h.url + "/terminal?open=vm1")
	b.Sees("connected")
	id := h.as(t, "alice").sessionOf(t, "vm1")
	ada.Go(h.url + "/sessions/" + id + "/replay")
	ada.Sees("That you watch is on record")
	typeIn(b, "echo watch''ed\r")
	ada.Sees("echo watch''ed")
	look(ada, "watch")
	ada.Click("button", "End it")
	ada.Fill("Reason", "lunch")
	ada.Press("\r")
	b.Sees("an administrator ended the session: lunch")
}

// TestRevokedTerminal: open tabs of somebody who is disabled end within a second or two.
func TestRevokedTerminal(t *testing.T) {
	h := workshop(t)
	b := h.browser(t, "alice")
	b.Go(h.url + "/terminal?open=vm1")
	b.Sees("connected")
	begun := time.Now()
	h.as(t, "ada").ask("POST", "/v1/user/disable", map[string]string{"subject": "alice", "reason": "left"}, nil)
	b.Has("heading", "Sign in")
	require.Less(t, time.Since(begun), 5*time.Second)
}
