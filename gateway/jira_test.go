package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/jira"
	"github.com/sallyport/sallyport/review/reviewtest"
)

// jiraSite is one issue in Jira Cloud, and who has moved it.
type jiraSite struct {
	*reviewtest.HTTP
	mu       sync.Mutex
	by, to   string // the latest change of its status
	moves    int
	comments []string
	emails   map[string]string
}

func newJiraSite(t *testing.T) *jiraSite {
	j := &jiraSite{to: "Waiting", emails: map[string]string{"a-bob": "bob@example.com", "a-alice": "alice@example.com", "a-carol": "", "a-dave": "", "a-twin": "twins@example.com"}}
	j.HTTP = reviewtest.NewHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		j.mu.Lock()
		defer j.mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		path := strings.TrimPrefix(r.URL.Path, "/rest/api/2/")
		switch {
		case r.Header.Get("Authorization") != "Basic Z3dAZXhhbXBsZS5jb206aHVudGVyMg==": // gw@example.com:hunter2
			w.WriteHeader(http.StatusUnauthorized)
		case path == "myself":
			fmt.Fprint(w, `{"accountId":"a-gateway","accountType":"atlassian","active":true}`)
		case path == "user":
			id := r.URL.Query().Get("accountId")
			fmt.Fprintf(w, `{"accountId":%q,"accountType":"atlassian","emailAddress":%q,"active":true}`, id, j.emails[id])
		case path == "issue":
			fmt.Fprint(w, `{"id":"10001","key":"OPS-1"}`)
		case strings.HasSuffix(path, "/comment") && r.Method == http.MethodPost:
			var c struct{ Body string }
			_ = json.Unmarshal(body, &c)
			j.comments = append(j.comments, c.Body)
			fmt.Fprintf(w, `{"id":"1","created":%q}`, time.Now().UTC().Format("2006-01-02T15:04:05.000-0700"))
		case strings.HasSuffix(path, "/comment"):
			fmt.Fprint(w, `{"comments":[]}`)
		case strings.HasSuffix(path, "/transitions") && r.Method == http.MethodPost:
			var in struct{ Transition struct{ ID string } }
			_ = json.Unmarshal(body, &in)
			j.by, j.to = "a-gateway", map[string]string{"1": "Waiting", "2": "Approved", "3": "Declined"}[in.Transition.ID]
			j.moves++
			w.WriteHeader(http.StatusNoContent)
		case strings.HasSuffix(path, "/transitions"):
			fmt.Fprint(w, `{"transitions":[{"id":"1","to":{"name":"Waiting"}},{"id":"2","to":{"name":"Approved"}},{"id":"3","to":{"name":"Declined"}}]}`)
		default:
			history := ""
			if j.moves > 0 {
				history = fmt.Sprintf(`{"id":"%d","author":{"accountId":%q,"displayName":%q},"created":"2099-01-01T12:00:00.000+0000","items":[{"field":"status","fieldId":"status","toString":%q}]}`, j.moves, j.by, j.by, j.to)
			}
			fmt.Fprintf(w, `{"id":"10001","key":"OPS-1","fields":{"status":{"name":%q}},"changelog":{"total":%d,"histories":[%s]}}`, j.to, min(j.moves, 1), history)
		}
	})
	return j
}

func (j *jiraSite) move(by, to string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.by, j.to = by, to
	j.moves++
}

func (j *jiraSite) is() (status, said string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.comments) > 0 {
		said = j.comments[len(j.comments)-1]
	}
	return j.to, said
}

// jiraHouse is a gateway by which alice asks for vm1, and people decide in Jira.
func jiraHouse(t *testing.T, j *jiraSite, further string) (*house, *review.Request) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "jira.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: j.Leaf.Raw}), 0o600))
	t.Setenv("JIRA_TOKEN", "hunter2")
	t.Setenv("JIRA_SIGNING", "signing")
	v := verifier(t)
	text := strings.Replace(fmt.Sprintf(notifyConfig, v), "access: [", "access: [{name: ask, groups: [dev], resources: [vm1], allow: [exec], request: {approvers: [oncall]}}, ", 1)
	text = strings.Replace(text, "users: [{name: alice, groups: [dev],", fmt.Sprintf("users: [{name: bob, email: Bob@example.com, groups: [oncall], password: %[1]s}, {name: carol, groups: [dev], password: %[1]s}, "+
		"{name: dave, groups: [oncall], password: %[1]s}, {name: twin, email: twins@example.com, groups: [oncall], password: %[1]s}, {name: twin2, email: twins@example.com, groups: [oncall], password: %[1]s}, "+
		"{name: alice, email: alice@example.com, groups: [dev, oncall],", v), 1)
	h := open(t, dir, text+fmt.Sprintf("  - {type: jira, url: %q, private: true, ca: jira.pem, username: gw@example.com, token: env:JIRA_TOKEN, project: OPS, issue_type: Task, "+
		"statuses: {waiting: Waiting, approved: Approved, denied: Declined}, decide: true, people: {a-carol: carol, a-dave: dave}%s}\n", j.URL, further))
	alice := &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}
	terms, err := h.requestable(t.Context(), alice, "", "vm1", "")
	require.NoError(t, err)
	r, err := h.desk.Ask(t.Context(), alice, review.Ask{Resource: "vm1", Terms: terms[0], For: time.Hour, Reason: "INC-1"})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := h.state.store.Get(t.Context(), "jira-number", "jira/10001")
		return err == nil
	}, 30*time.Second, 5*time.Millisecond, "%v", h.log)
	return h, r
}

// TestDecideInJira: what somebody decides in Jira counts as what she decides herself, with the groups that she has now.
func TestDecideInJira(t *testing.T) {
	j := newJiraSite(t)
	h, r := jiraHouse(t, j, ", signing_secret: env:JIRA_SIGNING")
	hook := func(path, secret string) int {
		body := `{"webhookEvent":"jira:issue_updated","issue":{"id":"10001","key":"OPS-1"}}`
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		req.Header.Set("X-Hub-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		w := httptest.NewRecorder()
		h.API().ServeHTTP(w, req)
		return w.Code
	}
	require.Equal(t, http.StatusNotFound, hook("/jira/other", "signing"))
	require.Equal(t, http.StatusNotFound, hook("/slack/jira", "signing"))
	require.Equal(t, http.StatusUnauthorized, hook("/jira/jira", "guessed"))
	for _, c := range []struct{ by, want string }{
		{"a-alice", "your own request"}, {"a-carol", "not one of its approvers"}, {"a-twin", "several people"}, {"a-nobody", "does not tell your mail address"},
	} {
		j.move(c.by, "Approved")
		require.Equal(t, http.StatusOK, hook("/jira/jira", "signing"), c.by)
		status, said := j.is()
		require.Contains(t, said, c.want, c.by)
		require.Equal(t, "Waiting", status)
	}
	now, err := h.desk.Get(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, review.Pending, now.State)
	j.move("a-bob", "Approved")
	require.Equal(t, http.StatusOK, hook("/jira/jira", "signing"))
	now, err = h.desk.Get(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, review.Approved, now.State)
	require.Equal(t, "bob", now.DecidedBy)
	require.Equal(t, "jira jira OPS-1", now.Channel)
	require.Eventually(t, func() bool {
		_, said := j.is()
		return strings.Contains(said, "bob approved the request of alice for access to vm1")
	}, 30*time.Second, 5*time.Millisecond, "%v", h.log)
	require.NotContains(t, h.log.String(), "hunter2")
	require.NoError(t, h.stop())
	refused := 0
	for _, e := range h.records(t)[""] {
		if e.Type == audit.AdminRefused && e.Action == audit.AdminDecide {
			refused++
			require.Contains(t, e.Reason, r.ID)
		}
	}
	require.Equal(t, 2, refused, "own, and not an approver")
}

// TestDecideInJiraPolled: without a webhook the gateway reads issues; a reload that takes the channel out ends that.
func TestDecideInJiraPolled(t *testing.T) {
	j := newJiraSite(t)
	h, r := jiraHouse(t, j, ", poll: 5s")
	first := h.parts().notifiers[0].watch
	require.NotNil(t, first)
	require.Equal(t, 5*time.Second, first.(*jira.Decisions).Every)
	j.move("a-dave", "Declined")
	require.Eventually(t, func() bool {
		now, err := h.desk.Get(t.Context(), r.ID)
		return err == nil && now.State == review.Denied
	}, 30*time.Second, 20*time.Millisecond, "%v", h.log)
	now, err := h.desk.Get(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, "dave", now.DecidedBy)
	require.Equal(t, "denied in OPS-1", now.Reason)
	text, err := os.ReadFile(h.parts().config.Name())
	require.NoError(t, err)
	before, _, _ := strings.Cut(string(text), "notify:")
	require.NoError(t, os.WriteFile(h.parts().config.Name(), []byte(before), 0o600))
	require.NoError(t, h.Reload())
	require.Eventually(t, func() bool { // the lease is given back
		_, err := h.state.store.Acquire(t.Context(), "jira jira", "test", time.Minute)
		return err == nil
	}, 30*time.Second, 5*time.Millisecond)
}
