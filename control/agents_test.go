package control_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
)

// TestAgents: administrators see the agents that dial out, on record, and nobody else does.
func TestAgents(t *testing.T) {
	s := openSite(t)
	ada, eve := s.login(t, "ada"), s.login(t, "eve")
	status, _ := s.do(t, ada, "GET", "/v1/agents", nil)
	require.Equal(t, http.StatusNotFound, status)
	want := control.Agent{Name: "berlin", Enrolled: time.Unix(1, 0).UTC(), By: "root", Connected: true, Sessions: 2}
	var fails error
	s.handler.Agents = func(context.Context) ([]control.Agent, error) { return []control.Agent{want}, fails }
	require.Equal(t, []control.Agent{want}, answer[control.AgentList](t, s, ada, "GET", "/v1/agents", nil).Agents)
	status, _ = s.do(t, eve, "GET", "/v1/agents", nil)
	require.Equal(t, http.StatusForbidden, status)
	fails = errors.New("the store is down")
	status, _ = s.do(t, ada, "GET", "/v1/agents", nil)
	require.GreaterOrEqual(t, status, http.StatusInternalServerError)
	var looked []string
	for _, e := range s.own(t) {
		if e.Type == audit.AdminConfiguration && e.Reason == "agents" {
			looked = append(looked, e.User)
		}
	}
	require.Equal(t, []string{"ada", "ada"}, looked)
}
