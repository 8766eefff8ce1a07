package audit

import "time"

// Held is what became of an operation that was held for a decision.
type Held struct {
	State     string // "pending", "approved" …
	Request   string
	Hash      string // of what is decided about
	Requester string
	For       string // the human for whom an agent asks
	Session   string
	Operation uint64
	Rule      string
	DecidedBy string // empty when nobody decided
	Channel   string
	Reason    string
}

// Held records a transition of a held operation in the gateway's own record. It
// has been handed to the operating system when Held returns. The operation's text
// stands in its session's record.
func (l *Log) Held(h Held) error {
	return l.own.event(time.Now(), ReviewPrefix+h.State, synced, func(b []byte) []byte {
		b = str(b, "user", h.Requester)
		b = str(b, "for", h.For)
		b = str(b, "session", h.Session)
		b = num(b, "op", h.Operation)
		b = str(b, "request", h.Request)
		b = str(b, "hash", h.Hash)
		b = str(b, "rule", h.Rule)
		b = str(b, "decided_by", h.DecidedBy)
		b = str(b, "channel", h.Channel)
		return str(b, "reason", h.Reason)
	})
}
