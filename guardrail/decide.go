package guardrail

import (
	"context"
	"errors"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// decision is what comes of all rules: a verdict that denies, rewrites or
// passes, and, when it passes, the rules that hold the operation.
type decision struct {
	proxy.Verdict
	holds []*Rule
	err   error // a note could not be left
}

// call is one operation while rules look at it.
type call struct {
	op        proxy.Op
	guardrail *Guardrail
	ctx       context.Context
	session   *proxy.Session
	moved     bool

	command *proxy.CommandFacts // nil until it was read

	estimated   bool // rows, cost and estimateErr are set
	rows, cost  float64
	estimateErr error

	looked, spares bool // the resource was asked whether the statement spares all data, and it does
	counted, few   bool // it was asked whether the statement changes few rows, and it does
}

// decide asks every rule. Whatever their order, a rule that denies wins; one that
// knows what it forbids says more than one that cannot tell. Then the lowest
// LIMIT is added, then all that hold hold, and the words of those that warn are
// joined.
func (c *call) decide(rules []*Rule) decision {
	d := decision{Verdict: proxy.Pass()}
	blind := false // the verdict is of a rule that could not tell
	var rewrite *Rule
	for _, r := range rules {
		if (r.estimates() || r.Destroys || r.NoWhere) && d.Refuses() && !blind && !r.Observe {
			continue // the resource need not be asked
		}
		meets, understood := c.meets(r)
		if !meets {
			continue
		}
		if r.Observe || c.session.Dry {
			d.err = errors.Join(d.err, c.note(r, understood))
		}
		switch {
		case r.Observe:
		case r.Action == Warn:
			d.warn(r.message(), r.Name)
		case r.Action == Hold:
			d.holds = append(d.holds, r)
		case r.Action == Rewrite && understood:
			if rewrite == nil || r.Limit < rewrite.Limit {
				rewrite = r
			}
		case !d.Refuses() || blind && understood:
			d.deny(r, c.reason(r, understood), r.remedy(c.op))
			if _, command := c.op.(*proxy.Exec); command && !understood {
				d.Remedy = "" // the reason says how to write it
			}
			blind = !understood
		}
	}
	if rewrite != nil && !d.Refuses() {
		c.limit(rewrite, &d)
	}
	return d
}

// note leaves a note that r answers the operation, or would if it did more than
// observe.
func (c *call) note(r *Rule, understood bool) error {
	n := &proxy.Note{Kind: proxy.NoteAnswered, By: c.guardrail.Name(), Rule: r.Name, Text: r.answer(understood)}
	if r.Observe {
		n.Kind = proxy.NoteObserved
	}
	return c.session.Note(c.ctx, c.op, n)
}

// answer says what the rule does with an operation that it is about.
func (r *Rule) answer(understood bool) string {
	text := [...]string{Deny: "denies", Warn: "warns", Hold: "holds", Rewrite: "adds a LIMIT"}[r.Action]
	if r.Observe {
		text = "observes"
	}
	if !understood {
		if r.Action == Rewrite && !r.Observe {
			text = "denies"
		}
		text += ", because the operation cannot be understood"
	}
	return text
}

func (d *decision) deny(r *Rule, reason, remedy string) {
	warn := d.Warn
	d.Verdict = proxy.Deny(proxy.CauseGuardrail, r.Name, reason, remedy)
	d.Warn = warn
}

func (d *decision) warn(text, rule string) {
	if d.Warn != "" {
		d.Warn += "\n"
	}
	d.Warn += text + " (rule " + rule + ")"
}

// meets reports whether the rule is about the operation. understood is
// false when it is taken for that because it cannot be told.
func (c *call) meets(r *Rule) (meets, understood bool) {
	if r.During != nil && !r.During.Contains(c.session.Now()) || r.Outside != nil && r.Outside.Contains(c.session.Now()) {
		return false, true
	}
	if r.Only {
		return c.exceeds(r)
	}
	switch op := c.op.(type) {
	case *proxy.Statement:
		if !r.sql() || r.Action == Hold && op.Kind == proxy.KindPrepare {
			return false, true // what is prepared is held when it runs
		}
		if op.Facts.Malformed && r.Action != Rewrite {
			return false, true // the resource says better what is wrong with it
		}
		meets, understood = r.statement(op.Facts)
		switch {
		case meets && (r.Destroys && c.sparesData(r, op) || r.NoWhere && understood && c.changesFew(op)):
			return false, true
		case meets && understood && r.estimates():
			return c.expects(r, op)
		}
		return meets, understood
	case *proxy.Exec:
		if !r.commands() || op.Kind != proxy.KindExec && op.Kind != proxy.KindInput {
			return false, true
		}
		meets, understood = c.does(r, op)
		if op.Kind == proxy.KindInput && !understood && len(c.parse(op).Fetched) == 0 {
			return false, true // one line of several, or of another program than the shell: it is a tripwire
		}
		return meets, understood
	case *proxy.File:
		return len(r.Paths) > 0 && (file(r.Paths, op.Path) || op.Target != "" && file(r.Paths, op.Target)), true
	case *proxy.Request:
		if len(r.Requests)+len(r.Actions) == 0 || len(r.Requests) > 0 && !request(r.Requests, op.Method, op.Path) {
			return false, true
		}
		return len(r.Actions) == 0 || acts(r.Actions, op), true
	}
	return false, true
}

// reason is what the user is told of a refusal.
func (c *call) reason(r *Rule, understood bool) string {
	if understood {
		return r.message()
	}
	return "the gateway cannot tell whether the rule forbids this: " + c.why(r)
}

// why says what is not understood.
func (c *call) why(r *Rule) string {
	if c.estimateErr != nil {
		return c.estimateErr.Error()
	}
	if s, ok := c.op.(*proxy.Statement); ok {
		return s.Facts.Unknown
	}
	if doubts := c.doubts(r); len(doubts) > 0 {
		return strings.Join(doubts, "; ")
	}
	return "the gateway does not understand the operation"
}

var errNoLimiter = errors.New("a LIMIT cannot be added to this SQL dialect")

// limit makes the decision a rewriting one, by the rule with the lowest limit.
func (c *call) limit(r *Rule, d *decision) {
	s, ok := c.op.(*proxy.Statement)
	if !ok {
		return
	}
	var text []byte
	err := errNoLimiter
	if l := c.guardrail.config.Limiters[s.Facts.Dialect]; l != nil {
		text, err = l.Limit(s.Text, r.Limit)
	}
	switch {
	case err == nil && text == nil:
		return // no query: what it returns is bounded by what it changes
	case err == nil && s.Facts.Effects&^proxy.EffectRead != 0:
		err = errors.New("the query does more than read")
	}
	if err != nil {
		reason := "this query has no row limit, and a LIMIT could not be added: " + err.Error()
		if r.Message != "" {
			reason = r.Message + ": " + reason
		}
		d.deny(r, reason, r.Remedy)
		if d.Remedy == "" {
			d.Remedy = "Add a LIMIT."
		}
		return
	}
	d.Action, d.Rule, d.Text = proxy.ActionRewrite, r.Name, text
	d.holds = nil // they are asked again, of the new text
	message := r.Message
	if message == "" {
		message = limitedMessage(r.Limit)
	}
	d.Warn = message + " (rule " + r.Name + ")" // those that warn are asked again too
}
