package jira_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/jira"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/store"
)

const token = "ATATT3-hunter2"

// comment is one of an issue.
type comment struct {
	author, body string
	at           time.Time
}

// change is one of an issue's history.
type change struct {
	id, author, field, to string
	at                    time.Time
}

// issue is one in Jira.
type issue struct {
	id, summary, description, status string
	comments                         []comment
	changes                          []change
	approvals                        string // as the service desk's API shows them
	gone                             bool
	total                            int // of changes; 0: all are shown
}

// user is an account in Jira.
type user struct {
	kind, email string
	inactive    bool
}

// fake is Jira as its references say: the platform's REST API 2 of Jira Cloud or Data Center, and the service desk's.
type fake struct {
	*reviewtest.HTTP
	cloud bool
	mu    sync.Mutex
	now   time.Time
	list  []*issue
	users map[string]user
	calls []string // METHOD PATH?QUERY
	told  int      // notices: issues made, and comments
	fails map[string]int
	flow  map[string][]string // statuses that transitions lead to
	sent  map[string]any      // the body of the latest issue
}

// self is the gateway's own account.
const self = "5b10a2844c20165700ede21g"

func newFake(t *testing.T, cloud bool) *fake {
	f := &fake{
		cloud: cloud, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), fails: make(map[string]int),
		users: map[string]user{self: {kind: "atlassian"}, "bob": {kind: "atlassian", email: "bob@example.com"}},
		flow:  map[string][]string{"Waiting": {"Approved", "Declined", "Closed"}, "Approved": {"Waiting", "Closed"}, "Declined": {"Waiting"}},
	}
	f.HTTP = reviewtest.NewHTTP(t, f.serve)
	return f
}

// Taken is how many notices were taken, whatever that took.
func (f *fake) Taken() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told
}

func (f *fake) tick() time.Time {
	f.now = f.now.Add(time.Second)
	return f.now
}

const layout = "2006-01-02T15:04:05.000-0700"

func (f *fake) person(id string) string {
	u := f.users[id]
	if f.cloud {
		return fmt.Sprintf(`{"self":"x","accountId":%q,"accountType":%q,"emailAddress":%q,"displayName":"the %s","active":%t}`, id, u.kind, u.email, id, !u.inactive)
	}
	return fmt.Sprintf(`{"self":"x","key":%q,"name":"n-%s","emailAddress":%q,"displayName":"the %s","active":%t}`, id, id, u.email, id, !u.inactive)
}

func (i *issue) key() string { return "OPS-" + i.id[1:] }

func (f *fake) find(id string) *issue {
	for _, i := range f.list {
		if i.id == id && !i.gone {
			return i
		}
	}
	return nil
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var in struct {
		Body       string         `json:"body"`
		Fields     map[string]any `json:"fields"`
		Transition struct{ ID string }
		Values     map[string]any `json:"requestFieldValues"`
		Desk       string         `json:"serviceDeskId"`
		Type       string         `json:"requestTypeId"`
	}
	if r.Method == http.MethodPost && json.NewDecoder(r.Body).Decode(&in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	what := r.Method + " " + r.URL.RequestURI()
	f.calls = append(f.calls, what)
	proof := "Bearer " + token
	if f.cloud {
		proof = "Basic " + base64.StdEncoding.EncodeToString([]byte("gw@example.com:"+token))
	}
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var i *issue
	if len(path) > 4 && path[3] == "issue" {
		i = f.find(path[4])
	} else if len(path) > 3 && path[1] == "servicedeskapi" {
		i = f.find(path[3])
	}
	for prefix, code := range f.fails {
		if strings.HasPrefix(what, prefix) {
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"errorMessages":["%s"],"errors":{"customfield_10010":"is required: %s","<b>":"x"}}`, token, token)
			return
		}
	}
	rest := strings.Join(path, "/")
	switch {
	case r.Header.Get("Authorization") != proof:
		w.WriteHeader(http.StatusUnauthorized)
	case what == "POST /rest/api/2/issue", what == "POST /rest/servicedeskapi/request":
		if in.Fields == nil {
			in.Fields = in.Values
		}
		i = &issue{id: strconv.Itoa(10001 + len(f.list)), summary: in.Fields["summary"].(string), description: in.Fields["description"].(string), status: "Waiting"}
		f.list, f.told, f.sent = append(f.list, i), f.told+1, in.Fields
		w.WriteHeader(http.StatusCreated)
		if in.Desk != "" {
			f.sent["desk"] = in.Desk + "/" + in.Type
			fmt.Fprintf(w, `{"issueId":%q,"issueKey":%q,"requestTypeId":"25","serviceDeskId":"10"}`, i.id, i.key())
			return
		}
		fmt.Fprintf(w, `{"id":%q,"key":%q,"self":"https://example.atlassian.net/rest/api/2/issue/%s"}`, i.id, i.key(), i.id)
	case f.cloud && rest == "rest/api/2/search/jql" || !f.cloud && rest == "rest/api/2/search":
		id := regexp.MustCompile(`^creator = currentUser\(\) AND summary ~ "([a-z0-9]+)" ORDER BY created ASC$`).FindStringSubmatch(r.URL.Query().Get("jql"))
		fmt.Fprint(w, `{"issues":[`)
		for _, o := range f.list {
			if !o.gone && strings.Contains(o.summary, id[1]) {
				fmt.Fprintf(w, `{"id":%q,"key":%q}`, o.id, o.key())
				break
			}
		}
		fmt.Fprint(w, `]}`)
	case rest == "rest/api/2/myself":
		fmt.Fprint(w, f.person(self))
	case rest == "rest/api/2/user":
		id := r.URL.Query().Get("key")
		if f.cloud {
			id = r.URL.Query().Get("accountId")
		}
		if _, ok := f.users[id]; !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, f.person(id))
	case i == nil:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errorMessages":["Issue does not exist or you do not have permission to see it."],"errors":{}}`)
	case path[len(path)-1] == "approval":
		fmt.Fprint(w, i.approvals)
	case path[len(path)-1] == "comment" && r.Method == http.MethodPost:
		c := comment{self, in.Body, f.tick()}
		i.comments, f.told = append(i.comments, c), f.told+1
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"id":"1","author":%s,"body":%q,"created":%q}`, f.person(self), "x", c.at.Format(layout))
	case path[len(path)-1] == "comment":
		var list []string
		for _, c := range i.comments {
			body, _ := json.Marshal(c.body)
			list = append([]string{fmt.Sprintf(`{"author":%s,"body":%s,"created":%q}`, f.person(c.author), body, c.at.Format(layout))}, list...)
		}
		fmt.Fprintf(w, `{"startAt":0,"maxResults":20,"total":%d,"comments":[%s]}`, len(list), strings.Join(list, ","))
	case path[len(path)-1] == "transitions" && r.Method == http.MethodPost:
		n, err := strconv.Atoi(in.Transition.ID)
		if err != nil || n >= len(f.flow[i.status]) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		f.move(i, self, f.flow[i.status][n])
		w.WriteHeader(http.StatusNoContent)
	case path[len(path)-1] == "transitions":
		var list []string
		for n, to := range f.flow[i.status] {
			list = append(list, fmt.Sprintf(`{"id":"%d","name":"go","to":{"name":%q,"id":"7"}}`, n, to))
		}
		fmt.Fprintf(w, `{"expand":"transitions","transitions":[%s]}`, strings.Join(list, ","))
	default:
		changelog := ""
		if r.URL.Query().Get("expand") == "changelog" {
			var list []string
			for _, c := range i.changes {
				id := ""
				if f.cloud {
					id = fmt.Sprintf(`"fieldId":%q,`, c.field)
				}
				// The newest come first.
				list = append([]string{fmt.Sprintf(`{"id":%q,"author":%s,"created":%q,"items":[{"field":"labels",%s"toString":"x"},{"field":%q,%s"fromString":"y","toString":%q}]}`,
					c.id, f.person(c.author), c.at.Format(layout), strings.ReplaceAll(id, c.field, "labels"), c.field, id, c.to)}, list...)
			}
			changelog = fmt.Sprintf(`,"changelog":{"startAt":0,"maxResults":100,"total":%d,"histories":[%s]}`, max(i.total, len(list)), strings.Join(list, ","))
		}
		fmt.Fprintf(w, `{"id":%q,"key":%q,"fields":{"status":{"name":%q}}%s}`, i.id, i.key(), i.status, changelog)
	}
}

// move moves an issue to a status.
func (f *fake) move(i *issue, by, to string) {
	i.status = to
	i.changes = append(i.changes, change{strconv.Itoa(20000 + len(i.changes)), by, "status", to, f.tick()})
}

// do does something to the latest issue.
func (f *fake) do(what func(i *issue)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what(f.list[len(f.list)-1])
}

func (f *fake) config(s store.Store) jira.Config {
	c := jira.Config{
		Name: "ops", URL: f.URL, Private: true, TLS: f.TLS, Token: proxy.NewSecret(token), Store: s, Project: "OPS", IssueType: "Task",
		Statuses: jira.Statuses{Waiting: "waiting", Approved: "Approved", Denied: "Declined", Closed: "Closed"}, Log: slog.New(slog.DiscardHandler),
	}
	if f.cloud {
		c.Username = "gw@example.com"
	}
	return c
}

func open(t *testing.T, c jira.Config) *jira.Notifier {
	t.Helper()
	n, err := jira.New(c)
	require.NoError(t, err)
	return n
}

func TestConformance(t *testing.T) {
	for _, cloud := range []bool{true, false} {
		reviewtest.Test(t, func(t *testing.T) reviewtest.Subject {
			f := newFake(t, cloud)
			return reviewtest.Subject{Notifier: open(t, f.config(store.NewMemory())), Service: f, Secrets: []string{token, base64.StdEncoding.EncodeToString([]byte("gw@example.com:" + token))}}
		})
	}
}

// TestOneIssue: a request is one issue, which gets a comment and a status when something becomes of it, also after a restart; one that was
// deleted is made anew.
func TestOneIssue(t *testing.T) {
	f, s := newFake(t, true), store.NewMemory()
	c := f.config(s)
	c.Link = func(id string) string { return "https://gw.example.com/v1/requests/" + url.PathEscape(id) }
	c.Command = func(id string) string { return "sallyport requests show " + id }
	require.NoError(t, open(t, c).Notify(t.Context(), reviewtest.Notice("a", review.Asked)))
	first := f.list[0]
	require.Equal(t, "Request 4jzq7nbkw2: alice asks for access to orders", first.summary)
	require.Equal(t, map[string]any{"key": "OPS"}, f.sent["project"])
	require.Equal(t, map[string]any{"name": "Task"}, f.sent["issuetype"])
	require.Regexp(t, `(?s)^\{noformat\}\nalice asks for access to orders\n\nrequest       4jzq7nbkw2\n.*\nreason        “INC-4711: repair the order of Mrs. Smith”\n.*\nlook at it    sallyport requests show 4jzq7nbkw2\n\{noformat\}\nhttps://gw.example.com/v1/requests/4jzq7nbkw2\n$`, first.description)

	require.NoError(t, open(t, c).Notify(t.Context(), reviewtest.Notice("b", "approved")))
	require.Equal(t, "{noformat}\nbob approved the request of alice for access to orders: “as discussed”\n{noformat}\n", first.comments[0].body)
	require.Equal(t, "Approved", first.status)
	require.NoError(t, open(t, c).Notify(t.Context(), reviewtest.Notice("b", "approved")))
	require.Len(t, first.comments, 1, "what comes again is not said again")
	require.NoError(t, open(t, c).Notify(t.Context(), reviewtest.Notice("c", "ended")))
	require.Equal(t, "Closed", first.status)
	require.Len(t, first.comments, 2)

	other := reviewtest.Notice("d", review.Asked)
	other.Request.ID = "another"
	require.NoError(t, open(t, c).Notify(t.Context(), other))
	require.Len(t, f.list, 2)

	first.gone = true
	require.NoError(t, open(t, c).Notify(t.Context(), reviewtest.Notice("e", "denied")))
	require.Len(t, f.list, 3)
	require.Equal(t, "Declined", f.list[2].status)
	d, err := s.Get(t.Context(), jira.KindIssue, "ops/4jzq7nbkw2")
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(jira.KeepIssues), d.Expires, time.Minute)
}

// TestAdopted: an issue of which nobody knows whether it was made is looked for before another one is, among the gateway's own.
func TestAdopted(t *testing.T) {
	for _, cloud := range []bool{true, false} {
		f := newFake(t, cloud)
		s := &forgetful{Store: store.NewMemory()}
		n := open(t, f.config(s))
		s.fail(1) // the attempt is kept, and what came of it is not
		require.Error(t, n.Notify(t.Context(), reviewtest.Notice("a", review.Asked)))
		require.Len(t, f.list, 1)
		s.fail(-1)
		require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("a", review.Asked)))
		require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("b", "denied")))
		require.Len(t, f.list, 1)
		require.Len(t, f.list[0].comments, 1)
		require.Equal(t, "Declined", f.list[0].status)
		require.Equal(t, 1, len(slices.DeleteFunc(slices.Clone(f.calls), func(c string) bool { return !strings.Contains(c, "/search") })))
	}
}

// TestAdoptedLater: an issue that was made when the request was another shows what it is now, and by when.
func TestAdoptedLater(t *testing.T) {
	f := newFake(t, true)
	s := &forgetful{Store: store.NewMemory()}
	n := open(t, f.config(s))
	s.fail(1)
	require.Error(t, n.Notify(t.Context(), reviewtest.Notice("a", review.Asked)))
	s.fail(-1)
	narrowed := reviewtest.Notice("b", review.Voted)
	narrowed.Request.Hash, narrowed.Request.Access.Actions = strings.Repeat("cd", 32), []string{"connect"}
	require.NoError(t, n.Notify(t.Context(), narrowed))
	require.Len(t, f.list, 1)
	require.Contains(t, f.list[0].comments[0].body, "wants         connect\n")
	d, err := s.Get(t.Context(), jira.KindIssue, "ops/4jzq7nbkw2")
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"10001","key":"OPS-0001","hash":"`+narrowed.Request.Hash+`","shown":"2026-03-01T12:00:01Z","said":"b"}`, string(d.Body))
}

// forgetful is a store that fails after so many writes of issues; below 0 it does not.
type forgetful struct {
	store.Store
	mu   sync.Mutex
	left int
}

func (s *forgetful) fail(after int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = after
}

func (s *forgetful) Write(ctx context.Context, ws ...store.Write) (int64, error) {
	s.mu.Lock()
	left := s.left
	if s.left > 0 {
		s.left--
	}
	s.mu.Unlock()
	if left == 0 {
		return 0, errors.New("the store is down")
	}
	return s.Store.Write(ctx, ws...)
}

// TestServiceDesk: requests of a service desk are made by its API.
func TestServiceDesk(t *testing.T) {
	f := newFake(t, true)
	c := f.config(store.NewMemory())
	c.Project, c.IssueType, c.ServiceDesk, c.RequestType = "", "", "10", "25"
	n := open(t, c)
	require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("a", review.Asked)))
	require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("b", review.Voted)))
	require.Equal(t, "10/25", f.sent["desk"])
	require.Len(t, f.list, 1)
	require.Contains(t, f.list[0].comments[0].body, "wants         connect, write\n", "while others decide, all of it is said")
}

// TestHostileIssue: what people wrote is nothing but text.
func TestHostileIssue(t *testing.T) {
	f := newFake(t, true)
	c := f.config(store.NewMemory())
	c.Details = true
	n := open(t, c)
	hostile := reviewtest.Hostile()
	bad := "{noformat} [~accountid:1] !x.png! {NoFormat:title=x} h1. {color:red}{code} [click|https://evil.example] " + strings.Repeat("ü", 3000)
	hostile.Request.Access.Reason, hostile.Request.DecidedBy, hostile.Request.Requester = bad, bad, bad
	for _, state := range []review.State{review.Pending, review.Pending, review.Denied} {
		hostile.ID += "x"
		hostile.Request.State, hostile.Request.Reason = state, bad
		require.NoError(t, n.Notify(t.Context(), hostile))
	}
	i := f.list[0]
	require.LessOrEqual(t, len([]rune(i.summary)), 255)
	require.NotContains(t, i.summary, "\n")
	texts := []string{i.description, i.comments[0].body, i.comments[1].body}
	for _, text := range texts {
		require.True(t, strings.HasPrefix(text, "{noformat}\n") && strings.HasSuffix(text, "\n{noformat}\n"), text)
		require.Equal(t, 2, strings.Count(strings.ToLower(text), "{noformat"), text)
		require.NotContains(t, text, "\x1b")
		require.NotContains(t, text, "\u202e")
	}
}

// TestDetails: what an operation would do stays with the gateway, unless details are asked for.
func TestDetails(t *testing.T) {
	f := newFake(t, true)
	of := reviewtest.Notice("n", review.Asked)
	of.Request.Access, of.Request.Kind, of.Request.Text = nil, "statement", "DELETE FROM orders"
	c := f.config(store.NewMemory())
	require.NoError(t, open(t, c).Notify(t.Context(), of))
	c.Store, c.Details = store.NewMemory(), true
	require.NoError(t, open(t, c).Notify(t.Context(), of))
	require.NotContains(t, f.list[0].description, "DELETE")
	require.Contains(t, f.list[1].description, "DELETE FROM orders")
}

// TestAnswers: of what Jira answers errors have the status, and the names of fields that it wants.
func TestAnswers(t *testing.T) {
	f := newFake(t, true)
	n := open(t, f.config(store.NewMemory()))
	f.fails["POST /rest/api/2/issue"] = http.StatusBadRequest
	err := n.Notify(t.Context(), reviewtest.Notice("n", review.Asked))
	require.EqualError(t, err, "jira: make the issue: the answer has the status 400, because of these fields: customfield_10010")
	require.NotErrorIs(t, err, review.ErrRefused, "who administers Jira can mend that")
	f.fails = map[string]int{}
	require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("n", review.Asked)))
	for _, step := range []string{"POST /rest/api/2/issue/10001/comment", "GET /rest/api/2/issue/10001?", "GET /rest/api/2/issue/10001/transitions", "POST /rest/api/2/issue/10001/transitions"} {
		f.fails = map[string]int{step: http.StatusInternalServerError}
		err := n.Notify(t.Context(), reviewtest.Notice("m", "denied"))
		require.ErrorContains(t, err, "the answer has the status 500", step)
		require.NotContains(t, err.Error(), token)
	}
	require.Len(t, f.list[0].comments, 1, "the comment is not written again when the status fails")
	f.fails = map[string]int{"POST /rest/api/2/issue/10001/transitions": http.StatusBadRequest}
	require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("m", "denied")), "the workflow wants more; the comment says what has become of the request")
	require.Equal(t, "Waiting", f.list[0].status)
	f.fails = map[string]int{}
	f.flow = nil
	require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("m", "denied")))
	require.Equal(t, "Waiting", f.list[0].status)
}

// TestPrivate: a name that leads inside reaches nothing there, unless that is configured.
func TestPrivate(t *testing.T) {
	f := newFake(t, true)
	c := f.config(store.NewMemory())
	c.Private = false
	require.ErrorContains(t, open(t, c).Notify(t.Context(), reviewtest.Notice("n", review.Asked)), "private, local or reserved")
	require.Empty(t, f.calls)
}

func TestConfig(t *testing.T) {
	good := jira.Config{Name: "a", URL: "https://example.atlassian.net", Token: proxy.NewSecret(token), Store: store.NewMemory(), Project: "OPS", IssueType: "Task"}
	_, err := jira.New(good)
	require.NoError(t, err)
	for name, change := range map[string]func(c *jira.Config){
		"no name":            func(c *jira.Config) { c.Name = "" },
		"no URL":             func(c *jira.Config) { c.URL = "" },
		"without TLS":        func(c *jira.Config) { c.URL = "http://example.atlassian.net" },
		"a user":             func(c *jira.Config) { c.URL = "https://hunter2@example.atlassian.net" },
		"no token":           func(c *jira.Config) { c.Token = proxy.Secret{} },
		"no store":           func(c *jira.Config) { c.Store = nil },
		"no project":         func(c *jira.Config) { c.Project = "" },
		"a project's name":   func(c *jira.Config) { c.Project = "Operations team" },
		"no type":            func(c *jira.Config) { c.IssueType = "" },
		"both":               func(c *jira.Config) { c.ServiceDesk, c.RequestType = "1", "2" },
		"half a desk":        func(c *jira.Config) { c.Project, c.IssueType, c.ServiceDesk = "", "", "1" },
		"a desk by its name": func(c *jira.Config) { c.Project, c.IssueType, c.ServiceDesk, c.RequestType = "", "", "help", "access" },
	} {
		c := good
		change(&c)
		_, err := jira.New(c)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "hunter2")
	}
}
