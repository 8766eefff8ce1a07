package policy

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/hours"
)

// Users are told that their session ends soon: those at terminals on time, and those whose
// clients listen only to answers with the next one.

// told is what the user of a session was told already.
type told struct {
	end  atomic.Int64 // of the session, in Unix nanoseconds
	idle atomic.Int64 // the time since when nothing had happened, when that was said
}

// of reports whether the user was told of an end; that of a grant is by the store's clock, and moves with it by a little.
func (t *told) of(end time.Time) bool { return time.Unix(0, t.end.Load()).Sub(end).Abs() < time.Second }

// notice is how long before the end of a time of this length it is said: a tenth, and not more
// than five minutes.
func notice(length time.Duration) time.Duration { return min(length/10, 5*time.Minute) }

// end is when the session's time is over, by d, and how long that time is; zero: it is not over.
func (j *judge) end(d *decision) (end time.Time, length time.Duration) {
	if limit := d.duties.Session; limit > 0 {
		end, length = j.session.Started.Add(limit), limit
	}
	if !d.end.IsZero() && (end.IsZero() || d.end.Before(end)) {
		end, length = d.end, d.end.Sub(j.session.Started)
	}
	return end, length
}

// lastWords are what the user is to be told of the session's end with an answer; empty when it
// is not near, or was said.
func (j *judge) lastWords(d *decision) string {
	end, length := j.end(d)
	if end.IsZero() {
		return ""
	}
	left := time.Until(end)
	if left > notice(length) || left <= 0 || j.told.of(end) {
		return ""
	}
	if end.Equal(d.end) {
		return fmt.Sprintf("this session ends in %s: until then access is granted by request %s", rounded(left), d.request)
	}
	limit := d.duties.Session
	rule := d.setBy(func(o *Obligations) bool { return o.Session == limit })
	return fmt.Sprintf("this session ends in %s: rule %s allows %s", rounded(left), rule, hours.Length(limit))
}

// heard notes that an operation has begun, with whose answer the user is told what lastWords says.
func (j *judge) heard() {
	if d := j.decision(); j.lastWords(d) != "" {
		end, _ := j.end(d)
		j.told.end.Store(end.UnixNano())
	}
}

// remind tells a user at a terminal that the session ends soon, when it is time to, and returns
// how long it is until there is something to tell.
func (j *judge) remind(d *decision, now time.Time) time.Duration {
	next := time.Duration(1 << 62)
	if end, length := j.end(d); !end.IsZero() {
		if wait := end.Add(-notice(length)).Sub(now); wait > 0 {
			next = wait
		} else if words := j.lastWords(d); words != "" && j.session.Remind(words) {
			j.told.end.Store(end.UnixNano())
		}
	}
	idle := d.duties.Idle
	if idle == 0 || j.busy() {
		return next
	}
	since := j.lastSeen()
	if wait := since.Add(idle - notice(idle)).Sub(now); wait > 0 {
		return min(next, wait)
	}
	if j.told.idle.Swap(since.UnixNano()) != since.UnixNano() {
		rule := d.setBy(func(o *Obligations) bool { return o.Idle == idle })
		j.session.Remind(fmt.Sprintf("this session ends in %s if nothing happens in it: rule %s allows to be idle for %s", rounded(since.Add(idle).Sub(now)), rule, hours.Length(idle)))
	}
	return next
}

// rounded writes a time that is left, in seconds where it is short.
func rounded(d time.Duration) string {
	unit := time.Minute
	if d < 2*time.Minute {
		unit = time.Second
	}
	return hours.Length(max(d.Round(unit), time.Second))
}
