package review

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// KindAccess is the kind of requests for access to a resource.
const KindAccess = "access"

// Terms are those on which access is granted: a rule's, when it is asked for.
type Terms struct {
	Rule    string
	Actions []string // that the rule allows
	Stages  []Stage  // at least one
	// For is how long access is granted when nobody says otherwise, Max the longest that may be asked for, and
	// Decide how long a request may wait. All are more than 0.
	For, Max, Decide time.Duration
	Reason           string // a pattern that must be found in the reason; empty: any reason will do
	// BreakGlass is the longest that it may be had for without an approval; 0: not at all.
	BreakGlass time.Duration
	Message    string // what for; may be empty
	// Target tells the resource from another that has its name later; see [TargetOf].
	Target string
	Auto   *Auto // nil: people decide
	// Uses is how many sessions may be opened by what is granted, and Reuse within which time of its beginning; 0 is any.
	Uses  int
	Reuse time.Duration
	// Escalate are further approvers of what nobody has decided about in time.
	Escalate []Escalation
	Proof    Proof // of those who approve
}

// Stage is one of the approvals that a request needs, one after the other.
type Stage struct {
	Approvers []string `json:"approvers"` // groups; "*" is everybody
	Need      int      `json:"need"`      // people, one or more
}

// Access is what a request for access asks for, and what has become of it.
type Access struct {
	Rule    string    `json:"rule"`
	Actions []string  `json:"actions"`
	Seconds int64     `json:"seconds"`         // for how long
	From    time.Time `json:"from,omitzero"`   // not before; zero is with the last approval
	Reason  string    `json:"reason"`          // why it is asked for
	Remote  string    `json:"remote,omitzero"` // where it was asked for from
	Stages  []Stage   `json:"stages"`
	Extends string    `json:"extends,omitempty"` // the request that it follows; empty: none
	Target  string    `json:"target,omitempty"`  // tells the resource from another of its name
	Proof   *Proof    `json:"proof,omitempty"`   // of those who approve; nil: any
	Auto    bool      `json:"auto,omitempty"`    // the rule itself has granted it
	Further []Further `json:"further,omitempty"` // approvers who come later, in their order
	// Uses is how many sessions may be opened by what is granted, and Reuse within how many seconds of its beginning; 0 is any.
	Uses   int      `json:"uses,omitempty"`
	Rows   uint64   `json:"rows,omitempty"` // how many may be returned or changed by what is granted; 0: no approver has bounded them
	Reuse  int64    `json:"reuse,omitempty"`
	Opened []string `json:"opened,omitempty"` // sessions, where Uses bounds them
	// Revision counts how often the request was changed, and Proposal is what an approver would grant; nil: nothing else. Proposed counts
	// by subject how often somebody has proposed something else.
	Revision int            `json:"revision,omitempty"`
	Proposal *Proposal      `json:"proposal,omitempty"`
	Proposed map[string]int `json:"proposed,omitempty"`
	// Escalated is how many of Further have come.
	Escalated int          `json:"escalated,omitempty"`
	Votes     []VoteRecord `json:"votes,omitempty"`
	Grant     *Grant       `json:"grant,omitempty"` // nil: nothing is granted
	Glass     *Glass       `json:"glass,omitempty"` // nil: it was not had without an approval
}

// VoteRecord is an approval, as it is kept.
type VoteRecord struct {
	Stage   int       `json:"stage"` // from 0 on
	By      string    `json:"by"`    // subject
	Name    string    `json:"name,omitempty"`
	At      time.Time `json:"at"`
	Channel string    `json:"channel,omitempty"`
	Method  string    `json:"method,omitempty"`  // by which she has proven who she is
	Factors string    `json:"factors,omitempty"` // what she has proven it with, as RFC 8176 names it
	Proven  time.Time `json:"proven,omitzero"`   // when
	Reason  string    `json:"reason,omitempty"`
	// Seconds, Actions and Rows are what she has left of what was asked for; zero is all.
	Seconds int64    `json:"seconds,omitempty"`
	Actions []string `json:"actions,omitempty"`
	Rows    uint64   `json:"rows,omitempty"`
	// OnCall are the lists at which she was on call, where that made her an approver.
	OnCall []string `json:"on_call,omitempty"`
	// Lost says that she was not an approver any more when the request was to be granted: the vote does not count.
	Lost bool `json:"lost,omitempty"`
}

// Grant is what was granted.
type Grant struct {
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
	Actions []string  `json:"actions"`
	// OpenUntil is when no further session may be opened; zero is Until.
	OpenUntil time.Time `json:"open_until,omitzero"`
	// Opens says of what somebody is granted in a session that it counts when Open has noted that the session is opened by it.
	Opens bool `json:"-"`
	// Rows says of what somebody is granted how many may be returned or changed by it, in all sessions; 0 is any. Ends is Until by the
	// store's clock.
	Rows uint64    `json:"-"`
	Ends time.Time `json:"-"`
}

// For is for how long access is asked for.
func (a *Access) For() time.Duration { return time.Duration(a.Seconds) * time.Second }

// For is how long she has left of what was asked for; 0 is all of it.
func (v *VoteRecord) For() time.Duration { return time.Duration(v.Seconds) * time.Second }

// stage is the one that approvals are needed of; len(Stages) when all are there.
func (a *Access) stage() int {
	for i, s := range a.Stages {
		n := 0
		for _, v := range a.Votes {
			if v.Stage == i && !v.Lost {
				n++
			}
		}
		if n < s.Need {
			return i
		}
	}
	return len(a.Stages)
}

// voted reports whether somebody has approved, in any stage: one person is one vote.
func (a *Access) voted(subject string) bool {
	return slices.ContainsFunc(a.Votes, func(v VoteRecord) bool { return v.By == subject && !v.Lost })
}

// approves reports whether somebody may approve any of the stages.
func (a *Access) approves(by *proxy.Identity) bool {
	for i := range a.Stages {
		if a.approver(i, by) {
			return true
		}
	}
	return false
}

// grant grants what is asked for, from now on or when it begins. What was asked for does not begin late and last longer.
func (a *Access) grant(now time.Time) {
	from, begins := now, now
	if !a.From.IsZero() {
		begins = a.From
	}
	if begins.After(now) {
		from = begins
	}
	a.Grant = &Grant{From: from, Until: begins.Add(a.For()), Actions: slices.Clone(a.Actions)}
	if a.Reuse > 0 {
		a.Grant.OpenUntil = from.Add(time.Duration(a.Reuse) * time.Second)
	}
}

// describe fills in what is shown of a request for access; that about an operation is as it was asked.
func (r *Request) describe() {
	a := r.Access
	if a == nil {
		return // show has
	}
	at := r.Resource
	if r.Account != "" {
		at = r.Account + "@" + at
	}
	r.Kind, r.Rules = KindAccess, []string{a.Rule}
	r.Text = what(a.Actions, at, a.For(), a.From)
	if a.Extends != "" {
		r.Text += ", to go on after request " + a.Extends
	}
	if a.Rows > 0 {
		r.Text += ", and " + rowsText(a.Rows)
	}
	r.Approvers = nil
	if i := a.stage(); a.Glass != nil {
		r.Approvers = [][]string{a.reviewers()}
	} else if i < len(a.Stages) {
		r.Approvers = [][]string{a.Approvers(i)}
	}
}

// accessDigest is the hash of what is asked for. Every part has its length before it.
func (r *Request) accessDigest() string {
	h := sha256.New()
	part := func(parts ...string) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(parts))))
		for _, p := range parts {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
			h.Write([]byte(p))
		}
	}
	a := r.Access
	part("sallyport access request 2", r.ID, a.Extends, r.Requester, r.For, r.Resource, a.Target, r.Account, a.Rule, a.Reason, a.For().String(), a.From.UTC().Format(time.RFC3339Nano), fmt.Sprint(a.Revision), fmt.Sprint(a.Uses), fmt.Sprint(a.Reuse))
	part(a.Actions...)
	if p := a.Proof; p.given() {
		part(append([]string{"proof", fmt.Sprint(p.Within)}, p.Factors...)...)
	}
	for _, f := range a.Further {
		part(append([]string{"further", f.At.UTC().Format(time.RFC3339Nano)}, f.Approvers...)...)
	}
	for _, s := range a.Stages {
		part(append([]string{fmt.Sprint(s.Need)}, s.Approvers...)...)
	}
	if a.Rows > 0 {
		part("rows", fmt.Sprint(a.Rows))
	}
	if a.Glass != nil {
		part(BreakGlass, a.Glass.Proof)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Approving says whose approval a request waits for: "2 of dba or ops", and who was on call when it was made.
func Approving(r *Request) string {
	i := r.Access.stage()
	if i >= len(r.Access.Stages) {
		return "nobody"
	}
	s := r.Access.Stages[i]
	who := strings.Join(r.Access.Approvers(i), " or ")
	if i == 0 && len(r.Called) > 0 {
		who += " (on call: " + strings.Join(r.Called, ", ") + ")"
	}
	if s.Need > 1 {
		return fmt.Sprintf("%d of %s", s.Need, who)
	}
	return who
}
