package gateway

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/runbook"
)

// hostRules are guardrails of a machine that agents use, and what lets agents in.
const hostRules = `  - {name: no-kill, deny: {commands: [kill]}}
  - {name: looked-at, hold: {commands: [tee]}, approvers: [leads], for: 10m}
mcp: {enabled: true, rows: 20, bytes: 4096}
`

func openMCPHost(t *testing.T) (*mcpRig, *runHouse) {
	t.Helper()
	h := openForRunsAt(t, runBooks, "", hostRules)
	return &mcpRig{house: h.house}, h
}

// TestMCPRunbook: a runbook that changes something is run by the plan that was shown, one that needs approvals waits for them, and nobody
// else's runs are seen.
func TestMCPRunbook(t *testing.T) {
	a, h := openMCPHost(t)
	s := a.agent(t, a.token(t, "alice").Secret)
	ask := func(s *mcp.ClientSession, in map[string]any) *toolAnswer { return call(t, s, "run_runbook", in) }
	until := func(id string, ok func(r *runbook.Run) bool) (r runbook.Run) {
		require.Eventually(t, func() bool {
			got := ask(s, map[string]any{"run": id})
			require.Equal(t, "ok", got.Status, got.Why)
			r = runbook.Run{}
			require.NoError(t, json.Unmarshal(got.Run, &r))
			return ok(&r)
		}, 60*time.Second, 50*time.Millisecond)
		return r
	}
	start := func(in map[string]any) runbook.Run {
		plan := ask(s, in)
		require.Equal(t, "plan", plan.Status, plan.Why)
		require.Contains(t, plan.Text, "update orders")
		wrong := map[string]any{"plan": strings.Repeat("0", len(plan.Plan))}
		for k, v := range in {
			wrong[k] = v
		}
		require.Equal(t, "failed", ask(s, wrong).Status, "another plan than the one that was shown")
		wrong["plan"] = plan.Plan
		got := ask(s, wrong)
		require.Equal(t, "ok", got.Status, got.Why)
		var r runbook.Run
		require.NoError(t, json.Unmarshal(got.Run, &r))
		return r
	}
	r := start(map[string]any{"source": "local", "name": "undo"})
	r = until(r.ID, func(r *runbook.Run) bool { return r.State.Over() })
	require.Equal(t, runbook.Done, r.State, r.Message)
	require.Equal(t, []string{"alice~coder", "alice"}, []string{r.Requester, r.For})
	require.Equal(t, "4", h.sql("select count(*) from orders where note = 'undone'"))

	in := map[string]any{"source": "local", "name": "refund", "params": map[string]any{"order": 7, "reason": "broken"}}
	r = start(in)
	until(r.ID, func(r *runbook.Run) bool { return r.State == runbook.Waiting && strings.Contains(r.Message, "request") })
	require.Equal(t, "paid", h.sql("select state from orders where id = 7"))
	other := a.agent(t, a.token(t, "bob").Secret)
	require.Equal(t, "failed", ask(other, map[string]any{"run": r.ID}).Status, "another's run")
	for n, who := range []string{"carol", "bob"} {
		until(r.ID, func(r *runbook.Run) bool { return r.State == runbook.Waiting && len(r.Grants) == n })
		require.Equal(t, 200, h.approve(t, who, r.ID))
	}
	r = until(r.ID, func(r *runbook.Run) bool { return r.State.Over() })
	require.Equal(t, runbook.Done, r.State, "%s %v", r.Message, r.Steps)
	require.Equal(t, "refunded", h.sql("select state from orders where id = 7"))
	require.Equal(t, [][]string{{"7", "70", "<card>"}}, r.Steps[0].Kept, "masked")

	require.Equal(t, "failed", ask(s, map[string]any{"source": "local", "name": "nothing"}).Status)
}
