package console_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/browsertest"
)

// TestFreezeInBrowser: who watches a terminal writes to its user, who is shown it at once, and has it wait, with what is typed and shown.
func TestFreezeInBrowser(t *testing.T) {
	h := workshop(t)
	b, ada := h.browser(t, "alice"), h.browser(t, "ada")
	alice := h.as(t, "alice")
	b.Script(`window.shown = ""; window.WebSocket = class extends WebSocket {
		constructor(...a) { super(...a); this.addEventListener("message", (e) => { if (e.data instanceof ArrayBuffer) window.shown += new TextDecoder().decode(e.data.slice(8)); }); }
	}`)
	b.Go(h.url + "/terminal?open=vm1")
	b.Sees("connected")
	id := alice.sessionOf(t, "vm1")
	ada.Go(h.url + "/sessions/" + id + "/replay")
	ada.Click("button", "Message")
	ada.Fill("Message", "the machine restarts at 14:00 "+hostile[0])
	look(ada, "message")
	ada.Press("\r")
	ada.Sees("She is shown it now")
	b.Until("the message in the terminal", `window.shown.includes("sallyport: an administrator writes: the machine restarts at 14:00 <img")`)

	ada.Click("button", "Freeze")
	ada.Fill("Reason", "what is this? "+hostile[1])
	ada.Press("\r")
	ada.Sees("Frozen since")
	b.Sees("Frozen since")
	b.Sees("What is typed and asked waits")
	look(ada, "frozen")
	typeIn(b, "echo fro''zen\r")
	ada.Go(h.url + "/sessions/" + id)
	ada.Sees("Frozen since")
	require.NotContains(t, alice.shown(t, id), "frozen\r\n")
	ada.Click("button", "Unfreeze")
	ada.Fill("Reason", "cleared up")
	ada.Press("\r")
	b.SeesNot("Frozen since")
	require.Eventually(t, func() bool { return strings.Contains(alice.shown(t, id), "frozen") }, 30*time.Second, 50*time.Millisecond)
	for _, b := range []*browsertest.Browser{b, ada} {
		require.False(t, browsertest.Eval[bool](b, "!!window.pwned"))
	}
}

// TestFreezeDatabase: a session at a database hears a message with its next answer; while it is frozen nothing is asked in it, and no
// answer comes.
func TestFreezeDatabase(t *testing.T) {
	h := open(t, "")
	var mu sync.Mutex
	var notices []string
	c := h.psqlWith(t, "alice", "orders", func(n *pgconn.Notice) {
		mu.Lock()
		defer mu.Unlock()
		notices = append(notices, n.Message)
	})
	ada := h.as(t, "ada")
	var list struct{ Sessions []struct{ ID string } }
	ada.ask("GET", "/v1/sessions", nil, &list)
	at := "/v1/sessions/" + list.Sessions[0].ID
	var told struct{ Now bool }
	ada.ask("POST", at+"/message", map[string]string{"text": "lunch"}, &told)
	require.False(t, told.Now)
	var thawed atomic.Bool
	run := func(sql string) chan bool {
		done := make(chan bool, 1)
		go func() {
			_, err := c.Exec(t.Context(), sql).ReadAll()
			done <- err == nil && thawed.Load()
		}()
		return done
	}
	freeze := func() {
		thawed.Store(false)
		ada.ask("POST", at+"/freeze", map[string]string{"reason": "what is this?"}, nil)
	}
	thaw := func(done chan bool) {
		thawed.Store(true)
		ada.ask("POST", at+"/unfreeze", map[string]string{"reason": "cleared up"}, nil)
		require.True(t, <-done, "it was answered while the session was frozen")
	}
	freeze()
	thaw(run("SELECT 1"))
	mu.Lock()
	require.Contains(t, strings.Join(notices, "\n"), "an administrator writes: lunch")
	require.Contains(t, strings.Join(notices, "\n"), "an administrator has frozen this session: what is this?")
	mu.Unlock()

	// One that is being answered: more than fits on the way to the client is still to come.
	rows := c.Exec(t.Context(), "SELECT repeat('x', 1000) FROM generate_series(1, 40000)")
	require.True(t, rows.NextResult())
	require.True(t, rows.ResultReader().NextRow())
	freeze()
	done := make(chan bool, 1)
	go func() { done <- rows.Close() == nil && thawed.Load() }()
	thaw(done)

	// Nobody waits for what is over.
	freeze()
	done = run("SELECT 1")
	ada.ask("POST", at+"/kill", map[string]string{"reason": "enough"}, nil)
	require.False(t, <-done)
}
