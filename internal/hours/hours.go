// Package hours is about parts of the week, by the clock on the wall of a place, and writes times as people do.
package hours

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Hours are a part of the week, by the clock on the wall of a place.
type Hours struct {
	Days Weekdays // on which they begin; none is every day
	// From and To are minutes of the day. Where To is not after From they go on to
	// the next day, and belong to the one on which they begin. Both 0 is the whole
	// day.
	From, To int
	Zone     *time.Location // nil is UTC
}

// Weekdays is a set of days: bit n is time.Weekday n.
type Weekdays uint8

const day = 24 * 60

// wall is t by the clock on the wall.
func (h *Hours) wall(t time.Time) time.Time {
	if h.Zone == nil {
		return t.UTC()
	}
	return t.In(h.Zone)
}

// Contains reports whether t is within the hours.
func (h *Hours) Contains(t time.Time) bool {
	t = h.wall(t)
	minute := t.Hour()*60 + t.Minute()
	today, yesterday := h.on(t.Weekday()), h.on((t.Weekday()+6)%7)
	switch {
	case h.From == 0 && h.To == 0:
		return today
	case h.From < h.To:
		return today && minute >= h.From && minute < h.To
	default:
		return today && minute >= h.From || yesterday && minute < h.To
	}
}

// Until returns a time after t up to which what Contains says of t holds: the next at
// which the clock on the wall shows a beginning, an end or midnight, or is put forward
// or back.
func (h *Hours) Until(t time.Time) time.Time {
	t = h.wall(t)
	now := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
	next := day * time.Minute
	for _, minute := range []int{h.From, h.To} {
		if at := time.Duration(minute) * time.Minute; at > now {
			next = min(next, at)
		}
	}
	until := t.Add(next - now)
	if _, moved := t.ZoneBounds(); !moved.IsZero() && moved.Before(until) {
		return moved
	}
	return until
}

func (h *Hours) on(d time.Weekday) bool { return h.Days == 0 || h.Days&(1<<d) != 0 }

// Validate reports hours that cannot be, and those that are the whole week.
func (h *Hours) Validate() error {
	switch {
	case h.From < 0 || h.From >= day || h.To < 0 || h.To > day:
		return errors.New("hours are from 00:00 to 24:00")
	case h.From == h.To && h.From != 0:
		return errors.New("the hours end at the time at which they begin")
	case (h.From == 0 && h.To == 0 || h.From == 0 && h.To == day) && (h.Days == 0 || h.Days == 1<<7-1):
		return errors.New("the hours cover the whole week: leave them out")
	}
	return nil
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseDays reads days such as "mon" and "fri-sun".
func ParseDays(words []string) (Weekdays, error) {
	var days Weekdays
	for _, w := range words {
		first, last, between := strings.Cut(strings.ToLower(w), "-")
		if !between {
			last = first
		}
		from, to := dayNumber(first), dayNumber(last)
		if from < 0 || to < 0 {
			return 0, fmt.Errorf("%q is not a day: write mon, tue … sun, or mon-fri", w)
		}
		for d := from; ; d = (d + 1) % 7 {
			days |= 1 << d
			if d == to {
				break
			}
		}
	}
	return days, nil
}

func dayNumber(name string) int {
	for i, n := range dayNames {
		if n == name {
			return i
		}
	}
	return -1
}

// ParseTimes reads "09:00-17:30" as minutes of the day.
func ParseTimes(s string) (from, to int, err error) {
	a, b, ok := strings.Cut(s, "-")
	from, err = minutes(a)
	if err == nil {
		to, err = minutes(b)
	}
	if !ok || err != nil {
		return 0, 0, fmt.Errorf("%q is not a range of hours: write 09:00-17:30", s)
	}
	return from, to, nil
}

func minutes(s string) (int, error) {
	if s == "24:00" {
		return day, nil
	}
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err
}

// String writes the hours as "mon-fri 09:00-17:00 Europe/Berlin".
func (h *Hours) String() string {
	var parts []string
	if days := h.Days.String(); days != "" {
		parts = append(parts, days)
	}
	if h.From != 0 || h.To != 0 {
		parts = append(parts, fmt.Sprintf("%02d:%02d-%02d:%02d", h.From/60, h.From%60, h.To/60, h.To%60))
	}
	return strings.Join(append(parts, h.wall(time.Time{}).Location().String()), " ")
}

// String writes the days as "mon-fri" or "mon,wed"; every day is empty.
func (d Weekdays) String() string {
	if d == 0 || d == 1<<7-1 {
		return ""
	}
	has := func(i int) bool { return d&(1<<(i%7)) != 0 }
	var runs []string
	for i := 1; i <= 7; i++ { // the week begins on Monday
		if !has(i) {
			continue
		}
		first := i
		for i < 7 && has(i+1) {
			i++
		}
		run := dayNames[first%7]
		switch {
		case i == first+1:
			run += "," + dayNames[i%7]
		case i > first:
			run += "-" + dayNames[i%7]
		}
		runs = append(runs, run)
	}
	return strings.Join(runs, ",")
}
