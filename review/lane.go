package review

import (
	"iter"
	"math/rand/v2"
	"slices"
	"time"
)

// Bounds on attempts.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	maxBusy    = time.Hour // for which a channel is left alone because it asks for that
	atOnce     = 4         // notices that one channel is told of at once
	saidAfter  = 3         // attempts in a row that fail, until that is logged
)

// backoff is how long to wait after so many attempts: less than twice as long each time, at random, so
// that many gateways do not ask at one moment.
func backoff(attempts int) time.Duration {
	d := lastRetry
	if attempts < 10 {
		d = min(d, firstRetry<<max(0, attempts-1))
	}
	return d/2 + rand.N(d/2)
}

// entry is a notice that waits, without its text.
type entry struct {
	name     string // of its document
	request  string
	person   string // whose request it is
	order    int64  // its place among those of the request: the version of a document that was not tried
	created  time.Time
	attempts int
	due      time.Time // when it is tried; zero: now
	drop     string    // why it is given up without an attempt; empty: it is not
	running  bool
}

// lane is what waits for one channel.
type lane struct {
	name     string
	waiting  map[string]*entry   // by names
	requests map[string][]*entry // the first of each is the next
	dead     map[string]string   // names of dead letters, and whose requests they are of
	running  int
	failures int       // in a row
	rest     time.Time // until when the channel is left alone
	closed   *closed   // not nil: it wanted no notices
	said     bool      // that it fails

	delivered, failed uint64
}

func newLane(name string) *lane {
	return &lane{name: name, waiting: make(map[string]*entry), requests: make(map[string][]*entry), dead: make(map[string]string)}
}

// add takes a notice in. When there are too many the oldest one of the person is to be given up of whose requests most notices wait.
func (l *lane) add(e *entry) {
	if l.waiting[e.name] != nil {
		return
	}
	l.waiting[e.name] = e
	list := l.requests[e.request]
	i, _ := slices.BinarySearchFunc(list, e.order, func(o *entry, order int64) int {
		if o.order < order {
			return -1
		}
		return 1
	})
	l.requests[e.request] = slices.Insert(list, i, e)
	if len(l.waiting) > MaxWaiting {
		if o := l.excess(); o != nil {
			o.drop = "more notices wait for this channel than are kept"
		}
	}
}

// excess is the notice that is given up when there are too many; nil: all are being given up.
func (l *lane) excess() *entry {
	return l.waiting[surplus(func(yield func(name, person string) bool) {
		for _, o := range l.waiting {
			if o.drop == "" && !yield(o.name, o.person) {
				return
			}
		}
	})]
}

// surplus returns the first, by name, of those of the person who has most of them: who makes many takes no place from others.
func surplus(persons iter.Seq2[string, string]) (first string) {
	of := make(map[string]int)
	most := ""
	for _, person := range persons {
		of[person]++
		if n := of[person] - of[most]; n > 0 || n == 0 && person < most {
			most = person
		}
	}
	for name, person := range persons {
		if person == most && (first == "" || name < first) {
			first = name
		}
	}
	return first
}

// remove takes a notice out that is done.
func (l *lane) remove(name string) {
	e := l.waiting[name]
	if e == nil {
		return
	}
	delete(l.waiting, name)
	list := slices.DeleteFunc(l.requests[e.request], func(o *entry) bool { return o == e })
	if l.requests[e.request] = list; len(list) == 0 {
		delete(l.requests, e.request)
	}
}

// next returns what to do now, and otherwise when to look again. c is the channel; nil: it is not there.
func (l *lane) next(now time.Time, c *Channel) (e *entry, at time.Time) {
	most := atOnce
	if l.failures > 0 {
		most = 1 // one asks whether it is there again
	}
	if l.running >= most {
		return nil, at // its end is told
	}
	open := c != nil && l.closed == nil
	for _, list := range l.requests {
		first := list[0]
		if first.running {
			continue
		}
		due := first.due
		switch {
		case first.drop != "":
			return first, at
		case !open:
			due = first.created.Add(GiveUpAfter)
		case due.Before(l.rest):
			due = l.rest
		}
		if due.After(now) {
			at = earlier(at, due)
			continue
		}
		if e == nil || l.before(first, e) {
			e = first
		}
	}
	if e != nil && !open {
		e.drop = "the channel was not configured all the time"
		if l.closed != nil {
			e.drop = "the channel wanted no notices: " + l.closed.Error
		}
	}
	return e, at
}

// before reports whether a is sent before b, which is of another request. While the channel fails that is the newer one: what it cannot
// take holds up nothing that comes later.
func (l *lane) before(a, b *entry) bool {
	return (a.order < b.order) != (l.failures > 0)
}

// earlier is the earlier one; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// oldest is since when something waits; zero: nothing does.
func (l *lane) oldest() (at time.Time) {
	for _, e := range l.waiting {
		at = earlier(at, e.created)
	}
	return at
}
