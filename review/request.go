package review

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// State is what became of a request.
type State string

// States. All but Pending, Approved and ReviewDue are final. Access that somebody has taken without an approval has its review due after
// it was ended, revoked or cancelled, and is final when it was reviewed.
const (
	Pending   State = "pending"
	Approved  State = "approved"
	Denied    State = "denied"
	Cancelled State = "cancelled" // by the requester, or her session ended
	Expired   State = "expired"   // nobody decided in time
	Revoked   State = "revoked"   // somebody took back what was approved
	Ended     State = "ended"     // access: its time is over
	Used      State = "used"      // an operation: it was let through, once
	Lapsed    State = "lapsed"    // an operation: approved, and not run in time
	Unknown   State = "unknown"   // an operation: it was let through, and the gateway stopped before it was known whether it has run

	ReviewDue State = "review_due" // access without an approval: it has ended
	Fine      State = "reviewed"   // it was in order
	Violation State = "violation"  // it was not
)

// Voted is what a request's note has as its state when somebody approved it and more approvals are
// needed; the request stays pending.
const Voted = "voted"

// Revealed is what a request's note has as its state when somebody has read what is hidden of it; the request stays pending.
const Revealed = "revealed"

// Undone is what a request's note has as its state when what was noted before was not done.
const Undone = "undone"

// Request is one operation, or access to a resource, that waits, or waited, for a decision. It is a
// snapshot, shown to those who decide.
type Request struct {
	ID        string   `json:"id"`
	State     State    `json:"state"`
	Hash      string   `json:"hash"`              // of everything below up to Arguments: who decides says which one she saw
	Content   string   `json:"content,omitempty"` // of an operation: the hash of what would run, for which user and where, whenever she asks
	Requester string   `json:"requester"`
	For       string   `json:"for,omitempty"`      // the human that an agent asks for
	Creators  []string `json:"creators,omitempty"` // who has made the service or agent that asks, its access token, or what is asked for: they do not decide
	Session   string   `json:"session"`
	Operation uint64   `json:"operation"` // its number in the session
	Resource  string   `json:"resource"`
	Account   string   `json:"account,omitempty"`
	Database  string   `json:"database,omitempty"`
	Kind      string   `json:"kind"`
	Text      string   `json:"text"`
	Arguments []string `json:"arguments,omitempty"` // bound to a statement: text, \x and hexadecimals for binary ones, NULL
	Hidden    []string `json:"hidden,omitempty"`    // types of values that Text and Arguments have not, as [TYPE]: they are masked for approvers
	Reveal    bool     `json:"reveal,omitempty"`    // approvers may read them; see Desk.Reveal
	Effects   string   `json:"effects,omitempty"`
	// Names is what names and literals of the text mean to the session otherwise than at its login; empty: nothing else. Bound says that
	// they may mean yet something else, and that no other session may use the approval.
	Names string `json:"names,omitempty"`
	Bound bool   `json:"bound,omitempty"`
	// Impact is what it would change, as was measured when it was asked for; nil where nobody measures that.
	Impact    *proxy.Impact `json:"impact,omitempty"`
	Blind     string        `json:"blind,omitempty"` // why it cannot be told what it does
	Message   string        `json:"message"`         // why it is held
	Rules     []string      `json:"rules"`
	Approvers [][]string    `json:"approvers"`        // who decides is in a group of every list; "*" is everybody
	Called    []string      `json:"called,omitempty"` // who was on call when it was made, where approvers are
	Created   time.Time     `json:"created"`
	Deadline  time.Time     `json:"deadline"`
	// Locked is until when its client waits with a transaction open, whose locks others wait for; nil: no transaction was open. The request
	// waits on until Deadline.
	Locked *time.Time `json:"locked,omitempty"`

	DecidedBy string     `json:"decided_by,omitempty"`
	DecidedAt *time.Time `json:"decided_at,omitempty"`
	Channel   string     `json:"channel,omitempty"` // how the decision came
	Reason    string     `json:"reason,omitempty"`
	OnCall    []string   `json:"on_call,omitempty"` // the lists at which who decided was on call, where that made her an approver

	// UseBy is when an approved operation lapses, and Use who has run it; nil: nobody.
	UseBy time.Time `json:"use_by,omitzero"`
	Use   *Use      `json:"use,omitempty"`

	// Standing is what the approval of an operation lets run besides; nil: nothing. Under is the request with a Standing by which the
	// operation was approved; empty: people have approved it.
	Standing *Standing `json:"standing,omitempty"`
	Under    string    `json:"under,omitempty"`

	// After is a request for the same operation that is Unknown: it may have run already; empty: none.
	After string `json:"after,omitempty"`

	// Access is what a request for access asks for; nil: the request is about an operation.
	Access *Access `json:"access,omitempty"`

	// Signed is what a gateway has signed of the request; of one that is approved it is its grant, which can be proven anywhere.
	Signed string `json:"signed,omitempty"`

	said  *said    // the operation with what is hidden; nil: nothing is
	sums  *sums    // nil: of access
	marks []string // of its transitions
}

// Use is the running of an operation that was approved.
type Use struct {
	Session   string    `json:"session"`
	Operation uint64    `json:"operation"`
	At        time.Time `json:"at"`
}

// over reports whether nothing can become of a request any more.
func (r *Request) over() bool {
	return r.State != Pending && r.State != Approved && r.State != ReviewDue && !r.unreviewed()
}

// open reports whether what was granted is so at a time. What was granted at once is so also by the clock of a gateway that is a little slower
// than the one where it was approved.
func (r *Request) open(now time.Time) bool {
	if r.State != Approved || r.Access == nil || r.Access.Grant == nil {
		return false
	}
	g := r.Access.Grant
	return (!now.Before(g.From) || g.From.Equal(latest(r.DecidedAt))) && now.Before(g.Until)
}

// due is the state that time has brought a request to; empty: none.
func (r *Request) due(now time.Time) State {
	switch {
	case r.State == Pending && !now.Before(r.Deadline):
		return Expired
	case r.State == Approved && r.Standing != nil && !now.Before(r.UseBy):
		return Ended
	case r.State == Approved && r.Access == nil && !now.Before(r.UseBy):
		return Lapsed
	case r.State == Approved && r.Access != nil && !now.Before(r.Access.Grant.Until):
		return Ended
	case r.unreviewed(), r.State == ReviewDue && !now.Before(r.Access.Glass.Remind):
		return ReviewDue
	}
	return ""
}

// clone is a copy that shares nothing that is changed.
func (r *Request) clone() Request {
	out := *r
	if r.Standing != nil {
		s := *r.Standing
		s.Used = slices.Clone(s.Used)
		out.Standing = &s
	}
	if r.Access != nil {
		a := *r.Access
		a.Votes, a.Opened, a.Proposed = slices.Clone(a.Votes), slices.Clone(a.Opened), maps.Clone(a.Proposed)
		if a.Proposal != nil {
			p := *a.Proposal
			a.Proposal = &p
		}
		if a.Grant != nil {
			g := *a.Grant
			a.Grant = &g
		}
		if a.Glass != nil {
			g := *a.Glass
			a.Glass = &g
		}
		out.Access = &a
	}
	return out
}

// remembered is what a desk remembers of r: of what is over, no more than that it is.
func (r *Request) remembered() Request {
	out := r.clone()
	if r.over() {
		out.Text, out.Arguments = "", nil
	}
	return out
}

// lasts is until when a request, or what it lets run, could have counted.
func (r *Request) lasts() time.Time {
	t := r.Deadline
	if r.UseBy.After(t) {
		t = r.UseBy
	}
	if r.Access != nil && r.Access.Grant != nil && r.Access.Grant.Until.After(t) {
		t = r.Access.Grant.Until
	}
	return t
}

// person is the human whose request it is: the requester, or the human that the agent asks for. Bounds count what she and her agents have asked for.
func (r *Request) person() string { return cmp.Or(r.For, r.Requester) }

// byAge orders requests, the oldest first.
func byAge(a, b Request) int {
	return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
}
