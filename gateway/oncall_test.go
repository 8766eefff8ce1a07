package gateway

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/reviewtest"
)

// again forgets who is on call, so that the service is asked with the next question.
func (h *house) again(list string) {
	r := h.parts().rosters[list]
	r.turn <- struct{}{}
	r.at = time.Time{}
	<-r.turn
}

// TestOnCall: those on call decide about requests, are told of them and see them, as the one person of their mail address.
func TestOnCall(t *testing.T) {
	dir := t.TempDir()
	var onCall atomic.Value // mail addresses
	var down atomic.Bool
	onCall.Store("bob@example.com,twins@example.com,nobody@example.com")
	server := reviewtest.NewHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		list := strings.Split(onCall.Load().(string), ",")
		switch {
		case down.Load():
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/oncalls" && r.Header.Get("Authorization") == "Token token=hunter2":
			for i, email := range list {
				list[i] = fmt.Sprintf(`{"user":{"email":%q},"escalation_level":1}`, email)
			}
			fmt.Fprintf(w, `{"oncalls":[%s],"more":false}`, strings.Join(list, ","))
		case r.URL.Path == "/v2/schedules/DBA/on-calls" && r.Header.Get("Authorization") == "GenieKey hunter2":
			fmt.Fprintf(w, `{"data":{"onCallRecipients":["%s"]}}`, strings.Join(list, `","`))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Leaf.Raw}), 0o600))
	mails := reviewtest.NewSMTP(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mail.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: mails.Leaf.Raw}), 0o600))
	t.Setenv("ONCALL_TOKEN", "hunter2")
	h := open(t, dir, fmt.Sprintf(`
data_dir: data
listen: {ssh: 127.0.0.1:0}
identity:
  users:
    - {name: alice, groups: [dev], password: %[1]s, email: alice@example.com}
    - {name: bob, groups: [dev], password: %[1]s, email: Bob@example.com}
    - {name: carol, groups: [ops], password: %[1]s, email: carol@example.com}
    - {name: twin, groups: [dev], password: %[1]s, email: twins@example.com}
    - {name: twin2, groups: [dev], password: %[1]s, email: twins@example.com}
resources: [{name: vm1, type: ssh, address: 127.0.0.1:1, username: u, ssh: {trust_on_first_use: true}}]
access:
  - {name: ask, groups: [dev], resources: ["*"], allow: [connect, exec], request: {approvers: ["oncall:payments"]}}
  - {name: dba, groups: [dev], resources: ["*"], allow: [connect, shell], request: {approvers: ["oncall:dba"]}}
oncall:
  - {name: payments, type: pagerduty, schedule: PI7DH85, token: env:ONCALL_TOKEN, url: %[2]q, private: true, ca: ca.pem}
  - {name: dba, type: opsgenie, schedule: DBA, groups: [ops], token: env:ONCALL_TOKEN, url: %[2]q, private: true, ca: ca.pem}
notify:
  - {name: mails, type: smtp, address: %[3]q, from: gw@example.com, to: [approvers], ca: mail.pem, events: [asked]}
`, verifier(t), server.URL, mails.Address))
	alice := &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}
	who := func(name string, groups ...string) *proxy.Identity {
		return &proxy.Identity{Subject: name, Groups: groups}
	}
	ask := func(rule int) *review.Request {
		terms, err := h.requestable(t.Context(), alice, "", "vm1", "")
		require.NoError(t, err)
		r, err := h.desk.Ask(t.Context(), alice, review.Ask{Resource: "vm1", Terms: terms[rule], For: time.Hour, Reason: "INC-1"})
		require.NoError(t, err)
		return r
	}
	approve := func(r *review.Request, by *proxy.Identity) error {
		_, err := h.desk.Approve(t.Context(), r.ID, review.Vote{By: by, Hash: r.Hash}, review.Narrow{})
		return err
	}
	r := ask(0)
	require.Equal(t, []string{"bob"}, r.Called)
	for _, by := range []*proxy.Identity{who("twin"), who("carol", "ops"), who("nobody@example.com"), who("eve", "oncall:payments")} {
		require.ErrorIs(t, approve(r, by), review.ErrIneligible, by.Subject)
	}
	asked := server.Taken()
	require.NoError(t, approve(r, who("bob", "dev")))
	require.Equal(t, asked, server.Taken(), "it is not asked with each vote")

	// A list of some groups, and somebody who comes on call.
	onCall.Store("bob@example.com,carol@example.com")
	h.again("dba")
	r = ask(1)
	require.ErrorIs(t, approve(r, who("bob", "dev")), review.ErrIneligible)
	require.NoError(t, approve(r, who("carol", "ops")))
	require.Eventually(t, func() bool { return mails.Taken() == 2 }, 30*time.Second, 5*time.Millisecond, "%v", h.log)
	to := make(map[string]int)
	for _, m := range mails.Mails() {
		require.Len(t, m.To, 1)
		to[strings.ToLower(m.To[0])]++
	}
	require.Equal(t, map[string]int{"bob@example.com": 1, "carol@example.com": 1}, to)

	// While the service is down nobody is on call, and it is not asked by each request.
	down.Store(true)
	h.again("payments")
	other, err := h.desk.Ask(t.Context(), who("twin", "dev"), review.Ask{Resource: "vm1", Terms: mustTerms(t, h), For: time.Hour, Reason: "INC-2"})
	require.NoError(t, err)
	require.ErrorIs(t, approve(other, who("bob", "dev")), review.ErrOnCall)
	asked = server.Taken()
	require.ErrorIs(t, approve(other, who("bob", "dev")), review.ErrOnCall)
	require.Equal(t, asked, server.Taken())
	require.NotContains(t, h.log.String(), "hunter2")
	down.Store(false)
	h.again("payments")
	may, err := h.desk.ApproverOf(t.Context(), other, who("bob", "dev"))
	require.NoError(t, err)
	require.True(t, may)

	// A list that the file does not have any more makes nobody an approver.
	_, err = h.onCall(t.Context(), "gone")
	require.Error(t, err)
	require.False(t, errors.Is(err, review.ErrOnCall))
	w := httptest.NewRecorder()
	h.API().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/requests", nil))
	require.Equal(t, http.StatusUnauthorized, w.Code)
}

func mustTerms(t *testing.T, h *house) review.Terms {
	t.Helper()
	terms, err := h.requestable(t.Context(), &proxy.Identity{Subject: "twin", Groups: []string{"dev"}}, "", "vm1", "")
	require.NoError(t, err)
	return terms[0]
}
