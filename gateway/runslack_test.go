package gateway

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/internal/race"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/runbook"
)

// A run is approved by the buttons of Slack, under a message that has all of its plan; the record of the run proves who has approved it. What
// else is held is not decided there.
func TestRunApprovedInSlack(t *testing.T) {
	s := &slackHouse{}
	ca := filepath.Join(t.TempDir(), "slack.pem")
	h := openForRunsAt(t, map[string]string{"refund.yaml": runBooks["refund.yaml"]}, "", "  - {name: no-deletes, hold: {effects: [delete]}, approvers: [leads], for: 1h}\n", fmt.Sprintf(
		"notify:\n  - {name: chat, type: slack, channel: C0123456789, token: env:SLACK_TOKEN, signing_secret: env:SLACK_SIGNING, runbooks: true, url: %q, ca: %q}\n", s.service(t, ca), ca))
	s.house = h.house
	pending := func() *review.Request {
		var r *review.Request
		require.Eventually(t, func() bool {
			for _, one := range h.desk.List() {
				if one.State == review.Pending {
					r = &one
				}
			}
			return r != nil
		}, 30*time.Second, time.Millisecond)
		return r
	}
	press := func(as, hash string) string {
		w := s.press("/slack/chat", as+"@example.com", "approve", hash, "on call")
		require.Equal(t, http.StatusOK, w.Code)
		return w.Body.String()
	}
	r := h.start(t, "alice", control.RunRequest{Name: "refund", Params: params(map[string]any{"order": 7, "reason": "it's <!channel> & $(id)"})})
	for i, by := range []string{"bob", "carol"} {
		h.waits(t, "alice", r.ID, i)
		s.r = pending()
		require.Eventually(t, func() bool {
			text, _ := s.blocks.Load().(string)
			return strings.Contains(text, s.r.ID) && strings.Contains(text, "Approve")
		}, 30*time.Second, 5*time.Millisecond, "%s", h.log)
		text, _ := s.blocks.Load().(string)
		for _, want := range []string{"update orders set state = 'refunded'", r.Plan, "changes 1 rows or less in a step", r.Origin.Digest} {
			require.Contains(t, strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">", `\u0027`, "'").Replace(text), want, "all of the plan is there")
		}
		require.Contains(t, press("nobody", s.r.Hash), "knows nobody")
		require.Contains(t, press(by, strings.Repeat("00", 32)), "read it again")
		require.Empty(t, press(by, s.r.Hash))
	}
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Done, r.State, r.Message)
	require.Equal(t, "refunded", h.sql("select state from orders where id = 7"))
	decided, err := h.desk.Get(t.Context(), s.r.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"carol", "slack chat"}, []string{decided.DecidedBy, decided.Channel})

	w := h.wire(t, "alice", "shop")
	_, open := w.query(t, "delete from seen", func() {
		s.r = pending()
		require.Contains(t, press("bob", s.r.Hash), review.ErrUnknown.Error(), "a statement is not decided there")
		require.Equal(t, http.StatusOK, h.ask(t, h.as(t, "bob"), "POST", "/v1/requests/"+s.r.ID+"/deny", control.Decision{Hash: s.r.Hash, Reason: "no"}, nil))
	})
	require.True(t, open)
	w.close(t)
	require.Equal(t, 2, h.proven(t).Proven)
}

// A run begins its first statement hardly later than psql does through the gateway.
func TestRunOverhead(t *testing.T) {
	h := openForRuns(t, map[string]string{"mark.yaml": aBook("mark", "steps:\n  - {id: a, on: db, sql: {text: \"insert into seen values (1, clock_timestamp()::text)\"}}\n")})
	at := func() time.Time { // when the server saw it
		got, err := time.Parse("2006-01-02 15:04:05.999999-07", h.sql("select max(value) from seen"))
		require.NoError(t, err)
		return got
	}
	const rounds = 5
	var psql, runs []time.Duration
	q := control.RunRequest{Source: "local", Name: "mark"}
	var p control.RunPlan
	require.Equal(t, http.StatusOK, h.ask(t, h.as(t, "alice"), "POST", "/v1/runbooks/plan", q, &p))
	q.Plan = p.Plan.Digest
	for range rounds {
		begun := time.Now()
		cmd := exec.Command("psql", h.database("alice", "shop"), "-qXc", "insert into seen values (1, clock_timestamp()::text)")
		cmd.Env = append(os.Environ(), "TZ=UTC")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		psql = append(psql, at().Sub(begun))

		begun = time.Now()
		var r runbook.Run
		require.Equal(t, http.StatusAccepted, h.ask(t, h.as(t, "alice"), "POST", "/v1/runs", q, &r))
		require.Equal(t, runbook.Done, h.over(t, "alice", r.ID).State)
		runs = append(runs, at().Sub(begun))
	}
	slices.Sort(psql)
	slices.Sort(runs)
	t.Logf("to the first statement: psql %s (least %s), run %s (least %s)", psql[rounds/2], psql[0], runs[rounds/2], runs[0])
	if !race.Enabled { // the least is what load has the least to do with
		require.Less(t, runs[0]-psql[0], 20*time.Millisecond)
	}
}
