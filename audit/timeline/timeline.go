// Package timeline lists what was asked in a recorded session: each operation with
// its verdict, how long it took, how many rows it returned and what was masked.
package timeline

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/terminal"
)

// Kind says what an [Entry] is about.
type Kind string

// Kinds of entries.
const (
	Began     Kind = "began"     // the session: who, from where, at what
	Operation Kind = "operation" // what was asked, and what came of it
	Missing   Kind = "missing"   // events that could not be recorded
	Ended     Kind = "ended"     // the session, with Error when it was not closed in the ordinary way
	Recovered Kind = "recovered" // the gateway stopped before the session ended
)

// State says how an operation ended.
type State string

// States of operations.
const (
	Done       State = "done"       // it ran; Code and Error say whether it failed there
	Refused    State = "refused"    // it did not run
	Unfinished State = "unfinished" // the record has no end of it: it still runs, or the record was cut off
)

// Entry is one line of a timeline. Fields that do not apply are zero. Texts are as
// they were recorded; only String makes them safe for a terminal.
type Entry struct {
	Kind  Kind
	Time  time.Time     // UTC: when it was asked, of a refused operation when it was refused
	After time.Duration // Time since the session began

	// Who asked, in Began.
	User     string
	Resource string
	Database string
	Account  string
	Remote   string

	// An operation.
	Op      uint64 // its number in the session
	OpKind  string // such as "statement" or "exec"
	Name    string
	Text    string
	Target  string
	Effects string
	State   State
	Verdict string // such as "pass", "allow", "rewrite" or "deny"; empty in Unfinished
	By      string // the interceptor that decided
	Rule    string
	Grant   string
	Reason  string
	Took    time.Duration // in Done
	Rows    uint64
	Masked  map[string]uint64 // values by type
	Code    string            // of the resource
	Error   string            // of the resource; in Ended why the session ended

	Lost uint64 // how many events are missing, in Missing
}

// Of reads a session's events, which must begin with its first, such as those of
// [audit.Archive.Events]. Entries come in the order in which they ended, and
// unfinished operations last. The sequence ends after an error of events. It
// keeps the operations that have not ended yet and nothing else, so that a record of
// any size can be listed. The entry and its map are the caller's.
func Of(events iter.Seq2[*audit.Event, error]) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		var begin time.Time
		open := make(map[uint64]*Entry)
		for e, err := range events {
			if err != nil {
				yield(nil, err)
				return
			}
			at := e.When()
			if begin.IsZero() {
				begin = at
			}
			entry := &Entry{Time: at, After: at.Sub(begin)}
			switch e.Type {
			case audit.SessionStart:
				entry.Kind, entry.User, entry.Resource, entry.Database, entry.Account, entry.Remote = Began, e.User, e.Resource, e.Database, e.Account, e.Remote
			case audit.OperationStart:
				entry.asked(e)
				entry.State = Unfinished
				open[e.Op] = entry
				continue
			case audit.OperationEnd:
				if entry = open[e.Op]; entry == nil {
					continue
				}
				delete(open, e.Op)
				entry.State = Done
				entry.answered(e)
			case audit.OperationRefused:
				delete(open, e.Op)
				entry.asked(e)
				entry.State = Refused
				entry.answered(e)
			case audit.Degraded:
				entry.Kind, entry.Lost = Missing, e.Lost
			case audit.SessionEnd:
				entry.Kind, entry.Error = Ended, e.Error
			case audit.SessionRecovered:
				entry.Kind = Recovered
			default:
				continue
			}
			if !yield(entry, nil) {
				return
			}
		}
		for _, op := range slices.Sorted(maps.Keys(open)) {
			if !yield(open[op], nil) {
				return
			}
		}
	}
}

func (x *Entry) asked(e *audit.Event) {
	x.Kind, x.Op, x.OpKind = Operation, e.Op, e.Kind
	x.Name, x.Text, x.Target, x.Effects = e.Name, e.Text, e.Target, e.Effects
}

func (x *Entry) answered(e *audit.Event) {
	x.Verdict, x.By, x.Rule, x.Grant, x.Reason = e.Verdict, e.By, e.Rule, e.Grant, e.Reason
	x.Took = time.Duration(e.Micros) * time.Microsecond
	x.Rows, x.Masked, x.Code, x.Error = e.Rows, e.Masked, e.Code, e.Error
}

// MaskedValues is how many values were masked, of all types together.
func (x *Entry) MaskedValues() uint64 {
	var n uint64
	for _, m := range x.Masked {
		n += m
	}
	return n
}

// String is what happened as one line without a line break, without the time and the
// numbers. It is safe to send to a terminal. Its form can change.
func (x *Entry) String() string { return terminal.Visible(x.line()) }

func (x *Entry) line() string {
	switch x.Kind {
	case Began:
		return fmt.Sprintf("%s at %s%s, from %s, at %s", x.User, x.Resource, prefixed("/", x.Database), x.Remote, x.Time.Format(clock))
	case Missing:
		return fmt.Sprintf("the record could not be written for a while: %d events are missing", x.Lost)
	case Ended:
		return "end" + prefixed(": ", x.Error)
	case Recovered:
		return "the gateway stopped before the session ended"
	}
	switch x.State {
	case Refused:
		return x.question() + ": " + x.Reason + prefixed(", rule ", x.Rule)
	case Unfinished:
		return x.question() + ": did not end"
	}
	return x.question() + prefixed(": ", strings.TrimSpace(x.Code+" "+x.Error))
}

// clock is how a time is written, as in the record.
const clock = "2006-01-02T15:04:05.000000Z07:00"

// question is what was asked. A statement needs no word that it is one.
func (x *Entry) question() string {
	var parts []string
	for _, s := range []string{x.Name, x.Text, x.Target} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 || x.OpKind != "statement" {
		parts = append([]string{x.OpKind}, parts...)
	}
	return strings.Join(parts, " ")
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
