package review

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Opened is what a request's note has as its state when a session is opened by what it has granted for a number of sessions; the
// request stays approved.
const Opened = "opened"

// MaxUses is how many sessions may be opened by one request, where that has a bound.
const MaxUses = 100

// ErrSpent says that nothing more may be opened by what a request has granted.
var ErrSpent = errors.New("what the request has granted opens no further session")

// opening is what a grant is to a session.
type opening uint8

const (
	shut  opening = iota // it does not count
	opens                // it counts once the session is opened by it
	in                   // it counts
)

// opening is what r, which is open now, is to a session; nil: to one that would begin now. started is when it began, by the store's
// clock. d.mu is held.
func (d *Desk) opening(r *Request, s *proxy.Session, started time.Time) opening {
	a := r.Access
	if !a.Grant.OpenUntil.IsZero() && !started.Before(a.Grant.OpenUntil) {
		return shut
	}
	switch {
	case a.Uses == 0, s != nil && d.openedBy(r, s.ID):
		return in
	case len(a.Opened) >= a.Uses:
		return shut
	}
	return opens
}

// spent reports whether what a request has granted opens no further session.
func (r *Request) spent(now time.Time) bool {
	a := r.Access
	return a.Uses > 0 && len(a.Opened) >= a.Uses || a.Grant != nil && !a.Grant.OpenUntil.IsZero() && !now.Before(a.Grant.OpenUntil)
}

// openedBy reports whether a session was opened by what a request has granted, or by what that extends. d.mu is held.
func (d *Desk) openedBy(r *Request, session string) bool {
	for range MaxExtensions + 1 {
		if slices.Contains(r.Access.Opened, session) {
			return true
		}
		first := d.known[r.Access.Extends]
		if first == nil || first.request.Access == nil {
			return false
		}
		r = &first.request
	}
	return false
}

// Open notes that a session is opened by what a request has granted for a number of sessions. It is done again without a change. The error
// matches ErrSpent when no further session may be.
func (d *Desk) Open(ctx context.Context, id, session string) error {
	_, err := d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
		switch a := r.Access; {
		case a == nil || !r.open(now):
			return step{}, ErrSpent
		case a.Uses == 0 || slices.Contains(a.Opened, session):
			return step{}, errOpened
		case len(a.Opened) >= a.Uses:
			return step{}, ErrSpent
		}
		r.Access.Opened = append(r.Access.Opened, session)
		return step{Opened, "session " + session + fmt.Sprintf(", %d of %d", len(r.Access.Opened), r.Access.Uses), true}, nil
	})
	if errors.Is(err, errOpened) {
		return nil
	}
	return err
}

var errOpened = errors.New("the session is open by the request already")

// limits says how often, and within which time, sessions may be opened; empty: there is no bound.
func (a *Access) limits() string {
	switch within := time.Duration(a.Reuse) * time.Second; {
	case a.Uses > 0 && a.Reuse > 0:
		return fmt.Sprintf("%d sessions, within %s of the beginning", a.Uses, within)
	case a.Uses > 0:
		return fmt.Sprintf("%d sessions", a.Uses)
	case a.Reuse > 0:
		return fmt.Sprintf("sessions within %s of the beginning", within)
	}
	return ""
}
