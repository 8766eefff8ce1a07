package review

import (
	"context"
	"errors"
	"slices"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// Settle notes of each transition that was on record when the gateway was killed, and that the store does not have, that it was not
// made. It is given what the record has of transitions within [KeepRequests].
func (d *Desk) Settle(ctx context.Context, recorded []proxy.RequestNote) error {
	marks := make(map[string][]string) // by request
	gone := make(map[string]bool)
	for i := range recorded {
		n := &recorded[i]
		if _, ok := marks[n.ID]; !ok {
			doc, err := d.Store.Get(ctx, KindRequest, n.ID)
			kept := &document{}
			switch {
			case errors.Is(err, store.ErrNotFound):
				gone[n.ID] = true
			case err != nil:
				return err
			default:
				if kept, err = documentOf(doc); err != nil {
					return err
				}
			}
			marks[n.ID] = kept.Marks
		}
		// One that is gone was there, and is not kept any more, unless it was to be made.
		if slices.Contains(marks[n.ID], n.Mark) || gone[n.ID] && n.State != string(Pending) {
			continue
		}
		d.log().Warn("what was recorded of a request was not done, because the gateway stopped before", "request", n.ID, "state", n.State)
		undone := *n
		undone.State, undone.Reason, undone.Signed = Undone, "the gateway stopped before the store had it", ""
		if err := d.Note(ctx, &proxy.Note{Kind: proxy.NoteReview, By: "review", Request: &undone}); err != nil {
			return err
		}
	}
	return nil
}
