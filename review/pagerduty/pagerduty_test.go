package pagerduty_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/pagerduty"
	"github.com/sallyport/sallyport/review/reviewtest"
)

const key = "e93facc04764012d7bfb002500d5d1a6"

// event is what the Events API v2 is sent.
type event struct {
	RoutingKey  string `json:"routing_key"`
	EventAction string `json:"event_action"`
	DedupKey    string `json:"dedup_key"`
	ClientURL   string `json:"client_url"`
	Payload     *struct {
		Summary, Source, Severity, Component string
		CustomDetails                        map[string]string `json:"custom_details"`
	}
	Links []struct{ Href, Text string }
}

// fake answers as the reference of the Events API v2 says.
type fake struct {
	*reviewtest.HTTP
	mu     sync.Mutex
	events []event
	alerts map[string]bool // that are open, by their keys
}

func newFake(t *testing.T) *fake {
	f := &fake{alerts: make(map[string]bool)}
	f.HTTP = reviewtest.NewHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		var e event
		switch {
		case r.Method != http.MethodPost || r.URL.Path != "/v2/enqueue":
			w.WriteHeader(http.StatusNotFound)
			return
		case json.NewDecoder(r.Body).Decode(&e) != nil || len(e.RoutingKey) != 32 || e.EventAction == "trigger" && (e.Payload == nil || e.Payload.Summary == "" || e.Payload.Source == ""):
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"status":"invalid event","message":"Event object is invalid","errors":["` + e.RoutingKey + `"]}`))
			return
		}
		f.events = append(f.events, e)
		f.alerts[e.DedupKey] = e.EventAction == "trigger"
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte(`{"status":"success","message":"Event processed","dedup_key":"` + e.DedupKey + `"}`))
	})
	return f
}

func (f *fake) notifier(t *testing.T, change func(c *pagerduty.Config)) *pagerduty.Notifier {
	t.Helper()
	c := pagerduty.Config{Key: proxy.NewSecret(key), URL: f.URL, Private: true, TLS: f.TLS}
	if change != nil {
		change(&c)
	}
	n, err := pagerduty.New(c)
	require.NoError(t, err)
	return n
}

func TestConformance(t *testing.T) {
	reviewtest.Test(t, func(t *testing.T) reviewtest.Subject {
		f := newFake(t)
		return reviewtest.Subject{Notifier: f.notifier(t, nil), Service: f, Secrets: []string{key}}
	})
}

// TestAlert: a request is one alert, however often it is told, which is resolved with it.
func TestAlert(t *testing.T) {
	f := newFake(t)
	n := f.notifier(t, func(c *pagerduty.Config) {
		c.Link = func(id string) string { return "https://gw.example.com/v1/requests/" + id }
		c.Command = func(id string) string { return "sallyport requests show " + id }
	})
	for _, event := range []string{review.Asked, review.Asked, review.Voted} {
		require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("n", event)))
	}
	require.Equal(t, map[string]bool{"sallyport-4jzq7nbkw2": true}, f.alerts)
	first := f.events[0]
	require.Equal(t, key, first.RoutingKey)
	require.Equal(t, "alice asks for access to orders", first.Payload.Summary)
	require.Equal(t, "orders as writer", first.Payload.Component)
	require.Equal(t, "warning", first.Payload.Severity)
	require.Equal(t, "INC-4711: repair the order of Mrs. Smith", first.Payload.CustomDetails["reason"])
	require.Equal(t, "oncall", first.Payload.CustomDetails["who decides"])
	require.Equal(t, "sallyport requests show 4jzq7nbkw2", first.Payload.CustomDetails["look at it"])
	require.Equal(t, "https://gw.example.com/v1/requests/4jzq7nbkw2", first.ClientURL)
	require.Equal(t, first.ClientURL, first.Links[0].Href)
	unknown := reviewtest.Notice("n", "emergency")
	unknown.Request.State = review.Approved
	f.alerts["sallyport-4jzq7nbkw2"] = false
	require.NoError(t, n.Notify(t.Context(), unknown))
	require.True(t, f.alerts["sallyport-4jzq7nbkw2"], "what is not known may be urgent")
	for _, event := range []string{"approved", "denied", "cancelled", "expired", "lapsed", "revoked", "ended"} {
		f.alerts["sallyport-4jzq7nbkw2"] = true
		require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("n", event)))
		require.False(t, f.alerts["sallyport-4jzq7nbkw2"], event)
	}
}

// TestBounds: what people wrote is not longer than PagerDuty takes, and what an operation would do stays with the gateway.
func TestBounds(t *testing.T) {
	f := newFake(t)
	n := f.notifier(t, nil)
	hostile := reviewtest.Hostile()
	hostile.Request.DecidedBy = strings.Repeat("ü", 5000)
	require.NoError(t, n.Notify(t.Context(), hostile))
	require.LessOrEqual(t, len([]rune(f.events[0].Payload.Summary)), 1024)
	for name, value := range f.events[0].Payload.CustomDetails {
		require.LessOrEqual(t, len([]rune(value)), 1000, name)
		require.NotContains(t, value, "\n")
		require.NotContains(t, value, "\x1b")
	}
	operation := reviewtest.Notice("n", review.Asked)
	operation.Request.Access, operation.Request.Kind, operation.Request.Text = nil, "statement", "DELETE FROM orders"
	require.NoError(t, n.Notify(t.Context(), operation))
	require.NotContains(t, f.events[1].Payload.CustomDetails, "statement")
	require.NoError(t, f.notifier(t, func(c *pagerduty.Config) { c.Details = true }).Notify(t.Context(), operation))
	require.Equal(t, "DELETE FROM orders", f.events[2].Payload.CustomDetails["statement"])
}

// TestAnswers: what PagerDuty refuses as it is becomes a dead letter; an answer must say that it was taken.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		code    int
		answer  string
		refused bool
		want    string
	}{
		{http.StatusBadRequest, `{"status":"invalid event","errors":["` + key + `"]}`, true, "the status 400"},
		{http.StatusForbidden, `{}`, false, "the status 403"},
		{http.StatusTooManyRequests, ``, false, "the status 429"},
		{http.StatusAccepted, `{"status":"throttled"}`, false, "does not say that the event was taken"},
		{http.StatusAccepted, `{}`, false, "does not say that the event was taken"},
		{http.StatusOK, `<html>`, false, "not one of the service's"},
	} {
		h := reviewtest.NewHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.code)
			_, _ = w.Write([]byte(c.answer))
		})
		err := (&fake{HTTP: h}).notifier(t, nil).Notify(t.Context(), reviewtest.Notice("n", review.Asked))
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), key)
		if c.refused {
			require.ErrorIs(t, err, review.ErrRefused)
		} else {
			require.NotErrorIs(t, err, review.ErrRefused)
		}
	}
}

// TestPrivate: a name that leads inside reaches nothing there, unless that is configured.
func TestPrivate(t *testing.T) {
	f := newFake(t)
	n := f.notifier(t, func(c *pagerduty.Config) { c.Private = false })
	require.ErrorContains(t, n.Notify(t.Context(), reviewtest.Notice("n", review.Asked)), "private, local or reserved")
	require.Zero(t, f.Taken())
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]pagerduty.Config{
		"no key":      {},
		"a short key": {Key: proxy.NewSecret("hunter2")},
		"without TLS": {Key: proxy.NewSecret(key), URL: "http://events.pagerduty.com"},
		"a user":      {Key: proxy.NewSecret(key), URL: "https://hunter2@events.pagerduty.com"},
	} {
		_, err := pagerduty.New(c)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "hunter2")
	}
	_, err := pagerduty.New(pagerduty.Config{Key: proxy.NewSecret(key)})
	require.NoError(t, err)
}
