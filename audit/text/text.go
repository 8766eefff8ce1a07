// Package text writes audit events as lines of plain text for people.
//
// The texts in an event can come from any user of the gateway. A line has no line
// breaks and no control characters, so it can be sent to a terminal. Package replay
// shows what a recorded terminal drew.
package text

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/terminal"
)

// Line returns an event as one line without its line break: the time of the day in
// UTC, the type, and every field that people read, in an order that does not depend
// on the event. The line is for reading and its form can change; programs read
// the event itself. Line does not keep e and does not change it.
func Line(e *audit.Event) string {
	var l line
	clock := e.Time
	if t := e.When(); !t.IsZero() {
		clock = t.Format("15:04:05.000")
	}
	fmt.Fprintf(&l.b, "%s  %-17s", terminal.Visible(clock), terminal.Visible(e.Type))
	l.number("#%d", e.Op)
	l.who(e)
	l.what(e)
	l.recorded(e)
	l.outcome(e)
	return l.b.String()
}

// line is a line that is being written.
type line struct{ b strings.Builder }

// part adds a text, unless it is empty.
func (l *line) part(format, value string) {
	if value != "" {
		fmt.Fprintf(&l.b, "  "+format, terminal.Visible(value))
	}
}

// number adds a number, unless it is 0.
func (l *line) number(format string, n uint64) {
	if n != 0 {
		fmt.Fprintf(&l.b, "  "+format, n)
	}
}

func (l *line) who(e *audit.Event) {
	l.part("%s", e.User)
	l.part("at %s", e.Resource)
	l.part("as %s", e.Account)
	l.part("from %s", e.Remote)
	if !strings.HasPrefix(e.Type, "session.") {
		l.part("session %s", e.Session)
	}
}

// what adds what was asked.
func (l *line) what(e *audit.Event) {
	l.part("%s", e.Action)
	l.part("%s", e.Kind)
	l.part("%s", e.Name)
	l.part("%s", e.Text)
	l.part("→ %s", e.Target)
	if e.Opaque {
		l.part("%s", "(nobody sees what is sent)")
	}
	l.part("[%s]", e.Withheld)
	for _, a := range e.Args {
		if a == nil {
			l.part("%s", "NULL")
		} else {
			l.part("'%s'", *a)
		}
	}
	l.part("(%s)", e.Effects)
}

// recorded adds what flowed.
func (l *line) recorded(e *audit.Event) {
	l.part("%s", e.Stream)
	l.number("%d wide", uint64(e.Width))
	l.number("%d high", uint64(e.Height))
	l.part("%s", strings.Join(e.Columns, ", "))
	l.part("%s", e.Data)
	l.number("+ %d bytes that are not text", uint64(len(e.Base64)))
	l.number("%d rows of values", uint64(len(e.Values)))
	l.number("%d bytes", e.Bytes)
	l.part("sha256 %s", e.SHA256)
	if e.Cut {
		l.part("%s", "cut")
	}
	l.number("%d events missing", e.Lost)
}

func (l *line) outcome(e *audit.Event) {
	if e.Verdict != "" && e.Verdict != "pass" && e.Verdict != "allow" {
		l.part("%s", e.Verdict)
		l.part("by %s", e.By)
	}
	l.part("rule %s", e.Rule)
	l.part("%s", e.Reason)
	l.part("%s", e.Tag)
	l.part("%s", e.Code)
	l.part("%s", e.Error)
	l.number("%d times", e.Count)
	l.number("%d rows", e.Rows)
	l.number("%d B", e.BytesOut)
	l.number("%d µs", uint64(max(0, e.Micros)))
	for _, typ := range slices.Sorted(maps.Keys(e.Masked)) {
		l.part("masked %s", fmt.Sprintf("%s ×%d", typ, e.Masked[typ]))
	}
}
