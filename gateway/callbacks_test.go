package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/teststore"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/store"
)

// slackHouse is a gateway in which people decide in channels of Slack, with a request of alice's for vm1.
type slackHouse struct {
	*house
	r       *review.Request
	email   atomic.Value // of who presses
	blocks  atomic.Value // of the message that was written last
	presses int
	clock   *teststore.Clocked
	ahead   time.Duration        // how far it, and Slack's, is ahead of the machine's
	lines   chan *websocket.Conn // that the gateway has opened to Slack
}

// service starts a Slack, whose certificate is in a file then, for a gateway that is opened with it.
func (s *slackHouse) service(t *testing.T, ca string) (url string) {
	t.Helper()
	s.lines = make(chan *websocket.Conn, 8)
	server := reviewtest.NewHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		switch strings.TrimPrefix(r.URL.Path, "/api/") {
		case "users.info":
			fmt.Fprintf(w, `{"ok":true,"user":{"id":"U1","team_id":"T1","is_email_confirmed":true,"profile":{"email":%q}}}`, s.email.Load())
		case "apps.connections.open":
			if r.Header.Get("Authorization") != "Bearer xapp-hunter3" {
				fmt.Fprint(w, `{"ok":false,"error":"not_allowed_token_type"}`)
				return
			}
			fmt.Fprintf(w, `{"ok":true,"url":"wss://%s/api/link"}`, r.Host)
		case "link":
			if conn, err := websocket.Accept(w, r, nil); err == nil {
				s.lines <- conn
			}
		default:
			s.blocks.Store(r.FormValue("blocks"))
			fmt.Fprint(w, `{"ok":true,"channel":"C0123456789","ts":"17.1"}`)
		}
	})
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Leaf.Raw}), 0o600))
	t.Setenv("SLACK_TOKEN", "xoxb-hunter2")
	t.Setenv("SLACK_SIGNING", "signing")
	t.Setenv("SLACK_APP", "xapp-hunter3")
	return server.URL + "/api"
}

// openSlack opens a gateway with channels of Slack, of which each has settings of its own. Slack signs what it sends to those that have no
// app_token.
func openSlack(t *testing.T, channels ...string) *slackHouse {
	t.Helper()
	dir := t.TempDir()
	s := &slackHouse{clock: &teststore.Clocked{Store: store.NewMemory()}}
	service := s.service(t, filepath.Join(dir, "slack.pem"))
	m := startMachine(t, dir, []string{"alice"})
	text := strings.Replace(fmt.Sprintf(notifyConfig, verifier(t)), "access: [", "access: [{name: ask, groups: [dev], resources: [vm1], allow: [exec], request: {approvers: [oncall]}}, ", 1)
	text = strings.Replace(text, "address: 127.0.0.1:1, username: u,", fmt.Sprintf("address: %q, username: %s, key: \"file:upstream\",", m.address, m.user), 1)
	text = strings.Replace(text, "users: [{name: alice, groups: [dev],", fmt.Sprintf("users: [{name: bob, email: Bob@example.com, groups: [oncall], password: %[1]s}, {name: carol, email: carol@example.com, groups: [dev], password: %[1]s}, "+
		"{name: twin, email: twins@example.com, groups: [oncall], password: %[1]s}, {name: twin2, email: twins@example.com, groups: [oncall], password: %[1]s}, {name: alice, email: alice@example.com, groups: [dev, oncall], ssh_keys: [%[2]q],", verifier(t), m.keys["alice"]), 1)
	for _, c := range channels {
		if !strings.Contains(c, "app_token") {
			c += ", signing_secret: env:SLACK_SIGNING"
		}
		text += fmt.Sprintf("  - {%s, type: slack, channel: C0123456789, token: env:SLACK_TOKEN, url: %q, ca: slack.pem}\n", c, service)
	}
	s.house = open(t, dir, text, func(o *Options) { o.Store = s.clock })
	s.asks(t)
	return s
}

var dev = &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}

// asks has alice ask for vm1.
func (s *slackHouse) asks(t *testing.T) review.Terms {
	t.Helper()
	terms, err := s.requestable(t.Context(), dev, "", "vm1", "")
	require.NoError(t, err)
	s.r, err = s.desk.Ask(t.Context(), dev, review.Ask{Resource: "vm1", Terms: terms[0], For: time.Hour, Reason: "INC-1"})
	require.NoError(t, err)
	return terms[0]
}

// passes lets time pass, by the store's clock and Slack's.
func (s *slackHouse) passes(t *testing.T, d time.Duration) {
	t.Helper()
	s.ahead += d
	s.clock.Set(s.ahead)
	require.Eventually(t, func() bool { return s.desk.Now().After(time.Now().Add(s.ahead - time.Minute)) }, 30*time.Second, 10*time.Millisecond)
}

// press sends what somebody decides, as Slack signs it.
func (s *slackHouse) press(path, as, verb, hash, reason string) *httptest.ResponseRecorder {
	body := s.pressed(as, verb, hash, reason)
	return s.send(path, body)
}

// pressed is the body of a callback.
func (s *slackHouse) pressed(as, verb, hash, reason string) string {
	return url.Values{"payload": {s.submitted(as, verb, hash, reason)}}.Encode()
}

// submitted is what a dialog sends.
func (s *slackHouse) submitted(as, verb, hash, reason string) string {
	s.presses++
	s.email.Store(as)
	return fmt.Sprintf(`{"type":"view_submission","trigger_id":"%d","team":{"id":"T1"},"user":{"id":"U1"},"view":{"callback_id":"sallyport-%s","private_metadata":"%s %s",
		"state":{"values":{"reason":{"reason":{"type":"plain_text_input","value":%q}}}}}}`, s.presses, verb, s.r.ID, hash, reason)
}

// send sends what Slack has just signed.
func (s *slackHouse) send(path, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	seconds := strconv.FormatInt(time.Now().Add(s.ahead).Unix(), 10)
	mac := hmac.New(sha256.New, []byte("signing"))
	fmt.Fprintf(mac, "v0:%s:%s", seconds, body)
	req.Header.Set("X-Slack-Request-Timestamp", seconds)
	req.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	w := httptest.NewRecorder()
	s.API().ServeHTTP(w, req)
	return w
}

// TestDecideInSlackBySocket: where Slack does not reach the gateway, people decide over a connection that the gateway opens; a reload that takes
// the channel out ends it.
func TestDecideInSlackBySocket(t *testing.T) {
	h := openSlack(t, "name: slack, app_token: env:SLACK_APP")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var line *websocket.Conn
	select {
	case line = <-h.lines:
	case <-ctx.Done():
		t.Fatalf("the gateway does not connect: %s", h.log)
	}
	type envelope struct {
		ID      string          `json:"envelope_id,omitempty"`
		Type    string          `json:"type,omitempty"`
		Payload json.RawMessage `json:"payload,omitempty"`
	}
	require.NoError(t, wsjson.Write(ctx, line, envelope{Type: "hello"}))
	press := func(as, verb string) string {
		payload := h.submitted(as, verb, h.r.Hash, "on call")
		require.NoError(t, wsjson.Write(ctx, line, envelope{as, "interactive", json.RawMessage(payload)}))
		var answer envelope
		require.NoError(t, wsjson.Read(ctx, line, &answer))
		require.Equal(t, as, answer.ID)
		return string(answer.Payload)
	}
	require.Contains(t, press("alice@example.com", "approve"), "your own request")
	require.Contains(t, press("eve@example.com", "approve"), "knows nobody")
	require.Empty(t, press("bob@example.com", "approve"))
	now, err := h.desk.Get(ctx, h.r.ID)
	require.NoError(t, err)
	require.Equal(t, review.Approved, now.State)
	require.Equal(t, "bob", now.DecidedBy)
	require.Equal(t, "slack slack", now.Channel)
	require.Equal(t, http.StatusNotFound, h.press("/slack/slack", "bob@example.com", "deny", h.r.Hash, "x").Code, "what comes otherwise is not taken")

	text, err := os.ReadFile(h.parts().config.Name())
	require.NoError(t, err)
	before, _, _ := strings.Cut(string(text), "  - {name: slack")
	require.NoError(t, os.WriteFile(h.parts().config.Name(), []byte(before), 0o600))
	require.NoError(t, h.Reload())
	_, _, err = line.Read(ctx)
	require.Error(t, err)
	require.NoError(t, ctx.Err(), "it is the gateway that ends it")
	require.NotContains(t, h.log.String(), "hunter")
}

// TestDecideElsewhere: a channel decides about its own resources alone, whatever its service signs, and for any person that it names.
func TestDecideElsewhere(t *testing.T) {
	h := openSlack(t, "name: dev, resources: [vm2]", "name: prod, resources: [vm1]")
	for _, verb := range []string{"approve", "deny"} {
		require.Contains(t, h.press("/slack/dev", "bob@example.com", verb, h.r.Hash, "x").Body.String(), review.ErrUnknown.Error())
		now, err := h.desk.Get(t.Context(), h.r.ID)
		require.NoError(t, err)
		require.Equal(t, review.Pending, now.State)
	}
	require.Empty(t, h.press("/slack/prod", "bob@example.com", "approve", h.r.Hash, "").Body.String())
	now, err := h.desk.Get(t.Context(), h.r.ID)
	require.NoError(t, err)
	require.Equal(t, review.Approved, now.State)
	require.NoError(t, h.stop())
	refused := 0
	for _, e := range h.records(t)[""] {
		if e.Type == audit.AdminRefused && e.Action == audit.AdminDecide {
			refused++
		}
	}
	require.Equal(t, 2, refused)
}

// TestDecideLate: what is pressed in Slack after the request has expired, was changed, withdrawn or decided, or after who presses has left the
// approvers, decides nothing, and says why; what is sent again, signed anew, is taken once.
func TestDecideLate(t *testing.T) {
	h := openSlack(t, "name: slack")
	ctx := t.Context()
	edit := func(length time.Duration) func(terms review.Terms) {
		return func(terms review.Terms) {
			_, err := h.desk.Edit(ctx, h.r.ID, dev, terms, review.Change{For: length})
			require.NoError(t, err)
		}
	}
	bob := &proxy.Identity{Subject: "bob", Groups: []string{"oncall"}}
	for name, c := range map[string]struct {
		meanwhile func(terms review.Terms)
		says      string
		state     review.State
	}{
		"expired":        {func(review.Terms) { h.passes(t, 9*time.Hour) }, "expired", review.Expired},
		"asked for less": {edit(30 * time.Minute), "read it again", review.Pending},
		"another reason": {func(terms review.Terms) {
			_, err := h.desk.Edit(ctx, h.r.ID, dev, terms, review.Change{Reason: "INC-2"})
			require.NoError(t, err)
		}, "read it again", review.Pending},
		"withdrawn": {func(review.Terms) {
			_, err := h.desk.Cancel(ctx, h.r.ID, dev)
			require.NoError(t, err)
		}, "was cancelled", review.Cancelled},
		"denied": {func(review.Terms) {
			_, err := h.desk.Deny(ctx, h.r.ID, review.Vote{By: bob, Hash: h.r.Hash, Reason: "no"})
			require.NoError(t, err)
		}, "was denied by bob", review.Denied},
		"taken back": {func(review.Terms) {
			_, err := h.desk.Approve(ctx, h.r.ID, review.Vote{By: bob, Hash: h.r.Hash}, review.Narrow{})
			require.NoError(t, err)
			_, err = h.desk.Revoke(ctx, h.r.ID, review.Vote{By: bob, Reason: "enough"}, false)
			require.NoError(t, err)
		}, "was revoked by bob", review.Revoked},
	} {
		t.Run(name, func(t *testing.T) {
			terms := h.asks(t)
			body := h.pressed("bob@example.com", "approve", h.r.Hash, "on call")
			c.meanwhile(terms)
			require.Contains(t, h.send("/slack/slack", body).Body.String(), c.says)
			require.Empty(t, h.send("/slack/slack", body).Body.String(), "the same again is not even looked at")
			require.Eventually(t, func() bool {
				now, err := h.desk.Get(ctx, h.r.ID)
				require.NoError(t, err)
				return now.State == c.state && (now.State == review.Revoked || len(now.Access.Votes) == 0)
			}, 10*time.Second, 10*time.Millisecond)
			if c.state == review.Pending {
				_, err := h.desk.Cancel(ctx, h.r.ID, dev)
				require.NoError(t, err)
			}
		})
	}
}

// TestDecideInSlack: what somebody decides in Slack counts as what she decides herself, with the groups that she has now.
func TestDecideInSlack(t *testing.T) {
	h := openSlack(t, "name: slack")
	r, press := h.r, h.press
	require.Equal(t, http.StatusNotFound, press("/slack/other", "bob@example.com", "approve", r.Hash, "").Code)
	for as, want := range map[string]string{
		"alice@example.com": "your own request", "carol@example.com": "not one of its approvers", "twins@example.com": "several people", "eve@example.com": "knows nobody",
	} {
		require.Contains(t, press("/slack/slack", as, "approve", r.Hash, "").Body.String(), want, as)
	}
	require.Contains(t, press("/slack/slack", "bob@example.com", "approve", strings.Repeat("00", 32), "").Body.String(), "read it again")
	_, err := h.proofs.members.Disable(t.Context(), "bob")
	require.NoError(t, err)
	require.Contains(t, press("/slack/slack", "bob@example.com", "approve", r.Hash, "").Body.String(), "knows nobody")
	_, err = h.proofs.members.Enable(t.Context(), "bob")
	require.NoError(t, err)
	now, err := h.desk.Get(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, review.Pending, now.State)
	host, port, err := net.SplitHostPort(h.Addr("ssh", "").String())
	require.NoError(t, err)
	ssh := func() string {
		n := startBare(t, "ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
			"-i", filepath.Join(h.dir, "alice"), "-p", port, "alice+vm1@"+host, "echo in")
		n.Wait()
		return n.out.String() + n.errs.String()
	}
	require.NotContains(t, ssh(), "in\n")

	w := press("/slack/slack", "bob@example.com", "approve", r.Hash, "on call")
	require.Equal(t, http.StatusOK, w.Code)
	require.Empty(t, w.Body.String())
	now, err = h.desk.Get(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, review.Approved, now.State)
	require.Equal(t, "bob", now.DecidedBy)
	require.Equal(t, "slack slack", now.Channel)
	require.Contains(t, ssh(), "in\n", "she gets in by it, with a real client")
	require.Contains(t, press("/slack/slack", "bob@example.com", "deny", r.Hash, "too late").Body.String(), "was approved by bob")
	require.NoError(t, h.stop())
	refused := 0
	for _, e := range h.records(t)[""] {
		if e.Type == audit.AdminRefused && e.Action == audit.AdminDecide {
			refused++
			require.Contains(t, e.Reason, r.ID)
		}
	}
	require.Equal(t, 4, refused, "own, not an approver, another hash, too late")
}
