package audit

import "context"

// Sink takes events somewhere else: a collector, a file, a queue.
type Sink interface {
	// Name tells the log's sinks apart, and names the place in the log up to which
	// this one was served: letters, digits and dashes.
	Name() string
	// Deliver hands events over, and returns nil when they are taken over for good.
	// Events of a session come in order. After an error the same events come again,
	// and after a crash the last ones may: who needs each once tells them by
	// session and index. The batch is the sink's until Deliver returns.
	Deliver(ctx context.Context, batch []Outgoing) error
}

// TooLargeError is what a Sink returns for a batch that is too large to be
// taken. The events come again in smaller ones; one that is too large by itself
// is left out, with an event that says so.
type TooLargeError struct{ Err error }

// Error is the cause's.
func (e *TooLargeError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *TooLargeError) Unwrap() error { return e.Err }

// Outgoing is one event on its way to a Sink.
type Outgoing struct {
	Session string // whose record it is in; the gateway's own has one too
	Index   uint64 // its place there, from 1
	Type    string
	JSON    []byte // as recorded
	// Start is the first event of the session's record, which says who and where; nil in
	// the gateway's own. It is shared and not to be changed.
	Start *Event
}

// Append appends the event as an object on a line of its own, together with who and
// where, so that a line can be understood alone.
func (r Outgoing) Append(b []byte) []byte {
	b = append(b, `{"record":"`...)
	b = append(append(b, r.Session...), '"')
	if s := r.Start; s != nil && r.Type != SessionStart {
		b = str(b, "user", s.User)
		b = str(b, "for", s.For)
		b = str(b, "resource", s.Resource)
		b = str(b, "account", s.Account)
		b = str(b, "database", s.Database)
		b = str(b, "protocol", s.Protocol)
		b = str(b, "remote", s.Remote)
	}
	b = append(b, ',')
	b = append(b, r.JSON[1:]...)
	return append(b, '\n')
}

// Format appends an event in the form in which a sink sends it, as one line with
// its line break. [Outgoing.Append] is one.
type Format func(b []byte, r Outgoing) []byte
