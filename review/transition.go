package review

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// step is a transition: what it is called, why it is made, and whether it gives something.
type step struct {
	event, reason string
	gives         bool
}

// keep records a transition and writes it. One that gives something is not made when it cannot be recorded.
func (d *Desk) keep(ctx context.Context, doc store.Document, r *Request, s step) (version int64, err error) {
	r.describe()
	r.marks = append(slices.Clone(r.marks[max(0, len(r.marks)-maxMarks+1):]), newMark())
	if err := d.sign(r); err != nil {
		return 0, err
	}
	w, err := d.write(doc, r)
	if err != nil {
		return 0, err
	}
	state := s.event
	if state == Asked {
		state = string(Pending)
	}
	if err := d.note(ctx, r, state, s.reason); err != nil && s.gives {
		return 0, fmt.Errorf("%w: %w", errUnrecorded, err)
	}
	version, err = d.commit(ctx, w, r, s)
	if errors.Is(err, store.ErrUncertain) {
		version, err = d.ask(ctx, r, err)
	}
	if err != nil {
		_ = d.note(ctx, r, Undone, undone(err)) // who records says that it could not be
	}
	return version, err
}

// maxMarks is how many of its last transitions a request keeps the marks of.
const maxMarks = 100

// newMark names a transition: the record has it, and the store when it was made.
func newMark() string { return strings.ToLower(rand.Text()[:12]) }

// mark names the last transition of a request that the store has; empty: it has none, such as of access that was taken while it did not
// answer.
func (r *Request) mark() string {
	if len(r.marks) == 0 {
		return ""
	}
	return r.marks[len(r.marks)-1]
}

var errUnrecorded = errors.New("this is not done, because it could not be recorded")

// ask looks whether the store has kept a transition after all of which it could not say so.
func (d *Desk) ask(ctx context.Context, r *Request, uncertain error) (version int64, err error) {
	doc, now, err := d.read(ctx, r.ID)
	if err != nil || !slices.Equal(now.marks, r.marks) {
		return 0, uncertain
	}
	return doc.Version, nil
}

// undone says why what was recorded is not so.
func undone(err error) string {
	switch {
	case errors.Is(err, store.ErrConflict):
		return "somebody else was faster"
	case errors.Is(err, store.ErrUncertain):
		return "it is not known whether the store has kept it"
	}
	return "the store has not kept it"
}

// commit writes a transition with what tells of it, and returns the document's version.
func (d *Desk) commit(ctx context.Context, w store.Write, r *Request, s step) (int64, error) {
	more, err := d.glassWrites(ctx, r, s)
	if err != nil {
		return 0, err
	}
	ws := append([]store.Write{w}, more...)
	if s.event == string(Approved) && r.Access != nil && r.Access.Extends != "" {
		_, docs, err := d.extending(ctx, r)
		if err != nil {
			return 0, err
		}
		for _, doc := range docs {
			ws = append(ws, store.Require(doc)) // which is not taken back meanwhile
		}
	}
	if d.Told != nil && s.event != string(Used) && s.event != Opened { // nobody waits to hear of that

		more, err := d.Told(&Notice{ID: r.ID + "-" + strings.ToLower(rand.Text()[:10]), Event: s.event, At: d.now(), Request: r.clone()})
		switch {
		case err == nil:
			ws = append(ws, more...)
		case s.gives:
			return 0, err
		default: // what takes something away is done all the same
			d.log().Error("nobody is told of a request", "request", r.ID, "event", s.event, "err", err)
		}
	}
	last, err := d.Store.Write(ctx, ws...)
	changing := int64(0)
	for i := range ws {
		if ws[i].Changes() {
			changing++
		}
	}
	return last - changing + 1, err // the first of the call's changes
}

// note records a transition.
func (d *Desk) note(ctx context.Context, r *Request, state, reason string) error {
	n := &proxy.RequestNote{
		ID: r.ID, State: state, Hash: r.Hash, Requester: r.Requester, For: r.For, Session: r.Session, Operation: r.Operation, Rules: r.Rules,
		DecidedBy: r.DecidedBy, Channel: r.Channel, Reason: reason,
	}
	if state != Revealed { // which changes nothing
		n.Mark = r.mark()
	}
	if r.State == Approved && state != Undone {
		n.Signed = r.Signed
	}
	if r.Use != nil {
		n.Session, n.Operation = r.Use.Session, r.Use.Operation
	}
	if r.Access != nil {
		n.Resource, n.Account, n.Rows = r.Resource, r.Account, r.Access.Rows
		if g := r.Access.Grant; g != nil {
			n.Until = g.Until
		}
	}
	switch {
	case state == Opened && r.Standing != nil:
		last := r.Standing.Used[len(r.Standing.Used)-1]
		n.Session, n.Operation = last.Session, last.Operation
	case state == Opened:
		n.Session = r.Access.Opened[len(r.Access.Opened)-1]
	}
	if state == Proposed {
		n.DecidedBy, n.Channel = r.Access.Proposal.By, r.Access.Proposal.Channel
	}
	if state == Voted {
		v := &r.Access.Votes[len(r.Access.Votes)-1]
		n.DecidedBy, n.Channel = v.By, v.Channel
	}
	if state == BreakGlass {
		n.Channel = r.Access.Glass.Proof + " at " + r.Access.Remote
	}
	return d.Note(ctx, &proxy.Note{Kind: proxy.NoteReview, By: "review", Request: n})
}

// attempts is how often a transition is made anew when another gateway was faster.
const attempts = 10

// change makes a transition. next changes the request, and says what that is; it is called with what the store has.
func (d *Desk) change(ctx context.Context, id string, next func(r *Request, now time.Time) (step, error)) (*Request, error) {
	var conflict error
	for range attempts {
		if _, err := d.touch(ctx); err != nil {
			return nil, err
		}
		doc, r, err := d.read(ctx, id)
		if err != nil {
			return nil, err
		}
		s, err := next(r, d.now())
		if err != nil {
			d.see(r, doc.Version)
			return nil, err
		}
		version, err := d.keep(ctx, doc, r, s)
		if err == nil {
			d.see(r, version)
			return r, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, err
		}
		conflict = err
	}
	return nil, fmt.Errorf("changing request %s: others were faster %d times: %w", id, attempts, conflict)
}

// decided is the error of what comes after a request's end.
func (r *Request) decided() error {
	e := &DecidedError{State: r.State, By: r.DecidedBy, At: latest(r.DecidedAt)}
	return e
}

// pending checks that a request can still be decided about.
func (r *Request) pending(now time.Time) error {
	if r.State != Pending {
		return r.decided()
	}
	if !now.Before(r.Deadline) {
		return &DecidedError{State: Expired, At: r.Deadline}
	}
	return nil
}
