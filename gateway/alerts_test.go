package gateway

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/revision"
)

// fires waits until a receiver was told so many alerts, and returns their rules, in order.
func (r *receiver) fires(t *testing.T, h *house, n int) (rules []string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.has()) >= n }, 30*time.Second, 5*time.Millisecond, "the log:\n%s", h.log)
	for _, what := range r.has() {
		rule, ok := strings.CutPrefix(what, "alert/")
		require.True(t, ok, what)
		rule, _, _ = strings.Cut(rule, "/")
		rules = append(rules, rule)
	}
	return rules
}

// TestAlerts: two gateways on a store count together, and tell a channel once; a rule of the store counts at both; no session waits for a channel that is
// down, and what it was not told is seen; nothing that was typed is told.
func TestAlerts(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte("whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600))
	a := newReceiver(t, dir, "a.pem")
	one, two, _ := openPair(t, fmt.Sprintf(`
access: [{name: readers, groups: [dev], allow: [connect, read]}]
notify:
  - {name: hook, type: webhook, url: %q, keys: ["file:%s"], private: true, ca: %s, details: true}
alerts:
  - {name: many, events: [operation.refused], resources: [shop], each: user, count: 4, within: 10m, quiet: 1h, notify: [hook], message: "look at her session"}
objects: {approval: never}
`, a.URL, filepath.Join(dir, "key"), filepath.Join(dir, "a.pem")))
	refuse := func(h *house, n int) {
		s := connect(t, h.database("alice", "shop"))
		for i := range n {
			require.Contains(t, fmt.Sprint(s.query(fmt.Sprintf("INSERT INTO notes VALUES ('hunter2 %d')", i))), "error 42501")
		}
	}
	since := time.Now().Add(-time.Minute)
	refuse(one, 2)
	refuse(two, 3)
	require.Equal(t, []string{"many"}, a.fires(t, one, 1))
	require.Contains(t, a.last, `"alert":{"rule":"many","message":"look at her session","count":4,"seconds":600,"event":"operation.refused","user":"alice","resource":"shop"`)
	require.NotContains(t, a.last, "hunter2")

	// A rule of the store counts at both from then on.
	r := one.change(t, "alerts: [{name: each, events: [operation.refused], users: ['ali*'], quiet: 1m, notify: [hook]}]")
	two.uses(t, r.Number)
	for _, objects := range []string{
		"alerts: [{name: x, events: [operation.refused], notify: [hooks]}]", "alerts: [{name: x, events: [operation.refusd], notify: [hook]}]",
		"alerts: [{name: x, events: [operation.refused], groups: [nobody], notify: [hook]}]", "alerts: [{name: many, events: [operation.refused], notify: [hook]}]",
	} {
		_, err := one.try(t, objects)
		require.ErrorIs(t, err, revision.ErrInvalid, objects)
	}
	a.Do(reviewtest.Fails)
	begun := time.Now()
	refuse(two, 1)
	require.Less(t, time.Since(begun), 10*time.Second, "no session waits for the channel")
	require.Eventually(t, func() bool {
		list, err := one.outbox.Status(t.Context())
		return err == nil && len(list) == 1 && list[0].Waiting == 1 && list[0].Failure != nil
	}, 30*time.Second, 5*time.Millisecond)
	a.Do(reviewtest.Takes)
	require.Eventually(t, func() bool { return strings.Contains(fmt.Sprint(a.has()), "alert/each/") }, 60*time.Second, 5*time.Millisecond, "%s", two.log)

	// What the page shows: the rules, when each has fired, and what one would have done.
	for _, h := range []*house{one, two} {
		list, err := alerts{h.Gateway}.List(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.Equal(t, "file", list[0].Home)
		require.Equal(t, "store", list[1].Home)
		require.Len(t, list[0].Firings, 1)
		require.Equal(t, "alice", list[0].Firings[0].Alert.User)
		require.Equal(t, []int{3600, 60}, []int{list[0].Quiet, list[1].Quiet})
	}
	archive, err := audit.OpenArchiveWith(two.recordsDir, two.recordsKeys)
	require.NoError(t, err)
	try := func(q control.AlertQuestion) *control.AlertTried {
		q.Since, q.Until = since, time.Now().Add(time.Minute)
		tried, err := alerts{two.Gateway}.Try(t.Context(), archive, q)
		require.NoError(t, err)
		return tried
	}
	tried := try(control.AlertQuestion{Object: "alerts: [{name: draft, events: [operation.refused], count: 2, within: 10m, quiet: 1h, notify: [hook]}]"})
	require.Equal(t, 4, tried.Fitted) // at this gateway
	require.Equal(t, 1, tried.Fired)
	require.Equal(t, "shop", tried.Firings[0].Alert.Resource)
	require.Zero(t, tried.Unread)
	require.Zero(t, try(control.AlertQuestion{Name: "many"}).Firings[0].Alert.Before)
	require.NotZero(t, try(control.AlertQuestion{Object: "alerts: [{name: draft, events: ['gateway.*'], notify: [hook]}]"}).Fired)
	require.Zero(t, try(control.AlertQuestion{Object: "alerts: [{name: draft, events: [operation.refused], users: [bob], notify: [hook]}]"}).Fitted)
	_, err = alerts{two.Gateway}.Try(t.Context(), archive, control.AlertQuestion{Name: "none"})
	require.ErrorIs(t, err, proxy.ErrNotFound)
	_, err = alerts{two.Gateway}.Try(t.Context(), archive, control.AlertQuestion{Object: "access: [{name: a, groups: [dev], allow: [connect]}]"})
	require.ErrorIs(t, err, revision.ErrInvalid)
	require.Len(t, a.has(), 2)
}

// TestAlertsAfterRestart: what was counted before a gateway has stopped counts after its next start.
func TestAlertsAfterRestart(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte("whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600))
	a := newReceiver(t, dir, "a.pem")
	text := fmt.Sprintf(notifyConfig, verifier(t)) + fmt.Sprintf(`  - {name: hook, type: webhook, url: %q, keys: [file:key], private: true, ca: a.pem}
alerts: [{name: guesses, events: [gateway.login-failed], count: 3, within: 5m, notify: [hook]}]
`, a.URL)
	h := open(t, dir, text)
	guess := func(h *house) {
		h.gateway.Report(proxy.Event{Kind: proxy.EventLoginFailed, Protocol: "api", User: "hunter2", Err: proxy.ErrUnauthenticated})
	}
	guess(h)
	guess(h)
	require.NoError(t, h.stop())
	h = open(t, dir, text)
	guess(h)
	require.Equal(t, []string{"guesses"}, a.fires(t, h, 1))
	require.NotContains(t, a.last, "hunter2")
	require.Contains(t, a.last, `"link":"https://gw.example.com/v1/alerts"`)
}
