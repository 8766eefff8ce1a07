package review

import (
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/terminal"
)

// Lines is everything that is decided about, and the decision when there is one, as
// lines of plain text, each with its line break. It is what who decides must have
// seen. Times are shown in the locations that they have. Each value is on one line,
// without control characters, and can be sent to a terminal.
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
	line("why held", r.Message+" (rule "+strings.Join(r.Rules, ", rule ")+")")
	line("effects", r.Effects)
	line("unknown", r.Blind)
	line("until", r.Deadline.Format(time.RFC3339))
	line("hash", r.Hash)
	if r.DecidedBy != "" {
		line("decided by", r.DecidedBy+" "+r.Reason)
	}
	line(r.Kind, r.Text)
	for i, a := range r.Arguments {
		line(fmt.Sprintf("  $%d", i+1), a)
	}
	return b.String()
}
