package proxy

import (
	"context"
	"strings"
	"time"
)

// Action is what a verdict says.
type Action uint8

// Actions. The zero Action refuses, so that a verdict that was never filled in
// lets nothing through.
const (
	ActionNone    Action = iota // no answer: refuses
	ActionPass                  // no objection
	ActionAllow                 // explicit permission; Connect needs at least one
	ActionDeny                  // refuse
	ActionRewrite               // run Verdict.Text instead
	ActionHold                  // needs the approval that Verdict.Hold describes
)

var actionNames = [...]string{"none", "pass", "allow", "deny", "rewrite", "hold"}

// String returns the action's stable lower-case name.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "none"
}

// Cause classifies a refusal, for exit codes and statistics.
type Cause uint8

// Causes of a refusal.
const (
	CauseUnspecified Cause = iota
	CausePolicy            // access rules do not allow it
	CauseApproval          // it needs an approval, or one is pending
	CauseDenied            // a reviewer denied it, or the approval expired or was revoked
	CauseGuardrail         // a guardrail blocks it
	CauseMasking           // it would reveal masked data
	CauseInternal          // something failed; closed by default
)

var causeNames = [...]string{"unspecified", "policy", "approval", "denied", "guardrail", "masking", "internal"}

// String returns the cause's stable lower-case name.
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return "unspecified"
}

// Verdict answers an operation. It is plain data: it can be recorded, explained
// and compared. The zero Verdict refuses.
type Verdict struct {
	Action Action
	Cause  Cause
	Rule   string // the rule that decided, as its author named it
	Reason string // shown to the user: what is refused and why; never data
	Remedy string // shown to the user: what would be allowed instead
	Warn   string // shown to the user while the operation runs
	Text   []byte // ActionRewrite: replaces the operation's text
	Hold   *Hold  // ActionHold
	// Grant names the approval that lets the operation run, for the record: the request's identifier, and after a space
	// who has approved it. Verdicts that pass may name one, too: the record has all of them.
	Grant string
	// Impact is what the operation was approved as. The handler lets it run as that alone,
	// as far as the Impact's Holds say; nil: as whatever it does.
	Impact *Impact
}

// Pass returns a verdict with no objection.
func Pass() Verdict { return Verdict{Action: ActionPass} }

// Allow returns an explicit permission by rule.
func Allow(rule string) Verdict { return Verdict{Action: ActionAllow, Rule: rule} }

// Deny returns a refusal by rule.
func Deny(cause Cause, rule, reason, remedy string) Verdict {
	return Verdict{Action: ActionDeny, Cause: cause, Rule: rule, Reason: reason, Remedy: remedy}
}

// Refuses reports whether the operation does not run under v.
func (v *Verdict) Refuses() bool {
	return v.Action != ActionPass && v.Action != ActionAllow && v.Action != ActionRewrite
}

// Message is the one sentence that tells a user why an operation is refused:
// rule, reason and remedy.
func (v *Verdict) Message() string {
	reason := v.Reason
	if reason == "" {
		reason = "this operation is not allowed"
	}
	switch {
	case strings.Contains(v.Rule, "rule "): // such as "masking rule 1"
		reason += " (" + v.Rule + ")"
	case v.Rule != "":
		reason += " (rule " + v.Rule + ")"
	}
	return reason
}

// Hold says that an operation needs an approval. It is plain data: the request
// for the approval is made by the gateway's [Reviewer], once, when every
// interceptor has answered and none refuses.
type Hold struct {
	// Rules ask for the approval; at least one.
	Rules []string
	// Approvers has the groups of each rule, in the order of Rules: an approver is a
	// member of one group of every list. "*" is everybody.
	Approvers [][]string
	// Message says why, to the user and to approvers.
	Message string
	// For is how long the request may wait. It is more than zero.
	For time.Duration
	// InTransaction is how long the client waits while a transaction of its session is open, whose locks others wait for; 0 is
	// [DefaultInTransaction]. The request waits on for the rest of For.
	InTransaction time.Duration
	// Reveal lets approvers read what is concealed of the operation from them, on record.
	Reveal bool
	// Not are people who may not decide, by their subjects, besides who asks.
	Not []string
	// Undo is for how long what undoes the operation is kept, where that is possible; 0: it is not.
	Undo time.Duration
	// Try says that the operation may be run and taken back, to see what it does, where it has no effects
	// that cannot be.
	Try bool
	// Blind says why it cannot be known what the operation does; empty when it can.
	Blind string
	// Standing has the approval let further operations run, each as the operation of a hold that names the request in Under; nil: the
	// operation alone.
	Standing *Standing
	// Under names a request that was approved with a Standing which covers the operation, as who holds it has made sure. While it
	// counts nobody is asked; otherwise people are, as without it.
	Under string
	// Access names the rule whose access is asked for, where Connect is held because nobody has granted
	// that; empty where the operation itself is to be approved. After the approval the interceptor that asked for it
	// allows the operation itself: an approval of access is not one of the operation.
	Access string
}

// DefaultInTransaction is how long a client waits for an approval while a transaction of its session is open, by a rule that does not say.
const DefaultInTransaction = time.Minute

// Standing is how much an approval lets run that is for more than one operation.
type Standing struct {
	Runs  int           // operations, one or more
	For   time.Duration // from the approval on; more than zero
	Scope string        // which ones, as who holds them reads it; it is kept with the request, and signed
}

// valid reports whether h can be decided about.
func (h *Hold) valid() bool {
	return h != nil && len(h.Rules) > 0 && len(h.Rules) == len(h.Approvers) && h.For > 0
}

// Reviewer takes requests for the approval of operations. It is safe for
// concurrent use.
type Reviewer interface {
	// Request makes a request about op of s. What op refers to is valid until the
	// returned Wait has returned. An error refuses the operation; its text is shown
	// to the user.
	Request(ctx context.Context, s *Session, op Op, h *Hold) (*Pending, error)
}

// Pending is a request for the approval of one operation, which waits for it.
type Pending struct {
	ID       string    // names the request, for people and programs
	Message  string    // shown to the user while the operation waits
	Link     string    // where the request can be decided; may be empty
	Deadline time.Time // the operation is refused when it passes; zero is the session's deadline
	// Wait blocks until the request is decided and returns a verdict that allows or
	// refuses. It returns a refusal when ctx ends, which it does at the deadline, at
	// the client's cancel and at the session's end.
	Wait func(ctx context.Context) Verdict
}
