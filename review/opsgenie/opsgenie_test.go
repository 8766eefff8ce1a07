package opsgenie_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/opsgenie"
	"github.com/sallyport/sallyport/review/reviewtest"
)

const key = "eb243592-faa2-4ba2-a551-hunter2"

// body is what is sent about an alert.
type body struct {
	Message, Alias, Description, Entity, Source, Note string
	Details                                           map[string]string
	Tags                                              []string
}

// fake answers as the reference of the Alert API says.
type fake struct {
	*reviewtest.HTTP
	mu     sync.Mutex
	calls  []string // PATH?QUERY
	bodies []body
	open   map[string]bool // alerts, by alias
}

func newFake(t *testing.T) *fake {
	f := &fake{open: make(map[string]bool)}
	f.HTTP = reviewtest.NewHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		var b body
		path := strings.Split(strings.TrimPrefix(r.URL.Path, "/v2/alerts"), "/")
		switch {
		case r.Header.Get("Authorization") != "GenieKey "+key:
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"message":"Could not authenticate","took":0.001,"requestId":"r"}`)
			return
		case r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/v2/alerts"):
			w.WriteHeader(http.StatusNotFound)
			return
		case json.NewDecoder(r.Body).Decode(&b) != nil:
			w.WriteHeader(http.StatusBadRequest)
			return
		case len(path) == 1:
			if b.Message == "" || len([]rune(b.Message)) > 130 || len([]rune(b.Entity)) > 512 {
				w.WriteHeader(http.StatusUnprocessableEntity)
				return
			}
			f.open[b.Alias] = true
		case r.URL.Query().Get("identifierType") == "alias" && path[2] == "close":
			f.open[path[1]] = false
		}
		f.calls, f.bodies = append(f.calls, r.URL.RequestURI()), append(f.bodies, b)
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"result":"Request will be processed","took":0.302,"requestId":"43a29c5c-3dbf-4fa4-9c26-f4f71023e120"}`)
	})
	return f
}

func (f *fake) notifier(t *testing.T, change func(c *opsgenie.Config)) *opsgenie.Notifier {
	t.Helper()
	c := opsgenie.Config{Key: proxy.NewSecret(key), URL: f.URL, Private: true, TLS: f.TLS}
	if change != nil {
		change(&c)
	}
	n, err := opsgenie.New(c)
	require.NoError(t, err)
	return n
}

func TestConformance(t *testing.T) {
	reviewtest.Test(t, func(t *testing.T) reviewtest.Subject {
		f := newFake(t)
		return reviewtest.Subject{Notifier: f.notifier(t, nil), Service: f, Secrets: []string{key}}
	})
}

// TestAlert: a request is one alert, which is closed with it.
func TestAlert(t *testing.T) {
	f := newFake(t)
	n := f.notifier(t, func(c *opsgenie.Config) {
		c.Link = func(id string) string { return "https://gw.example.com/v1/requests/" + id }
	})
	for _, event := range []string{review.Asked, review.Asked, review.Voted, "approved"} {
		require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("n", event)))
	}
	require.Equal(t, []string{
		"/v2/alerts", "/v2/alerts", "/v2/alerts/sallyport-4jzq7nbkw2/notes?identifierType=alias", "/v2/alerts/sallyport-4jzq7nbkw2/close?identifierType=alias",
	}, f.calls)
	require.Equal(t, map[string]bool{"sallyport-4jzq7nbkw2": false}, f.open)
	unknown := reviewtest.Notice("n", "emergency")
	unknown.Request.State = review.Approved
	require.NoError(t, n.Notify(t.Context(), unknown))
	require.True(t, f.open["sallyport-4jzq7nbkw2"], "what is not known may be urgent")
	first := f.bodies[0]
	require.Equal(t, "alice asks for access to orders", first.Message)
	require.Equal(t, "orders as writer", first.Entity)
	require.Equal(t, "https://gw.example.com/v1/requests/4jzq7nbkw2", first.Description)
	require.Equal(t, "INC-4711: repair the order of Mrs. Smith", first.Details["reason"])
	require.Equal(t, "bob approved the request of alice for access to orders", f.bodies[3].Note)
}

// TestBounds: what people wrote is text, and not longer than Opsgenie takes, and what an operation would do stays with the gateway.
func TestBounds(t *testing.T) {
	f := newFake(t)
	n := f.notifier(t, func(c *opsgenie.Config) { c.Details = true })
	hostile := reviewtest.Hostile()
	hostile.Request.DecidedBy = strings.Repeat("ü<b>", 2000)
	hostile.Request.Rules = []string{strings.Repeat("ß", 4000)}
	for _, change := range []func(){func() {}, func() { hostile.Request.Access = nil }, func() { hostile.Event = review.Voted }, func() { hostile.Request.State = review.Denied }} {
		change()
		require.NoError(t, n.Notify(t.Context(), hostile))
	}
	for _, b := range f.bodies {
		all := 0
		for name, value := range b.Details {
			all += len([]rune(name)) + len([]rune(value))
		}
		require.LessOrEqual(t, all, 8000)
		require.LessOrEqual(t, len([]rune(b.Note)), 25000)
		text := fmt.Sprint(b)
		require.NotContains(t, text, "<")
		require.NotContains(t, text, ">")
		require.NotContains(t, text, "\x1b")
	}
	operation := reviewtest.Notice("n", review.Asked)
	operation.Request.Access, operation.Request.Kind, operation.Request.Text = nil, "statement", "DELETE FROM orders"
	require.NoError(t, f.notifier(t, nil).Notify(t.Context(), operation))
	require.NotContains(t, f.bodies[4].Details, "statement")
	require.NoError(t, n.Notify(t.Context(), operation))
	require.Equal(t, "DELETE FROM orders", f.bodies[5].Details["statement"])
}

// TestAnswers: what Opsgenie refuses because of what was sent becomes a dead letter, and nothing else.
func TestAnswers(t *testing.T) {
	for code, refused := range map[int]bool{400: true, 401: false, 402: false, 403: false, 404: false, 422: true, 429: false, 500: false} {
		h := reviewtest.NewHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"message":%q}`, key)
		})
		err := (&fake{HTTP: h}).notifier(t, nil).Notify(t.Context(), reviewtest.Notice("n", review.Asked))
		require.ErrorContains(t, err, fmt.Sprint(code))
		require.NotContains(t, err.Error(), key)
		if refused {
			require.ErrorIs(t, err, review.ErrRefused)
		} else {
			require.NotErrorIs(t, err, review.ErrRefused)
		}
	}
}

// TestPrivate: a name that leads inside reaches nothing there, unless that is configured.
func TestPrivate(t *testing.T) {
	f := newFake(t)
	n := f.notifier(t, func(c *opsgenie.Config) { c.Private = false })
	require.ErrorContains(t, n.Notify(t.Context(), reviewtest.Notice("n", review.Asked)), "private, local or reserved")
	require.Zero(t, f.Taken())
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]opsgenie.Config{
		"no key":      {},
		"without TLS": {Key: proxy.NewSecret(key), URL: "http://api.opsgenie.com"},
		"a user":      {Key: proxy.NewSecret(key), URL: "https://hunter2@api.opsgenie.com"},
	} {
		_, err := opsgenie.New(c)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "hunter2")
	}
	_, err := opsgenie.New(opsgenie.Config{Key: proxy.NewSecret(key)})
	require.NoError(t, err)
}

// TestOnCall: who is on call are the names of users, which are mail addresses; what cannot be told is an error, and never nobody.
func TestOnCall(t *testing.T) {
	answer, asked := "", ""
	h := reviewtest.NewHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Authorization") + " " + r.URL.RequestURI()
		fmt.Fprint(w, answer)
	})
	c := opsgenie.ScheduleConfig{Schedule: "DBA / primary", Token: proxy.NewSecret(key), URL: h.URL, Private: true, TLS: h.TLS}
	s, err := opsgenie.NewSchedule(c)
	require.NoError(t, err)
	answer = `{"data":{"_parent":{"id":"d875","name":"DBA / primary","enabled":true},"onCallRecipients":["bob@example.com","carol@example.com"]},"took":0.011,"requestId":"r"}`
	list, err := s.OnCall(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"bob@example.com", "carol@example.com"}, list)
	require.Equal(t, "GenieKey "+key+" /v2/schedules/DBA%20%2F%20primary/on-calls?flat=true&scheduleIdentifierType=name", asked)
	answer = `{"data":{"_parent":{"id":"d875"},"onCallRecipients":[]}}`
	list, err = s.OnCall(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	for _, answer = range []string{`{}`, `{"message":"x"}`, `<html>`} {
		_, err = s.OnCall(t.Context())
		require.Error(t, err)
		require.NotContains(t, err.Error(), key)
	}
	for _, bad := range []opsgenie.ScheduleConfig{{Token: proxy.NewSecret(key)}, {Schedule: "s"}} {
		_, err := opsgenie.NewSchedule(bad)
		require.Error(t, err)
	}
}
