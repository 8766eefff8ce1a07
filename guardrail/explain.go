package guardrail

import "github.com/sallyport/sallyport/proxy"

// Answer is what one rule says of an operation.
type Answer struct {
	Rule *Rule
	// Understood is false when the rule denies because it cannot be told whether it
	// should.
	Understood bool
}

// Explain returns the rules that answer an operation of id at res, in their
// order, and the verdict that comes of them.
func (g *Guardrail) Explain(id *proxy.Identity, res *proxy.Resource, op proxy.Op) (proxy.Verdict, []Answer) {
	var rules []*Rule
	var answers []Answer
	c := call{op: op, guardrail: g}
	all := *g.rules.Load()
	for i := range all {
		r := &all[i]
		if !r.appliesTo(id, res) {
			continue
		}
		rules = append(rules, r)
		if meets, understood := c.meets(r); meets {
			answers = append(answers, Answer{r, understood})
		}
	}
	v, _ := g.decide(rules, op)
	return v, answers
}
