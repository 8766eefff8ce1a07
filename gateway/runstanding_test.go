package gateway

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/runbook"
)

const standingRunbook = `
params: {order: {type: integer, required: true}, why: {type: string, default: broken}}
review: {need: 2, from: [leads], standing: {runs: 5, for: 2h}}
limits: {affected_rows: 1}
steps:
  - {id: pay, on: db, sql: {text: "update orders set state = 'refunded', note = $why where id = $order"}}
`

// A standing grant, which two people give, lets further runs go: of the same commit and file, within its bounds, as often as it says, until
// somebody takes it back. Each of them has a signed grant of its own, and all of it is proven.
func TestRunStanding(t *testing.T) {
	h := openForRunsAt(t, map[string]string{".git": "", "refund.yaml": aBook("refund", standingRunbook), "strict.yaml": aBook("strict", strings.Replace(standingRunbook, ", standing: {runs: 5, for: 2h}", "", 1))}, "", "")
	ask := func(order any, why string) control.RunRequest {
		return control.RunRequest{Name: "refund", Params: params(map[string]any{"order": order, "why": why})}
	}
	q := ask(3, "broken")
	q.Standing = &control.StandingRequest{Runs: 3, Seconds: 3600, Within: map[string]string{"order": "1..10"}}
	for want, change := range map[string]func(q *control.RunRequest){
		"want 1 to 5":          func(q *control.RunRequest) { q.Standing = &control.StandingRequest{Runs: 6, Seconds: 60} },
		"a minute to 2h0m0s":   func(q *control.RunRequest) { q.Standing = &control.StandingRequest{Runs: 1, Seconds: 3 * 3600} },
		"approved by itself":   func(q *control.RunRequest) { q.Name = "strict" },
		"not within the bound": func(q *control.RunRequest) { q.Params = params(map[string]any{"order": 11}) },
		"has no parameter": func(q *control.RunRequest) {
			q.Standing = &control.StandingRequest{Runs: 1, Seconds: 60, Within: map[string]string{"x": "*"}}
		},
		"want 7776000 or less": func(q *control.RunRequest) { q.Standing = &control.StandingRequest{Runs: 1, Seconds: 1 << 62} },
	} {
		bad := q
		bad.Source = "local"
		change(&bad)
		who, err := identities{h.Gateway}.Refresh(t.Context(), &proxy.Identity{Subject: "alice"})
		require.NoError(t, err)
		_, err = runbookAPI{h.runbooks}.Plan(t.Context(), who, bad)
		require.ErrorContains(t, err, want)
		require.Equal(t, http.StatusBadRequest, h.ask(t, h.as(t, "alice"), "POST", "/v1/runbooks/plan", bad, nil), want)
	}
	q.Source = "local"
	require.Equal(t, http.StatusConflict, h.ask(t, h.as(t, "alice"), "POST", "/v1/runs", q, nil), "it is asked for by a plan that was seen")

	r := h.start(t, "alice", q)
	require.True(t, r.Standing)
	h.waits(t, "alice", r.ID, 0)
	require.Equal(t, http.StatusOK, h.approve(t, "carol", r.ID))
	h.waits(t, "alice", r.ID, 1)
	early := h.start(t, "alice", ask(4, "broken"))
	h.waits(t, "alice", early.ID, 0) // one of two has approved
	require.Equal(t, http.StatusOK, h.ask(t, h.as(t, "alice"), "POST", "/v1/runs/"+early.ID+"/cancel", struct{}{}, nil))
	h.over(t, "alice", early.ID)
	require.Equal(t, http.StatusOK, h.approve(t, "bob", r.ID))
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Done, r.State, r.Message)
	require.Contains(t, r.Message, "the standing grant is given")
	require.Len(t, r.Grants, 2)
	require.Empty(t, r.Steps)
	require.Equal(t, "0", h.sql("select count(*) from orders where state = 'refunded'"), "nothing has run yet")

	for order := 9; order <= 10; order++ { // nobody is asked
		r := h.start(t, "alice", ask(order, "broken"))
		r = h.over(t, "alice", r.ID)
		require.Equal(t, runbook.Done, r.State, r.Message)
		require.Len(t, r.Grants, 2)
		require.Contains(t, fmt.Sprint(r.Grants), "by carol")
		require.Contains(t, fmt.Sprint(r.Grants), "by bob")
	}
	require.Equal(t, "9 10", strings.Join(strings.Fields(h.sql("select id from orders where state = 'refunded' order by id")), " "))

	// What it does not cover waits for people.
	refused := func(user string, q control.RunRequest) {
		t.Helper()
		r := h.start(t, user, q)
		h.waits(t, user, r.ID, 0)
		require.Equal(t, http.StatusOK, h.ask(t, h.as(t, user), "POST", "/v1/runs/"+r.ID+"/cancel", struct{}{}, nil))
		require.Equal(t, runbook.Cancelled, h.over(t, user, r.ID).State)
	}
	refused("alice", ask(11, "broken"))
	refused("alice", ask(5, "another reason"))
	refused("bob", ask(5, "broken"))
	require.NoError(t, os.WriteFile(filepath.Join(h.books, "more.yaml"), []byte(aBook("more", standingRunbook)), 0o600))
	before := h.start(t, "alice", control.RunRequest{Name: "refund", Params: params(map[string]any{"order": 6}), Dry: true}).Origin.Commit
	h.commit(t)
	require.Eventually(t, func() bool {
		list, err := runbookAPI{h.runbooks}.List(t.Context(), nil)
		return err == nil && len(list) == 3 && list[0].Commit != before
	}, 30*time.Second, 20*time.Millisecond)
	refused("alice", ask(6, "broken")) // the same file of another commit
	h.git(t, "reset", "-q", "--hard", before)
	require.Eventually(t, func() bool {
		list, err := runbookAPI{h.runbooks}.List(t.Context(), nil)
		return err == nil && len(list) == 2 && list[0].Commit == before
	}, 30*time.Second, 20*time.Millisecond)
	third := h.start(t, "alice", ask(1, "broken"))
	require.Equal(t, runbook.Done, h.over(t, "alice", third.ID).State)
	refused("alice", ask(2, "broken")) // a fourth

	// Another one, which is revoked.
	q.Params, q.Standing.Within = params(map[string]any{"order": 2, "why": "late"}), nil
	r = h.start(t, "alice", q)
	h.waits(t, "alice", r.ID, 0)
	require.Equal(t, http.StatusOK, h.approve(t, "bob", r.ID))
	h.waits(t, "alice", r.ID, 1)
	require.Equal(t, http.StatusOK, h.approve(t, "carol", r.ID))
	r = h.over(t, "alice", r.ID)
	require.Equal(t, runbook.Done, r.State, r.Message)
	id, _, _ := strings.Cut(r.Grants[1], " ")
	var shown review.Request
	require.Equal(t, http.StatusOK, h.ask(t, h.as(t, "alice"), "GET", "/v1/requests/"+id, nil, &shown))
	require.Equal(t, 3, shown.Standing.Runs)
	require.Contains(t, shown.Text, "standing grant: 3 runs of the runbook refund within 1h0m0s")
	require.Contains(t, shown.Lines(), "approves 3 runs within its scope, for 1h0m0s from the approval on; 0 have begun")
	require.Equal(t, http.StatusOK, h.ask(t, h.as(t, "carol"), "POST", "/v1/requests/"+id+"/revoke", control.ReasonRequest{Reason: "enough"}, nil))
	refused("alice", ask(2, "late"))
	require.Equal(t, "1 9 10", strings.Join(strings.Fields(h.sql("select id from orders where state = 'refunded' order by id")), " "))

	got := h.proven(t)
	require.Equal(t, 2+2+3*2, got.Proven, "two that ask, and two of each run")
	require.Zero(t, got.Unsigned)
}
