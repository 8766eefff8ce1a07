package opa

import (
	"context"
	"strings"

	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/sallyport/sallyport/proxy"
)

// Explanation is how a policy came to a verdict.
type Explanation struct {
	Verdict proxy.Verdict
	Input   Input   // what it was asked
	Result  *Result // what it answered; nil when it did not decide
	Trace   string  // the steps of the evaluation, with files and lines. It shows values of the input
	Err     error   // why it did not decide, for the policy's author. It may quote the input
}

// Explain evaluates the policy about one operation of s, by nothing that is remembered, and
// says how. op is asked as it is: nothing of it runs.
func (p *Policy) Explain(ctx context.Context, s *proxy.Session, op proxy.Op) Explanation {
	tracer := topdown.NewBufferTracer()
	e := Explanation{Input: inputOf(s, s.Identity).ask(op, s.Now(), true)}
	result, err := p.evaluate(ctx, e.Input, rego.EvalQueryTracer(tracer), rego.EvalRuleIndexing(false)) // which would leave out rules that do not match
	if err == nil && op.Info().Kind == proxy.KindConnect {
		_, err = p.bindingOf(result, s.Target)
	}
	if err != nil {
		e.Verdict, e.Err = undecided(forUsers(err)), err
		if err == errTimeout || err == errPanic {
			return e // it may still be tracing
		}
	} else {
		e.Verdict, e.Result = p.verdict(result, op.Info().Kind), result
	}
	var b strings.Builder
	topdown.PrettyTraceWithLocation(&b, *tracer)
	e.Trace = b.String()
	return e
}
