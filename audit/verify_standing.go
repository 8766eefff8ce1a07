package audit

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/proxy"
)

// standing are the approvals that let further operations run, and the approvals of these, by their requests.
type standing struct {
	gives map[string]*proxy.Grant
	under map[string]*proxy.Grant
}

// lets notes what a signed approval has to do with a standing one.
func (s *standing) lets(g *proxy.Grant) {
	if s.gives == nil {
		s.gives, s.under = make(map[string]*proxy.Grant), make(map[string]*proxy.Grant)
	}
	if g.Standing > 0 {
		s.gives[g.Request] = g
	}
	if g.Under != "" {
		s.under[g.Request] = g
	}
}

// finish checks that what was approved by standing approvals is what these let run, and no more of it. One that another gateway has
// signed is not in these records, and is not checked.
func (s *standing) finish(problem func(text string)) {
	count := make(map[string]int)
	for _, request := range slices.Sorted(maps.Keys(s.under)) {
		g := s.under[request]
		by := s.gives[g.Under]
		if by == nil {
			continue
		}
		if count[g.Under]++; count[g.Under] == by.Standing+1 {
			problem(fmt.Sprintf("the standing approval %s lets %s run, and more were approved by it, such as request %s", g.Under, plural(by.Standing, "operation", "operations"), request))
		}
		if why := within(g, by); why != "" {
			problem(fmt.Sprintf("request %s was approved by the standing approval %s, %s", request, g.Under, why))
		}
	}
}

// within says why a standing approval does not let something run; empty: it does.
func within(g, by *proxy.Grant) string {
	switch {
	case g.Requester != by.Requester || g.For != by.For:
		return "which is for " + by.Requester
	case g.Resource != by.Resource || g.Account != by.Account || g.Database != by.Database || g.Kind != by.Kind:
		return "which is for another place"
	case len(g.Votes) != 1 || len(by.Votes) != 1 || g.Votes[0].By != by.Votes[0].By:
		return "which another person has approved"
	case g.Votes[0].At.After(by.NotAfter):
		return "which was over by then"
	case g.Votes[0].At.Before(by.Votes[0].At):
		return "which was not yet approved then"
	}
	return ""
}
