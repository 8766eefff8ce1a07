package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/store/sqlstore"
)

// receiver is an endpoint that remembers what it was told, as "REQUEST EVENT".
type receiver struct {
	*reviewtest.HTTP
	mu    sync.Mutex
	taken []string
	last  string
}

// newReceiver starts one, whose certificate is in a file of its name in dir.
func newReceiver(t *testing.T, dir, name string) *receiver {
	t.Helper()
	r := &receiver{}
	r.HTTP = reviewtest.NewHTTP(t, func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		var m struct {
			Type string
			Data struct{ ID string }
		}
		_ = json.Unmarshal(body, &m)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.taken, r.last = append(r.taken, m.Data.ID+" "+strings.TrimPrefix(m.Type, "request.")), string(body)
	})
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Leaf.Raw}), 0o600))
	return r
}

func (r *receiver) has() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.taken)
}

// told waits until it was told so many things.
func (r *receiver) told(t *testing.T, h *house, want ...string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.has()) >= len(want) }, 30*time.Second, 5*time.Millisecond, "%v, the log:\n%s", want, h.log)
	require.ElementsMatch(t, want, r.has())
}

// keep writes notices, as who decides about requests does.
func (h *house) keep(t *testing.T, resource string, what ...string) {
	t.Helper()
	for _, w := range what {
		id, event, _ := strings.Cut(w, " ")
		n := reviewtest.Notice(w, event)
		n.Request.ID, n.Request.Resource, n.At = id, resource, time.Now()
		ws, err := h.outbox.Writes(n)
		require.NoError(t, err)
		if len(ws) > 0 {
			_, err = h.state.store.Write(t.Context(), ws...)
			require.NoError(t, err)
		}
	}
}

const notifyConfig = `
data_dir: data
listen: {ssh: 127.0.0.1:0}
identity: {users: [{name: alice, groups: [dev], password: %s}]}
resources:
  - {name: vm1, type: ssh, address: 127.0.0.1:1, username: u, ssh: {trust_on_first_use: true}, labels: {env: prod}}
  - {name: vm2, type: ssh, address: 127.0.0.1:1, username: u, ssh: {trust_on_first_use: true}, labels: {env: dev}}
access: [{groups: [dev], resources: ["*"], allow: [connect]}]
api: {listen: 127.0.0.1:0, url: "https://gw.example.com"}
notify:
`

// TestNotify: channels are told of what is kept, of what they want; a reload changes them and loses nothing that waits, and
// what is broken is seen.
func TestNotify(t *testing.T) {
	dir := t.TempDir()
	key := "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte(key), 0o600))
	a, b, moved := newReceiver(t, dir, "a.pem"), newReceiver(t, dir, "b.pem"), newReceiver(t, dir, "moved.pem")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "url"), []byte(b.URL+"/hunter2"), 0o600))
	channel := func(name, url, ca, further string) string {
		return fmt.Sprintf("  - {name: %s, type: webhook, url: %q, keys: [file:key], private: true, ca: %s%s}\n", name, url, ca, further)
	}
	file := func(channels ...string) string {
		return fmt.Sprintf(notifyConfig, verifier(t)) + strings.Join(channels, "")
	}
	h := open(t, dir, file(channel("all", a.URL, "a.pem", ""), channel("prod", "file:url", "b.pem", ", resources: {env: prod}, events: [asked, revoked]")))
	h.keep(t, "vm1", "r1 asked", "r1 approved")
	h.keep(t, "vm2", "r2 asked")
	h.keep(t, "gone", "r3 asked")
	a.told(t, h, "r1 asked", "r1 approved", "r2 asked", "r3 asked")
	b.told(t, h, "r1 asked")
	require.Contains(t, a.last, `"link":"https://gw.example.com/v1/requests/`)
	first := h.parts().notifiers

	b.Do(reviewtest.Fails)
	h.keep(t, "vm1", "r4 asked")
	a.told(t, h, "r1 asked", "r1 approved", "r2 asked", "r3 asked", "r4 asked")
	require.Eventually(t, func() bool {
		w := httptest.NewRecorder()
		h.metrics.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return strings.Contains(w.Body.String(), `sallyport_notices_failing{channel="prod"} 1`) && strings.Contains(w.Body.String(), `sallyport_notices_waiting{channel="prod"} 1`)
	}, 30*time.Second, 5*time.Millisecond)
	h.logs(t, "cannot be told of requests")
	require.NotContains(t, h.log.String(), "hunter2")
	list, err := h.outbox.Status(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Contains(t, list[1].Failure.Error, "500")
	require.NotContains(t, fmt.Sprint(list), "hunter2")

	// The channel is moved, and another is taken out: what waits goes to where it is now.
	require.NoError(t, os.WriteFile(h.parts().config.Name(), []byte(file(channel("prod", moved.URL, "moved.pem", ""), channel("all", a.URL, "a.pem", ""))), 0o600))
	require.NoError(t, h.Reload())
	require.Same(t, first[0].Notifier, h.parts().notifiers[1].Notifier, "what is as it was is used on")
	moved.told(t, h, "r4 asked")

	// What cannot be used changes nothing.
	require.NoError(t, os.WriteFile(h.parts().config.Name(), []byte(file(channel("prod", moved.URL, "missing.pem", ""))), 0o600))
	require.Error(t, h.Reload())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte("hunter2"), 0o600))
	require.NoError(t, os.WriteFile(h.parts().config.Name(), []byte(file(channel("prod", moved.URL, "moved.pem", ""))), 0o600))
	require.ErrorContains(t, h.Reload(), "a key begins with whsec_ or whsk_")
	h.keep(t, "vm2", "r5 asked")
	moved.told(t, h, "r4 asked", "r5 asked")
	problems := h.parts().config.Check(t.Context())
	require.Contains(t, problems.Error(), "notify prod: keys: what file:key leads to")
	require.NotContains(t, problems.Error(), "hunter2")

	// What waits when the gateway stops is sent after the next start.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte(key), 0o600))
	a.Do(reviewtest.Hangs)
	h.keep(t, "vm1", "r6 asked")
	moved.told(t, h, "r4 asked", "r5 asked", "r6 asked")
	require.NoError(t, h.stop())
	a.Do(reviewtest.Takes)
	h = open(t, dir, file(channel("all", a.URL, "a.pem", "")))
	require.Eventually(t, func() bool { return slices.Contains(a.has(), "r6 asked") }, 30*time.Second, 5*time.Millisecond, "%v", h.log)
}

// TestNotifyRequests: what becomes of a request is told, and told of what is kept.
func TestNotifyRequests(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte("whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600))
	a := newReceiver(t, dir, "a.pem")
	text := strings.Replace(fmt.Sprintf(notifyConfig, verifier(t)), "allow: [connect]}", "allow: [connect]}, {name: ask, groups: [dev], resources: [vm1], allow: [exec], request: {approvers: [\"local:ops\"]}}", 1)
	h := open(t, dir, text+fmt.Sprintf("  - {type: webhook, url: %q, keys: [file:key], private: true, ca: a.pem}\n", a.URL))
	alice := &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}
	ask := func() *review.Request {
		terms, err := h.requestable(t.Context(), alice, "", "vm1", "")
		require.NoError(t, err)
		r, err := h.desk.Ask(t.Context(), alice, review.Ask{Resource: "vm1", Terms: terms[0], For: time.Hour, Reason: "INC-1"})
		require.NoError(t, err)
		return r
	}
	r := ask()
	h.approve(t, r.ID)
	_, err := h.desk.Revoke(t.Context(), r.ID, review.Vote{By: olga, Reason: "enough"}, false)
	require.NoError(t, err)
	a.told(t, h, r.ID+" asked", r.ID+" approved", r.ID+" revoked")
	require.Equal(t, []string{r.ID + " asked", r.ID + " approved", r.ID + " revoked"}, a.has())
	a.Do(reviewtest.Hangs)
	begun := time.Now()
	second := ask()
	h.approve(t, second.ID)
	require.Less(t, time.Since(begun), 5*time.Second, "nobody waits for the channel")
}

// TestNotifyMail: approvers and the requester are told by mail at the addresses that the gateway knows.
func TestNotifyMail(t *testing.T) {
	dir := t.TempDir()
	server := reviewtest.NewSMTP(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mail.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Leaf.Raw}), 0o600))
	t.Setenv("MAIL_PASSWORD", "hunter2")
	v := verifier(t)
	text := fmt.Sprintf(`
data_dir: data
listen: {ssh: 127.0.0.1:0}
identity:
  users:
    - {name: alice, groups: [dev, oncall], password: %[1]s, email: alice@example.com}
    - {name: bob, groups: [oncall], password: %[1]s, email: bob@example.com}
    - {name: carol, groups: [dev], password: %[1]s, email: carol@example.com}
    - {name: dave, groups: [oncall], password: %[1]s, email: dave@example.com, expires: 2020-01-01}
    - {name: erin, groups: [oncall], password: %[1]s, email: erin@example.com}
    - {name: frank, groups: [oncall], password: %[1]s}
resources: [{name: vm1, type: ssh, address: 127.0.0.1:1, username: u, ssh: {trust_on_first_use: true}}]
access: [{groups: [dev], resources: ["*"], allow: [connect]}]
notify:
  - {name: approvers, type: smtp, address: %[2]q, username: gw, password: env:MAIL_PASSWORD, from: gw@example.com, to: [approvers], ca: mail.pem, events: [asked]}
  - {name: requester, type: smtp, address: %[2]q, username: gw, password: env:MAIL_PASSWORD, from: gw@example.com, to: [requester, log@example.com], ca: mail.pem, events: [denied]}
`, v, server.Address)
	h := open(t, dir, text)
	members := h.proofs.members
	for subject, m := range map[string][]string{"dev/7": {"oncall"}, "dev/8": {"dba"}, "gone": {"oncall"}, "dev/9": {"oncall"}, "dev/10": {"local:oncall"}} {
		require.NoError(t, members.Saw(t.Context(), &proxy.Identity{Subject: subject, Groups: m, Claims: map[string]string{"email": strings.ReplaceAll(subject, "/", "") + "@example.com"}}))
	}
	_, err := members.Disable(t.Context(), "dev/9")
	require.NoError(t, err)
	_, err = members.Disable(t.Context(), "erin")
	require.NoError(t, err)
	h.keep(t, "vm1", "r1 asked", "r1 denied") // by alice, of oncall
	require.Eventually(t, func() bool { return server.Taken() == 2 }, 30*time.Second, 5*time.Millisecond, "%v", h.log)
	by := make(map[string][]string)
	for _, m := range server.Mails() {
		require.Equal(t, "hunter2", m.Password)
		for _, to := range m.To {
			by[to] = append(by[to], regexp.MustCompile(`(?m)^Subject: (.*)\r$`).FindStringSubmatch(m.Data)[1])
		}
	}
	require.Equal(t, map[string][]string{
		"bob@example.com": {"alice asks for access to vm1"}, "dev7@example.com": {"alice asks for access to vm1"},
		"alice@example.com": {"bob denied the request of alice for access to vm1"}, "log@example.com": {"bob denied the request of alice for access to vm1"},
	}, by)
}

// TestNotifySlack: which message is about which request is in the store, so that a gateway that starts anew changes it.
func TestNotifySlack(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	var calls []string
	server := reviewtest.NewHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, r.URL.Path+" "+r.PostForm.Get("text"))
		fmt.Fprint(w, `{"ok":true,"channel":"C0123456789","ts":"17.1"}`)
	})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "slack.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Leaf.Raw}), 0o600))
	t.Setenv("SLACK_TOKEN", "xoxb-hunter2")
	text := fmt.Sprintf(notifyConfig, verifier(t)) + fmt.Sprintf("  - {type: slack, channel: C0123456789, token: env:SLACK_TOKEN, url: %q, ca: slack.pem}\n", server.URL+"/api")
	h := open(t, dir, text)
	h.keep(t, "vm1", "r1 asked")
	require.Eventually(t, func() bool { return server.Taken() == 1 }, 30*time.Second, 5*time.Millisecond, "%v", h.log)
	require.Eventually(t, func() bool { // else it may not be known where the message is, and another one is written
		list, err := h.outbox.Status(t.Context())
		return err == nil && !slices.ContainsFunc(list, func(s review.ChannelStatus) bool { return s.Waiting > 0 })
	}, 30*time.Second, 5*time.Millisecond, "%v", h.log)
	require.NoError(t, h.stop())
	h = open(t, dir, text)
	h.keep(t, "vm1", "r1 denied")
	require.Eventually(t, func() bool { return server.Taken() == 2 }, 30*time.Second, 5*time.Millisecond, "%v", h.log)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []string{"/api/chat.postMessage alice asks for access to vm1", "/api/chat.update bob denied the request of alice for access to vm1"}, calls)
}

// TestNotifyServices: channels of the other types tell with what their references lead to.
func TestNotifyServices(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	told := make(map[string]string)
	server := reviewtest.NewHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		told[r.URL.RequestURI()] = r.Header.Get("Authorization") + string(body)
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"status":"success"}`)
	})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Leaf.Raw}), 0o600))
	t.Setenv("TEAMS_URL", server.URL+"/teams?sig=hunter2")
	t.Setenv("PAGERDUTY_KEY", "e93facc04764012d7bfb002500d5d1a6")
	t.Setenv("OPSGENIE_KEY", "hunter3")
	h := open(t, dir, fmt.Sprintf(notifyConfig, verifier(t))+fmt.Sprintf(`  - {type: teams, url: env:TEAMS_URL, private: true, ca: ca.pem}
  - {type: pagerduty, key: env:PAGERDUTY_KEY, url: %[1]q, private: true, ca: ca.pem}
  - {type: opsgenie, key: env:OPSGENIE_KEY, url: %[1]q, private: true, ca: ca.pem}
`, server.URL))
	h.keep(t, "vm1", "r1 asked")
	require.Eventually(t, func() bool { return server.Taken() == 3 }, 30*time.Second, 5*time.Millisecond, "%v", h.log)
	mu.Lock()
	defer mu.Unlock()
	require.Contains(t, told["/teams?sig=hunter2"], `"url":"https://gw.example.com/v1/requests/r1"`)
	require.Contains(t, told["/v2/enqueue"], `"routing_key":"e93facc04764012d7bfb002500d5d1a6"`)
	require.Contains(t, told["/v2/alerts"], `GenieKey hunter3{`)
	require.Contains(t, told["/v2/alerts"], `"alias":"sallyport-r1"`)
	require.NotContains(t, h.log.String(), "hunter")
}

// TestDecides: who is told that she may decide is in a group of every list; everybody is nobody in particular.
func TestDecides(t *testing.T) {
	id := &proxy.Identity{Groups: []string{"oncall", "dba"}}
	for _, c := range []struct {
		want      bool
		approvers [][]string
	}{{true, [][]string{{"oncall"}}}, {true, [][]string{{"x", "oncall"}, {"dba"}}}, {false, [][]string{{"oncall"}, {"x"}}}, {false, [][]string{{"*"}}}, {false, nil}} {
		require.Equal(t, c.want, decides(id, &review.Request{State: review.Pending, Approvers: c.approvers}), c.approvers)
	}
	r := reviewtest.Notice("n", "approved").Request
	require.True(t, decides(id, &r))
	r.Access.Stages[0].Approvers = []string{"x"}
	require.False(t, decides(id, &r))
}

// TestNotifyStores: of gateways that share a store one sends, in the order of each request; another goes on when it stops.
func TestNotifyStores(t *testing.T) {
	server, database := testserver.Database(t, "")
	file := filepath.Join(t.TempDir(), "store.db")
	for name, dial := range map[string]func(ctx context.Context) (*sqlstore.Store, error){
		"SQLite": func(ctx context.Context) (*sqlstore.Store, error) {
			return sqlstore.OpenSQLite(ctx, file, sqlstore.Options{})
		},
		"PostgreSQL": func(ctx context.Context) (*sqlstore.Store, error) {
			return sqlstore.OpenPostgres(ctx, fmt.Sprintf("postgres://postgres@%s/%s", server.Address(), database), sqlstore.Options{
				Password: func(context.Context) (string, error) { return server.Password, nil },
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := &diary{by: make(map[string][]string)}
			var boxes []*review.Outbox
			var stops []func()
			for range 2 {
				s, err := dial(t.Context())
				require.NoError(t, err)
				t.Cleanup(func() { s.Close() })
				o := &review.Outbox{Store: s, Log: slog.New(slog.DiscardHandler)}
				require.NoError(t, o.Use([]review.Channel{{Name: "a", Notifier: n}}))
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan struct{})
				go func() { defer close(done); o.Run(ctx) }()
				stop := func() { cancel(); <-done }
				t.Cleanup(stop)
				boxes, stops = append(boxes, o), append(stops, stop)
			}
			const requests = 30
			write := func(o *review.Outbox, events ...string) {
				for i := range requests {
					for _, event := range events {
						of := reviewtest.Notice(fmt.Sprint(i, event), event)
						of.Request.ID, of.At = fmt.Sprint("r", i), time.Now()
						ws, err := o.Writes(of)
						require.NoError(t, err)
						_, err = o.Store.Write(t.Context(), ws...)
						require.NoError(t, err)
					}
				}
			}
			write(boxes[0], "asked", "voted")
			require.Eventually(t, func() bool { return n.len() == 2*requests }, 30*time.Second, 5*time.Millisecond)
			first := 0
			if boxes[1].Stats() != nil {
				first = 1
			}
			require.Nil(t, boxes[1-first].Stats())
			stops[first]()
			write(boxes[first], "approved", "ended")
			require.Eventually(t, func() bool { return n.len() == 4*requests }, 30*time.Second, 5*time.Millisecond)
			for id, events := range n.by {
				require.Equal(t, []string{"asked", "voted", "approved", "ended"}, events, id)
			}
		})
	}
}

// diary is a notifier that remembers what it was told of each request.
type diary struct {
	mu sync.Mutex
	n  int
	by map[string][]string
}

func (o *diary) Notify(_ context.Context, n *review.Notice) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n++
	o.by[n.Request.ID] = append(o.by[n.Request.ID], n.Event)
	return nil
}

func (o *diary) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n
}
