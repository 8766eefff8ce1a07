package slack_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/slack-go/slack"
	"github.com/slack-go/slack/slacktest"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/review/slack"
	"github.com/sallyport/sallyport/store"
)

const token = "xoxb-123-hunter2"

// call is what Slack was asked.
type call struct {
	method string
	url.Values
}

// fake is Slack as far as a bot with chat:write sees it.
type fake struct {
	*reviewtest.HTTP
	mu    sync.Mutex
	calls []call
	fails map[string]string // what is answered to a method in place of a message, as JSON
}

func newFake(t *testing.T) *fake {
	f := &fake{fails: make(map[string]string)}
	f.HTTP = reviewtest.NewHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
			b, _ := io.ReadAll(r.Body)
			r.PostForm = url.Values{"json": {string(b)}}
		} else if r.ParseForm() != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		method := strings.TrimPrefix(r.URL.Path, "/api/")
		f.calls = append(f.calls, call{method, r.PostForm})
		switch {
		case f.fails[method] != "":
			fmt.Fprint(w, f.fails[method])
		case r.PostForm.Get("token") != token && r.Header.Get("Authorization") != "Bearer "+token:
			fmt.Fprint(w, `{"ok":false,"error":"invalid_auth"}`)
		case method == "chat.postMessage":
			fmt.Fprintf(w, `{"ok":true,"channel":%q,"ts":"1700000000.%06d"}`, r.PostForm.Get("channel"), len(f.calls))
		case method == "chat.update":
			fmt.Fprintf(w, `{"ok":true,"channel":%q,"ts":%q}`, r.PostForm.Get("channel"), r.PostForm.Get("ts"))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	return f
}

func (f *fake) answers(method, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails[method] = text
}

func (f *fake) asked() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]call(nil), f.calls...)
}

func (f *fake) config(s store.Store) slack.Config {
	return slack.Config{
		Name: "ops", Channel: "C0123456789", Token: proxy.NewSecret(token), Store: s, URL: f.URL + "/api", TLS: f.TLS,
		Link:    func(id string) string { return "https://gw.example.com/v1/requests/" + url.PathEscape(id) },
		Command: func(id string) string { return "show " + id },
	}
}

func open(t *testing.T, c slack.Config) *slack.Notifier {
	t.Helper()
	n, err := slack.New(c)
	require.NoError(t, err)
	return n
}

func TestConformance(t *testing.T) {
	reviewtest.Test(t, func(t *testing.T) reviewtest.Subject {
		f := newFake(t)
		return reviewtest.Subject{Notifier: open(t, f.config(store.NewMemory())), Service: f, Secrets: []string{token}}
	})
}

// TestOneMessage: a request is one message, which says what has become of it, also after a restart; one that was
// deleted is written anew.
func TestOneMessage(t *testing.T) {
	f, s := newFake(t), store.NewMemory()
	require.NoError(t, open(t, f.config(s)).Notify(t.Context(), reviewtest.Notice("a", review.Asked)))
	n := open(t, f.config(s))
	require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("b", "approved")))
	other := reviewtest.Notice("c", review.Asked)
	other.Request.ID = "another"
	require.NoError(t, n.Notify(t.Context(), other))
	calls := f.asked()
	require.Len(t, calls, 3)
	require.Equal(t, "chat.postMessage", calls[0].method)
	require.Equal(t, "C0123456789", calls[0].Get("channel"))
	require.Contains(t, calls[0].Get("text"), "alice asks for access to orders")
	require.Equal(t, "chat.update", calls[1].method)
	require.Equal(t, "1700000000.000001", calls[1].Get("ts"))
	require.Contains(t, calls[1].Get("text"), "bob approved")
	require.Contains(t, calls[1].Get("blocks"), "bob approved")
	require.Equal(t, "chat.postMessage", calls[2].method)

	f.answers("chat.update", `{"ok":false,"error":"message_not_found"}`)
	require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("d", "revoked")))
	f.answers("chat.update", "")
	require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("e", "ended")))
	calls = f.asked()[3:]
	require.Len(t, calls, 3)
	require.Equal(t, "chat.postMessage", calls[1].method)
	require.Equal(t, "1700000000.000005", calls[2].Get("ts"))
	d, err := s.Get(t.Context(), slack.KindMessage, "ops/4jzq7nbkw2")
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(slack.KeepMessages), d.Expires, time.Minute)
}

// texts are all texts of blocks, by their types, and the URLs of buttons.
func texts(v any, found map[string][]string) {
	switch v := v.(type) {
	case map[string]any:
		if text, ok := v["text"].(string); ok {
			found[fmt.Sprint(v["type"])] = append(found[fmt.Sprint(v["type"])], text)
		}
		if link, ok := v["url"].(string); ok {
			found["url"] = append(found["url"], link)
		}
		for _, inner := range v {
			texts(inner, found)
		}
	case []any:
		for _, inner := range v {
			texts(inner, found)
		}
	}
}

// TestHostileMessage: what people wrote is plain text, which mentions nobody, links nowhere and is not longer than Slack takes.
func TestHostileMessage(t *testing.T) {
	f := newFake(t)
	c := f.config(store.NewMemory())
	c.Details = true
	hostile := reviewtest.Hostile()
	hostile.Request.DecidedBy = strings.Repeat("ü&<>", 2000)
	require.NoError(t, open(t, c).Notify(t.Context(), hostile))
	got := f.asked()[0]
	require.NotContains(t, got.Get("text"), "<")
	require.NotContains(t, got.Get("text"), ">")
	require.Equal(t, "none", got.Get("parse"))
	require.Equal(t, "false", got.Get("mrkdwn"))
	require.Equal(t, "false", got.Get("unfurl_links"))
	require.NotEqual(t, "true", got.Get("link_names"))
	var blocks []map[string]any
	require.NoError(t, json.Unmarshal([]byte(got.Get("blocks")), &blocks))
	require.Less(t, len(blocks), 50)
	found := make(map[string][]string)
	for _, b := range blocks {
		texts(b, found)
		fields, _ := b["fields"].([]any)
		require.LessOrEqual(t, len(fields), 10)
	}
	require.Empty(t, found["mrkdwn"])
	require.NotEmpty(t, found["plain_text"])
	for _, text := range found["plain_text"] {
		require.LessOrEqual(t, len([]rune(text)), 2000)
		require.NotContains(t, text, "\x1b")
		require.NotContains(t, text, "\u202e")
		require.LessOrEqual(t, strings.Count(text, "\n"), 1)
	}
	require.Equal(t, []string{"https://gw.example.com/v1/requests/4jzq7nbkw2"}, found["url"])
	require.NotContains(t, got.Get("blocks"), `"emoji":true`)
}

// TestDetails: what an operation would do stays with the gateway, unless details are asked for.
func TestDetails(t *testing.T) {
	f := newFake(t)
	of := reviewtest.Notice("n", review.Asked)
	of.Request.Access, of.Request.Kind, of.Request.Text = nil, "statement", "DELETE FROM orders"
	c := f.config(store.NewMemory())
	require.NoError(t, open(t, c).Notify(t.Context(), of))
	c.Details = true
	require.NoError(t, open(t, c).Notify(t.Context(), of))
	require.NotContains(t, f.asked()[0].Encode(), "DELETE")
	require.Contains(t, f.asked()[1].Get("blocks"), "DELETE FROM orders")
}

// TestAnswers: what Slack answers is told by its code alone.
func TestAnswers(t *testing.T) {
	for answer, want := range map[string]string{
		`{"ok":false,"error":"not_in_channel"}`: "slack: chat.postMessage: not_in_channel",
		`{"ok":false,"error":"` + token + `"}`:  "slack: chat.postMessage: it failed, and Slack does not say how",
		`{"ok":false}`:                          "slack: chat.postMessage: the answer does not say which message it is",
		`{}`:                                    "slack: chat.postMessage: the answer does not say which message it is",
		`{"ok":true,"channel":"C0123456789"}`:   "slack: chat.postMessage: the answer does not say which message it is",
		`<html>`:                                "slack: chat.postMessage: the answer is not one of Slack's",
		`{"ok":`:                                "slack: chat.postMessage: the answer is cut off",
		`{"ok":"` + token + `"}`:                "slack: chat.postMessage: the answer is not one of Slack's",
		`{"ok":false,"error":"ratelimited"}`:    "slack: chat.postMessage: ratelimited",
		`{"ok":false,"error":"invalid_blocks","errors":["x"]}`: "the receiver refuses this notice for good: slack: chat.postMessage: invalid_blocks",
	} {
		f := newFake(t)
		f.answers("chat.postMessage", answer)
		err := open(t, f.config(store.NewMemory())).Notify(t.Context(), reviewtest.Notice("n", review.Asked))
		require.EqualError(t, err, want, answer)
	}
	f := newFake(t)
	n := open(t, f.config(store.NewMemory()))
	require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("n", review.Asked)))
	for answer, want := range map[string]string{`{}`: "does not say which message", `{"ok":false,"error":"cant_update_message"}`: "chat.update: cant_update_message"} {
		f.answers("chat.update", answer)
		require.ErrorContains(t, n.Notify(t.Context(), reviewtest.Notice("n", "denied")), want)
	}
}

// TestSlacktest: the fake server of the library understands the messages.
func TestSlacktest(t *testing.T) {
	server := slacktest.NewTestServer(func(c slacktest.Customize) {
		c.Handle("/chat.update", func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			fmt.Fprintf(w, `{"ok":true,"channel":%q,"ts":%q}`, r.PostForm.Get("channel"), r.PostForm.Get("ts"))
		})
	})
	server.Start()
	defer server.Stop()
	at, err := url.Parse(server.GetAPIURL())
	require.NoError(t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: at.Scheme, Host: at.Host})
		r.Out.URL.Path = strings.TrimPrefix(r.In.URL.Path, "/api")
	}}
	h := reviewtest.NewHTTP(t, forward.ServeHTTP)
	c := (&fake{HTTP: h}).config(store.NewMemory())
	n := open(t, c)
	require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("a", review.Asked)))
	require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("b", "denied")))
	rtm := server.GetTestRTMInstance()
	go rtm.ManageConnection()
	defer rtm.Disconnect()
	late := time.After(30 * time.Second)
	for {
		select {
		case e := <-rtm.IncomingEvents:
			m, ok := e.Data.(*api.MessageEvent)
			if !ok {
				continue
			}
			require.Equal(t, "C0123456789", m.Channel)
			require.Equal(t, "alice asks for access to orders", m.Text)
			require.Greater(t, len(m.Blocks.BlockSet), 3)
			return
		case <-late:
			t.Fatal("nothing was posted")
		}
	}
}

func TestConfig(t *testing.T) {
	good := slack.Config{Name: "a", Channel: "C0123456789", Token: proxy.NewSecret(token), Store: store.NewMemory()}
	_, err := slack.New(good)
	require.NoError(t, err)
	for name, change := range map[string]func(c *slack.Config){
		"no name":         func(c *slack.Config) { c.Name = "" },
		"a name":          func(c *slack.Config) { c.Channel = "#general" },
		"no channel":      func(c *slack.Config) { c.Channel = "" },
		"no token":        func(c *slack.Config) { c.Token = proxy.Secret{} },
		"no store":        func(c *slack.Config) { c.Store = nil },
		"without TLS":     func(c *slack.Config) { c.URL = "http://slack.com/api/" },
		"a user":          func(c *slack.Config) { c.URL = "https://hunter2@slack.com/api/" },
		"another address": func(c *slack.Config) { c.URL = "slack.com" },
	} {
		c := good
		change(&c)
		_, err := slack.New(c)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// TestRunbookMessage: a run of a runbook is decided under a message that has all of its text, and nowhere else.
func TestRunbookMessage(t *testing.T) {
	f := newFake(t)
	c := f.config(store.NewMemory())
	c.Decide, c.Runbooks = true, true
	notice := func(kind, text string) *review.Notice {
		of := reviewtest.Notice("r", review.Asked)
		of.Request.Access, of.Request.Kind, of.Request.Text, of.Request.State = nil, kind, text, review.Pending
		return of
	}
	plan := "runbook pay\nreason = \"<!channel> \u202e\x1b[31m\"\n1. a: sql on shop\n   delete from a"
	require.NoError(t, open(t, c).Notify(t.Context(), notice("runbook", plan)))
	got := f.asked()[0].Get("blocks")
	require.Contains(t, got, slackApprove)
	require.Contains(t, got, `1. a: sql on shop\n   delete from a`)
	require.NotContains(t, got, "\u202e")
	require.NotContains(t, got, `\u001b`)

	for name, of := range map[string]*review.Notice{"too long": notice("runbook", strings.Repeat("x", 2901)), "a statement": notice("statement", plan)} {
		f := newFake(t)
		c := f.config(store.NewMemory())
		c.Decide, c.Runbooks = true, true
		require.NoError(t, open(t, c).Notify(t.Context(), of))
		require.NotContains(t, f.asked()[0].Get("blocks"), slackApprove, name)
		require.False(t, slack.Shows(&of.Request), name)
	}
	c.Runbooks = false
	c.Store = store.NewMemory()
	require.NoError(t, open(t, c).Notify(t.Context(), notice("runbook", plan)))
	require.NotContains(t, f.asked()[1].Get("blocks"), slackApprove, "unless it is set up so")
	require.NotContains(t, f.asked()[1].Get("blocks"), "delete from a")
}

// slackApprove is the text of a button.
const slackApprove = `"text":"Approve"`
