package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// NoteKind says what a Note is evidence of.
type NoteKind uint8

// Kinds of notes.
const (
	// NoteMasked: Count values of Type were masked in the operation. It is left
	// before the operation's Done hooks of later interceptors.
	NoteMasked NoteKind = iota + 1
	// NoteExempted: an exception of Rule shows the session what it hides from
	// others. It is left when the session connects, and when a later revision takes
	// the session over.
	NoteExempted
	// NoteObserved: Rule would have answered the operation, and only observes.
	NoteObserved
	// NoteAnswered: Rule answers the operation, as Text says. It is left in dry
	// sessions only, for explanations.
	NoteAnswered
	// NoteRevised: the session is judged by the revision that Text names from here
	// on, as Identity when that has changed. The session itself leaves it.
	NoteRevised
	// NoteReview: a request for an approval has become what Request says.
	NoteReview
	// NoteDetokenised: Identity had a masked value of Type turned back, or could
	// not, because of Err.
	NoteDetokenised
	// NoteColumn: a column that the operation returns is masked as of Type, as Text says,
	// with the reason. It is left in dry sessions only, for explanations.
	NoteColumn
)

var noteNames = [...]string{"", "masked", "exempted", "observed", "answered", "revised", "review", "detokenised", "column"}

// String returns the kind's stable lower-case name.
func (k NoteKind) String() string {
	if int(k) < len(noteNames) {
		return noteNames[k]
	}
	return ""
}

// Note is evidence of something that an interceptor did besides answering. Which
// fields are set depends on Kind. It holds no data of the resource and no secret.
// It is read-only once it was left, and valid until the hook that was given it
// returns.
type Note struct {
	Kind     NoteKind
	By       string // the interceptor that left it
	Rule     string
	Text     string
	Type     string // of masked values
	Column   string // of NoteColumn: its name; empty where it is not known which columns there are
	Count    uint64
	Identity *Identity
	Err      error
	Request  *RequestNote
}

// RequestNote is what a request for an approval has become.
type RequestNote struct {
	ID        string
	State     string // the stable lower-case name of the state
	Hash      string // of what is decided about
	Requester string
	For       string // the human that an agent asks for
	Session   string
	Operation uint64
	Rules     []string
	DecidedBy string
	Channel   string // how the decision came
	Reason    string
	Mark      string // of the transition, which the request keeps when it was made
	Signed    string // the grant that an approval gives, signed; empty: nothing is signed
	// Of a request for access.
	Resource, Account string
	Until             time.Time // when what was granted is over; zero: nothing was
	Rows              uint64    // how many may be returned or changed by it; 0: no approver has bounded them
}

// Noter is an Interceptor or Reviewer that leaves notes. A gateway does not
// start when nobody records them; see [Gateway.Unrecorded].
type Noter interface {
	// Notes returns the kinds that it may leave.
	Notes() []NoteKind
}

// Recorder is an Interceptor that keeps notes as evidence. Its hooks have Noted
// in every session.
type Recorder interface {
	Interceptor
	// Record keeps a note that belongs to no open session. On an error the note is
	// not kept, and what it is evidence of must not happen.
	Record(ctx context.Context, n *Note) error
}

// ErrUnrecorded is returned, perhaps wrapped, when evidence has nobody who
// records it.
var ErrUnrecorded = errors.New("the gateway has no interceptor that records what others do")

// Note leaves a note about op: every Noted hook is told, in order. An error says
// that the note is not kept; the session has ended then. op is nil when the note
// is about the session. In a dry session the note is kept for its explanation.
func (s *Session) Note(ctx context.Context, op Op, n *Note) error {
	if s.session == nil {
		return ErrUnrecorded
	}
	if s.Dry {
		s.mu.Lock()
		s.notes = append(s.notes, *n)
		s.mu.Unlock()
		return nil
	}
	c := s.chainOf(op)
	if !c.records && !s.gateway.Unrecorded {
		s.Kill(ErrUnrecorded)
		return ErrUnrecorded
	}
	return s.tellNote(ctx, c, op, n)
}

func (s *Session) tellNote(ctx context.Context, c *chain, op Op, n *Note) error {
	for _, h := range c.noted {
		if err := s.Protect(h.name, func() error { return h.Noted(ctx, op, n) }); err != nil {
			s.Kill(err)
			return err
		}
	}
	if s.client != nil && s.client.Noted != nil {
		s.client.Noted(op, n)
	}
	return nil
}

// Notes returns the notes that were left in a dry session, in order.
func (s *Session) Notes() []Note {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Note(nil), s.notes...)
}

// Note records evidence that belongs to no open session, with every Recorder of
// the current revision. An error says that it is not kept.
func (g *Gateway) Note(ctx context.Context, n *Note) error {
	kept := g.Unrecorded
	for _, i := range g.Revision().Interceptors {
		r, ok := i.(Recorder)
		if !ok {
			continue
		}
		// Notes are left in goroutines that nobody else protects.
		if err := g.protect(r.Name(), nil, func() error { return r.Record(ctx, n) }); err != nil {
			return fmt.Errorf("recording a note %q with %s: %w", n.Kind, r.Name(), err)
		}
		kept = true
	}
	if !kept {
		return ErrUnrecorded
	}
	return nil
}

// recorded reports what leaves notes in r that nobody records.
func (g *Gateway) recorded(r *Revision) error {
	if g.Unrecorded || r.records() {
		return nil
	}
	leaves := func(name string, of any) error {
		noter, ok := of.(Noter)
		if !ok || len(noter.Notes()) == 0 {
			return nil
		}
		var kinds []string
		for _, k := range noter.Notes() {
			kinds = append(kinds, k.String())
		}
		return fmt.Errorf("%w: %s leaves notes (%s); add a Recorder, such as an audit log, or set Gateway.Unrecorded", ErrUnrecorded, name, strings.Join(kinds, ", "))
	}
	for _, i := range r.Interceptors {
		if err := leaves("interceptor "+i.Name(), i); err != nil {
			return err
		}
	}
	return leaves("the reviewer", g.Reviewer)
}
