package guardrail

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Limiter adds a LIMIT to queries of one dialect. It is safe for concurrent use.
type Limiter interface {
	// Limit returns text with a LIMIT of n rows, in a slice of its own: certainly
	// the same query otherwise. It returns nil and no error for what is not a query and
	// returns no more rows than it changes. The error says why there can be no LIMIT,
	// and is shown to the user.
	Limit(text []byte, n int) ([]byte, error)
}

func limitedMessage(n int) string {
	return "no more than " + strconv.Itoa(n) + " rows are returned: the query has no LIMIT, and one was added"
}

// defaultFor is how long an operation may wait by a rule that does not say.
const defaultFor = 15 * time.Minute

// hold is the verdict of the rules that hold the operation: everybody's approvers,
// and the shortest time.
func (c *call) hold(d decision) proxy.Verdict {
	h := &proxy.Hold{Reveal: true, Try: true}
	for i, r := range d.holds {
		if i == 0 {
			h.InTransaction = r.InTransaction
		}
		h.InTransaction = proxy.ShorterInTransaction(h.InTransaction, r.InTransaction)
		h.Rules, h.Reveal = append(h.Rules, r.Name), h.Reveal && r.Reveal
		h.Undo, h.Try = proxy.Shorter(h.Undo, r.Undo), h.Try && r.Try
		h.Approvers = append(h.Approvers, r.Approvers)
		if h.Message != "" {
			h.Message += "; "
		}
		h.Message += r.message()
		if wait := cmp.Or(r.For, defaultFor); h.For == 0 || wait < h.For {
			h.For = wait
		}
	}
	switch s, ok := c.op.(*proxy.Statement); {
	case c.estimateErr != nil:
		h.Blind = c.estimateErr.Error()
	case c.command != nil:
		for _, r := range d.holds {
			if doubts := c.doubts(r); len(doubts) > 0 && h.Blind == "" && !slices.ContainsFunc(c.command.Programs, r.names) {
				h.Blind = strings.Join(doubts, "; ")
			}
		}
	case ok:
		h.Blind = s.Facts.Unknown
	}
	d.Action, d.Rule, d.Hold = proxy.ActionHold, h.Rules[0], h
	return d.Verdict
}
