package audit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// reviewsWithin is how long before the end of a run a transition was recorded that may not have been made: longer than a store takes
// for any write.
const reviewsWithin = 10 * time.Minute

// States of notes: of what was on record and was not made, and of an approval that is about to be used.
const (
	undoneState = "undone"
	usedState   = "used"
)

// lastingStates are those of notes after which a request counts no longer, or less than before.
var lastingStates = map[string]bool{
	usedState: true, "denied": true, "cancelled": true, "expired": true, "revoked": true, "ended": true, "lapsed": true, "opened": true,
}

// Reviews returns the transitions of requests that the gateway's own record has at the very end of the run before this one, and since
// a time, in their order: a gateway that is killed may have put some on record that were not made then. Those that it had put on
// record as not made are left out. With them is everything after which a request counts no longer, such as the use of an approval, that the last of its records
// have: by that a store is known that was set back.
func (l *Log) Reviews(since time.Time) ([]proxy.RequestNote, error) {
	if l.before == "" {
		return nil, nil
	}
	// The record goes on in another one once a day and when it has grown, which may have been a moment before.
	r := reviews{archive: l.archive, undone: make(map[string]bool)}
	first, last, err := r.read(l.before)
	if first.Type == GatewayRotate && err == nil {
		_, _, err = r.read(first.Name)
	}
	for last.Type == GatewayRotate && err == nil {
		_, last, err = r.read(last.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the gateway's own record of the run before: %w", err)
	}
	if from := r.end.Add(-reviewsWithin); from.After(since) {
		since = from
	}
	slices.SortStableFunc(r.list, func(a, b *Event) int { return strings.Compare(a.Time, b.Time) })
	var notes []proxy.RequestNote
	for _, e := range r.list {
		if r.undone[e.Mark] || e.When().Before(since) && !lastingStates[strings.TrimPrefix(e.Type, ReviewPrefix)] {
			continue
		}
		n := proxy.RequestNote{
			ID: e.Request, State: strings.TrimPrefix(e.Type, ReviewPrefix), Hash: e.Hash, Requester: e.User, For: e.For, Session: e.Session, Operation: e.Op,
			DecidedBy: e.DecidedBy, Channel: e.Channel, Resource: e.Resource, Account: e.Account, Mark: e.Mark, Signed: e.Signed, Rows: e.Rows,
		}
		if e.Rule != "" {
			n.Rules = []string{e.Rule}
		}
		notes = append(notes, n)
	}
	return notes, nil
}

// reviews are the transitions of requests in some of the gateway's own records.
type reviews struct {
	archive *Archive
	list    []*Event
	undone  map[string]bool // marks
	end     time.Time       // of what happened
}

// read reads a record, and returns its first and its last event.
func (r *reviews) read(id string) (first, last *Event, err error) {
	first, last = &Event{}, &Event{}
	var broken error
	err = r.archive.readBy(r.archive.presentKey, id, func(raw []byte) bool {
		last = &Event{}
		if broken = json.Unmarshal(raw, last); broken != nil {
			return false
		}
		if first.Type == "" {
			first = last
		}
		if at := last.When(); last.Type != SessionRecovered && at.After(r.end) {
			r.end = at
		}
		switch state, ok := strings.CutPrefix(last.Type, ReviewPrefix); {
		case !ok || last.Mark == "":
		case state == undoneState:
			r.undone[last.Mark] = true
		default:
			r.list = append(r.list, last)
		}
		return true
	})
	if err == nil {
		err = broken
	}
	return first, last, err
}

// Started reports whether the record of a session has the start of an operation. One that cannot be read has it, as far as is known.
func (l *Log) Started(session string, op uint64) bool {
	started, err := l.has(session, OperationStart, op)
	return started || err != nil
}

// Ended reports whether the record of a session has the end of an operation. One that cannot be read has it not, as far as is known.
func (l *Log) Ended(session string, op uint64) bool {
	ended, err := l.has(session, OperationEnd, op)
	return ended && err == nil
}

// has reports whether the record of a session has an event of an operation.
func (l *Log) has(session, event string, op uint64) (found bool, err error) {
	err = l.archive.readBy(l.archive.presentKey, session, func(raw []byte) bool {
		e := &Event{}
		found = typeOf(raw) == event && json.Unmarshal(raw, e) == nil && e.Op == op
		return !found
	})
	return found, err
}
