package runbook

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const standingBook = `apiVersion: sallyport/v1
kind: Runbook
metadata: {name: pay}
targets: {db: {types: [postgres]}}
params:
  order: {type: integer, required: true}
  price: {type: number, default: "1"}
  day: {type: date, default: 2026-01-01}
  mode: {type: enum, values: [full, part], default: full}
  tags: {type: multi, values: [a, b, c], default: a}
  note: {type: string}
  more: {type: text, default: x}
  token: {type: secret, generate: 20}
review: {need: 2, from: [leads], standing: {runs: 10, for: 24h}}
steps:
  - {id: a, sql: {text: "update orders set note = $note, total = $price where id = $order and day = $day and mode = $mode and tags = $tags and more = $more"}}
`

var standingOrigin = Origin{Source: "x", Commit: "c1", Path: "pay.yaml", Digest: "d1"}

func standingPlan(t *testing.T, origin Origin, values map[string]any) *Plan {
	t.Helper()
	b, err := Parse([]byte(standingBook))
	require.NoError(t, err)
	all := map[string]any{"order": 7, "note": "n"}
	maps.Copy(all, values)
	p, err := b.Plan(origin, Choice{Values: raws(all)}, places3)
	require.NoError(t, err)
	return p
}

// A standing grant covers runs of the same commit and file with values within its bounds, and no others.
func TestStandingCovers(t *testing.T) {
	p := standingPlan(t, standingOrigin, nil)
	s, err := p.Stand(10, time.Hour, map[string]string{"order": "1..100", "price": "0.5..2", "day": "2026-01-01..2026-01-31", "mode": "full,part", "tags": "a,b", "note": "*"})
	require.NoError(t, err)
	held, err := s.hold("set", 1)
	require.NoError(t, err)
	var of scope
	require.NoError(t, json.Unmarshal([]byte(held.Scope), &of))
	require.Equal(t, []int{1, 2}, []int{of.Part, of.Parts}, "two people approve it")
	covers := func(origin Origin, values map[string]any) bool { return of.covers(standingPlan(t, origin, values)) }
	require.True(t, covers(standingOrigin, nil))
	for _, within := range []map[string]any{
		{"order": 1}, {"order": 100}, {"price": "0.5"}, {"price": "2.000"}, {"day": "2026-01-31"}, {"mode": "part"}, {"tags": []string{"a", "b"}}, {"note": "x' or '1'='1"},
	} {
		require.True(t, covers(standingOrigin, within), within)
	}
	for _, outside := range []map[string]any{
		{"order": 0}, {"order": 101}, {"order": -5}, {"price": "2.0001"}, {"price": "0.49"}, {"day": "2026-02-01"}, {"day": "2025-12-31"}, {"tags": []string{"a", "c"}}, {"more": "y"}, {"more": "X"},
	} {
		require.False(t, covers(standingOrigin, outside), outside)
	}
	for name, change := range map[string]func(o *Origin){
		"commit": func(o *Origin) { o.Commit = "c2" }, "none": func(o *Origin) { o.Commit = "" }, "file": func(o *Origin) { o.Digest = "d2" }, "path": func(o *Origin) { o.Path = "other.yaml" },
		"source": func(o *Origin) { o.Source = "y" },
	} {
		other := standingOrigin
		change(&other)
		require.False(t, covers(other, nil), name)
	}
	elsewhere := standingPlan(t, standingOrigin, nil)
	elsewhere.Targets = map[string][]Resource{"db": {{Name: "another", Type: "postgres"}}}
	require.False(t, of.covers(elsewhere), "other targets")
	fewer := standingPlan(t, standingOrigin, nil)
	fewer.Reviews[0].From = []string{"others"}
	require.False(t, of.covers(fewer), "other approvers")
	wider := standingPlan(t, standingOrigin, nil)
	wider.Bounds.Rows++
	require.False(t, of.covers(wider), "other limits")

	text := s.Text(p)
	for _, want := range []string{"standing grant: 10 runs of the runbook pay within 1h0m0s", `order: from "1" to "100"`, "note: any value that it takes", `mode: one of ["full" "part"]`, "more: as below", p.String()} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "\ntoken: ")
}

// What may not stand, or has no bounds that can be compared, is refused when it is asked for.
func TestStandingRefused(t *testing.T) {
	p := standingPlan(t, standingOrigin, nil)
	for bound, want := range map[[2]string]string{
		{"order", "100..1"}: "the least value first", {"order", "8..9"}: "not within the bound", {"order", "1..x"}: "want a whole number", {"order", "1.."}: "want a whole number", {"order", ""}: "want a whole number",
		{"token", "*"}: "secret", {"nothing", "*"}: "no parameter", {"mode", "full,none"}: "want one of", {"note", "a..z"}: "not within the bound",
	} {
		_, err := p.Stand(1, time.Hour, map[string]string{bound[0]: bound[1]})
		require.ErrorContains(t, err, want, bound)
	}
	for want, ask := range map[string]struct {
		runs int64
		long time.Duration
	}{"1 to 10": {11, time.Hour}, "got 0 runs": {0, time.Hour}, "24h0m0s": {1, 25 * time.Hour}, "a minute": {1, time.Second}} {
		_, err := p.Stand(ask.runs, ask.long, nil)
		require.ErrorContains(t, err, want)
	}
	folder := standingOrigin
	folder.Commit = ""
	_, err := standingPlan(t, folder, nil).Stand(1, time.Hour, nil)
	require.ErrorContains(t, err, "no commits")
	strict := standingPlan(t, standingOrigin, nil)
	strict.Reviews[0].Standing = nil
	_, err = strict.Stand(1, time.Hour, nil)
	require.ErrorContains(t, err, "each run approved by itself")
	strict.Reviews = nil
	_, err = strict.Stand(1, time.Hour, nil)
	require.ErrorContains(t, err, "need no approval")
	for _, bad := range []string{"{runs: 0, for: 1h}", "{runs: 101, for: 1h}", "{runs: 1, for: 1s}", "{runs: 1, for: 10000h}", "{runs: 1}", "{runs: 1, for: 1h, params: [a]}"} {
		_, err := Parse([]byte("apiVersion: sallyport/v1\nkind: Runbook\nmetadata: {name: x}\ntargets: {db: {types: [postgres]}}\nreview: {from: [a], standing: " + bad + "}\nsteps:\n  - {id: a, sql: {text: select 1}}\n"))
		require.ErrorContains(t, err, "standing", bad)
	}
}
