// Package alert watches the events of the record, and tells channels what its rules find in them.
//
// An Engine is an [audit.Sink]: it reads what is on the disk, so that no session waits for it and nothing that was recorded is missed, also
// after a crash. What a rule has counted is in a store, where all gateways on it go on counting, and what is to be told is kept there in the same
// write. So an alert is told at least once, and once by all gateways together. Between two events an Engine keeps nothing in memory.
//
// An alert names the rule, its message, how many events fitted, and of the latest one its type, who has proven herself, the resource, the
// rule of the policy and the session. It has no statement, no reason and no value.
package alert

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/review"
)

// Bounds of rules.
const (
	MaxRules    = 100
	MaxCount    = 1000 // events
	MaxCountOf  = 100  // events, of a rule that counts for each user or resource
	MaxWithin   = 24 * time.Hour
	MinQuiet    = time.Minute
	MaxQuiet    = 30 * 24 * time.Hour
	MaxMessage  = 500 // bytes
	MaxPatterns = 100 // of one list
)

// DefaultQuiet is for how long a rule is quiet that does not say it.
const DefaultQuiet = 15 * time.Minute

// What a rule counts for each of.
const (
	EachUser     = "user"
	EachResource = "resource"
)

// Rule says of which events channels are told. An event fits when it fits everything that is set.
type Rule struct {
	Name     string
	Version  string                     // another one when the rule says something else
	Events   []string                   // types, as patterns of path.Match
	Users    []string                   // patterns of users who have proven themselves, or of humans that an agent acts for; empty: anybody, and nobody
	Groups   []string                   // one of which the user is in
	Resource func(resource string) bool // nil: any, and none
	Rules    []string                   // patterns of the rules of the policy that events name
	Each     string                     // EachUser or EachResource: events are counted for each; empty: for all together
	Count    int                        // events that have to fit, within Within; 0 is 1
	Within   time.Duration
	Quiet    time.Duration // after an alert, for which further events are counted alone; 0 is DefaultQuiet
	Channels []string      // that are told
	Message  string        // for who is told
}

// Valid says what is wrong with a rule.
func (r *Rule) Valid() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("alert %s: %s", r.Name, fmt.Sprintf(format, args...))
	}
	if err := review.ValidChannel(r.Name); err != nil { // which is a name in a store, too
		return fail("name: want 1 to 64 letters, digits, dots, dashes and underscores")
	}
	if len(r.Events) == 0 {
		return fail("events: got none, want types of events such as operation.refused")
	}
	if len(r.Channels) == 0 || len(r.Channels) > review.MaxChannels {
		return fail("notify: got %d channels, want 1 to %d", len(r.Channels), review.MaxChannels)
	}
	for _, list := range []struct {
		key      string
		patterns []string
	}{{"events", r.Events}, {"users", r.Users}, {"rules", r.Rules}} {
		if len(list.patterns) > MaxPatterns {
			return fail("%s: got %d, want at most %d", list.key, len(list.patterns), MaxPatterns)
		}
		for _, p := range list.patterns {
			if _, err := path.Match(p, ""); err != nil || p == "" {
				return fail("%s: %q is not a pattern", list.key, p)
			}
		}
	}
	for _, p := range r.Events {
		if !slices.ContainsFunc(types, func(typ string) bool { return match(p, typ) }) {
			return fail("events: no event has the type %q; docs/audit.md lists them", p)
		}
	}
	if r.Each != "" && r.Each != EachUser && r.Each != EachResource {
		return fail("each: got %q, want %s or %s", r.Each, EachUser, EachResource)
	}
	most := MaxCount
	if r.Each != "" {
		most = MaxCountOf
	}
	switch {
	case r.Count < 0 || r.Count > most:
		return fail("count: got %d, want 1 to %d", r.Count, most)
	case r.Count > 1 && (r.Within < time.Second || r.Within > MaxWithin):
		return fail("within: got %s, want 1s to %s, the time in which %d events fit", r.Within, MaxWithin, r.Count)
	case r.Count <= 1 && r.Within != 0:
		return fail("within: got %s, want none without a count of more than 1", r.Within)
	case r.Quiet != 0 && (r.Quiet < MinQuiet || r.Quiet > MaxQuiet):
		return fail("quiet: got %s, want %s to %s", r.Quiet, MinQuiet, MaxQuiet)
	case len(r.Message) > MaxMessage:
		return fail("message: got %d bytes, want at most %d", len(r.Message), MaxMessage)
	}
	return nil
}

func (r *Rule) quiet() time.Duration {
	if r.Quiet == 0 {
		return DefaultQuiet
	}
	return r.Quiet
}

// Wants reports whether the rule is about events of a type.
func (r *Rule) Wants(typ string) bool {
	return slices.ContainsFunc(r.Events, func(p string) bool { return match(p, typ) })
}

func match(pattern, text string) bool {
	ok, err := path.Match(pattern, text)
	return ok && err == nil
}

func matchAny(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, text) })
}

// Types are the types of events that rules may be about, sorted: all but what recordings hold.
func Types() []string { return slices.Clone(types) }

var types = func() []string {
	list := slices.DeleteFunc(audit.Types(), func(typ string) bool { return strings.HasPrefix(typ, "recording.") })
	for _, e := range append(review.Events()[1:], "pending", "used", "opened", "undone", "revealed", "undo_kept", "undo_dropped", "undo_begun", "undo_done", "undo_failed") {
		list = append(list, audit.ReviewPrefix+e)
	}
	slices.Sort(list)
	return slices.Compact(list)
}()

// Seen is what rules look at of an event.
type Seen struct {
	Record   string // whose place Index is
	Index    uint64
	At       time.Time
	Type     string
	User     string // who has proven herself
	For      string // the human that an agent acts for
	Groups   []string
	Resource string
	Rule     string
	Session  string
	Count    int // events that it sums up
}

// Start reads the first event of a session's record, for [See].
func Start(raw []byte) (*audit.Event, error) {
	var e audit.Event
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, errors.New("alert: the event is not JSON")
	}
	return &e, nil
}

// claimed are types of events whose user is somebody that a client claims to be: anything can be in it, a password too.
var claimed = []string{"gateway.login-failed", "gateway.overload", "gateway.connection-failed", "gateway.panic"}

// See reads an event as it was recorded. start is the first of a session's record, and nil in the gateway's own.
func See(record string, index uint64, raw []byte, start *audit.Event) (s Seen, err error) {
	var e struct {
		Time     time.Time `json:"t"`
		Type     string    `json:"type"`
		Session  string    `json:"session"`
		User     string    `json:"user"`
		For      string    `json:"for"`
		Groups   []string  `json:"groups"`
		Resource string    `json:"resource"`
		Rule     string    `json:"rule"`
		Action   string    `json:"action"`
		Count    uint64    `json:"count"`
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return s, errors.New("alert: the event is not JSON")
	}
	s = Seen{
		Record: record, Index: index, At: e.Time, Type: e.Type, User: e.User, For: e.For, Groups: e.Groups, Resource: e.Resource, Rule: e.Rule, Session: e.Session,
		Count: int(min(max(e.Count, 1), MaxCount)),
	}
	if start != nil {
		s.User, s.For, s.Groups, s.Resource, s.Session = start.User, start.For, start.Groups, start.Resource, record
	}
	if slices.Contains(claimed, s.Type) || s.Type == audit.AdminRefused && e.Action == audit.AdminLogin {
		s.User, s.For, s.Groups = "", "", nil
	}
	return s, nil
}

// Fits reports whether an event fits a rule.
func (r *Rule) Fits(s *Seen) bool {
	switch {
	case !r.Wants(s.Type):
	case len(r.Users) > 0 && (s.User == "" || !matchAny(r.Users, s.User)) && (s.For == "" || !matchAny(r.Users, s.For)):
	case len(r.Groups) > 0 && !slices.ContainsFunc(r.Groups, func(g string) bool { return slices.Contains(s.Groups, g) }):
	case r.Resource != nil && (s.Resource == "" || !r.Resource(s.Resource)):
	case len(r.Rules) > 0 && (s.Rule == "" || !matchAny(r.Rules, s.Rule)):
	default:
		return true
	}
	return false
}
