package review

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// unknownWhy is what the record has of a request whose operation nobody knows to have run.
const unknownWhy = "the gateway stopped, and its record does not say how the operation ended"

// MarkUnknown makes Unknown what was used when the gateway was killed: the operation may have run or not, it is not run again by the same
// approval, and whose it is, is told when she sends the same again. recorded is what the record has of transitions, as for Settle, which
// comes first; ended says whether the end of an operation is on record.
func (d *Desk) MarkUnknown(ctx context.Context, recorded []proxy.RequestNote, ended func(session string, op uint64) bool) error {
	var errs []error
	for i := range recorded {
		n := &recorded[i]
		if n.State != string(Used) || ended(n.Session, n.Operation) {
			continue
		}
		_, err := d.change(ctx, n.ID, func(r *Request, _ time.Time) (step, error) {
			if r.State != Used || r.Use == nil || r.Use.Session != n.Session || r.Use.Operation != n.Operation {
				return step{}, ErrOver // what was recorded was not done, or is known to be unknown
			}
			r.State = Unknown
			return step{string(Unknown), unknownWhy, false}, nil
		})
		if err != nil && !errors.Is(err, ErrOver) && !errors.Is(err, ErrUnknown) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// perhapsRun is the latest request for the same operation of which nobody knows whether it has run; empty: none, or it has run since.
func (d *Desk) perhapsRun(content string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var last *Request
	for _, k := range d.known {
		r := &k.request
		if r.Access == nil && r.Content == content && (r.State == Used || r.State == Unknown) && (last == nil || r.Created.After(last.Created)) {
			last = r
		}
	}
	if last == nil || last.State == Used {
		return ""
	}
	return last.ID
}
