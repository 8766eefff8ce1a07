package runbook

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Cron are times of the week and the year by the clock on the wall of a place: the five fields
// of cron, minute, hour, day of the month, month and day of the week. As in cron, a day is
// meant by either of its fields where both say something.
//
// A time that the clock skips in spring is taken at the moment at which it is put forward. One
// that comes twice in autumn is taken once, at its first; only a schedule whose hours are * is
// taken in both hours.
type Cron struct {
	minute, hour, day, month, week uint64
	anyDay, anyWeek, anyHour       bool
	zone                           *time.Location
}

var (
	monthNames = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	weekNames  = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
)

// ParseCron reads the five fields, of a zone of the IANA database; empty is UTC.
func ParseCron(text, zone string) (*Cron, error) {
	if zone == "Local" {
		return nil, fmt.Errorf("zone: got Local, want a name such as Europe/Berlin, which is the same on every gateway")
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("zone: %q is not known here: want a name such as Europe/Berlin", clip(zone))
	}
	fields := strings.Fields(text)
	if len(fields) != 5 || len(text) > 200 {
		return nil, fmt.Errorf("cron: got %q, want five fields: minute, hour, day, month, day of the week", clip(text))
	}
	c := &Cron{zone: loc, anyDay: fields[2] == "*", anyWeek: fields[4] == "*", anyHour: strings.HasPrefix(fields[1], "*")}
	for i, f := range []struct {
		to       *uint64
		from, up int
		names    []string
	}{{&c.minute, 0, 59, nil}, {&c.hour, 0, 23, nil}, {&c.day, 1, 31, nil}, {&c.month, 1, 12, monthNames}, {&c.week, 0, 7, weekNames}} {
		if *f.to, err = cronField(fields[i], f.from, f.up, f.names); err != nil {
			return nil, fmt.Errorf("cron: field %d: %w", i+1, err)
		}
	}
	if c.week&(1<<7) != 0 { // Sunday by its other number
		c.week |= 1
	}
	if c.next(time.Date(2024, 1, 1, 0, 0, 0, 0, loc)).IsZero() {
		return nil, fmt.Errorf("cron: %q is never", clip(text))
	}
	return c, nil
}

func cronField(text string, from, to int, names []string) (set uint64, err error) {
	for _, part := range strings.Split(text, ",") {
		span, step, stepped := strings.Cut(part, "/")
		n := 1
		if stepped {
			if n, err = strconv.Atoi(step); err != nil || n < 1 || n > to {
				return 0, fmt.Errorf("got the step %q, want 1 to %d", clip(step), to)
			}
		}
		a, b := from, to
		if span != "*" {
			first, last, ranged := strings.Cut(span, "-")
			if a, err = cronNumber(first, from, to, names); err != nil {
				return 0, err
			}
			switch {
			case ranged:
				if b, err = cronNumber(last, from, to, names); err != nil {
					return 0, err
				}
			case !stepped:
				b = a
			}
			if a > b {
				return 0, fmt.Errorf("got %q, which ends before it begins", clip(span))
			}
		}
		for x := a; x <= b; x += n {
			set |= 1 << x
		}
	}
	return set, nil
}

func cronNumber(text string, from, to int, names []string) (int, error) {
	for i, name := range names {
		if strings.EqualFold(text, name) {
			return i + from, nil
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < from || n > to || strings.HasPrefix(text, "+") {
		return 0, fmt.Errorf("got %q, want %d to %d", clip(text), from, to)
	}
	return n, nil
}

// wall is a minute on the wall, whether or not it exists.
type wall struct {
	year  int
	month time.Month
	day   int
	min   int // of the day
}

func (c *Cron) onDay(day time.Time) bool {
	if c.month&(1<<int(day.Month())) == 0 {
		return false
	}
	inMonth, inWeek := c.day&(1<<day.Day()) != 0, c.week&(1<<int(day.Weekday())) != 0
	if c.anyDay || c.anyWeek {
		return inMonth && inWeek
	}
	return inMonth || inWeek
}

// Next returns the first time after t.
func (c *Cron) Next(t time.Time) time.Time { return c.next(t.In(c.zone)) }

func (c *Cron) next(t time.Time) time.Time {
	// Days are counted at noon of UTC, which no clock change moves.
	day := time.Date(t.Year(), t.Month(), t.Day(), 12, 0, 0, 0, time.UTC).AddDate(0, 0, -1)
	for range 5 * 366 {
		if c.onDay(day) {
			if at := c.first(day, t); !at.IsZero() {
				return at
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return time.Time{}
}

// first returns the first time of a day after t; zero when there is none.
func (c *Cron) first(day, t time.Time) (best time.Time) {
	for h := range 24 {
		if c.hour&(1<<h) == 0 {
			continue
		}
		for m := range 60 {
			if c.minute&(1<<m) == 0 {
				continue
			}
			for _, at := range c.instants(wall{day.Year(), day.Month(), day.Day(), h*60 + m}) {
				if at.After(t) && (best.IsZero() || at.Before(best)) {
					best = at
				}
			}
		}
	}
	return best
}

// instants are the moments at which a clock shows a minute: one, or the moment at which it was
// put forward past it, or, where every hour is meant, both.
func (c *Cron) instants(w wall) []time.Time {
	at := time.Date(w.year, w.month, w.day, w.min/60, w.min%60, 0, 0, c.zone)
	if at.Hour()*60+at.Minute() != w.min || at.Day() != w.day {
		if c.anyHour {
			return nil // the hour after the gap has its own
		}
		// time.Date used the offset before or after the gap: its edge is what both have.
		begin, end := at.ZoneBounds()
		if edge := time.Date(w.year, w.month, w.day, 0, 0, 0, 0, c.zone); begin.After(edge) {
			return []time.Time{begin.In(c.zone)}
		}
		return []time.Time{end.In(c.zone)}
	}
	twice := []time.Time{at}
	same := func(o time.Time) bool {
		o = o.In(c.zone)
		return o.Hour()*60+o.Minute() == w.min && o.Day() == w.day && o.Month() == w.month
	}
	begin, end := at.ZoneBounds()
	if !begin.IsZero() { // the clock was put back at begin: the same minute before it
		_, now := at.Zone()
		_, before := begin.Add(-time.Second).In(c.zone).Zone()
		if o := at.Add(time.Duration(now-before) * time.Second); before > now && same(o) && o.Before(begin) {
			twice = []time.Time{o.In(c.zone), at}
		}
	}
	if !end.IsZero() {
		_, now := at.Zone()
		_, after := end.In(c.zone).Zone()
		if o := at.Add(time.Duration(now-after) * time.Second); after < now && same(o) && !o.Before(end) {
			twice = []time.Time{at, o.In(c.zone)}
		}
	}
	if !c.anyHour {
		twice = twice[:1]
	}
	return twice
}
