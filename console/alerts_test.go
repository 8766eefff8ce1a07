package console_test

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/browsertest"
	"github.com/sallyport/sallyport/review/reviewtest"
)

// TestAlertsInBrowser: an administrator sees which rule has fired, for which user, and which channel takes nothing; tests a draft with recent events,
// makes an alert of it, and it fires. What is written is text.
func TestAlertsInBrowser(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte("whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600))
	service := reviewtest.NewHTTP(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	ca := filepath.Join(dir, "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: service.Leaf.Raw}), 0o600))
	service.Do(reviewtest.Fails)
	channel := `{name: %s, type: webhook, url: %q, keys: ["file:` + filepath.Join(dir, "key") + `"], private: true, ca: ` + ca + `}`
	h := open(t, fmt.Sprintf("notify:\n  - "+channel+"\n", "hook", service.URL)+`
alerts:
  - {name: refusals, events: [operation.refused], each: user, count: 2, within: 10m, quiet: 1h, notify: [hook], message: `+fmt.Sprintf("%q", hostile[0])+`}
objects: {approval: never}
`)
	refuse := func(n int) {
		c := h.psql(t, "alice", "orders")
		for range n {
			_, err := c.Exec(t.Context(), "DROP TABLE customers").ReadAll()
			require.Error(t, err)
		}
	}
	refuse(5)
	ada := h.browser(t, "ada")
	ada.Go(h.url + "/alerts")
	again := func(what string) {
		t.Helper()
		require.Eventually(t, func() bool {
			ada.Go(h.url + "/alerts")
			ada.Has("heading", "Channels")
			return strings.Contains(browsertest.Eval[string](ada, "document.body.innerText"), what)
		}, 2*time.Minute, 200*time.Millisecond)
	}
	again("fired")
	again("failing")
	look(ada, "alerts")
	ada.Click("button", "refusals")
	ada.Has("dialog", "Alert refusals")
	ada.Sees("operation.refused of alice at orders")
	ada.Click("button", "Test with recent events")
	ada.Sees("Would have fired 1 time")
	look(ada, "alert")

	// A draft is tested before it counts.
	ada.Go(h.url + "/configuration/edit?new=alert")
	ada.Fill("Objects", "alerts:\n  - {name: drops, events: [operation.refusd], notify: [hook]}\n")
	ada.Click("button", "Test with recent events")
	ada.Sees(`no event has the type "operation.refusd"`)
	draft := "alerts:\n  - {name: drops, events: [operation.refused], users: ['al*'], count: 4, within: 1h, quiet: 1m, notify: [hook]}\n"
	ada.Fill("Objects", draft)
	ada.Click("button", "Test with recent events")
	ada.Sees("Would have fired 1 time")
	ada.Sees("by 5 events that fit")
	look(ada, "alert-draft")
	ada.Click("button", "Show what would change")
	ada.Sees("applies at once")
	ada.Fill("Reason", "ticket 9")
	ada.Click("button", "Apply it")
	ada.Sees("Applied.")
	service.Do(reviewtest.Takes)
	refuse(4)
	require.Eventually(t, func() bool { return service.Taken() >= 2 }, 60*time.Second, 20*time.Millisecond, "both alerts are told once the channel takes them")
	again("takes notices")
	ada.Click("button", "drops")
	ada.Has("dialog", "Alert drops")
	ada.Sees("4 within 1 h")
	require.False(t, browsertest.Eval[bool](ada, "!!window.pwned"))

	// Who may not configure has neither the page nor its answer.
	status, _ := h.as(t, "olga").try("GET", "/v1/alerts", nil)
	require.Equal(t, http.StatusForbidden, status)
	ben := h.as(t, "ada")
	var all struct {
		Alerts []struct {
			Name    string
			Firings []struct{ Alert struct{ User string } }
		}
	}
	ben.ask("GET", "/v1/alerts", nil, &all)
	require.Len(t, all.Alerts, 2)
	require.Equal(t, "alice", all.Alerts[1].Firings[0].Alert.User)
	status, text := ben.try("POST", "/v1/alerts/try", map[string]any{"name": "refusals", "since": time.Now().Add(-40 * 24 * time.Hour), "until": time.Now()})
	require.Equal(t, http.StatusBadRequest, status, "%s", text)
	status, _ = ben.try("POST", "/v1/alerts/try", map[string]any{"name": "gone", "since": time.Now().Add(-time.Hour), "until": time.Now()})
	require.Equal(t, http.StatusNotFound, status)
}
