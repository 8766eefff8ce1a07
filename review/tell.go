package review

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/hours"
	"github.com/sallyport/sallyport/internal/terminal"
)

// maxNamed is how many bytes of a name a headline has.
const maxNamed = 80

// shown is a text as people see it: on one line, without what is not seen, and not longer than most bytes.
func shown(text string, most int) string {
	text = terminal.Visible(strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

// Headline says in one line what has happened. It is plain text, and holds names that others chose.
func (n *Notice) Headline() string {
	if n.Alert != nil {
		return n.Alert.headline()
	}
	r := &n.Request
	name := func(s string) string { return shown(s, maxNamed) }
	who, by := name(r.Requester), name(r.DecidedBy)
	if r.For != "" {
		who += " for " + name(r.For)
	}
	what := "the request of " + who + " for access to " + name(r.Resource)
	if r.Access == nil {
		what = "the request of " + who + " at " + name(r.Resource)
	}
	if by == "" {
		by = "somebody"
	}
	switch n.Event {
	case Asked:
		if r.Access == nil {
			return fmt.Sprintf("%s waits for an approval at %s", who, name(r.Resource))
		}
		return fmt.Sprintf("%s asks for access to %s", who, name(r.Resource))
	case Voted:
		if a := r.Access; a != nil && len(a.Votes) > 0 {
			v := a.Votes[len(a.Votes)-1]
			if by = name(v.By); v.Name != "" {
				by = name(v.Name)
			}
		}
		return fmt.Sprintf("%s approved %s, which needs more approvals", by, what)
	case Proposed:
		if r.Access != nil && r.Access.Proposal != nil {
			if by = name(r.Access.Proposal.By); r.Access.Proposal.Name != "" {
				by = name(r.Access.Proposal.Name)
			}
		}
		return fmt.Sprintf("%s proposes something else for %s", by, what)
	case Edited:
		return what + " was changed, and waits"
	case Escalated:
		return what + " waits still, and others may decide, too"
	case string(Approved):
		return fmt.Sprintf("%s approved %s", by, what)
	case string(Denied):
		return fmt.Sprintf("%s denied %s", by, what)
	case string(Cancelled):
		return what + " was cancelled"
	case string(Expired):
		return "nobody decided in time about " + what
	case string(Lapsed):
		return what + " was approved, and was not there any more"
	case string(Unknown):
		return what + " was approved, and the gateway stopped as it ran: whether it has run is not known"
	case BreakGlass:
		return fmt.Sprintf("BREAK-GLASS: %s has taken access to %s without an approval", who, name(r.Resource))
	case string(ReviewDue):
		return fmt.Sprintf("what %s has done at %s without an approval has to be reviewed", who, name(r.Resource))
	case string(Fine):
		return fmt.Sprintf("%s has reviewed what %s has done at %s without an approval: it was in order", by, who, name(r.Resource))
	case string(Violation):
		return fmt.Sprintf("%s has reviewed what %s has done at %s without an approval: it was a VIOLATION", by, who, name(r.Resource))
	case string(Revoked):
		return what + " was " + granted(r) + ", and is revoked"
	case string(Ended):
		return what + " was " + granted(r) + ", and has ended"
	}
	return what + ": " + name(n.Event)
}

// granted says how access came about.
func granted(r *Request) string {
	if r.broken() != nil {
		return "taken without an approval"
	}
	return "approved"
}

// headline says in one line what a rule has found.
func (a *Alert) headline() string {
	text := "ALERT " + shown(a.Rule, maxNamed) + ": "
	if a.Count == 1 {
		text += shown(a.Event, maxNamed)
	} else {
		text += fmt.Sprintf("%d events within %s, the latest %s", a.Count, hours.Length(time.Duration(a.Seconds)*time.Second), shown(a.Event, maxNamed))
	}
	if a.User != "" {
		text += " of " + shown(a.User, maxNamed)
	}
	if a.Resource != "" {
		text += " at " + shown(a.Resource, maxNamed)
	}
	return text
}

// facts are what a person wants to know of an alert.
func (a *Alert) facts(at time.Time, add func(name, value string, written bool)) {
	add("alert", a.Rule, false)
	add("message", a.Message, true)
	add("event", a.Event, false)
	if a.Count > 1 {
		add("how many", fmt.Sprintf("%d within %s", a.Count, hours.Length(time.Duration(a.Seconds)*time.Second)), false)
	}
	if a.Before > 0 {
		add("while quiet", fmt.Sprintf("%d more since the alert before", a.Before), false)
	}
	add("user", a.User, false)
	add("at", a.Resource, false)
	add("rule", a.Decision, false)
	add("session", a.Session, false)
	add("when", at.UTC().Format(time.RFC3339), false)
}

// Fact is something that a notice says of what it is about.
type Fact struct {
	Name string
	// Value is plain text on one line, which others may have written.
	Value string
	// Written says that Value is what somebody wrote.
	Written bool
}

// Facts are what a person wants to know who is told. What an operation would do is among them with details only: it may hold
// what is not for everybody who reads.
func (n *Notice) Facts(details bool) []Fact {
	r := &n.Request
	var list []Fact
	add := func(name, value string, written bool) {
		if value != "" {
			list = append(list, Fact{name, shown(value, maxNoticeReason), written})
		}
	}
	if n.Alert != nil {
		n.Alert.facts(n.At, add)
		return list
	}
	add("request", r.ID, false)
	add("state", string(r.State), false)
	add("asked by", r.Requester, false)
	add("for", r.For, false)
	at := r.Resource
	if r.Database != "" {
		at += "/" + r.Database
	}
	if r.Account != "" {
		at += " as " + r.Account
	}
	add("at", at, false)
	if a := r.Access; a != nil {
		add("wants", strings.Join(a.Actions, ", "), false)
		add("for how long", a.For().String(), false)
		if a.Rows > 0 {
			add("rows", rowsText(a.Rows), false)
		}
		if !a.From.IsZero() {
			add("from", a.From.UTC().Format(time.RFC3339), false)
		}
		add("reason", a.Reason, true)
		if p := a.Proposal; p != nil {
			add("proposed", p.String(), false)
			add("proposed by", p.By, false)
			add("why proposed", p.Reason, true)
		}
		if a.Glass != nil {
			add("without an approval", "recorded in full; proven by "+a.Glass.Proof+" from "+a.Remote, false)
			add("who reviews it", strings.Join(a.reviewers(), " or "), false)
		}
		if g := a.Grant; g != nil {
			add("granted", g.From.UTC().Format(time.RFC3339)+" to "+g.Until.UTC().Format(time.RFC3339), false)
		}
	} else if details {
		add(r.Kind, r.Text, true)
		add("effects", r.Effects, false)
		add("impact", r.ImpactText(), true)
		add("unknown", r.Blind, false)
	}
	add("rule", strings.Join(r.Rules, ", "), false)
	add("why", r.Message, false)
	if r.State == Pending {
		var groups []string
		for _, g := range r.Approvers {
			groups = append(groups, strings.Join(g, " or "))
		}
		add("who decides", strings.Join(groups, ", and "), false)
		add("on call", strings.Join(r.Called, ", "), false)
		add("decide by", r.Deadline.UTC().Format(time.RFC3339), false)
	}
	add("decided by", r.DecidedBy, false)
	add("decision", r.Reason, true)
	return list
}
