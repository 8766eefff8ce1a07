package audit

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// What was approved by a standing approval is what that lets run: as often, for the same user and place, by the same person, in time.
func TestVerifyStanding(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	gives := proxy.Grant{
		Request: "standing", Requester: "alice", Resource: "shop", Account: "app", Database: "d", Kind: "runbook", Standing: 2, NotAfter: at.Add(time.Hour),
		Votes: []proxy.GrantVote{{By: "bob", At: at}},
	}
	run := func(id string, change func(g *proxy.Grant)) *proxy.Grant {
		g := gives
		g.Request, g.Standing, g.Under, g.Uses, g.Votes = id, 0, "standing", 1, []proxy.GrantVote{{By: "bob", At: at.Add(time.Minute)}}
		if change != nil {
			change(&g)
		}
		return &g
	}
	check := func(grants ...*proxy.Grant) string {
		s := standing{}
		for _, g := range grants {
			s.lets(g)
		}
		var said []string
		s.finish(func(text string) { said = append(said, text) })
		return strings.Join(said, "\n")
	}
	require.Empty(t, check(&gives, run("a", nil), run("b", nil), run("b", nil)))
	require.Empty(t, check(run("a", nil)), "of another gateway's log")
	require.Contains(t, check(&gives, run("a", nil), run("b", nil), run("c", nil)), "lets 2 operations run, and more were approved by it, such as request c")
	for want, change := range map[string]func(g *proxy.Grant){
		"which is for alice":                  func(g *proxy.Grant) { g.Requester = "eve" },
		"which is for another place":          func(g *proxy.Grant) { g.Resource = "other" },
		"which another person has approved":   func(g *proxy.Grant) { g.Votes[0].By = "carol" },
		"which was over by then":              func(g *proxy.Grant) { g.Votes[0].At = at.Add(2 * time.Hour) },
		"which was not yet approved then":     func(g *proxy.Grant) { g.Votes[0].At = at.Add(-time.Second) },
		"request a was approved by the stand": func(g *proxy.Grant) { g.Kind = "statement" },
	} {
		require.Contains(t, check(&gives, run("a", change)), want)
	}
}
