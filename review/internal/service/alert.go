package service

import (
	"slices"

	"github.com/sallyport/sallyport/review"
)

// Alerts reports whether people are to be alerted of a request by a notice: while it waits, and by what is not known here, which may be
// urgent. Everything else ends the alert.
func Alerts(of *review.Notice) bool {
	return of.Request.State == review.Pending || !slices.Contains(review.Events(), of.Event)
}
