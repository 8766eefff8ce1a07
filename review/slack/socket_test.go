package slack_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

const appToken = "xapp-1-hunter3"

// text is a log that is written and read at once.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// line is Slack's end of Socket Mode.
type line struct {
	*decider
	log   *text
	conns chan *websocket.Conn // that were opened
	conn  *websocket.Conn      // the latest
	n     int                  // envelopes
}

// newLine has a decider connect to Slack, until the test ends.
func newLine(t *testing.T, s store.Store) *line {
	l := &line{decider: newDecider(t, s), log: &text{}, conns: make(chan *websocket.Conn, 8)}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		l.conns <- conn
	}))
	t.Cleanup(server.Close)
	l.slack.answers("apps.connections.open", fmt.Sprintf(`{"ok":true,"url":"wss%s/link?ticket=hunter4"}`, strings.TrimPrefix(server.URL, "https")))
	c := l.slack.config(s)
	c.TLS = c.TLS.Clone()
	c.TLS.RootCAs = c.TLS.RootCAs.Clone()
	c.TLS.RootCAs.AddCert(server.Certificate())
	c.Decide, c.App = true, proxy.NewSecret(appToken)
	l.Notifier, l.Signing, l.Log = open(t, c), proxy.Secret{}, slog.New(slog.NewTextHandler(l.log, nil))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		for _, secret := range []string{token, appToken, "hunter4"} {
			require.NotContains(t, l.log.String(), secret)
		}
	})
	return l
}

// opened waits for a connection.
func (l *line) opened(t *testing.T) {
	t.Helper()
	select {
	case l.conn = <-l.conns:
	case <-time.After(20 * time.Second):
		t.Fatalf("nobody connects: %s", l.log)
	}
	l.says(t, map[string]any{"type": "hello", "num_connections": 1})
}

func (l *line) says(t *testing.T, v any) {
	t.Helper()
	require.NoError(t, wsjson.Write(t.Context(), l.conn, v))
}

// send sends an envelope of a type, and returns its identifier.
func (l *line) send(t *testing.T, typ, payload string) string {
	t.Helper()
	l.n++
	id := fmt.Sprintf("envelope-%d", l.n)
	l.says(t, map[string]any{"type": typ, "envelope_id": id, "accepts_response_payload": true, "payload": json.RawMessage(payload)})
	return id
}

// answer is what comes back.
func (l *line) answer(t *testing.T) (id, payload string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var a struct {
		ID      string          `json:"envelope_id"`
		Payload json.RawMessage `json:"payload"`
	}
	require.NoError(t, wsjson.Read(ctx, l.conn, &a))
	return a.ID, string(a.Payload)
}

// decisions are those that were made.
func (l *line) decisions() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.done...)
}

// TestSocket: over a connection that the gateway has opened, a button opens a dialog, and what is said there is decided once, or the dialog
// says why not.
func TestSocket(t *testing.T) {
	s := store.NewMemory()
	l := newLine(t, s)
	l.opened(t)
	carried := "4jzq7nbkw2 " + strings.Repeat("ab", 32)
	want := l.send(t, "interactive", fmt.Sprintf(`{"type":"block_actions","trigger_id":"t","user":{"id":"U1"},"actions":[{"action_id":"sallyport-approve","block_id":"b","type":"button","value":%q}]}`, carried))
	id, payload := l.answer(t)
	require.Equal(t, want, id)
	require.Empty(t, payload)
	calls := l.slack.asked()
	require.Equal(t, "views.open", calls[len(calls)-1].method)

	pressed := submit("approve", carried, "on call")
	for range 2 { // it is sent again when the answer was lost
		want = l.send(t, "interactive", pressed)
		id, payload = l.answer(t)
		require.Equal(t, want, id)
		require.Empty(t, payload)
	}
	require.Equal(t, []string{"approve " + carried + " bob: on call"}, l.decisions())

	l.mu.Lock()
	l.err = review.ErrOwn
	l.mu.Unlock()
	want = l.send(t, "interactive", submit("approve", carried, ""))
	id, payload = l.answer(t)
	require.Equal(t, want, id)
	require.JSONEq(t, fmt.Sprintf(`{"response_action":"errors","errors":{"reason":%q}}`, review.ErrOwn.Error()), payload)

	for _, typ := range []string{"slash_commands", "events_api", "tomorrow's"} { // which the gateway has no use for
		want = l.send(t, typ, `{"command":"/approve"}`)
		id, payload = l.answer(t)
		require.Equal(t, want, id)
		require.Empty(t, payload)
	}
	want = l.send(t, "interactive", `["neither"]`)
	id, _ = l.answer(t)
	require.Equal(t, want, id)
	require.Len(t, l.decisions(), 1)
}

// TestSocketEnds: when a connection ends, or Slack renews it, there is another, and the log says once that there was none.
func TestSocketEnds(t *testing.T) {
	l := newLine(t, store.NewMemory())
	l.opened(t)
	for name, end := range map[string]func(){
		"renewed": func() { l.says(t, map[string]any{"type": "disconnect", "reason": "refresh_requested"}) },
		"cut":     func() { l.conn.CloseNow() },
		"not JSON": func() {
			require.NoError(t, l.conn.Write(t.Context(), websocket.MessageText, []byte("{")))
		},
		"too much": func() {
			// It is hung up on in the middle of it.
			_ = l.conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"`+strings.Repeat("x", 300<<10)+`"}`))
		},
	} {
		end()
		l.opened(t)
		want := l.send(t, "interactive", `{"type":"shortcut"}`)
		id, _ := l.answer(t)
		require.Equal(t, want, id, name)
	}
	require.Equal(t, 3, strings.Count(l.log.String(), "is taken again"))

	l.slack.answers("apps.connections.open", `{"ok":false,"error":"invalid_auth"}`)
	l.conn.CloseNow()
	calls := func() (n int) {
		for _, c := range l.slack.asked() {
			if c.method == "apps.connections.open" {
				n++
			}
		}
		return n
	}
	before := calls()
	require.Eventually(t, func() bool { return calls() >= before+2 }, 30*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool { return calls() >= before+3 }, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, 1, strings.Count(l.log.String(), "invalid_auth"))
}

// TestSocketAddress: a connection is opened to an address with TLS alone, whatever the answer says, and what is wrong is said without it.
func TestSocketAddress(t *testing.T) {
	l := newLine(t, store.NewMemory())
	l.opened(t)
	l.slack.answers("apps.connections.open", `{"ok":true,"url":"ws://127.0.0.1:1/link?ticket=hunter4"}`)
	before := len(l.slack.asked())
	l.conn.CloseNow()
	asked := func(more int) func() bool {
		return func() bool { return len(l.slack.asked()) >= before+more }
	}
	require.Eventually(t, asked(1), time.Minute, 10*time.Millisecond)
	l.slack.answers("apps.connections.open", `{"ok":true,"url":"wss://127.0.0.1:1/link?ticket=hunter4"}`) // where nobody listens
	require.Eventually(t, asked(2), time.Minute, 10*time.Millisecond)
	l.slack.answers("apps.connections.open", `{"ok":true,"url":""}`)
	require.Eventually(t, asked(3), time.Minute, 10*time.Millisecond)
	require.Contains(t, l.log.String(), "begins with wss://")
	require.Empty(t, l.conns)
}

// down is a store that does not answer.
type down struct{ store.Store }

func (down) Head(context.Context) (int64, time.Time, error) {
	return 0, time.Time{}, errors.New("down")
}

// TestSocketStoreDown: what cannot be known to be new is neither decided nor answered.
func TestSocketStoreDown(t *testing.T) {
	l := newLine(t, down{store.NewMemory()})
	l.opened(t)
	l.send(t, "interactive", submit("approve", "r h", ""))
	want := l.send(t, "slash_commands", `{}`)
	id, _ := l.answer(t)
	require.Equal(t, want, id)
	require.Eventually(t, func() bool { return strings.Contains(l.log.String(), "down") }, 20*time.Second, 10*time.Millisecond)
	require.Empty(t, l.decisions())
}
