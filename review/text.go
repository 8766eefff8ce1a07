package review

import (
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/proxy"
)

// Lines is everything that is decided about, and the decision when there is one, as
// lines of plain text, each with its line break. It is what who decides must have
// seen. Times are shown in the locations that they have. Each value is on one line,
// but for the plan of a runbook, whose further lines begin with spaces; it has no
// control characters, and can be sent to a terminal.
func (r *Request) Lines() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-11s %s\n", name, terminal.Visible(value))
		}
	}
	line("request", r.ID)
	line("state", string(r.State))
	who := r.Requester
	if r.For != "" {
		who += " for " + r.For
	}
	line("asked by", who)
	at := r.Resource
	if r.Database != "" {
		at += "/" + r.Database
	}
	if r.Account != "" {
		at += " as " + r.Account
	}
	line("at", at)
	if r.Access != nil {
		r.accessLines(line)
		return b.String()
	}
	line("why held", r.Message+" (rule "+strings.Join(r.Rules, ", rule ")+")")
	line("on call", strings.Join(r.Called, ", "))
	line("effects", r.Effects)
	line("unknown", r.Blind)
	line("names", r.Names)
	if r.After != "" {
		line("before", "it may have run already: request "+r.After+" for the same was approved, and the gateway stopped as it ran")
	}
	if r.Locked != nil {
		line("locks", "a transaction of hers is open: what it has locked stays locked for others until "+r.Locked.Format(time.RFC3339)+
			" at most; from then on she has to send it again when it is approved")
	}
	r.impactLines(line)
	r.standingLines(line)
	if r.State == Approved {
		line("runs until", r.UseBy.Format(time.RFC3339))
	} else {
		line("until", r.Deadline.Format(time.RFC3339))
	}
	line("hash", r.Hash)
	hidden := strings.Join(r.Hidden, ", ")
	if r.Reveal {
		hidden += "; approvers may have it shown"
	}
	line("hidden", hidden)
	if r.DecidedBy != "" {
		line("decided by", r.DecidedBy+" "+r.Reason)
	}
	if r.Use != nil {
		word := "has run"
		if r.State == Unknown {
			word = "may have run"
		}
		line(word, "in session "+r.Use.Session+" at "+r.Use.At.Format(time.RFC3339))
	}
	if r.Kind == proxy.KindRunbook.String() { // which has a plan, of many lines
		first, rest, _ := strings.Cut(r.Text, "\n")
		line(r.Kind, first)
		for rest != "" {
			first, rest, _ = strings.Cut(rest, "\n")
			fmt.Fprintf(&b, "%-11s %s\n", "", terminal.Visible(first))
		}
	} else {
		line(r.Kind, r.Text)
	}
	for i, a := range r.Arguments {
		line(fmt.Sprintf("  $%d", i+1), a)
	}
	return b.String()
}

// accessLines are those of a request for access.
func (r *Request) accessLines(line func(name, value string)) {
	a := r.Access
	in := r.Deadline.Location()
	line("from", a.Remote)
	line("why", a.Reason)
	line("what for", r.Message)
	line("rule", a.Rule)
	line("access", strings.Join(a.Actions, ", "))
	line("for", a.For().String())
	if a.Rows > 0 {
		line("rows", rowsText(a.Rows)+", returned or changed, in all sessions together")
	}
	if !a.From.IsZero() {
		line("begins", a.From.In(in).Format(time.RFC3339))
	}
	if g := a.Glass; g != nil {
		line("break-glass", "without an approval, proven by "+g.Proof)
		line("reviewed by", strings.Join(a.reviewers(), " or "))
		if e := g.Ended; e != nil {
			line(string(e.State), strings.TrimSpace(e.By+" "+e.Reason))
		}
	}
	for i, s := range a.Stages {
		if a.Glass != nil {
			break
		}
		need := "an approval of "
		if s.Need > 1 {
			need = fmt.Sprintf("%d approvals of ", s.Need)
		}
		line(fmt.Sprintf("stage %d", i+1), need+strings.Join(s.Approvers, " or "))
	}
	for i, f := range a.Further {
		text := "from " + f.At.In(in).Format(time.RFC3339) + " on"
		if i < a.Escalated {
			text = "since " + f.At.In(in).Format(time.RFC3339)
		}
		line("further", text+" "+strings.Join(f.Approvers, " or ")+", too")
	}
	line("opens", a.limits())
	if len(a.Opened) > 0 {
		line("opened", fmt.Sprintf("%d of %d", len(a.Opened), a.Uses))
	}
	if a.Proof.given() {
		line("proven by", a.Proof.String())
	}
	if a.Auto {
		line("granted by", "rule "+a.Rule+", without anybody who approves")
	}
	if a.Revision > 0 {
		line("revision", fmt.Sprint(a.Revision+1))
	}
	if p := a.Proposal; p != nil {
		line("proposed", p.String()+" by "+p.By+": "+p.Reason)
	}
	line("on call", strings.Join(r.Called, ", "))
	for _, v := range a.Votes {
		text := "approved stage " + fmt.Sprint(v.Stage+1) + " at " + v.At.In(in).Format(time.RFC3339)
		if v.Seconds > 0 {
			text += " for " + v.For().String()
		}
		if len(v.Actions) > 0 {
			text += ", " + strings.Join(v.Actions, ", ") + " alone"
		}
		if v.Rows > 0 {
			text += ", " + rowsText(v.Rows)
		}
		if len(v.OnCall) > 0 {
			text += ", on call for " + strings.Join(v.OnCall, ", ")
		}
		if v.Lost {
			text += ", which does not count any more"
		}
		if v.Reason != "" {
			text += ": " + v.Reason
		}
		line(v.By, text)
	}
	switch g := a.Grant; {
	case g != nil:
		line("granted", g.From.In(in).Format(time.RFC3339)+" to "+g.Until.In(in).Format(time.RFC3339))
	case r.State == Pending:
		line("until", r.Deadline.Format(time.RFC3339))
	}
	line("hash", r.Hash)
	if r.DecidedBy != "" && r.State != Approved {
		line(string(r.State)+" by", r.DecidedBy+" "+r.Reason)
	} else if r.State == ReviewDue {
		line("review", "is due")
	}
}
