package review

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Channel is one way of telling people.
type Channel struct {
	// Name is kept with what waits for the channel; see [ValidChannel].
	Name     string
	Notifier Notifier
	// Wants reports whether the channel is told of a notice; nil is all of them. It is not asked about BreakGlass, which all are told, and where
	// the notice says who is told.
	Wants func(n *Notice) bool
	// Version is another one when the channel's configuration is. A channel that was disabled by
	// ErrGone stays so until then.
	Version string
}

// told reports whether the channel is told of a notice.
func (c *Channel) told(n *Notice) bool {
	if len(n.To) > 0 {
		return slices.Contains(n.To, c.Name)
	}
	return c.Wants == nil || n.Event == BreakGlass || c.Wants(n)
}

// MaxChannels is how many channels an Outbox has at most.
const MaxChannels = 32

// ValidChannel reports what is wrong with a channel's name.
func ValidChannel(name string) error {
	odd := func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-_.", c))
	}
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, odd) {
		return fmt.Errorf("channel %q: want 1 to 64 letters, digits, dots, dashes and underscores", name)
	}
	return nil
}

// Errors of a Notifier that say how to go on. After any other a notice is sent again. No error holds
// a secret: it is kept, and shown to administrators.
var (
	// ErrGone says that the receiver wants no notices any more. Nothing is sent to the channel until its
	// configuration changes.
	ErrGone = errors.New("the receiver wants no notices any more")
	// ErrRefused says that the receiver will never take this notice, which becomes a dead letter.
	ErrRefused = errors.New("the receiver refuses this notice for good")
)

// BusyError says that the receiver wants to be left alone for a time.
type BusyError struct {
	After time.Duration
	Err   error
}

func (e *BusyError) Error() string { return fmt.Sprintf("%v: it asks to wait %s", e.Err, e.After) }

// Unwrap returns Err.
func (e *BusyError) Unwrap() error { return e.Err }

// maxError is how many bytes of an error are kept.
const maxError = 300

// brief is an error as it is kept.
func brief(err error) string { return cut(err.Error(), maxError) }

// cut is the beginning of a text, with what is missing.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	n := most
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return fmt.Sprintf("%s… (%d bytes more)", text[:n], len(text)-n)
}

// Bounds on what a notice says of a request: it tells of it, and who decides looks at the request itself.
const (
	maxNoticeText   = 4 << 10
	maxNoticeReason = 2 << 10
)

// short is the notice without what is too long for it. Arguments are left out.
func (n *Notice) short() *Notice {
	out := *n
	r := n.Request.clone()
	r.Arguments, r.said, r.sums, r.Signed = nil, nil, nil, ""
	if r.Impact != nil { // no message has rows
		i := *r.Impact
		i.Columns, i.Samples = nil, nil
		r.Impact = &i
	}
	r.Text = cut(r.Text, maxNoticeText)
	for _, s := range []*string{&r.Message, &r.Reason, &r.Blind, &r.Effects} {
		*s = cut(*s, maxNoticeReason)
	}
	if r.Access != nil {
		if p := r.Access.Proposal; p != nil {
			p.Reason = cut(p.Reason, maxNoticeReason)
		}
		r.Access.Reason = cut(r.Access.Reason, maxNoticeReason)
		for i := range r.Access.Votes {
			r.Access.Votes[i].Reason = cut(r.Access.Votes[i].Reason, maxNoticeReason)
		}
	}
	out.Request = r
	return &out
}

// Events returns the events of notices, in the order in which they may come.
func Events() []string {
	list := []string{Asked, Voted, Escalated, Proposed, Edited, BreakGlass}
	for _, s := range []State{Approved, Denied, Cancelled, Expired, Lapsed, Unknown, Revoked, Ended, ReviewDue, Fine, Violation} {
		list = append(list, string(s))
	}
	return list
}
