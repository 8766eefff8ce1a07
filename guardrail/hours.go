package guardrail

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

// Contains reports whether t is within the hours.
func (h *Hours) Contains(t time.Time) bool {
	zone := h.Zone
	if zone == nil {
		zone = time.UTC
	}
	t = t.In(zone)
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

func (h *Hours) on(d time.Weekday) bool { return h.Days == 0 || h.Days&(1<<d) != 0 }

func (h *Hours) validate() error {
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
