package guardrail

import "github.com/sallyport/sallyport/internal/hours"

// Hours are a part of the week, by the clock on the wall of a place.
type Hours = hours.Hours

// Weekdays is a set of days: bit n is time.Weekday n.
type Weekdays = hours.Weekdays

// ParseDays reads days such as "mon" and "fri-sun".
func ParseDays(words []string) (Weekdays, error) { return hours.ParseDays(words) }

// ParseTimes reads "09:00-17:30" as minutes of the day.
func ParseTimes(s string) (from, to int, err error) { return hours.ParseTimes(s) }
