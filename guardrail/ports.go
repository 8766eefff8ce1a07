package guardrail

import (
	"context"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Limiter adds a LIMIT to queries of one dialect. It is safe for concurrent use.
type Limiter interface {
	// Limit returns text with a LIMIT of n rows, in a slice of its own: certainly
	// the same query otherwise. It returns nil and no error for what is no query and
	// returns no more rows than it changes. The error says why there can be no LIMIT,
	// and is shown to the user.
	Limit(text []byte, n int) ([]byte, error)
}

func limitedMessage(n int) string {
	return "no more than " + strconv.Itoa(n) + " rows are returned: the query has no LIMIT, and one was added"
}

// Holder has held operations decided by somebody.
type Holder interface {
	// Hold begins a request about op and returns what its session waits on. What the
	// wait returns is the operation's verdict. The error is for the user.
	Hold(ctx context.Context, s *proxy.Session, op proxy.Op, h Held) (*proxy.Hold, error)
}

// Held says why an operation is held, and who may decide.
type Held struct {
	Rules   []string // that hold it, at least one
	Message string   // of the rules
	// Approvers has the groups of each rule: who decides is in one of every list; "*"
	// is everybody.
	Approvers [][]string
	For       time.Duration // how long it may wait
	// Blind says why it cannot be told what the operation does; empty when it can.
	Blind string
}

// defaultFor is how long a rule holds that does not say.
const defaultFor = 15 * time.Minute

// hold has the operation decided.
func (c *call) hold(d decision) proxy.Verdict {
	first := d.holds[0]
	if c.guardrail.Holder == nil {
		d.deny(first, "this needs an approval, and nothing here takes requests")
		d.Cause = proxy.CauseApproval
		return d.Verdict
	}
	h := held(d.holds)
	if s, ok := c.op.(*proxy.Statement); ok {
		h.Blind = s.Facts.Unknown
	}
	if c.err != nil {
		h.Blind = c.err.Error()
	}
	if c.estimateErr != nil {
		h.Blind = c.estimateErr.Error()
	}
	parked, err := c.guardrail.Holder.Hold(c.ctx, c.session, c.op, h)
	if err != nil {
		d.deny(first, err.Error())
		d.Cause = proxy.CauseApproval
		return d.Verdict
	}
	if warn := d.Warn; warn != "" { // the verdict of the wait takes this one's place
		wait := parked.Wait
		parked.Wait = func(ctx context.Context) proxy.Verdict {
			v := wait(ctx)
			if v.Warn != "" {
				warn += "\n" + v.Warn
			}
			v.Warn = warn
			return v
		}
	}
	d.Action, d.Cause, d.Rule, d.Hold = proxy.ActionHold, proxy.CauseApproval, first.Name, parked
	return d.Verdict
}

// held is what rules that hold an operation say together: everybody's approvers,
// and the shortest time.
func held(rules []*Rule) Held {
	h := Held{}
	for _, r := range rules {
		h.Rules = append(h.Rules, r.Name)
		h.Approvers = append(h.Approvers, r.Approvers)
		if h.Message != "" {
			h.Message += "; "
		}
		h.Message += r.message()
		wait := r.For
		if wait == 0 {
			wait = defaultFor
		}
		if h.For == 0 || wait < h.For {
			h.For = wait
		}
	}
	return h
}
