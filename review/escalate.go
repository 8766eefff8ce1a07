package review

import (
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Escalation has further people approve what nobody has decided about for a share of the time that there is to decide.
type Escalation struct {
	After     int      // percent of that time
	Approvers []string // as those of a stage; they approve the stage that the request waits for
}

// Escalated is what a request's note has as its state, and a notice as its event, when further people may approve it; the
// request stays pending.
const Escalated = "escalated"

// Further are approvers who come later.
type Further struct {
	At        time.Time `json:"at"`
	Approvers []string  `json:"approvers"`
}

// further is when who approves, too, of a request that is made at a time.
func further(list []Escalation, created, deadline time.Time) (out []Further) {
	for _, e := range list {
		if len(e.Approvers) > 0 {
			out = append(out, Further{created.Add(deadline.Sub(created) / 100 * time.Duration(e.After)), e.Approvers})
		}
	}
	slices.SortStableFunc(out, func(a, b Further) int { return a.At.Compare(b.At) })
	return out
}

// Approvers are those of a stage now.
func (a *Access) Approvers(stage int) []string {
	list := slices.Clone(a.Stages[stage].Approvers)
	for _, f := range a.Further[:min(a.Escalated, len(a.Further))] {
		for _, w := range f.Approvers {
			if !slices.Contains(list, w) {
				list = append(list, w)
			}
		}
	}
	return list
}

// approver reports whether somebody may approve a stage.
func (a *Access) approver(stage int, by *proxy.Identity) bool { return Among(a.Approvers(stage), by) }

// escalates reports whether it is time that further people approve a request.
func (r *Request) escalates(now time.Time) bool {
	a := r.Access
	return r.State == Pending && a != nil && a.Escalated < len(a.Further) && !now.Before(a.Further[a.Escalated].At)
}

// escalate has everybody approve whose time has come.
func (r *Request) escalate(now time.Time) step {
	var who []string
	for r.escalates(now) {
		who = append(who, r.Access.Further[r.Access.Escalated].Approvers...)
		r.Access.Escalated++
	}
	return step{Escalated, strings.Join(who, ", ") + " may approve it, too", true}
}
