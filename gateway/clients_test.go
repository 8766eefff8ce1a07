package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/review"
)

// openForBrowsers is a gateway in front of a machine and a database, with an API.
func openForBrowsers(t *testing.T, further string) *house {
	t.Helper()
	dir := t.TempDir()
	machine := startMachine(t, dir, []string{"alice"})
	server, database := testserver.Database(t, `CREATE TABLE people (id int PRIMARY KEY, name text, mail text, ssn text);
		INSERT INTO people VALUES (1, 'Ada', 'ada@example.com', '1815'), (2, 'Bob', NULL, '1912')`)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "db.password"), []byte(server.Password), 0o600))
	return open(t, dir, fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0", ssh: "127.0.0.1:0"}
api: {listen: "127.0.0.1:0", url: "https://gw.example.com"}
data_dir: data
identity: {users: [{name: root, groups: [admin], password: %[1]s}, {name: alice, groups: [dev], password: %[1]s}, {name: bob, groups: [dev], password: %[1]s}, {name: eve, groups: [other], password: %[1]s}]}
resources:
  - {name: vm1, type: ssh, address: %[2]q, username: %[3]s, key: "file:upstream", ssh: {host_keys: [%[4]q]}}
  - {name: shop, type: postgres, address: %[5]q, database: %[6]s, username: postgres, password: "file:db.password", tls: {mode: disable}}
access:
  - {name: devs, groups: [dev], allow: [all]}
guardrails:
  - {use: off}
  - {name: no-drop, deny: {effects: [drop]}}
  - {name: ask-delete, hold: {effects: [delete]}, approvers: [admin], for: 5m}
masking:
  - {use: off}
  - {name: numbers, columns: [people.ssn], with: fixed, text: "<hidden>"}
  - {name: mails, entities: [EMAIL_ADDRESS], with: fixed, text: "<mail>"}
control: [{groups: [admin], allow: [list, kill, watch, review, users]}]
audit: {recordings: [{rows: full, terminal: full}]}
%[7]s`, verifier(t), machine.address, machine.user, machine.hostKey, server.Address(), database, further))
}

// tab is one WebSocket, as a page has it.
type tab struct {
	*websocket.Conn
	t     *testing.T
	shown strings.Builder // of a terminal
	at    uint64          // the place up to which it has come
	typed uint64
}

func (h *house) client(t *testing.T) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(h.Authority())
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func (h *house) signIn(t *testing.T, user string) string {
	t.Helper()
	var got control.Login
	require.Equal(t, http.StatusOK, h.ask(t, "", "POST", "/v1/login", control.Password{User: user, Password: password}, &got))
	return got.Token
}

// browse opens a WebSocket.
func (h *house) browse(t *testing.T, token, path string, headers ...string) (*tab, int) {
	t.Helper()
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, resp, err := websocket.Dial(ctx, "https://"+h.APIAddr().String()+path, &websocket.DialOptions{HTTPClient: h.client(t), HTTPHeader: header})
	if err != nil {
		require.NotNil(t, resp, err)
		return nil, resp.StatusCode
	}
	c.SetReadLimit(4 << 20)
	t.Cleanup(func() { c.CloseNow() })
	return &tab{Conn: c, t: t}, http.StatusSwitchingProtocols
}

func (b *tab) send(v any) {
	b.t.Helper()
	text, err := json.Marshal(v)
	require.NoError(b.t, err)
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(b.t, b.Write(ctx, websocket.MessageText, text))
}

type frame = map[string]any

// receive reads a frame. What a terminal shows is added to what it has shown, and acknowledged.
func (b *tab) receive() (frame, error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	typ, data, err := b.Read(ctx)
	if err != nil {
		return nil, err
	}
	if typ == websocket.MessageText {
		var f frame
		require.NoError(b.t, json.Unmarshal(data, &f))
		return f, nil
	}
	require.Equal(b.t, b.at, binary.BigEndian.Uint64(data), "nothing is lost, and nothing comes twice")
	b.shown.Write(data[8:])
	b.at += uint64(len(data) - 8)
	return frame{"type": "shown"}, nil
}

// until reads frames until one is of a type, and returns all that came.
func (b *tab) until(typ string) (list []frame) {
	b.t.Helper()
	for {
		f, err := b.receive()
		require.NoError(b.t, err, "waiting for %q after %v and %q", typ, list, b.shown.String())
		list = append(list, f)
		if f["type"] == typ {
			return list
		}
	}
}

func last(list []frame) frame { return list[len(list)-1] }

// shows reads until the terminal has shown a text, and acknowledges it.
func (b *tab) shows(text string) {
	b.t.Helper()
	for !strings.Contains(b.shown.String(), text) {
		_, err := b.receive()
		require.NoError(b.t, err, "waiting for %q after %q", text, b.shown.String())
	}
	b.send(frame{"type": "ack", "received": b.at})
}

// enter types something.
func (b *tab) enter(text string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(b.t, b.Write(ctx, websocket.MessageBinary, append(binary.BigEndian.AppendUint64(nil, b.typed), text...)))
	b.typed += uint64(len(text))
}

// ends returns the status with which the socket is closed.
func (b *tab) ends() websocket.StatusCode {
	for {
		if _, err := b.receive(); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

func (h *house) terminal(t *testing.T, token string) *tab {
	t.Helper()
	b, status := h.browse(t, token, "/v1/resources/vm1/terminal")
	require.Equal(t, http.StatusSwitchingProtocols, status)
	b.send(frame{"type": "open", "columns": 80, "rows": 24})
	t.Cleanup(func() { // otherwise it is kept for a while
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = b.Write(ctx, websocket.MessageText, []byte(`{"type":"close"}`)) // it may have ended
	})
	return b
}

// A terminal in the browser is one of ssh's: the same chain, the same record, which says how it came.
func TestBrowserTerminal(t *testing.T) {
	h := openForBrowsers(t, "")
	b := h.terminal(t, h.signIn(t, "alice"))
	opened := last(b.until("opened"))
	require.NotEmpty(t, opened["terminal"])
	session := last(b.until("session"))
	require.Equal(t, "vm1", session["resource"])
	id := session["session"].(string)
	b.enter("stty size; echo in''side\r")
	b.shows("24 80")
	b.shows("inside")
	b.send(frame{"type": "resize", "columns": 100, "rows": 30})
	b.enter("stty size\r")
	b.shows("30 100")
	b.send(frame{"type": "ping", "at": 17})
	require.Equal(t, 17.0, last(b.until("pong"))["at"])
	b.enter("exit 3\r")
	end := last(b.until("ended"))
	require.Equal(t, 3.0, end["status"])
	require.Nil(t, end["reason"])
	require.Equal(t, websocket.StatusNormalClosure, b.ends())

	require.Eventually(t, func() bool { return len(h.gateway.Sessions()) == 0 }, 30*time.Second, time.Millisecond)
	require.NoError(t, h.stop())
	events := h.records(t)[id]
	require.Equal(t, "console", events[0].Via)
	require.Equal(t, "alice", events[0].User)
	require.Equal(t, "password", events[0].Method)
	require.True(t, strings.HasPrefix(events[0].Remote, "127.0.0.1:"), events[0].Remote)
	var shown strings.Builder
	kinds := make(map[string]bool)
	for _, e := range events {
		kinds[e.Kind] = true
		if e.Type == audit.RecordingOutput {
			shown.Write(e.Content())
		}
	}
	require.True(t, kinds["shell"])
	require.Contains(t, shown.String(), "inside")
}

// A terminal outlives a lost socket: nothing is lost and nothing comes twice, in either direction.
func TestBrowserTerminalResumes(t *testing.T) {
	h := openForBrowsers(t, "")
	token := h.signIn(t, "alice")
	b := h.terminal(t, token)
	id := last(b.until("opened"))["terminal"].(string)
	b.until("session")
	b.enter("PS1=; stty -echo; i=0; while read line; do i=$((i+1)); echo $i:$line; done\r")
	b.enter("first\r")
	b.shows("1:first")
	for round := range 5 {
		// What comes after the last acknowledgement is shown again, from the place that the browser names.
		b.enter(fmt.Sprintf("round%d\r", round))
		typed := b.typed
		b.CloseNow()
		again, status := h.browse(t, token, "/v1/resources/vm1/terminal")
		require.Equal(t, http.StatusSwitchingProtocols, status)
		again.at, again.typed = b.at, typed
		again.shown.WriteString(b.shown.String())
		again.send(frame{"type": "resume", "terminal": id, "received": b.at})
		opened := last(again.until("opened"))
		taken := uint64(opened["received"].(float64))
		text := fmt.Sprintf("round%d\r", round)
		require.GreaterOrEqual(t, taken, typed-uint64(len(text)))
		if missing := typed - taken; missing > 0 { // what the gateway has not got is typed again
			again.typed = taken
			again.enter(text[uint64(len(text))-missing:])
		}
		// What came already is left out.
		again.typed = typed - 3
		again.enter(text[len(text)-3:])
		b = again
		b.shows(fmt.Sprintf("%d:round%d", round+2, round))
	}
	require.Equal(t, 1, strings.Count(b.shown.String(), "6:round4"))
	require.NotContains(t, b.shown.String(), "\n7:") // the time of the last login is shown, too

	// A second socket takes the terminal over, and the first is told.
	other, _ := h.browse(t, token, "/v1/resources/vm1/terminal")
	other.at, other.typed = b.at, b.typed
	other.send(frame{"type": "resume", "terminal": id, "received": b.at})
	other.until("session")
	require.Equal(t, websocket.StatusCode(4002), b.ends())
	other.enter("taken over\r")
	other.shows("7:taken over")
	other.send(frame{"type": "close"})
	other.until("ended")
	require.Eventually(t, func() bool { return len(h.gateway.Sessions()) == 0 }, 30*time.Second, time.Millisecond)
}

// Nobody has another person's terminal, nor the same person's of another login; and whether there is one is not told.
func TestBrowserTerminalOfOthers(t *testing.T) {
	h := openForBrowsers(t, "")
	alice := h.signIn(t, "alice")
	b := h.terminal(t, alice)
	id := last(b.until("opened"))["terminal"].(string)
	b.until("session")
	for _, token := range []string{h.signIn(t, "bob"), h.signIn(t, "alice")} {
		for _, name := range []string{id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"} {
			other, _ := h.browse(t, token, "/v1/resources/vm1/terminal")
			other.send(frame{"type": "resume", "terminal": name})
			list := other.until("ended")
			require.Len(t, list, 1)
			require.Equal(t, "there is no such terminal any more: open another one", list[0]["reason"])
		}
	}
	other, _ := h.browse(t, alice, "/v1/resources/shop/terminal")
	other.send(frame{"type": "resume", "terminal": id})
	other.until("ended")
	b.enter("echo still''here\r")
	b.shows("stillhere")
}

// Whose page or program it is, is checked before anything else.
func TestBrowserSocketsClosed(t *testing.T) {
	h := openForBrowsers(t, "")
	alice := h.signIn(t, "alice")
	for _, path := range []string{"/v1/resources/vm1/terminal", "/v1/resources/shop/database"} {
		for name, c := range map[string]struct {
			token   string
			path    string
			headers []string
			status  int
		}{
			"nobody":            {"", path, nil, http.StatusUnauthorized},
			"a token in an URL": {"", path + "?token=" + alice + "&access_token=" + alice + "&authorization=Bearer+" + alice, nil, http.StatusUnauthorized},
			"another site":      {alice, path, []string{"Origin", "https://evil.example.com"}, http.StatusForbidden},
			"no site":           {alice, path, []string{"Origin", "null"}, http.StatusForbidden},
			"another port":      {alice, path, []string{"Origin", "https://127.0.0.1:1"}, http.StatusForbidden},
			"in clear":          {alice, path, []string{"Origin", "http://" + h.APIAddr().String()}, http.StatusForbidden},
			"a cookie of nobody's page": {
				"", path, []string{"Cookie", control.SessionCookie + "=" + alice}, http.StatusForbidden,
			},
			"a cookie of another site": {
				"", path, []string{"Cookie", control.SessionCookie + "=" + alice, "Origin", "https://evil.example.com"}, http.StatusForbidden,
			},
			"a cookie that another site sends": {
				"", path, []string{"Cookie", control.SessionCookie + "=" + alice, "Sec-Fetch-Site", "cross-site"}, http.StatusUnauthorized,
			},
			"a cookie of our page": {
				"", path, []string{"Cookie", control.SessionCookie + "=" + alice, "Origin", "https://" + h.APIAddr().String()}, http.StatusSwitchingProtocols,
			},
		} {
			_, status := h.browse(t, c.token, c.path, c.headers...)
			require.Equal(t, c.status, status, "%s: %s", name, path)
		}
	}
	// A name that is more than a name logs in nowhere.
	_, status := h.browse(t, alice, "/v1/resources/vm1+root/terminal")
	require.Equal(t, http.StatusNotFound, status)
}

// Who may not connect is told as little as by ssh, and what has no terminal has none.
func TestBrowserRefused(t *testing.T) {
	h := openForBrowsers(t, "")
	eve := h.signIn(t, "eve")
	b := h.terminal(t, eve)
	b.until("ended")
	require.Contains(t, b.shown.String(), `or you may not use it: "vm1"`)
	for _, name := range []string{"nothing", "shop"} {
		b, _ = h.browse(t, eve, "/v1/resources/"+name+"/terminal")
		b.send(frame{"type": "open", "columns": 80, "rows": 24})
		require.Equal(t, "there is no resource of this name that you may connect to in the browser", last(b.until("ended"))["reason"])
	}
	b, _ = h.browse(t, eve, "/v1/resources/shop/database")
	b.send(frame{"type": "open"})
	require.Contains(t, last(b.until("ended"))["reason"], "or you may not use it")
}

// Whatever a browser sends, it is answered by an end and the gateway goes on.
func TestBrowserFrames(t *testing.T) {
	h := openForBrowsers(t, "")
	alice := h.signIn(t, "alice")
	for _, first := range []string{`{`, `[]`, `{"type":"open"}`, `{"type":"open","columns":1e9,"rows":1}`, `{"type":"open","columns":80,"rows":24,"term":"\u001b]52;"}`, `{"type":"run"}`, `{"type":"open","columns":80,"rows":24,"account":"a+b"}`} {
		b, _ := h.browse(t, alice, "/v1/resources/vm1/terminal")
		require.NoError(t, b.Write(t.Context(), websocket.MessageText, []byte(first)))
		require.Equal(t, websocket.StatusPolicyViolation, b.ends(), first)
	}
	for name, send := range map[string]func(b *tab){
		"a gap":          func(b *tab) { b.typed = 7; b.enter("x") },
		"no place":       func(b *tab) { require.NoError(t, b.Write(t.Context(), websocket.MessageBinary, []byte("x"))) },
		"ahead":          func(b *tab) { b.send(frame{"type": "ack", "received": 1 << 40}) },
		"an unknown one": func(b *tab) { b.send(frame{"type": "open", "columns": 80, "rows": 24}) },
		"a size":         func(b *tab) { b.send(frame{"type": "resize", "columns": -1, "rows": 24}) },
		"more than is taken": func(b *tab) {
			b.enter("sleep 1000\r")
			b.enter(strings.Repeat("x", 60000))
			b.enter(strings.Repeat("x", 60000))
			b.enter(strings.Repeat("x", 60000))
		},
	} {
		b := h.terminal(t, alice)
		b.until("session")
		send(b)
		require.Equal(t, websocket.StatusPolicyViolation, b.ends(), name)
	}
	b := h.terminal(t, alice)
	b.until("session")
	b.enter(strings.Repeat("x", 70000))
	require.Equal(t, websocket.StatusMessageTooBig, b.ends())
}

// A browser that does not acknowledge is sent a bounded part of a flood, and the rest once it does.
func TestBrowserTerminalFlood(t *testing.T) {
	h := openForBrowsers(t, "")
	b := h.terminal(t, h.signIn(t, "alice"))
	b.until("session")
	b.enter("stty -echo; PS1=; printf 'be''gin\\n'; head -c 20000000 /dev/zero | tr '\\0' x; echo en''d\r")
	b.shows("begin\r\n")
	from := b.at
	for b.at-from < 512<<10-100 {
		_, err := b.receive()
		require.NoError(t, err)
	}
	b.send(frame{"type": "ping", "at": 1})
	for { // it is answered, and nothing more is shown
		f, err := b.receive()
		require.NoError(t, err)
		if f["type"] == "pong" {
			break
		}
	}
	require.LessOrEqual(t, b.at-from, uint64(600<<10))
	for !strings.Contains(b.shown.String()[max(int(from), b.shown.Len()-100):], "end\r\n") {
		b.send(frame{"type": "ack", "received": b.at})
		_, err := b.receive()
		require.NoError(t, err)
	}
	require.Equal(t, 20000000, strings.Count(b.shown.String()[from:], "x"))
}

// When the login ends, or the person is disabled, open tabs end within a second, and nobody comes back to them.
func TestBrowserRevoked(t *testing.T) {
	h := openForBrowsers(t, "")
	root := h.signIn(t, "root")
	for name, end := range map[string]func(token string) int{
		"logged out": func(token string) int { return h.ask(t, token, "POST", "/v1/logout", nil, nil) },
		"disabled": func(string) int {
			return h.ask(t, root, "POST", "/v1/user/disable", control.UserRequest{Subject: "alice", Reason: "left"}, nil)
		},
	} {
		token := h.signIn(t, "alice")
		b := h.terminal(t, token)
		b.until("session")
		idle, _ := h.browse(t, token, "/v1/resources/vm1/terminal") // and has sent nothing yet
		db, _ := h.browse(t, token, "/v1/resources/shop/database")
		db.send(frame{"type": "open"})
		db.until("done")
		require.Equal(t, http.StatusOK, end(token), name)
		begun := time.Now()
		for _, one := range []*tab{b, idle, db} {
			status := one.ends()
			require.Contains(t, []websocket.StatusCode{4001, websocket.StatusNormalClosure}, status, name)
		}
		require.Less(t, time.Since(begun), 2*time.Second, name)
		require.Eventually(t, func() bool { return len(h.gateway.Sessions()) == 0 }, 30*time.Second, time.Millisecond)
		if name == "disabled" {
			require.Equal(t, http.StatusOK, h.ask(t, root, "POST", "/v1/user/enable", control.UserRequest{Subject: "alice", Reason: "back"}, nil))
		}
	}
}

// What ends a session is told: an administrator, and the gateway's shutdown.
func TestBrowserEnded(t *testing.T) {
	h := openForBrowsers(t, "")
	alice, root := h.signIn(t, "alice"), h.signIn(t, "root")
	b := h.terminal(t, alice)
	id := last(b.until("session"))["session"].(string)
	require.Equal(t, http.StatusAccepted, h.ask(t, root, "POST", "/v1/sessions/"+id+"/kill", control.KillRequest{Reason: "lunch"}, nil))
	require.Equal(t, "an administrator ended the session: lunch", last(b.until("ended"))["reason"])
	require.Contains(t, b.shown.String(), "lunch")

	db, _ := h.browse(t, alice, "/v1/resources/shop/database")
	db.send(frame{"type": "open"})
	list := db.until("done")
	for _, f := range list {
		if f["type"] == "session" {
			id = f["session"].(string)
		}
	}
	require.Equal(t, http.StatusAccepted, h.ask(t, root, "POST", "/v1/sessions/"+id+"/kill", control.KillRequest{Reason: "lunch"}, nil))
	require.Equal(t, "an administrator ended the session: lunch", last(db.until("ended"))["reason"])

	b = h.terminal(t, alice)
	b.until("session")
	b.enter("echo re''ady; sleep 1000\r")
	b.shows("ready")
	require.NoError(t, h.stop())
	require.Contains(t, last(b.until("ended"))["reason"], "shutting down")
}

// editor is a database in the browser.
type editor struct {
	*tab
	runs     int
	received int64 // bytes of frames with rows
	rows     [][]any
}

func (h *house) editor(t *testing.T, token string) *editor {
	t.Helper()
	b, status := h.browse(t, token, "/v1/resources/shop/database")
	require.Equal(t, http.StatusSwitchingProtocols, status)
	b.send(frame{"type": "open"})
	b.until("done")
	return &editor{tab: b}
}

// begin runs a text.
func (d *editor) begin(text string, rows int) int {
	d.runs++
	d.send(frame{"type": "run", "run": d.runs, "text": text, "rows": rows})
	return d.runs
}

// run runs a text and returns the frames that come, without those with rows, which are kept and acknowledged.
func (d *editor) run(text string) []frame {
	d.t.Helper()
	d.begin(text, 100000)
	d.rows = nil
	return d.until("done")
}

func (d *editor) until(typ string) (list []frame) {
	d.t.Helper()
	for {
		ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
		_, data, err := d.Read(ctx)
		cancel()
		require.NoError(d.t, err, "waiting for %q after %v", typ, list)
		var f frame
		require.NoError(d.t, json.Unmarshal(data, &f))
		if f["type"] == "rows" {
			for _, r := range f["rows"].([]any) {
				d.rows = append(d.rows, r.([]any))
			}
			d.received += int64(len(data))
			d.send(frame{"type": "ack", "received": d.received})
			continue
		}
		list = append(list, f)
		if f["type"] == typ {
			return list
		}
	}
}

// of returns the frames of a type.
func of(list []frame, typ string) (out []frame) {
	for _, f := range list {
		if f["type"] == typ {
			out = append(out, f)
		}
	}
	return out
}

// SQL in the browser is one of psql's: the same chain, masking and record.
func TestBrowserDatabase(t *testing.T) {
	h := openForBrowsers(t, "")
	d := h.editor(t, h.signIn(t, "alice"))
	list := d.run("SELECT id, name, mail, ssn FROM people ORDER BY id")
	require.Equal(t, [][]any{{"1", "Ada", "<mail>", "<hidden>"}, {"2", "Bob", nil, "<hidden>"}}, d.rows)
	result := of(list, "result")[0]
	require.Equal(t, []any{
		frame{"name": "id", "type": "int4"}, frame{"name": "name", "type": "text"}, frame{"name": "mail", "type": "text"}, frame{"name": "ssn", "type": "text"},
	}, result["columns"])
	end := of(list, "end")[0]
	require.Equal(t, "SELECT 2", end["tag"])
	require.Equal(t, 2.0, end["rows"])
	require.Equal(t, "idle", last(list)["transaction"])
	// Why is told: of columns by their rules, and of values by their numbers.
	for len(of(list, "masking")) == 0 || len(of(list, "masked")) < 2 {
		list = append(list, d.receiveText())
	}
	why := of(list, "masking")[0]["columns"].([]any)
	require.Len(t, why, 1)
	require.Equal(t, "ssn", why[0].(frame)["name"])
	require.Equal(t, "US_SSN", why[0].(frame)["class"])
	require.Contains(t, why[0].(frame)["why"], "a rule is about it")
	counts := make(map[string]float64)
	for _, f := range of(list, "masked") {
		counts[f["class"].(string)] += f["count"].(float64)
	}
	require.Equal(t, 1.0, counts["EMAIL_ADDRESS"])

	list = d.run("BEGIN; SELECT 1/0; SELECT 2")
	require.Equal(t, "failed", last(list)["transaction"])
	failed := of(list, "failed")[0]
	require.Equal(t, "22012", failed["code"])
	require.Equal(t, "division by zero", failed["message"])
	d.run("ROLLBACK")
	list = d.run("DROP TABLE people")
	require.Equal(t, "42501", of(list, "failed")[0]["code"])
	require.Contains(t, of(list, "failed")[0]["message"], "no-drop")
	list = d.run("COMMIT")
	require.Equal(t, "WARNING", of(list, "notice")[0]["severity"])
	require.Contains(t, of(list, "notice")[0]["message"], "no transaction in progress")

	// Large values come in part, with their size.
	d.run("SELECT decode(repeat('00', 2 << 20), 'hex'), E'\\u00fc\"\\n<b>'")
	require.Len(t, d.rows, 1)
	cell := d.rows[0][0].([]any)
	require.Equal(t, 2.0+4<<20, cell[1])
	require.Len(t, cell[0], 64<<10)
	require.Equal(t, "ü\"\n<b>", d.rows[0][1])

	d.send(frame{"type": "relations"})
	tree := last(d.until("relations"))["relations"].([]any)
	require.Contains(t, tree, frame{"schema": "public", "name": "people", "kind": "table"})
	d.send(frame{"type": "columns", "schema": "public", "relation": "people"})
	columns := last(d.until("columns"))["columns"].([]any)
	require.Equal(t, frame{"name": "id", "type": "integer", "not_null": true, "key": true}, columns[0])
	d.send(frame{"type": "close"})
	require.Equal(t, websocket.StatusNormalClosure, d.ends())
	require.Eventually(t, func() bool { return len(h.gateway.Sessions()) == 0 }, 30*time.Second, time.Millisecond)
}

// receiveText reads a frame that has no rows.
func (d *editor) receiveText() frame {
	d.t.Helper()
	f, err := d.receive()
	require.NoError(d.t, err)
	return f
}

// A statement that waits for an approval says so with its request, and runs once that is given, or can be given up.
func TestBrowserDatabaseHeld(t *testing.T) {
	h := openForBrowsers(t, "")
	root := h.signIn(t, "root")
	d := h.editor(t, h.signIn(t, "alice"))
	run := d.begin("DELETE FROM people WHERE id = 2 RETURNING name", 10)
	held := last(d.until("held"))
	require.Equal(t, float64(run), held["run"])
	id := held["request"].(string)
	require.NotEmpty(t, held["deadline"])
	var asked review.Request
	require.Equal(t, http.StatusOK, h.ask(t, root, "GET", "/v1/requests/"+id, nil, &asked))
	require.Equal(t, http.StatusOK, h.ask(t, root, "POST", "/v1/requests/"+id+"/approve", control.Decision{Hash: asked.Hash}, nil))
	list := d.until("done")
	require.Equal(t, "DELETE 1", of(list, "end")[0]["tag"])
	require.Equal(t, [][]any{{"Bob"}}, d.rows)

	run = d.begin("DELETE FROM people", 10)
	d.until("held")
	d.send(frame{"type": "cancel", "run": run})
	list = d.until("done")
	require.Contains(t, of(list, "failed")[0]["message"], "given up")
	d.rows = nil
	d.run("SELECT count(*) FROM people")
	require.Equal(t, [][]any{{"1"}}, d.rows)
}

// Rows come as many as were asked for and as the browser works off; the rest waits, and can be given up.
func TestBrowserDatabaseRows(t *testing.T) {
	h := openForBrowsers(t, "")
	d := h.editor(t, h.signIn(t, "alice"))
	run := d.begin("SELECT generate_series(1, 100000000) AS n", 250)
	list := d.until("paused")
	require.Equal(t, 250.0, last(list)["rows"])
	require.Len(t, d.rows, 250)
	d.send(frame{"type": "more", "run": run, "rows": 1000})
	d.until("paused")
	require.Len(t, d.rows, 1250)
	d.send(frame{"type": "cancel", "run": run})
	list = d.until("done")
	require.Equal(t, "57014", of(list, "failed")[0]["code"])
	require.Len(t, d.rows, 1250, "what was given up is not sent")

	// What ends before it can be given up says that there was more.
	d.rows = nil
	run = d.begin("SELECT n FROM generate_series(1, 300) n", 250)
	d.until("paused")
	d.send(frame{"type": "cancel", "run": run})
	list = d.until("done")
	if failed := of(list, "failed"); len(failed) == 0 {
		require.Equal(t, true, of(list, "end")[0]["cut"])
	}
	require.Len(t, d.rows, 250)

	// Without acknowledgements no more than the window comes.
	run = d.begin("SELECT repeat('x', 1000) FROM generate_series(1, 100000)", 1<<30)
	var got int64
	for got < 2<<20 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, data, err := d.Read(ctx)
		cancel()
		require.NoError(t, err)
		if strings.HasPrefix(string(data), `{"type":"rows"`) {
			got += int64(len(data))
		}
	}
	d.send(frame{"type": "ping", "at": 1})
	f := d.receiveText()
	require.Equal(t, "pong", f["type"], "it waits")
	require.LessOrEqual(t, got, int64(2<<20+128<<10))
	d.received += got
	d.send(frame{"type": "ack", "received": d.received})
	d.send(frame{"type": "cancel", "run": run})
	d.until("done")
	require.Equal(t, "SELECT 1", of(d.run("SELECT 1"), "end")[0]["tag"], "the session goes on")

	// A run that nobody waits for any more ends with its socket.
	d.begin("SELECT pg_sleep(1000)", 10)
	require.Eventually(t, func() bool { n, _ := h.session(t, "alice", "shop").Operations(); return n >= 5 }, 30*time.Second, time.Millisecond)
	d.CloseNow()
	require.Eventually(t, func() bool { return len(h.gateway.Sessions()) == 0 }, 30*time.Second, time.Millisecond)
}

// Whatever a browser sends to a database, it is answered by an end.
func TestBrowserDatabaseFrames(t *testing.T) {
	h := openForBrowsers(t, "")
	alice := h.signIn(t, "alice")
	for name, send := range map[string]func(d *editor){
		"a number again":   func(d *editor) { d.run("SELECT 1"); d.runs = 0; d.begin("SELECT 1", 1) },
		"two at once":      func(d *editor) { d.begin("SELECT pg_sleep(1000)", 1); d.begin("SELECT 1", 1) },
		"the tree at once": func(d *editor) { d.begin("SELECT pg_sleep(1000)", 1); d.send(frame{"type": "relations"}) },
		"an ack too many":  func(d *editor) { d.send(frame{"type": "ack", "received": 1}) },
		"an ack too few":   func(d *editor) { d.send(frame{"type": "ack", "received": -1}) },
		"no frame":         func(d *editor) { require.NoError(t, d.Write(t.Context(), websocket.MessageText, []byte("hello"))) },
		"bytes":            func(d *editor) { d.enter("hello") },
		"an unknown one":   func(d *editor) { d.send(frame{"type": "open"}) },
	} {
		d := h.editor(t, alice)
		send(d)
		require.Equal(t, websocket.StatusPolicyViolation, d.ends(), name)
	}
	require.Eventually(t, func() bool { return len(h.gateway.Sessions()) == 0 }, 30*time.Second, time.Millisecond)
}

// fetch asks the API for something that is not JSON.
func (h *house) fetch(t *testing.T, token, path string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+h.APIAddr().String()+path, nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := h.client(t).Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, string(b)
}

// What a terminal has shown is played, searched, saved and proven by those who may see it, and by nobody else.
func TestBrowserReplay(t *testing.T) {
	h := openForBrowsers(t, "")
	alice, bob, root := h.signIn(t, "alice"), h.signIn(t, "bob"), h.signIn(t, "root")
	b := h.terminal(t, alice)
	id := last(b.until("session"))["session"].(string)
	at := "/v1/recordings/" + id
	var proof control.SessionProof
	require.Equal(t, http.StatusOK, h.ask(t, alice, "GET", at+"/proof", nil, &proof))
	require.Equal(t, "open", proof.State)
	b.enter("PS1='% '; printf 'nee\\033[1mdle\\033[0m \\033]52;c;aGVsbG8=\\007\\033]0;title\\007fine\\n'\r")
	b.shows("fine\r\n")
	b.send(frame{"type": "resize", "columns": 120, "rows": 40})
	b.enter("exit\r")
	b.until("ended")
	require.Contains(t, b.shown.String(), "\x1b]52;", "a terminal is sent what the machine sends, as by ssh")

	require.Eventually(t, func() bool {
		require.Equal(t, http.StatusOK, h.ask(t, alice, "GET", at+"/proof", nil, &proof))
		return proof.State == "proven"
	}, 30*time.Second, 10*time.Millisecond)
	require.NotEmpty(t, proof.Checkpoint)
	require.Greater(t, proof.Events, uint64(5))
	for _, token := range []string{alice, root} {
		status, header, text := h.fetch(t, token, at+"/shown")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "application/x-ndjson", header.Get("Content-Type"))
		require.Equal(t, "no-store", header.Get("Cache-Control"))
		var pieces []frame
		for line := range strings.Lines(text) {
			var f frame
			require.NoError(t, json.Unmarshal([]byte(line), &f))
			pieces = append(pieces, f)
		}
		require.Equal(t, "terminal", pieces[0]["stream"])
		require.Equal(t, 80.0, pieces[0]["width"])
		require.Equal(t, true, last(pieces)["end"])
		var shown strings.Builder
		var width any
		for _, f := range pieces {
			if out, ok := f["out"].(string); ok {
				shown.WriteString(out)
			}
			if f["width"] != nil {
				width = f["width"]
			}
		}
		require.Contains(t, shown.String(), "nee\x1b[1mdle\x1b[0m fine")
		require.NotContains(t, shown.String(), "\x1b]")
		require.Equal(t, 120.0, width)
	}
	var hits control.Hits
	require.Equal(t, http.StatusOK, h.ask(t, alice, "GET", at+"/find?text=NEEDLE", nil, &hits))
	require.Len(t, hits.Hits, 1)
	require.Contains(t, hits.Hits[0].Line, "needle fine")
	_, header, cast := h.fetch(t, alice, at+"/cast")
	require.Regexp(t, `^attachment; filename="`+id+`-\d+\.cast"$`, header.Get("Content-Disposition"))
	require.Contains(t, cast, `{"version":3,"term":{"cols":80,"rows":24`)
	_, _, text := h.fetch(t, alice, at+"/text")
	require.Contains(t, text, "needle fine\n")
	require.NotContains(t, text, "\x1b")
	status, _, _ := h.fetch(t, alice, at+"/rows")
	require.Equal(t, http.StatusNotFound, status, "it has none")

	d := h.editor(t, alice)
	d.run("SELECT id, ssn FROM people ORDER BY id")
	var sql string
	for _, s := range h.gateway.Sessions() {
		sql = s.ID
	}
	d.send(frame{"type": "close"})
	d.ends()
	status, header, text = h.fetch(t, alice, "/v1/recordings/"+sql+"/rows")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "text/csv; charset=utf-8", header.Get("Content-Type"))
	require.Equal(t, "id,ssn\n1,<hidden>\n2,<hidden>\n", text)

	_, _, missing := h.fetch(t, bob, "/v1/recordings/"+strings.Repeat("0", 26)+"/shown")
	for _, what := range []string{"shown", "find?text=x", "cast", "text", "rows", "proof"} {
		status, _, text := h.fetch(t, bob, at+"/"+what)
		require.Equal(t, http.StatusNotFound, status, what)
		require.Equal(t, missing, text, "what is not hers is like what is not there")
		require.Equal(t, http.StatusUnauthorized, h.ask(t, "", "GET", at+"/"+what, nil, nil))
	}
	for _, wrong := range []string{"find", "find?text=" + strings.Repeat("x", 201), "find?text=%ff", "shown?op=x", "shown?op=-1"} {
		require.Equal(t, http.StatusBadRequest, h.ask(t, alice, "GET", at+"/"+wrong, nil, nil), wrong)
	}
	require.NoError(t, h.stop())
	read := 0
	for _, e := range h.records(t)[""] {
		if e.Type == audit.AdminRead && e.User == "root" && e.Session == id {
			require.Equal(t, "shown", e.Reason)
			read++
		}
	}
	require.Equal(t, 1, read, "who looks is on record")
}
