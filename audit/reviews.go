package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Reviews returns the transitions of requests that the gateway's own record has at the end of the run before this one, since a time,
// in their order: a gateway that is killed may have put some on record that were not made then. Those that it had put on record as
// not made are left out.
func (l *Log) Reviews(since time.Time) ([]proxy.RequestNote, error) {
	var list []*Event
	undone := make(map[string]bool)
	read := func(id string) (first, last Event, err error) {
		err = l.archive.readBy(l.archive.presentKey, id, func(raw []byte) bool {
			last = Event{}
			if err := json.Unmarshal(raw, &last); err != nil {
				return true
			}
			if first.Type == "" {
				first = last
			}
			state, ok := strings.CutPrefix(last.Type, ReviewPrefix)
			switch {
			case !ok || last.Mark == "":
			case state == undoneState:
				undone[last.Mark] = true
			case last.When().After(since):
				e := last
				list = append(list, &e)
			}
			return true
		})
		return first, last, err
	}
	// The record goes on in another one once a day and when it has grown, which may have been a moment before.
	next := func(e Event) string {
		if e.Type == GatewayRotate {
			return e.Name
		}
		return ""
	}
	if l.before == "" {
		return nil, nil
	}
	first, last, err := read(l.before)
	if id := next(first); err == nil && id != "" {
		_, _, err = read(id)
	}
	for id := next(last); err == nil && id != ""; id = next(last) {
		_, last, err = read(id)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the gateway's own record of the run before: %w", err)
	}
	slices.SortStableFunc(list, func(a, b *Event) int { return cmp.Compare(a.Time, b.Time) })
	var notes []proxy.RequestNote
	for _, e := range list {
		if undone[e.Mark] {
			continue
		}
		n := proxy.RequestNote{
			ID: e.Request, State: strings.TrimPrefix(e.Type, ReviewPrefix), Hash: e.Hash, Requester: e.User, For: e.For, Session: e.Session, Operation: e.Op,
			DecidedBy: e.DecidedBy, Channel: e.Channel, Resource: e.Resource, Account: e.Account, Mark: e.Mark, Signed: e.Signed,
		}
		if e.Rule != "" {
			n.Rules = []string{e.Rule}
		}
		notes = append(notes, n)
	}
	return notes, nil
}

// undoneState is the state of a note about what was on record and was not made.
const undoneState = "undone"
