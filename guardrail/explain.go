package guardrail

import (
	"context"

	"github.com/sallyport/sallyport/proxy"
)

// Answer is what one rule says of an operation.
type Answer struct {
	Rule *Rule
	// Understood is false when the rule denies because it cannot be told whether it
	// should.
	Understood bool
}

// Explain returns the rules that answer an operation of s, in their order, and
// the verdict that comes of them. Nobody is asked for an approval: a verdict that
// holds has no Hold.
func (g *Guardrail) Explain(ctx context.Context, s *proxy.Session, op proxy.Op) (proxy.Verdict, []Answer) {
	var rules []*Rule
	var answers []Answer
	c := call{op: op, guardrail: g, ctx: ctx, session: s}
	all := *g.rules.Load()
	for i := range all {
		r := &all[i]
		if !r.appliesTo(s.Identity, s.Target) {
			continue
		}
		rules = append(rules, r)
		if meets, understood := c.meets(r); meets {
			answers = append(answers, Answer{r, understood})
		}
	}
	d := c.decide(rules)
	if len(d.holds) > 0 && !d.Refuses() {
		h := held(d.holds)
		d.Action, d.Cause, d.Rule, d.Reason = proxy.ActionHold, proxy.CauseApproval, d.holds[0].Name, h.Message
	}
	return d.Verdict, answers
}
