package control_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
)

// TestAuthorities: an administrator has another key sign, on record, with a reason, and one at a time. Nobody else does.
func TestAuthorities(t *testing.T) {
	s := openSite(t)
	ada, eve := s.login(t, "ada"), s.login(t, "eve")
	const rotate = "/v1/authorities/agents/rotate"
	for _, at := range [][2]string{{"GET", "/v1/authorities"}, {"POST", rotate}} {
		status, _ := s.do(t, ada, at[0], at[1], map[string]any{"reason": "x"})
		require.Equal(t, http.StatusNotFound, status, "there are none")
	}
	sealer, err := identity.NewSealer(nil)
	require.NoError(t, err)
	docs := &identity.Memory{}
	agents, err := ca.OpenAuthority(t.Context(), ca.ForAgents, ca.Options{Documents: docs, Sealer: sealer})
	require.NoError(t, err)
	s.handler.Authorities = func() []*ca.Authority { return []*ca.Authority{agents} }
	for _, at := range [][2]string{{"GET", "/v1/authorities"}, {"POST", rotate}} {
		status, _ := s.do(t, eve, at[0], at[1], map[string]any{"reason": "x"})
		require.Equal(t, http.StatusForbidden, status)
	}
	for _, c := range []struct {
		at   string
		body map[string]any
		want int
	}{
		{rotate, map[string]any{"reason": " "}, http.StatusBadRequest},
		{rotate, map[string]any{"reason": "x", "announce": -1}, http.StatusBadRequest},
		{rotate, map[string]any{"reason": "x", "overlap": 366 * 86400}, http.StatusBadRequest},
		{rotate, map[string]any{"reason": "x", "overlap": int64(1) << 62}, http.StatusBadRequest},
		{rotate, map[string]any{"reason": "x", "announce": 1, "now": true}, http.StatusBadRequest},
		{"/v1/authorities/users/rotate", map[string]any{"reason": "x"}, http.StatusNotFound},
		{"/v1/authorities/kings/rotate", map[string]any{"reason": "x"}, http.StatusNotFound},
	} {
		status, body := s.do(t, ada, "POST", c.at, c.body)
		require.Equal(t, c.want, status, "%v %s", c.body, body)
	}
	require.Len(t, agents.Keys(), 1)

	began := time.Now()
	got := answer[control.Authority](t, s, ada, "POST", rotate, map[string]any{"reason": "yearly"})
	require.Equal(t, "agents", got.Purpose)
	require.Len(t, got.Keys, 2)
	before, next := got.Keys[0], got.Keys[1]
	require.True(t, before.Signs && !next.Signs, "the next one is announced")
	require.WithinDuration(t, began.Add(ca.AgentLife), next.From, time.Minute)
	require.WithinDuration(t, began.Add(2*ca.AgentLife), before.Until, time.Minute)
	require.NotEqual(t, before.Fingerprint, next.Fingerprint)
	require.Equal(t, []control.Authority{*got}, answer[control.AuthorityList](t, s, ada, "GET", "/v1/authorities", nil).Authorities)
	status, body := s.do(t, ada, "POST", rotate, map[string]any{"reason": "again"})
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, body, "is announced already")

	agents, err = ca.OpenAuthority(t.Context(), ca.ForAgents, ca.Options{Documents: &identity.Memory{}, Sealer: sealer})
	require.NoError(t, err)
	got = answer[control.Authority](t, s, ada, "POST", rotate, map[string]any{"reason": "stolen", "now": true, "overlap": 60})
	require.True(t, got.Keys[1].Signs)
	require.WithinDuration(t, time.Now().Add(time.Minute), got.Keys[0].Until, 30*time.Second)
	var did []string
	for _, e := range s.own(t) {
		if e.Type == audit.AdminConfigure && e.Action == "rotate" {
			did = append(did, e.User+" "+e.Reason)
		}
	}
	require.Equal(t, []string{
		"ada authority agents: announce 336h0m0s, overlap 336h0m0s: yearly", "ada authority agents: announce 0s, overlap 1m0s: stolen",
	}, did)
}
