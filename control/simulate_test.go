package control_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
)

// answers are rules that know one resource.
type answers struct{ asked []string }

func (a *answers) Simulate(_ context.Context, q control.Simulation) (*control.Simulated, error) {
	if q.Resource != "orders" {
		return nil, fmt.Errorf("%w: resource %q", proxy.ErrNotFound, q.Resource)
	}
	a.asked = append(a.asked, q.User)
	return &control.Simulated{Answer: control.Answer{Outcome: "deny"}, Trace: []control.TraceStep{}}, nil
}

func (a *answers) Replay(context.Context, *audit.Archive, control.ReplayQuestion) (*control.ReplayAnswer, error) {
	a.asked = append(a.asked, "replay")
	return &control.ReplayAnswer{}, nil
}

func (a *answers) Test(_ context.Context, resource string) ([]control.TestStep, error) {
	a.asked = append(a.asked, "test "+resource)
	return []control.TestStep{{Name: "resolve", OK: true}}, nil
}

// TestRulesAPI: who may configure asks about the rules, within bounds, and it is on record; nobody else does, and what sessions have
// asked for is for those alone who may watch them.
func TestRulesAPI(t *testing.T) {
	d := openDesk(t, control.List)
	rules := &answers{}
	d.handler.Portal = func() *control.Portal { return &control.Portal{Rules: rules} }
	d.handler.Archive = func() (*audit.Archive, error) { return audit.OpenArchive(d.dir) }
	simulation, replay := `{"user": "zoe", "resource": "orders"}`, `{"objects": "x", "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}`
	for path, body := range map[string]string{"/v1/policy/simulate": simulation, "/v1/policy/replay": replay, "/v1/resources/orders/test": ""} {
		require.Equal(t, http.StatusForbidden, d.do("bob", "POST", path, body).Code, path)
	}
	require.Empty(t, rules.asked)

	require.Equal(t, http.StatusOK, d.do("root", "POST", "/v1/policy/simulate", simulation).Code)
	require.Equal(t, control.CodeNotFound, code(t, d.do("root", "POST", "/v1/policy/simulate", `{"user": "zoe", "resource": "x"}`)))
	require.Equal(t, control.CodeBadRequest, code(t, d.do("root", "POST", "/v1/policy/simulate", `{"resource": "orders"}`)))
	require.Equal(t, http.StatusOK, d.do("root", "POST", "/v1/policy/replay", replay).Code)
	long := strings.Replace(replay, "2026-01-02", "2026-03-02", 1)
	require.Equal(t, control.CodeBadRequest, code(t, d.do("root", "POST", "/v1/policy/replay", long)))
	require.Equal(t, http.StatusOK, d.do("root", "POST", "/v1/resources/orders/test", "").Code)
	require.Equal(t, []string{"zoe", "replay", "test orders"}, rules.asked)

	d.handler.Permit = func(_ *proxy.Identity, p control.Permission) bool { return p == control.Configure } // and no more
	require.Equal(t, control.CodeForbidden, code(t, d.do("root", "POST", "/v1/policy/replay", replay)))
	var did []string
	for _, e := range d.own(t) {
		if e.Type != audit.AdminRefused {
			did = append(did, e.Reason)
		}
	}
	require.Equal(t, []string{"simulate zoe at orders", "simulate zoe at x", "replay of a draft from 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z", "test of resource orders"}, did)
}
