package alert

import (
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/review"
)

// Bounds of what is kept of a rule.
const (
	maxCounters = 200 // of users or resources; further ones are counted together
	maxRecords  = 600 // of which it is known up to where they were counted
	maxFirings  = 20
)

// Firing is one time that a rule has fired.
type Firing struct {
	ID    string       `json:"id"` // of the notice
	At    time.Time    `json:"at"`
	Alert review.Alert `json:"alert"`
}

// state is what is kept of a rule.
type state struct {
	Counters map[string]*counter `json:"counters,omitempty"` // by what the rule counts for each of; "" is all others
	// Records are up to where records were counted, the latest last: events that come again are not counted again.
	Records []place   `json:"records,omitempty"`
	Latest  time.Time `json:"latest,omitzero"` // of the events that fitted
	Firings []Firing  `json:"firings,omitempty"`
}

type place struct {
	Record string `json:"r"`
	Index  uint64 `json:"i"`
}

type counter struct {
	Fitted []fitted  `json:"fitted,omitempty"`
	Quiet  time.Time `json:"quiet,omitzero"` // until then nobody is told
	Before int       `json:"before,omitempty"`
}

// fitted are events at one time.
type fitted struct {
	At    time.Time `json:"t"`
	Count int       `json:"n"`
}

// counted notes that an event is counted, and reports whether it was before.
func (s *state) counted(e *Seen) (before bool) {
	i := slices.IndexFunc(s.Records, func(p place) bool { return p.Record == e.Record })
	if i >= 0 {
		if e.Index <= s.Records[i].Index {
			return true
		}
		s.Records = slices.Delete(s.Records, i, i+1)
	}
	s.Records = append(s.Records, place{e.Record, e.Index})
	if extra := len(s.Records) - maxRecords; extra > 0 {
		s.Records = slices.Delete(s.Records, 0, extra)
	}
	return false
}

// of returns the counter of a name, and the name that it goes by.
func (s *state) of(name string) (*counter, string) {
	c := s.Counters[name]
	if c == nil && len(s.Counters) >= maxCounters {
		name, c = "", s.Counters[""]
	}
	if c == nil {
		c = &counter{}
		if s.Counters == nil {
			s.Counters = make(map[string]*counter)
		}
		s.Counters[name] = c
	}
	return c, name
}

// step counts an event that fits the rule, and returns what is to be told; nil: nothing.
func (r *Rule) step(s *state, e *Seen) *review.Alert {
	if s.counted(e) {
		return nil
	}
	if e.At.After(s.Latest) {
		s.Latest = e.At
		s.forget(r)
	}
	name := ""
	switch r.Each {
	case EachUser:
		name = e.User
	case EachResource:
		name = e.Resource
	}
	c, at := s.of(name)
	if e.At.Before(c.Quiet) {
		c.Before += e.Count
		return nil
	}
	sum := 0
	c.Fitted = append(c.Fitted, fitted{e.At, e.Count})
	c.Fitted = slices.DeleteFunc(c.Fitted, func(f fitted) bool { return s.Latest.Sub(f.At) > r.Within })
	for _, f := range c.Fitted {
		sum += f.Count
	}
	if r.Count > 1 && sum < r.Count {
		return nil
	}
	a := &review.Alert{
		Rule: r.Name, Message: r.Message, Count: max(sum, e.Count), Seconds: int(r.Within / time.Second), Before: c.Before, Event: e.Type, User: e.User, Resource: e.Resource,
		Decision: e.Rule, Session: e.Session,
	}
	if at == "" && r.Each != "" { // of several
		a.User, a.Resource, a.Session = "", "", ""
	}
	*c = counter{Quiet: e.At.Add(r.quiet())}
	return a
}

// forget forgets what counts no more.
func (s *state) forget(r *Rule) {
	maps.DeleteFunc(s.Counters, func(_ string, c *counter) bool {
		if s.Latest.Before(c.Quiet) || c.Before > 0 && r.Each == "" {
			return false
		}
		return len(c.Fitted) == 0 || s.Latest.Sub(c.Fitted[len(c.Fitted)-1].At) > r.Within
	})
}

// fired notes that the rule has fired.
func (s *state) fired(f Firing) {
	s.Firings = append(s.Firings, f)
	if extra := len(s.Firings) - maxFirings; extra > 0 {
		s.Firings = slices.Delete(s.Firings, 0, extra)
	}
}

// Tried is what a rule would have done with events.
type Tried struct {
	Fitted  int      // events that fit
	Fired   int      // times
	Firings []Firing // the latest of them, the oldest first
}

// Try returns what a rule would have done with events, which are in any order and may be of others. Nothing is told or kept.
func (r *Rule) Try(events []Seen) Tried {
	list := slices.DeleteFunc(slices.Clone(events), func(e Seen) bool { return !r.Fits(&e) })
	slices.SortStableFunc(list, func(a, b Seen) int { return a.At.Compare(b.At) })
	var s state
	t := Tried{Fitted: len(list)}
	for i := range list {
		// In the order of their times, which is not that of a record whose events were written late.
		list[i].Record, list[i].Index = "", uint64(i)+1
		session := list[i].Session
		if a := r.step(&s, &list[i]); a != nil {
			if a.Session != "" {
				a.Session = session
			}
			t.Fired++
			s.fired(Firing{At: list[i].At, Alert: *a})
		}
	}
	t.Firings = s.Firings
	return t
}
