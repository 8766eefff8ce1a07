package pagerduty_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review/pagerduty"
	"github.com/sallyport/sallyport/review/reviewtest"
)

const token = "y_NbAkKc66ryYTWUXYEu-hunter2"

// schedule is one whose service answers so.
func schedule(t *testing.T, answer http.HandlerFunc, change func(c *pagerduty.ScheduleConfig)) *pagerduty.Schedule {
	t.Helper()
	h := reviewtest.NewHTTP(t, answer)
	c := pagerduty.ScheduleConfig{Schedule: "PI7DH85", Token: proxy.NewSecret(token), URL: h.URL, Private: true, TLS: h.TLS}
	if change != nil {
		change(&c)
	}
	s, err := pagerduty.NewSchedule(c)
	require.NoError(t, err)
	return s
}

func onCall(email string, level int) string {
	return fmt.Sprintf(`{"user":{"id":"PT23IWX","type":"user","summary":"Tim","email":%q},"schedule":{"id":"PI7DH85","type":"schedule_reference"},
		"escalation_policy":{"id":"PT20YPA","type":"escalation_policy_reference"},"escalation_level":%d,"start":"2026-03-06T15:28:51-05:00","end":null}`, email, level)
}

// TestOnCall: all pages are read, and of an escalation policy those who are called first.
func TestOnCall(t *testing.T) {
	var query []string
	answer := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/oncalls" || r.Header.Get("Authorization") != "Token token="+token || r.Header.Get("Accept") != "application/vnd.pagerduty+json;version=2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		query = append(query, r.URL.Query().Get("schedule_ids[]")+"|"+r.URL.Query().Get("escalation_policy_ids[]")+"|"+r.URL.Query().Get("include[]")+"|"+r.URL.Query().Get("offset"))
		if r.URL.Query().Get("offset") == "0" {
			fmt.Fprintf(w, `{"oncalls":[%s,%s],"limit":100,"offset":0,"more":true,"total":null}`, onCall("bob@example.com", 1), onCall("", 1))
			return
		}
		fmt.Fprintf(w, `{"oncalls":[%s],"limit":100,"offset":100,"more":false,"total":null}`, onCall("carol@example.com", 2))
	}
	list, err := schedule(t, answer, nil).OnCall(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"bob@example.com", "carol@example.com"}, list)
	require.Equal(t, []string{"PI7DH85||users|0", "PI7DH85||users|100"}, query)

	list, err = schedule(t, answer, func(c *pagerduty.ScheduleConfig) { c.Schedule, c.Policy = "", "PT20YPA" }).OnCall(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"bob@example.com"}, list)
	require.Equal(t, "|PT20YPA|users|0", query[2])
}

// TestOnCallUnknown: what cannot be told is an error, and never nobody.
func TestOnCallUnknown(t *testing.T) {
	for answer, want := range map[string]string{
		`{}`: "does not say", `{"oncalls":null}`: "does not say", `<html>`: "not one of the service's", `{"oncalls":[],"more":true}`: "more people than are read",
	} {
		_, err := schedule(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }, nil).OnCall(t.Context())
		require.ErrorContains(t, err, want)
	}
	_, err := schedule(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, nil).OnCall(t.Context())
	require.ErrorContains(t, err, "the status 403")
	require.NotContains(t, err.Error(), "hunter2")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = schedule(t, nil, nil).OnCall(ended)
	require.ErrorIs(t, err, context.Canceled)
	_, err = schedule(t, nil, func(c *pagerduty.ScheduleConfig) { c.Private = false }).OnCall(t.Context())
	require.ErrorContains(t, err, "private, local or reserved")
}

func TestScheduleConfig(t *testing.T) {
	for name, c := range map[string]pagerduty.ScheduleConfig{
		"neither":       {Token: proxy.NewSecret(token)},
		"both":          {Token: proxy.NewSecret(token), Schedule: "PI7DH85", Policy: "PT20YPA"},
		"a name":        {Token: proxy.NewSecret(token), Schedule: "Payments: primary"},
		"no token":      {Schedule: "PI7DH85"},
		"not encrypted": {Token: proxy.NewSecret(token), Schedule: "PI7DH85", URL: "http://api.pagerduty.com"},
	} {
		_, err := pagerduty.NewSchedule(c)
		require.Error(t, err, name)
	}
}
