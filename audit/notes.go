package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Record keeps a note that belongs to no open session, in the gateway's own
// record: what becomes of requests for approvals, and that masked values are
// turned back. It has been handed to the operating system when Record returns. An
// operation's text is in its session's record. A note of another kind is an error.
func (l *Log) Record(_ context.Context, n *proxy.Note) error {
	switch r := n.Request; {
	case n.Kind == proxy.NoteReview && r != nil:
		rule := ""
		if len(r.Rules) > 0 {
			rule = r.Rules[0]
		}
		return l.own.event(time.Now(), ReviewPrefix+r.State, synced, func(b []byte) []byte {
			b = str(b, "user", r.Requester)
			b = str(b, "for", r.For)
			b = str(b, "session", r.Session)
			b = num(b, "op", r.Operation)
			b = str(b, "request", r.ID)
			b = str(b, "mark", r.Mark)
			b = str(b, "hash", r.Hash)
			b = str(b, "rule", rule)
			b = str(b, "decided_by", r.DecidedBy)
			b = str(b, "channel", r.Channel)
			b = str(b, "resource", r.Resource)
			b = str(b, "account", r.Account)
			if !r.Until.IsZero() {
				b = str(b, "deadline", r.Until.UTC().Format(time.RFC3339))
			}
			b = num(b, "rows", r.Rows)
			return str(str(b, "reason", r.Reason), "signed", r.Signed)
		})
	case n.Kind == proxy.NoteDetokenised:
		a := Action{Type: AdminDetokenise, By: n.Identity, Action: n.Type}
		if n.Err != nil {
			a.Reason = n.Err.Error()
		}
		return l.Act(a)
	}
	return fmt.Errorf("recording a note: got the kind %q, want one of %q and %q", n.Kind, proxy.NoteReview, proxy.NoteDetokenised)
}
