package control_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/review"
)

// record has bob do something on record, and returns his session's identifier.
func (s *site) record(t *testing.T, texts ...string) string {
	t.Helper()
	s.handler.Archive = func() (*audit.Archive, error) { return audit.OpenArchive(s.dir) }
	_, cert, _ := s.certify(t, s.login(t, "bob"))
	live, err := s.open(t, "bob", cert)
	require.NoError(t, err)
	for _, text := range texts {
		op := proxytest.Statement(text, proxy.EffectRead)
		require.False(t, live.Ask(t.Context(), op).Refuses())
		live.Done(op, &proxy.Outcome{Rows: 3})
	}
	live.Close(nil)
	return live.ID
}

// TestRecordings: people find and read their own sessions that are on record, and others' with the permission; it is on record who did.
func TestRecordings(t *testing.T) {
	s := openSite(t)
	id := s.record(t, "SELECT name FROM customers", "SELECT 2")
	ada, bob, eve := s.login(t, "ada"), s.login(t, "bob"), s.login(t, "eve")

	found := answer[control.Recordings](t, s, bob, "GET", "/v1/recordings", nil)
	require.Len(t, found.Sessions, 1)
	require.Equal(t, []any{id, "bob", 2}, []any{found.Sessions[0].ID, found.Sessions[0].User, found.Sessions[0].Operations})
	require.Empty(t, answer[control.Recordings](t, s, eve, "GET", "/v1/recordings", nil).Sessions, "others' sessions")
	require.Empty(t, answer[control.Recordings](t, s, eve, "GET", "/v1/recordings?user=bob", nil).Sessions)
	require.Empty(t, answer[control.Recordings](t, s, eve, "GET", "/v1/recordings?text=customers", nil).Sessions)
	require.Len(t, answer[control.Recordings](t, s, ada, "GET", "/v1/recordings?user=bob&text=customers", nil).Sessions, 1)
	require.Empty(t, answer[control.Recordings](t, s, ada, "GET", "/v1/recordings?text=nothing", nil).Sessions)
	for _, q := range []string{"limit=-1", "limit=5000", "limit=x", "since=yesterday", "until=1"} {
		status, text := s.do(t, ada, "GET", "/v1/recordings?"+q, nil)
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", q, text)
	}

	for _, token := range []string{bob, ada} {
		r := answer[control.Recording](t, s, token, "GET", "/v1/recordings/"+id, nil)
		require.Equal(t, []any{"bob", uint64(3), false}, []any{r.User, r.All, r.Open})
		require.False(t, r.End.IsZero())
		require.Len(t, r.List, 3, "connecting is one")
		require.Equal(t, []any{"SELECT name FROM customers", "done", uint64(3)}, []any{r.List[0].Text, r.List[0].State, r.List[0].Rows})
	}
	require.Equal(t, "SELECT 2", answer[control.Recording](t, s, bob, "GET", "/v1/recordings/"+id+"?skip=1", nil).List[0].Text)
	permit := s.handler.Permit
	s.handler.Permit = func(who *proxy.Identity, p control.Permission) bool {
		return permit(who, p) || who.Subject == "olga" && p == control.List
	}
	listed := answer[control.Recording](t, s, s.login(t, "olga"), "GET", "/v1/recordings/"+id, nil)
	require.Equal(t, []any{"bob", true, 0}, []any{listed.User, listed.Withheld, len(listed.List)}, "who may list sessions sees whose it is")
	status, text := s.do(t, s.login(t, "olga"), "GET", "/v1/recordings?text=customers", nil)
	require.Equal(t, http.StatusForbidden, status, text)
	_, missing := s.do(t, eve, "GET", "/v1/recordings/01kxy8n2v5g6w7c8d9e0f1a2b3", nil)
	for _, path := range []string{id, "x", "..%2f..%2fkeys", "%2e%2e"} {
		status, text := s.do(t, eve, "GET", "/v1/recordings/"+path, nil)
		require.Equal(t, http.StatusNotFound, status, path)
		if path == id {
			require.Equal(t, missing, text, "what is not hers is like what is not there")
		}
	}
	a, err := s.handler.Archive()
	require.NoError(t, err)
	own, err := a.Own()
	require.NoError(t, err)
	require.NotEmpty(t, own)
	status, text = s.do(t, ada, "GET", "/v1/recordings/"+own[0], nil)
	require.Equal(t, http.StatusNotFound, status, "the gateway's own record is not a session: %s", text)

	events := func(query string) (out []audit.Event) {
		for _, raw := range answer[control.Events](t, s, ada, "GET", "/v1/events?"+query, nil).Events {
			var e audit.Event
			require.NoError(t, json.Unmarshal(raw, &e))
			out = append(out, e)
		}
		return out
	}
	read := events("type=admin.read&user=bob")
	require.Len(t, read, 3)
	require.Equal(t, "admin.read", read[0].Type)
	require.Greater(t, read[0].Time, read[2].Time, "the newest first")
	require.NotEmpty(t, events("type=gateway"))
	require.NotEmpty(t, events("text="+id))
	require.Empty(t, events("text=nobody-did-this-before"+time.Now().Format("150405")))
	for _, token := range []string{bob, eve} {
		status, _ := s.do(t, token, "GET", "/v1/events", nil)
		require.Equal(t, http.StatusForbidden, status)
	}
	all := answer[control.Events](t, s, ada, "GET", "/v1/events?limit=2", nil)
	require.Len(t, all.Events, 2)
	require.True(t, all.More)
	sum := 0
	for _, n := range all.Counts {
		sum += n
	}
	require.Greater(t, sum, 2)
	status, text = s.do(t, ada, "GET", "/v1/events?since=2020-01-01T00:00:00Z", nil)
	require.Equal(t, http.StatusBadRequest, status, text)
}

// TestTerms: people see on what terms they may ask for access, and nothing of what they may not ask for.
func TestTerms(t *testing.T) {
	s := openSite(t)
	s.reviews(t)
	s.portal.Access = &control.Access{Actions: []string{"connect", "read"}, Terms: func(_ context.Context, who *proxy.Identity, _, resource, _ string) ([]review.Terms, error) {
		if !who.In("shop") || resource != "orders" {
			return nil, proxy.ErrNotFound
		}
		return []review.Terms{{Rule: "prod", Actions: []string{"connect", "read"}, For: time.Hour, Max: 8 * time.Hour, Decide: time.Hour, Reason: "INC-[0-9]+", Stages: []review.Stage{{Approvers: []string{"ops"}, Need: 1}}}}, nil
	}}
	list := answer[control.TermsList](t, s, s.login(t, "bob"), "GET", "/v1/resources/orders/terms", nil).Terms
	require.Equal(t, []control.Terms{{
		Rule: "prod", Actions: []string{"connect", "read"}, Seconds: 3600, Max: 28800, Decide: 3600, Reason: "INC-[0-9]+", Stages: []review.Stage{{Approvers: []string{"ops"}, Need: 1}},
	}}, list)
	eve := s.login(t, "eve")
	status, hidden := s.do(t, eve, "GET", "/v1/resources/orders/terms", nil)
	require.Equal(t, http.StatusNotFound, status)
	_, missing := s.do(t, eve, "GET", "/v1/resources/nothing/terms", nil)
	require.Equal(t, missing, hidden)
}
